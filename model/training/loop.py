"""The training loop: read `train` from top to bottom.

Every process runs this file. The gradient is that of the mean loss a token over the global batch,
whatever the number of processes and micro-batches; the data is a pure function of the step.
"""

import math
import time
from dataclasses import replace

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs
from torch import Tensor

from corpusmill.model.data.tensors import as_tensors, cut
from corpusmill.model.process import StopRequest
from corpusmill.model.training.checkpoint import diverged, tensors_of
from corpusmill.model.training.config import TrainConfig
from corpusmill.model.training.job import TrainingJob, TrainingResult
from corpusmill.model.training.micro_batch import is_out_of_memory
from corpusmill.model.training.optimizer import gradient_norm
from corpusmill.model.training.parallel import compile_in_place, synchronized
from corpusmill.model.training.publishing import publish_model
from corpusmill.model.training.run import Run, build_run, resume
from corpusmill.model.training.schedule import rate_factor, sequence_length
from corpusmill.model.training.stopping import StopTrigger
from corpusmill.model.training.validation import given_up, named_losses, validate
from corpusmill.storage.config import write_json_value
from corpusmill.storage.errors import CorpusmillError, InputError
from corpusmill.storage.layout import RunLayout
from corpusmill.storage.metrics import (
    DATA_WAIT,
    GRADIENT_NORM,
    LEARNING_RATE,
    MEMORY_GB,
    MFU,
    OPTIMIZER_SHARE,
    TOKENS_PER_SECOND,
    TOKENS_SEEN,
    TRAIN_LOSS,
)


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
    config = job.train
    try:
        run = build_run(job, layout, accelerator)
        config = run.config
        resume(run)
        try:
            status = _loop(run, stop)
        finally:
            run.checkpoints.wait()
        result = _finish(run, status)
    except CorpusmillError as error:
        result = TrainingResult(
            status="failed", error=str(error), input_error=isinstance(error, InputError)
        )
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        result = _ran_out(config, error)
    if accelerator.is_main_process:
        write_json_value(layout.result, result)
    # An error may be this process's alone: the others would never come, the launcher ends them.
    if not result.error:
        accelerator.wait_for_everyone()
    return result


def _ran_out(config: TrainConfig, error: BaseException) -> TrainingResult:
    """Memory that was there when the run began is not there any more."""
    sentence = (
        f"Out of memory at train.hardware.micro_batch_size "
        f"{config.hardware.micro_batch_size} and "
        f"train.sequence_length {config.sequence_length} ({str(error).splitlines()[0]}); "
        "lower one of them, set train.hardware.activation_checkpointing to true, or leave the "
        "device to this run alone, then run again: it goes on from its newest checkpoint."
    )
    return TrainingResult(status="failed", error=sentence, input_error=True)


def _loop(run: Run, stop: StopRequest) -> str:
    config = run.config
    run.model.train()
    trigger = StopTrigger(run.accelerator, delayed=run.accelerator.device.type == "cuda")
    while run.progress.step < config.max_steps:
        _compile(run)
        _profile(run)
        _update(run)
        step = run.progress.step
        stopping = _agreed(run, trigger, stop)
        last = step == config.max_steps or _out_of_time(run)
        if last or stopping or step % config.log_every == 0 or step % config.checkpoint_every == 0:
            _log(run)
        improved = (last or step % config.validation.every == 0) and validate(run)
        last = last or given_up(run)
        if last or stopping or improved or step % config.checkpoint_every == 0:
            _checkpoint(run)
        _journal_checkpoints(run)
        if last:
            return "finished"
        if stopping:
            return "interrupted"
    return "finished"


def _compile(run: Run) -> None:
    """Compiles in place after the first step, which is so seen at once."""
    # A run that is resumed after it compiles at once, and so computes every step as it would have.
    if run.compilation.compiled and run.progress.step and not run.compiling:
        run.compiling = True
        compile_in_place(run.network, by_block=run.config.hardware.activation_checkpointing)


def _profile(run: Run) -> None:
    """Records some steps where that is asked for, and says where they can be looked at."""
    if run.profile and run.profile.reach(run.progress.step):
        run.write("profile", path=str(run.profile.folder))


