"""The modern decoder as Qwen3ForCausalLM."""

from collections.abc import Mapping
from typing import Any

from model.hf.format import Format, Stored, rows
from model.network.config import DecoderConfig
from model.network.decoder import Decoder

_BLOCK = {"self_attn_norm": "input_layernorm", "mlp_norm": "post_attention_layernorm"}


def _stored(model: Decoder) -> dict[str, Stored]:
    found = {}
    for name, parameter in model.named_parameters():
        by_token = name in ("embed_tokens.weight", "lm_head.weight")
        parts = name.split(".")
        theirs = ".".join(_BLOCK.get(part, part) for part in parts)
        found[theirs if name == "lm_head.weight" else f"model.{theirs}"] = Stored(
            (rows(model, parameter) if by_token else parameter,)
        )
    return found


def _rope(described: Mapping[str, Any]) -> Mapping[str, Any]:
    # transformers 5 keeps the base of the rotary positions in a group of its own.
    rope = described.get("rope_parameters") or {}
    return {name: rope[name] for name in ("rope_theta",) if name in rope}


FORMAT = Format(
    config=DecoderConfig,
    model_type="qwen3",
    architecture=lambda _: "Qwen3ForCausalLM",
    fields={name: name for name in DecoderConfig.model_fields if name != "architecture"},
    fixed={
        "hidden_act": "silu",
        "attention_bias": False,
        "use_sliding_window": False,
        "rope_scaling": None,
        "attention_dropout": 0.0,
        "quantization_config": None,
    },
    assumed=_rope,
    stored=_stored,
)
