"""How a network that answers with labels is judged in mid-run: by the figure of its task."""

import numpy as np
from torch import Tensor

from corpusmill.model.tasks.metrics import deciding, value_of
from corpusmill.model.tasks.network import Labeller
from corpusmill.storage.examples.predictions import Predictions


def deciding_figure(network: Labeller, logits_NC: Tensor, targets: np.ndarray) -> tuple[str, float]:
    """The figure that decides, higher is better: its name, and its value, NaN where it has none.

    Args:
        logits_NC: what the network gave for N examples.
        targets: what is right, as `corpusmill.model.tasks.labelled.targets_of` has it.
    """
    head = network.head
    scores = network.scores(logits_NC.double()).cpu().numpy()
    gold: np.ndarray = targets > 0 if head.kind == "several" else targets
    if head.kind == "regression":
        scores, gold = scores[:, 0], targets.astype(np.float64)
    ids = tuple(map(str, range(len(targets))))
    metric = deciding(head.kind, len(head.labels))
    assert metric.higher_is_better, "the higher figure is taken for the better one"
    return metric.name, value_of(metric, Predictions(head.kind, head.labels, ids, gold, scores))
