"""The baseline that a model has to beat: the held-out text under a general compressor."""

import lzma
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

# The dictionary of `xz -9`: the compressor cannot refer to text further back.
PRIMER_BYTES = 64 << 20
_PRESET = 9 | lzma.PRESET_EXTREME


@dataclass(frozen=True)
class CompressionBaseline:
    """Bits per byte of held-out text under `xz -9e`.

    Attributes:
        alone: with nothing before it.
        primed: after the training text, counting only what the held-out text adds.
    """

    alone: float
    primed: float


def compress_baseline(train: Iterable[str], validation: Iterable[str]) -> CompressionBaseline:
    """Measures `xz -9e` on the held-out text, alone and after the last 64 MiB of training text."""
    held_out = "".join(validation).encode()
    primer = _tail(train)
    with ThreadPoolExecutor(2) as threads:  # lzma releases the GIL
        before = threads.submit(_compressed, primer)
        both = threads.submit(_compressed, primer + held_out)
        alone = _compressed(held_out)
        added = both.result() - before.result()
    return CompressionBaseline(8 * alone / len(held_out), 8 * added / len(held_out))


def _tail(texts: Iterable[str]) -> bytes:
    tail = bytearray()
    for text in texts:
        tail += text.encode()
        del tail[: max(0, len(tail) - PRIMER_BYTES)]
    return bytes(tail)


def _compressed(data: bytes) -> int:
    return len(lzma.compress(data, preset=_PRESET))
