"""A training run: everything that the loop works on, built and resumed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from corpusmill.model.data.batches import Samples
from corpusmill.model.device import COMPUTE_DTYPES, resolve_precision, use_threads
from corpusmill.model.hf.folder import load_model
from corpusmill.model.network.base import Network
from corpusmill.model.network.build import build_network
from corpusmill.model.objectives.config import check_objectives
from corpusmill.model.tasks.network import Labeller
from corpusmill.model.tasks.starting import start_labeller
from corpusmill.model.tokenizer.folder import load_tokenizer
from corpusmill.model.training.async_checkpoint import AsyncCheckpointer
from corpusmill.model.training.averaging import LineMean, WeightAverage, start_average
from corpusmill.model.training.checkpoint import Progress, clear_leftovers, diverged
from corpusmill.model.training.compilation import Compilation, decide_compilation
from corpusmill.model.training.config import (
    TrainConfig,
    check_batch,
    check_device,
    check_positions,
    check_sequence_length,
)
from corpusmill.model.training.feed import Feed, open_feed
from corpusmill.model.training.flops import flops_per_token
from corpusmill.model.training.gauges import Gauges, measured_peak
from corpusmill.model.training.job import TrainingJob
from corpusmill.model.training.micro_batch import drawn_otherwise, fitting_micro_batches
from corpusmill.model.training.moments import go_ahead, take_over
from corpusmill.model.training.optimizer import Optimizers, build_optimizers
from corpusmill.model.training.parallel import distribute
from corpusmill.model.training.profile import Profile
from corpusmill.model.training.ranks import of_all
from corpusmill.model.training.resuming import check_origin, load_newest
from corpusmill.model.training.samples import Reading, open_samples
from corpusmill.storage.artifacts import Spec, set_aside
from corpusmill.storage.errors import ConfigError
from corpusmill.storage.journal import JournalWriter
from corpusmill.storage.layout import RunLayout
from corpusmill.storage.manifest import read_manifest, verify
from corpusmill.storage.settings import load_settings
from corpusmill.storage.splits import SPLITS


@dataclass
class Run:
    """Everything that the loop works on.

    Attributes:
        job: with a micro-batch that fits into memory.
        spec: of the model, as the job was given.
        known_length: tokens that the network could read at once when the run began; 0 for a new
            one.
        held_out: tokens, bytes and lost bytes of the text that is held out.
        clock: seconds of training that all processes agree on.
        rate_factor: share of the learning rates in the last step.
    """

    job: TrainingJob
    spec: Spec
    layout: RunLayout
    accelerator: Accelerator
    network: Network
    model: nn.Module
    optimizers: Optimizers
    feed: Feed
    validation: Samples
    held_out: Mapping[str, int]
    journal: JournalWriter | None
    checkpoints: AsyncCheckpointer
    compilation: Compilation
    gauges: Gauges
    flops_per_token: int
    peak_flops: float
    known_length: int
    profile: Profile | None = None
    average: WeightAverage | None = None
    compiling: bool = False
    progress: Progress = field(default_factory=Progress)
    clock: float = 0.0
    rate_factor: float = 0.0
    loss_sum: Tensor = field(default_factory=lambda: torch.zeros(1))
    num_targets: np.ndarray = field(default_factory=lambda: np.zeros(1, np.int64))
    gradient_norm: Tensor = field(default_factory=lambda: torch.zeros(()))
    diverged: Tensor = field(default_factory=lambda: torch.zeros((), dtype=torch.bool))
    logged: Progress = field(default_factory=Progress)

    @property
    def config(self) -> TrainConfig:
        return self.job.train

    @property
    def parameters(self) -> int:
        """How many numbers the network learns."""
        return sum(parameter.numel() for parameter in self.network.parameters())

    def write(self, event: str, **fields: object) -> None:
        """Writes to the journal, from the main process only; of this step unless told."""
        if self.journal:
            self.journal.write(event, **{"step": self.progress.step, **fields})

    def check_gradients(self) -> None:
        """Raises ConfigError if the gradient of a step was not finite; waits for a GPU."""
        if bool(self.diverged):
            raise diverged("The gradient is not finite", self.progress.step)


def build_run(job: TrainingJob, layout: RunLayout, accelerator: Accelerator) -> Run:
    """Checks the job against what is there and makes the network, optimizer and data."""
    if accelerator.num_processes != job.num_processes:
        raise ConfigError(
            f"{accelerator.num_processes} processes are running, the job expects "
            f"{job.num_processes}; start it with --num_processes {job.num_processes} "
            "(and --multi_gpu for more than one, on a CPU too)."
        )
    # A job that was written by hand may leave it open; what is trained may not.
    precision = resolve_precision(job.train.hardware.precision)
    job = job.model_copy(update={"train": job.train.on_hardware(precision=precision)})
    spec = job.spec()
    _check_same(job, spec)
    check_device(job.train, torch.cuda.device_count(), load_settings().processors)
    check_batch(job.train, job.num_processes)
    use_threads()
    counts = _counts(job)
    journal = JournalWriter(layout.journal) if accelerator.is_main_process else None
    network, known_length = _network(job)
    network = network.to(accelerator.device)
    _check_fit(job, network)
    reading = _reading(job, network)
    feed = open_feed(reading, job.train, counts["train"])
    job = _fitted(job, network, feed, accelerator, journal)
    model = distribute(network, accelerator, job.train.hardware)
    optimizers = build_optimizers(network, job.train.optimizer)
    average = _average(network, job.train)
    if job.moments:
        take_over(job.moments, network, optimizers)
        if isinstance(average, LineMean):
            go_ahead(job.moments, network)
    return Run(
        job=job,
        spec=spec,
        layout=layout,
        accelerator=accelerator,
        network=network,
        model=model,
        optimizers=optimizers,
        feed=open_feed(reading, job.train, counts["train"]),
        validation=open_samples(reading, job.train, "validation"),
        held_out=counts["validation"],
        journal=journal,
        checkpoints=AsyncCheckpointer(layout.checkpoints, spec, writes=accelerator.is_main_process),
        compilation=decide_compilation(network, job.train, accelerator.device, job.num_processes),
        gauges=Gauges(accelerator.device),
        flops_per_token=flops_per_token(
            network.config, network.vocab_size, job.train.sequence_length
        ),
        peak_flops=_peak_flops(network, accelerator),
        known_length=known_length,
        profile=Profile(layout.profile, job.train) if journal and job.train.profile_steps else None,
        average=average,
        loss_sum=torch.zeros(len(network.losses), device=accelerator.device),
        diverged=torch.zeros((), dtype=torch.bool, device=accelerator.device),
    )


def _counts(job: TrainingJob) -> Mapping[str, Any]:
    """What the manifest of the verified data says of each split."""
    if job.shards is None:
        assert job.examples
        verify(job.examples)
        return {split: {} for split in SPLITS}
    verify(job.shards)
    counts: Mapping[str, Any] = read_manifest(job.shards)["counts"]
    check_sequence_length(job.train, {split: counts[split]["tokens"] for split in SPLITS})
    return counts


def _reading(job: TrainingJob, network: Network) -> Reading:
    head = network.head if isinstance(network, Labeller) else None
    data = job.shards or job.examples
    assert data
    share = job.method.share if job.method else 1.0
    return Reading(data, network.config, job.tokenizer, head, share)


def _check_same(job: TrainingJob, spec: Spec) -> None:
    """Raises ConfigError unless all processes have read one job, and see one text and model."""
    every = of_all([job.model_dump(mode="json"), spec.digest])
    for rank, read in enumerate(every):
        if read != every[0]:
            raise ConfigError(
                f"Process {rank} reads another job.json, or other files that it names, than the "
                f"main process; expected {job.directory} and {job.shards or job.examples} to be "
                "the same folders on every machine: mend what it sees of the store, then run again."
            )


def _check_fit(job: TrainingJob, network: Network) -> None:
    """Raises ConfigError if network, tokenizer and objectives do not go together."""
    check_positions(network.config, job.train)
    try:
        check_objectives(job.train.objectives, network.config.family)
    except ValueError as error:
        raise ConfigError(f"{error}.") from error
    tokens = load_tokenizer(job.tokenizer).get_vocab_size()
    if tokens > network.vocab_size:
        raise ConfigError(
            f"The tokenizer has {tokens} tokens, but the model in {job.initialize_from} only "
            f"{network.vocab_size}; start from it with its own tokenizer."
        )


def _average(network: Network, train: TrainConfig) -> WeightAverage | None:
    return start_average(network, train.average, train.max_steps) if train.average else None


def _peak_flops(network: Network, accelerator: Accelerator) -> float:
    """What the devices of all processes together do when they all multiply at once."""
    peak = measured_peak(accelerator.device, network.compute_dtype)
    each = torch.tensor(peak, dtype=torch.float64, device=accelerator.device)
    return float(accelerator.reduce(each, "sum"))


def _fitted(
    job: TrainingJob,
    network: Network,
    feed: Feed,
    accelerator: Accelerator,
    journal: JournalWriter | None,
) -> TrainingJob:
    """The job with a micro-batch that fits into memory."""
    asked = job.train
    for size in fitting_micro_batches(network, feed.samples, accelerator, asked):
        if size < asked.hardware.micro_batch_size and journal and not asked.dropout:
            journal.write("micro_batch_halved", step=0, micro_batch_size=size)
        job = job.model_copy(update={"train": asked.on_hardware(micro_batch_size=size)})
    fitting = job.train.hardware.micro_batch_size
    if asked.dropout and fitting < asked.hardware.micro_batch_size:
        raise drawn_otherwise(asked, fitting)
    return job


def _network(job: TrainingJob) -> tuple[Network, int]:
    """The network as it begins, and how many tokens it can read at once already."""
    dtype, known_length = COMPUTE_DTYPES[resolve_precision(job.train.hardware.precision)], 0
    network: Network
    if job.method:
        assert job.initialize_from and job.examples
        given = job.method, job.examples, job.train.seed
        network, known_length = start_labeller(job.initialize_from, dtype, *given)
    elif job.initialize_from:
        network, _, known_length = load_model(job.initialize_from, dtype)
    else:
        assert job.model
        vocab_size = load_tokenizer(job.tokenizer).get_vocab_size()
        begun = build_network(job.model, vocab_size, dtype)
        begun.init_weights(job.train.seed)
        network = begun
    network.set_dropout(job.train.dropout)
    network.smoothing = job.train.label_smoothing
    if job.train.hardware.activation_checkpointing:
        network.recompute_layers()
    return network, known_length


def resume(run: Run) -> None:
    """Continues from the newest good checkpoint, if there is one, and says so."""
    folder = run.layout.checkpoints
    if run.accelerator.is_main_process:
        clear_leftovers(folder)
        check_origin(folder, run.spec)
        run.layout.result.unlink(missing_ok=True)
    run.accelerator.wait_for_everyone()
    found, refused = load_newest(folder, run.network, run.optimizers, run.average)
    run.progress = run.logged = found or Progress()
    run.clock = run.progress.seconds
    if run.accelerator.is_main_process:
        for path, reason in refused:
            set_aside(path)
            run.write("checkpoint_refused", path=path.name, reason=reason)
    run.write(
        "resumed" if found else "started",
        max_steps=run.config.max_steps,
        parameters=run.parameters,
        num_processes=run.accelerator.num_processes,
        device=run.accelerator.device.type,
        precision=run.network.precision,
        tokens_seen=run.progress.tokens_seen,
        micro_batch_size=run.config.hardware.micro_batch_size,
        dropped_tokens=run.feed.samples.dropped,
        peak_tflops=round(run.peak_flops / 1e12, 3),
        compiled=run.compilation.compiled,
        compilation=run.compilation.reason,
    )
