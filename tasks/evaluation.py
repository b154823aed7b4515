"""The evaluation, and what it is compared with, as tasks."""

from corpusmill.model.config import EvaluationConfig, EvaluationResult
from corpusmill.storage.artifacts import Ref, find
from corpusmill.storage.layout import Layout
from corpusmill.tasks.retries import stage
from corpusmill.tasks.stages import contamination, evaluation
from corpusmill.tasks.stages.by_source import SourceFigure, figures_by_source
from corpusmill.tasks.stages.compression import CompressionBaseline
from corpusmill.tasks.stages.contamination import Contamination


@stage("evaluate", "evaluate-{name}")
def evaluate(
    layout: Layout,
    model: Ref,
    corpus: Ref,
    config: EvaluationConfig,
    name: str,
    trained_on: Ref | None = None,
) -> EvaluationResult:
    """Scores a model on every held-out document of the corpus, in a process of its own."""
    return evaluation.evaluate(layout, model, corpus, config, name, trained_on)


@stage("measure-compressors")
def measure_compressor(layout: Layout, corpus: Ref) -> CompressionBaseline:
    """What general compressors need for the same held-out documents."""
    return evaluation.measure_compressor(layout, corpus)


@stage("look-for-contamination")
def find_contamination(
    layout: Layout, trained_on: Ref, held_out: Ref, config: EvaluationConfig
) -> list[Contamination]:
    """How much of the held-out text and of the probes stands in the training text."""
    return contamination.find_contamination(layout, trained_on, held_out, config)


@stage("part-by-source")
def part_by_source(
    layout: Layout,
    model: Ref,
    corpus: Ref,
    config: EvaluationConfig,
    trained_on: Ref | None = None,
) -> tuple[str, list[SourceFigure]]:
    """Of an evaluation that is there: the figure by which models are compared, by source."""
    spec = evaluation.evaluation_spec(model, corpus, config, trained_on)
    return figures_by_source(find(layout, spec.kind, spec.digest).path)
