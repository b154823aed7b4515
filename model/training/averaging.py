"""Means of the weights that a run has been through, next to those that it moves."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from corpusmill.model.training.groups import Average, EMAConfig, LineMeanConfig
from corpusmill.model.training.parallel import placed, whole


class WeightAverage:
    """The mean that the config asks for; validation and the exported model use it."""

    def __init__(self, network: nn.Module, config: Average, max_steps: int) -> None:
        self._weights: list[Tensor] = list(network.parameters())
        self._mean = [weight.detach().clone() for weight in self._weights]
        self._config = config
        self._max_steps = max_steps

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Takes in the weights after optimizer step number `step`, counted from 1."""
        share = new_share(step, self._config, self._max_steps)
        if share:
            torch._foreach_lerp_(self._mean, self._weights, share)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """A context in which the network's weights are the mean; restored after it."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    @torch.no_grad()
    def _exchange(self) -> None:
        for weight, mean in zip(self._weights, self._mean, strict=True):
            kept = weight.detach().clone()
            weight.copy_(mean)
            mean.copy_(kept)

    def tensors(self, network: nn.Module) -> dict[str, Tensor]:
        """The mean of each parameter, by name."""
        names = [name for name, _ in network.named_parameters()]
        return dict(zip(names, self._mean, strict=True))

    @torch.no_grad()
    def load(self, network: nn.Module, named: Mapping[str, Tensor]) -> None:
        """Takes over what `tensors` gave."""
        for name, mean in self.tensors(network).items():
            mean.copy_(placed(named[name], mean))


class LineMean(WeightAverage):
    """The mean of the weights that the run has come to and of those that it was made with.

    Along a line of runs, each of which goes on from where the one before has come to, it is the
    exponential mean of the places that they came to (as Izmailov et al. 2018 have it of one run).
    """

    def __init__(self, network: nn.Module, config: LineMeanConfig) -> None:
        super().__init__(network, config, 0)
        self._share = config.share

    def update(self, step: int) -> None:
        """The mean is made where it is asked for."""

    @contextmanager
    def applied(self) -> Iterator[None]:
        """A context in which the network's weights are the mean; restored after it."""
        last = [weight.detach().clone() for weight in self._weights]
        with torch.no_grad():
            torch._foreach_lerp_(self._weights, self._mean, 1 - self._share)
        try:
            yield
        finally:
            with torch.no_grad():
                for weight, each in zip(self._weights, last, strict=True):
                    weight.copy_(each)

    @torch.no_grad()
    def ahead(self, network: nn.Module) -> dict[str, Tensor]:
        """How far the weights are from their mean, in bf16; every process must ask for it."""
        if self._share == 1:
            return {}
        ways = ((w - m) * (1 - self._share) for w, m in zip(self._weights, self._mean, strict=True))
        names = [name for name, _ in network.named_parameters()]
        return {
            name: whole(way).to(torch.bfloat16).cpu().contiguous()
            for name, way in zip(names, ways, strict=True)
        }


def start_average(network: nn.Module, config: Average, max_steps: int) -> WeightAverage:
    """The mean that the config asks for, of the weights as they are."""
    if isinstance(config, LineMeanConfig):
        return LineMean(network, config)
    return WeightAverage(network, config, max_steps)


def new_share(step: int, config: Average, max_steps: int) -> float:
    """Share of the weights after optimizer step number `step` in the mean after it; 0 for none.

    ema: 1 - decay, where decay rises as (1 + n)/(10 + n) to its value, so that the start of a run
    is forgotten. checkpoints: the plain mean of the last ones (Vaswani et al. 2017, section 6.1);
    before the first of them the mean is the weights themselves.
    """
    if isinstance(config, EMAConfig):
        return 1 - min(config.decay, (1 + step) / (10 + step))
    assert not isinstance(config, LineMeanConfig), "its mean is made where it is asked for"
    every = config.every
    first = max(1, max_steps - (config.checkpoints - 1) * every)
    after = step - first
    if after <= 0:
        return 1.0
    return 1 / (after // every + 1) if after % every == 0 else 0.0
