"""A network as a folder in the Hugging Face format, out and back, without transformers.

What is written loads with an Auto class of transformers and no remote code.
"""

import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import Tensor

from corpusmill.model.files import CONFIG, WEIGHTS, read_json, write_json
from corpusmill.model.finite import first_not_finite
from corpusmill.model.hf.description import describe, format_for, understand
from corpusmill.model.hf.families import check_language_model
from corpusmill.model.hf.format import Format, TensorMapping
from corpusmill.model.hf.repeated import positions_of, resolve
from corpusmill.model.hf.tensors import read_tensors
from corpusmill.model.network.base import LanguageModel, Network
from corpusmill.model.network.build import build_network
from corpusmill.model.network.config import ModelConfig
from corpusmill.model.tokenizer.control import end_of_text_id, read_roles
from corpusmill.model.tokenizer.folder import load_tokenizer
from corpusmill.storage.errors import ModelError

_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
_LAYER = re.compile(r"^(.*?(?:layers?|h))\.(\d+)\.")


def export_model(
    model: LanguageModel,
    config: ModelConfig,
    tokenizer_dir: Path,
    sequence_length: int,
    destination: Path,
) -> None:
    """Writes weights, config, generation config and tokenizer into `destination`.

    The same weights always give the same bytes. Rows that pad the vocabulary are left out.

    Args:
        sequence_length: tokens of the longest sequence that the model has learned to read.

    Raises:
        ModelError: the tokenizer folder is incomplete, or has more tokens than the model; a weight
            is not finite.
    """
    ids = write_tokenizer(model, tokenizer_dir, destination)
    write_json(destination / CONFIG, describe(config, model.vocab_size, sequence_length) | ids)
    if config.family != "masked_lm":
        generation = {"pad_token_id": ids["eos_token_id"], **ids, "max_length": sequence_length}
        write_json(destination / "generation_config.json", generation)
    fmt = format_for(config)
    tensors = {name: each.gather() for name, each in fmt.mappings(model).items()}
    tensors |= positions_of(fmt, config) if fmt.writes_sinusoids else {}
    write_tensors(tensors, destination)


def write_tokenizer(model: Network, tokenizer_dir: Path, destination: Path) -> dict[str, Any]:
    """Copies the files of the tokenizer, and returns the ids of control tokens for config.json.

    Raises:
        ModelError: the tokenizer folder is incomplete, or has more tokens than the model.
    """
    tokenizer = load_tokenizer(tokenizer_dir)
    if tokenizer.get_vocab_size() > model.vocab_size:
        raise ModelError(
            f"The tokenizer in {tokenizer_dir} has {tokenizer.get_vocab_size()} tokens, but the "
            f"model only {model.vocab_size}; export it with the tokenizer it was trained on."
        )
    destination.mkdir(parents=True, exist_ok=True)
    for name in _TOKENIZER_FILES:
        if not (tokenizer_dir / name).is_file():
            raise ModelError(f"{tokenizer_dir / name} is missing; retrain or mend the tokenizer.")
        shutil.copyfile(tokenizer_dir / name, destination / name)
    return _control_ids(model.config, tokenizer, tokenizer_dir)


def write_tensors(tensors: Mapping[str, Tensor], destination: Path) -> None:
    """Writes the weights.

    Raises:
        ModelError: one is not finite.
    """
    _check_finite(tensors, destination)
    save_file(_apart(tensors), destination / WEIGHTS, metadata={"format": "pt"})


def load_model(
    directory: Path, compute_dtype: torch.dtype = torch.float32
) -> tuple[LanguageModel, ModelConfig, int]:
    """Reads a folder in the Hugging Face format.

    Returns:
        The model on the CPU, its shape and the longest sequence that it has learned to read.

    Raises:
        ModelError: a file is missing or unreadable, the architecture is none of ours, it answers
            with labels, or a tensor is missing, superfluous, of another shape or not finite.
    """
    check_language_model(directory)
    path, weights = directory / CONFIG, directory / WEIGHTS
    fmt, shape, vocab_size, sequence_length = understand(read_json(path), path)
    config, tensors = resolve(fmt, shape, _renamed(fmt, read_tensors(directory), weights), weights)
    _check_layers(config, tensors, directory)
    try:
        # On the meta device nothing is allocated before the file has shown the same sizes.
        with torch.device("meta"):
            model = build_network(config, vocab_size, compute_dtype)
    except (RuntimeError, OverflowError, TypeError) as error:
        raise ModelError(f"{path} has impossible sizes ({error}).") from error
    fill(model, fmt.mappings, tensors, directory)
    return model, config, sequence_length


