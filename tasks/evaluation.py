"""The evaluation, and what it is compared with, as tasks."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from corpusmill.model.config import EvaluationConfig, EvaluationResult
from corpusmill.storage.artifacts import Ref, find
from corpusmill.storage.layout import Layout
from corpusmill.tasks.retries import can_be_retried
from corpusmill.tasks.stages import contamination, evaluation
from corpusmill.tasks.stages.by_source import SourceFigure, figures_by_source
from corpusmill.tasks.stages.compression import CompressionBaseline
from corpusmill.tasks.stages.contamination import Contamination


@task(
    name="evaluate",
    task_run_name="evaluate-{name}",
    cache_policy=NO_CACHE,
    retries=2,
    retry_delay_seconds=5,
    retry_condition_fn=can_be_retried,
)
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


@task(
    name="measure-compressors",
    task_run_name="measure-compressors",
    cache_policy=NO_CACHE,
    retries=2,
    retry_delay_seconds=5,
    retry_condition_fn=can_be_retried,
)
def measure_compressor(layout: Layout, corpus: Ref) -> CompressionBaseline:
    """What general compressors need for the same held-out documents."""
    return evaluation.measure_compressor(layout, corpus)


@task(
    name="look-for-contamination",
    task_run_name="look-for-contamination",
    cache_policy=NO_CACHE,
    retries=2,
    retry_delay_seconds=5,
    retry_condition_fn=can_be_retried,
)
def find_contamination(
    layout: Layout, trained_on: Ref, held_out: Ref, config: EvaluationConfig
) -> list[Contamination]:
    """How much of the held-out text and of the probes stands in the training text."""
    return contamination.find_contamination(layout, trained_on, held_out, config)


@task(
    name="part-by-source",
    task_run_name="part-by-source",
    cache_policy=NO_CACHE,
    retries=2,
    retry_delay_seconds=5,
    retry_condition_fn=can_be_retried,
)
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
