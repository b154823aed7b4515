"""A model from a folder, ready for use."""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer

from corpusmill.model.device import COMPUTE_DTYPES, best_device, resolve_precision, use_threads
from corpusmill.model.hf.folder import load_model
from corpusmill.model.network.base import LanguageModel
from corpusmill.model.tokenizer.folder import load_tokenizer
from corpusmill.storage.manifest import digest_json
from corpusmill.storage.settings import Precision


@dataclass(frozen=True)
class Loaded:
    """A network in evaluation mode, with its tokenizer.

    Attributes:
        directory: that both were read from.
        sequence_length: tokens it has learned to read at once, however many positions it has.
    """

    directory: Path
    network: LanguageModel
    tokenizer: Tokenizer
    sequence_length: int

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return self.network.embed_tokens.weight.device

    @property
    def tokenizer_signature(self) -> str:
        """Which tokenizer it is: figures a token compare only where it is the same."""
        return f"tokenizer:{digest_json(json.loads(self.tokenizer.to_str()))[:12]}"


def load_for_use(directory: Path, precision: Precision = "auto") -> Loaded:
    """The model in a folder of the Hugging Face format, on the GPU if there is one.

    Raises:
        ModelError: the directory does not hold a model.
    """
    use_threads()
    dtype = COMPUTE_DTYPES[resolve_precision(precision)]
    network, _, sequence_length = load_model(directory, dtype)
    network = network.to(best_device()).eval()
    return Loaded(directory, network, load_tokenizer(directory), sequence_length)
