"""The order of data: every window once an epoch, the same stream wherever a run begins."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.model.data.batches import Batch, local_samples
from corpusmill.model.data.order import Order
from corpusmill.model.data.tensors import as_tensors
from corpusmill.model.data.windows import Windows
from corpusmill.model.network.config import IGNORED
from corpusmill.model.training.config import TrainConfig
from corpusmill.model.training.feed import Feed
from corpusmill.model.training.groups import HardwareConfig
from corpusmill.storage.shards.reading import TokenStream
from tests.shards import write_shards

SEEDS = st.integers(0, 2**63 - 1)
# Whoever changes these changes what a resumed run reads.
GOLDEN_EPOCHS = [[9, 6, 0, 1, 3, 4, 8, 2, 5, 7], [4, 9, 1, 5, 6, 8, 3, 0, 2, 7]]


def _windows(directory: Path, tokens: int, sequence_length: int) -> tuple[Windows, np.ndarray]:
    ids = np.random.default_rng(tokens).integers(0, 1000, tokens)
    write_shards(directory, "train", 1000, [("only", ids)])
    return Windows(TokenStream(directory, "train"), sequence_length), ids


@given(size=st.integers(1, 3000), seed=SEEDS, epoch=st.integers(0, 1000))
def test_an_epoch_holds_every_window_once(size: int, seed: int, epoch: int) -> None:
    windows = Order(size, seed).windows(epoch * size, size)
    assert np.array_equal(np.sort(windows), np.arange(size))


@given(seed=SEEDS, epochs=st.lists(st.integers(0, 1000), min_size=2, max_size=2, unique=True))
def test_no_epoch_has_the_order_of_another(seed: int, epochs: list[int]) -> None:
    order = Order(500, seed)
    first, second = (order.windows(epoch * 500, 500) for epoch in epochs)
    assert not np.array_equal(first, second)


@given(seeds=st.lists(SEEDS, min_size=2, max_size=2, unique=True))
def test_no_seed_has_the_order_of_another(seeds: list[int]) -> None:
    first, second = (Order(500, seed).windows(0, 500) for seed in seeds)
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("seed", range(5))
def test_the_order_keeps_nothing_of_the_files_order(seed: int) -> None:
    windows = Order(10_000, seed).windows(0, 10_000)
    neighbours = np.corrcoef(windows[:-1], windows[1:])[0, 1]
    place = np.corrcoef(windows, np.arange(10_000))[0, 1]
    # Five standard deviations of a random permutation of this size.
    assert max(abs(neighbours), abs(place)) < 0.05


@given(
    size=st.integers(1, 100),
    seed=SEEDS,
    start=st.integers(0, 250),
    count=st.integers(0, 150),
)
def test_a_stream_resumed_at_any_sample_is_the_same_stream(
    size: int, seed: int, start: int, count: int
) -> None:
    order = Order(size, seed)
    assert np.array_equal(
        order.windows(0, start + count)[start:], Order(size, seed).windows(start, count)
    )


def test_the_order_of_a_seed_never_changes() -> None:
    assert Order(10, 0).windows(0, 10).tolist() == GOLDEN_EPOCHS[0]
    assert Order(10, 0).windows(10, 10).tolist() == GOLDEN_EPOCHS[1]


@pytest.mark.parametrize("tokens", [2, 3, 8, 9, 10, 16, 17, 50])
@pytest.mark.parametrize("sequence_length", [1, 7, 8])
def test_every_token_but_the_first_is_predicted_once_from_the_one_before(
    tmp_path: Path, tokens: int, sequence_length: int
) -> None:
    windows, ids = _windows(tmp_path, tokens, sequence_length)
    batch = windows.read(np.arange(len(windows)))
    predicted = batch.targets != IGNORED
    assert np.array_equal(batch.targets[predicted], ids[1:])
    assert np.array_equal(batch.ids[predicted], ids[:-1])


def test_the_last_window_is_padded_with_ignored_targets(tmp_path: Path) -> None:
    windows, ids = _windows(tmp_path, 12, 8)
    batch = windows.read(np.array([1]))
    assert batch.targets.tolist() == [[*ids[9:].tolist(), *[IGNORED] * 5]]


def test_windows_come_in_the_order_asked_for(tmp_path: Path) -> None:
    windows, _ = _windows(tmp_path, 100, 8)
    forward, backward = windows.read(np.array([3, 7])), windows.read(np.array([7, 3]))
    assert np.array_equal(forward.ids, backward.ids[::-1])
    assert np.array_equal(forward.targets, backward.targets[::-1])


@pytest.mark.parametrize("chosen", [[0], [6], [0, 6], [6, 6, 2]])
def test_targets_are_counted_without_reading(tmp_path: Path, chosen: list[int]) -> None:
    windows, _ = _windows(tmp_path, 53, 8)
    indices = np.array(chosen)
    assert windows.num_targets(indices).sum() == int(
        (windows.read(indices).targets != IGNORED).sum()
    )


@pytest.mark.parametrize("steps", [[0, 1, 2], [2047, 2048, 2047], [5000, 3, 4096]])
def test_a_step_is_a_function_of_its_number_alone(tmp_path: Path, steps: list[int]) -> None:
    windows, _ = _windows(tmp_path, 1000, 8)
    hardware = HardwareConfig(micro_batch_size=2)
    config = TrainConfig(sequence_length=8, global_batch_size=8, hardware=hardware)
    feed = Feed(windows, Order(len(windows), 0), config)
    for step in steps:
        numbers = Order(len(windows), 0).windows(8 * step, 8)
        mine = feed.step(step)
        assert mine.num_targets.tolist() == [windows.num_targets(numbers).sum()]
        assert mine.numbers.tolist() == numbers.reshape(4, 2).tolist()
        assert mine.draws.ravel().tolist() == list(range(8 * step, 8 * step + 8))


@pytest.mark.parametrize("micro_batch_size", [1, 2])
@pytest.mark.parametrize("num_processes", [1, 2, 3])
def test_the_processes_share_a_global_batch_without_gap_or_overlap(
    num_processes: int, micro_batch_size: int
) -> None:
    windows = Order(100, 0).windows(0, 12)
    shares = [
        local_samples(windows, num_processes, i, micro_batch_size) for i in range(num_processes)
    ]
    assert {piece.shape for piece in shares} == {
        (12 // num_processes // micro_batch_size, micro_batch_size)
    }
    assert sorted(np.concatenate(shares, axis=None).tolist()) == sorted(windows.tolist())


def test_padding_changes_neither_shape_nor_layout_of_what_the_network_gets() -> None:
    tokens = np.arange(10, dtype=np.uint16).reshape(2, 5)
    whole, padded = (
        as_tensors(Batch(tokens, np.array(learned)), torch.device("cpu"))
        for learned in ([4, 4], [4, 2])
    )
    for name in ("ids_BT", "targets_BT"):
        one, other = whole[name], padded[name]
        assert (one.shape, one.stride()) == (other.shape, other.stride())
    assert padded["targets_BT"].tolist() == [[1, 2, 3, 4], [6, 7, IGNORED, IGNORED]]