N = TypeVar("N", bound=Network)


def fill(
    model: N,
    mappings: Callable[[N], Mapping[str, TensorMapping]],
    tensors: Mapping[str, Tensor],
    directory: Path,
) -> None:
    """Fills a network on the meta device, which comes to the CPU, with the tensors of a folder.

    Raises:
        ModelError: one is missing, superfluous, of another shape or not finite.
    """
    _check_shapes(mappings(model), tensors, directory / WEIGHTS)
    model.to_empty(device="cpu")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        for name, each in mappings(model).items():
            each.fill(tensors[name])
    _check_finite(dict(model.named_parameters()), directory)


def _control_ids(config: ModelConfig, tokenizer: Tokenizer, directory: Path) -> dict[str, Any]:
    """Ids of the control tokens that config.json and generation_config.json name."""
    if config.family == "causal_lm":
        return dict.fromkeys(("bos_token_id", "eos_token_id"), end_of_text_id(tokenizer))
    roles = read_roles(directory)
    pad = tokenizer.token_to_id(roles.get("pad_token", ""))
    if pad is None:
        raise ModelError(
            f"{directory} names no pad_token, which {config.family} models need; expected a "
            f"tokenizer with tokenizer.family {config.family}."
        )
    if config.family == "masked_lm":
        return {"pad_token_id": pad}
    ends = dict.fromkeys(("eos_token_id", "forced_eos_token_id"), end_of_text_id(tokenizer))
    # The end is forced on nobody.
    return {"pad_token_id": pad, "decoder_start_token_id": pad, **ends, "forced_eos_token_id": None}


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """No two share memory, which safetensors refuses."""
    return {name: tensor.clone() for name, tensor in tensors.items()}


def _renamed(fmt: Format, tensors: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for old, tensor in tensors.items():
        new = fmt.renamed(old)
        if new in found:
            raise ModelError(f"{path} holds {new} twice, once as {old}; expected one of them.")
        if new is not None:
            found[new] = tensor
    return found


def _check_layers(config: ModelConfig, tensors: Mapping[str, Tensor], directory: Path) -> None:
    # Before a model is built: a false number could otherwise ask for millions of layers.
    found = {match.groups() for name in tensors if (match := _LAYER.match(name))}
    if len(found) != config.num_hidden_layers:
        raise ModelError(
            f"{directory / WEIGHTS} holds {len(found)} layers, but config.json says "
            f"{config.num_hidden_layers}; the files do not belong together."
        )


def _check_finite(tensors: Mapping[str, Tensor], directory: Path) -> None:
    if name := first_not_finite(tensors):
        raise ModelError(
            f"{name} of the model in {directory} holds infinities or NaN, expected finite numbers; "
            "train it again with a lower rate, or take another model."
        )


def _check_shapes(
    expected: Mapping[str, TensorMapping], tensors: Mapping[str, Tensor], path: Path
) -> None:
    for name in sorted(expected.keys() | tensors.keys()):
        if name not in tensors:
            raise ModelError(f"{path} lacks the tensor {name} that its config.json needs.")
        if name not in expected:
            raise ModelError(f"{path} holds a tensor {name} that its config.json has no use for.")
        tensor, shape = tensors[name], expected[name].shape
        if tensor.shape != shape or not tensor.is_floating_point():
            raise ModelError(
                f"{path} holds {name} as {tensor.dtype} {tuple(tensor.shape)}, expected floating "
                f"point {tuple(shape)} after its config.json."
            )
