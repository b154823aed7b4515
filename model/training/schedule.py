"""The learning rate of each step, as a share of the rate that is set. Imports no torch."""

import math

from model.training.config import TrainConfig


def rate_factor(step: int, config: TrainConfig) -> float:
    """Share of every learning rate in step 0 ≤ step < max_steps; above 0, at most 1.

    Linear warm-up, then one of
        wsd: constant, and linear to zero over the last `decay_fraction` (Hu et al. 2024);
        cosine: half a period of a cosine to zero (Loshchilov and Hutter 2017);
        inverse_sqrt: √(warm-up / step), for runs without an end (Vaswani et al. 2017, equation 3).
    """
    warmup, last = config.warmup_steps, config.max_steps
    rise = min(1.0, (step + 1) / (warmup + 1))
    match config.schedule:
        case "wsd":
            decay_steps = max(1, round(last * config.decay_fraction))
            return min(rise, (last - step) / decay_steps)
        case "cosine":
            done = max(0, step - warmup) / max(1, last - warmup)
            return min(rise, 0.5 * (1 + math.cos(math.pi * done)))
        case "inverse_sqrt":
            return min(rise, math.sqrt((warmup + 1) / (step + 1)))
