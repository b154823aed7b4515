"""What the champion is compared with, and how: on speeches that no model was trained on."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from corpusmill.flows.inheritance import champions_config
from corpusmill.model.config import EvaluationConfig
from corpusmill.storage import aliases
from corpusmill.storage.artifacts import Ref, Spec, obtain
from corpusmill.storage.corpus.documents import SCHEMA, document_id
from corpusmill.storage.corpus.writing import SplitWriter
from corpusmill.storage.layout import Layout
from corpusmill.storage.registry import fetch
from corpusmill.storage.versions import RegisteredModel
from corpusmill.tasks.stages.evaluation import make_evaluation
from corpusmill.tasks.stages.judgement import Age, Comparison, compare
from corpusmill.tasks.stages.training import plan_run, train
from tests.fortnight.nights import NAME, Fortnight
from tests.fortnight.texts import Speeches

AT_ONCE = f"{NAME}-at-once"
_NEW = "new.json"


class _Unwatched:
    """Looks at no journal."""

    def follow(self) -> None:
        """Takes in nothing."""


def train_control(fortnight: Fortnight, line: Sequence[RegisteredModel]) -> Ref:
    """A model with the steps of each night, at its rates, but on the base's text alone.

    Without Prefect, by the stages. Each night has a seed of its own, or all would read the same
    samples of the base's shards.

    Args:
        line: the base, and what was continued from it night by night.
    """
    layout, settings = fortnight.stack.layout, fortnight.stack.settings
    base, _ = fortnight.training_of(line[0])
    assert base.shards
    shards, tokenizer = (
        Ref(kind, path.name, path)
        for kind, path in (("shards", base.shards), ("tokenizer", base.tokenizer))
    )
    model = fetch(settings, layout, line[0])
    for number, version in enumerate(line[1:], 1):
        job, result = fortnight.training_of(version)
        config = job.train.model_copy(
            update={
                "seed": job.train.seed + number,
                "max_steps": result.step,
                "max_seconds": None,
            }
        )
        run = plan_run(layout, shards, tokenizer, None, config, initialize_from=model)
        model, _ = train(layout, run, _Unwatched())
    return model


def train_at_once(
    fortnight: Fortnight, line: Sequence[RegisteredModel], text: Path
) -> RegisteredModel:
    """A model that is pretrained on all text together, with the tokens of the whole line."""
    base, _ = fortnight.training_of(line[0])
    assert base.shards
    tokens = tokens_of(fortnight, line)
    steps = round(tokens / (base.train.global_batch_size * base.train.sequence_length))
    return fortnight.pretrain(AT_ONCE, text, {"train.max_steps": steps})


def tokens_of(fortnight: Fortnight, line: Sequence[RegisteredModel]) -> int:
    """Tokens that a line of versions was trained on."""
    return sum(fortnight.training_of(each)[1].tokens_seen for each in line)


def evaluation_config(fortnight: Fortnight, base: RegisteredModel) -> EvaluationConfig:
    """That of the base, without samples."""
    recorded = aliases.config_of(fortnight.stack.settings, base)
    evaluation = champions_config(recorded, NAME).evaluation
    return evaluation.model_copy(update={"samples": 0})


def compare_all(
    layout: Layout,
    speeches: Speeches,
    models: Mapping[str, Ref],
    config: EvaluationConfig,
) -> list[dict[str, Any]]:
    """Every model against every one before it, on the speeches set apart, new and old by itself."""
    apart = _keep_apart(layout, speeches)
    new = frozenset(json.loads((apart.path / _NEW).read_text(encoding="utf-8")))
    evaluations = {
        name: make_evaluation(layout, model, apart, config, name)[0].path
        for name, model in models.items()
    }
    names = list(models)
    rows: list[dict[str, Any]] = []
    for place, name in enumerate(names):
        for other in names[:place]:
            # The tolerance decides a verdict, which nobody asks for here.
            judged = compare(evaluations[name], evaluations[other], new, 0.0)
            ages: tuple[Age, Age] = ("new", "old")
            for age in ages:
                found = judged.whole(age)
                assert found is not None, "both kinds are set apart"
                rows.append(_row(name, other, found))
    return rows


def _row(model: str, against: str, found: Comparison) -> dict[str, Any]:
    """Fields of the figures: bits per byte, and shares of those of the other model."""
    return {
        "model": model,
        "against": against,
        "text": found.age,
        "bits_per_byte": found.candidate,
        "other_bits_per_byte": found.champion,
        "gain": found.gain,
        "low": found.low,
        "high": found.high,
        "documents": found.documents,
        "blocks": found.blocks,
    }


def _keep_apart(layout: Layout, speeches: Speeches) -> Ref:
    """The speeches set apart, as the held-out side of a corpus."""
    sides = {"later": speeches.later_apart, "earlier": speeches.earlier_apart}
    rows = [
        {
            "id": document_id(text.encode()),
            "source": source,
            "file": path.name,
            "language": "en",
            "text": text,
        }
        for source, paths in sides.items()
        for path in paths
        for text in [path.read_text(encoding="utf-8")]
    ]

    def write(directory: Path) -> dict[str, Any]:
        with SplitWriter(directory, "validation") as writer:
            for row in rows:
                writer.add(pa.RecordBatch.from_pylist([row], schema=SCHEMA))
        new = [row["id"] for row in rows if row["source"] == "later"]
        (directory / _NEW).write_text(json.dumps(new), encoding="utf-8")
        return {"validation": writer.counts, "pairs": []}

    spec = Spec("evaluation_set", 1, {}, {"set apart": [row["id"] for row in rows]})
    return obtain(layout, spec, write)[0]
