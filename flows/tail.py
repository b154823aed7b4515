"""The end that every training flow has: evaluate, register, promote, report."""

from collections.abc import Mapping

from prefect import runtime

from model.config import EvaluationConfig
from storage.artifacts import Ref
from storage.layout import Layout
from storage.settings import Settings
from storage.tracking import Tracker
from tasks.evaluation import evaluate, measure_compressor
from tasks.registration import promote_if_better, register
from tasks.report import make_outcome, report


def judge_and_register(
    settings: Settings,
    layout: Layout,
    tracker: Tracker,
    *,
    model: Ref,
    trained_on: Ref,
    held_out: Ref,
    evaluation: EvaluationConfig,
    name: str,
    inputs: Mapping[str, Ref],
) -> None:
    """Scores the model on `held_out`, registers it, and makes it champion if it is the best."""
    for kind, ref in inputs.items():
        tracker.log_dataset(kind, ref, "training")
    flow_run_url = str(runtime.flow_run.ui_url)
    figures = evaluate(layout, model, held_out, evaluation, "candidate")
    baseline = measure_compressor(layout, held_out)
    tags = {
        "corpus": trained_on.digest,
        "held_out": held_out.digest,
        "bits_per_byte": f"{figures.bits_per_byte:.4f}",
        "prefect.flow_run_url": flow_run_url,
    }
    version = register(settings, tracker, name, model, tags)
    champion = promote_if_better(settings, layout, version, figures, held_out, evaluation)
    outcome = make_outcome(
        layout, model, version, champion, figures, baseline, flow_run_url, tracker
    )
    report(layout, tracker, model, held_out, outcome)
