"""The data of a training run: which samples each step reads, and how they are read."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from corpusmill.model.data.batches import Samples, local_samples
from corpusmill.model.data.buckets import Bucketed, Ordered
from corpusmill.model.data.config import MixingPhase
from corpusmill.model.data.mixing import Mixture
from corpusmill.model.data.order import Order
from corpusmill.model.objectives.joined import Joined
from corpusmill.model.tasks.labelled import LabelledTexts
from corpusmill.model.training.config import TrainConfig, check_mixing
from corpusmill.model.training.samples import Reading, open_joined, open_samples
from corpusmill.model.training.schedule import first_sample
from corpusmill.storage.errors import ConfigError

# The order of one sample takes as long to work out as that of some thousand.
_ORDERED_SAMPLES = 16_384
_BUCKETS_A_STEP = 8


@dataclass(frozen=True)
class LocalBatch:
    """One process's part of a global batch: which samples it reads in a step.

    Attributes:
        tokens: of text in the whole global batch.
        num_targets: predictions in the whole global batch, of each loss; int64 (K,).
        numbers: of this process's samples, int64 (micro-batches, micro_batch_size).
        draws: numbers of the same samples in the run, as they are in `numbers`.
    """

    tokens: int
    num_targets: np.ndarray
    numbers: np.ndarray
    draws: np.ndarray


class Feed:
    """Samples and their order; all that a step reads is a function of its number.

    Attributes:
        samples: what the numbers of `step` stand for.
    """

    def __init__(self, samples: Samples, order: Ordered, config: TrainConfig) -> None:
        self.samples = samples
        self._order: Ordered = order
        translates = any(each.objective == "translation" for each in config.objectives)
        if translates or isinstance(samples, LabelledTexts):
            # Not as many as the micro-batch, which is smaller where there is less memory.
            size = max(1, config.global_batch_size // _BUCKETS_A_STEP)
            self._order = Bucketed(order, samples, size, config.seed)
        self._config = config
        self._steps = max(1, _ORDERED_SAMPLES // config.global_batch_size)
        self._block = -1
        self._numbers: list[np.ndarray] = []
        self._tokens = np.empty(0, np.int64)
        self._num_targets = np.empty((0, 1), np.int64)

    def step(self, step: int, num_processes: int = 1, process_index: int = 0) -> LocalBatch:
        """What one process does in one optimizer step."""
        block, within = divmod(step, self._steps)
        if block != self._block:
            self._read_order(block)
        draws = first_sample(step, self._config) + np.arange(len(self._numbers[within]))
        where = num_processes, process_index, self._config.hardware.micro_batch_size
        return LocalBatch(
            tokens=int(self._tokens[within]),
            num_targets=self._num_targets[within],
            numbers=local_samples(self._numbers[within], *where),
            draws=local_samples(draws, *where),
        )

    def _read_order(self, block: int) -> None:
        steps = range(block * self._steps, (block + 1) * self._steps + 1)
        edges = np.array([first_sample(step, self._config) for step in steps])
        numbers = self._order.windows(int(edges[0]), int(edges[-1] - edges[0]))
        starts = edges[:-1] - edges[0]
        self._numbers = np.split(numbers, starts[1:])
        self._tokens = np.add.reduceat(self.samples.tokens(numbers), starts)
        num_targets = np.add.reduceat(self.samples.num_targets(numbers), starts)
        self._num_targets = num_targets.reshape(len(starts), -1)
        self._block = block


def open_feed(reading: Reading, config: TrainConfig, counts: Mapping[str, Any]) -> Feed:
    """The training data of shards.

    Args:
        counts: of the training split, as the shards' manifest has them.

    Raises:
        ArtifactError: the files are not token shards.
        ConfigError: the mixing names a source that is not there, or that is too short.
    """
    if len(config.objectives) > 1:
        return _joined(reading, config)
    if not config.mixing:
        samples = open_samples(reading, config, "train")
        return Feed(samples, Order(sum(samples.sizes), config.seed), config)
    sources: Mapping[str, Mapping[str, int]] = counts.get("sources", {})
    check_mixing(config, sources)
    names = list(dict.fromkeys(name for phase in config.mixing for name in phase.weights))
    sections = [(sources[name]["first_token"], sources[name]["tokens"]) for name in names]
    samples = open_samples(reading, config, "train", sections)
    sizes = dict(zip(names, samples.sizes, strict=True))
    if empty := [name for name, size in sizes.items() if not size]:
        raise ConfigError(
            f"train.mixing draws from the source {empty[0]!r}, which holds no text to predict; "
            "leave it out, or add text."
        )
    total = first_sample(config.max_steps, config)
    return Feed(samples, Mixture(sizes, config.mixing, total, config.seed), config)


def _joined(reading: Reading, config: TrainConfig) -> Feed:
    """Samples of several objectives, drawn by their weights; each has epochs of its own."""
    parts = open_joined(reading, config)
    sizes = {name: sum(part.sizes) for name, part in parts.items()}
    phase = MixingPhase(weights={each.objective: each.weight for each in config.objectives})
    total = first_sample(config.max_steps, config)
    order = Mixture(sizes, [phase], total, config.seed)
    return Feed(Joined(list(parts.values())), order, config)
