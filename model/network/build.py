"""The network of a shape."""

import torch

from corpusmill.model.network.base import LanguageModel
from corpusmill.model.network.bert import Bert
from corpusmill.model.network.config import (
    BertConfig,
    DecoderConfig,
    EncoderDecoderConfig,
    GPT2Config,
    ModelConfig,
)
from corpusmill.model.network.decoder import Decoder
from corpusmill.model.network.encoder_decoder import EncoderDecoder
from corpusmill.model.network.gpt2 import GPT2


def build_network(
    config: ModelConfig, vocab_size: int, compute_dtype: torch.dtype = torch.float32
) -> LanguageModel:
    """A network whose weights are still to be filled, by `init_weights` or from a file."""
    match config:
        case DecoderConfig():
            return Decoder(config, vocab_size, compute_dtype)
        case GPT2Config():
            return GPT2(config, vocab_size, compute_dtype)
        case BertConfig():
            return Bert(config, vocab_size, compute_dtype)
        case EncoderDecoderConfig():
            return EncoderDecoder(config, vocab_size, compute_dtype)
