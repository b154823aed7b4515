"""A pretrained model, a folder in the Hugging Face format, becomes an artifact to train on."""

import logging
import shutil
from pathlib import Path

from corpusmill.model.files import HEAD
from corpusmill.model.hf.families import family_of
from corpusmill.storage.artifacts import Ref, Spec, obtain
from corpusmill.storage.layout import Layout
from corpusmill.storage.manifest import digest_file

_LOGGER = logging.getLogger(__name__)
_PATTERNS = ("config.json", "*.safetensors", "*.safetensors.index.json", HEAD)
_TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


def bring_model(layout: Layout, source: str, *, tokenizer: bool = False) -> Ref:
    """Copies configuration and weights into the store, so that what a run began with stays.

    Args:
        tokenizer: whether that of the folder comes too, for what is not trained but used.

    Raises:
        ModelError: the folder holds no model that can be read.
    """
    directory = Path(source)
    family = family_of(directory)
    patterns = _PATTERNS + (_TOKENIZER if tokenizer else ())
    files = sorted({path for pattern in patterns for path in directory.glob(pattern)})
    inputs = {path.name: digest_file(path) for path in files}

    def write(destination: Path) -> None:
        for path in files:
            shutil.copyfile(path, destination / path.name)

    model, reused = obtain(layout, Spec("initial", 1, inputs), write)
    _LOGGER.info("%s, a %s model%s", directory.name, family, " - reused" if reused else "")
    return model
