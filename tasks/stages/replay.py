"""Replay: new shards mixed with a share of what the line was trained on before.

What is trained on in a night is forgotten again after it: it is drawn anew from shards that stay.
"""

import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from corpusmill.model.data.order import mix
from corpusmill.storage.artifacts import Ref, Spec, obtain
from corpusmill.storage.layout import Layout
from corpusmill.storage.manifest import read_manifest
from corpusmill.storage.shards.reading import TokenStream, read_pairs
from corpusmill.storage.shards.schema import DOCUMENTS, documents_path, tokens_path
from corpusmill.storage.shards.writing import ShardWriter

FORMAT_VERSION = 1
# A long document is replayed in pieces of so many tokens, so that little text comes from many.
PIECE_TOKENS = 2048


@dataclass(frozen=True)
class _Piece:
    """Rows of a table of documents, or a range of tokens of one of them.

    Attributes:
        rows: first and last; the two texts of a pair are replayed together.
        start, stop: tokens of the shards.
    """

    rows: tuple[int, int]
    start: int
    stop: int

    @property
    def tokens(self) -> int:
        return self.stop - self.start


# A piece, and which of the old shards it is of.
_Numbered = tuple[int, _Piece]


def mix_with_old(
    layout: Layout,
    new: Ref,
    old: Sequence[Ref],
    *,
    vocab_size: int,
    replay: float,
    seed: int,
    without: Collection[str],
) -> Ref:
    """Shards with the new text, and so much old text that it makes up the share `replay` of all.

    Half of the old text is drawn from the shards that the line began with, half from all later
    ones; a share that one half cannot give the other gives. The validation side is that of `new`.

    Args:
        old: shards that the line was trained on, in that order.
        replay: 0 ≤ share < 1 of tokens.
        without: ids of documents that are not drawn.
    """
    # Of one tokenizer, as all shards of a line.
    tokenizer = read_manifest(new.path)["inputs"]["tokenizer"]
    inputs = {"new": new.digest, "tokenizer": tokenizer} | {
        f"old-{n:06d}": each.digest for n, each in enumerate(old)
    }
    config = {"replay": replay, "seed": seed, "without": sorted(without)}

    def write(directory: Path) -> dict[str, Any]:
        counts = read_manifest(new.path)["counts"]
        wanted = round(counts["train"]["tokens"] * replay / (1 - replay))
        # Rows of one id that follow each other are a pair: beside pairs no text is cut.
        paired = any(read_pairs(each.path, "train").size for each in (new, *old))
        most = None if paired else PIECE_TOKENS
        pieces = [(n, piece) for n, ref in enumerate(old) for piece in _pieces(ref, without, most)]
        drawn = _draw(pieces, wanted, seed)
        with ShardWriter(directory, "train", vocab_size) as writer:
            old_ones = [(ref, [p for its, p in drawn if its == n]) for n, ref in enumerate(old)]
            train = _write(writer, [(new, _whole(new)), *old_ones])
        for path in (tokens_path, documents_path):
            shutil.copyfile(path(new.path, "validation"), path(directory, "validation"))
        return {
            **counts,
            "train": train,
            "replayed_tokens": train["tokens"] - counts["train"]["tokens"],
        }

    ref, _ = obtain(layout, Spec("replay", FORMAT_VERSION, inputs, config), write)
    return ref


