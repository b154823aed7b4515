"""Folders that others publish: what transformers computes of them is computed here, or refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import Tensor

from corpusmill.model.hf.folder import load_model
from corpusmill.model.network.bert import Bert
from corpusmill.model.network.encoder_decoder import EncoderDecoder
from corpusmill.storage.errors import ModelError

SMALL = {"vocab_size": 90, "hidden_size": 24, "num_attention_heads": 2, "num_hidden_layers": 2}
PAIR = {
    "vocab_size": 90,
    "d_model": 24,
    "encoder_layers": 2,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 30,
    "decoder_ffn_dim": 30,
    "scale_embedding": True,
    "pad_token_id": 89,
    "eos_token_id": 0,
    "decoder_start_token_id": 89,
    "max_position_embeddings": 32,
    "activation_function": "relu",
}
MADE: dict[str, tuple[str, dict[str, Any]]] = {
    "qwen3": (
        "Qwen3ForCausalLM",
        {**SMALL, "num_key_value_heads": 1, "head_dim": 8, "intermediate_size": 30},
    ),
    "gpt2": ("GPT2LMHeadModel", {"vocab_size": 90, "n_embd": 24, "n_head": 2, "n_layer": 2}),
    "bert": ("BertForPreTraining", {**SMALL, "intermediate_size": 30}),
    "marian": ("MarianMTModel", {**PAIR, "decoder_vocab_size": 90}),
    "pegasus": ("PegasusForConditionalGeneration", PAIR),
}
IDS = torch.randint(1, 88, (2, 12), generator=torch.Generator().manual_seed(3))
HEAD = "lm_head.weight"

Adopt = Callable[..., Path]
Change = Callable[[dict[str, Tensor]], dict[str, Tensor]]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A random model of each kind, as transformers saves it."""
    folders: dict[str, Path] = {}

    def make(name: str) -> Path:
        if name not in folders:
            architecture, sizes = MADE[name]
            kind = getattr(transformers, architecture)
            torch.manual_seed(0)
            model = kind(kind.config_class(**sizes))
            with torch.no_grad():
                for each, tensor in model.named_parameters():
                    if "embed_positions" not in each:
                        tensor.add_(torch.randn(tensor.shape) * 0.2)
            folders[name] = tmp_path_factory.mktemp(name)
            model.save_pretrained(folders[name])
        return folders[name]

    return make


@pytest.fixture
def adopt(published: Callable[[str], Path], tmp_path: Path) -> Adopt:
    def adopt(name: str, change: Change = lambda tensors: tensors, **fields: Any) -> Path:
        config = json.loads((published(name) / "config.json").read_text()) | fields
        config = {key: value for key, value in config.items() if value is not ...}
        (tmp_path / "config.json").write_text(json.dumps(config))
        tensors = change(load_file(published(name) / "model.safetensors"))
        save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
        return tmp_path

    return adopt


def _assert_same(directory: Path, architecture: str) -> None:
    theirs = getattr(transformers, architecture).from_pretrained(directory).eval()
    network, _, _ = load_model(directory)
    lengths = torch.full((len(IDS),), IDS.shape[1])
    with torch.no_grad():
        if isinstance(network, Bert):
            found, expected = network(IDS, lengths_B=lengths), theirs(IDS)[0]
        elif isinstance(network, EncoderDecoder):
            found = network(IDS.flip(1), IDS, lengths_B=lengths)
            expected = theirs(IDS.flip(1), decoder_input_ids=IDS).logits
        else:
            found, expected = network(IDS), theirs(IDS).logits
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def _other(like: str, name: str) -> Change:
    """Adds a tensor of the same shape with other numbers."""
    return lambda t: t | {name: t[like].flip(0).contiguous()}


def _again(like: str, *names: str) -> Change:
    return lambda t: t | {name: t[like].clone() for name in names}


def _moved(old: str, new: str) -> Change:
    return lambda t: {new if name == old else name: each for name, each in t.items()}


