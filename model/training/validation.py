"""Held-out loss in mid-run, and early stopping by it."""

import math
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import torch

from corpusmill.model.data.order import Order
from corpusmill.model.data.tensors import as_tensors
from corpusmill.model.network.base import LanguageModel, Network
from corpusmill.model.training.checkpoint import diverged
from corpusmill.model.training.parallel import reshard
from corpusmill.model.training.run import Run
from corpusmill.storage.metrics import (
    VALIDATION_BITS_PER_BYTE,
    VALIDATION_LOSS,
    VALIDATION_PERPLEXITY,
    part_of_loss,
)


def validate(run: Run) -> bool:
    """Scores a fixed choice of held-out windows.

    Returns:
        Whether early stopping is looking for the best weights, and these are.

    Raises:
        ConfigError: the loss is not finite.
    """
    with run.average.applied() if run.average else nullcontext():
        losses = _validation_losses(run)
    loss = float(losses.sum())
    run.check_gradients()
    if not math.isfinite(loss):
        raise diverged(f"{VALIDATION_LOSS} is {loss}", run.progress.step)
    metrics = {
        VALIDATION_LOSS: loss,
        **named_losses("validation", run.network, losses),
    }
    if isinstance(run.network, LanguageModel):
        metrics[VALIDATION_PERPLEXITY] = math.exp(min(float(losses[0]), 700))
    if "tokens" in run.held_out and run.network.config.family == "causal_lm":
        bits = loss / math.log(2) * run.held_out["tokens"] + 8 * run.held_out["lost_bytes"]
        metrics[VALIDATION_BITS_PER_BYTE] = bits / max(1, run.held_out["bytes"])
    run.write("metrics", metrics=metrics)
    before = run.progress
    if run.config.validation.early_stopping is None:
        return False
    if before.best_loss is None or loss < before.best_loss:
        run.progress = replace(before, best_loss=loss, best_step=before.step, validations_since=0)
        return True
    run.progress = replace(before, validations_since=before.validations_since + 1)
    return False


@torch.no_grad()
def _validation_losses(run: Run) -> np.ndarray:
    """Nats a prediction, of each loss, worked out by all processes together; (K,)."""
    accelerator, config = run.accelerator, run.config
    there = sum(run.validation.sizes)
    chosen = Order(there, seed=0).windows(0, min(config.validation.windows, there))
    mine = chosen[accelerator.process_index :: accelerator.num_processes]
    total = torch.zeros_like(run.loss_sum)
    run.network.eval()
    # Every process in as many rounds: shards are gathered by all of them together.
    rounds = -(-len(chosen) // (accelerator.num_processes * config.hardware.micro_batch_size))
    # It would be compiled once more for this; and of a run that is not, no compiler is imported.
    with torch.compiler.set_stance("force_eager") if run.compiling else nullcontext():
        for piece in np.array_split(mine, rounds):
            numbers = piece if len(piece) else chosen[:1]
            batch = run.validation.read(numbers, numbers)
            loss = run.network(**as_tensors(batch, accelerator.device))
            total += loss if len(piece) else 0.0
    reshard(run.network)
    run.network.train()
    num_targets = run.validation.num_targets(chosen).reshape(len(chosen), -1).sum(0)
    losses: np.ndarray = accelerator.reduce(total, "sum").cpu().numpy() / num_targets
    return losses


def given_up(run: Run) -> bool:
    """Whether the validation loss has not fallen for as long as the config waits."""
    patience, progress = run.config.validation.early_stopping, run.progress
    if patience is None or progress.validations_since < patience:
        return False
    run.write("stopped_early", best_step=progress.best_step, best_loss=progress.best_loss)
    return True


def named_losses(split: str, network: Network, losses: np.ndarray) -> dict[str, float]:
    """Each loss by its name, where there are several; `losses` (K,)."""
    if len(network.losses) == 1:
        return {}
    named = zip(network.losses, losses.tolist(), strict=True)
    return {part_of_loss(split, name): loss for name, loss in named}
