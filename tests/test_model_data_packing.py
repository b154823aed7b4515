"""Packing: every token predicted once, from its own document alone; and the network honours it."""

import gzip
import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.model.data.packing import Packed, Plan, plan_rows
from corpusmill.model.data.tensors import as_tensors
from corpusmill.model.data.windows import Windows
from corpusmill.model.network.attention import attention, document_mask, explicit_attention
from corpusmill.model.network.config import IGNORED
from corpusmill.model.network.decoder import Decoder
from corpusmill.model.training.config import TrainConfig
from corpusmill.model.training.groups import BestFitPacking, Packing, WindowPacking
from corpusmill.model.training.samples import Reading, open_samples
from corpusmill.storage.shards.reading import TokenStream, read_document_ends
from corpusmill.storage.splits import SPLITS
from tests.networks import random_decoder
from tests.shards import write_shards

END = 0
LENGTHS = st.lists(st.integers(1, 60), min_size=1, max_size=40)
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
REAL = (
    "lm_en_ebooks/chapters.jsonl.gz",
    "sotu/sotu.jsonl.gz",
    "chinese_poetry/poems.jsonl.gz",
    "lm_en_eips_md/eips.jsonl.gz",
    "docs_zh_vue/docs.jsonl.gz",
)


def _stream(directory: Path, lengths: list[int]) -> tuple[TokenStream, np.ndarray]:
    """Documents of these lengths, each closed by END, no token twice but that one."""
    tokens = np.arange(1, sum(lengths) + 1)
    ends = np.cumsum(lengths)
    tokens[ends - 1] = END
    documents = np.split(tokens, ends[:-1])
    write_shards(directory, "train", 1 << 16, zip(map(str, lengths), documents, strict=True))
    return TokenStream(directory, "train"), read_document_ends(directory, "train")


def _plan(lengths: np.ndarray, sequence_length: int) -> Plan:
    ends = np.cumsum(lengths)
    return plan_rows(ends - lengths, ends, sequence_length)


def _used(plan: Plan) -> np.ndarray:
    used: np.ndarray = np.add.reduceat(plan.lengths, plan.first[:-1])
    return used


def _best_fit_decreasing(lengths: list[int], capacity: int) -> list[int]:
    """The same by its definition: tokens in each bin."""
    bins: list[int] = []
    for length in sorted(lengths, reverse=True):
        fitting = [i for i, used in enumerate(bins) if used + length <= capacity]
        if fitting:
            bins[max(fitting, key=lambda i: bins[i])] += length
        else:
            bins.append(length)
    return sorted(bins)


@given(lengths=LENGTHS, sequence_length=st.integers(60, 90))
def test_the_rows_are_those_of_best_fit_decreasing(
    lengths: list[int], sequence_length: int
) -> None:
    plan = _plan(np.array(lengths), sequence_length)
    expected = _best_fit_decreasing(lengths, sequence_length)
    assert sorted(_used(plan).tolist()) == expected


@given(lengths=st.lists(st.integers(0, 200), max_size=40), sequence_length=st.integers(1, 70))
def test_every_token_is_in_one_row_and_only_documents_longer_than_a_row_are_cut(
    lengths: list[int], sequence_length: int
) -> None:
    plan = _plan(np.array(lengths, np.int64), sequence_length)
    covered = [
        np.arange(start, start + length)
        for start, length in zip(plan.starts, plan.lengths, strict=True)
    ]
    everything = np.sort(np.concatenate([np.empty(0, np.int64), *covered]))
    assert np.array_equal(everything, np.arange(sum(lengths)))
    assert len(plan) == 0 or _used(plan).max() <= sequence_length
    whole = {(start, length) for start, length in zip(plan.starts, plan.lengths, strict=True)}
    for end, length in zip(np.cumsum(lengths), lengths, strict=True):
        assert not 0 < length <= sequence_length or (end - length, length) in whole


