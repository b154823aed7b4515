"""FinetuneConfig, and what of it the machine and the examples decide."""

import math
from pathlib import Path
from typing import Annotated

from pydantic import Field

from corpusmill.flows.config import RegistrationConfig
from corpusmill.model.tasks.config import MethodConfig
from corpusmill.model.training.config import TrainConfig, check_device
from corpusmill.model.training.groups import AdamWConfig, HardwareConfig, WSDSchedule
from corpusmill.storage.config import Config
from corpusmill.storage.settings import CHECKOUT, load_settings
from corpusmill.tasks.labelled.config import ExamplesConfig
from corpusmill.tasks.launch import find_hardware

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
    opponents: bool = True
    learning_curve: tuple[Share, ...] = (0.01, 0.05, 0.2)
    registration: RegistrationConfig = RegistrationConfig(name="labels")


def fitted(config: FinetuneConfig, examples: int, validation: int) -> TrainConfig:
    """`train` as so many examples and the machine want it.

    Raises:
        ConfigError: meant for a GPU and there is none.
    """
    train, asked = config.train, config.train.hardware
    if config.epochs is not None:
        epoch = max(1, math.ceil(examples / train.global_batch_size))
        steps = max(2, math.ceil(config.epochs * epoch))
        train = TrainConfig.model_validate(
            train.model_dump()
            | {
                "max_steps": steps,
                "schedule": train.schedule.model_dump()
                | {"warmup_steps": min(steps - 1, round(_WARMUP_SHARE * steps))},
                "validation": train.validation.model_dump()
                | {"every": epoch, "windows": max(1, validation)},
            }
        )
    if asked.precision != "auto" and asked.device == "auto":
        return train
    found = find_hardware()
    check_device(train, found.gpus, load_settings().processors)
    precision = found.precision if asked.precision == "auto" else asked.precision
    return train.on_hardware(precision=precision)


def folder_of(start: str) -> Path | None:
    """The folder that is meant, relative ones below the checkout; None for a registered model."""
    if start.startswith("models:/"):
        return None
    path = Path(start).expanduser()
    return path if path.is_absolute() else CHECKOUT / path
