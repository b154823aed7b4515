"""The original Transformer as MarianMTModel, and with the norms first as Pegasus.

Of all encoder-decoders of transformers these two alone have sinusoidal positions, embeddings scaled
by √D and one vocabulary for both halves; they differ in where the norms stand.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from corpusmill.model.hf.format import Format, TensorMapping, linear, norm, rows
from corpusmill.model.network.attention import Attention
from corpusmill.model.network.block import Block
from corpusmill.model.network.config import EncoderDecoderConfig
from corpusmill.model.network.encoder_decoder import EncoderDecoder

_COPIES = ("model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight")
_SINUSOIDS = ("model.encoder.embed_positions.weight", "model.decoder.embed_positions.weight")


def _mappings(model: EncoderDecoder) -> dict[str, TensorMapping]:
    embeddings = rows(model, model.embed_tokens.weight)
    found = {"model.shared.weight": TensorMapping((embeddings,))}
    if model.head_bias is not None:
        bias = rows(model, model.head_bias)
        found["final_logits_bias"] = TensorMapping((bias,), leading=True)
    for half, layers in (("encoder", model.encoder), ("decoder", model.layers)):
        for number, block in enumerate(layers):
            found |= _block(f"model.{half}.layers.{number}", block)
    if model.encoder_norm is not None:
        found |= norm("model.encoder.layer_norm", model.encoder_norm)
    if model.norm is not None:
        found |= norm("model.decoder.layer_norm", model.norm)
    if model.lm_head is not None:
        found["lm_head.weight"] = TensorMapping((rows(model, model.lm_head.weight),))
        # Otherwise transformers ties none of them.
        found |= {name: TensorMapping((embeddings,)) for name in _COPIES}
    return found


def _block(name: str, block: Any) -> dict[str, TensorMapping]:
    assert isinstance(block, Block)
    found = _attention(f"{name}.self_attn", block.self_attn)
    found |= norm(f"{name}.self_attn_layer_norm", block.self_attn_norm)
    if block.cross_attn is not None:
        found |= _attention(f"{name}.encoder_attn", block.cross_attn)
        found |= norm(f"{name}.encoder_attn_layer_norm", block.cross_attn_norm)
    found |= linear(f"{name}.fc1", block.mlp.up_proj)
    found |= linear(f"{name}.fc2", block.mlp.down_proj)
    return found | norm(f"{name}.final_layer_norm", block.mlp_norm)


def _attention(name: str, attention: Attention) -> dict[str, TensorMapping]:
    return (
        linear(f"{name}.q_proj", attention.q_proj)
        | linear(f"{name}.k_proj", attention.k_proj)
        | linear(f"{name}.v_proj", attention.v_proj)
        | linear(f"{name}.out_proj", attention.o_proj)
    )


def _assumed(described: Mapping[str, Any]) -> Mapping[str, Any]:
    return {
        "tie_word_embeddings": True,
        "scale_embedding": False,
        "decoder_vocab_size": described.get("vocab_size"),
    }


MARIAN = Format(
    config=EncoderDecoderConfig,
    model_type="marian",
    architecture=lambda _: "MarianMTModel",
    fields={
        "hidden_size": "d_model",
        "num_encoder_layers": "encoder_layers",
        "num_decoder_layers": "decoder_layers",
        "num_attention_heads": "encoder_attention_heads",
        "intermediate_size": "encoder_ffn_dim",
        "max_position_embeddings": "max_position_embeddings",
        "hidden_act": "activation_function",
        "tie_word_embeddings": "tie_word_embeddings",
    },
    fixed={
        "scale_embedding": True,
        "share_encoder_decoder_embeddings": True,
        "is_encoder_decoder": True,
    },
    constants={"norm_first": False},
    assumed=_assumed,
    alike={
        "hidden_size": "d_model",
        "num_hidden_layers": "encoder_layers",
        "num_attention_heads": "encoder_attention_heads",
        "decoder_attention_heads": "encoder_attention_heads",
        "decoder_ffn_dim": "encoder_ffn_dim",
        "decoder_vocab_size": "vocab_size",
    },
    mappings=_mappings,
    copies=dict.fromkeys(("lm_head.weight", *_COPIES), "model.shared.weight"),
    sinusoids=_SINUSOIDS,
)
PEGASUS = replace(
    MARIAN,
    model_type="pegasus",
    architecture=lambda _: "PegasusForConditionalGeneration",
    constants={"norm_first": True},
    # Its class reports them as missing where they are not in the file.
    writes_sinusoids=True,
)