@given(lengths=st.lists(st.integers(1, 400), max_size=40), sequence_length=st.integers(1, 70))
def test_padding_is_less_than_a_row_while_a_long_document_can_be_cut(
    lengths: list[int], sequence_length: int
) -> None:
    plan = _plan(np.array(lengths, np.int64), sequence_length)
    document = np.searchsorted(np.cumsum(lengths), plan.starts, side="right")
    long = np.array([0, *lengths])[1 + document] > sequence_length
    if (long & (plan.lengths == sequence_length)).any():
        assert len(plan) == -(-sum(lengths) // sequence_length)


def test_room_is_filled_with_slices_of_several_documents() -> None:
    plan = _plan(np.array([61, 50, 64] * 8 + [640] * 4), 64)
    sliced = plan.starts[(plan.starts >= 175 * 8) & (plan.lengths < 64)]
    assert len(set(((sliced - 175 * 8) // 640).tolist())) > 1


def test_documents_are_packed_with_their_neighbours() -> None:
    plan = _plan(np.random.default_rng(0).integers(1, 200, 100_000), 512)
    for row in range(0, len(plan), 997):
        starts = plan.starts[plan.first[row] : plan.first[row + 1]]
        assert starts.max() - starts.min() < 32_768 * 200


@pytest.mark.skipif(not DATA.exists(), reason="the real texts of ../shared/data are not there")
@pytest.mark.parametrize("name", REAL)
def test_real_text_takes_the_least_rows_there_can_be(name: str) -> None:
    with gzip.open(DATA / name, "rt", encoding="utf-8") as lines:
        # About as many tokens as GPT-2's vocabulary makes of English.
        lengths = [len(json.loads(line)["text"].encode()) // 4 + 1 for line in lines]
    plan = _plan(np.array(lengths), 2048)
    assert plan.lengths.sum() == sum(lengths)
    assert len(plan) == -(-sum(lengths) // 2048)


@given(lengths=LENGTHS, sequence_length=st.integers(1, 70))
def test_each_token_is_predicted_once_from_the_tokens_of_its_document(
    lengths: list[int], sequence_length: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        stream, ends = _stream(Path(folder), lengths)
        packed = Packed(stream, sequence_length, ends)
        batch = packed.read(np.arange(len(packed)))
        tokens = stream.read(0, len(stream)).astype(np.int64)
    learned = batch.targets != IGNORED
    assert batch.positions is not None
    assert packed.num_targets(np.arange(len(packed))).sum() == learned.sum()
    assert packed.longest == batch.positions[learned].max() + 1
    assert np.array_equal(np.sort(batch.targets[learned]), np.sort(tokens))
    before = dict(zip(tokens[1:].tolist(), tokens[:-1].tolist(), strict=True)) | {1: END}
    for row, column in np.argwhere(learned & (batch.targets != END)):
        assert batch.ids[row, column] == before[int(batch.targets[row, column])]
    inside = learned & (batch.positions > 0)
    rows, columns = np.nonzero(inside)
    assert np.array_equal(batch.ids[rows, columns], batch.targets[rows, columns - 1])
    assert (batch.ids[inside] != END).all()


def test_padding_is_a_document_of_its_own(tmp_path: Path) -> None:
    stream, ends = _stream(tmp_path, [3, 2])
    batch = Packed(stream, 8, ends).read(np.array([0]))
    assert batch.ids.tolist() == [[0, 1, 2, 0, 4, 0, 0, 0]]
    assert batch.targets.tolist() == [[1, 2, 0, 4, 0, IGNORED, IGNORED, IGNORED]]
    assert batch.positions is not None
    assert batch.positions.tolist() == [[0, 1, 2, 0, 1, 0, 1, 2]]


def test_sections_are_packed_by_themselves(tmp_path: Path) -> None:
    lengths = [5, 20, 3, 4, 9, 2]
    stream, ends = _stream(tmp_path, lengths)
    packed = Packed(stream, 8, ends, [(28, 15), (0, 25)])
    first = packed.read(np.arange(packed.sizes[0]))
    second = packed.read(np.arange(packed.sizes[0], len(packed)))
    tokens = stream.read(0, 43).astype(np.int64)
    for batch, wanted in ((first, tokens[28:43]), (second, tokens[:25])):
        assert sorted(batch.targets[batch.targets != IGNORED]) == sorted(wanted)


@given(lengths=LENGTHS, sequence_length=st.integers(1, 70))
def test_a_masked_window_counts_positions_within_each_document(
    lengths: list[int], sequence_length: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        stream, ends = _stream(Path(folder), [*lengths, 2])
        windows = Windows(stream, sequence_length, document_ends=ends)
        batch = windows.read(np.arange(len(windows)))
        unmasked = Windows(stream, sequence_length)
        plain = unmasked.read(np.arange(len(windows)))
    assert unmasked.longest == plain.num_targets.max()
    assert np.array_equal(batch.ids, plain.ids)
    assert np.array_equal(batch.targets, plain.targets)
    assert batch.positions is not None
    begins = (batch.ids == END) | (np.arange(sequence_length) == 0)
    learned = batch.targets != IGNORED
    assert np.array_equal((batch.positions == 0)[learned], begins[learned])
    assert windows.longest == batch.positions[learned].max() + 1
    steps = np.diff(batch.positions, axis=1)
    assert (steps[batch.positions[:, 1:] > 0] == 1).all()


@pytest.mark.parametrize("kind", ["packed", "windows"])
def test_the_network_is_given_what_the_batch_says(tmp_path: Path, kind: str) -> None:
    stream, ends = _stream(tmp_path, [5, 12, 3, 4])
    samples = Packed(stream, 8, ends) if kind == "packed" else Windows(stream, 8)
    batch = samples.read(np.arange(len(samples)))
    given = as_tensors(batch, torch.device("cpu"))
    ids, targets = given["ids_BT"], given["targets_BT"]
    assert ids.dtype == targets.dtype == torch.int64
    assert np.array_equal(ids.numpy(), batch.ids)
    assert np.array_equal(targets.numpy(), batch.targets)
    assert ("positions_BT" in given) == (batch.positions is not None)


@pytest.fixture(scope="module")
def decoder() -> Decoder:
    return random_decoder(200).eval()


@pytest.mark.parametrize("kind", ["packed", "windows"])
def test_a_document_reads_the_same_alone_and_among_others(
    tmp_path: Path, decoder: Decoder, kind: str
) -> None:
    stream, ends = _stream(tmp_path, [40, 7, 1, 12, 3, 25, 30, 2])
    samples = Packed(stream, 32, ends) if kind == "packed" else Windows(stream, 32, None, ends)
    batch = samples.read(np.arange(len(samples)))
    ids, targets, positions = as_tensors(batch, torch.device("cpu")).values()
    assert positions is not None
    with torch.no_grad():
        together = decoder(ids, None, positions)
        for row in range(len(ids)):
            begins = torch.nonzero(positions[row] == 0).flatten().tolist()
            for begin, end in zip(begins, [*begins[1:], ids.shape[1]], strict=True):
                if targets[row, begin] == IGNORED:
                    continue
                alone = decoder(ids[row : row + 1, begin:end])[0]
                assert torch.allclose(together[row, begin:end], alone, rtol=0, atol=1e-5)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_masked_attention_is_the_same_on_both_paths(groups: int) -> None:
    generator = torch.Generator().manual_seed(0)
    q = torch.randn(3, 4, 16, 8, generator=generator)
    k, v = (torch.randn(3, groups, 16, 8, generator=generator) for _ in range(2))
    positions = torch.tensor([[*range(16)], [*range(5), *range(11)], [0, 0, 0, *range(13)]])
    mask = document_mask(positions, q.dtype)
    fused, explicit = attention(q, k, v, mask), explicit_attention(q, k, v, mask)
    assert torch.allclose(fused, explicit, atol=1e-6)
    assert torch.allclose(fused[0], attention(q, k, v)[0], atol=1e-6)


@pytest.mark.parametrize(
    "packing", [WindowPacking(document_mask=True), BestFitPacking(), WindowPacking()], ids=str
)
def test_what_is_held_out_is_read_as_what_is_trained(tmp_path: Path, packing: Packing) -> None:
    for split in SPLITS:
        document = np.arange(40) + 1
        write_shards(tmp_path, split, 1 << 16, [(name, document) for name in "abc"])
    config = TrainConfig(sequence_length=50, packing=packing)
    trained, held_out = (open_samples(Reading(tmp_path), config, split) for split in SPLITS)
    assert type(trained) is type(held_out)
    first = np.arange(1)
    for name, tensor in as_tensors(trained.read(first, first), torch.device("cpu")).items():
        same = as_tensors(held_out.read(first, first), torch.device("cpu"))
        assert torch.equal(same[name], tensor)
