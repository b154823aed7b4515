"""Probabilities that say how often they are right: logits divided by one temperature."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from corpusmill.model.data.batches import Samples
from corpusmill.model.data.tensors import as_tensors
from corpusmill.model.tasks.config import HeadConfig
from corpusmill.model.tasks.network import Labeller

_AT_ONCE = 32
# Temperatures that are tried, and how often the best one's neighbourhood is looked at closer.
_COLDEST, _HOTTEST, _STEPS, _ROUNDS = 0.05, 20.0, 21, 4


@torch.no_grad()
def calibrated(network: Labeller, validation: Samples) -> HeadConfig:
    """The head with the temperature at which the validation examples are likeliest.

    Guo et al. 2017, §4.2: it changes no answer, only how sure it is.
    """
    if network.head.kind == "regression":
        return network.head
    was_training = network.training
    network.eval()
    parts = [_logits(network, validation, numbers) for numbers in _pieces(validation)]
    network.train(was_training)
    logits_NC, targets = (torch.cat(each) for each in zip(*parts, strict=True))
    return network.head.model_copy(update={"temperature": best_temperature(logits_NC, targets)})


def best_temperature(logits_NC: Tensor, targets: Tensor) -> float:
    """The temperature of the lowest loss; `targets` as of `Labeller.forward`."""
    low, high = np.log(_COLDEST), np.log(_HOTTEST)
    best = 0.0
    for _ in range(_ROUNDS):
        tried = np.linspace(low, high, _STEPS)
        losses = [_loss(logits_NC / float(np.exp(each)), targets) for each in tried]
        best = float(tried[int(np.argmin(losses))])
        step = tried[1] - tried[0]
        low, high = best - step, best + step
    return round(float(np.exp(best)), 6)


def _loss(logits_NC: Tensor, targets: Tensor) -> float:
    if targets.is_floating_point():
        return F.binary_cross_entropy_with_logits(logits_NC, targets.double()).item()
    return F.cross_entropy(logits_NC, targets).item()


def _pieces(validation: Samples) -> list[np.ndarray]:
    numbers = np.argsort(validation.tokens(np.arange(sum(validation.sizes))), kind="stable")
    return np.split(numbers, range(_AT_ONCE, len(numbers), _AT_ONCE))


def _logits(network: Labeller, samples: Samples, numbers: np.ndarray) -> tuple[Tensor, Tensor]:
    device = network.classifier.weight.device
    batch = as_tensors(samples.read(numbers, numbers), device)
    targets = batch.pop("targets")
    return network(**batch).double().cpu(), targets.cpu()
