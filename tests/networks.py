"""Networks for tests."""

import torch

from model.config import CausalLMConfig
from model.decoder import Decoder


def random_decoder(vocab_size: int) -> Decoder:
    """A small decoder with grouped heads in which no weight is zero or one."""
    config = CausalLMConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        intermediate_size=48,
    )
    decoder = Decoder(config, vocab_size)
    decoder.init_weights(seed=0)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.3)
    return decoder
