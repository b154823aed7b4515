"""What a network that answers with labels says of texts."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from corpusmill.model.device import COMPUTE_DTYPES, best_device, resolve_precision, use_threads
from corpusmill.model.tasks.config import HeadConfig, PredictionJob
from corpusmill.model.tasks.folder import load_labeller
from corpusmill.model.tasks.texts import TextReader
from corpusmill.storage.examples.predictions import (
    Predictions,
    gold_of,
    predictions_path,
    write_predictions,
)
from corpusmill.storage.examples.reading import Examples, read_examples
from corpusmill.storage.examples.schema import Side
from corpusmill.storage.settings import Precision

_BATCH = 32
# Texts that are sorted by length, so that little is padded.
_SORTED = 4096
PREDICTED: tuple[Side, ...] = ("validation", "test")


class Predictor:
    """A network in evaluation mode, with its tokenizer.

    Attributes:
        head: the shape of its head.
    """

    def __init__(self, directory: Path, precision: Precision = "auto") -> None:
        """Loads a folder that fine-tuning wrote, on the GPU if there is one.

        Raises:
            ModelError: the directory does not hold such a model.
        """
        use_threads()
        dtype = COMPUTE_DTYPES[resolve_precision(precision)]
        network, length = load_labeller(directory, dtype)
        self._device = best_device()
        self._network = network.to(self._device).eval()
        self._reader = TextReader(directory, network.config.family, length)
        self.head: HeadConfig = network.head

    @torch.inference_mode()
    def answer(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> np.ndarray:
        """Probabilities of the labels, or numbers; fp64 (texts, labels), (texts, 1) of numbers.

        Labels of classification exclude each other: theirs add up to one.
        """
        parts = [np.zeros((0, self.head.outputs))]
        for start in range(0, len(texts), _SORTED):
            some = slice(start, start + _SORTED)
            parts.append(self._some(texts[some], None if pairs is None else pairs[some]))
        return np.concatenate(parts)

    def _some(self, texts: Sequence[str], pairs: Sequence[str] | None) -> np.ndarray:
        ids, firsts = self._reader.encode(texts, pairs)
        order = np.argsort([len(each) for each in ids], kind="stable").tolist()
        answers = np.empty((len(ids), self.head.outputs))
        for start in range(0, len(order), _BATCH):
            rows = order[start : start + _BATCH]
            arrays = self._reader.rows([ids[row] for row in rows], [firsts[row] for row in rows])
            ids_BT, lengths_B, segments_BT = (
                torch.from_numpy(each).to(self._device) for each in arrays
            )
            segments = None if pairs is None else segments_BT
            logits_BC = self._network(ids_BT, lengths_B=lengths_B, segments_BT=segments).double()
            answers[rows] = self._network.scores(logits_BC).cpu().numpy()
        return answers


def predict(job: PredictionJob) -> None:
    """Writes what is said of the examples for validation and test into the job's directory.

    Raises:
        ModelError, ArtifactError: a folder is not what it is taken for.
    """
    predictor = Predictor(job.model, job.precision)
    for side in PREDICTED:
        examples = read_examples(job.examples, side)
        if len(examples):
            path = predictions_path(job.directory, side)
            path.parent.mkdir(exist_ok=True)
            write_predictions(path, _predictions(examples, predictor))


def _predictions(examples: Examples, predictor: Predictor) -> Predictions:
    head = predictor.head
    scores = predictor.answer(examples.texts, examples.pairs)
    if head.kind == "regression":
        scores = scores[:, 0]
    gold = gold_of(head.kind, head.labels, examples.labels)
    return Predictions(head.kind, head.labels, tuple(examples.ids), gold, scores)
