"""Beam search: the likeliest of many texts about each source.

Shape suffixes: B sources, K hypotheses of each, N = B · K, T positions, V vocabulary.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from corpusmill.model.finite import check_logits
from corpusmill.model.inference.generation import read_sources
from corpusmill.model.network.attention import LayerCache
from corpusmill.model.network.block import LayerContext
from corpusmill.model.network.encoder_decoder import EncoderDecoder


@torch.inference_mode()
def beam_search(
    model: EncoderDecoder,
    sources: Sequence[Sequence[int]],
    *,
    start_id: int,
    stop_id: int,
    max_new_tokens: int,
    beams: int = 4,
    length_penalty: float = 1.0,
) -> list[list[int]]:
    """The likeliest text about each source that a beam finds (Vaswani et al. 2017, §6.1).

    A text that ends counts if it is among the `beams` likeliest then; the search is over when so
    many have ended, and they are compared by log p / length^length_penalty. Were every end
    counted, the shortest texts would win: their log p is a sum of less.

    Args:
        sources: their tokens, the closing one among them.
        start_id: what the decoder reads first.
        stop_id: token that ends a text.
        max_new_tokens: of a text, `stop_id` among them; what is not over by then ends there.
        beams: hypotheses of a source that are followed at once.

    Returns:
        The new tokens, without `stop_id`.
    """
    context = _repeated(read_sources(model, sources), beams)
    caches = [LayerCache() for _ in model.layers]
    device = model.embed_tokens.weight.device
    written_NT = torch.full((len(sources) * beams, 1), start_id, device=device)
    first_B1 = torch.arange(len(sources), device=device).unsqueeze(1) * beams
    # All begin alike: only the first counts until they differ.
    scores_BK = torch.full((len(sources), beams), -torch.inf, device=device)
    scores_BK[:, 0] = 0.0
    found = _Found(len(sources), beams)
    for length in range(1, max_new_tokens + 1):
        logits_NV = model.continue_from(written_NT[:, -1:], context, caches).float()
        check_logits(logits_NV)
        total_BKV = logits_NV.log_softmax(-1).view(*scores_BK.shape, -1) + scores_BK.unsqueeze(2)
        size = total_BKV.shape[2]
        if length == max_new_tokens:
            total_BKV[:, :, :stop_id] = total_BKV[:, :, stop_id + 1 :] = -torch.inf
        # Each hypothesis may end, so that twice as many leave enough that go on.
        top_BM, flat_BM = total_BKV.flatten(1).topk(min(2 * beams, beams * size))
        ends_BM = flat_BM % size == stop_id
        counted_BM = ends_BM & (torch.arange(top_BM.shape[1], device=device) < beams)
        rows_BM = flat_BM // size + first_B1
        for source, rank in torch.nonzero(counted_BM & top_BM.isfinite()).tolist():
            score = float(top_BM[source, rank]) / length**length_penalty
            found.add(source, score, written_NT[rows_BM[source, rank], 1:])
        if found.is_over() or length == max_new_tokens:
            break
        scores_BK, going_BK = top_BM.masked_fill(ends_BM, -torch.inf).topk(beams)
        rows_N = rows_BM.gather(1, going_BK).flatten()
        tokens_N1 = (flat_BM.gather(1, going_BK) % size).view(-1, 1)
        for cache in caches:
            cache.reorder(rows_N)
        written_NT = torch.cat([written_NT[rows_N], tokens_N1], dim=1)
    return found.texts


class _Found:
    """The best text of each source that has ended, and how many have."""

    def __init__(self, sources: int, enough: int) -> None:
        self.texts: list[list[int]] = [[] for _ in range(sources)]
        self._scores = [-float("inf")] * sources
        self._ended = [0] * sources
        self._enough = enough

    def add(self, source: int, score: float, text: Tensor) -> None:
        """Takes a text in, unless enough have ended before it."""
        if self._ended[source] < self._enough:
            self._ended[source] += 1
            if score > self._scores[source]:
                self._scores[source], self.texts[source] = score, text.tolist()

    def is_over(self) -> bool:
        """Whether enough texts of every source have ended."""
        return min(self._ended) >= self._enough


def _repeated(context: LayerContext, times: int) -> LayerContext:
    """The same for `times` hypotheses of each source."""

    def repeated(tensor: Tensor | None) -> Tensor:
        assert tensor is not None
        return tensor.repeat_interleave(times, dim=0)

    return context._replace(
        source_BSD=repeated(context.source_BSD),
        source_mask_BTS=repeated(context.source_mask_BTS),
    )
