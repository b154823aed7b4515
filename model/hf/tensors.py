"""The tensors of a folder in the Hugging Face format; every error names the file."""

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from corpusmill.model.files import INDEX, WEIGHTS, read_json
from corpusmill.storage.errors import ModelError


def read_tensors(directory: Path) -> dict[str, Tensor]:
    """The tensors of model.safetensors, or of all the files that an index names."""
    if (directory / WEIGHTS).is_file() or not (directory / INDEX).is_file():
        return _load(directory / WEIGHTS)
    names = read_json(directory / INDEX).get("weight_map")
    if not isinstance(names, dict):
        raise ModelError(f"{directory / INDEX} has no weight_map; download the model again.")
    tensors: dict[str, Tensor] = {}
    for name in sorted({str(name) for name in names.values()}):
        if Path(name).name != name:
            raise ModelError(f"{directory / INDEX} names {name!r}, expected a file beside it.")
        tensors |= _load(directory / name)
    return tensors


def _load(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path} is not a readable safetensors file ({error}).") from error
