"""SuiteConfig: which tasks a pretrained model is put to, and how each is taught."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from corpusmill.flows.task_config import TAUGHT_BRIEFLY, FinetuneConfig, folder_of
from corpusmill.model.tasks.config import MethodConfig
from corpusmill.model.training.config import TrainConfig
from corpusmill.storage.config import Config, parse
from corpusmill.storage.errors import ConfigError
from corpusmill.tasks.labelled.config import ExamplesConfig

_FILES = ("train", "validation", "test")
_KNOWN = set(ExamplesConfig.model_fields)


def known_fields(tasks: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Returns `tasks` if each names its training files and no field that examples do not have.

    Raises:
        ValueError: one does not.
    """
    for name, fields in tasks.items():
        if wrong := sorted(set(fields) - _KNOWN):
            raise ValueError(f"task {name} has {wrong[0]!r}; expected {', '.join(sorted(_KNOWN))}")
        if "train" not in fields:
            raise ValueError(f"task {name} names no files to train on; expected `train`")
    return tasks


class SuiteChoice(Config):
    """Attributes:
    folder: that the files of all tasks lie below; a relative one lies below the checkout.
    seeds: of the pretrained network, and of the same from random weights.
    limit: training examples of a task, chosen by hash.
    """

    folder: str = Field("", validate_default=False)
    seeds: int = Field(3, ge=1)
    limit: int = Field(3000, ge=1)


class SuiteConfig(Config):
    """All that decides a suite.

    Attributes:
        tasks: the fields of an ExamplesConfig by the name of each task, with files below the
            folder.
        epochs: passes over the training examples of each.
        train: how each is taught.
    """

    suite: SuiteChoice = SuiteChoice()
    tasks: Annotated[dict[str, dict[str, Any]], AfterValidator(known_fields)]
    method: MethodConfig = MethodConfig()
    epochs: float = Field(3.0, gt=0)
    train: TrainConfig = TAUGHT_BRIEFLY


def task_of(config: SuiteConfig, name: str) -> FinetuneConfig:
    """How one task of a suite is read and taught.

    Raises:
        ConfigError: the folder is not given or not there, or the fields fit no examples.
    """
    if not config.suite.folder:
        raise ConfigError(
            "suite.folder is not given; expected the folder that the files of the tasks lie below, "
            'as in overrides={"suite.folder": "/data"}.'
        )
    folder = folder_of(config.suite.folder)
    if folder is None or not folder.is_dir():
        raise ConfigError(
            f"suite.folder is {config.suite.folder!r}, and there is no such folder; expected the "
            "one that the files of the tasks lie below."
        )
    fields = {"limit": config.suite.limit} | config.tasks[name]
    below = {side: _below(folder, fields[side]) for side in _FILES if fields.get(side)}
    examples = parse(ExamplesConfig, fields | below)
    return FinetuneConfig(
        task=examples, method=config.method, epochs=config.epochs, train=config.train
    )


def _below(folder: Path, files: Any) -> Any:
    match files:
        case str():
            return str(folder / files)
        case Mapping():
            return {label: _below(folder, named) for label, named in files.items()}
        case _:
            return [_below(folder, each) for each in files]