def _draw(pieces: Sequence[_Numbered], wanted: int, seed: int) -> list[_Numbered]:
    """Pieces of so many tokens together: half of the first shards, half of all others."""
    first = [each for each in pieces if not each[0]]
    later = pieces[len(first) :]
    of_first, of_later = (sum(piece.tokens for _, piece in some) for some in (first, later))
    from_later = min(of_later, max(wanted // 2, wanted - of_first))
    return [*_up_to(wanted - from_later, first, seed), *_up_to(from_later, later, seed + 1)]


def _up_to(wanted: int, pieces: Sequence[_Numbered], seed: int) -> list[_Numbered]:
    """Some pieces of so many tokens together, drawn at random, in their order."""
    # SplitMix64 and not numpy's generators, which may differ from release to release.
    ranks = mix(np.arange(len(pieces), dtype=np.uint64) + (np.uint64(seed) << np.uint64(32)))
    chosen: list[int] = []
    size = 0
    for number in np.argsort(ranks, kind="stable").tolist():
        if size >= wanted:
            break
        chosen.append(number)
        size += pieces[number][1].tokens
    return [pieces[number] for number in sorted(chosen)]


def _table(shards: Ref) -> pa.Table:
    """The documents of the training side."""
    path = documents_path(shards.path, "train")
    return pa.ipc.open_file(pa.memory_map(str(path))).read_all().combine_chunks()


def _ends(table: pa.Table) -> list[int]:
    ends: list[int] = table["end"].to_pylist()
    return ends


def _pieces(shards: Ref, without: Collection[str], most: int | None) -> list[_Piece]:
    """Texts in pieces of so many tokens at most, and pairs whole."""
    table = _table(shards)
    ids, ends = table["id"].to_pylist(), _ends(table)
    pieces: list[_Piece] = []
    row = start = 0
    while row < len(ids):
        last = row + 1
        while last < len(ids) and ids[last] == ids[row]:
            last += 1
        if ids[row] not in without:
            stop = ends[last - 1]
            length = most or max(1, stop - start)
            for begin in range(start, stop, length):
                pieces.append(_Piece((row, last), begin, min(begin + length, stop)))
        row, start = last, ends[last - 1]
    return pieces


def _whole(shards: Ref) -> list[_Piece]:
    """All documents as they are, those of each source at once."""
    table = _table(shards)
    sources, ends = table["source"].to_pylist(), _ends(table)
    edges = [row for row in range(1, len(sources)) if sources[row] != sources[row - 1]]
    bounds = [0, *edges, len(sources)] if sources else [0]
    return [
        _Piece((first, last), ends[first - 1] if first else 0, ends[last - 1])
        for first, last in pairwise(bounds)
    ]


def _write(writer: ShardWriter, drawn: Sequence[tuple[Ref, Sequence[_Piece]]]) -> dict[str, Any]:
    """Writes pieces, those of a source next to each other, and counts them."""
    by_source: dict[str, list[tuple[TokenStream, pa.Table, float, _Piece]]] = {}
    for ref, pieces in drawn:
        stream, table, ratio = TokenStream(ref.path, "train"), _table(ref), _bytes_per_token(ref)
        for piece in pieces:
            source = table["source"][piece.rows[0]].as_py()
            by_source.setdefault(source, []).append((stream, table, ratio, piece))
    sources: dict[str, dict[str, int]] = {}
    for source, its in by_source.items():
        entry = sources[source] = {**_zero(), "first_token": writer.tokens}
        for stream, table, ratio, piece in its:
            _append(writer, stream, table, piece)
            entry["documents"] += piece.rows[1] - piece.rows[0]
            entry["tokens"] += piece.tokens
            entry["bytes"] += round(piece.tokens * ratio)
    total = {key: sum(entry[key] for entry in sources.values()) for key in _zero()}
    return {**total, "sources": sources, "languages": {}}


def _append(writer: ShardWriter, stream: TokenStream, table: pa.Table, piece: _Piece) -> None:
    first, last = piece.rows
    rows = table.slice(first, last - first)
    ends = np.minimum(np.array(_ends(rows)), piece.stop) - piece.start + writer.tokens
    writer.append_ids(stream.read(piece.start, piece.stop))
    place = DOCUMENTS.get_field_index("end")
    writer.append_documents(rows.set_column(place, DOCUMENTS.field("end"), pa.array(ends)))


def _bytes_per_token(shards: Ref) -> float:
    train: Mapping[str, int] = read_manifest(shards.path)["counts"]["train"]
    return train["bytes"] / max(1, train["tokens"])


def _zero() -> dict[str, int]:
    return {"documents": 0, "tokens": 0, "bytes": 0}
