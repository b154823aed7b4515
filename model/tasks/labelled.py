"""Samples for a network that answers with labels: texts, and what is to be said of them."""

from pathlib import Path

import numpy as np

from corpusmill.model.data.batches import LabelledBatch
from corpusmill.model.network.config import Family
from corpusmill.model.tasks.config import HeadConfig
from corpusmill.model.tasks.texts import TextReader
from corpusmill.storage.errors import ConfigError
from corpusmill.storage.examples.reading import Examples, read_examples
from corpusmill.storage.examples.schema import Side
from corpusmill.storage.examples.subsets import read_training


class LabelledTexts:
    """The examples of one side, each a sample.

    Attributes:
        sizes: their number, in a list.
        dropped: none.
        longest: positions of the longest.
        targets: of each, as `targets_of` gives them.
    """

    dropped = 0

    def __init__(self, examples: Examples, reader: TextReader, head: HeadConfig) -> None:
        """Encodes all texts."""
        self._reader = reader
        self._ids, self._firsts = reader.encode(examples.texts, examples.pairs)
        self.targets = targets_of(examples, head)
        self._paired = examples.pairs is not None
        self._lengths = np.array([len(each) for each in self._ids], np.int64)
        self.sizes = [len(examples)]
        self.longest = int(self._lengths.max(initial=0))

    def tokens(self, numbers: np.ndarray) -> np.ndarray:
        """How many tokens each of these texts has; int64, (...)."""
        tokens: np.ndarray = self._lengths[numbers]
        return tokens

    def num_targets(self, numbers: np.ndarray) -> np.ndarray:
        """One answer to each text; int64, (...)."""
        return np.ones(np.shape(numbers), np.int64)

    def read(self, numbers: np.ndarray, draws: np.ndarray) -> LabelledBatch:  # noqa: ARG002
        """The examples with these numbers, in this order; as long as the longest of them."""
        chosen = numbers.tolist()
        ids = [self._ids[number] for number in chosen]
        ids_BT, lengths_B, segments_BT = self._reader.rows(
            ids, [self._firsts[number] for number in chosen]
        )
        segments = segments_BT if self._paired else None
        return LabelledBatch(ids_BT, lengths_B, self.targets[numbers], segments)


def targets_of(examples: Examples, head: HeadConfig) -> np.ndarray:
    """What is to be answered: numbers of labels, which labels there are, or numbers.

    Returns:
        int64 (examples,), fp32 (examples, labels), or fp32 (examples,).
    """
    number = {name: index for index, name in enumerate(head.labels)}
    match head.kind:
        case "classification":
            return np.array([number[str(each)] for each in examples.labels], np.int64)
        case "several":
            targets = np.zeros((len(examples), len(head.labels)), np.float32)
            for row, names in zip(targets, examples.labels, strict=True):
                assert isinstance(names, list)
                row[[number[name] for name in names]] = 1
            return targets
        case "regression":
            return np.array(examples.labels, np.float32)


def open_labelled(
    directory: Path,
    tokenizer: Path,
    family: Family,
    sequence_length: int,
    head: HeadConfig,
    side: Side,
    *,
    share: float = 1.0,
) -> LabelledTexts:
    """The examples of one side of an artifact.

    Args:
        share: of those for training.

    Raises:
        ArtifactError: the files are no examples.
        ConfigError: there are none on this side, or a sequence has no room for them.
    """
    examples = (
        read_training(directory, share) if side == "train" else read_examples(directory, side)
    )
    if not len(examples):
        raise ConfigError(f"There are no examples of the side {side} in {directory}; add some.")
    return LabelledTexts(examples, TextReader(tokenizer, family, sequence_length), head)
