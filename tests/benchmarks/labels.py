"""Measures fine-tuning beside transformers' Trainer with run_glue.py's arguments, in one run.

`python -m tests.benchmarks.labels DATA [START]` writes its part of docs/benchmarks.md: DATA has
sst2 as train.tsv, dev.tsv and test.tsv; START is a pretrained encoder in the Hugging Face format,
without which one of bert-tiny's shape begins with random weights. Both begin with the same weights,
head included, read the same examples with the same tokenizer and step by the same AdamW.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch

from corpusmill.flows.recipes.encoders import bert_tiny
from corpusmill.model.hf.folder import export_model
from corpusmill.model.network.build import build_network
from corpusmill.model.tasks.config import MethodConfig
from corpusmill.model.tasks.folder import export_labeller
from corpusmill.model.tasks.metrics import deciding
from corpusmill.model.tasks.starting import start_labeller
from corpusmill.model.tokenizer.folder import load_tokenizer
from corpusmill.model.tokenizer.training import train_tokenizer
from corpusmill.storage.artifacts import Ref
from corpusmill.storage.config import write_json_value
from corpusmill.storage.examples.predictions import Predictions, read_predictions
from corpusmill.storage.examples.reading import read_examples
from corpusmill.storage.layout import Layout
from corpusmill.tasks.labelled.config import ExamplesConfig
from corpusmill.tasks.stages.examples import make_examples
from corpusmill.tasks.stages.origin import bring_model
from corpusmill.tasks.stages.predictions import compare_systems
from tests.benchmarks.labels_ours import train_ours
from tests.benchmarks.labels_run import LabelRun
from tests.benchmarks.page import PAGE, write_part

RESULTS = Path(__file__).resolve().parents[2] / "var" / "benchmarks"
SEEDS = (0, 1, 2)
EPOCHS, BATCH, LENGTH, RATE = 3, 32, 128, 3e-4
# The first steps tell of the start, the others of speed; all of them are taken by those whose
# accuracies are compared: padding that is masked changes none.
FIRST, SOME = 6, 36
TRAINING_EXAMPLES = 2000
OURS, MARKED = "ours, bf16", "Trainer, run_glue's defaults (fp32, padded to 128)"
PADDED_LESS = "Trainer, fp32, padded to the longest of a batch"
SYSTEMS: Mapping[str, dict[str, Any]] = {
    OURS: {"precision": "bf16"},
    "ours, fp32": {"precision": "fp32"},
    MARKED: {"precision": "fp32", "padded": True},
    PADDED_LESS: {"precision": "fp32"},
    "Trainer, bf16, padded to the longest of a batch": {"precision": "bf16"},
}
_ONE_CORE = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
SCORED = (OURS, PADDED_LESS)
Row = tuple[str, str, str, str]


@dataclass(frozen=True)
class Figures:
    """Attributes:
    runs: of each system, a round each.
    accuracy: fields of a `Difference`.
    """

    runs: Mapping[str, Sequence[Mapping[str, float]]]
    accuracy: Mapping[str, float]

    def speeds(self, name: str) -> list[float]:
        """Examples a second of a system, a round each."""
        return [run["examples_per_second"] for run in self.runs[name]]


@dataclass(frozen=True)
class Bench:
    """Attributes:
    base: a run of which seed, folder and what is in `SYSTEMS` are to be set.
    """

    start: Ref
    examples: Ref
    base: LabelRun

    def run(self, name: str, folder: Path, **changes: Any) -> dict[str, Any]:
        """One training of a system."""
        folder.mkdir(parents=True)
        fields = self.base.model_dump() | {"folder": folder} | SYSTEMS[name] | changes
        run = LabelRun.model_validate(fields)
        if name.startswith("ours"):
            return train_ours(run, self.start, self.examples)
        file = folder / "run.json"
        write_json_value(file, run)
        done = subprocess.run(
            [sys.executable, "-m", "tests.benchmarks.labels_trainer", str(file)],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            env={**os.environ, **_ONE_CORE, "BEGUN": str(time.time()), "HF_HUB_OFFLINE": "1"},
        )
        figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return figures


def prepare(data: Path, start: Path | None, folder: Path) -> Bench:
    """Reads the examples, and makes the start that is given, or a random one, one for both."""
    layout = Layout(folder / "home")
    files = {side: str((data / f"{name}.tsv").absolute()) for side, name in _FILES.items()}
    config = ExamplesConfig.model_validate(
        {**files, "text": "0", "label": "1", "limit": TRAINING_EXAMPLES}
    )
    examples = make_examples(layout, config, [])
    texts = read_examples(examples.path, "train").texts
    begun = bring_model(layout, str(start or _random(texts, folder)), tokenizer=True)
    network, _ = start_labeller(begun.path, torch.float32, MethodConfig(), examples.path, 0)
    export_labeller(network, begun.path, LENGTH, folder / "labelled")
    steps = EPOCHS * -(-len(texts) // BATCH)
    base = LabelRun(
        folder=folder,
        start=begun.path,
        labelled_start=folder / "labelled",
        examples=examples.path,
        steps=steps,
        warmup=round(0.1 * steps),
        batch=BATCH,
        length=LENGTH,
        rate=RATE,
        precision="fp32",
    )
    return Bench(begun, examples, base)


_FILES = {"train": "train", "validation": "dev", "test": "test"}


def _random(texts: list[str], folder: Path) -> Path:
    recipe = bert_tiny()
    (folder / "tokenizer").mkdir()
    train_tokenizer(texts, recipe.tokenizer, folder / "tokenizer")
    network = build_network(recipe.model, load_tokenizer(folder / "tokenizer").get_vocab_size())
    network.init_weights(seed=0)
    export_model(network, recipe.model, folder / "tokenizer", LENGTH, folder / "start")
    return folder / "start"


def measure(bench: Bench, folder: Path, seeds: Sequence[int]) -> Figures:
    """Every system in turn, a round a seed."""
    runs: dict[str, list[Any]] = {name: [] for name in SYSTEMS}
    said: dict[str, list[Predictions]] = {name: [] for name in SCORED}
    for number, seed in enumerate(seeds):
        for name in _turned(list(SYSTEMS), number):
            where = folder / f"{seed} {name}"
            brief: dict[str, Any] = {"seed": seed, "warmup": 1, "scored": False}
            first = bench.run(name, where / "first", steps=FIRST, **brief)
            if name in SCORED:
                steps, more = bench.base.steps, bench.run(name, where / "all", seed=seed)
                said[name].append(read_predictions(where / "all" / "test" / "predictions.jsonl"))
            else:
                steps, more = SOME, bench.run(name, where / "some", steps=SOME, **brief)
            speed = (steps - FIRST) * BATCH / (more["cpu_s"] - first["cpu_s"])
            found = {"examples_per_second": speed, "first_step_s": first["first_step_s"]}
            runs[name].append(found)
            print(seed, name, found, file=sys.stderr, flush=True)
    ours, theirs = (said[name] for name in SCORED)
    return Figures(runs, asdict(compare_systems(ours, theirs, deciding("classification", 2))))


def _turned(names: list[str], number: int) -> list[str]:
    return names[number % len(names) :] + names[: number % len(names)]


def rows(figures: Figures) -> list[Row]:
    """The lines of the table."""
    ours, accuracy = figures.speeds(OURS), figures.accuracy
    lines = []
    for name in SYSTEMS:
        if name != OURS:
            theirs = figures.speeds(name)
            ratios = [mine / other for mine, other in zip(ours, theirs, strict=True)]
            ratio = f"{median(ratios):.2f} x ({min(ratios):.2f} to {max(ratios):.2f})"
            mark = "1.5 x" if name == MARKED else ""
            own = f"{median(ours):,.0f} examples/s"
            lines.append((own, f"{name}: {median(theirs):,.0f} examples/s", ratio, mark))
    points = {name: f"{100 * value:.1f}" for name, value in accuracy.items()}
    compared = f"{points['gain']} points ({points['low']} to {points['high']})"
    first = {name: median(run["first_step_s"] for run in figures.runs[name]) for name in SCORED}
    return [
        *lines,
        (
            f"accuracy {points['ours']} %",
            f"{PADDED_LESS}: {points['theirs']} %",
            compared,
            "within the interval",
        ),
        (
            f"first step after {first[OURS]:.1f} s",
            f"{PADDED_LESS}: {first[PADDED_LESS]:.1f} s",
            "",
            "3 s",
        ),
    ]


def page(figures: Figures) -> list[str]:
    """The lines of this part."""
    return [
        "# Benchmarks of fine-tuning",
        "",
        f"Made by `make bench-labels` on a machine of {os.cpu_count()} cores "
        f"({platform.machine()}): bert-tiny's",
        f"shape on {TRAINING_EXAMPLES:,} examples of SST-2, {EPOCHS} epochs of batches of {BATCH}, "
        f"AdamW at {RATE:g},",
        "dropout 0.1, the same weights and head to begin with, beside transformers' Trainer as",
        "`run_glue.py` sets it up, in turn in one run, on one core each; a second is one of that",
        "core, after the start. Ratios are those to trust: the median of the rounds, a seed each,",
        "and their spread in brackets. Accuracy is the mean over the seeds on the test, with the",
        "interval of 95 % over examples of how far ours is above.",
        "",
        f"| {OURS} | peer | ours to peer | mark |",
        "|---|---|---|---|",
        *(f"| {' | '.join(row)} |" for row in rows(figures)),
    ]


def main(data: str, *start: str) -> None:
    """Measures, and writes the page."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        bench = prepare(Path(data), Path(start[0]).absolute() if start else None, folder)
        figures = measure(bench, folder / "runs", SEEDS)
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "labels.json").write_text(json.dumps(asdict(figures)), encoding="utf-8")
    write_part(page(figures))
    print(PAGE)


if __name__ == "__main__":
    main(*sys.argv[1:])
