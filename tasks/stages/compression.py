"""The baselines that a model has to beat: the held-out text under general compressors.

xz looks for repetitions in what it has read. PPMd (Shkarin 2002, variant H, as in 7-Zip) predicts
each byte from up to 16 before it, so it is a language model without weights, and by far the better
mark. It is an extra, `corpusmill[ppmd]`, for its library is under the LGPL.
"""

import lzma
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

# The dictionary of `xz -9`: the compressor cannot refer to text further back.
PRIMER_BYTES = 64 << 20
_PRESET = 9 | lzma.PRESET_EXTREME
PPMD_ORDER = 16
# What its model of 512 MiB holds of most text; where it is full it would begin anew.
PPMD_PRIMER_BYTES = 16 << 20
_PPMD_MEMORY = 512 << 20


@dataclass(frozen=True)
class CompressionBaseline:
    """Bits per byte of held-out text.

    Attributes:
        alone: under `xz -9e` with nothing before it.
        primed: under `xz -9e` after the training text, counting only what the held-out text adds.
        ppmd: the same under PPMd of order 16; None where `pyppmd` is not installed.
    """

    alone: float
    primed: float
    ppmd: float | None = None


def ppmd_version() -> str | None:
    """Of the library that measures PPMd; None where it is not installed."""
    try:
        return version("pyppmd")
    except PackageNotFoundError:
        return None


def compress_baseline(train: Iterable[str], validation: Iterable[str]) -> CompressionBaseline:
    """Measures the held-out text alone, and after the last of the training text.

    That are 64 MiB for xz, and 16 MiB for PPMd.
    """
    held_out = "".join(validation).encode()
    primer = _tail(train)
    with ThreadPoolExecutor(2) as threads:  # both libraries release the GIL
        before = threads.submit(_compressed, primer)
        both = threads.submit(_compressed, primer + held_out)
        ppmd = _added_by_ppmd(primer[-PPMD_PRIMER_BYTES:], held_out) if ppmd_version() else None
        alone = _compressed(held_out)
        added = both.result() - before.result()
    size = len(held_out)
    return CompressionBaseline(
        alone=8 * alone / size,
        primed=8 * added / size,
        ppmd=None if ppmd is None else 8 * ppmd / size,
    )


def _tail(texts: Iterable[str]) -> bytes:
    tail = bytearray()
    for text in texts:
        tail += text.encode()
        del tail[: max(0, len(tail) - PRIMER_BYTES)]
    return bytes(tail)


def _compressed(data: bytes) -> int:
    return len(lzma.compress(data, preset=_PRESET))


def _added_by_ppmd(primer: bytes, held_out: bytes) -> int:
    import pyppmd

    encoder = pyppmd.Ppmd7Encoder(PPMD_ORDER, _PPMD_MEMORY)
    encoder.encode(primer)  # all of it but the few bytes that the coder still holds
    return len(encoder.encode(held_out)) + len(encoder.flush())
