"""The sample that a vocabulary is learned from: pieces of documents, fairly drawn."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from typing import NamedTuple

Stratum = tuple[str, str]
_PIECE = 1 << 15  # characters


class Piece(NamedTuple):
    """A document, or a part of up to 32,768 characters of one.

    Attributes:
        rank: in [0, 1), from a hash; the pieces under any bar are a fair sample too.
        stratum: source and language.
    """

    rank: float
    stratum: Stratum
    text: str


def draw_sample(
    documents: Iterable[tuple[Stratum, str, str]],
    totals: Mapping[Stratum, int],
    budget: int,
    exponent: float,
) -> list[Piece]:
    """Chooses pieces by a hash of document id and place: the same in whatever order they come.

    Args:
        documents: (stratum, document id, text).
        totals: UTF-8 bytes of each stratum.
        budget: UTF-8 bytes of all pieces together, as an expectation.
        exponent: as TokenizerConfig.sample_exponent.

    Returns:
        The pieces by rank.
    """
    quotas = _quotas(totals, budget, exponent)
    shares = {stratum: quota / totals[stratum] for stratum, quota in quotas.items()}
    length = min(_PIECE, max(256, budget >> 8))
    chosen = (
        Piece(rank / shares[stratum], stratum, part)
        for stratum, name, text in documents
        for rank, part in _ranked(name, text, length)
        if rank < shares[stratum]
    )
    return sorted(chosen)


def bytes_by_stratum(sample: Iterable[Piece]) -> dict[Stratum, int]:
    """UTF-8 bytes of a sample."""
    sizes: Counter[Stratum] = Counter()
    for piece in sample:
        sizes[piece.stratum] += len(piece.text.encode())
    return dict(sorted(sizes.items()))


def _quotas(totals: Mapping[Stratum, int], budget: float, exponent: float) -> dict[Stratum, float]:
    """Bytes to take from each stratum; what one cannot give goes to the others."""
    open_ = {stratum: total for stratum, total in totals.items() if total}
    quotas: dict[Stratum, float] = {}
    while open_:
        weights = {stratum: total**exponent for stratum, total in open_.items()}
        unit = budget / sum(weights.values())
        spent = [stratum for stratum, total in open_.items() if total <= unit * weights[stratum]]
        if not spent:
            return quotas | {stratum: unit * weight for stratum, weight in weights.items()}
        for stratum in spent:
            quotas[stratum] = open_.pop(stratum)
            budget -= quotas[stratum]
    return quotas


def _ranked(name: str, text: str, length: int) -> Iterator[tuple[float, str]]:
    for number, start in enumerate(range(0, len(text), length)):
        digest = blake2b(f"{name}:{number}".encode(), digest_size=7).digest()
        yield int.from_bytes(digest) / 2**56, text[start : start + length]
