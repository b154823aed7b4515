"""From texts to flat token ids, framed by control tokens as a model reads them."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
from tokenizers import Tokenizer

from corpusmill.model.tokenizer.control import END_OF_TEXT, control_ids, framing_of
from corpusmill.model.tokenizer.engines import (
    Engine,
    Flat,
    Reference,
    choose_engine,
    encode_bounded,
    find_fault,
)
from corpusmill.model.tokenizer.folder import load_tokenizer
from corpusmill.model.tokenizer.hostile import hostile_texts
from corpusmill.model.tokenizer.lost import lost_bytes
from corpusmill.model.tokenizer.panics import first_line, tokenizer_refused
from corpusmill.storage.shards.schema import token_dtype

_BATCH = 256
_PROBE_BYTES = 1 << 18
_THREADS = ("RAYON_NUM_THREADS", "FASTOKENS_BPE_THREADS")


class Encoder:
    """Encodes documents, each with the control tokens that its family of models wants.

    `fastokens` does it where it gives the ids that `tokenizers` gives, on hostile texts at the
    start and on the first 256 kB of the documents; the ids are the same whoever does it.

    Attributes:
        engine_note: why `engine` is not the fastest one; empty where it is.
        dtype: of the ids, uint16 where they fit.
        closing: id of the token that ends each document.
    """

    def __init__(self, directory: Path, threads: int | None = None) -> None:
        """Takes the tokenizer of a folder.

        Args:
            threads: to encode with; as many as there are processors where None. The engines make
                their threads once in a process: its first encoder decides.

        Raises:
            ModelError: there is no readable tokenizer, none that closes documents, or one that
                fails on hostile text.
        """
        tokenizer = load_tokenizer(directory)
        self._before, self.closing = framing_of(tokenizer)
        self.dtype = token_dtype(tokenizer.get_vocab_size())
        self._tokenizer = tokenizer
        self._reference: Engine = Reference(tokenizer)
        self._seen_text = False
        probes = hostile_texts(sorted({END_OF_TEXT, *control_ids(tokenizer).values()}))
        with _new_threads(threads):
            self._reference.encode(probes[:2])
            self._engine, self.engine_note = choose_engine(directory, self._reference, probes)

    @property
    def engine(self) -> str:
        """Name and version of what encodes."""
        return self._engine.name

    def encode(self, texts: Sequence[str] | pa.LargeStringArray) -> Flat:
        """Ids of all documents in a row, each closed by its control token (and opened by one).

        Args:
            texts: (documents,), valid Unicode.

        Returns:
            ids: (tokens,), of `dtype`.
            ends: int64 (documents,): where each document ends in `ids`.

        Raises:
            ModelError: a text is too much for the tokenizer.
        """
        listed = texts.to_pylist() if isinstance(texts, pa.Array) else list(texts)
        if not self._seen_text and self._engine is not self._reference:
            self._fall_back(find_fault(self._engine, self._reference, _beginning(listed)))
        self._seen_text = True
        try:
            ids, ends = encode_bounded(self._engine, listed)
        except Exception as error:  # of whatever kind: the reference tells what is wrong, if it is
            if self._engine is self._reference:
                raise
            self._fall_back(f"{self.engine} failed on a text ({first_line(error)})")
            ids, ends = encode_bounded(self._engine, listed)
        return self._frame(ids, ends)

    def lost_bytes(self, texts: pa.LargeStringArray, ids: np.ndarray, ends: np.ndarray) -> int:
        """UTF-8 bytes of the texts that these ids of theirs, as of `encode`, do not give back."""
        parts = np.split(ids, ends[:-1])
        return int(lost_bytes(self._tokenizer, texts.to_pylist(), parts).sum())

    def _fall_back(self, fault: str) -> None:
        if fault:
            self._engine, self.engine_note = self._reference, fault

    def _frame(self, ids: np.ndarray, ends: np.ndarray) -> Flat:
        width = len(self._before) + 1
        framed_ends = ends + width * np.arange(1, len(ends) + 1)
        framed = np.empty(len(ids) + width * len(ends), self.dtype)
        is_text = np.ones(len(framed), bool)
        starts = framed_ends - np.diff(ends, prepend=0) - width
        for place, token in enumerate(self._before):
            framed[starts + place] = token
            is_text[starts + place] = False
        framed[framed_ends - 1] = self.closing
        is_text[framed_ends - 1] = False
        framed[is_text] = ids
        return framed, framed_ends


def encode_documents(tokenizer: Tokenizer, texts: Iterable[str]) -> Iterator[np.ndarray]:
    """Ids of each text, framed as by `Encoder`, by `tokenizers` alone; uint32 (tokens,)."""
    before, closing = framing_of(tokenizer)
    texts = iter(texts)
    while batch := list(islice(texts, _BATCH)):
        for ids in encode_texts(tokenizer, batch):
            yield np.array([*before, *ids, closing], np.uint32)


def encode_texts(tokenizer: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
    """Ids of each text, without control tokens, by `tokenizers` alone.

    Raises:
        ModelError: a text is too much for the tokenizer.
    """
    ids, ends = encode_bounded(Reference(tokenizer), list(texts))
    starts = [0, *ends[:-1].tolist()]
    return [ids[start:end].tolist() for start, end in zip(starts, ends.tolist(), strict=False)]


def decode(tokenizer: Tokenizer, ids: Sequence[int], *, skip_special_tokens: bool) -> str:
    """The text of these ids.

    Raises:
        ModelError: they are too much for the tokenizer's decoder.
    """
    with tokenizer_refused("decode its tokens"):
        return str(tokenizer.decode(ids, skip_special_tokens=skip_special_tokens))


def _beginning(texts: Sequence[str]) -> list[str]:
    some: list[str] = []
    left = _PROBE_BYTES
    for text in texts:
        if left <= 0:
            break
        some.append(text[:left])
        left -= len(some[-1].encode())
    return some


@contextmanager
def _new_threads(number: int | None) -> Iterator[None]:
    """Within, an engine that has no threads yet makes so many."""
    if number is None:
        yield
        return
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, str(number)))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
