"""Labelled examples as a task, and a table of what was dropped and why."""

from typing import Any

from prefect.artifacts import create_table_artifact

from corpusmill.storage.artifacts import Ref
from corpusmill.storage.examples.schema import SIDES
from corpusmill.storage.layout import Layout
from corpusmill.storage.manifest import read_manifest
from corpusmill.storage.markup import as_text
from corpusmill.tasks.labelled.config import ExamplesConfig
from corpusmill.tasks.retries import stage
from corpusmill.tasks.stages import examples


@stage("examples", retries=3, delay=10)
def make_examples(layout: Layout, config: ExamplesConfig, corpora: list[Ref]) -> Ref:
    """Reads labelled examples, or reuses those made of the same bytes before."""
    ref = examples.make_examples(layout, config, corpora)
    counts = read_manifest(ref.path)["counts"]
    create_table_artifact(
        key="examples",
        table=_table(counts),
        description=f"Labelled examples `{ref.digest}`: in = kept + dropped by reason.",
    )
    return ref


def _table(counts: dict[str, Any]) -> list[dict[str, Any]]:
    reasons = sorted({reason for side in SIDES for reason in counts[side]["dropped"]})
    rows = [_row(name, {side: counts[side][name] for side in SIDES}) for name in ("in", "kept")]
    rows += [
        _row(f"dropped: {reason}", {side: counts[side]["dropped"].get(reason, 0) for side in SIDES})
        for reason in reasons
    ]
    return rows + [
        _row(f"label {as_text(name)}", sides) for name, sides in counts["labels"].items()
    ]


def _row(name: str, sides: dict[str, int]) -> dict[str, Any]:
    return {"examples": name, **sides}
