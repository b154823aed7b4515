"""Writing token by token: what a decoder thinks comes next, what an encoder-decoder makes of a
source; of several texts side by side.

Shape suffixes as in `corpusmill.model.network.attention`.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor

from corpusmill.model.finite import check_logits
from corpusmill.model.inference.request import Sampling
from corpusmill.model.network.attention import LayerCache
from corpusmill.model.network.block import LayerContext
from corpusmill.model.network.decoder import CausalNetwork
from corpusmill.model.network.encoder_decoder import EncoderDecoder

# Logits divided by less overflow.
_COLDEST = 1e-5
# (row, token), as the tokens are chosen.
Tokens = Iterator[tuple[int, int]]


@torch.inference_mode()
def generate(
    model: CausalNetwork,
    prompts: Sequence[Sequence[int]],
    *,
    sequence_length: int,
    max_new_tokens: int,
    sampling: Sampling,
    stop_id: int,
) -> Tokens:
    """Continues texts token by token.

    The model sees at most the last `sequence_length` tokens; when they are full, it goes on from
    their second half, so that keys and values need not be worked out anew for every token.

    Args:
        prompts: the texts so far, at least one token each.
        max_new_tokens: of each text.
        stop_id: token that ends a text.

    Yields:
        (row, token), without `stop_id`.
    """
    texts = _Continued(model, prompts, sequence_length)
    return _grow(texts, len(prompts), max_new_tokens, sampling, stop_id)


@torch.inference_mode()
def write(
    model: EncoderDecoder,
    sources: Sequence[Sequence[int]],
    *,
    start_id: int,
    stop_id: int,
    max_new_tokens: int,
    sampling: Sampling,
) -> Tokens:
    """What the decoder writes about sources, token by token.

    Args:
        sources: their tokens, the closing one among them.
        start_id: what the decoder reads first.
        max_new_tokens: about each source.
        stop_id: token that ends what it writes.

    Yields:
        (row, token), without `stop_id`.
    """
    texts = _Written(model, sources, start_id)
    return _grow(texts, len(sources), max_new_tokens, sampling, stop_id)


def gather(tokens: Iterable[tuple[int, int]], rows: int) -> list[list[int]]:
    """The tokens of each row, from (row, token) in the order they were written."""
    texts: list[list[int]] = [[] for _ in range(rows)]
    for row, token in tokens:
        texts[row].append(token)
    return texts


def read_sources(model: EncoderDecoder, sources: Sequence[Sequence[int]]) -> LayerContext:
    """Encodes sources of several lengths, padded: the context that the decoder attends to."""
    device = model.embed_tokens.weight.device
    lengths = [len(source) for source in sources]
    padded = [[*source, *[0] * (max(lengths) - len(source))] for source in sources]
    return model.read(torch.tensor(padded, device=device), torch.tensor(lengths, device=device))


class _Texts(Protocol):
    """Texts that grow by one token each at a time."""

    def next_logits(self) -> Tensor:
        """logits_BV of the next token of each text."""

    def given(self, row: int) -> int | None:
        """The next token of a text, where its prompt says it."""

    def add(self, tokens: Sequence[int]) -> None:
        """The next token of each text."""


class _Continued:
    """Texts of a decoder, read from their beginning to the place that the shortest has reached.

    What longer prompts say beyond it is read as the others grow, so that all are equally long.
    """

    def __init__(
        self, model: CausalNetwork, prompts: Sequence[Sequence[int]], sequence_length: int
    ) -> None:
        self._model, self._limit = model, sequence_length
        self._texts = [list(prompt[-sequence_length:]) for prompt in prompts]
        self._size = min(len(text) for text in self._texts)
        self._caches: list[LayerCache] = []

    def next_logits(self) -> Tensor:
        begin = self._size - 1
        if not self._caches or self._caches[0].length == self._limit:
            begin = self._size - (self._limit // 2 or 1) if self._caches else 0
            self._caches = [LayerCache() for _ in self._model.layers]
        ids = [text[begin : self._size] for text in self._texts]
        device = self._model.embed_tokens.weight.device
        return self._model.continue_from(torch.tensor(ids, device=device), self._caches)

    def given(self, row: int) -> int | None:
        text = self._texts[row]
        return text[self._size] if self._size < len(text) else None

    def add(self, tokens: Sequence[int]) -> None:
        for text, token in zip(self._texts, tokens, strict=True):
            if self._size == len(text):
                text.append(token)
        self._size += 1


class _Written:
    """What an encoder-decoder has written about each source."""

    def __init__(
        self, model: EncoderDecoder, sources: Sequence[Sequence[int]], start_id: int
    ) -> None:
        self._model, self._context = model, read_sources(model, sources)
        self._caches = [LayerCache() for _ in model.layers]
        self._last = [start_id] * len(sources)

    def next_logits(self) -> Tensor:
        device = self._model.embed_tokens.weight.device
        ids_B1 = torch.tensor(self._last, device=device).unsqueeze(1)
        return self._model.continue_from(ids_B1, self._context, self._caches)

    def given(self, row: int) -> int | None:  # noqa: ARG002
        return None

    def add(self, tokens: Sequence[int]) -> None:
        self._last = list(tokens)


@torch.inference_mode()
def _grow(
    texts: _Texts, rows: int, max_new_tokens: int, sampling: Sampling, stop_id: int
) -> Tokens:
    draws = [torch.Generator().manual_seed(sampling.seed + row) for row in range(rows)]
    left = [max_new_tokens] * rows
    while any(left):
        logits_BV = texts.next_logits().float().cpu()
        check_logits(logits_BV)
        # What follows the end of a text is read beside the others, and of no account.
        following = [stop_id] * rows
        for row in range(rows):
            token = texts.given(row)
            if token is None and left[row]:
                token = _choose(logits_BV[row], sampling, draws[row])
                left[row] = 0 if token == stop_id else left[row] - 1
                if token != stop_id:
                    yield row, token
            following[row] = stop_id if token is None else token
        texts.add(following)


def _choose(logits_V: Tensor, sampling: Sampling, draws: torch.Generator) -> int:
    if sampling.temperature < _COLDEST:
        return int(logits_V.argmax())
    top = logits_V.topk(min(sampling.top_k or len(logits_V), len(logits_V)))
    shares = (top.values / sampling.temperature).softmax(-1)
    # The first token beyond the share is the last that can be drawn.
    shares = shares.masked_fill(shares.cumsum(-1) - shares >= sampling.top_p, 0.0)
    return int(top.indices[torch.multinomial(shares, 1, generator=draws)])
