"""The end that every training flow has: evaluate, register, promote, report."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from prefect import get_run_logger, runtime

from corpusmill.model.config import EvaluationConfig
from corpusmill.storage import metrics
from corpusmill.storage.artifacts import Ref
from corpusmill.storage.manifest import read_manifest
from corpusmill.storage.served import text_generation
from corpusmill.storage.versions import CORPUS, MEMORY
from corpusmill.tasks.evaluation import (
    evaluate,
    find_contamination,
    measure_compressor,
    part_by_source,
)
from corpusmill.tasks.registration import promote_if_better, register
from corpusmill.tasks.reports.model_card import licences_of, render_card
from corpusmill.tasks.reports.run import make_outcome, report
from corpusmill.tasks.stages.lineage import lessons_of
from corpusmill.tasks.tracking import FlowContext


def judge_and_register(
    context: FlowContext,
    *,
    model: Ref,
    trained_on: Ref,
    held_out: Ref,
    memory: Ref,
    evaluation: EvaluationConfig,
    name: str,
    inputs: Mapping[str, Ref],
) -> None:
    """Scores the model on `held_out`, registers it, and makes it champion if it is the best."""
    with kept(model):
        layout = context.layout
        figures = evaluate(layout, model, held_out, evaluation, "candidate", trained_on)
        counts = read_manifest(trained_on.path)["counts"]
        licences = licences_of(counts)
        tags = {
            "licences": "; ".join(licences),
            CORPUS: trained_on.digest,
            "held_out": held_out.digest,
            MEMORY: memory.digest,
            figures.decides: f"{figures.score:.4f}",
            "evaluation_precision": figures.precision,
            "prefect.flow_run_url": str(runtime.flow_run.ui_url),
        }
        example = next((sample.prompt for sample in figures.samples), "")
        version = register(context, name, model, inputs, tags, text_generation(example))
        promotion = promote_if_better(context, version, figures, held_out, evaluation)
        # What does not write text has no bits to compare.
        writes = metrics.BITS_PER_BYTE in figures.figures
        baseline = measure_compressor(layout, held_out) if writes else None
        outcome = make_outcome(
            context,
            model,
            version,
            promotion,
            figures,
            compressor=baseline,
            by_source=part_by_source(layout, model, held_out, evaluation, trained_on),
            contamination=find_contamination(layout, trained_on, held_out, evaluation),
        )
        card = render_card(outcome, counts, licences, version, lessons_of(memory.path))
        report(context, model, trained_on, outcome, card)


@contextmanager
def kept(model: Ref) -> Iterator[None]:
    """Says of a failure after training that nothing of it is lost."""
    try:
        yield
    except Exception:
        get_run_logger().error(
            "the trained model is kept in %s: mend what is said below and run the flow again with "
            "the same parameters, which goes on from there",
            model.path,
        )
        raise
