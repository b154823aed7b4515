"""A network that begins by looking at its neighbours.

A causal network reads the token before the one that it predicts without any attention. One that
fills in masked tokens sees a mask there, and has to find out first where the neighbours are: until
it has, it predicts little more than frequencies, for thousands of steps. So the positions begin as
waves, among which a distance is a rotation (Vaswani et al. 2017, §3.5), and queries and keys of the
first layer begin so that each head looks at one distance. Attention that begins structured learns
faster elsewhere too: Trockman and Kolter 2023 (arXiv 2305.09828), Zheng et al. 2024 (2404.01139).

Shape suffixes: D hidden size, P positions, H heads, K size of a head.
"""

import math

import torch
from torch import Tensor

# Beside embeddings that begin at 0.02 and grow to some 0.1 in the first hundred steps.
_AMPLITUDE = 0.14


def waves(positions: int, width: int) -> Tensor:
    """sin(ω p) and cos(ω p), all sines first, of width/2 frequencies evenly from 0 to π.

    With these, and unlike those of Vaswani et al., p and p + 1 have almost nothing in common, which
    makes a glance at one neighbour sharp.

    Returns:
        (P, D), fp32; of an odd width the last column is zero.
    """
    angle_PF = torch.arange(positions).unsqueeze(1) * _frequencies(width)
    both_PD = torch.cat((angle_PF.sin(), angle_PF.cos()), dim=1) * _AMPLITUDE
    return torch.nn.functional.pad(both_PD, (0, width - both_PD.shape[1]))


def glances(width: int, heads: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Queries and keys by which each head looks at one neighbour: -1, 1, -2, 2, and so on.

    A head of K channels takes K/2 frequencies, drawn by `generator`. Its keys are the waves of
    these, and its queries the same turned by the distance.

    Returns:
        The matrices of queries and of keys, each (H · K, D), fp32.
    """
    frequencies, size = _frequencies(width), width // heads
    queries_HKD = torch.zeros(heads, size, width)
    keys_HKD = torch.zeros(heads, size, width)
    for head in range(heads):
        distance = (head // 2 + 1) * (1 if head % 2 else -1)
        drawn = torch.randperm(len(frequencies), generator=generator)[: size // 2]
        turn = frequencies[drawn] * distance
        sines, cosines = drawn, drawn + len(frequencies)
        even = torch.arange(0, 2 * len(drawn), 2)
        keys_HKD[head, even, sines] = 1.0
        keys_HKD[head, even + 1, cosines] = 1.0
        queries_HKD[head, even, sines] = turn.cos()
        queries_HKD[head, even, cosines] = turn.sin()
        queries_HKD[head, even + 1, sines] = -turn.sin()
        queries_HKD[head, even + 1, cosines] = turn.cos()
    return queries_HKD.flatten(0, 1), keys_HKD.flatten(0, 1)


def _frequencies(width: int) -> Tensor:
    count = width // 2
    return math.pi * (torch.arange(count) + 0.5) / max(1, count)
