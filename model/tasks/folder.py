"""A network that answers with labels as a folder in the Hugging Face format, out and back.

Where transformers has a class that computes the same, as BertForSequenceClassification,
Qwen3ForSequenceClassification or GPT2ForSequenceClassification, config.json names it; head.json
says what the head is.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from corpusmill.model.files import CONFIG, HEAD, read_json, write_json
from corpusmill.model.hf.description import describe, format_for, understand
from corpusmill.model.hf.folder import fill, write_tensors, write_tokenizer
from corpusmill.model.hf.format import TensorMapping, linear
from corpusmill.model.hf.tensors import read_tensors
from corpusmill.model.network.base import LanguageModel
from corpusmill.model.network.build import build_network
from corpusmill.model.tasks.config import HeadConfig
from corpusmill.model.tasks.network import Labeller
from corpusmill.storage.config import parse, write_json_value
from corpusmill.storage.errors import ConfigError, ModelError

_CLASSES = {
    ("bert", "first"): "BertForSequenceClassification",
    ("qwen3", "last"): "Qwen3ForSequenceClassification",
    ("gpt2", "last"): "GPT2ForSequenceClassification",
}
_PROBLEMS = {
    "classification": "single_label_classification",
    "several": "multi_label_classification",
    "regression": "regression",
}
_POOLER = "bert.pooler.dense"


def export_labeller(
    model: Labeller, tokenizer: Path, sequence_length: int, destination: Path
) -> None:
    """Writes weights, config, head and tokenizer into `destination`; the same always as the same.

    Args:
        sequence_length: tokens of the longest text that the model has learned to read.

    Raises:
        ModelError: as `export_model`.
    """
    destination.mkdir(parents=True, exist_ok=True)
    ids = write_tokenizer(model, tokenizer, destination)
    if model.config.family == "causal_lm":
        # What stands behind a text, so that its last token is found.
        ids["pad_token_id"] = ids["eos_token_id"]
    described = describe(model.config, model.vocab_size, sequence_length)
    write_json(destination / CONFIG, described | ids | _of_head(model))
    # Mean and deviation go into the weights.
    plain = model.head.model_copy(update={"mean": 0.0, "std": 1.0})
    write_json_value(destination / HEAD, plain)
    tensors = {name: each.gather() for name, each in _mappings(model).items()}
    write_tensors(tensors | _scaled(model, tensors), destination)


def load_labeller(
    directory: Path, compute_dtype: torch.dtype = torch.float32
) -> tuple[Labeller, int]:
    """Reads a folder that `export_labeller` wrote.

    Returns:
        The model on the CPU, and the longest text that it has learned to read.

    Raises:
        ModelError: it is a language model, or a file is missing, unreadable or does not belong to
            the others.
    """
    if not is_labeller(directory):
        raise ModelError(
            f"{directory} has no {HEAD}, as a language model has none; expected a model that "
            "answers with labels: the flow finetune makes one of it."
        )
    path = directory / CONFIG
    _, shape, vocab_size, sequence_length = understand(read_json(path), path)
    try:
        head = parse(HeadConfig, read_json(directory / HEAD))
    except ConfigError as error:
        raise ModelError(f"{directory / HEAD} does not describe a head: {error}") from error
    with torch.device("meta"):
        model = Labeller(build_network(shape, vocab_size, compute_dtype), head)
    fill(model, _mappings, read_tensors(directory), directory)
    return model, sequence_length


def is_labeller(directory: Path) -> bool:
    """Whether a folder holds a network that answers with labels."""
    return (directory / HEAD).is_file()


def _of_head(model: Labeller) -> dict[str, Any]:
    """What config.json says of the head, in the words of transformers."""
    head, fmt = model.head, format_for(model.config)
    names = head.labels or ("LABEL_0",)
    found: dict[str, Any] = {
        "architectures": [name] if (name := _CLASSES.get((fmt.model_type, head.pooling))) else None,
        "id2label": {str(number): name for number, name in enumerate(names)},
        "label2id": {name: number for number, name in enumerate(names)},
        "problem_type": _PROBLEMS[head.kind],
    }
    return found


def _mappings(model: Labeller) -> dict[str, TensorMapping]:
    body: LanguageModel = model.body
    found: dict[str, TensorMapping] = dict(format_for(model.config).mappings(body))
    if model.pooler is not None:
        found |= linear(_POOLER, model.pooler)
    return found | linear(_name_of(model), model.classifier)


def _name_of(model: Labeller) -> str:
    return "score" if model.config.family == "causal_lm" else "classifier"


def _scaled(model: Labeller, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The head's tensors with the scale of the numbers that it tells taken in."""
    name, head = _name_of(model), model.head
    weight, bias = f"{name}.weight", f"{name}.bias"
    found = {weight: tensors[weight] * head.std}
    if bias in tensors:
        found[bias] = tensors[bias] * head.std + head.mean
    return found
