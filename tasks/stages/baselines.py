"""Baselines: labelled examples in, what simple methods predict of them out."""

import logging
from importlib.metadata import version
from pathlib import Path

from corpusmill.model.baselines.config import BaselineConfig, BaselineJob, BaselineResult
from corpusmill.storage.artifacts import Ref, Spec, content_digest, obtain
from corpusmill.storage.config import read_json
from corpusmill.storage.layout import Layout
from corpusmill.tasks.launch import baseline_command, run_job

KIND = "baseline"
FORMAT_VERSION = 1
_LOGGER = logging.getLogger(__name__)
# They decide what is fitted.
ENGINES = {name: version(name) for name in ("numpy", "scikit-learn", "scipy")}


def make_baseline(layout: Layout, examples: Ref, config: BaselineConfig) -> Ref:
    """Fits a baseline in a process of its own, or reuses the one of the same examples.

    Returns:
        An artifact of `predictions.jsonl` of validation and test, as
        `corpusmill.storage.examples.predictions` reads them.

    Raises:
        InputError: a sentence from the process about what a person must mend.
        ProcessError: it ended without predictions.
    """

    def write(directory: Path) -> dict[str, int]:
        job = BaselineJob(directory=directory, examples=examples.path, baseline=config)
        run_job(job, baseline_command, "baseline")
        return read_json(BaselineResult, directory / "result.json").model_dump()

    baseline, reused = obtain(layout, baseline_spec(examples, config), write)
    _LOGGER.info(
        "baseline %s of %.4g %% of the labels: %s%s",
        config.name,
        100 * config.share,
        baseline,
        " - reused" if reused else "",
    )
    return baseline


def baseline_spec(examples: Ref, config: BaselineConfig) -> Spec:
    """What a baseline is made from."""
    decides = config.model_dump(mode="json") | {"engines": ENGINES}
    return Spec(KIND, FORMAT_VERSION, {"examples": content_digest(examples)}, decides)
