"""Tensors that say what follows from others or from the shape: copies, positions, idle ones.

What a file holds is looked at before it is left out: a copy that differs is none.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from corpusmill.model.hf.format import Format
from corpusmill.model.network.config import ModelConfig
from corpusmill.model.network.positions import sinusoids
from corpusmill.storage.errors import ModelError

_HEAD = "lm_head.weight"
_TIED = "tie_word_embeddings"
_ROUNDING = 1 / 256  # of numbers up to one in bf16


def resolve(
    fmt: Format, config: ModelConfig, tensors: Mapping[str, Tensor], path: Path
) -> tuple[ModelConfig, dict[str, Tensor]]:
    """The shape that a file's tensors show, and those of them that a network of it has.

    As in transformers, a head is tied where config.json says so and the file holds no other, and
    of tied tensors one is enough, whichever it is.

    Raises:
        ModelError: tensors that have to be alike differ.
    """
    config = config.model_copy(update=dict(fmt.read(tensors)))
    found = {name: each for name, each in tensors.items() if name not in fmt.idle(config)}
    _drop_positions(fmt, config, found, path)
    tied = getattr(config, _TIED, True)
    if tied:
        _complete(fmt, found)
    others = [name for name, first in fmt.copies.items() if _differ(found, name, first)]
    if _HEAD in others and _TIED in type(config).model_fields:
        others.remove(_HEAD)
        config, tied = config.model_copy(update={_TIED: False}), False
    if others:
        raise ModelError(
            f"{path} holds {others[0]}, which differs from {fmt.copies[others[0]]}; expected one "
            "matrix in both places."
        )
    return config, {name: each for name, each in found.items() if not (tied and name in fmt.copies)}


def positions_of(fmt: Format, config: ModelConfig) -> dict[str, Tensor]:
    """The sinusoidal positions that files of this format may have."""
    if not fmt.sinusoids:
        return {}
    assert config.architecture == "encoder_decoder"
    positions = torch.arange(config.max_position_embeddings)
    return dict.fromkeys(fmt.sinusoids, sinusoids(positions, config.hidden_size, torch.float32))


def _drop_positions(fmt: Format, config: ModelConfig, found: dict[str, Tensor], path: Path) -> None:
    held = {name: found.pop(name) for name in fmt.sinusoids if name in found}
    for name, each in held.items():
        # Of a false number in config.json no tensor is made.
        if len(each) != getattr(config, fmt.length) or not torch.allclose(
            each.float(), positions_of(fmt, config)[name], rtol=0, atol=_ROUNDING
        ):
            raise ModelError(
                f"{path} holds {name}, which are not the sinusoids of Vaswani et al.; only plain "
                f"{fmt.model_type} models load."
            )


def _complete(fmt: Format, found: dict[str, Tensor]) -> None:
    for name, first in fmt.copies.items():
        if first not in found and name in found:
            found[first] = found[name]
    for name, first in fmt.copies.items():
        if first in found:
            found.setdefault(name, found[first])


def _differ(found: Mapping[str, Tensor], name: str, first: str) -> bool:
    if name not in found or first not in found:
        return False
    one, other = found[name], found[first]
    return one is not other and not (one.shape == other.shape and bool((one == other).all()))
