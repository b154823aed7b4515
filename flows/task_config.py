"""FinetuneConfig, and what of it the machine and the examples decide."""

import math
from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from corpusmill.flows.config import RegistrationConfig
from corpusmill.flows.overrides import override
from corpusmill.model.tasks.config import MethodConfig
from corpusmill.model.training.config import TrainConfig, check_device
from corpusmill.model.training.groups import AdamWConfig, HardwareConfig, WSDSchedule
from corpusmill.storage.config import Config
from corpusmill.storage.settings import CHECKOUT, load_settings
from corpusmill.tasks.labelled.config import ExamplesConfig
from corpusmill.tasks.launch import find_hardware
from corpusmill.tasks.stages.search import SearchConfig, Trial, drawn

_WARMUP_SHARE = 0.1
Share = Annotated[float, Field(gt=0, lt=1)]


class FinetuneConfig(Config):
    """All that decides a fine-tuning; each part lies beside its owner.

    Attributes:
        task: the labelled examples, and how they are read.
        epochs: passes over the training examples, from which `train.max_steps` follows, a warm-up
            of a tenth of it, and a validation after each; None takes these as they are.
        opponents: whether what a model has to beat is measured too: the most frequent label, a
            linear model of weighted n-grams, and the same network from random weights.
        search: how `epochs` and rates are sought on validation; None takes them as they are.
        learning_curve: shares of the labels that network, linear model and random weights learn
            from too, beside all of them, where opponents are measured; none for no curve.
    """

    task: ExamplesConfig
    method: MethodConfig = MethodConfig()
    epochs: float | None = Field(4.0, gt=0)
    # Small networks of minutes need ten to fifty times the rate of BERT's authors (2e-5), and a
    # first moment that forgets faster than it did in pretraining says less.
    train: TrainConfig = TrainConfig(
        sequence_length=128,
        global_batch_size=16,
        optimizer=AdamWConfig(
            learning_rate=1e-3,
            weight_decay=0.01,
            adam_beta1=0.9,
            adam_beta2=0.98,
            adam_epsilon=1e-8,
        ),
        schedule=WSDSchedule(decay_fraction=0.9),
        dropout=0.1,
        hardware=HardwareConfig(micro_batch_size=16, num_processes=1, compile="never"),
    )
    search: SearchConfig | None = None
    opponents: bool = True
    learning_curve: tuple[Share, ...] = (0.01, 0.05, 0.2)
    registration: RegistrationConfig = RegistrationConfig(name="labels")

    @model_validator(mode="after")
    def _check_search(self) -> "FinetuneConfig":
        if self.search and self.search.epochs and self.epochs is None:
            raise ValueError(
                f"epochs is null, so that train.max_steps {self.train.max_steps} holds, but "
                f"search.epochs {list(self.search.epochs)} would change it; set search.epochs to []"
            )
        return self


def fitted(config: FinetuneConfig, examples: int, validation: int) -> TrainConfig:
    """`train` as so many examples and the machine want it.

    Raises:
        ConfigError: meant for a GPU and there is none.
    """
    train, asked = _over_epochs(config, examples, validation), config.train.hardware
    if asked.precision != "auto" and asked.device == "auto":
        return train
    found = find_hardware()
    check_device(train, found.gpus, load_settings().processors)
    precision = found.precision if asked.precision == "auto" else asked.precision
    return train.on_hardware(precision=precision)


def trials_of(
    config: FinetuneConfig, train: TrainConfig, examples: int, validation: int
) -> list[Trial]:
    """The trials of the search that the config asks for, none where it asks for none.

    Args:
        train: of the config, as `fitted` gives it.

    Raises:
        ConfigError: the optimizer has no rate that is to be tried.
    """
    if config.search is None:
        return []
    trials = []
    for changes in drawn(config.search, train.seed):
        changed = _over_epochs(override(config, changes), examples, validation)
        precision = train.hardware.precision
        fitting = changed.on_hardware(precision=precision)
        trials.append(Trial(changes, fitting, config.search.seeds))
    return trials


def _over_epochs(config: FinetuneConfig, examples: int, validation: int) -> TrainConfig:
    """`train` with as many steps as the epochs of the config have."""
    train = config.train
    if config.epochs is None:
        return train
    epoch = max(1, math.ceil(examples / train.global_batch_size))
    steps = max(2, math.ceil(config.epochs * epoch))
    return TrainConfig.model_validate(
        train.model_dump()
        | {
            "max_steps": steps,
            "schedule": train.schedule.model_dump()
            | {"warmup_steps": min(steps - 1, round(_WARMUP_SHARE * steps))},
            "validation": train.validation.model_dump()
            | {"every": epoch, "windows": max(1, validation)},
        }
    )


def folder_of(start: str) -> Path | None:
    """The folder that is meant, relative ones below the checkout; None for a registered model."""
    if start.startswith("models:/"):
        return None
    path = Path(start).expanduser()
    return path if path.is_absolute() else CHECKOUT / path
