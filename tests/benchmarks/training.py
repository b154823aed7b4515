"""Measures our training beside nanoGPT, litgpt and the Hugging Face loop, in turn, in one run.

`python -m tests.benchmarks.training NANOGPT TEXT PEER_PYTHON [NAME…]` writes its part of
docs/benchmarks.md: NANOGPT is a checkout, TEXT the tiny Shakespeare that its setting is for,
PEER_PYTHON the interpreter of the peers' environment; of names other than those given, the figures
of the last run stand. `sotu` needs a store in which gpt-tiny has been trained (CORPUSMILL_HOME).
"""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from tests.benchmarks.page import PAGE, write_part
from tests.benchmarks.training_data import make_data
from tests.benchmarks.training_sotu import make_sotu_data, train_ours

RESULTS = Path(__file__).resolve().parents[2] / "var" / "benchmarks"
ROUNDS = 3
MISSED = 0.02
SEEDS = range(1, 6)
Row = tuple[str, str, str, str, str]
Runs = Mapping[str, Sequence[Mapping[str, Any]]]


@dataclass(frozen=True)
class Bench:
    """Attributes:
    start: where the held-out tenth of the text starts; nothing was tuned on the first.
    """

    nanogpt: Path
    text: Path
    peer: str
    start: float = 0.0

    @property
    def data(self) -> Path:
        return RESULTS / "training-data"

    def ours(self, setting: str, shape: str, steps: int, *more: str) -> dict[str, Any]:
        """One training of ours."""
        module = [sys.executable, "-m", "tests.benchmarks.training_ours"]
        return _json([*module, setting, shape, str(self.data), str(steps), *more])

    def theirs(
        self, peer: str, shape: str, steps: int, *more: str, data: Path | None = None
    ) -> Any:
        """One training of a peer."""
        script = str(Path(__file__).with_name("training_peers.py"))
        where = ["--nanogpt", str(self.nanogpt)]
        steps_of = [peer, shape, str(data or self.data), str(steps)]
        return _json([self.peer, script, *steps_of, *where, *more])


def measure_speed(bench: Bench, shape: str, steps: int) -> dict[str, list[Any]]:
    """Every trainer in turn, some rounds of it; the first of ours fills its compiler's cache."""
    always, bf16 = ("--compile", "always"), ("--precision", "bf16-true")
    bench.ours("adamw", shape, 6, *always)
    runs: dict[str, Callable[[], Any]] = {
        "ours": lambda: bench.ours("adamw", shape, steps, *always),
        "ours, eager": lambda: bench.ours("adamw", shape, steps, "--compile", "never"),
        "nanogpt-compiled": lambda: bench.theirs("nanogpt-compiled", shape, steps),
        "litgpt bf16-true": lambda: bench.theirs("litgpt", shape, steps, *bf16),
        "hf bf16": lambda: bench.theirs("hf", shape, steps, "--precision", "bf16"),
    }
    return _rounds(runs)


def _rounds(runs: Mapping[str, Callable[[], Any]]) -> dict[str, list[Any]]:
    figures: dict[str, list[Any]] = {name: [] for name in runs}
    for number in range(ROUNDS):
        names = list(runs)
        for name in names[number % len(names) :] + names[: number % len(names)]:
            figures[name].append(runs[name]())
            print(name, figures[name][-1], file=sys.stderr)
    return figures


def measure_start(bench: Bench) -> dict[str, list[Any]]:
    """From the start of the process to the first step, and to the end of six."""
    return _rounds(
        {
            "ours": lambda: bench.ours("adamw", "c4", 6),
            "ours, compiled": lambda: bench.ours("adamw", "c4", 6, "--compile", "always"),
            "nanogpt-eager": lambda: bench.theirs("nanogpt-eager", "c4", 6),
            "nanogpt-compiled": lambda: bench.theirs("nanogpt-compiled", "c4", 6),
            "hf": lambda: bench.theirs("hf", "c4", 6),
        }
    )


