"""Muon: steepest descent for matrices under the spectral norm (Jordan et al. 2024).

Matrices of one shape are stacked into a bank, so that their products run as one.
"""

from collections import defaultdict
from collections.abc import Iterable

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from corpusmill.model.training.adamw import Optimizer
from corpusmill.model.training.parallel import placed, whole

# Polar Express (Amsel et al. 2025, algorithm 1): the polynomials a·x + b·x³ + c·x⁵ that drive
# singular values between 10⁻³ and 1 to 1 fastest, one after another, with a margin of 2 % for bf16.
POLAR_EXPRESS = (
    (8.156554524902461, -22.48329292557795, 15.878769915207462),
    (4.042929935166739, -2.808917465908714, 0.5000178451051316),
    (3.8916678022926607, -2.772484153217685, 0.5060648178503393),
    (3.285753657755655, -2.3681294933425376, 0.46449024233003106),
    (2.3465413258596377, -1.7097828382687081, 0.42323551169305323),
)


def orthogonalized(bank_NRC: Tensor, steps: int) -> Tensor:
    """Each matrix with its singular values driven towards 1.

    Args:
        bank_NRC: N matrices of R rows and C columns.
        steps: of the iteration, 1 to 5. Five leave singular values between 0.85 and 1.15 wherever
            they were above 10⁻³ of the largest; three reach from 0.1 to 1.9, at 60 % of the cost.

    Returns:
        (N, R, C), in the dtype of `bank_NRC`.
    """
    tall = bank_NRC.shape[-2] > bank_NRC.shape[-1]
    x = bank_NRC.mT if tall else bank_NRC
    # Singular values above 1 would diverge, and the Frobenius norm bounds the largest.
    x = x / (torch.linalg.matrix_norm(x, keepdim=True) * 1.02 + 1e-7)
    for a, b, c in POLAR_EXPRESS[:steps]:
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x


def orthogonalized_together(bank_NRC: Tensor, steps: int) -> Tensor:
    """`orthogonalized`, each process doing a part of the bank that all of them hold."""
    processes = dist.get_world_size() if dist.is_initialized() else 1
    if processes == 1:
        return orthogonalized(bank_NRC, steps)
    each = -(-len(bank_NRC) // processes)
    padded_NRC = F.pad(bank_NRC, (0, 0, 0, 0, 0, each * processes - len(bank_NRC)))
    mine_NRC = padded_NRC[dist.get_rank() * each :][:each]
    done_NRC = orthogonalized(mine_NRC, steps).contiguous()
    dist.all_gather(list(torch.split(padded_NRC, each)), done_NRC)
    return padded_NRC[: len(bank_NRC)]


class Muon(Optimizer):
    """W ← (1 - lr · decay) W - lr · √max(1, R/C) · orthogonalized(Nesterov momentum).

    The factor keeps the change of a layer's outputs the same at any width (Bernstein 2025), so
    that one rate serves narrow and wide networks.
    """

    def __init__(
        self,
        matrices: Iterable[Tensor],
        *,
        lr: float,
        momentum: float,
        weight_decay: float,
        steps: int,
        dtype: torch.dtype,
    ) -> None:
        """Args:
        dtype: of the iteration; bf16 where the hardware multiplies it natively.
        """
        banks: dict[torch.Size, list[Tensor]] = defaultdict(list)
        for matrix in matrices:
            banks[matrix.shape].append(matrix)
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
        super().__init__([{"params": bank} for bank in banks.values()], defaults)
        self._steps = steps
        self._dtype = dtype

    @torch.no_grad()
    def step(self) -> None:
        """Moves every matrix; all of them must have a gradient."""
        for group in self.param_groups:
            self._move(group["params"], group["lr"], group["momentum"], group["weight_decay"])

    @torch.no_grad()
    def rehearse(self) -> None:
        """Takes the memory that a step takes beside gradients and momentum, and moves nothing."""
        for group in self.param_groups:
            ahead = [torch.zeros_like(matrix) for matrix in group["params"]]
            directions = torch.stack([each.to(self._dtype) for each in ahead])
            orthogonalized(directions, self._steps).to(ahead[0].dtype)

    def _move(self, bank: list[Tensor], lr: float, momentum: float, weight_decay: float) -> None:
        gradients = [matrix.grad for matrix in bank if matrix.grad is not None]
        assert len(gradients) == len(bank), "a matrix has no gradient"
        for matrix in bank:
            if matrix not in self.state:
                self.state[matrix]["momentum"] = torch.zeros_like(matrix)
        averages = [self.state[matrix]["momentum"] for matrix in bank]
        torch._foreach_lerp_(averages, gradients, 1 - momentum)
        ahead = torch._foreach_lerp(gradients, averages, momentum)
        directions = torch.stack([whole(each).to(self._dtype) for each in ahead])
        moved = orthogonalized_together(directions, self._steps).to(bank[0].dtype)
        updates = [placed(each, like) for each, like in zip(moved, bank, strict=True)]
        rows, columns = bank[0].shape
        scale = max(1.0, rows / columns) ** 0.5
        torch._foreach_mul_(bank, 1 - lr * weight_decay)
        torch._foreach_add_(bank, updates, alpha=-lr * scale)
