"""Samples made of whole documents: best-fit-decreasing bin packing, nothing dropped.

A document is n tokens, its closing token among them; it takes n positions of a row. Its inputs
begin with the token before it, which closes another document, so that all n tokens are predicted
from nothing but the document: what evaluation scores and generation starts from.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from corpusmill.model.data.batches import Batch, positions_from
from corpusmill.storage.shards.reading import TokenStream

# Documents packed at a time: more hardly pack tighter, fewer lie nearer to each other on disk.
_DOCUMENTS = 32_768


@dataclass(frozen=True)
class Plan:
    """Which pieces of the stream make up which row.

    Attributes:
        starts: int64 (pieces,): offset of each piece's first token.
        lengths: int64 (pieces,): its tokens.
        first: int64 (rows + 1,): row r is made of the pieces first[r] ≤ piece < first[r + 1].
    """

    starts: np.ndarray
    lengths: np.ndarray
    first: np.ndarray

    def __len__(self) -> int:
        return len(self.first) - 1


def plan_rows(starts: np.ndarray, ends: np.ndarray, sequence_length: int) -> Plan:
    """Packs documents into rows of up to `sequence_length` tokens.

    Documents longer than a row are cut into full rows and a rest; rests and shorter documents are
    packed whole. Where that leaves more room than a full row takes, full rows are cut further to
    fill it: as long as there are any, all padding together is shorter than one row. A pure
    function of its arguments, of which the tokens are none.

    Args:
        starts, ends: offsets of each document; int64 (documents,).
    """
    full, rest = np.divmod(ends - starts, sequence_length)
    # A document that just fills a row stays whole, as shorter ones do.
    just = ends - starts == sequence_length
    full[just], rest[just] = 0, sequence_length
    within = np.arange(full.sum()) - np.repeat(np.cumsum(full) - full, full)
    cut = np.repeat(starts, full) + within * sequence_length
    packed = np.flatnonzero(rest)
    row, rows = np.empty(len(packed), np.int64), 0
    for begin in range(0, len(packed), _DOCUMENTS):
        part = slice(begin, begin + _DOCUMENTS)
        bins, count = _best_fit_decreasing(rest[packed[part]], sequence_length)
        row[part] = rows + bins
        rows += count
    room = np.full(rows, sequence_length)
    np.subtract.at(room, row, rest[packed])
    taken, slices = _fill(room, cut, sequence_length)
    kept = np.delete(cut, taken)
    documents = (ends[packed] - rest[packed], rest[packed], row)
    whole_rows = (kept, np.full(len(kept), sequence_length), rows + np.arange(len(kept)))
    parts = zip(documents, slices, whole_rows, strict=True)
    begins, lengths, row = (np.concatenate(part) for part in parts)
    order = np.argsort(row, kind="stable")
    return Plan(begins[order], lengths[order], np.concatenate([[0], np.cumsum(np.bincount(row))]))


def _fill(
    room: np.ndarray, cut: np.ndarray, sequence_length: int
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Cuts full rows into slices for the room that other rows have, the widest first.

    Args:
        room: tokens that still fit into each row; int64 (rows,).
        cut: offset of each full row.

    Returns:
        Which full rows are used up, evenly chosen so that no document is all slices; and of each
        slice the offset, the tokens and the row it goes into.
    """
    count = min(int(room.sum()) // sequence_length, len(cut))
    taken = np.arange(count) * len(cut) // max(1, count)
    widest = np.argsort(-room, kind="stable")
    enough = np.searchsorted(np.cumsum(room[widest]), count * sequence_length) + 1
    filled = np.sort(widest[:enough])
    edges = np.cumsum(room[filled])
    bounds = np.union1d(np.arange(count + 1) * sequence_length, edges)
    bounds = bounds[bounds <= count * sequence_length]
    source, within = np.divmod(bounds[:-1], sequence_length)
    rows = filled[np.searchsorted(edges, bounds[:-1], side="right")]
    return taken, (cut[taken[source]] + within, np.diff(bounds), rows)


def _best_fit_decreasing(lengths: np.ndarray, capacity: int) -> tuple[np.ndarray, int]:
    """The bin of each piece, int64 (pieces,), and the number of bins.

    The longest piece first, each goes into the bin with the least room that it fits in (Johnson
    et al. 1974). Pieces of one length are placed together: a bin that was the best for the first
    stays the best until no more fit.
    """
    order = np.argsort(-lengths, kind="stable")
    sizes, counts = np.unique(lengths, return_counts=True)
    with_room: list[list[int]] = [[] for _ in range(capacity)]
    rooms = 0  # bit r is set where some bin has room for r tokens
    bins = placed = 0
    chosen = np.empty(len(lengths), np.int64)
    for size, count in zip(sizes[::-1].tolist(), counts[::-1].tolist(), strict=True):
        left = count
        while left:
            if fitting := rooms >> size:
                room = size + (fitting & -fitting).bit_length() - 1
                each = room // size
                taken = with_room[room][: -(-left // each)]
                del with_room[room][: len(taken)]
                if not with_room[room]:
                    rooms ^= 1 << room
            else:
                room, each = capacity, capacity // size
                taken = list(range(bins, bins + -(-left // each)))
                bins += len(taken)
            here = min(left, len(taken) * each)
            chosen[placed : placed + here] = np.repeat(taken, each)[:here]
            placed, left = placed + here, left - here
            in_last = here - (len(taken) - 1) * each
            for some, after in (
                (taken[:-1], room - each * size),
                (taken[-1:], room - in_last * size),
            ):
                if some and after:
                    with_room[after] += some
                    rooms |= 1 << after
    result = np.empty_like(chosen)
    result[order] = chosen
    return result, bins


class Packed:
    """Rows of whole documents, each of which attention does not leave."""

    dropped = 0

    def __init__(
        self,
        stream: TokenStream,
        sequence_length: int,
        document_ends: np.ndarray,
        sections: Sequence[tuple[int, int]] | None = None,
    ) -> None:
        """Packs the documents of each section, (first token, tokens), by themselves."""
        starts = np.concatenate([[0], document_ends[:-1]])
        plans = []
        for begin, tokens in sections or [(0, len(stream))]:
            inside = (starts >= begin) & (document_ends <= begin + tokens)
            plans.append(plan_rows(starts[inside], document_ends[inside], sequence_length))
        self.sizes = [len(plan) for plan in plans]
        self._starts = np.concatenate([plan.starts for plan in plans])
        self._lengths = np.concatenate([plan.lengths for plan in plans])
        before = np.cumsum([0, *(len(plan.starts) for plan in plans)])
        shifted = [plan.first[:-1] + base for plan, base in zip(plans, before[:-1], strict=True)]
        self._first = np.concatenate([*shifted, before[-1:]])
        self._num_targets = np.add.reduceat(self._lengths, self._first[:-1])
        self.longest = int(self._lengths.max(initial=0))
        self._stream = stream
        self._length = sequence_length

    def __len__(self) -> int:
        return sum(self.sizes)

    def tokens(self, numbers: np.ndarray) -> np.ndarray:
        """How many tokens each of these samples predicts; int64, (...)."""
        return self.num_targets(numbers)

    def num_targets(self, numbers: np.ndarray) -> np.ndarray:
        """How many tokens each of these rows predicts, without reading them; int64, (...)."""
        num_targets: np.ndarray = self._num_targets[numbers]
        return num_targets

    def read(self, numbers: np.ndarray, draws: np.ndarray | None = None) -> Batch:  # noqa: ARG002
        """The rows with these numbers, in this order."""
        tokens = np.zeros((len(numbers), self._length + 1), self._stream.dtype)
        inputs = np.zeros_like(tokens[:, 1:])
        rows, columns = [], []
        for row, number in enumerate(numbers.tolist()):
            pieces = slice(self._first[number], self._first[number + 1])
            column = 0
            places = zip(self._starts[pieces].tolist(), self._lengths[pieces].tolist(), strict=True)
            for start, length in places:
                end = column + length
                self._copy(start, inputs[row, column:end], tokens[row, column + 1 : end + 1])
                column = end
                rows.append(row)
                columns.append(column)
        # The last one of a full row begins nothing.
        begins = np.array(columns) < self._length
        positions = positions_from(
            np.array(rows)[begins], np.array(columns)[begins], (len(numbers), self._length)
        )
        return Batch(tokens, self._num_targets[numbers], positions, inputs)

    def _copy(self, start: int, inputs: np.ndarray, following: np.ndarray) -> None:
        """The tokens of a piece as what follows, and each one's predecessor as input."""
        tokens = self._stream.read(max(0, start - 1), start + len(following))
        following[:] = tokens[-len(following) :]
        if start:
            inputs[:] = tokens[:-1]
        else:
            # Before the first document stands what closes the last.
            inputs[0] = self._stream.read(len(self._stream) - 1, len(self._stream))[0]
            inputs[1:] = tokens[:-1]
