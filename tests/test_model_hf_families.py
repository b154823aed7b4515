"""Every architecture goes out to transformers and comes back from it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import Tensor

from corpusmill.model.hf.folder import export_model, load_model
from corpusmill.model.network.base import LanguageModel
from corpusmill.model.network.bert import Bert
from corpusmill.model.network.config import BertConfig, ModelConfig
from corpusmill.model.network.encoder_decoder import EncoderDecoder
from corpusmill.model.network.positions import sinusoids
from corpusmill.model.tokenizer.config import TokenizerConfig
from corpusmill.model.tokenizer.training import train_tokenizer
from corpusmill.storage.errors import ModelError
from tests.corpora import speeches
from tests.networks import BERT_SHAPE, GPT2_SHAPE, NORM_FIRST, TRANSFORMER, random_network

VOCAB = 500
TRAINED = 48  # of 64 positions
UNTIED = {"tie_word_embeddings": False}
OURS: dict[str, tuple[ModelConfig, str]] = {
    "gpt2": (GPT2_SHAPE, "GPT2LMHeadModel"),
    "gpt2, untied": (GPT2_SHAPE.model_copy(update=UNTIED), "GPT2LMHeadModel"),
    "gpt2, squared relu": (
        GPT2_SHAPE.model_copy(update={"hidden_act": "relu2"}),
        "GPT2LMHeadModel",
    ),
    "bert": (BERT_SHAPE, "BertForPreTraining"),
    "bert, one head": (
        BERT_SHAPE.model_copy(update={"next_sentence": False}),
        "BertForMaskedLM",
    ),
    "transformer": (TRANSFORMER, "MarianMTModel"),
    "transformer, untied": (TRANSFORMER.model_copy(update=UNTIED), "MarianMTModel"),
    "norm first": (NORM_FIRST, "PegasusForConditionalGeneration"),
}
IDS = torch.randint(1, VOCAB, (3, 12), generator=torch.Generator().manual_seed(3))
LENGTHS = torch.tensor([12, 7, 1])
SEEN = torch.arange(12) < LENGTHS[:, None]

Tokenizers = Callable[[str], Path]


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory: pytest.TempPathFactory) -> Tokenizers:
    """A tokenizer folder for each family."""
    algorithms = {"causal_lm": "bpe", "masked_lm": "wordpiece", "encoder_decoder": "unigram"}
    folders = {}
    for family, algorithm in algorithms.items():
        folders[family] = tmp_path_factory.mktemp(family)
        config = TokenizerConfig.model_validate(
            {"vocab_size": VOCAB, "family": family, "algorithm": algorithm}
        )
        train_tokenizer(speeches(1), config, folders[family])
    return folders.__getitem__


@pytest.fixture(params=OURS)
def exported(
    request: pytest.FixtureRequest, tokenizers: Tokenizers, tmp_path: Path
) -> tuple[LanguageModel, Path, str]:
    config, architecture = OURS[request.param]
    network = random_network(config, VOCAB).eval()
    export_model(network, config, tokenizers(config.family), TRAINED, tmp_path / "exported")
    return network, tmp_path / "exported", architecture


def _theirs(directory: Path, architecture: str) -> Any:
    kind = getattr(transformers, architecture)
    model, loading = kind.from_pretrained(directory, output_loading_info=True)
    assert not loading["missing_keys"] and not loading["unexpected_keys"]
    return model.eval()


def _logits(network: LanguageModel, theirs: Any) -> list[tuple[Tensor, Tensor]]:
    """Pairs of logits, ours and theirs, where padding stands in neither."""
    with torch.no_grad():
        if isinstance(network, Bert):
            segments = (torch.arange(12) > 5).long().expand(3, -1)
            answer = theirs(IDS, attention_mask=SEEN.long(), token_type_ids=segments)
            ours = network(IDS, lengths_B=LENGTHS, segments_BT=segments)
            if not network.config.next_sentence:
                return [(ours[SEEN], answer.logits[SEEN])]
            judged = network.next_logits(network.hidden(IDS, LENGTHS, segments))
            found = answer.prediction_logits[SEEN]
            return [(ours[SEEN], found), (judged, answer.seq_relationship_logits)]
        if isinstance(network, EncoderDecoder):
            source = IDS.flip(1)
            answer = theirs(source, attention_mask=SEEN.long(), decoder_input_ids=IDS)
            return [(network(source, IDS, lengths_B=LENGTHS), answer.logits)]
        return [(network(IDS), theirs(IDS).logits)]


def test_transformers_computes_the_same_logits(exported: tuple[LanguageModel, Path, str]) -> None:
    network, directory, architecture = exported
    for ours, expected in _logits(network, _theirs(directory, architecture)):
        torch.testing.assert_close(ours, expected, atol=1e-4, rtol=1e-4)


def test_config_json_names_the_class(exported: tuple[LanguageModel, Path, str]) -> None:
    _, directory, architecture = exported
    assert transformers.AutoConfig.from_pretrained(directory).architectures == [architecture]


def test_what_transformers_saves_comes_back(
    exported: tuple[LanguageModel, Path, str], tmp_path: Path
) -> None:
    network, directory, architecture = exported
    _theirs(directory, architecture).save_pretrained(tmp_path / "theirs")
    back, config, sequence_length = load_model(tmp_path / "theirs")
    assert (config, sequence_length) == (network.config, TRAINED)
    for (name, ours), found in zip(network.named_parameters(), back.parameters(), strict=True):
        padded = name.startswith(("embed_tokens", "lm_head", "head_bias"))
        assert torch.equal(ours[:VOCAB], found[:VOCAB]) if padded else torch.equal(ours, found)


def test_a_round_trip_changes_no_byte(
    exported: tuple[LanguageModel, Path, str], tokenizers: Tokenizers, tmp_path: Path
) -> None:
    _, directory, _ = exported
    back, config, sequence_length = load_model(directory)
    export_model(back, config, tokenizers(config.family), sequence_length, tmp_path / "again")
    names = sorted(path.name for path in directory.iterdir())
    assert names == sorted(path.name for path in (tmp_path / "again").iterdir())
    for name in names:
        assert (directory / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


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
}
THEIRS: dict[str, tuple[str, dict[str, Any]]] = {
    "qwen3": ("Qwen3ForCausalLM", {**SMALL, "num_key_value_heads": 1, "head_dim": 8}),
    "gpt2": (
        "GPT2LMHeadModel",
        {"vocab_size": 90, "n_embd": 24, "n_head": 2, "n_layer": 2, "bos_token_id": 0},
    ),
    "bert": ("BertForPreTraining", {**SMALL, "intermediate_size": 30}),
    "bert, one head": ("BertForMaskedLM", {**SMALL, "intermediate_size": 30}),
    "marian": ("MarianMTModel", {**PAIR, "decoder_vocab_size": 90, "activation_function": "swish"}),
    "pegasus": ("PegasusForConditionalGeneration", {**PAIR, "activation_function": "relu"}),
}


@pytest.fixture(params=THEIRS)
def foreign(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Any, Path]:
    """A model as somebody else makes it."""
    architecture, sizes = THEIRS[request.param]
    kind = getattr(transformers, architecture)
    torch.manual_seed(0)
    model = kind(kind.config_class(**sizes)).eval()
    with torch.no_grad():
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            if "embed_positions" not in name and "inv_freq" not in name:
                tensor.add_((torch.randn(tensor.shape) * 0.2).to(tensor.dtype))
    model.save_pretrained(tmp_path / "foreign")
    return model, tmp_path / "foreign"


def test_a_model_made_by_transformers_computes_the_same_here(foreign: tuple[Any, Path]) -> None:
    theirs, directory = foreign
    network, _, _ = load_model(directory)
    global_ids = IDS % 88
    with torch.no_grad():
        if isinstance(network, Bert):
            found = network(global_ids, lengths_B=LENGTHS)[SEEN]
            answer = theirs(global_ids, attention_mask=SEEN.long())
            expected = answer[0][SEEN]
        elif isinstance(network, EncoderDecoder):
            found = network(global_ids.flip(1), global_ids, lengths_B=LENGTHS)
            expected = theirs(
                global_ids.flip(1), attention_mask=SEEN.long(), decoder_input_ids=global_ids
            ).logits
        else:
            found, expected = network(global_ids), theirs(global_ids).logits
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


WORDS = "bert.embeddings.word_embeddings.weight"
Rename = Callable[[dict[str, Tensor]], dict[str, Tensor]]
OLDER: dict[str, tuple[ModelConfig, Rename]] = {
    "gpt2 without a prefix, with masks": (
        GPT2_SHAPE,
        lambda t: (
            {name.removeprefix("transformer."): each for name, each in t.items()}
            | {"h.0.attn.bias": torch.ones(1, 1, 8, 8)}
        ),
    ),
    "bert with gamma and beta, and a tied head": (
        BERT_SHAPE,
        lambda t: (
            {
                name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
                    "LayerNorm.bias", "LayerNorm.beta"
                ): each
                for name, each in t.items()
            }
            | {
                "cls.predictions.decoder.weight": t[WORDS].clone(),
                "bert.embeddings.position_ids": torch.arange(4),
            }
        ),
    ),
    "marian with its sinusoids": (
        TRANSFORMER,
        lambda t: (
            t
            | {
                "model.encoder.embed_positions.weight": sinusoids(
                    torch.arange(64), 32, torch.bfloat16
                )
            }
        ),
    ),
}


@pytest.mark.parametrize("older", OLDER)
def test_names_of_older_files_are_understood(
    older: str, tokenizers: Tokenizers, tmp_path: Path
) -> None:
    config, rename = OLDER[older]
    network = random_network(config, VOCAB)
    export_model(network, config, tokenizers(config.family), 64, tmp_path)
    path = tmp_path / "model.safetensors"
    save_file(rename(load_file(path)), path)
    back, _, _ = load_model(tmp_path)
    assert torch.equal(network.embed_tokens.weight[:VOCAB], back.embed_tokens.weight[:VOCAB])


def test_weights_in_several_files_are_read_together(tokenizers: Tokenizers, tmp_path: Path) -> None:
    network = random_network(BERT_SHAPE, VOCAB)
    export_model(network, BERT_SHAPE, tokenizers("masked_lm"), 64, tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    (tmp_path / "model.safetensors").unlink()
    names = sorted(tensors)
    places = {name: f"part-{number % 2}.safetensors" for number, name in enumerate(names)}
    for part in sorted(set(places.values())):
        save_file({n: tensors[n] for n in names if places[n] == part}, tmp_path / part)
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": places}))
    back, _, _ = load_model(tmp_path)
    for ours, found in zip(network.blocks(), back.blocks(), strict=True):
        assert torch.equal(ours.mlp_norm.weight, found.mlp_norm.weight)  # type: ignore[arg-type]
    index.write_text(json.dumps({"weight_map": {"a": "../b.safetensors"}}))
    with pytest.raises(ModelError, match="expected a file beside it"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("config", "changes", "sentence"),
    [
        (TRANSFORMER, {"decoder_ffn_dim": 7}, "encoder_ffn_dim 48 and decoder_ffn_dim 7"),
        (TRANSFORMER, {"scale_embedding": False}, "has scale_embedding False, expected True"),
        (GPT2_SHAPE, {"scale_attn_by_inverse_layer_idx": True}, "expected False"),
        (GPT2_SHAPE, {"activation_function": "tanh"}, "hidden_act is 'tanh'"),
        (BERT_SHAPE, {"num_hidden_layers": 3}, "holds 2 layers, but config.json says 3"),
        (BERT_SHAPE, {"position_embedding_type": "relative_key"}, "expected 'absolute'"),
        (BERT_SHAPE, {"sequence_length": 0}, "lacks a usable sequence_length"),
    ],
)
def test_what_is_not_computed_here_is_refused_in_one_sentence(
    config: ModelConfig,
    changes: dict[str, Any],
    sentence: str,
    tokenizers: Tokenizers,
    tmp_path: Path,
) -> None:
    network = random_network(config, VOCAB)
    export_model(network, config, tokenizers(config.family), 64, tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(ModelError, match=sentence) as caught:
        load_model(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_a_tokenizer_of_another_family_is_refused(tokenizers: Tokenizers, tmp_path: Path) -> None:
    config = BertConfig(num_hidden_layers=1, hidden_size=32, intermediate_size=48)
    with pytest.raises(ModelError, match="names no pad_token, which masked_lm models need"):
        export_model(random_network(config, VOCAB), config, tokenizers("causal_lm"), 64, tmp_path)
