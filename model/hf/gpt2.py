"""GPT-2 as GPT2LMHeadModel: its matrices lie transposed, its projections side by side."""

import re
from collections.abc import Mapping
from typing import Any

from corpusmill.model.hf.format import Format, TensorMapping, linear, norm, rows
from corpusmill.model.network.config import GPT2Config
from corpusmill.model.network.gpt2 import GPT2

# Masks that older files hold.
_BUFFERS = re.compile(r"\.attn\.(masked_)?bias$")


def _mappings(model: GPT2) -> dict[str, TensorMapping]:
    found = {
        "transformer.wte.weight": TensorMapping((rows(model, model.embed_tokens.weight),)),
        "transformer.wpe.weight": TensorMapping((model.embed_positions.weight,)),
        **norm("transformer.ln_f", model.norm),
    }
    for number, block in enumerate(model.blocks()):
        name, attention, mlp = f"transformer.h.{number}", block.self_attn, block.mlp
        projections = attention.q_proj, attention.k_proj, attention.v_proj
        found |= norm(f"{name}.ln_1", block.self_attn_norm)
        found |= linear(f"{name}.attn.c_attn", projections, transposed=True)
        found |= linear(f"{name}.attn.c_proj", attention.o_proj, transposed=True)
        found |= norm(f"{name}.ln_2", block.mlp_norm)
        found |= linear(f"{name}.mlp.c_fc", mlp.up_proj, transposed=True)
        found |= linear(f"{name}.mlp.c_proj", mlp.down_proj, transposed=True)
    if model.lm_head is not None:
        found["lm_head.weight"] = TensorMapping((rows(model, model.lm_head.weight),))
    return found


def _renamed(name: str) -> str | None:
    if _BUFFERS.search(name):
        return None
    # The files of the first release lack the name of the network itself.
    return name if name.startswith(("transformer.", "lm_head.")) else f"transformer.{name}"


def _assumed(described: Mapping[str, Any]) -> Mapping[str, Any]:
    width = described.get("n_embd")
    return {
        "n_inner": 4 * width if isinstance(width, int) else None,
        "activation_function": "gelu_new",
        "layer_norm_epsilon": 1e-5,
        "tie_word_embeddings": True,
    }


FORMAT = Format(
    config=GPT2Config,
    model_type="gpt2",
    architecture=lambda _: "GPT2LMHeadModel",
    fields={
        "hidden_size": "n_embd",
        "num_hidden_layers": "n_layer",
        "num_attention_heads": "n_head",
        "intermediate_size": "n_inner",
        "max_position_embeddings": "n_positions",
        "hidden_act": "activation_function",
        "layer_norm_eps": "layer_norm_epsilon",
        "tie_word_embeddings": "tie_word_embeddings",
    },
    fixed={
        "scale_attn_weights": True,
        "scale_attn_by_inverse_layer_idx": False,
        "add_cross_attention": False,
    },
    assumed=_assumed,
    alike={
        "hidden_size": "n_embd",
        "num_hidden_layers": "n_layer",
        "num_attention_heads": "n_head",
        "max_position_embeddings": "n_positions",
    },
    length="n_positions",
    mappings=_mappings,
    renamed=_renamed,
    copies={"lm_head.weight": "transformer.wte.weight"},
)