def _update(run: Run) -> None:
    """One optimizer step over the global batch."""
    config, accelerator, begun = run.config, run.accelerator, time.perf_counter()
    step = run.progress.step
    if config.dropout:
        _seed_dropout(run)
    local = run.feed.step(step, accelerator.num_processes, accelerator.process_index)
    # Both layouts average over processes what must be a sum over them.
    scale = torch.from_numpy(accelerator.num_processes / local.num_targets).to(run.loss_sum)
    for number, piece in enumerate(zip(local.numbers, local.draws, strict=True), start=1):
        last = number == len(local.numbers)
        with synchronized(run.model, accelerator, now=last):
            with run.gauges.time("data"):
                batch = as_tensors(run.feed.samples.read(*piece), accelerator.device)
            if config.sequence_length_warmup:
                batch = cut(batch, sequence_length(step, config))
            loss: Tensor = run.model(**batch)
            accelerator.backward((loss * scale).sum())
        run.loss_sum += loss.detach()
    run.num_targets = run.num_targets + local.num_targets
    run.gradient_norm = gradient_norm(run.model, config.optimizer)
    run.diverged |= ~run.gradient_norm.isfinite()
    # Reading it stalls a GPU, on which it is read before anything is logged, scored or kept: what
    # the weights have become until then is never seen.
    if accelerator.device.type == "cpu":
        run.check_gradients()
    with run.gauges.time("optimizer"):
        run.rate_factor = rate_factor(step, config, run.clock)
        run.optimizers.step(run.rate_factor)
    if run.average:
        run.average.update(step + 1)
    run.progress = replace(
        run.progress,
        step=step + 1,
        tokens_seen=run.progress.tokens_seen + local.tokens,
        seconds=run.progress.seconds + time.perf_counter() - begun,
    )


def _seed_dropout(run: Run) -> None:
    """Makes what is dropped a function of seed, step and process, whatever ran before."""
    numbers = run.config.seed, run.progress.step, run.accelerator.process_index
    torch.manual_seed(int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0]))


def _log(run: Run) -> None:
    """Writes the means since the last log; ends a run whose numbers are not finite."""
    before, begun = run.logged, time.perf_counter()
    if run.progress.step == before.step:
        return
    tokens = run.progress.tokens_seen - before.tokens_seen
    losses = run.accelerator.reduce(run.loss_sum, "sum").cpu().numpy() / run.num_targets
    loss = float(losses.sum())
    # On a GPU the steps have only been queued up to here.
    waited = time.perf_counter() - begun
    now = run.progress = replace(run.progress, seconds=run.progress.seconds + waited)
    metrics = {
        TRAIN_LOSS: loss,
        **named_losses("train", run.network, losses),
        LEARNING_RATE: run.config.optimizer.learning_rate * run.rate_factor,
        GRADIENT_NORM: float(run.gradient_norm),
        TOKENS_SEEN: now.tokens_seen,
        **_performance(run, tokens, max(now.seconds - before.seconds, 1e-9)),
    }
    run.loss_sum.zero_()
    run.num_targets = np.zeros_like(run.num_targets)
    run.logged = now
    run.check_gradients()
    if not math.isfinite(loss):
        raise diverged(f"{TRAIN_LOSS} is {loss}", now.step)
    run.write("metrics", metrics=metrics)


def _performance(run: Run, tokens: int, seconds: float) -> dict[str, float]:
    """What the gauges say of the steps since the last log."""
    spent = run.gauges.read()
    return {
        TOKENS_PER_SECOND: tokens / seconds,
        MFU: tokens / seconds * run.flops_per_token / run.peak_flops,
        DATA_WAIT: spent["data"] / seconds,
        OPTIMIZER_SHARE: spent["optimizer"] / seconds,
        MEMORY_GB: float(run.accelerator.reduce(run.gauges.peak_memory(), "sum")),
    }


def _checkpoint(run: Run) -> None:
    run.checkpoints.save(run.progress, tensors_of(run.network, run.optimizers, run.average))


def _journal_checkpoints(run: Run) -> None:
    """Says which asynchronous checkpoints have been completed."""
    for written in run.checkpoints.finished():
        run.write(
            "checkpoint",
            step=written.step,
            path=written.path.name,
            seconds=round(written.seconds, 3),
            blocked_seconds=round(written.blocked_seconds, 4),
            gigabytes=round(written.gigabytes, 6),
        )
        assert run.journal
        run.journal.sync()


def _agreed(run: Run, trigger: StopTrigger, stop: StopRequest) -> bool:
    """Whether any process was asked to stop; a GPU works meanwhile, and its time counts."""
    begun = time.perf_counter()
    agreed = trigger.check(stop, run.progress.seconds)
    waited = time.perf_counter() - begun
    run.progress = replace(run.progress, seconds=run.progress.seconds + waited)
    if agreed is None:
        return False
    run.clock = agreed.seconds
    return agreed.stopping


def _out_of_time(run: Run) -> bool:
    """Whether the run has trained for as long as it may."""
    budget = run.config.max_seconds
    if budget is None or run.clock < budget:
        return False
    run.write("stopped_by_time", seconds=round(run.clock, 3), max_seconds=budget)
    return True


def _finish(run: Run, status: str) -> TrainingResult:
    """Exports the model if the run is over, and describes how it ended."""
    _journal_checkpoints(run)
    _profile(run)
    if status == "finished":
        publish_model(run)
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
