"""A search for how a network is best taught: what is tried, and which trial is the best."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field, PositiveInt

from corpusmill.model.training.config import TrainConfig
from corpusmill.storage import metrics
from corpusmill.storage.config import Config, Seed
from corpusmill.storage.errors import InputError

Positive = Annotated[float, Field(gt=0)]
Shares = Annotated[float, Field(gt=0, le=1)]
# What a figure of equals is followed by.
_COSTS = (metrics.NLL, metrics.MSE)


class SearchConfig(Config):
    """What is tried to find out how a network is best taught, judged on validation alone.

    Attributes:
        trials: how many combinations are tried, drawn by `train.seed`; all where there are fewer.
        learning_rates, epochs, layer_decays: that are combined, as `train.optimizer.learning_rate`,
            `epochs` and `train.optimizer.layer_decay`; of none the config's own is taken.
        seeds: that each combination is trained with, from `train.seed` on; their mean decides.
    """

    trials: PositiveInt = 6
    learning_rates: tuple[Positive, ...] = (5e-4, 1e-3, 2e-3)
    epochs: tuple[Positive, ...] = (4.0, 8.0)
    layer_decays: tuple[Shares, ...] = ()
    seeds: PositiveInt = 1


@dataclass(frozen=True)
class Trial:
    """A combination that is tried.

    Attributes:
        changes: what differs from the flow's own config, by dotted names.
        config: to train by, with precision and number of processes determined.
        seeds: how many it is trained with, from that of `config` on.
    """

    changes: Mapping[str, float]
    config: TrainConfig
    seeds: int = 1

    @property
    def name(self) -> str:
        """The combination as a person reads it: learning_rate 0.001, epochs 8."""
        values = (f"{key.rpartition('.')[2]} {value:g}" for key, value in self.changes.items())
        return ", ".join(values) or "as it is"


@dataclass(frozen=True)
class Tried:
    """What a trial came to.

    Attributes:
        figures: on validation, by name, each the mean over its seeds; none where it failed.
        failed: why it did.
    """

    trial: Trial
    figures: Mapping[str, float]
    failed: str | None = None


def drawn(search: SearchConfig, seed: Seed) -> list[dict[str, float]]:
    """The combinations to try, each once, by the dotted names of what they change."""
    tried = {
        "train.optimizer.learning_rate": search.learning_rates,
        "epochs": search.epochs,
        "train.optimizer.layer_decay": search.layer_decays,
    }
    given = {name: tuple(dict.fromkeys(values)) for name, values in tried.items() if values}
    every = [dict(zip(given, each, strict=True)) for each in itertools.product(*given.values())]
    if search.trials >= len(every):
        return every
    chosen = np.random.default_rng(seed).permutation(len(every))[: search.trials]
    return [every[number] for number in sorted(chosen.tolist())]


def together(seeds: Sequence[Tried]) -> Tried:
    """What a trial came to with all its seeds: means, without figures that one of them has not.

    It has failed if one of them has.
    """
    every = [each.figures for each in seeds]
    shared = [name for name in every[0] if all(name in each for each in every)]
    means = {name: float(np.mean([each[name] for each in every])) for name in shared}
    failed = next((each.failed for each in seeds if each.failed), None)
    return Tried(seeds[0].trial, {} if failed else means, failed)


def best_first(tried: Sequence[Tried], decides: str) -> list[Tried]:
    """The trials, the best first: of equals that of the lower loss, then of fewer steps.

    Args:
        decides: the name of the figure.

    Raises:
        InputError: all of them failed.
    """
    if all(each.failed for each in tried):
        raise InputError(
            f"All {len(tried)} trials of the search failed, the first with: {tried[0].failed}"
        )

    def worth(each: Tried) -> tuple[bool, float, float, int]:
        cost = next((each.figures[name] for name in _COSTS if name in each.figures), 0.0)
        value = each.figures.get(decides, -math.inf)
        return each.failed is None, value, -cost, -each.trial.config.max_steps

    return sorted(tried, key=worth, reverse=True)
