"""What a model answers to a prompt: the text with what follows, filled in, or what it writes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from model.evaluation.causal import Writer
from model.evaluation.loaded import Loaded, load_for_use
from model.filling import fill_in, read_source
from model.generation import Sampling, write
from model.network.bert import Bert
from model.network.decoder import CausalNetwork
from model.network.encoder_decoder import EncoderDecoder
from model.objectives.vocabulary import Vocabulary, read_vocabulary


class Answerer(Protocol):
    """A model of any family, to be asked."""

    def answer(self, prompt: str, *, max_new_tokens: int, sampling: Sampling) -> str:
        """The prompt and what follows; the prompt filled in; or what is written about it."""


@dataclass(frozen=True)
class _Continuing:
    writer: Writer

    def answer(self, prompt: str, *, max_new_tokens: int, sampling: Sampling) -> str:
        return prompt + self.writer.continue_text(
            prompt, max_new_tokens=max_new_tokens, sampling=sampling
        )


@dataclass(frozen=True)
class _Filling:
    loaded: Loaded
    network: Bert
    vocabulary: Vocabulary

    def answer(self, prompt: str, **_: object) -> str:
        loaded = self.loaded
        return fill_in(
            self.network, loaded.tokenizer, self.vocabulary, prompt, loaded.sequence_length
        )


@dataclass(frozen=True)
class _Writing:
    loaded: Loaded
    network: EncoderDecoder
    vocabulary: Vocabulary

    def answer(self, prompt: str, *, max_new_tokens: int, sampling: Sampling) -> str:
        tokenizer, vocabulary = self.loaded.tokenizer, self.vocabulary
        written = write(
            self.network,
            read_source(prompt, tokenizer, vocabulary, self.loaded.sequence_length),
            start_id=vocabulary.require("pad"),
            stop_id=vocabulary.closing,
            max_new_tokens=max_new_tokens,
            sampling=sampling,
        )
        return str(tokenizer.decode(written, skip_special_tokens=False))


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
