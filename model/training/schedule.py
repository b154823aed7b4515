"""What changes from step to step: learning rate, batch and sequence length. Imports no torch."""

import math
from itertools import pairwise

from corpusmill.model.training.config import TrainConfig
from corpusmill.model.training.groups import CosineSchedule, InverseSqrtSchedule, WSDSchedule


def rate_factor(step: int, config: TrainConfig, seconds: float = 0.0) -> float:
    """Share of every learning rate in step 0 ≤ step < max_steps; above 0, at most 1.

    Args:
        seconds: that the steps before have taken. Where config.max_seconds limits them, the rate
            falls with what is nearer to its end, the steps or the time, and is 0 after it.

    Linear warm-up, then one of
        wsd: constant, and linear to zero over the last `decay_fraction` (Hu et al. 2024);
        cosine: half a period of a cosine to zero (Loshchilov and Hutter 2017);
        inverse_sqrt: √(warm-up / step), for runs without an end (Vaswani et al. 2017, equation 3).
    """
    warmup, last = config.schedule.warmup_steps, config.max_steps
    rise = min(1.0, (step + 1) / (warmup + 1))
    spent = min(1.0, seconds / config.max_seconds) if config.max_seconds else 0.0
    match config.schedule:
        case WSDSchedule(decay_fraction=decay_fraction):
            decay_steps = max(1, round(last * decay_fraction))
            left = min((last - step) / decay_steps, (1 - spent) / max(decay_fraction, 1 / last))
            return min(rise, left)
        case CosineSchedule():
            done = max(0, step - warmup) / max(1, last - warmup)
            return min(rise, 0.5 * (1 + math.cos(math.pi * max(done, spent))))
        case InverseSqrtSchedule():
            return min(rise, math.sqrt((warmup + 1) / (step + 1)))


def first_sample(step: int, config: TrainConfig) -> int:
    """Samples that all steps before this one have read."""
    last = config.global_batch_size
    if config.batch_size_warmup is None:
        return step * last
    initial, warmup = config.batch_size_warmup.initial, config.batch_size_warmup.steps
    doublings = (last // initial).bit_length() - 1
    edges = [warmup * stage // doublings for stage in range(doublings + 1)]
    samples = sum(
        (min(step, end) - min(step, begin)) * (initial << stage)
        for stage, (begin, end) in enumerate(pairwise(edges))
    )
    return samples + max(0, step - warmup) * last


def sequence_length(step: int, config: TrainConfig) -> int:
    """Tokens that attention sees at most in this step (Li et al. 2022, sequence length warm-up).

    It never falls: what a step reads is the longest sequence that was read by then.
    """
    last = config.sequence_length
    if config.sequence_length_warmup is None:
        return last
    initial, warmup = config.sequence_length_warmup.initial, config.sequence_length_warmup.steps
    doublings = (last // initial).bit_length() - 1
    return initial << sum(step >= warmup * stage // doublings for stage in range(1, doublings + 1))
