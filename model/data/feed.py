"""The data of a training run: which samples each step reads, and how they are read."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from model.data.batches import Samples, share
from model.data.mixing import Mixture
from model.data.order import Order
from model.data.packing import Packed
from model.data.windows import Windows
from model.training.config import TrainConfig, check_mixing
from model.training.schedule import first_sample
from storage.errors import ConfigError
from storage.shards.reading import TokenStream, read_document_ends

# The order of one sample takes as long to work out as that of some thousand.
_ORDERED_SAMPLES = 16_384


class Feed:
    """Samples and their order; all that a step reads is a function of its number.

    Attributes:
        samples: what the numbers of `step` stand for.
    """

    def __init__(self, samples: Samples, order: Order | Mixture, config: TrainConfig) -> None:
        self.samples = samples
        self._order = order
        self._config = config
        self._steps = max(1, _ORDERED_SAMPLES // config.global_batch_size)
        self._block = -1
        self._numbers: list[np.ndarray] = []
        self._tokens: list[int] = []

    def step(
        self, step: int, num_processes: int = 1, process_index: int = 0
    ) -> tuple[int, np.ndarray]:
        """What one process does in one optimizer step.

        Returns:
            Tokens predicted by the whole global batch; and the numbers of this process's samples,
            int64 (micro-batches, micro_batch_size).
        """
        block, within = divmod(step, self._steps)
        if block != self._block:
            self._read_order(block)
        size = self._config.micro_batch_size
        mine = share(self._numbers[within], num_processes, process_index, size)
        return self._tokens[within], mine

    def _read_order(self, block: int) -> None:
        steps = range(block * self._steps, (block + 1) * self._steps + 1)
        edges = np.array([first_sample(step, self._config) for step in steps])
        numbers = self._order.windows(int(edges[0]), int(edges[-1] - edges[0]))
        starts = edges[:-1] - edges[0]
        self._numbers = np.split(numbers, starts[1:])
        self._tokens = np.add.reduceat(self.samples.learned(numbers), starts).tolist()
        self._block = block


def open_feed(directory: Path, config: TrainConfig, counts: Mapping[str, Any]) -> Feed:
    """The training data of shards.

    Args:
        directory: of the shards.
        counts: of the training split, as the shards' manifest has them.

    Raises:
        ArtifactError: the files are not token shards.
        ConfigError: the mixing names a source that is not there, or that is too short.
    """
    if not config.mixing:
        samples = _samples(directory, config, None)
        return Feed(samples, Order(sum(samples.sizes), config.seed), config)
    sources: Mapping[str, Mapping[str, int]] = counts.get("sources", {})
    check_mixing(config, sources)
    names = list(dict.fromkeys(name for phase in config.mixing for name in phase.weights))
    sections = [(sources[name]["first_token"], sources[name]["tokens"]) for name in names]
    samples = _samples(directory, config, sections)
    sizes = dict(zip(names, samples.sizes, strict=True))
    if empty := [name for name, size in sizes.items() if not size]:
        raise ConfigError(
            f"train.mixing draws from the source {empty[0]!r}, which holds no text to predict; "
            "leave it out, or add text."
        )
    total = first_sample(config.max_steps, config)
    return Feed(samples, Mixture(sizes, config.mixing, total, config.seed), config)


def _samples(
    directory: Path, config: TrainConfig, sections: list[tuple[int, int]] | None
) -> Samples:
    stream = TokenStream(directory, "train")
    if config.packing == "best_fit":
        ends = read_document_ends(directory, "train")
        return Packed(stream, config.sequence_length, ends, sections)
    masked = read_document_ends(directory, "train") if config.document_mask else None
    return Windows(stream, config.sequence_length, sections, masked)
