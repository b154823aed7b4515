"""A network that is to learn a task, as it begins."""

from pathlib import Path

import numpy as np
import torch

from corpusmill.model.hf.folder import load_model
from corpusmill.model.network.base import LanguageModel
from corpusmill.model.network.bert import Bert
from corpusmill.model.network.config import Family
from corpusmill.model.tasks.config import HeadConfig, MethodConfig, Pooling
from corpusmill.model.tasks.folder import is_labeller, load_labeller
from corpusmill.model.tasks.network import Labeller
from corpusmill.storage.errors import ConfigError
from corpusmill.storage.examples.reading import Examples, kind_of, label_names
from corpusmill.storage.examples.subsets import read_training

_POOLING: dict[Family, Pooling] = {
    "masked_lm": "first",
    "causal_lm": "last",
    "encoder_decoder": "mean",
}


def head_for(examples: Path, method: MethodConfig, family: Family) -> HeadConfig:
    """The head that these examples need on a network of this family.

    Raises:
        ArtifactError: the folder holds no examples.
        ConfigError: a pooling that the family cannot do.
    """
    pooling = method.pooling or _POOLING[family]
    if pooling == "last" and family != "causal_lm":
        raise ConfigError(
            f"method.pooling is last, but the last token of a {family} model has seen no more than "
            "any other; set it to mean, or leave it out."
        )
    if pooling == "first" and family != "masked_lm":
        raise ConfigError(
            "method.pooling is first, but only a masked_lm model begins with a token that has seen "
            f"the text, and this is a {family} model; set it to mean, or leave it out."
        )
    kind = kind_of(examples)
    if method.class_weights and kind != "classification":
        raise ConfigError(
            f"method.class_weights weighs the labels of classification, and task.kind is {kind}; "
            "leave it out."
        )
    if kind != "regression":
        return HeadConfig(kind=kind, labels=label_names(examples), pooling=pooling)
    numbers = np.array(read_training(examples, method.share).labels, np.float64)
    # The head of a decoder has no bias that a mean could become a part of.
    mean = 0.0 if family == "causal_lm" else float(numbers.mean())
    return HeadConfig(kind=kind, pooling=pooling, mean=mean, std=float(numbers.std()) or 1.0)


def start_labeller(
    directory: Path, dtype: torch.dtype, method: MethodConfig, examples: Path, seed: int
) -> tuple[Labeller, int]:
    """The network of a folder with a head, and how many tokens it can read at once already.

    Of one that answers with labels the head goes, and what it learned of them in its body stays.

    Raises:
        ModelError: the folder holds no model of ours.
        ArtifactError, ConfigError: as `head_for`.
    """
    pretrained, known_length = _pretrained(directory, dtype)
    head = head_for(examples, method, pretrained.config.family)
    body = _begun(pretrained, method, seed)
    kept = method.begins == "pretrained" and isinstance(body, Bert) and body.pooler is not None
    network = Labeller(body, head)
    network.init_head(seed, keep_pooler=kept)
    if method.class_weights:
        network.weights_C = _balanced(read_training(examples, method.share), head)
    if method.name == "head":
        network.body.requires_grad_(requires_grad=False)
    return network, known_length


def _pretrained(directory: Path, dtype: torch.dtype) -> tuple[LanguageModel, int]:
    if not is_labeller(directory):
        network, _, known_length = load_model(directory, dtype)
        return network, known_length
    labeller, known_length = load_labeller(directory, dtype)
    if isinstance(labeller.body, Bert):
        labeller.body.pooler = labeller.pooler
    return labeller.body, known_length


def _begun(pretrained: LanguageModel, method: MethodConfig, seed: int) -> LanguageModel:
    """The body with what is taken over of the pretrained one."""
    if method.begins == "pretrained":
        return pretrained
    body = pretrained.blank()
    body.init_weights(seed)
    if method.begins == "embeddings":
        with torch.no_grad():
            body.embed_tokens.weight.copy_(pretrained.embed_tokens.weight)
    return body


def _balanced(examples: Examples, head: HeadConfig) -> torch.Tensor:
    """Weights by which each label weighs as much as any other, 1 on average over the examples."""
    labels = examples.labels
    counts = np.array([max(1, labels.count(name)) for name in head.labels])  # type: ignore[arg-type]
    weights = len(labels) / len(head.labels) / counts
    return torch.tensor(weights, dtype=torch.float32)
