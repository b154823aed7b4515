"""Writing: what a decoder thinks comes next, and what an encoder-decoder makes of a source.

Shape suffixes as in `model.network.attention`; N hypotheses.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from model.network.attention import LayerCache
from model.network.block import Surroundings
from model.network.decoder import CausalNetwork
from model.network.encoder_decoder import EncoderDecoder


@dataclass(frozen=True)
class Sampling:
    """How a token is chosen.

    Attributes:
        temperature: the logits' divisor; 0 takes the likeliest token always.
        top_k: how many of the likeliest tokens can be drawn.
        top_p: of these, as many of the likeliest as it takes to have this share of the probability
            (Holtzman et al. 2020).
        seed: of the draws; the same seed gives the same tokens.
    """

    temperature: float = 0.0
    top_k: int = 50
    top_p: float = 1.0
    seed: int = 0

    def choose(self, logits_V: Tensor, draws: torch.Generator) -> int:
        """The next token."""
        if self.temperature == 0:
            return int(logits_V.argmax())
        top = logits_V.topk(min(self.top_k, len(logits_V)))
        shares = (top.values / self.temperature).softmax(-1)
        # The first token beyond the share is the last that can be drawn.
        shares = shares.masked_fill(shares.cumsum(-1) - shares >= self.top_p, 0.0)
        return int(top.indices[torch.multinomial(shares, 1, generator=draws)])


@torch.inference_mode()
def generate(
    model: CausalNetwork,
    ids: Sequence[int],
    *,
    sequence_length: int,
    max_new_tokens: int,
    sampling: Sampling,
    stop_id: int,
) -> list[int]:
    """Continues a text token by token.

    The model sees at most the last `sequence_length` tokens; when they are full, it goes on from
    their second half, so that keys and values need not be worked out anew for every token.

    Args:
        ids: the text so far, at least one token.
        stop_id: token that ends the text.

    Returns:
        The new tokens, without `stop_id`.
    """
    draws = torch.Generator().manual_seed(sampling.seed)
    text = list(ids)
    device = model.embed_tokens.weight.device
    caches: list[LayerCache] = []
    unread = text[-sequence_length:]
    for _ in range(max_new_tokens):
        if not caches or caches[0].length == sequence_length:
            unread = unread if not caches else text[-(sequence_length // 2 or 1) :]
            caches = [LayerCache() for _ in model.layers]
        logits_BV = model.continue_from(torch.tensor([unread], device=device), caches)
        token = sampling.choose(logits_BV[0].float().cpu(), draws)
        if token == stop_id:
            break
        text.append(token)
        unread = [token]
    return text[len(ids) :]


@torch.inference_mode()
def write(
    model: EncoderDecoder,
    source: Sequence[int],
    *,
    start_id: int,
    stop_id: int,
    max_new_tokens: int,
    sampling: Sampling,
) -> list[int]:
    """What the decoder writes about a source, token by token.

    Args:
        source: its tokens, the closing one among them.
        start_id: what the decoder reads first.
        stop_id: token that ends what it writes.

    Returns:
        The new tokens, without `stop_id`.
    """
    draws = torch.Generator().manual_seed(sampling.seed)
    around, caches = _read(model, source), [LayerCache() for _ in model.layers]
    device, token, written = model.embed_tokens.weight.device, start_id, list[int]()
    while len(written) < max_new_tokens:
        logits_BV = model.continue_from(torch.tensor([[token]], device=device), around, caches)
        token = sampling.choose(logits_BV[0].float().cpu(), draws)
        if token == stop_id:
            break
        written.append(token)
    return written


@torch.inference_mode()
def beam_search(
    model: EncoderDecoder,
    source: Sequence[int],
    *,
    start_id: int,
    stop_id: int,
    max_new_tokens: int,
    beams: int = 4,
    length_penalty: float = 0.6,
) -> list[int]:
    """The likeliest text that a beam finds (Vaswani et al. 2017, §6.1).

    Hypotheses are compared by log p / ((5 + length) / 6)^length_penalty (Wu et al. 2016, eq. 14).

    Args:
        beams: hypotheses that are followed at once.

    Returns:
        The new tokens, without `stop_id`; of texts that end within `max_new_tokens`.
    """
    around, caches = _repeated(_read(model, source), beams), [LayerCache() for _ in model.layers]
    device = model.embed_tokens.weight.device
    written_NT = torch.full((beams, 1), start_id, device=device)
    # All begin alike: only the first counts until they differ.
    scores_N = torch.full((beams,), -torch.inf, device=device)
    scores_N[0] = 0.0
    best, best_score = list[int](), -float("inf")
    for length in range(1, max_new_tokens + 1):
        logits_NV = model.continue_from(written_NT[:, -1:], around, caches).float()
        total_NV = scores_N.unsqueeze(1) + logits_NV.log_softmax(-1)
        norm = ((5 + length) / 6) ** length_penalty
        ended, score = _best_end(total_NV[:, stop_id] / norm)
        if score > best_score:
            best, best_score = written_NT[ended, 1:].tolist(), score
        total_NV[:, stop_id] = -torch.inf
        scores_N, flat_N = total_NV.flatten().topk(beams)
        rows, tokens = flat_N // total_NV.shape[1], flat_N % total_NV.shape[1]
        for cache in caches:
            cache.reorder(rows)
        written_NT = torch.cat([written_NT[rows], tokens.unsqueeze(1)], dim=1)
        # A longer text only gets less likely; the norm at the greatest length is the mildest.
        if float(scores_N[0]) / ((5 + max_new_tokens) / 6) ** length_penalty <= best_score:
            return best
    return best


def _best_end(scores_N: Tensor) -> tuple[int, float]:
    row = int(scores_N.argmax())
    return row, float(scores_N[row])


def _read(model: EncoderDecoder, source: Sequence[int]) -> Surroundings:
    device = model.embed_tokens.weight.device
    lengths = torch.tensor([len(source)], device=device)
    return model.read(torch.tensor([list(source)], device=device), lengths)


def _repeated(around: Surroundings, times: int) -> Surroundings:
    source, mask = around.source_BSD, around.source_mask_BTS
    assert source is not None and mask is not None
    return around._replace(
        source_BSD=source.expand(times, -1, -1), source_mask_BTS=mask.expand(times, -1, -1)
    )
