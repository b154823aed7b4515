"""What holds for every network, and the formulas of its pieces."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from corpusmill.model.network.attention import (
    LayerCache,
    attention,
    document_mask,
    explicit_attention,
    padding_mask,
)
from corpusmill.model.network.base import LanguageModel
from corpusmill.model.network.bert import Bert
from corpusmill.model.network.config import BertConfig
from corpusmill.model.network.encoder_decoder import EncoderDecoder
from corpusmill.model.network.feed_forward import ACTIVATIONS, FeedForward
from corpusmill.model.network.gpt2 import GPT2
from corpusmill.model.network.loss import Head, each_cross_entropy, summed_cross_entropy
from corpusmill.model.network.norms import LayerNorm
from corpusmill.model.network.positions import rotate, rotation, sinusoids
from corpusmill.model.training.groups import MuonConfig
from corpusmill.model.training.optimizer import build_optimizers, kinds
from tests.networks import BERT_SHAPE, GPT2_SHAPE, NORM_FIRST, SHAPES, TRANSFORMER, random_network

VOCAB = 101
IDS = torch.randint(1, VOCAB, (3, 12), generator=torch.Generator().manual_seed(3))
LENGTHS = torch.tensor([12, 7, 1])
BOTH = pytest.mark.parametrize("shape", [TRANSFORMER, NORM_FIRST], ids=["after", "first"])


def _batch(network: LanguageModel) -> dict[str, Tensor]:
    """A batch with everything that the network learns from."""
    targets = IDS.roll(-1, 1)
    if isinstance(network, Bert):
        places, labels = torch.tensor([[1, 3], [2, 6], [0, 0]]), torch.tensor([0, 1, 1])
        # One place less in the last sequence, which has one token.
        chosen = targets[:, :2].masked_fill(torch.tensor([[0, 0], [0, 0], [0, 1]]).bool(), -100)
        wanted = {"places_BM": places, "targets_BM": chosen, "random_next_B": labels}
        return {"ids_BT": IDS, "lengths_B": LENGTHS, "segments_BT": (IDS > 50).long(), **wanted}
    if isinstance(network, EncoderDecoder):
        reads = {"source_BS": IDS.flip(1), "lengths_B": LENGTHS}
        return {**reads, "ids_BT": IDS[:, :9], "targets_BT": targets[:, :9]}
    return {"ids_BT": IDS, "targets_BT": targets}


@pytest.mark.parametrize("name", SHAPES)
def test_a_network_learns_one_batch_by_heart(name: str) -> None:
    network = random_network(SHAPES[name], VOCAB)
    network.init_weights(seed=0)
    batch = _batch(network)
    optimizers = build_optimizers(network, MuonConfig())
    first = network(**batch).sum().item()
    for _ in range(150):
        loss = network(**batch).sum()
        (loss / IDS.numel()).backward()
        optimizers.step(1.0)
    assert loss.item() < 0.03 * first


@pytest.mark.parametrize("name", SHAPES)
def test_every_parameter_is_moved_by_one_optimizer(name: str) -> None:
    network = random_network(SHAPES[name], VOCAB)
    network(**_batch(network)).sum().backward()
    moved = [parameter for found in kinds(network).values() for parameter in found]
    assert {id(each) for each in moved} == {id(each) for each in network.parameters()}
    assert len(moved) == len({id(each) for each in moved})
    assert all(each.grad is not None for each in moved)


@pytest.mark.parametrize("name", SHAPES)
def test_recomputed_layers_give_the_same_gradients(name: str) -> None:
    network = random_network(SHAPES[name], VOCAB)
    batch, gradients = _batch(network), []
    for _ in range(2):
        network.zero_grad()
        network(**batch).sum().backward()
        gradients.append([parameter.grad for parameter in network.parameters()])
        network.recompute_layers()
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("name", SHAPES)
def test_dropout_acts_in_training_alone(name: str) -> None:
    network = random_network(SHAPES[name], VOCAB)
    batch = _batch(network)
    whole = network(**batch)
    network.set_dropout(0.3)
    assert not torch.equal(network(**batch), whole)
    assert torch.equal(network.eval()(**batch), whole)


@pytest.mark.parametrize("name", ["gpt2", "decoder"])
def test_no_position_of_a_decoder_sees_a_later_one(name: str) -> None:
    network, changed = random_network(SHAPES[name], VOCAB), IDS.clone()
    changed[:, 7] = (changed[:, 7] + 1) % VOCAB
    before, after = network(IDS), network(changed)
    assert torch.equal(before[:, :7], after[:, :7])
    assert (before[:, 7:] != after[:, 7:]).any(-1).all()


@BOTH
def test_what_is_written_sees_no_later_token_and_all_of_the_source(shape: object) -> None:
    network, changed = random_network(shape, VOCAB), IDS.clone()  # type: ignore[arg-type]
    changed[:, 7] = (changed[:, 7] + 1) % VOCAB
    lengths = torch.full((3,), 12)
    before = network(IDS, IDS, lengths_B=lengths)
    after = network(IDS, changed, lengths_B=lengths)
    torch.testing.assert_close(before[:, :7], after[:, :7], atol=0, rtol=0)
    assert (before[:, 7:] != after[:, 7:]).any(-1).all()
    other_source = network(changed, IDS, lengths_B=lengths)
    assert (before != other_source).any(-1).all()


def test_bert_sees_both_ways() -> None:
    network, changed = random_network(BERT_SHAPE, VOCAB), IDS.clone()
    changed[:, 7] = (changed[:, 7] + 1) % VOCAB
    lengths = torch.full((3,), 12)
    before, after = network(IDS, lengths_B=lengths), network(changed, lengths_B=lengths)
    assert (before != after).any(-1).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_what_stands_in_the_padding_changes_nothing(dtype: torch.dtype) -> None:
    other = torch.where(torch.arange(12) < LENGTHS[:, None], IDS, 99 - IDS.clamp(max=99))
    bert = random_network(BERT_SHAPE, VOCAB, dtype)
    before, after = bert(IDS, lengths_B=LENGTHS), bert(other, lengths_B=LENGTHS)
    for row, length in enumerate(LENGTHS.tolist()):
        assert torch.equal(before[row, :length], after[row, :length])
    transformer = random_network(TRANSFORMER, VOCAB, dtype)
    read = transformer(IDS, IDS, lengths_B=LENGTHS), transformer(other, IDS, lengths_B=LENGTHS)
    assert torch.equal(*read)


def test_a_document_of_a_row_is_read_as_it_would_be_alone() -> None:
    positions = torch.cat([torch.arange(5), torch.arange(7)]).expand(3, -1)
    bert, gpt2 = random_network(BERT_SHAPE, VOCAB), random_network(GPT2_SHAPE, VOCAB)
    packed = bert(IDS, lengths_B=torch.full((3,), 12), positions_BT=positions)
    alone = bert(IDS[:, 5:], lengths_B=torch.full((3,), 7))
    torch.testing.assert_close(packed[:, 5:], alone, atol=1e-5, rtol=1e-4)
    packed = gpt2(IDS, positions_BT=positions)
    torch.testing.assert_close(packed[:, 5:], gpt2(IDS[:, 5:]), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("masked", ["padding", "documents", "nothing"])
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)], ids=str
)
def test_attention_equals_softmax_of_scores_and_mask(
    causal: bool, masked: str, dtype: torch.dtype, tolerance: float
) -> None:
    generator = torch.Generator().manual_seed(0)
    q = torch.randn(3, 4, 12, 8, generator=generator).to(dtype)
    k, v = torch.randn(2, 3, 2, 12, 8, generator=generator).to(dtype)
    mask = None
    if masked == "padding":
        mask = padding_mask(LENGTHS, 12, dtype)
    elif masked == "documents":
        positions = torch.cat([torch.arange(5), torch.arange(7)]).expand(3, -1)
        mask = document_mask(positions, dtype, causal=causal)
    added = torch.zeros(12, 12) if mask is None else mask.float().unsqueeze(1)
    if causal and mask is None:
        added = torch.full((12, 12), -torch.inf).triu(1)
    wide_k, wide_v = (x.float().repeat_interleave(2, dim=1) for x in (k, v))
    weights = (q.float() @ wide_k.mT / math.sqrt(8) + added).softmax(-1)
    for compute in (attention, explicit_attention):
        found = compute(q, k, v, mask, causal=causal).float()
        torch.testing.assert_close(found, weights @ wide_v, atol=tolerance, rtol=tolerance)


def test_sinusoids_are_those_of_the_paper_with_the_sines_first() -> None:
    found = sinusoids(torch.arange(50), 16, torch.float32)
    for pos in (0, 1, 49):
        for i in range(8):
            angle = pos / 10_000 ** (2 * i / 16)
            assert found[pos, i].item() == pytest.approx(math.sin(angle), abs=1e-5)
            assert found[pos, 8 + i].item() == pytest.approx(math.cos(angle), abs=1e-5)


def test_rotated_products_depend_on_the_distance_alone() -> None:
    q, k = torch.randn(2, 1, 1, 1, 16, generator=torch.Generator().manual_seed(0))

    def product(at: int, to: int) -> float:
        turned = [
            rotate(x, rotation(torch.tensor([p]), 16, 10_000.0, torch.float32))
            for x, p in ((q, at), (k, to))
        ]
        return float((turned[0] * turned[1]).sum())

    assert product(3, 1) == pytest.approx(product(40, 38), abs=1e-4)
    assert product(3, 1) != pytest.approx(product(3, 2), abs=1e-3)


def test_layer_norm_subtracts_the_mean_and_divides_by_the_deviation() -> None:
    x, norm = torch.randn(4, 8, generator=torch.Generator().manual_seed(0)), LayerNorm(8, 1e-5)
    with torch.no_grad():
        norm.weight.uniform_(0.5, 2)
        norm.bias.uniform_(-1, 1)
    deviation = (x.var(-1, unbiased=False, keepdim=True) + 1e-5).sqrt()
    expected = (x - x.mean(-1, keepdim=True)) / deviation * norm.weight + norm.bias
    torch.testing.assert_close(norm(x), expected)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_feed_forward_is_two_matrices_and_the_activation(activation: str) -> None:
    mlp = FeedForward(8, 16, activation)  # type: ignore[arg-type]
    with torch.no_grad():
        for parameter in mlp.parameters():
            parameter.normal_(generator=torch.Generator().manual_seed(1))
    x = torch.randn(5, 8, generator=torch.Generator().manual_seed(0))
    inner = F.linear(x, mlp.up_proj.weight, mlp.up_proj.bias)
    formulas = {
        "gelu": inner * torch.special.ndtr(inner),
        "gelu_new": F.gelu(inner, approximate="tanh"),
        "relu": inner.clamp(min=0),
        "relu2": inner.clamp(min=0) ** 2,
        "silu": inner * inner.sigmoid(),
    }
    expected = F.linear(formulas[activation], mlp.down_proj.weight, mlp.down_proj.bias)
    torch.testing.assert_close(mlp(x), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("biased", [True, False])
def test_the_loss_is_cross_entropy_with_smoothed_targets(smoothing: float, biased: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(300, 8, generator=generator, requires_grad=True)
    weight = nn.Parameter(torch.randn(128, 8, generator=generator))
    bias = nn.Parameter(torch.randn(128, generator=generator)) if biased else None
    targets = torch.randint(0, VOCAB, (300,), generator=generator)
    targets[::7] = -100
    leaves = [hidden, weight, *([bias] if bias is not None else [])]
    ours = summed_cross_entropy(hidden, Head(weight, bias, VOCAB, smoothing), targets)
    logits = F.linear(hidden, weight, bias)[:, :VOCAB]
    plain = F.cross_entropy(logits, targets, reduction="sum", label_smoothing=smoothing)
    torch.testing.assert_close(ours, plain)
    each = each_cross_entropy(hidden, Head(weight, bias, VOCAB, smoothing), targets)
    alone = F.cross_entropy(logits, targets, reduction="none", label_smoothing=smoothing)
    torch.testing.assert_close(each, alone.detach())
    found, expected = (torch.autograd.grad(each / 7, leaves) for each in (ours, plain))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_targets_are_smoothed_in_training_alone() -> None:
    network = random_network(TRANSFORMER, VOCAB)
    plain = network(**_batch(network)).item()
    network.smoothing = 0.1
    assert network(**_batch(network)).item() != plain
    assert network.eval()(**_batch(network)).item() == plain


def test_the_losses_of_bert_are_those_of_its_logits() -> None:
    network = random_network(BERT_SHAPE, VOCAB)
    assert isinstance(network, Bert)
    batch = _batch(network)
    reads = {name: batch[name] for name in ("ids_BT", "lengths_B", "segments_BT")}
    logits_BTV, places = network(**reads), batch["places_BM"]
    chosen = logits_BTV.gather(1, places.unsqueeze(-1).expand(-1, -1, VOCAB)).flatten(0, 1)
    masked = F.cross_entropy(chosen, batch["targets_BM"].flatten(), reduction="sum")
    follows = network.next_logits(network.hidden(*reads.values()))
    judged = F.cross_entropy(follows, batch["random_next_B"], reduction="sum")
    torch.testing.assert_close(network(**batch), torch.stack([masked, judged]))


def test_a_bert_that_does_not_judge_has_no_head_for_it() -> None:
    plain = BertConfig(num_hidden_layers=1, hidden_size=32, intermediate_size=48)
    assert not [n for n, _ in Bert(plain, VOCAB).named_parameters() if "pool" in n or "next" in n]


def test_gpt2_writes_on_from_a_cache_as_it_does_without() -> None:
    network = random_network(GPT2_SHAPE, VOCAB)
    assert isinstance(network, GPT2)
    whole, caches = network(IDS), [LayerCache() for _ in network.layers]
    first = network.continue_from(IDS[:, :5], caches)
    torch.testing.assert_close(first, whole[:, 4], atol=1e-4, rtol=1e-4)
    for place in range(5, 12):
        found = network.continue_from(IDS[:, place : place + 1], caches)
        torch.testing.assert_close(found, whole[:, place], atol=1e-4, rtol=1e-4)


@BOTH
def test_a_translation_goes_on_from_a_cache_as_it_does_without(shape: object) -> None:
    network = random_network(shape, VOCAB)  # type: ignore[arg-type]
    assert isinstance(network, EncoderDecoder)
    whole = network(IDS.flip(1), IDS, lengths_B=LENGTHS)
    around, caches = network.read(IDS.flip(1), LENGTHS), [LayerCache() for _ in network.layers]
    for place in range(12):
        found = network.continue_from(IDS[:, place : place + 1], around, caches)
        torch.testing.assert_close(found, whole[:, place], atol=1e-4, rtol=1e-4)