def measure_loss(bench: Bench) -> dict[str, list[Any]]:
    """nanoGPT's setting to its end, and ours with a tenth of its tokens from fresh seeds."""
    theirs = bench.theirs("nanogpt-eager", "c4", 2000, "--score")
    ours = [bench.ours("recipe", "c4", 200, "--score", "--seed", str(seed)) for seed in SEEDS]
    return {"nanogpt-eager": [theirs], "ours": ours}


def measure_sotu(bench: Bench) -> dict[str, list[Any]]:
    """gpt-tiny, and nanoGPT for as long on its tokens and split; each alone, from start to exit.

    Its schedule needs the number of steps beforehand: a run that misses the time by more than
    MISSED of it is done again, with the steps that would have hit it.
    """
    data = RESULTS / "sotu-data"
    ours = train_ours(make_sotu_data(data), data)
    print(ours, file=sys.stderr)
    tried = bench.theirs("nanogpt-compiled", "sotu", 24, data=data)
    steps = round(ours["seconds"] * tried["tokens_per_second"] / (tried["tokens"] / 24))
    for _ in range(ROUNDS):
        theirs = bench.theirs("nanogpt-compiled", "sotu", steps, "--score", "--cold", data=data)
        print(theirs, file=sys.stderr)
        if abs(theirs["seconds"] / ours["seconds"] - 1) <= MISSED:
            break
        steps = round(steps * ours["seconds"] / theirs["seconds"])
    return {"nanogpt-compiled": [theirs], "ours": [ours]}


def measure(bench: Bench) -> dict[str, Callable[[], dict[str, list[Any]]]]:
    """What can be measured, by name."""
    if _on_gpu():
        return {
            "gpt-124m": lambda: measure_speed(bench, "gpt-124m", 100),
            "gpt-350m": lambda: measure_speed(bench, "gpt-350m", 100),
        }
    return {
        "start": lambda: measure_start(bench),
        "c4": lambda: measure_speed(bench, "c4", 300),
        "c6": lambda: measure_speed(bench, "c6", 40),
        "loss": lambda: measure_loss(bench),
        "sotu": lambda: measure_sotu(bench),
    }


def rows(name: str, runs: Runs) -> list[Row]:
    """A stage's lines of the table."""
    if name == "start":
        return _start_rows(runs)
    if name == "loss":
        return _loss_rows(runs)
    if name == "sotu":
        return _sotu_rows(runs)
    marks = {("c4", "nanogpt-compiled"): "1.5 x", ("c6", "litgpt bf16-true"): "1.1 x"}
    ours = [run["tokens_per_second"] for run in runs["ours"]]
    lines = []
    for peer, figures in runs.items():
        if peer != "ours":
            theirs = [run["tokens_per_second"] for run in figures]
            ratio = _ratio([mine / other for mine, other in zip(ours, theirs, strict=True)])
            what = f"{peer} {median(theirs):,.0f} tokens/s, {_memory(figures)}"
            own = f"{median(ours):,.0f} tokens/s, {_memory(runs['ours'])}"
            lines.append((f"{name}, AdamW", own, what, ratio, marks.get((name, peer), "")))
    return lines


def _start_rows(runs: Runs) -> list[Row]:
    def first(peer: str) -> str:
        return f"{median(run['first_step_s'] for run in runs[peer]):.1f} s"

    theirs = ", ".join(f"{peer} {first(peer)}" for peer in runs if not peer.startswith("ours"))
    own = f"{first('ours')}, compiled at once {first('ours, compiled')}; {_memory(runs['ours'])}"
    return [("process start to first step at c4, warm", own, theirs, "", "2 s")]


