"""Decoder weights in the Hugging Face format of Qwen3, out and back, without transformers.

What is written loads with `AutoModelForCausalLM.from_pretrained` and no remote code.
"""

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from model.config import CausalLMConfig
from model.decoder import Decoder
from model.tokenizer.control import end_of_text_id
from model.tokenizer.folder import load_tokenizer
from storage.config import parse
from storage.errors import ConfigError, ModelError

_WEIGHTS = "model.safetensors"
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
# What a Qwen3 config.json may say besides the sizes, and the only value that `Decoder` computes.
_FIXED = {
    "model_type": "qwen3",
    "hidden_act": "silu",
    "attention_bias": False,
    "use_sliding_window": False,
    "rope_scaling": None,
    "quantization_config": None,
}


def export_model(
    model: Decoder,
    config: CausalLMConfig,
    tokenizer_dir: Path,
    sequence_length: int,
    destination: Path,
) -> None:
    """Writes weights, config, generation config and tokenizer into `destination`.

    The same weights always give the same bytes. Rows that pad the vocabulary are left out.

    Raises:
        ModelError: the tokenizer folder is incomplete, or has more tokens than the model.
    """
    tokenizer = load_tokenizer(tokenizer_dir)
    if tokenizer.get_vocab_size() > model.vocab_size:
        raise ModelError(
            f"The tokenizer in {tokenizer_dir} has {tokenizer.get_vocab_size()} tokens, but the "
            f"model only {model.vocab_size}; export it with the tokenizer it was trained on."
        )
    ids = dict.fromkeys(("bos_token_id", "eos_token_id"), end_of_text_id(tokenizer))
    destination.mkdir(parents=True, exist_ok=True)
    for name in _TOKENIZER_FILES:
        if not (tokenizer_dir / name).is_file():
            raise ModelError(f"{tokenizer_dir / name} is missing; retrain or mend the tokenizer.")
        shutil.copyfile(tokenizer_dir / name, destination / name)
    described = _describe(config, model.vocab_size, sequence_length) | ids
    _write_json(destination / "config.json", described)
    generation = ids | {"pad_token_id": ids["eos_token_id"], "max_length": sequence_length}
    _write_json(destination / "generation_config.json", generation)
    save_file(_exported(model), destination / _WEIGHTS, metadata={"format": "pt"})


def load_model(
    directory: Path, compute_dtype: torch.dtype = torch.float32
) -> tuple[Decoder, CausalLMConfig, int]:
    """Reads a folder in the Hugging Face format of Qwen3.

    Returns:
        The model on the CPU, its shape and its sequence length.

    Raises:
        ModelError: a file is missing or unreadable, the architecture is another one, or a tensor
            is missing, superfluous or of another shape.
    """
    described = _read_json(directory / "config.json")
    config, vocab_size, sequence_length = _understand(described, directory / "config.json")
    tensors = _read_tensors(directory / _WEIGHTS)
    _check_layers(config, tensors, directory)
    try:
        # On the meta device nothing is allocated before the file has shown the same sizes.
        with torch.device("meta"):
            model = Decoder(config, vocab_size, compute_dtype)
    except (RuntimeError, OverflowError, TypeError) as error:
        raise ModelError(f"{directory / 'config.json'} has impossible sizes ({error}).") from error
    expected = {name: tensor.shape for name, tensor in _named(model).items()}
    if config.tie_word_embeddings:
        # Some published models store a tied head all the same.
        tensors.pop("lm_head.weight", None)
    _check_shapes(expected, tensors, directory / _WEIGHTS)
    model.to_empty(device="cpu")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        for name, tensor in _named(model).items():
            tensor.copy_(tensors[name])
    return model, config, sequence_length


