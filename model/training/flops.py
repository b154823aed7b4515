"""Floating-point operations of training, from the shape of the network. Imports no torch."""

from corpusmill.model.network.config import (
    BertConfig,
    DecoderConfig,
    EncoderDecoderConfig,
    GPT2Config,
    ModelConfig,
)

_MASKED = 0.15  # share of BERT's tokens that reach the head


def flops_per_token(config: ModelConfig, vocab_size: int, sequence_length: int) -> int:
    """Operations to learn from one token, forward and backward, a multiply-add being two.

    Six for every weight of a matrix product, the head included and the embeddings not, and
    12 · layers · heads · head_dim · sequence_length for attention as if it were not causal
    (Chowdhery et al. 2022, PaLM, appendix B): the field's usual count, in which what is computed
    again for the backward pass does not appear. Of an encoder-decoder, a token is read or written,
    as many of the one as of the other.
    """
    width = config.hidden_size
    if isinstance(config, DecoderConfig):
        heads = config.num_attention_heads * config.head_dim
        keys = config.num_key_value_heads * config.head_dim
        layer = width * (2 * heads + 2 * keys) + 3 * width * config.intermediate_size
        weights: float = config.num_hidden_layers * layer + vocab_size * width
        return round(6 * weights) + 12 * config.num_hidden_layers * heads * sequence_length
    layer = 4 * width * width + 2 * width * config.intermediate_size
    attention = 12 * width * sequence_length
    match config:
        case GPT2Config():
            weights = config.num_hidden_layers * layer + vocab_size * width
        case BertConfig():
            head = width * width + vocab_size * width
            weights = config.num_hidden_layers * layer + _MASKED * head
        case EncoderDecoderConfig():
            cross = config.num_decoder_layers * 4 * width * width
            weights = (config.num_hidden_layers * layer + cross + vocab_size * width) / 2
            attended = config.num_hidden_layers + config.num_decoder_layers
            return round(6 * weights + attention * attended / 2)
    return round(6 * weights + attention * config.num_hidden_layers)
