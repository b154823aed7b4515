"""SuiteConfig: one pretrained model on a list of tasks, and what it is told of each."""

from collections import Counter
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, PositiveInt, model_validator

from corpusmill.flows.task_config import FinetuneConfig, fitted, folder_of
from corpusmill.model.tasks.config import MethodConfig
from corpusmill.model.training.config import TrainConfig
from corpusmill.model.training.groups import HardwareConfig
from corpusmill.storage.config import Config
from corpusmill.storage.errors import ConfigError
from corpusmill.tasks.labelled.config import ExamplesConfig, Files, NamedFiles
from corpusmill.tasks.launch import find_hardware

_FINETUNE = FinetuneConfig.model_fields["train"].default


class SuiteTask(ExamplesConfig):
    """A task of a suite: labelled examples, whose files are named from a folder on.

    Attributes:
        name: of the task, in tables and in the names of metrics.
        train, validation, test: as of `ExamplesConfig`, or relative to the folder of the suite.
        metric: the figure that the table is of; None for what its kind of labels is judged by.
    """

    name: Annotated[str, Field(pattern=r"^\w[\w.-]*$", max_length=60)]
    train: Files
    validation: Files | None = None
    test: Files | None = None
    metric: str | None = None

    def examples_in(self, folder: Path, limit: int | None) -> ExamplesConfig:
        """Its examples, with files by absolute paths.

        Args:
            limit: of the training examples; the task's own, where it is lower, stays.
        """
        given = self.model_dump(exclude={"name", "metric"})
        for side in ("train", "validation", "test"):
            given[side] = None if given[side] is None else _below(folder, given[side])
        limits = [each for each in (self.limit, limit) if each is not None]
        return ExamplesConfig.model_validate(given | {"limit": min(limits, default=None)})


class TasksConfig(Config):
    """Which tasks a model is put to, and how often.

    Attributes:
        folder: that the files of the tasks are named from; `~` works, and a relative one lies below
            the checkout.
        tasks: each with a name of its own.
        seeds: how often the network learns each task, pretrained and from random weights.
        embeddings: how often with pretrained embeddings alone; 0 leaves that out.
        limit: train on no more examples of a task, chosen by hash; None for all of them.
    """

    folder: str = "../shared/data"
    tasks: Annotated[tuple[SuiteTask, ...], Field(min_length=1)]
    seeds: PositiveInt = 3
    embeddings: int = Field(1, ge=0)
    limit: PositiveInt | None = 3000

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        name, count = Counter(task.name for task in self.tasks).most_common(1)[0]
        if count > 1:
            raise ValueError(f"{count} tasks are called {name!r}; expected another name for each")
        return self


class SuiteConfig(Config):
    """All that decides a suite; each part lies beside its owner.

    Attributes:
        epochs: passes over the training examples of each task.
        train: how each network learns, with a seed of its own, in a process of one thread.
    """

    suite: TasksConfig
    method: MethodConfig = MethodConfig()
    epochs: float = Field(3.0, gt=0)
    train: TrainConfig = _FINETUNE.model_copy(
        update={
            "sequence_length": 64,
            "global_batch_size": 32,
            "hardware": HardwareConfig(micro_batch_size=32, num_processes=1, compile="never"),
        }
    )


def folder_of_suite(config: SuiteConfig) -> Path:
    """The folder that the files of the tasks are named from.

    Raises:
        ConfigError: there is none.
    """
    folder = folder_of(config.suite.folder)
    if folder is None or not folder.is_dir():
        raise ConfigError(
            f"suite.folder is {config.suite.folder!r}, and there is no folder {folder}; expected "
            'the one that holds the files of the tasks: set it, as {"suite.folder": "/data"}.'
        )
    return folder.resolve()


def on_this_machine(config: SuiteConfig) -> SuiteConfig:
    """The config with the precision that it leaves to the machine."""
    if config.train.hardware.precision != "auto":
        return config
    train = config.train.on_hardware(precision=find_hardware().precision)
    return config.model_copy(update={"train": train})


def fitted_to(config: SuiteConfig, task: ExamplesConfig, examples: int) -> TrainConfig:
    """`train` as so many training examples of a task want it.

    Raises:
        ConfigError: meant for a GPU and there is none.
    """
    as_one = FinetuneConfig(task=task, epochs=config.epochs, train=config.train)
    # Nobody decides by validation, nor goes on in the middle of what takes a minute.
    train = fitted(as_one, examples, validation=1)
    return train.model_copy(update={"checkpoint_every": train.max_steps})


def _below(folder: Path, files: Files) -> Files:
    if isinstance(files, dict):
        return {label: _named_below(folder, named) for label, named in files.items()}
    return _named_below(folder, files)


def _named_below(folder: Path, named: NamedFiles) -> NamedFiles:
    if isinstance(named, str):
        return named if "://" in named else str(folder / named)
    return tuple(str(_named_below(folder, each)) for each in named)
