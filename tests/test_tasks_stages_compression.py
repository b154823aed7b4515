"""What general compressors make of held-out text, alone and after training text."""

import random

import pyppmd
import pytest

from corpusmill.tasks.stages import compression
from corpusmill.tasks.stages.compression import PPMD_ORDER, compress_baseline


def made_text(seed: int, words: int) -> str:
    generator = random.Random(seed)
    known = ["".join(generator.choices("abcdefgh", k=5)) for _ in range(300)]
    return " ".join(generator.choices(known, k=words))


def test_what_is_added_is_the_difference_of_two_files() -> None:
    text = made_text(0, 3000)
    train, held_out = text[:12_000], text[12_000:]
    found = compress_baseline([train], [held_out])
    sizes = []
    for each in (train, train + held_out):
        encoder = pyppmd.Ppmd7Encoder(PPMD_ORDER, 16 << 20)
        sizes.append(len(encoder.encode(each.encode()) + encoder.flush()))
    assert found.ppmd == pytest.approx(8 * (sizes[1] - sizes[0]) / len(held_out), abs=0.02)
    # Words that were seen cost less than those that were not, and PPMd is the better mark.
    assert found.ppmd is not None and found.ppmd < found.primed < found.alone


def test_without_the_library_xz_alone_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression, "ppmd_version", lambda: None)
    found = compress_baseline(["ab " * 9], ["ba " * 9])
    assert found.ppmd is None and found.alone > 0
