"""Mixing: quotas are kept, epochs of a source are whole, and any sample is found by its number."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.model.data.batches import Batch
from corpusmill.model.data.config import MIXING_BLOCK, MixingPhase
from corpusmill.model.data.mixing import Mixture, apportion
from corpusmill.model.network.config import IGNORED
from corpusmill.model.training.config import TrainConfig
from corpusmill.model.training.feed import open_feed
from corpusmill.model.training.samples import Reading
from corpusmill.storage.config import parse
from corpusmill.storage.errors import ConfigError
from corpusmill.storage.shards.parts import assemble, write_part

SIZES = {"a": 7, "b": 500, "c": 1, "d": 90}
ANNEALED = (
    MixingPhase(until=0.7, weights={"a": 1, "b": 5, "c": 0.5, "d": 2}),
    MixingPhase(until=1.0, weights={"b": 1, "d": 9}),
)
TOTAL = 20_000
POSITIVE = st.lists(st.integers(1, 200), min_size=1, max_size=8)


def _sources(numbers: np.ndarray) -> np.ndarray:
    edges = np.cumsum(list(SIZES.values()))
    return np.searchsorted(edges, numbers, side="right")


def _mixture(seed: int = 0) -> Mixture:
    return Mixture(SIZES, ANNEALED, TOTAL, seed)


@given(weights=POSITIVE, total=st.integers(0, 10**15))
def test_whole_numbers_are_within_one_of_their_shares(weights: list[int], total: int) -> None:
    shares = [Fraction(weight, sum(weights)) for weight in weights]
    quotas = apportion(total, shares)
    assert sum(quotas) == total
    assert all(abs(q - total * s) < 1 for q, s in zip(quotas, shares, strict=True))


@given(weights=POSITIVE, block=st.integers(0, 10**9))
def test_no_source_loses_samples_from_one_block_to_the_next(weights: list[int], block: int) -> None:
    shares = [Fraction(weight, sum(weights)) for weight in weights]
    before, after = (apportion(n * MIXING_BLOCK, shares) for n in (block, block + 1))
    assert all(b <= a for b, a in zip(before, after, strict=True))


@settings(max_examples=25)
@given(weights=st.lists(st.floats(0.01, 1), min_size=1, max_size=6), blocks=st.integers(1, 4))
def test_each_source_is_drawn_as_often_as_its_weight_says(
    weights: list[float], blocks: int
) -> None:
    names = [f"source {number}" for number in range(len(weights))]
    phase = MixingPhase(weights=dict(zip(names, weights, strict=True)))
    mixture = Mixture(dict.fromkeys(names, 1000), [phase], 10**6, 0)
    drawn = np.bincount(mixture.windows(0, blocks * MIXING_BLOCK) // 1000, minlength=len(names))
    exact = np.array(weights) / sum(weights) * blocks * MIXING_BLOCK
    assert (abs(drawn - exact) < 1 + 1e-6).all()


def test_a_schedule_changes_the_weights_when_it_says() -> None:
    sources = _sources(_mixture().windows(0, TOTAL))
    before, after = sources[:14_000], sources[14_000:]
    exact = np.array([1, 5, 0.5, 2]) / 8.5 * 14_000
    assert (abs(np.bincount(before, minlength=4) - exact) < 3).all()
    assert (abs(np.bincount(after, minlength=4) - np.array([0, 600, 0, 5400])) < 3).all()


def test_every_small_stretch_holds_the_mix() -> None:
    sources = _sources(_mixture().windows(0, 14_000))
    for start in range(0, 13_900, 85):
        drawn = np.bincount(sources[start : start + 85], minlength=4)
        assert (abs(drawn - np.array([10, 50, 5, 20])) <= 3).all()


@pytest.mark.parametrize("source", range(4))
def test_every_sample_of_a_source_comes_once_in_each_of_its_epochs(source: int) -> None:
    numbers = _mixture().windows(0, TOTAL)
    mine = numbers[_sources(numbers) == source]
    size = list(SIZES.values())[source]
    epochs = mine[: len(mine) // size * size].reshape(-1, size)
    assert len(epochs) > 1
    assert (np.sort(epochs, axis=1) == np.sort(epochs[0])).all()
    assert len(set(epochs[0].tolist())) == size
    assert len(set(mine[len(epochs) * size :].tolist())) == len(mine) % size


@pytest.fixture(scope="module")
def whole() -> np.ndarray:
    """The stream of a run, and somewhat beyond its end."""
    return _mixture().windows(0, TOTAL + 600)


@given(start=st.integers(0, TOTAL + 100), count=st.integers(0, 500))
def test_a_mixed_stream_resumed_at_any_sample_is_the_same_stream(
    whole: np.ndarray, start: int, count: int
) -> None:
    assert np.array_equal(_mixture().windows(start, count), whole[start : start + count])


def test_another_source_leaves_the_order_of_the_others() -> None:
    def order_of_b(sizes: dict[str, int], number: int) -> list[int]:
        weights = dict.fromkeys(sizes, 1.0)
        mixture = Mixture(sizes, [MixingPhase(weights=weights)], 10**6, 0)
        drawn = mixture.windows(0, 2000)
        first = sum(list(sizes.values())[:number])
        mine: list[int] = (drawn[(drawn >= first) & (drawn < first + 50)] - first)[:500].tolist()
        return mine

    assert order_of_b({"a": 9, "b": 50}, 1) == order_of_b({"b": 50, "c": 3, "d": 4}, 0)


def _shards(directory: Path) -> dict[str, dict[str, dict[str, int]]]:
    """Three sources, whose tokens are 1000, 2000 or 3000 and some."""
    sources = ["first"] * 3 + ["second"] * 2 + ["short"]
    lengths = [30, 50, 20, 40, 15, 1]
    ids = np.concatenate([np.arange(n) + 1000 * (1 + row // 3) for row, n in enumerate(lengths)])
    part = write_part(
        directory,
        0,
        ids.astype(np.uint16),
        ends=np.cumsum(lengths),
        document_ids=[str(row) for row in range(6)],
        sources=sources,
        languages=["en"] * 6,
        sizes=np.array(lengths),
    )
    counts: dict[str, dict[str, dict[str, int]]] = assemble(directory, "train", 1 << 16, [part])
    return counts


@pytest.mark.parametrize("packing", ["windows", "best_fit"])
def test_a_feed_draws_whole_samples_of_each_source(tmp_path: Path, packing: str) -> None:
    phase = {"weights": {"second": 1, "first": 3}}
    config = parse(
        TrainConfig,
        {"sequence_length": 16, "packing": {"name": packing}, "mixing": [phase], "seed": 5},
    )
    counts = _shards(tmp_path)
    feed = open_feed(Reading(tmp_path), config, counts)
    seconds = 0
    for step in range(50):
        mine = feed.step(step)
        batch = feed.samples.read(mine.numbers.ravel(), mine.draws.ravel())
        assert isinstance(batch, Batch)
        learned = batch.targets != IGNORED
        assert mine.tokens == learned.sum()
        source = batch.targets // 1000
        assert all(len(set(row[kept])) == 1 for row, kept in zip(source, learned, strict=True))
        seconds += int((source[:, 0] == 2).sum())
    assert seconds == 50 * config.global_batch_size // 4


@pytest.mark.parametrize(
    ("weights", "sentence"),
    [
        ({"first": 1, "frist": 1}, r"names the source 'frist'; expected one of 'first', 'second'"),
        ({"first": 1, "short": 1}, r"draws from the source 'short', which holds no text"),
    ],
)
def test_a_source_that_cannot_be_drawn_from_is_named(
    tmp_path: Path, weights: dict[str, float], sentence: str
) -> None:
    config = TrainConfig(sequence_length=16, mixing=(MixingPhase(weights=weights),))
    with pytest.raises(ConfigError, match=sentence):
        open_feed(Reading(tmp_path), config, _shards(tmp_path))


@pytest.mark.parametrize(
    ("phases", "sentence"),
    [
        ([{"until": 0.5, "weights": {"a": 1}}], r"end at \[0.5\]; expected rising fractions"),
        ([{"weights": {"a": -1}}], r"the weight -1.0 of 'a' is not a share"),
        ([{"weights": {"a": 0}}], r"the weight 0.0 of 'a' is not a share"),
        ([{"weights": {"a": 1, "b": 1e-5}}], r"'b' is not a share .* at least 1/4096"),
        ([{"weights": {"a": float("inf")}}], r"weights.a is inf: .* finite number"),
    ],
)
def test_a_schedule_that_cannot_work_is_refused(
    phases: list[dict[str, object]], sentence: str
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        parse(TrainConfig, {"mixing": phases})
