"""JSON files of a folder in the Hugging Face format; every error names the file. No torch."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from corpusmill.storage.errors import ModelError

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
# Says what the head is of a network that answers with labels, and is there for no other.
HEAD = "head.json"


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} is not a readable JSON file ({error}).") from error
    if not isinstance(value, dict):
        raise ModelError(f"{path} holds {type(value).__name__}, expected a JSON object.")
    return value


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """The same values always give the same bytes."""
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
