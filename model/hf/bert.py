"""BERT as BertForPreTraining, with both heads, or as BertForMaskedLM."""

from collections.abc import Collection, Mapping
from typing import Any

from corpusmill.model.hf.format import Format, TensorMapping, linear, norm, rows
from corpusmill.model.network.bert import Bert
from corpusmill.model.network.config import BertConfig

_POOLER = ("bert.pooler.dense.weight", "bert.pooler.dense.bias")


def _mappings(model: Bert) -> dict[str, TensorMapping]:
    embeddings = "bert.embeddings"
    found = {
        f"{embeddings}.word_embeddings.weight": TensorMapping(
            (rows(model, model.embed_tokens.weight),)
        ),
        f"{embeddings}.position_embeddings.weight": TensorMapping((model.embed_positions.weight,)),
        f"{embeddings}.token_type_embeddings.weight": TensorMapping((model.embed_segments.weight,)),
        **norm(f"{embeddings}.LayerNorm", model.embedding_norm),
    }
    if model.head_bias is not None:
        found |= linear("cls.predictions.transform.dense", model.transform)
        found |= norm("cls.predictions.transform.LayerNorm", model.transform_norm)
        found["cls.predictions.bias"] = TensorMapping((rows(model, model.head_bias),))
    for number, block in enumerate(model.blocks()):
        name, attention = f"bert.encoder.layer.{number}", block.self_attn
        found |= linear(f"{name}.attention.self.query", attention.q_proj)
        found |= linear(f"{name}.attention.self.key", attention.k_proj)
        found |= linear(f"{name}.attention.self.value", attention.v_proj)
        found |= linear(f"{name}.attention.output.dense", attention.o_proj)
        found |= norm(f"{name}.attention.output.LayerNorm", block.self_attn_norm)
        found |= linear(f"{name}.intermediate.dense", block.mlp.up_proj)
        found |= linear(f"{name}.output.dense", block.mlp.down_proj)
        found |= norm(f"{name}.output.LayerNorm", block.mlp_norm)
    if model.pooler is not None:
        found |= linear("bert.pooler.dense", model.pooler)
        found |= linear("cls.seq_relationship", model.next_head)
    return found


def _renamed(name: str) -> str | None:
    if name.endswith("position_ids"):
        return None
    # As the first release called them.
    return name.replace("LayerNorm.gamma", "LayerNorm.weight").replace(
        "LayerNorm.beta", "LayerNorm.bias"
    )


def _read(names: Collection[str]) -> Mapping[str, Any]:
    # The class that config.json names is one of several that read the same file.
    return {"next_sentence": "cls.seq_relationship.weight" in names}


_NAMES = [name for name in BertConfig.model_fields if name not in ("architecture", "next_sentence")]

FORMAT = Format(
    config=BertConfig,
    model_type="bert",
    architecture=lambda config: "BertForPreTraining" if config.next_sentence else "BertForMaskedLM",
    fields={name: name for name in _NAMES},
    fixed={
        "position_embedding_type": "absolute",
        "is_decoder": False,
        "add_cross_attention": False,
        "tie_word_embeddings": True,
    },
    mappings=_mappings,
    renamed=_renamed,
    copies={
        "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
        "cls.predictions.decoder.bias": "cls.predictions.bias",
    },
    read=_read,
    # Only the second head looks at it.
    idle=lambda config: () if config.next_sentence else _POOLER,
)