def _first_release(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """As bert-base-uncased is published."""
    older = {
        name.replace("Norm.weight", "Norm.gamma").replace("Norm.bias", "Norm.beta"): each
        for name, each in tensors.items()
    }
    head = "cls.predictions.decoder.weight"
    return _again("bert.embeddings.word_embeddings.weight", head)(older)


WORDS, WTE, SHARED = "model.embed_tokens.weight", "transformer.wte.weight", "model.shared.weight"
LIKE_THEIRS: dict[str, tuple[str, Change, dict[str, Any]]] = {
    "a rotation of transformers 4": ("qwen3", dict, {"rope_parameters": ..., "rope_theta": 99.0}),
    "a base that is said twice": (
        "qwen3",
        dict,
        {"rope_theta": 500.0, "rope_parameters": {"rope_type": "default", "rope_theta": 77.0}},
    ),
    "a base beside its group": ("qwen3", dict, {"rope_theta": 55.0, "rope_parameters": {}}),
    "no base at all": ("qwen3", dict, {"rope_parameters": ...}),
    "a group of transformers 4 beside one of 5": (
        "qwen3",
        dict,
        {
            "rope_theta": 66.0,
            "rope_scaling": {"type": "default"},
            "rope_parameters": {"rope_type": "default", "rope_theta": 77.0},
        },
    ),
    "layers that are all full": ("qwen3", dict, {"layer_types": ["full_attention"] * 2}),
    "a window that is not used": ("qwen3", dict, {"sliding_window": 4, "max_window_layers": 1}),
    "tied, with another head": ("qwen3", dict, {"tie_word_embeddings": True}),
    "tied, with the head alone": (
        "qwen3",
        lambda t: {name: each for name, each in t.items() if name != WORDS},
        {"tie_word_embeddings": True},
    ),
    "gpt2, tied, with another head": ("gpt2", _other(WTE, HEAD), {}),
    "gpt2, tied, with the head alone": ("gpt2", _moved(WTE, HEAD), {}),
    "gpt2 with names of all models": ("gpt2", dict, {"num_attention_heads": 2}),
    "marian with all copies": (
        "marian",
        _again(SHARED, HEAD, "model.encoder.embed_tokens.weight"),
        {},
    ),
    "marian, tied, with another head": ("marian", _other(SHARED, HEAD), {}),
    "marian with a copy alone": (
        "marian",
        _moved(SHARED, "model.decoder.embed_tokens.weight"),
        {},
    ),
    "marian with fields of BART": ("marian", dict, {"normalize_before": True}),
    "pegasus, tied, with another head": ("pegasus", _other(SHARED, HEAD), {}),
}


@pytest.mark.parametrize("case", LIKE_THEIRS)
def test_what_transformers_makes_of_a_folder_is_made_here(case: str, adopt: Adopt) -> None:
    name, change, fields = LIKE_THEIRS[case]
    _assert_same(adopt(name, change, **fields), MADE[name][0])


@pytest.mark.parametrize("architecture", ["BertForMaskedLM", "BertForPreTraining"])
def test_a_bert_as_published_has_both_heads_whatever_class_is_named(
    architecture: str, adopt: Adopt
) -> None:
    directory = adopt("bert", _first_release, architectures=[architecture], n_ctx=...)
    _assert_same(directory, "BertForPreTraining")
    assert load_model(directory)[1].next_sentence  # type: ignore[union-attr]


def test_a_bert_without_the_second_head_is_one_of_masked_tokens(adopt: Adopt) -> None:
    directory = adopt(
        "bert",
        lambda t: {name: each for name, each in t.items() if "seq_relationship" not in name},
        architectures=["BertForPreTraining"],
    )
    _assert_same(directory, "BertForMaskedLM")


REFUSED: dict[str, tuple[str, Change, dict[str, Any], str]] = {
    "linear": (
        "qwen3",
        dict,
        {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 99.0}},
        "has rope_parameters {'rope_type': 'linear'",
    ),
    "linear, as transformers 4 has it": (
        "qwen3",
        dict,
        {"rope_scaling": {"type": "linear", "factor": 2.0}},
        "has rope_scaling {'type': 'linear'",
    ),
    "a rotation a kind of layer": (
        "qwen3",
        dict,
        {"rope_parameters": {"full_attention": {"rope_type": "default"}}},
        "has rope_parameters {'full_attention'",
    ),
    "sliding layers": (
        "qwen3",
        dict,
        {"layer_types": ["full_attention", "sliding_attention"]},
        "has layer_types ['full_attention', 'sliding_attention'], which is not computed here",
    ),
    "windows": ("qwen3", dict, {"use_sliding_window": True}, "has use_sliding_window True"),
    "quantised": (
        "qwen3",
        dict,
        {"quantization_config": {"bits": 4}},
        "has quantization_config {'bits': 4}, which is not computed here",
    ),
    "a field of nobody": ("gpt2", dict, {"embedding_multiplier": 12}, "embedding_multiplier 12"),
    "other heads by another name": (
        "gpt2",
        dict,
        {"num_attention_heads": 3},
        "has n_head 2 and num_attention_heads 3",
    ),
    "a decoder": ("bert", dict, {"is_decoder": True}, "has is_decoder True, expected False"),
    "no scale": ("marian", dict, {"scale_embedding": ...}, "has scale_embedding False"),
    "another matrix before the loss": (
        "bert",
        _other("bert.embeddings.word_embeddings.weight", "cls.predictions.decoder.weight"),
        {},
        "holds cls.predictions.decoder.weight, which differs from bert.embeddings.word_embeddings",
    ),
    "another bias before the loss": (
        "bert",
        _other("cls.predictions.bias", "cls.predictions.decoder.bias"),
        {},
        "holds cls.predictions.decoder.bias, which differs",
    ),
    "other words to read": (
        "marian",
        _other(SHARED, "model.encoder.embed_tokens.weight"),
        {},
        "holds model.encoder.embed_tokens.weight, which differs from model.shared.weight",
    ),
    "positions that were learned": (
        "marian",
        lambda t: t | {"model.encoder.embed_positions.weight": torch.zeros(32, 24)},
        {},
        "which are not the sinusoids",
    ),
    "more positions than config.json says": (
        "marian",
        lambda t: t | {"model.encoder.embed_positions.weight": torch.zeros(32, 24)},
        {"max_position_embeddings": 10**9},
        "which are not the sinusoids",
    ),
    "untied without a head": (
        "gpt2",
        dict,
        {"tie_word_embeddings": False},
        "lacks the tensor lm_head.weight",
    ),
    "one tensor by two names": (
        "gpt2",
        _again(WTE, "wte.weight"),
        {},
        "holds transformer.wte.weight twice",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_computed_here_is_refused_by_name(case: str, adopt: Adopt) -> None:
    name, change, fields, sentence = REFUSED[case]
    with pytest.raises(ModelError) as caught:
        load_model(adopt(name, change, **fields))
    assert sentence in str(caught.value)