def _loss_rows(runs: Runs) -> list[Row]:
    (theirs,), ours = runs["nanogpt-eager"], runs["ours"]
    losses = [run["loss"] for run in ours]
    better = sum(loss <= theirs["loss"] for loss in losses)
    tokens = theirs["tokens"] / ours[0]["tokens"]
    faster = _ratio([theirs["seconds"] / run["seconds"] for run in ours])
    seconds = median(run["seconds"] for run in ours)
    return [
        (
            f"tokens to nanoGPT's c4 loss, first tenth held out, {better} of {len(ours)} seeds",
            f"{ours[0]['tokens']:,} tokens: {min(losses):.3f} to {max(losses):.3f}",
            f"{theirs['tokens']:,} tokens: {theirs['loss']:.3f}",
            f"{tokens:.0f} x fewer",
            "10 x, all 5",
        ),
        (
            "the whole process, to its exit",
            f"{seconds:.1f} s",
            f"nanogpt-eager {theirs['seconds']:.1f} s",
            f"{faster} faster",
            "7 x",
        ),
    ]


def _sotu_rows(runs: Runs) -> list[Row]:
    (theirs,), (ours,) = runs["nanogpt-compiled"], runs["ours"]
    bits = theirs["loss"] * ours["bits_per_nat"]
    return [
        (
            f"gpt-tiny on sotu, bits per byte of its held-out speeches ({ours['tokens']:,} tokens "
            f"in {ours['seconds']:.0f} s with compilation; windows that do not overlap)",
            f"{ours['bits_per_byte']:.3f}",
            f"nanogpt-compiled, {theirs['tokens']:,} tokens in {theirs['seconds']:.0f} s: "
            f"{bits:.3f}",
            f"{1 - ours['bits_per_byte'] / bits:.1%} below",
            "22 %",
        )
    ]


def _memory(figures: Sequence[Mapping[str, Any]]) -> str:
    return f"{max(run['peak_bytes'] for run in figures) / 1e9:.2f} GB"


def _ratio(values: Sequence[float]) -> str:
    return f"{median(values):.2f} x ({min(values):.2f} to {max(values):.2f})"


def page() -> list[str]:
    """The lines of this part, from the figures that are there."""
    lines = [
        "# Benchmarks of training",
        "",
        f"Made by `make bench-train` on {os.cpu_count()} cores ({platform.machine()}), every",
        "trainer in its own process from start to exit, in turn in one run. c4 is 4 layers, 4",
        "heads, 128 wide, context 64, batch 12 (nanoGPT's setting for CPUs); c6 is 6 layers, 6",
        "heads, 384 wide, context 256, batch 8. Ratios are those to trust: the median of the",
        "rounds, and their spread in brackets. With a GPU the same command measures 124M and",
        "350M; that has not been done yet.",
        "",
        "| what | ours | peer | ratio | mark |",
        "|---|---|---|---|---|",
    ]
    for name in ("start", "c4", "c6", "loss", "sotu", "gpt-124m", "gpt-350m"):
        path = RESULTS / f"training-{name}.json"
        if path.exists():
            found = rows(name, json.loads(path.read_text(encoding="utf-8")))
            lines += [f"| {' | '.join(row)} |" for row in found]
    return lines


def _json(command: list[str]) -> dict[str, Any]:
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def _on_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def main(nanogpt: str, text: str, peer: str, *names: str) -> None:
    """Measures what is asked for, and writes the page."""
    if not Path(nanogpt, "train.py").is_file():
        sys.exit(
            f"There is no train.py in {nanogpt or 'NANOGPT, which is not set'}; expected a "
            "checkout of github.com/karpathy/nanoGPT: make bench-train NANOGPT=../nanoGPT."
        )
    bench = Bench(Path(nanogpt).resolve(), Path(text), peer)
    make_data(bench.text, bench.data, bench.start)
    stages = measure(bench)
    for name in names or stages:
        figures = stages[name]()
        (RESULTS / f"training-{name}.json").write_text(json.dumps(figures), encoding="utf-8")
    write_part(page())
    print(PAGE)


if __name__ == "__main__":
    main(*sys.argv[1:])
