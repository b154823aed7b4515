"""What a model answers to a prompt: what follows it, the text filled in, or what it writes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tokenizers import Tokenizer

from corpusmill.model.inference.beams import beam_search
from corpusmill.model.inference.continuation import Writer
from corpusmill.model.inference.filling import check_length, fill_in, read_source
from corpusmill.model.inference.generation import Tokens, gather, write
from corpusmill.model.inference.loading import Loaded, load_for_use
from corpusmill.model.inference.request import Sampling
from corpusmill.model.network.bert import Bert
from corpusmill.model.network.decoder import CausalNetwork
from corpusmill.model.network.encoder_decoder import EncoderDecoder
from corpusmill.model.objectives.vocabulary import Vocabulary, read_vocabulary
from corpusmill.model.tokenizer.encoding import decode, encode_texts


class Answerer(Protocol):
    """A model of any family, to be asked.

    Attributes:
        continues: whether an answer goes on where its prompt ends.
    """

    continues: bool

    def answers(
        self, prompts: Sequence[str], *, max_new_tokens: int, sampling: Sampling
    ) -> list[str]:
        """What follows each prompt, the prompt filled in, or what is written about it.

        Raises:
            ConfigError: a prompt is longer than the model reads, or has nothing to fill in.
        """

    def stream(self, prompt: str, *, max_new_tokens: int, sampling: Sampling) -> Iterator[str]:
        """The answer to one prompt in pieces, as it is written; raises the same."""


@dataclass(frozen=True)
class _Continuing:
    writer: Writer
    continues = True

    def answers(
        self, prompts: Sequence[str], *, max_new_tokens: int, sampling: Sampling
    ) -> list[str]:
        self._check(prompts)
        return self.writer.continue_texts(prompts, max_new_tokens=max_new_tokens, sampling=sampling)

    def stream(self, prompt: str, *, max_new_tokens: int, sampling: Sampling) -> Iterator[str]:
        self._check([prompt])
        tokens = self.writer.tokens([prompt], max_new_tokens=max_new_tokens, sampling=sampling)
        return text_pieces(tokens, self.writer.tokenizer, skip_special_tokens=True)

    def _check(self, prompts: Sequence[str]) -> None:
        # The writer would read the end of a prompt that is too long, and say nothing.
        for ids in encode_texts(self.writer.tokenizer, prompts):
            check_length(1 + len(ids), self.writer.sequence_length)


@dataclass(frozen=True)
class _Filling:
    loaded: Loaded
    network: Bert
    vocabulary: Vocabulary
    continues = False

    def answers(self, prompts: Sequence[str], **_: object) -> list[str]:
        return [self._filled(prompt) for prompt in prompts]

    def stream(self, prompt: str, **_: object) -> Iterator[str]:
        yield self._filled(prompt)

    def _filled(self, prompt: str) -> str:
        loaded = self.loaded
        return fill_in(
            self.network, loaded.tokenizer, self.vocabulary, prompt, loaded.sequence_length
        )


@dataclass(frozen=True)
class _Writing:
    """Fills the gaps that sentinels leave in a prompt, or translates one that has none."""

    loaded: Loaded
    network: EncoderDecoder
    vocabulary: Vocabulary
    continues = False

    def answers(
        self, prompts: Sequence[str], *, max_new_tokens: int, sampling: Sampling
    ) -> list[str]:
        max_new_tokens = self._at_most(max_new_tokens)
        sources = [self._read(prompt) for prompt in prompts]
        gaps = [self._has_gaps(source) for source in sources]
        filled = [source for source, has in zip(sources, gaps, strict=True) if has]
        others = [source for source, has in zip(sources, gaps, strict=True) if not has]
        written = iter(gather(self._tokens(filled, max_new_tokens, sampling), len(filled)))
        translated = iter(self._translated(others, max_new_tokens))
        return [
            decode(
                self.loaded.tokenizer,
                next(written if has else translated),
                skip_special_tokens=not has,
            )
            for has in gaps
        ]

    def stream(self, prompt: str, *, max_new_tokens: int, sampling: Sampling) -> Iterator[str]:
        source = self._read(prompt)
        if self._has_gaps(source):
            tokens = self._tokens([source], self._at_most(max_new_tokens), sampling)
            yield from text_pieces(tokens, self.loaded.tokenizer, skip_special_tokens=False)
        else:
            # Which hypothesis is the best is known at the end.
            yield from self.answers([prompt], max_new_tokens=max_new_tokens, sampling=sampling)

    def _at_most(self, max_new_tokens: int) -> int:
        """Beyond what it has learned to read the decoder has learned to write nothing either."""
        return min(max_new_tokens, self.loaded.sequence_length)

    def _read(self, prompt: str) -> list[int]:
        loaded = self.loaded
        return read_source(prompt, loaded.tokenizer, self.vocabulary, loaded.sequence_length)

    def _has_gaps(self, source: list[int]) -> bool:
        return not set(self.vocabulary.sentinels).isdisjoint(source)

    def _translated(self, sources: list[list[int]], max_new_tokens: int) -> list[list[int]]:
        if not sources:
            return []
        return beam_search(
            self.network,
            sources,
            start_id=self.vocabulary.require("pad"),
            stop_id=self.vocabulary.closing,
            max_new_tokens=max_new_tokens,
        )

    def _tokens(self, sources: list[list[int]], max_new_tokens: int, sampling: Sampling) -> Tokens:
        if not sources:
            return iter(())
        return write(
            self.network,
            sources,
            start_id=self.vocabulary.require("pad"),
            stop_id=self.vocabulary.closing,
            max_new_tokens=max_new_tokens,
            sampling=sampling,
        )


def load_answerer(directory: Path) -> Answerer:
    """The model in a folder of the Hugging Face format.

    Raises:
        ModelError: the directory does not hold a model that can be asked.
    """
    loaded = load_for_use(directory)
    network = loaded.network
    if isinstance(network, CausalNetwork):
        return _Continuing(Writer(network, loaded.tokenizer, loaded.sequence_length))
    if isinstance(network, Bert):
        return _Filling(loaded, network, read_vocabulary(directory))
    assert isinstance(network, EncoderDecoder)
    return _Writing(loaded, network, read_vocabulary(directory))


def text_pieces(
    tokens: Tokens, tokenizer: Tokenizer, *, skip_special_tokens: bool
) -> Iterator[str]:
    """The text of tokens as it becomes certain: a character may be made of several of them."""
    ids, said = list[int](), 0
    for _, token in tokens:
        ids.append(token)
        text = decode(tokenizer, ids, skip_special_tokens=skip_special_tokens)
        if not text.endswith("\ufffd"):
            yield text[said:]
            said = len(text)
    yield decode(tokenizer, ids, skip_special_tokens=skip_special_tokens)[said:]
