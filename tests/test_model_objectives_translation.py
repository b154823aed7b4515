"""Translation: each pair whole, in buckets of about one length, beside other objectives."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.model.data.batches import PairBatch
from corpusmill.model.data.buckets import Bucketed
from corpusmill.model.data.order import Order
from corpusmill.model.network.config import IGNORED, EncoderDecoderConfig
from corpusmill.model.objectives.config import SpanCorruption, Translation
from corpusmill.model.objectives.joined import Joined
from corpusmill.model.objectives.spans import CorruptedRows
from corpusmill.model.objectives.translation import TranslatedPairs
from corpusmill.model.objectives.vocabulary import Vocabulary
from corpusmill.model.tokenizer.config import TokenizerConfig
from corpusmill.model.tokenizer.training import train_tokenizer
from corpusmill.model.training.config import TrainConfig
from corpusmill.model.training.samples import Reading, open_samples
from corpusmill.storage.errors import ConfigError
from corpusmill.storage.shards.reading import ArrayStream, read_pairs
from tests.shards import write_shards

PAD, CLOSING = 0, 1
SIZE = 4000
VOCABULARY = Vocabulary(
    tokens=tuple(map(str, range(SIZE))),
    opening=None,
    closing=CLOSING,
    pad=PAD,
    mask=None,
    ordinary=np.arange(62, SIZE),
    continues=np.zeros(SIZE, bool),
    ends_sentence=np.zeros(SIZE, bool),
    sentinels=tuple(range(2, 62)),
)
LENGTHS = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=1, max_size=30)


def _texts(lengths: list[tuple[int, int]]) -> list[tuple[list[int], list[int]]]:
    numbers = iter(range(62, SIZE))
    return [
        (
            [*(next(numbers) for _ in range(a)), CLOSING],
            [*(next(numbers) for _ in range(b)), CLOSING],
        )
        for a, b in lengths
    ]


def _open(lengths: list[tuple[int, int]], longest: int = 32) -> TranslatedPairs:
    texts = [text for pair in _texts(lengths) for text in pair]
    stream = ArrayStream(np.array([token for text in texts for token in text], np.uint16))
    edges = np.cumsum([0, *map(len, texts)])
    where = np.stack([edges[:-1:2], edges[1::2], edges[2::2]])
    return TranslatedPairs(stream, where, longest, VOCABULARY, [(0, len(stream))])


def _unpadded(batch: PairBatch) -> list[tuple[list[int], list[int]]]:
    pairs = []
    for source, length, ids, targets in zip(
        batch.source_BS, batch.lengths_B, batch.ids_BT, batch.targets_BT, strict=True
    ):
        assert (source[length:] == PAD).all()
        target = targets[targets != IGNORED].tolist()
        # The decoder reads what it has written before, and first the padding token.
        assert ids[: len(target)].tolist() == [PAD, *target[:-1]]
        pairs.append((source[:length].tolist(), target))
    return pairs


@given(lengths=LENGTHS, longest=st.integers(1, 24))
def test_a_pair_is_whole_or_counted_as_dropped(
    lengths: list[tuple[int, int]], longest: int
) -> None:
    texts = _texts(lengths)
    fitting = [pair for pair in texts if max(map(len, pair)) <= longest]
    if not fitting:
        with pytest.raises(ConfigError, match=f"expected pairs of up to {longest} tokens a side"):
            _open(lengths, longest)
        return
    samples = _open(lengths, longest)
    numbers = np.arange(sum(samples.sizes))
    assert _unpadded(samples.read(numbers, numbers)) == fitting
    assert samples.tokens(numbers).tolist() == [len(a) + len(b) for a, b in fitting]
    assert samples.num_targets(numbers).tolist() == [len(b) for _, b in fitting]
    assert samples.longest == max(len(side) for pair in fitting for side in pair)
    everything = sum(len(a) + len(b) for a, b in texts)
    assert samples.dropped == everything - samples.tokens(numbers).sum()


@given(sides=st.lists(st.integers(1, 2), max_size=12), batch=st.integers(1, 7))
def test_documents_of_one_id_are_found_as_pairs(
    sides: list[int], batch: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("shards")
    names = [f"document {number}" for number, count in enumerate(sides) for _ in range(count)]
    documents = [(name, np.arange(place % batch + 1)) for place, name in enumerate(names)]
    write_shards(folder, "train", SIZE, documents)
    edges = np.cumsum([0, *(len(ids) for _, ids in documents)])
    first = [row for row in range(1, len(names)) if names[row - 1] == names[row]]
    expected = [[edges[row - 1], edges[row], edges[row + 1]] for row in first]
    assert read_pairs(folder, "train").T.tolist() == expected


def _reading(root: Path, names: list[str]) -> Reading:
    (root / "tokenizer").mkdir()
    train_tokenizer(
        ["a b c"], TokenizerConfig(family="encoder_decoder", vocab_size=360), root / "tokenizer"
    )
    documents = [(name, np.array([5, 6, 7, CLOSING])) for name in names]
    write_shards(root, "train", 360, documents)
    return Reading(root, EncoderDecoderConfig(), root / "tokenizer")


def test_a_text_without_pairs_is_refused(tmp_path: Path) -> None:
    config = TrainConfig(sequence_length=8, objectives=(Translation(),))
    with pytest.raises(ConfigError, match=r"holds no pairs; .*give a source `pair`"):
        open_samples(_reading(tmp_path, ["a", "b"]), config, "train")


def test_pairs_are_taken_from_the_sections_that_are_asked_for(tmp_path: Path) -> None:
    config = TrainConfig(sequence_length=8, objectives=(Translation(),))
    reading = _reading(tmp_path, ["a", "a", "b", "b", "c", "c"])
    samples = open_samples(reading, config, "train", [(16, 8), (0, 8)])
    assert samples.sizes == [1, 1]


def _many(count: int = 3000) -> TranslatedPairs:
    generator = np.random.default_rng(0)
    return _open([(int(a), int(a)) for a in generator.integers(0, 20, count // 20)], 64)


@pytest.mark.parametrize("size", [1, 4, 32, 1000])
def test_buckets_read_everything_once_an_epoch(size: int) -> None:
    samples = _many()
    total = sum(samples.sizes)
    order = Bucketed(Order(total, seed=1), samples, size, seed=1)
    block = max(1, total // size) * size
    numbers = order.windows(0, block)
    if block <= total:
        assert len(set(numbers.tolist())) == block
    assert set(numbers.tolist()) <= set(range(total))
    long = order.windows(0, 5 * block)
    assert [long[a : a + 17].tolist() for a in range(0, 90, 30)] == [
        order.windows(a, 17).tolist() for a in range(0, 90, 30)
    ]
    assert np.bincount(long, minlength=total).min() >= 2


def test_little_is_padded_in_buckets_and_their_order_is_random() -> None:
    samples, size = _many(), 8
    total = sum(samples.sizes)
    plain = Order(total, seed=1)
    bucketed = Bucketed(plain, samples, size, seed=1)

    def padded(numbers: np.ndarray) -> float:
        lengths = samples.tokens(numbers[: total // size * size]).reshape(-1, size)
        return float(1 - lengths.sum() / (lengths.max(1).sum() * size))

    assert padded(bucketed.windows(0, total)) < 0.1
    assert padded(plain.windows(0, total)) > 0.3
    lengths = samples.tokens(bucketed.windows(0, total // size * size)).reshape(-1, size).mean(1)
    assert abs(np.corrcoef(lengths, np.arange(len(lengths)))[0, 1]) < 0.5


def test_pairs_and_texts_with_gaps_make_one_batch() -> None:
    pairs = _open([(9, 5), (3, 14)])
    stream = ArrayStream(np.arange(62, 262))
    gaps = CorruptedRows(stream, 24, SpanCorruption(), VOCABULARY, 0, [(0, 200)])
    joined = Joined([pairs, gaps])
    numbers, draws = np.array([3, 1, 2, 0]), np.array([10, 11, 12, 13])
    batch = joined.read(numbers, draws)
    assert isinstance(batch, PairBatch)
    for row, (number, draw) in enumerate(zip(numbers.tolist(), draws, strict=True)):
        part, own = (pairs, number) if number < 2 else (gaps, number - 2)
        alone = part.read(np.array([own]), np.array([draw]))
        for name in ("source_BS", "ids_BT", "targets_BT"):
            expected = getattr(alone, name)[0]
            found = getattr(batch, name)[row]
            assert found[: len(expected)].tolist() == expected.tolist()
        assert (batch.targets_BT[row, alone.targets_BT.shape[1] :] == IGNORED).all()
        assert batch.lengths_B[row] == alone.lengths_B[0]
        assert (batch.targets_BT[row] != IGNORED).sum() == joined.num_targets(numbers)[row]
