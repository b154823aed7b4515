"""What the weight of old text costs a night: `python -m tests.fortnight.weight GB`.

A base of so many GB of text, then a night without new text and one with 1 MB of it. Printed are the
seconds of each task: outside training and judging they are not to grow with the old text. The
documents are sentences of the speeches in random order, so that none is like another.
"""

import json
import random
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from corpusmill.storage.settings import CHECKOUT
from tests.fortnight.nights import JUDGING, NAME, NIGHTLY, TRAINING
from tests.fortnight.stack import FlowRun, Stack, disk, started
from tests.fortnight.texts import read_speeches

_FILE_BYTES, _DOCUMENT_BYTES = 16_000_000, 5_000
_NEW_BYTES = 1_000_000
_SENTENCE = re.compile(r"(?<=[.!?])\s+")
_SMOKE = {
    # A twentieth of a large base would be judged for an hour.
    "corpus.validation_fraction": 0.002,
    "registration.name": NAME,
}
_NIGHT = {"night.max_steps": 20}


def documents(size: int, seed: int) -> Iterator[str]:
    """Documents of about 5 kB, of `size` bytes together."""
    speeches = read_speeches()
    texts = (path.read_text(encoding="utf-8") for path in (*speeches.earlier, *speeches.later))
    sentences = [each for text in texts for each in _SENTENCE.split(" ".join(text.split()))]
    draw = random.Random(seed)
    count = round(_DOCUMENT_BYTES * len(sentences) / sum(map(len, sentences)))
    while size > 0:
        document = " ".join(draw.choices(sentences, k=count))
        yield document
        size -= len(document)


def write_files(folder: Path, size: int, seed: int) -> int:
    """Writes .jsonl files of about 16 MB, of `size` bytes of text together; how many there are."""
    folder.mkdir(parents=True, exist_ok=True)
    lines, held, number = list[str](), 0, 0
    for document in documents(size, seed):
        lines.append(json.dumps({"text": document}) + "\n")
        held += len(document)
        if held >= _FILE_BYTES:
            (folder / f"{seed}-{number:04d}.jsonl").write_text("".join(lines), encoding="utf-8")
            lines, held, number = [], 0, number + 1
    if lines:
        (folder / f"{seed}-{number:04d}.jsonl").write_text("".join(lines), encoding="utf-8")
    return number + bool(lines)


def main(gigabytes: float) -> None:
    """Makes the base, plays both nights and prints their seconds."""
    folder = CHECKOUT / "var" / "fortnight" / "weight"
    shutil.rmtree(folder, ignore_errors=True)
    text = folder / "text"
    count = write_files(text, round(gigabytes * 1e9), seed=0)
    print(f"{gigabytes:g} GB of text in {count} files", flush=True)
    with started(folder / "home") as stack:
        overrides = {"corpus.sources": [{"files": str(text), "name": "sentences"}], **_SMOKE}
        _show(
            "the base",
            stack.run("pretrain/smoke", {"recipe": "gpt-smoke", "overrides": overrides}),
        )
        for label, size in (("a night without new text", 0), ("a night with 1 MB", _NEW_BYTES)):
            write_files(text, size, seed=1)
            _night(stack, label)


def _night(stack: Stack, label: str) -> None:
    before = disk(stack.settings.home).total()
    _show(label, stack.run(NIGHTLY, {"name": NAME, "overrides": _NIGHT}))
    print(f"  {(disk(stack.settings.home).total() - before) / 1e6:+.1f} MB on disk", flush=True)


def _show(label: str, run: FlowRun) -> None:
    work = sum(run.tasks.get(name, 0.0) for name in TRAINING | JUDGING)
    print(
        f"{label}: {run.name}, {run.seconds:.1f} s, of them {run.seconds - work:.1f} outside "
        f"training and judging  {run.message}"
    )
    for name, seconds in sorted(run.tasks.items(), key=lambda each: -each[1]):
        print(f"  {seconds:7.1f} s  {name}", flush=True)
    if run.state != "COMPLETED":
        raise SystemExit(1)


if __name__ == "__main__":
    main(float(sys.argv[1]))
