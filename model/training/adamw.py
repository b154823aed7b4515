"""AdamW (Loshchilov and Hutter 2019), by torch's own kernels, and what all optimizers have.

`torch.optim.Optimizer` is not their base: the first one made imports torch's compiler, more than
four seconds that no run needs which does not compile.
"""

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim.adamw import adamw


class Optimizer(ABC):
    """Moves parameters by their gradients.

    Attributes:
        param_groups: parameters, as `params`, with what they are moved by.
        state: what is remembered of each parameter that has moved.
    """

    def __init__(self, groups: Iterable[Mapping[str, Any]], defaults: Mapping[str, Any]) -> None:
        """Args:
        groups: each with `params`, and what differs from `defaults`.
        """
        self.param_groups: list[dict[str, Any]] = [{**defaults, **each} for each in groups]
        self.state: defaultdict[Tensor, dict[str, Tensor]] = defaultdict(dict)

    @abstractmethod
    def step(self) -> None:
        """Moves every parameter."""

    def forget_gradients(self) -> None:
        """Frees the gradients of all parameters."""
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad = None


class AdamW(Optimizer):
    """AdamW whose weight decay is that of each group."""

    def __init__(
        self, groups: Iterable[Mapping[str, Any]], *, betas: tuple[float, float], eps: float
    ) -> None:
        """Args:
        groups: each with `params`, `lr` and `weight_decay`.
        """
        super().__init__(groups, {"betas": betas, "eps": eps})

    @torch.no_grad()
    def step(self) -> None:
        """Moves every parameter that has a gradient."""
        for group in self.param_groups:
            moved = [each for each in group["params"] if each.grad is not None]
            states = [self._state_of(each) for each in moved]
            beta1, beta2 = group["betas"]
            adamw(
                moved,
                [each.grad for each in moved],
                [each["exp_avg"] for each in states],
                [each["exp_avg_sq"] for each in states],
                [],
                [each["step"] for each in states],
                fused=True,
                amsgrad=False,
                beta1=beta1,
                beta2=beta2,
                lr=group["lr"],
                weight_decay=group["weight_decay"],
                eps=group["eps"],
                maximize=False,
            )

    def _state_of(self, parameter: Tensor) -> dict[str, Tensor]:
        state = self.state[parameter]
        if not state:
            state["step"] = torch.zeros((), device=parameter.device)
            state["exp_avg"] = torch.zeros_like(parameter)
            state["exp_avg_sq"] = torch.zeros_like(parameter)
        return state
