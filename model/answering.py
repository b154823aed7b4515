"""What a model answers to a prompt: the text that follows, or the text filled in."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from model.evaluation.causal import Writer
from model.evaluation.loaded import Loaded, load_for_use
from model.filling import fill_in
from model.network.bert import Bert
from model.network.decoder import CausalNetwork
from model.objectives.vocabulary import Vocabulary, read_vocabulary
from storage.errors import ModelError


class Answerer(Protocol):
    """A model of any family, to be asked."""

    def answer(
        self, prompt: str, *, max_new_tokens: int, temperature: float, top_k: int, seed: int
    ) -> str:
        """The prompt and what the model makes of it, as one text."""


@dataclass(frozen=True)
class _Continuing:
    writer: Writer

    def answer(
        self, prompt: str, *, max_new_tokens: int, temperature: float, top_k: int, seed: int
    ) -> str:
        return prompt + self.writer.continue_text(
            prompt,
            max_new_tokens=max_new_tokens,
            temperature=temperature,
            top_k=top_k,
            seed=seed,
        )


@dataclass(frozen=True)
class _Filling:
    loaded: Loaded
    network: Bert
    vocabulary: Vocabulary

    def answer(self, prompt: str, **_: float) -> str:
        loaded = self.loaded
        return fill_in(
            self.network, loaded.tokenizer, self.vocabulary, prompt, loaded.sequence_length
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
    raise ModelError(f"{directory} holds a {network.config.family} model, which cannot be asked.")
