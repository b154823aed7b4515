"""The decoder's mathematics: causality, attention, loss, gradients, learning."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from corpusmill.model.network.attention import attention, explicit_attention
from corpusmill.model.network.config import DecoderConfig
from corpusmill.model.network.decoder import Decoder
from corpusmill.model.network.loss import padded_vocab_size
from corpusmill.model.network.norms import RMSNorm
from corpusmill.model.training.groups import AdamWConfig, MuonConfig, Optimizer
from corpusmill.model.training.optimizer import build_optimizers

VOCAB = 101
SMALL = DecoderConfig(
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=16,
    intermediate_size=48,
)


def _decoder(config: DecoderConfig = SMALL, dtype: torch.dtype = torch.float32) -> Decoder:
    """A decoder none of whose matrices is zero, so that every path carries something."""
    model = Decoder(config, VOCAB, dtype)
    model.init_weights(seed=1)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.1)
    return model


def _batch(sequences: int = 3, length: int = 20) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    tokens = torch.randint(0, VOCAB, (sequences, length + 1), generator=generator)
    return tokens[:, :-1], tokens[:, 1:].clone()


def _train(model: Decoder, steps: int, config: Optimizer) -> list[float]:
    ids, targets = _batch()
    optimizers = build_optimizers(model, config)
    losses = []
    for _ in range(steps):
        loss = model(ids, targets) / targets.numel()
        loss.backward()
        optimizers.step(1.0)
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize(("size", "padded"), [(1, 64), (64, 64), (65, 128), (4096, 4096)])
def test_the_vocabulary_is_padded_to_a_multiple_of_64(size: int, padded: int) -> None:
    assert padded_vocab_size(size) == padded


def test_logits_cover_the_vocabulary_without_its_padding() -> None:
    ids, _ = _batch()
    assert _decoder()(ids).shape == (3, 20, VOCAB)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_no_position_sees_a_later_one(dtype: torch.dtype) -> None:
    model, (ids, _) = _decoder(dtype=dtype), _batch()
    changed = ids.clone()
    changed[:, 11] = (changed[:, 11] + 1) % VOCAB
    before, after = model(ids), model(changed)
    assert torch.equal(before[:, :11], after[:, :11])
    assert (before[:, 11:] != after[:, 11:]).any(-1).all()


@pytest.mark.parametrize("queries", [1, 24])
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)], ids=str
)
def test_explicit_attention_equals_the_fused_kernel(
    queries: int, dtype: torch.dtype, tolerance: float
) -> None:
    generator = torch.Generator().manual_seed(0)
    q = torch.randn(2, 6, queries, 16, generator=generator).to(dtype)
    k, v = torch.randn(2, 2, 2, 24, 16, generator=generator).to(dtype)
    fused = F.scaled_dot_product_attention(q, k, v, is_causal=queries > 1, enable_gqa=True)
    for tried in (explicit_attention, attention):
        torch.testing.assert_close(tried(q, k, v), fused, atol=tolerance, rtol=tolerance)


def test_rms_norm_and_its_gradient_equal_the_formula() -> None:
    norm = RMSNorm(8, 1e-6).double()
    x = torch.randn(3, 5, 8, dtype=torch.float64, requires_grad=True)
    with torch.no_grad():
        norm.weight.uniform_(0.5, 1.5)
    expected = F.rms_norm(x, (8,), norm.weight, 1e-6)
    torch.testing.assert_close(norm(x), expected)
    assert torch.autograd.gradcheck(norm, (x,))


@pytest.mark.parametrize("tied", [True, False])
def test_loss_and_gradients_equal_cross_entropy_with_ignored_targets(tied: bool) -> None:
    model = _decoder(SMALL.model_copy(update={"tie_word_embeddings": tied}))
    # More rows than the loss takes at once, so that its pieces are added up.
    ids, targets = _batch(16, 20)
    targets[0, :5] = -100
    targets[3] = -100

    def gradients(loss: Tensor) -> list[Tensor]:
        return list(torch.autograd.grad(loss, list(model.parameters())))

    loss = model(ids, targets)
    plain = F.cross_entropy(model(ids).flatten(0, 1), targets.flatten(), reduction="sum")
    torch.testing.assert_close(loss, plain)
    torch.testing.assert_close(gradients(loss / 7), gradients(plain / 7), atol=1e-5, rtol=1e-4)
    with torch.inference_mode():
        torch.testing.assert_close(model(ids, targets), plain)


def test_the_loss_passes_a_numerical_gradient_check() -> None:
    config = SMALL.model_copy(update={"hidden_size": 8, "num_hidden_layers": 1})
    model = _decoder(config, torch.float64).double()
    ids, targets = _batch(1, 6)
    targets[0, 2] = -100

    def loss(gains: Tensor, query_weight: Tensor) -> Tensor:
        replaced = {"norm.weight": gains, "layers.0.self_attn.q_proj.weight": query_weight}
        out: Tensor = torch.func.functional_call(model, replaced, (ids, targets))
        return out

    names = dict(model.named_parameters())
    inputs = names["norm.weight"], names["layers.0.self_attn.q_proj.weight"]
    assert torch.autograd.gradcheck(loss, inputs)


def test_a_batch_of_ignored_targets_has_no_loss_and_no_gradient() -> None:
    model, (ids, targets) = _decoder(), _batch()
    loss = model(ids, torch.full_like(targets, -100))
    loss.backward()
    assert loss.item() == 0
    assert all(not parameter.grad.any() for parameter in model.parameters())  # type: ignore[union-attr]


def test_extreme_logits_give_a_finite_loss() -> None:
    model, (ids, targets) = _decoder(), _batch()
    with torch.no_grad():
        model.norm.weight.mul_(1000)
    plain = F.cross_entropy(model(ids).flatten(0, 1), targets.flatten(), reduction="sum")
    torch.testing.assert_close(model(ids, targets), plain)


def test_bf16_computes_nearly_the_loss_of_fp32() -> None:
    ids, targets = _batch()
    full, half = _decoder()(ids, targets), _decoder(dtype=torch.bfloat16)(ids, targets)
    assert half.dtype == torch.float32
    assert half.item() == pytest.approx(full.item(), rel=5e-3)


def test_the_seed_decides_every_weight_and_the_first_prediction_is_uniform() -> None:
    first, same, other = (Decoder(SMALL, VOCAB) for _ in range(3))
    for model, seed in ((first, 5), (same, 5), (other, 6)):
        model.init_weights(seed)
    pairs = list(zip(first.parameters(), same.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b in pairs)
    assert not torch.equal(first.embed_tokens.weight, other.embed_tokens.weight)
    ids, targets = _batch()
    expected = torch.tensor(VOCAB).log().item()
    assert first(ids, targets).item() / targets.numel() == pytest.approx(expected, rel=0.05)


def test_a_wrapper_reaches_the_loss_through_forward() -> None:
    class Wrapper(nn.Module):
        def __init__(self, module: nn.Module) -> None:
            super().__init__()
            self.module = module

        def forward(self, *args: Tensor) -> Tensor:
            out: Tensor = self.module(*args)
            return out

    model, (ids, targets) = _decoder(), _batch()
    assert torch.equal(Wrapper(model)(ids, targets), model(ids, targets))


ADAMW = AdamWConfig(learning_rate=1e-2, adam_beta1=0.9, adam_epsilon=1e-8)


@pytest.mark.parametrize("config", [MuonConfig(), ADAMW], ids=["muon", "adamw"])
def test_one_batch_is_learned_by_heart(config: Optimizer) -> None:
    model = Decoder(SMALL, VOCAB)
    model.init_weights(seed=0)
    assert _train(model, 150, config)[-1] < 0.1


@pytest.mark.parametrize(
    ("config", "golden"),
    [
        (MuonConfig(), [4.6151, 2.6572, 1.1146, 0.4853]),
        (ADAMW.model_copy(update={"learning_rate": 3e-3}), [4.6151, 4.0824, 3.4718, 2.8388]),
    ],
    ids=["muon", "adamw"],
)
def test_the_first_twenty_losses_do_not_move(config: Optimizer, golden: list[float]) -> None:
    model = Decoder(SMALL, VOCAB)
    model.init_weights(seed=0)
    config = config.model_copy(update={"precision": "fp32"})
    assert _train(model, 20, config)[::6] == pytest.approx(golden, abs=1e-3)
