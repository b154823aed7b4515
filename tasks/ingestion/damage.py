"""The flaws of compressed data."""

import re

from corpusmill.tasks.ingestion.batches import Flaw

# What zstandard says of a window beyond the limit, or beyond this machine's memory.
_NO_ROOM = re.compile("too much memory|Allocation error")


def broken(given: int, lost: int, error: Exception, compression: str) -> Flaw:
    """Data that are cut off or damaged, or whose window is too large.

    Args:
        given: bytes that were decompressed before.
        lost: bytes of compressed data that gave nothing.
        error: what the decompressor said; an EOFError where the end is missing.
    """
    place = f"after byte {given} of the decompressed data"
    if isinstance(error, EOFError):
        finding = f"the compressed data are cut off, expected a whole .{compression} file"
        return Flaw(place, "truncated", finding, "fetch the file again", "", None)
    if _NO_ROOM.search(str(error)):
        finding = f"the window takes more memory than there is ({error}), expected 2 GiB at most"
        remedy = "compress the file with a smaller one (zstd --long=27)"
        return Flaw(place, "large_window", finding, remedy, "", lost)
    finding = f"the compressed data are damaged ({error}), expected a whole .{compression} file"
    return Flaw(place, "damaged", finding, "fetch the file again", "", lost)


def bomb(given: int, read: int, ratio: int) -> Flaw:
    """A decompression bomb: data that expand more than text ever does."""
    return Flaw(
        f"after byte {given} of the decompressed data",
        "bomb",
        f"{read} bytes became {given}, expected no more than {ratio} times as many",
        "take the file out of corpus.sources, or give it decompressed if it is sound",
        "",
    )
