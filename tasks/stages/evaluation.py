"""Evaluation: a model and a corpus in, figures over the held-out documents out."""

import json
import logging
import tempfile
import unicodedata
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from corpusmill.model.config import (
    EvaluationConfig,
    EvaluationJob,
    EvaluationResult,
)
from corpusmill.model.evaluation.probe_items import probe_identity
from corpusmill.model.hf.families import family_of
from corpusmill.storage.artifacts import Ref, Spec, content_digest, obtain
from corpusmill.storage.config import read_json, write_json_value
from corpusmill.storage.corpus.documents import read_documents
from corpusmill.storage.layout import Layout
from corpusmill.storage.splits import SPLITS
from corpusmill.tasks.launch import check_outcome, evaluation_command, supervised, wait
from corpusmill.tasks.stages.compression import (
    PPMD_ORDER,
    CompressionBaseline,
    compress_baseline,
    ppmd_version,
)

FORMAT_VERSION = 12
_LOGGER = logging.getLogger(__name__)
# They decide what is counted: tokens, and the words that BLEU compares.
_ENGINES = {name: version(name) for name in ("sacrebleu", "tokenizers")}
_ENGINES["unicode"] = unicodedata.unidata_version


def evaluate(
    layout: Layout,
    model: Ref,
    corpus: Ref,
    config: EvaluationConfig,
    name: str,
    trained_on: Ref | None = None,
) -> EvaluationResult:
    """Scores a model on every held-out document of the corpus, in a process of its own.

    The result for the same bytes of a model on the same documents is reused.

    Args:
        config: its precision is not `auto`, since it is part of the identity of the result.
        name: what to call the model in logs: "candidate" or "champion".
        trained_on: the corpus of the model, to find what a decoder knows of it by heart.
    """
    return make_evaluation(layout, model, corpus, config, name, trained_on)[1]


def make_evaluation(
    layout: Layout,
    model: Ref,
    corpus: Ref | None,
    config: EvaluationConfig,
    name: str,
    trained_on: Ref | None = None,
) -> tuple[Ref, EvaluationResult]:
    """As `evaluate`, with the artifact, which holds the blocks that a judgement is made from.

    Args:
        corpus: None to ask probes alone.
    """
    assert config.precision != "auto"

    def write(directory: Path) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            job_file, log = Path(scratch) / "job.json", Path(scratch) / "output.log"
            job = EvaluationJob(
                directory=directory,
                model=model.path,
                corpus=corpus.path if corpus else None,
                evaluation=config,
                trained_on=trained_on.path if trained_on else None,
            )
            write_json_value(job_file, job)
            with supervised(evaluation_command(job_file), log) as process:
                while not wait(process, 1.0):
                    pass
            check_outcome(process, log, "evaluation")

    evaluation, reused = obtain(layout, evaluation_spec(model, corpus, config, trained_on), write)
    result = read_json(EvaluationResult, evaluation.path / "result.json")
    _tell(name, result, config, reused=reused)
    return evaluation, result


def _tell(name: str, result: EvaluationResult, config: EvaluationConfig, *, reused: bool) -> None:
    """Logs the figures of a model: on text, of probes, and what it knows by heart."""
    if result.documents:
        _LOGGER.info(
            "%s: %.3f %s over %d held-out documents (%s bytes)%s",
            name,
            result.score,
            in_words(result.decides),
            result.documents,
            f"{result.bytes:,}",
            " - reused" if reused else "",
        )
    for each in result.probes:
        _LOGGER.info(
            "%s: %.1f %% of %d items of %s (95 %% between %.1f and %.1f)",
            name,
            100 * each.accuracy,
            each.items,
            each.name,
            100 * each.low,
            100 * each.high,
        )
    if known := result.memorisation:
        _LOGGER.info(
            "%s: %s of its training text %s",
            name,
            f"{known.verbatim} of {known.passages} passages" if known.passages else "nothing",
            "are continued word for word" if known.passages else "is long enough for a passage",
        )
    if config.probes and result.family != "causal_lm":
        _LOGGER.info("probes are not asked: a model of %s does not continue text", result.family)


def evaluation_spec(
    model: Ref, corpus: Ref | None, config: EvaluationConfig, trained_on: Ref | None = None
) -> Spec:
    """What an evaluation is made from: the bytes of the model, not how it was trained.

    The corpus that it was trained on counts where a decoder is asked what it knows by heart of it.

    Raises:
        CorpusError: files of a probe are gone.
    """
    inputs = {"model": content_digest(model)} | ({"corpus": corpus.digest} if corpus else {})
    family = family_of(model.path)
    if trained_on and family == "causal_lm":
        inputs["trained_on"] = trained_on.digest
    decides = config.identity(family) | {"engines": _ENGINES}
    if "probes" in decides:
        decides["probes"] = [probe_identity(each) for each in config.probes]
    return Spec("evaluation", FORMAT_VERSION, inputs, decides)


def in_words(figure: str) -> str:
    """The name of a figure for a person to read."""
    return figure.replace("_", " ").replace("bleu", "BLEU").replace("chrf", "chrF")


def measure_compressor(layout: Layout, corpus: Ref) -> CompressionBaseline:
    """What general compressors need for the same held-out documents."""

    def write(directory: Path) -> None:
        train, held_out = (
            (document.text for document in read_documents(corpus.path, split)) for split in SPLITS
        )
        measured = compress_baseline(train, held_out)
        (directory / "result.json").write_text(json.dumps(asdict(measured)), encoding="utf-8")

    spec = Spec("compression", 2, {"corpus": corpus.digest}, {"ppmd": ppmd_version()})
    baseline, reused = obtain(layout, spec, write)
    figures = json.loads((baseline.path / "result.json").read_text(encoding="utf-8"))
    result = CompressionBaseline(**figures)
    _LOGGER.info(
        "xz -9e: %.3f bits per byte alone, %.3f after the training text%s",
        result.alone,
        result.primed,
        " - reused" if reused else "",
    )
    if result.ppmd is None:
        _LOGGER.info(
            "PPMd, a better compressor, is not measured: pip install 'corpusmill[ppmd]' (LGPL)"
        )
    else:
        _LOGGER.info(
            "PPMd of order %d: %.3f bits per byte after the training text", PPMD_ORDER, result.ppmd
        )
    return result
