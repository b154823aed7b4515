"""Held-out loss in mid-run, the figure of labels that decides, and early stopping by them."""

import math
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from corpusmill.model.data.order import Order
from corpusmill.model.data.tensors import as_tensors
from corpusmill.model.network.base import LanguageModel, Network
from corpusmill.model.tasks.judging import deciding_figure
from corpusmill.model.tasks.labelled import LabelledTexts
from corpusmill.model.tasks.network import Labeller
from corpusmill.model.training.checkpoint import Progress, diverged
from corpusmill.model.training.parallel import reshard
from corpusmill.model.training.ranks import from_main
from corpusmill.model.training.run import Run
from corpusmill.storage.metrics import (
    VALIDATION_BITS_PER_BYTE,
    VALIDATION_LOSS,
    VALIDATION_PERPLEXITY,
    labelled,
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
        losses, logits_NC = _validated(run)
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
    figure = None if logits_NC is None else _figure(run, logits_NC, metrics)
    run.write("metrics", metrics=metrics)
    before = run.progress
    if run.config.validation.early_stopping is None:
        return False
    if _better(loss, figure, before):
        run.progress = replace(
            before,
            best_loss=loss,
            best_figure=figure,
            best_step=before.step,
            validations_since=0,
        )
        return True
    run.progress = replace(before, validations_since=before.validations_since + 1)
    return False


def _figure(run: Run, logits_NC: Tensor, metrics: dict[str, float]) -> float | None:
    """The figure that decides of labels, which goes to `metrics` too; None where it has no value.

    Args:
        logits_NC: of the chosen validation examples.
    """
    network, samples = run.network, run.validation
    assert isinstance(network, Labeller) and isinstance(samples, LabelledTexts)
    name, value = deciding_figure(network, logits_NC, samples.targets[_chosen(run)])
    # Two kinds of processors may add up otherwise, and all must stop after the same step.
    found: float | None = from_main(None if math.isnan(value) else value)
    if found is not None:
        metrics[labelled("validation", name)] = found
    return found


def _better(loss: float, figure: float | None, than: Progress) -> bool:
    """Whether weights of this loss and this figure, if any, are better than the best so far."""
    if than.best_loss is None:
        return True
    mine, best = (-math.inf if each is None else each for each in (figure, than.best_figure))
    return (mine, -loss) > (best, -than.best_loss)


def _chosen(run: Run) -> np.ndarray:
    """Numbers of the validation samples that are scored; int64 (N,)."""
    there = sum(run.validation.sizes)
    return Order(there, seed=0).windows(0, min(run.config.validation.windows, there))


@torch.no_grad()
def _validated(run: Run) -> tuple[np.ndarray, Tensor | None]:
    """Worked out by all processes together, and the same in each.

    Returns:
        Nats a prediction, of each loss, (K,); of a network that answers with labels its logits_NC.
    """
    accelerator, config, network = run.accelerator, run.config, run.network
    chosen = _chosen(run)
    mine = np.arange(len(chosen))[accelerator.process_index :: accelerator.num_processes]
    total = torch.zeros_like(run.loss_sum)
    outputs = network.head.outputs if isinstance(network, Labeller) else 0
    logits_NC = total.new_zeros(len(chosen), outputs)
    network.eval()
    # Every process in as many rounds: shards are gathered by all of them together.
    rounds = -(-len(chosen) // (accelerator.num_processes * config.hardware.micro_batch_size))
    # It would be compiled once more for this; and of a run that is not, no compiler is imported.
    with torch.compiler.set_stance("force_eager") if run.compiling else nullcontext():
        for piece in np.array_split(mine, rounds):
            numbers = chosen[piece] if len(piece) else chosen[:1]
            batch = as_tensors(run.validation.read(numbers, numbers), accelerator.device)
            loss, logits_BC = _scored(network, batch)
            total += loss if len(piece) else 0.0
            if logits_BC is not None:
                logits_NC[piece] = logits_BC[: len(piece)]
    reshard(network)
    network.train()
    num_targets = run.validation.num_targets(chosen).reshape(len(chosen), -1).sum(0)
    losses: np.ndarray = accelerator.reduce(total, "sum").cpu().numpy() / num_targets
    return losses, accelerator.reduce(logits_NC, "sum") if outputs else None


def _scored(network: Network, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor | None]:
    """The sums of the losses, and of a network that answers with labels its logits_BC."""
    if not isinstance(network, Labeller):
        return network(**batch), None
    targets = batch.pop("targets")
    logits_BC: Tensor = network(**batch)
    return network.loss(logits_BC, targets), logits_BC


def given_up(run: Run) -> bool:
    """Whether validation has not become better for as long as the config waits."""
    patience, progress = run.config.validation.early_stopping, run.progress
    if patience is None or progress.validations_since < patience:
        return False
    best = {"best_loss": progress.best_loss, "best_figure": progress.best_figure}
    run.write("stopped_early", best_step=progress.best_step, **best)
    return True


def named_losses(split: str, network: Network, losses: np.ndarray) -> dict[str, float]:
    """Each loss by its name, where there are several; `losses` (K,)."""
    if len(network.losses) == 1:
        return {}
    named = zip(network.losses, losses.tolist(), strict=True)
    return {part_of_loss(split, name): loss for name, loss in named}
