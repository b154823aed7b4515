"""The largest micro-batch that fits: halved until it does, the global batch kept."""

from collections.abc import Iterator

import numpy as np
import torch
from accelerate import Accelerator

from corpusmill.model.data.batches import Samples
from corpusmill.model.data.tensors import as_tensors
from corpusmill.model.network.base import Network
from corpusmill.model.training.config import TrainConfig
from corpusmill.model.training.muon import Muon
from corpusmill.model.training.optimizer import build_optimizers, remembered
from corpusmill.storage.errors import ConfigError

# Samples of which the longest are tried.
_LOOKED_AT = 1 << 16
# What a CPU's allocator says, where a GPU raises a type of its own.
_ON_A_CPU = ("can't allocate memory", "not enough memory")


def fitting_micro_batches(
    network: Network, samples: Samples, accelerator: Accelerator, config: TrainConfig
) -> Iterator[int]:
    """Tries `train.hardware.micro_batch_size`, then half of it, and so on; the last one given fits.

    The products of an optimizer step, then a pass forward and backward, are tried beside as much
    memory as the optimizers and the average will hold, on the network before it is distributed, so
    that no process waits for one that failed. The parts of a sharded network are gathered only
    while all processes take part: its micro-batch is taken as it is.

    Raises:
        ConfigError: not even one sequence fits, or what is left does not divide.
    """
    size = config.hardware.micro_batch_size
    yield size
    sharded = config.hardware.parallelism == "fsdp" and accelerator.num_processes > 1
    while not sharded and not _fits(network, samples, accelerator, config, size):
        if size == 1 or size % 2:
            raise out_of_memory(network, config, size)
        size //= 2
        yield size


def out_of_memory(network: Network, config: TrainConfig, size: int) -> ConfigError:
    """The error where the smallest micro-batch that was tried, of `size`, does not fit."""
    parameters = sum(parameter.numel() for parameter in network.parameters())
    smaller = "" if size == 1 else "train.hardware.micro_batch_size to a power of two, "
    return ConfigError(
        f"{size} sequence{'s' * (size > 1)} of {config.sequence_length} tokens through "
        f"{parameters:,} parameters, with their gradients and optimizer, do not fit into memory; "
        f"set {smaller}train.hardware.activation_checkpointing to true, "
        "train.hardware.parallelism to fsdp, or "
        "lower train.sequence_length, model.hidden_size or model.num_hidden_layers."
    )


def drawn_otherwise(config: TrainConfig, fitting: int) -> ConfigError:
    """The error where a smaller micro-batch would fit but, under dropout, makes another model."""
    asked = config.hardware.micro_batch_size
    return ConfigError(
        f"train.hardware.micro_batch_size {asked} does not fit into memory, {fitting} does; it is "
        f"not halved by itself, for train.dropout {config.dropout} draws what is dropped for as "
        f"many sequences at a time: set it to {fitting}, which makes another model, "
        "or leave the device to this run alone."
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a device or the host had no memory left."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or (
        isinstance(error, RuntimeError) and any(words in str(error) for words in _ON_A_CPU)
    )


def _fits(
    network: Network, samples: Samples, accelerator: Accelerator, config: TrainConfig, size: int
) -> bool:
    """Whether it does in every process."""
    try:
        _try(network, samples, config, size, accelerator.device)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        failed = 1.0
    else:
        failed = 0.0
    network.zero_grad(set_to_none=True)
    if accelerator.device.type == "cuda":
        torch.cuda.empty_cache()
    flag = torch.tensor(failed, device=accelerator.device)
    return bool(accelerator.reduce(flag, "sum").item() == 0)


def _try(
    network: Network, samples: Samples, config: TrainConfig, size: int, on: torch.device
) -> None:
    # What is there from the second micro-batch or step on: gradients, what the optimizers remember,
    # and the average.
    copies = 2 if config.average else 1
    learning = [each for each in network.parameters() if each.requires_grad]
    held = [torch.empty_like(each) for each in learning for _ in range(copies)]
    held += [torch.empty_like(each) for each in remembered(network, config.optimizer)]
    for optimizer in build_optimizers(network, config.optimizer).each:
        if isinstance(optimizer, Muon):
            optimizer.rehearse()
    some = np.arange(min(_LOOKED_AT, sum(samples.sizes)))
    longest = np.resize(some[np.argsort(-samples.tokens(some), kind="stable")], size)
    network(**as_tensors(samples.read(longest, longest), on)).sum().backward()
    del held
