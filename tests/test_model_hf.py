"""The Hugging Face format: what transformers makes of our files, and what we refuse."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from corpusmill.model.hf.folder import export_model, load_model
from corpusmill.model.inference.generation import gather, generate
from corpusmill.model.inference.request import Sampling
from corpusmill.model.network.config import DecoderConfig
from corpusmill.model.network.decoder import Decoder
from corpusmill.model.tokenizer.config import TokenizerConfig
from corpusmill.model.tokenizer.folder import load_tokenizer
from corpusmill.model.tokenizer.training import train_tokenizer
from corpusmill.storage.errors import ModelError
from tests.corpora import speeches

VOCAB = 500
SMALL = DecoderConfig(
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=16,
    intermediate_size=48,
    rope_theta=1234.0,
    rms_norm_eps=1e-5,
    tie_word_embeddings=True,
)
UNTIED = SMALL.model_copy(update={"tie_word_embeddings": False})


@pytest.fixture(scope="module")
def text() -> str:
    return speeches(1)[0]


@pytest.fixture(scope="module")
def tokenizer_dir(text: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("tokenizer")
    train_tokenizer([text], TokenizerConfig(vocab_size=VOCAB), directory)
    return directory


def _decoder(config: DecoderConfig = SMALL) -> Decoder:
    model = Decoder(config, VOCAB)
    model.init_weights(seed=0)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.1)
    return model


@pytest.fixture(params=[SMALL, UNTIED], ids=["tied", "untied"])
def exported(
    request: pytest.FixtureRequest, tokenizer_dir: Path, tmp_path: Path
) -> tuple[Decoder, Path]:
    model = _decoder(request.param)
    export_model(model, request.param, tokenizer_dir, 64, tmp_path / "exported")
    return model, tmp_path / "exported"


def _transformers_model(directory: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(directory)


def _ids() -> Tensor:
    return torch.randint(0, VOCAB, (2, 40), generator=torch.Generator().manual_seed(4))


def test_transformers_computes_the_same_logits(exported: tuple[Decoder, Path]) -> None:
    model, directory = exported
    theirs = _transformers_model(directory)
    assert type(theirs).__name__ == "Qwen3ForCausalLM"
    assert theirs.dtype == torch.float32
    assert theirs.config.max_position_embeddings == 64
    assert theirs.generation_config.max_length == 64
    with torch.no_grad():
        expected, ours = theirs(_ids()).logits, model(_ids())
    assert ours.shape == expected.shape
    torch.testing.assert_close(ours, expected, atol=1e-4, rtol=1e-4)


def test_transformers_generates_the_same_greedy_tokens(exported: tuple[Decoder, Path]) -> None:
    model, directory = exported
    theirs = _transformers_model(directory)
    prompt = _ids()[0, :8]
    expected = theirs.generate(
        prompt[None], attention_mask=torch.ones(1, 8), max_new_tokens=20, do_sample=False
    )[0, 8:].tolist()
    stop = theirs.generation_config.eos_token_id
    tokens = generate(
        model,
        [prompt.tolist()],
        sequence_length=64,
        max_new_tokens=20,
        sampling=Sampling(temperature=0),
        stop_id=stop,
    )
    assert gather(tokens, 1)[0] == [token for token in expected if token != stop]


def test_transformers_loads_the_tokenizer_and_the_control_ids(
    exported: tuple[Decoder, Path], tokenizer_dir: Path, text: str
) -> None:
    theirs = AutoTokenizer.from_pretrained(exported[1])
    ours = load_tokenizer(tokenizer_dir)
    assert theirs(text)["input_ids"] == ours.encode(text).ids
    end = ours.token_to_id("<|endoftext|>")
    for config in (AutoConfig, GenerationConfig):
        loaded = config.from_pretrained(exported[1])
        assert (loaded.bos_token_id, loaded.eos_token_id) == (end, end)
    assert theirs.eos_token_id == end


def test_what_transformers_saves_comes_back(exported: tuple[Decoder, Path], tmp_path: Path) -> None:
    model, directory = exported
    _transformers_model(directory).save_pretrained(tmp_path / "theirs")
    back, config, sequence_length = load_model(tmp_path / "theirs")
    assert (config, sequence_length) == (model.config, 64)
    assert torch.equal(back(_ids()), model(_ids()))


def test_a_round_trip_changes_no_byte(
    exported: tuple[Decoder, Path], tokenizer_dir: Path, tmp_path: Path
) -> None:
    model, directory = exported
    back, config, sequence_length = load_model(directory)
    assert (config, back.vocab_size) == (model.config, VOCAB)
    export_model(back, config, tokenizer_dir, sequence_length, tmp_path / "again")
    names = sorted(path.name for path in directory.iterdir())
    assert names == sorted(path.name for path in (tmp_path / "again").iterdir())
    for name in names:
        assert (directory / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_a_loaded_model_computes_in_the_dtype_asked_for(exported: tuple[Decoder, Path]) -> None:
    back, _, _ = load_model(exported[1], torch.bfloat16)
    assert back(_ids()).dtype == torch.bfloat16
    assert {parameter.dtype for parameter in back.parameters()} == {torch.float32}


def test_a_tied_head_that_is_stored_all_the_same_is_accepted(
    tokenizer_dir: Path, tmp_path: Path
) -> None:
    model = _decoder()
    export_model(model, SMALL, tokenizer_dir, 64, tmp_path)
    _change_tensors(lambda t: t | {"lm_head.weight": t["model.embed_tokens.weight"].clone()})(
        tmp_path
    )
    assert torch.equal(load_model(tmp_path)[0](_ids()), model(_ids()))


def test_a_tokenizer_with_more_tokens_than_the_model_is_refused(
    tokenizer_dir: Path, tmp_path: Path
) -> None:
    model = Decoder(SMALL, VOCAB - 1)
    model.init_weights(0)
    with pytest.raises(ModelError, match="has 500 tokens, but the model only 499"):
        export_model(model, SMALL, tokenizer_dir, 64, tmp_path)


def test_an_incomplete_tokenizer_folder_is_refused(tokenizer_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_bytes((tokenizer_dir / "tokenizer.json").read_bytes())
    with pytest.raises(ModelError, match=r"tokenizer_config\.json is missing"):
        export_model(_decoder(), SMALL, tmp_path, 64, tmp_path / "exported")


Damage = Callable[[Path], object]


def _change_config(**changes: Any) -> Damage:
    def damage(directory: Path) -> None:
        path = directory / "config.json"
        values = json.loads(path.read_text()) | changes
        path.write_text(json.dumps({k: v for k, v in values.items() if v is not ...}))

    return damage


def _change_tensors(change: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> Damage:
    def damage(directory: Path) -> None:
        path = directory / "model.safetensors"
        save_file(change(load_file(path)), path)

    return damage


def _write(name: str, content: bytes) -> Damage:
    return lambda directory: (directory / name).write_bytes(content)


def _remove(name: str) -> Damage:
    return lambda directory: (directory / name).unlink()


GAIN, QUERY = "model.norm.weight", "model.layers.0.self_attn.q_proj.weight"


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (_remove("config.json"), "config.json is not a readable JSON file"),
        (_write("config.json", b"{"), "config.json is not a readable JSON file"),
        (_write("config.json", b"\xff\xfe"), "config.json is not a readable JSON file"),
        (_write("config.json", b"[1]"), "holds list, expected a JSON object"),
        (_write("config.json", b"{}"), "has model_type None, expected one of qwen3, gpt2"),
        (_change_config(model_type="llama"), "has model_type 'llama', expected one of qwen3, gpt2"),
        (_change_config(hidden_act="gelu"), "has hidden_act 'gelu', expected 'silu'"),
        (_change_config(attention_bias=True), "has attention_bias True, expected False"),
        (_change_config(rope_scaling={"factor": 2}), "has rope_scaling"),
        (_change_config(rope_parameters={"rope_type": "yarn"}), "has rope_parameters"),
        (_change_config(rope_parameters=3), "has rope_parameters 3"),
        (_change_config(hidden_size=...), "lacks a usable hidden_size"),
        (_change_config(vocab_size="many"), "lacks a usable vocab_size"),
        (_change_config(vocab_size=True), "lacks a usable vocab_size"),
        (_change_config(hidden_size=-3), "does not describe a model: hidden_size is -3"),
        (_change_config(num_key_value_heads=3), "is not a multiple of"),
        (_change_config(num_hidden_layers=10**9), "holds 2 layers, but config.json says"),
        (_change_config(intermediate_size=10**12), "as torch.float32"),
        (_change_config(intermediate_size=10**30), "has impossible sizes"),
        (_change_config(vocab_size=10**9), r"as torch\.float32 \(500, 32\), expected"),
        (_remove("model.safetensors"), "is not a readable safetensors file"),
        (_write("model.safetensors", b""), "is not a readable safetensors file"),
        (_write("model.safetensors", b"\xff" * 64), "is not a readable safetensors file"),
        (_change_tensors(lambda _: {}), "holds 0 layers, but config.json says 2"),
        (
            _change_tensors(lambda t: {k: v for k, v in t.items() if k != GAIN}),
            f"lacks the tensor {GAIN}",
        ),
        (
            _change_tensors(lambda t: t | {"model.layers.0.extra": torch.ones(1)}),
            "holds a tensor model.layers.0.extra that",
        ),
        (
            _change_tensors(lambda t: t | {QUERY: t[QUERY].T.contiguous()}),
            r"as torch\.float32 \(32, 64\), expected floating point \(64, 32\)",
        ),
        (
            _change_tensors(lambda t: t | {GAIN: t[GAIN].to(torch.int32)}),
            r"as torch\.int32",
        ),
    ],
)
def test_a_damaged_folder_is_refused_in_one_sentence(
    damage: Damage, sentence: str, tokenizer_dir: Path, tmp_path: Path
) -> None:
    export_model(_decoder(), SMALL, tokenizer_dir, 64, tmp_path)
    damage(tmp_path)
    with pytest.raises(ModelError, match=sentence) as caught:
        load_model(tmp_path)
    assert str(tmp_path) in str(caught.value)
