"""Networks for tests."""

import torch

from corpusmill.model.network.base import LanguageModel
from corpusmill.model.network.build import build_network
from corpusmill.model.network.config import (
    BertConfig,
    DecoderConfig,
    EncoderDecoderConfig,
    GPT2Config,
    ModelConfig,
)
from corpusmill.model.network.decoder import Decoder

DECODER = DecoderConfig(
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=8,
    intermediate_size=48,
)
_CLASSIC = {"hidden_size": 32, "intermediate_size": 48, "max_position_embeddings": 64}
GPT2_SHAPE = GPT2Config(num_hidden_layers=2, **_CLASSIC)
BERT_SHAPE = BertConfig(num_hidden_layers=2, next_sentence=True, **_CLASSIC)
TRANSFORMER = EncoderDecoderConfig(num_encoder_layers=2, num_decoder_layers=1, **_CLASSIC)
NORM_FIRST = TRANSFORMER.model_copy(update={"norm_first": True})
# One of each kind, by what it is called in a test.
SHAPES: dict[str, ModelConfig] = {
    "decoder": DECODER,
    "gpt2": GPT2_SHAPE,
    "bert": BERT_SHAPE,
    "transformer": TRANSFORMER,
    "transformer, norm first": NORM_FIRST,
}


def random_network(
    config: ModelConfig, vocab_size: int, dtype: torch.dtype = torch.float32
) -> LanguageModel:
    """A network in which no weight is zero or one, so that every path carries something."""
    network = build_network(config, vocab_size, dtype)
    network.init_weights(seed=0)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.3)
    return network


def random_decoder(vocab_size: int) -> Decoder:
    """A small decoder with grouped heads."""
    decoder = random_network(DECODER, vocab_size)
    assert isinstance(decoder, Decoder)
    return decoder
