"""Fill-in-the-middle, and objectives drawn by weight."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from corpusmill.model.data.batches import Batch
from corpusmill.model.network.config import DecoderConfig
from corpusmill.model.objectives.config import FillInTheMiddle, NextToken
from corpusmill.model.objectives.infilling import Infilled
from corpusmill.model.objectives.vocabulary import Vocabulary, read_vocabulary
from corpusmill.model.tokenizer.config import TokenizerConfig
from corpusmill.model.tokenizer.training import train_tokenizer
from corpusmill.model.training.config import TrainConfig
from corpusmill.model.training.feed import open_feed
from corpusmill.model.training.samples import Reading
from corpusmill.storage.errors import ConfigError
from corpusmill.storage.shards.reading import ArrayStream
from tests.corpora import speeches
from tests.shards import write_shards

CLOSING, BEFORE, BETWEEN, AFTER = range(4)
NOTHING = np.zeros(2000, bool)
VOCABULARY = Vocabulary(
    tokens=tuple(map(str, range(2000))),
    opening=None,
    closing=CLOSING,
    pad=None,
    mask=None,
    ordinary=np.arange(4, 2000),
    continues=NOTHING,
    ends_sentence=NOTHING,
    infilling=(BEFORE, BETWEEN, AFTER),
)


def _stream(lengths: list[int]) -> ArrayStream:
    numbers = iter(range(4, 2000))
    texts = [[*(next(numbers) for _ in range(length)), CLOSING] for length in lengths]
    return ArrayStream(np.array([token for text in texts for token in text], np.uint16))


def _unfilled(row: list[int]) -> list[int]:
    """The window as it was, put together again from its parts."""
    first, last, middle = row.index(BEFORE), row.index(AFTER), row.index(BETWEEN)
    ends = [place for place, token in enumerate(row) if token == CLOSING and place > middle]
    end = ends[0] if ends else len(row)
    return [
        *row[:first],
        *row[first + 1 : last],
        *row[middle + 1 : end],
        *row[last + 1 : middle],
        *row[end:],
    ]


@given(
    lengths=st.lists(st.integers(0, 40), min_size=1, max_size=20).filter(lambda n: sum(n) > 2),
    length=st.integers(4, 40),
)
def test_prefix_middle_and_suffix_make_up_the_window_again(lengths: list[int], length: int) -> None:
    stream = _stream(lengths)
    rows = Infilled(stream, length, VOCABULARY, 0, [(0, len(stream))])
    numbers = np.arange(sum(rows.sizes))
    batch = rows.read(numbers, numbers)
    assert batch.num_targets.tolist() == rows.num_targets(numbers).tolist()
    text = [int(stream.read(0, 1)[0])]
    for row, learned in zip(batch.tokens.tolist(), batch.num_targets.tolist(), strict=True):
        window = _unfilled(row[: learned + 1])
        assert window[0] == text[-1]
        text += window[1:]
    assert text == stream.read(0, len(stream)).tolist()


def test_a_text_that_comes_again_is_cut_anew() -> None:
    stream = _stream([60] * 10)
    rows = Infilled(stream, 32, VOCABULARY, 0, [(0, len(stream))])
    numbers = np.arange(sum(rows.sizes))
    first, again, second = (rows.read(numbers, numbers + n) for n in (0, 0, 1000))
    assert np.array_equal(first.tokens, again.tokens)
    assert (first.tokens != second.tokens).any(1).mean() > 0.9


@pytest.fixture(scope="module")
def reading(tmp_path_factory: pytest.TempPathFactory) -> Reading:
    root = tmp_path_factory.mktemp("infilling")
    (root / "tokenizer").mkdir()
    config = TokenizerConfig(vocab_size=300, infilling=True)
    train_tokenizer(speeches(1), config, root / "tokenizer")
    ids = np.random.default_rng(0).integers(10, 300, 5000)
    write_shards(root, "train", 300, [("all", ids)])
    return Reading(root, DecoderConfig(), root / "tokenizer")


def test_objectives_are_drawn_by_their_weights(reading: Reading) -> None:
    objectives = NextToken(weight=3), FillInTheMiddle(weight=1)
    config = TrainConfig(sequence_length=32, objectives=objectives, max_steps=64)
    feed, filled = open_feed(reading, config, {}), 0
    assert reading.tokenizer
    mark = read_vocabulary(reading.tokenizer).infilling[0]
    for step in range(64):
        mine = feed.step(step)
        batch = feed.samples.read(mine.numbers.ravel(), mine.draws.ravel())
        assert isinstance(batch, Batch)
        assert mine.num_targets[0] == batch.num_targets.sum() == (batch.targets >= 0).sum()
        filled += int((batch.tokens == mark).any(1).sum())
    assert filled == 64 * config.global_batch_size // 4


def test_a_tokenizer_without_the_marks_is_refused(tmp_path: Path) -> None:
    train_tokenizer(speeches(1), TokenizerConfig(vocab_size=300), tmp_path)
    stream = _stream([60])
    with pytest.raises(ConfigError, match=r"set tokenizer\.infilling to true"):
        Infilled(stream, 32, read_vocabulary(tmp_path), 0, [(0, len(stream))])


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"objectives": (NextToken(), NextToken())}, "expected each of them once"),
        (
            {"objectives": (NextToken(), FillInTheMiddle()), "mixing": [{"weights": {"a": 1}}]},
            "give one of the two",
        ),
        (
            {
                "objectives": (FillInTheMiddle(),),
                "packing": {"name": "windows", "document_mask": True},
            },
            "are read in windows",
        ),
        (
            {
                "objectives": (FillInTheMiddle(),),
                "sequence_length_warmup": {"initial": 64, "steps": 9},
            },
            "cuts samples of next_token",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(fields: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        TrainConfig.model_validate(fields)


def test_the_marks_are_for_decoders_alone() -> None:
    with pytest.raises(ValidationError, match="infilling is for the family causal_lm"):
        TokenizerConfig(family="encoder_decoder", infilling=True)
