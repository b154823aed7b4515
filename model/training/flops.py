"""Floating-point operations of training, from the shape of the network. Imports no torch."""

from model.config import CausalLMConfig


def flops_per_token(config: CausalLMConfig, vocab_size: int, sequence_length: int) -> int:
    """Operations to learn from one token, forward and backward, a multiply-add being two.

    Six for every weight of a matrix product, the head included and the embeddings not, and
    12 · layers · heads · head_dim · sequence_length for attention as if it were not causal
    (Chowdhery et al. 2022, PaLM, appendix B): the field's usual count, in which what is computed
    again for the backward pass does not appear.
    """
    heads = config.num_attention_heads * config.head_dim
    keys = config.num_key_value_heads * config.head_dim
    attention = config.hidden_size * (2 * heads + 2 * keys)
    mlp = 3 * config.hidden_size * config.intermediate_size
    weights = config.num_hidden_layers * (attention + mlp) + vocab_size * config.hidden_size
    return 6 * weights + 12 * config.num_hidden_layers * heads * sequence_length
