"""The training loop: read `train` from top to bottom.

Every process runs this file. The gradient is that of the mean loss a token over the global batch,
whatever the number of processes and micro-batches; the data is a pure function of the step.
"""

import math
import time
from contextlib import nullcontext

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs
from torch import Tensor, nn

from model.config import TrainingJob, TrainingResult
from model.data.batches import Samples
from model.data.order import Order
from model.data.tensors import as_tensors
from model.hf import export_model
from model.process import StopRequest
from model.training.checkpoint import Progress, save_checkpoint
from model.training.optimizer import gradient_norm
from model.training.run import Run, build_run, resume
from model.training.schedule import rate_factor
from storage.artifacts import MANIFEST, Spec, publish, set_aside
from storage.config import write_json_value
from storage.errors import ConfigError, CorpusmillError, InputError
from storage.layout import RunLayout


def train(job: TrainingJob) -> TrainingResult:
    """Trains until the last step, or until asked to stop, and leaves result.json.

    Errors that a person can mend end in a result with status "failed" and one sentence.
    """
    stop = StopRequest()
    accelerator = Accelerator(
        cpu=not torch.cuda.is_available(),
        kwargs_handlers=[DistributedDataParallelKwargs(gradient_as_bucket_view=True)],
    )
    layout = RunLayout(job.directory)
    layout.path.mkdir(parents=True, exist_ok=True)
    try:
        run = build_run(job, layout, accelerator)
        resume(run)
        status = _loop(run, stop)
        result = _finish(run, status)
    except CorpusmillError as error:
        result = TrainingResult(
            status="failed", error=str(error), input_error=isinstance(error, InputError)
        )
    if accelerator.is_main_process:
        write_json_value(layout.result, result)
    # An error may be this process's alone: the others would never come, the launcher ends them.
    if not result.error:
        accelerator.wait_for_everyone()
        accelerator.end_training()
    return result


def _loop(run: Run, stop: StopRequest) -> str:
    config = run.config
    run.model.train()
    while run.progress.step < config.max_steps:
        _update(run)
        step = run.progress.step
        last = step == config.max_steps
        stopping = _agreed(run, stop)
        if last or stopping or step % config.log_every == 0 or step % config.checkpoint_every == 0:
            _log(run)
        if last or step % config.validate_every == 0:
            _validate(run)
        if last or stopping or step % config.checkpoint_every == 0:
            _checkpoint(run)
        if stopping and not last:
            return "interrupted"
    return "finished"


def _update(run: Run) -> None:
    """One optimizer step over the global batch."""
    config, accelerator, begun = run.config, run.accelerator, time.perf_counter()
    step = run.progress.step
    tokens, pieces = run.feed.step(step, accelerator.num_processes, accelerator.process_index)
    for number, piece in enumerate(pieces, start=1):
        last = number == len(pieces)
        with nullcontext() if last else accelerator.no_sync(run.model):
            loss = _summed_loss(run.model, run.feed.samples, piece, accelerator.device)
            # DistributedDataParallel averages over processes what must be a sum over them.
            accelerator.backward(loss * (accelerator.num_processes / tokens))
        run.loss_sum += loss.detach()
    wanted = config.max_grad_norm or (step + 1) % config.log_every == 0
    run.gradient_norm = gradient_norm(run.model, config) if wanted else None
    run.optimizers.step(rate_factor(step, config))
    run.progress = Progress(
        step + 1,
        run.progress.tokens_seen + tokens,
        run.progress.seconds + time.perf_counter() - begun,
    )


def _summed_loss(model: nn.Module, data: Samples, numbers: np.ndarray, on: torch.device) -> Tensor:
    """Nats summed over the targets of these samples."""
    loss: Tensor = model(*as_tensors(data.read(numbers), on))
    return loss


def _log(run: Run) -> None:
    """Writes the means since the last log; refuses to go on from a loss that is not finite."""
    now, before = run.progress, run.logged
    if now.step == before.step:
        return
    tokens = now.tokens_seen - before.tokens_seen
    loss = run.accelerator.reduce(run.loss_sum, "sum").item() / tokens
    metrics = {
        "train/loss": loss,
        "train/learning_rate": run.config.learning_rate * rate_factor(now.step - 1, run.config),
        "train/tokens_seen": now.tokens_seen,
        "performance/tokens_per_second": tokens / max(now.seconds - before.seconds, 1e-9),
    }
    if run.gradient_norm is not None:
        metrics["train/gradient_norm"] = float(run.gradient_norm)
    run.loss_sum.zero_()
    run.logged = now
    if not math.isfinite(loss):
        raise ConfigError(
            f"train/loss is {loss} at step {now.step}; expected a finite number: "
            f"lower train.learning_rate (now {run.config.learning_rate}) or raise "
            "train.warmup_steps, then run again."
        )
    run.write("metrics", metrics=metrics)


@torch.no_grad()
def _validate(run: Run) -> None:
    """Scores a fixed choice of held-out windows, spread over the processes."""
    accelerator, config = run.accelerator, run.config
    chosen = Order(len(run.validation), seed=0).windows(
        0, min(config.validation_windows, len(run.validation))
    )
    mine = chosen[accelerator.process_index :: accelerator.num_processes]
    total = torch.zeros((), device=accelerator.device)
    run.network.eval()
    for start in range(0, len(mine), config.micro_batch_size):
        piece = mine[start : start + config.micro_batch_size]
        total += _summed_loss(run.network, run.validation, piece, accelerator.device)
    run.network.train()
    loss = accelerator.reduce(total, "sum").item() / int(run.validation.learned(chosen).sum())
    metrics = {
        "validation/loss": loss,
        "validation/perplexity": math.exp(min(loss, 700)),
        "validation/bits_per_byte": loss / math.log(2) * run.tokens_per_byte,
    }
    run.write("metrics", metrics=metrics)


def _checkpoint(run: Run) -> None:
    if run.journal:
        begun = time.perf_counter()
        path = save_checkpoint(
            run.layout.checkpoints, run.job.digest, run.progress, run.network, run.optimizers
        )
        run.write("checkpoint", path=path.name, seconds=round(time.perf_counter() - begun, 3))
        run.journal.sync()


def _agreed(run: Run, stop: StopRequest) -> bool:
    """Whether any process was asked to stop: all must leave the loop after the same step."""
    accelerator = run.accelerator
    # Reading a flag stalls a GPU, so that there it is read only where metrics are read anyway.
    if accelerator.device.type == "cuda" and run.progress.step % run.config.log_every:
        return False
    flag = torch.tensor(float(bool(stop)), device=accelerator.device)
    return bool(accelerator.reduce(flag, "sum").item() > 0)


def _finish(run: Run, status: str) -> TrainingResult:
    """Exports the model if the run is over, and describes how it ended."""
    if run.journal and status == "finished":
        _export(run)
    run.write(status, tokens_seen=run.progress.tokens_seen, seconds=run.progress.seconds)
    if run.journal:
        run.journal.sync()
        run.journal.close()
    return TrainingResult.model_validate(
        {
            "status": status,
            "step": run.progress.step,
            "tokens_seen": run.progress.tokens_seen,
            "model": run.layout.model if status == "finished" else None,
            "parameters": run.parameters,
            "seconds": run.progress.seconds,
        }
    )


def _export(run: Run) -> None:
    if (run.layout.model / MANIFEST).exists():
        set_aside(run.layout.model)
    publish(
        run.layout.model,
        Spec("model", 1, {"training": run.job.digest}),
        lambda directory: export_model(
            run.network,
            run.network.config,
            run.job.tokenizer,
            run.config.sequence_length,
            directory,
        ),
    )
