"""The flow `evaluate`: a version or a folder is scored, and nothing else happens to it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prefect import flow

from corpusmill.flows.config import EvaluateConfig, evaluated_on_this_machine
from corpusmill.flows.inheritance import champions_config
from corpusmill.flows.overrides import override
from corpusmill.flows.run_names import EVALUATION, name_evaluation
from corpusmill.model.hf.families import check_language_model
from corpusmill.storage.errors import ConfigError
from corpusmill.storage.layout import Layout
from corpusmill.storage.versions import RegisteredModel
from corpusmill.tasks.origin import bring_model
from corpusmill.tasks.registration import fetch_champion
from corpusmill.tasks.reports.scores import report_scores
from corpusmill.tasks.scoring import (
    collect_held_out,
    find_version,
    score,
    take_text,
)
from corpusmill.tasks.tracking import begin_flow, tracked_run


@flow(name="evaluate", flow_run_name=name_evaluation)
def evaluate(model: str = "gpt-tiny", overrides: dict[str, Any] | None = None) -> None:
    """Scores a model on a text or on what is held out of its own, and on probes.

    Args:
        model: NAME, NAME@ALIAS or NAME/VERSION of a registered model, or the absolute path of a
            folder in the Hugging Face format.
        overrides: dotted fields of `corpus` and `evaluation`, such as {"corpus.sources":
            ["/text/*.txt"]}. The text is scored as it is; without sources, what is held out of the
            version's own, and of a folder probes alone, as with {"corpus.sources": []}. The
            evaluation is otherwise as that of the version.
    """
    settings, given = begin_flow(), dict(overrides or {})
    without_text = given.get("corpus.sources") in ([], ())
    if without_text:
        del given["corpus.sources"]
    layout = Layout(settings.home)
    is_folder = Path(model).is_absolute()
    if is_folder:
        check_language_model(Path(model))
    found = None if is_folder else find_version(settings, model)
    version = found[0] if found else None
    config = evaluated_on_this_machine(_config(found, given))
    name = version.name if version else Path(model).name
    with tracked_run(settings, name, EVALUATION, config) as context:
        weights = (
            fetch_champion(settings, layout, version)
            if version
            else bring_model(layout, model, tokenizer=True)
        )
        text = None
        if "corpus.sources" in given:
            text = take_text(layout, config.corpus)
        elif version and not without_text:
            text = collect_held_out(layout, version)
        elif not config.evaluation.probes:
            raise ConfigError(
                "There is neither text nor a probe to score on, and a folder has no held-out text "
                'of its own; expected {"corpus.sources": ["/text/*.txt"]} or evaluation.probes in '
                "overrides."
            )
        report_scores(context, version, score(layout, weights, text, config.evaluation, model))


def _config(
    found: tuple[RegisteredModel, Mapping[str, Any]] | None, given: Mapping[str, Any]
) -> EvaluateConfig:
    config = EvaluateConfig()
    if found:
        version, recorded = found
        evaluation = champions_config(recorded, version.name).evaluation
        config = config.model_copy(update={"evaluation": evaluation})
    return override(config, given)