def _named(model: Decoder) -> dict[str, Tensor]:
    """The parameters by their Hugging Face names, without the rows that pad the vocabulary."""
    named = {}
    for name, parameter in model.named_parameters():
        by_token = name in ("embed_tokens.weight", "lm_head.weight")
        view = parameter[: model.vocab_size] if by_token else parameter
        named[name if name == "lm_head.weight" else f"model.{name}"] = view
    return named


def _exported(model: Decoder) -> dict[str, Tensor]:
    return {
        name: tensor.detach().to(device="cpu", dtype=torch.float32).contiguous()
        for name, tensor in _named(model).items()
    }


def _describe(config: CausalLMConfig, vocab_size: int, sequence_length: int) -> dict[str, Any]:
    sizes = config.model_dump(exclude={"family"})
    fixed = {name: value for name, value in _FIXED.items() if value is not None}
    return (
        {"architectures": ["Qwen3ForCausalLM"], "dtype": "float32"}
        | fixed
        | sizes
        | {
            "vocab_size": vocab_size,
            "max_position_embeddings": sequence_length,
            "attention_dropout": 0.0,
            "initializer_range": 0.02,
            "use_cache": True,
        }
    )


def _understand(described: Mapping[str, Any], path: Path) -> tuple[CausalLMConfig, int, int]:
    for name, value in _FIXED.items():
        found = described.get(name, None if name == "model_type" else value)
        if found != value:
            raise ModelError(
                f"{path} has {name} {found!r}, expected {value!r}; only plain Qwen3 models load."
            )
    # transformers 5 keeps the base of the rotary positions in a group of its own.
    rope = described.get("rope_parameters") or {}
    if not isinstance(rope, dict) or rope.get("rope_type", "default") != "default":
        raise ModelError(f"{path} has rope_parameters {rope!r}, expected the default rotation.")
    values = {**rope, **described}
    sizes = {name: values[name] for name in CausalLMConfig.model_fields if name in values}
    missing = CausalLMConfig.model_fields.keys() - sizes - {"family"}
    counts = [described.get(name) for name in ("vocab_size", "max_position_embeddings")]
    if missing or not all(type(count) is int and count > 0 for count in counts):
        wanted = sorted(missing) or ["vocab_size", "max_position_embeddings"]
        raise ModelError(f"{path} lacks a usable {' and '.join(wanted)}; only Qwen3 models load.")
    try:
        return parse(CausalLMConfig, sizes), int(counts[0] or 0), int(counts[1] or 0)
    except ConfigError as error:
        raise ModelError(f"{path} does not describe a model: {error}") from error


def _check_layers(config: CausalLMConfig, tensors: Mapping[str, Tensor], directory: Path) -> None:
    # Before a model is built: a false number could otherwise ask for millions of layers.
    found = {match[1] for name in tensors if (match := re.match(r"model\.layers\.(\d+)\.", name))}
    if len(found) != config.num_hidden_layers:
        raise ModelError(
            f"{directory / _WEIGHTS} holds {len(found)} layers, but config.json says "
            f"{config.num_hidden_layers}; the files do not belong together."
        )


def _check_shapes(
    expected: Mapping[str, torch.Size], tensors: Mapping[str, Tensor], path: Path
) -> None:
    for name in sorted(expected.keys() | tensors.keys()):
        if name not in tensors:
            raise ModelError(f"{path} lacks the tensor {name} that its config.json needs.")
        if name not in expected:
            raise ModelError(f"{path} holds a tensor {name} that its config.json has no use for.")
        tensor = tensors[name]
        if tensor.shape != expected[name] or not tensor.is_floating_point():
            raise ModelError(
                f"{path} holds {name} as {tensor.dtype} {tuple(tensor.shape)}, expected floating "
                f"point {tuple(expected[name])} after its config.json."
            )


def _read_tensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path} is not a readable safetensors file ({error}).") from error


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} is not a readable JSON file ({error}).") from error
    if not isinstance(value, dict):
        raise ModelError(f"{path} holds {type(value).__name__}, expected a JSON object.")
    return value


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
