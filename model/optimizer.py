"""AdamW (Loshchilov and Hutter 2019) and the learning rate of each step."""

from torch import nn, optim

from model.config import TrainConfig
from model.decoder import parameter_groups


def build_optimizer(model: nn.Module, config: TrainConfig) -> optim.AdamW:
    """AdamW that decays matrices and leaves gains and other vectors alone."""
    return optim.AdamW(
        parameter_groups(model, config.weight_decay),
        lr=config.learning_rate,
        betas=(config.adam_beta1, config.adam_beta2),
        fused=True,
    )


def learning_rate(step: int, config: TrainConfig) -> float:
    """Rate of step 0 ≤ step < max_steps: linear warm-up, constant, then linear to zero.

    The last `decay_fraction` of the run decays (warmup-stable-decay, Hu et al. 2024).
    """
    rise = min(1.0, (step + 1) / (config.warmup_steps + 1))
    decay_steps = max(1, round(config.max_steps * config.decay_fraction))
    fall = min(1.0, (config.max_steps - step) / decay_steps)
    return config.learning_rate * min(rise, fall)
