"""Writing on: samples of what a decoder thinks comes next."""

from collections.abc import Sequence

import torch
from torch import Tensor

from model.network.attention import LayerCache
from model.network.decoder import CausalNetwork


@torch.inference_mode()
def generate(
    model: CausalNetwork,
    ids: Sequence[int],
    *,
    sequence_length: int,
    max_new_tokens: int,
    temperature: float,
    top_k: int,
    seed: int,
    stop_id: int,
) -> list[int]:
    """Continues a text token by token, each drawn from the model's distribution.

    The model sees at most the last `sequence_length` tokens; when they are full, it goes on from
    their second half, so that keys and values need not be worked out anew for every token.

    Args:
        ids: the text so far, at least one token.
        temperature: the logits' divisor; 0 takes the likeliest token always.
        top_k: how many of the likeliest tokens can be drawn.
        seed: of the draws; the same seed gives the same tokens.
        stop_id: token that ends the text.

    Returns:
        The new tokens, without `stop_id`.
    """
    draws = torch.Generator().manual_seed(seed)
    text = list(ids)
    device = model.embed_tokens.weight.device
    caches: list[LayerCache] = []
    unread = text[-sequence_length:]
    for _ in range(max_new_tokens):
        if not caches or caches[0].length == sequence_length:
            unread = unread if not caches else text[-(sequence_length // 2 or 1) :]
            caches = [LayerCache() for _ in model.layers]
        logits_BV = model.continue_from(torch.tensor([unread], device=device), caches)
        token = _choose(logits_BV[0].float().cpu(), temperature, top_k, draws)
        if token == stop_id:
            break
        text.append(token)
        unread = [token]
    return text[len(ids) :]


def _choose(logits_V: Tensor, temperature: float, top_k: int, draws: torch.Generator) -> int:
    if temperature == 0:
        return int(logits_V.argmax())
    top = logits_V.topk(min(top_k, len(logits_V)))
    probabilities = (top.values / temperature).softmax(-1)
    return int(top.indices[torch.multinomial(probabilities, 1, generator=draws)])
