"""Which model types of transformers are read, and what they learn to do. Imports no torch."""

from collections.abc import Mapping
from pathlib import Path

from corpusmill.model.files import CONFIG, HEAD, read_json
from corpusmill.model.network.config import Family
from corpusmill.storage.errors import ModelError

FAMILIES: Mapping[str, Family] = {
    "qwen3": "causal_lm",
    "gpt2": "causal_lm",
    "bert": "masked_lm",
    "marian": "encoder_decoder",
    "pegasus": "encoder_decoder",
}


def family_of(directory: Path) -> Family:
    """The family of the model in a folder.

    Raises:
        ModelError: there is no readable config.json, or it describes none of these.
    """
    path = directory / CONFIG
    found = read_json(path).get("model_type")
    if not isinstance(found, str) or found not in FAMILIES:
        raise ModelError(
            f"{path} has model_type {found!r}, expected one of {', '.join(FAMILIES)}; choose such "
            "a model."
        )
    return FAMILIES[found]


def check_language_model(directory: Path) -> None:
    """Raises ModelError if the network in a folder answers with labels."""
    if (directory / HEAD).is_file():
        raise ModelError(
            f"{directory} holds a model that answers with labels; expected a language model, such "
            "as the one it started from: ask this one with `corpusmill predict`."
        )
