"""The modern decoder as Qwen3ForCausalLM."""

from collections.abc import Mapping
from typing import Any

from corpusmill.model.hf.format import Format, TensorMapping, rows
from corpusmill.model.network.config import DecoderConfig
from corpusmill.model.network.decoder import Decoder

_ROPE = ("rope_scaling", "rope_parameters")
_BLOCK = {"self_attn_norm": "input_layernorm", "mlp_norm": "post_attention_layernorm"}


def _mappings(model: Decoder) -> dict[str, TensorMapping]:
    found = {}
    for name, parameter in model.named_parameters():
        by_token = name in ("embed_tokens.weight", "lm_head.weight")
        parts = name.split(".")
        theirs = ".".join(_BLOCK.get(part, part) for part in parts)
        found[theirs if name == "lm_head.weight" else f"model.{theirs}"] = TensorMapping(
            (rows(model, parameter) if by_token else parameter,)
        )
    return found


def _renamed(name: str) -> str:
    # A file of the network without its head lacks the name of the network.
    return name if name.startswith(("model.", "lm_head.")) else f"model.{name}"


def _spelled(described: Mapping[str, Any]) -> Mapping[str, Any]:
    """Rotary positions, and layers that look at everything, in the words of transformers 4.

    transformers 5 keeps the rotation in a group, which is believed before the field beside it; the
    group of transformers 4 is believed before both. What is left in a group is another rotation.
    """
    plain = dict(described)
    groups = {name: group for name in _ROPE if (group := plain.pop(name, None))}
    name, rope = next(iter(groups.items()), (_ROPE[0], {}))
    if isinstance(rope, dict) and _is_default(rope):
        plain["rope_theta"] = rope.get("rope_theta", plain.get("rope_theta", 10_000.0))
    else:
        plain[name] = rope
    kinds = plain.get("layer_types")
    if isinstance(kinds, list) and all(kind == "full_attention" for kind in kinds):
        del plain["layer_types"]
    return plain


def _is_default(rope: Mapping[str, Any]) -> bool:
    kind = rope.get("rope_type", rope.get("type", "default"))
    return kind == "default" and rope.keys() <= {"rope_type", "type", "rope_theta"}


FORMAT = Format(
    config=DecoderConfig,
    model_type="qwen3",
    architecture=lambda _: "Qwen3ForCausalLM",
    fields={name: name for name in DecoderConfig.model_fields if name != "architecture"},
    fixed={
        "hidden_act": "silu",
        "attention_bias": False,
        "use_sliding_window": False,
        "attention_dropout": 0.0,
    },
    spelled=_spelled,
    assumed=lambda _: {"tie_word_embeddings": False},
    mappings=_mappings,
    renamed=_renamed,
    copies={"lm_head.weight": "model.embed_tokens.weight"},
)
