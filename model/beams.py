"""Beam search: the likeliest of many texts about each source.

Shape suffixes: B sources, K hypotheses of each, N = B · K, T positions, V vocabulary.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from model.generation import read_sources
from model.network.attention import LayerCache
from model.network.block import Surroundings
from model.network.encoder_decoder import EncoderDecoder


@torch.inference_mode()
def beam_search(
    model: EncoderDecoder,
    sources: Sequence[Sequence[int]],
    *,
    start_id: int,
    stop_id: int,
    max_new_tokens: int,
    beams: int = 4,
    length_penalty: float = 0.6,
) -> list[list[int]]:
    """The likeliest text about each source that a beam finds (Vaswani et al. 2017, §6.1).

    Hypotheses are compared by log p / ((5 + length) / 6)^length_penalty (Wu et al. 2016, eq. 14).

    Args:
        sources: their tokens, the closing one among them.
        start_id: what the decoder reads first.
        stop_id: token that ends a text.
        beams: hypotheses of a source that are followed at once.

    Returns:
        The new tokens, without `stop_id`; of the hypotheses that end within `max_new_tokens`, or
        the likeliest so far where none does.
    """
    around, caches = _repeated(read_sources(model, sources), beams), _caches(model)
    device = model.embed_tokens.weight.device
    written_NT = torch.full((len(sources) * beams, 1), start_id, device=device)
    first_B1 = torch.arange(len(sources), device=device).unsqueeze(1) * beams
    # All begin alike: only the first counts until they differ.
    scores_BK = torch.full((len(sources), beams), -torch.inf, device=device)
    scores_BK[:, 0] = 0.0
    best = [list[int]() for _ in sources]
    best_B = torch.full((len(sources),), -torch.inf, device=device)
    for length in range(1, max_new_tokens + 1):
        logits_NV = model.continue_from(written_NT[:, -1:], around, caches).float()
        total_BKV = logits_NV.log_softmax(-1).view(*scores_BK.shape, -1) + scores_BK.unsqueeze(2)
        ended_B, row_B = (total_BKV[:, :, stop_id] / _norm(length, length_penalty)).max(1)
        for source in torch.nonzero(ended_B > best_B)[:, 0].tolist():
            best[source] = written_NT[source * beams + row_B[source], 1:].tolist()
        best_B = torch.maximum(best_B, ended_B)
        total_BKV[:, :, stop_id] = -torch.inf
        scores_BK, flat_BK = total_BKV.flatten(1).topk(beams)
        rows_N = (flat_BK // total_BKV.shape[2] + first_B1).flatten()
        tokens_N1 = (flat_BK % total_BKV.shape[2]).flatten().unsqueeze(1)
        for cache in caches:
            cache.reorder(rows_N)
        written_NT = torch.cat([written_NT[rows_N], tokens_N1], dim=1)
        # A longer text only gets less likely; the norm at the greatest length is the mildest.
        if (scores_BK[:, 0] / _norm(max_new_tokens, length_penalty) <= best_B).all():
            break
    for source in torch.nonzero(best_B == -torch.inf)[:, 0].tolist():
        best[source] = written_NT[source * beams, 1:].tolist()
    return best


def _norm(length: int, length_penalty: float) -> float:
    return float(((5 + length) / 6) ** length_penalty)


def _caches(model: EncoderDecoder) -> list[LayerCache]:
    return [LayerCache() for _ in model.layers]


def _repeated(around: Surroundings, times: int) -> Surroundings:
    """The same for `times` hypotheses of each source."""

    def repeated(tensor: Tensor | None) -> Tensor:
        assert tensor is not None
        return tensor.repeat_interleave(times, dim=0)

    return around._replace(
        source_BSD=repeated(around.source_BSD),
        source_mask_BTS=repeated(around.source_mask_BTS),
    )
