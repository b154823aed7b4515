"""Span corruption: nothing lost, nothing made up, redrawn each time, as long as was said."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.model.data.batches import PairBatch
from corpusmill.model.network.config import IGNORED
from corpusmill.model.objectives.config import SpanCorruption
from corpusmill.model.objectives.spans import CorruptedRows, fitting_length, spans_of
from corpusmill.model.objectives.vocabulary import Vocabulary
from corpusmill.storage.errors import ConfigError
from corpusmill.storage.shards.reading import ArrayStream

PAD, CLOSING = 0, 1
SENTINELS = tuple(range(2, 62))
TOKENS = 997
EVERYTHING = np.arange(62, 62 + TOKENS)


def _vocabulary(sentinels: tuple[int, ...] = SENTINELS) -> Vocabulary:
    size = 62 + TOKENS
    none = np.zeros(size, bool)
    return Vocabulary(
        tokens=tuple(map(str, range(size))),
        opening=None,
        closing=CLOSING,
        pad=PAD,
        mask=None,
        ordinary=EVERYTHING,
        continues=none,
        ends_sentence=none,
        sentinels=sentinels,
    )


def _rows(length: int, objective: SpanCorruption, count: int = TOKENS) -> CorruptedRows:
    stream = ArrayStream(EVERYTHING[:count])
    return CorruptedRows(stream, length, objective, _vocabulary(), 3, [(0, count)])


def _all(rows: CorruptedRows, epoch: int = 0) -> PairBatch:
    numbers = np.arange(sum(rows.sizes))
    return rows.read(numbers, numbers + epoch * len(numbers))


def _texts(batch: PairBatch) -> list[list[int]]:
    """The texts put together again from what is read and what is written."""
    texts = []
    for source, end, target in zip(
        batch.source_BS.tolist(), batch.lengths_B.tolist(), batch.targets_BT.tolist(), strict=True
    ):
        assert source[end - 1] == CLOSING and set(source[end:]) <= {PAD}
        written = [token for token in target if token != IGNORED]
        assert written[-1] == CLOSING
        spans: dict[int, list[int]] = {}
        current = list[int]()
        for token in written[:-1]:
            if token in SENTINELS:
                spans[token] = []
                current = spans[token]
            else:
                current.append(token)
        assert list(spans) == list(SENTINELS[: len(spans)])
        text: list[int] = []
        for token in source[: end - 1]:
            text += spans.pop(token) if token in SENTINELS else [token]
        assert not spans
        texts.append(text)
    return texts


@given(length=st.integers(3, 60), share=st.floats(0.05, 0.5), count=st.integers(2, TOKENS))
def test_a_target_is_the_token_at_its_place_in_the_stream(
    length: int, share: float, count: int
) -> None:
    rows = _rows(length, SpanCorruption(share=share), count)
    numbers = np.arange(sum(rows.sizes))
    targets, places = _all(rows).targets_BT, rows.targets_in_stream(numbers, numbers)
    ordinary = targets > max(SENTINELS)
    assert EVERYTHING[places[ordinary]].tolist() == targets[ordinary].tolist()
    for row, starts in zip(targets, places, strict=True):
        # A sentinel is where the token after it is, and the closing token is behind all others.
        marks = np.flatnonzero(np.isin(row, SENTINELS))
        assert starts[marks].tolist() == starts[marks + 1].tolist()
        assert starts[row == CLOSING] == starts[row != IGNORED].max()
    if len(rows.sizes) and rows.dropped == 0:
        assert places.max() == count - 1


@given(
    length=st.integers(3, 60),
    share=st.floats(0.05, 0.5),
    mean_span=st.floats(1, 6),
    count=st.integers(2, TOKENS),
)
def test_what_is_read_and_written_is_the_text_again(
    length: int, share: float, mean_span: float, count: int
) -> None:
    rows = _rows(length, SpanCorruption(share=share, mean_span=mean_span), count)
    batch = _all(rows)
    text = [token for each in _texts(batch) for token in each]
    assert text == EVERYTHING[: len(text)].tolist()
    assert len(text) + rows.dropped == count and rows.dropped < 2
    assert batch.lengths_B.max() <= length


@given(length=st.integers(3, 60), share=st.floats(0.05, 0.5), mean_span=st.floats(1, 6))
def test_what_is_written_is_counted_without_reading(
    length: int, share: float, mean_span: float
) -> None:
    rows = _rows(length, SpanCorruption(share=share, mean_span=mean_span))
    numbers = np.arange(sum(rows.sizes))
    written = (_all(rows).targets_BT != IGNORED).sum(1)
    assert written.tolist() == rows.num_targets(numbers).tolist()
    assert rows.tokens(numbers).sum() + rows.dropped == TOKENS


def test_a_text_fills_the_sequence_that_is_read() -> None:
    rows = _rows(64, SpanCorruption())
    assert (_all(rows).lengths_B[:-1] == 64).all()


def test_the_decoder_reads_what_it_has_written() -> None:
    batch = _all(_rows(64, SpanCorruption()))
    assert (batch.ids_BT[:, 0] == PAD).all()
    used = batch.targets_BT[:, :-1] != IGNORED
    assert (batch.ids_BT[:, 1:][used] == batch.targets_BT[:, :-1][used]).all()


def test_a_text_that_comes_again_is_corrupted_anew() -> None:
    rows = _rows(64, SpanCorruption())
    first, again, second = _all(rows), _all(rows), _all(rows, epoch=1)
    assert np.array_equal(first.source_BS, again.source_BS)
    assert (first.source_BS != second.source_BS).any(1).all()
    assert _texts(first) == _texts(second)


def test_as_much_is_cut_out_in_as_many_spans_as_asked() -> None:
    cut, spans = spans_of(np.array([568]), SpanCorruption())
    assert (cut.tolist(), spans.tolist()) == ([85], [28])


def test_every_place_is_cut_out_as_often_but_for_the_ends() -> None:
    rows = _rows(32, SpanCorruption())
    size = int(rows.tokens(np.array([0]))[0])
    often = np.zeros(size)
    for draw in range(2000):
        source = rows.read(np.array([0]), np.array([draw])).source_BS[0]
        often += ~np.isin(EVERYTHING[:size], source)
    assert often.sum() == 2000 * 5
    assert np.abs(often[2:-2] / 2000 - 5 / size).max() < 0.04
    assert often.min() / 2000 > 0.04


def test_more_spans_than_sentinels_are_refused() -> None:
    stream = ArrayStream(EVERYTHING)
    parts = stream, 400, SpanCorruption(), _vocabulary(SENTINELS[:5]), 0, [(0, TOKENS)]
    with pytest.raises(ConfigError, match="makes 22 spans, but the tokenizer has 5 sentinels"):
        CorruptedRows(*parts)


def test_the_longest_sequence_that_the_sentinels_suffice_for_is_found() -> None:
    objective = SpanCorruption(mean_span=2.0)
    longest = fitting_length(2048, objective, 60)
    assert sum(_rows(longest, objective).sizes) == 2
    with pytest.raises(ConfigError, match="makes 61 spans"):
        _rows(longest + 1, objective)
    assert fitting_length(512, SpanCorruption(), 100) == 512


def test_a_sequence_without_room_for_text_is_refused() -> None:
    with pytest.raises(ConfigError, match="sequence_length is 2, which leaves no text"):
        _rows(2, SpanCorruption())
