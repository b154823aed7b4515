"""One network on several devices: replicated (DistributedDataParallel) or sharded (FSDP2).

Sharded parameters are DTensors; what is written is always whole, so that either layout, of any
number of processes, reads what the other wrote. What shards takes three seconds to import, and is
imported only where something may be sharded.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
from accelerate import Accelerator
from torch import Tensor, nn

from corpusmill.model.network.base import Network
from corpusmill.model.training.groups import HardwareConfig

if TYPE_CHECKING:
    from torch.distributed.fsdp import FSDPModule
    from torch.distributed.tensor import DTensor


def distribute(network: Network, accelerator: Accelerator, config: HardwareConfig) -> nn.Module:
    """The module to train: `network` itself, sharded in place, or what holds a replica of it."""
    if accelerator.num_processes == 1:
        return network
    if config.parallelism == "ddp":
        replica: nn.Module = accelerator.prepare(network)
        return replica
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    # Accelerate's own FSDP plugin is ignored on a CPU, where this is to be tested too.
    mesh = init_device_mesh(accelerator.device.type, (accelerator.num_processes,))
    # Weights travel in the dtype they are used in; embeddings and head in full precision, in which
    # the loss adds up their gradients.
    policy = MixedPrecisionPolicy(param_dtype=network.compute_dtype, reduce_dtype=torch.float32)
    for block in network.blocks():
        fully_shard(block, mesh=mesh, mp_policy=policy)
    fully_shard(network, mesh=mesh)
    return network


def compile_in_place(network: Network, *, by_block: bool) -> None:
    """Compiles the whole network, or its blocks one by one: always those of a sharded one.

    What gathers the weights of a block stands between blocks, where no graph may reach over it.
    What dropout drops is drawn as it is without compiling.
    """
    by_block = by_block or _sharded_module(network) is not None
    for module in network.blocks() if by_block else (network,):
        module.compile(dynamic=False, options={"fallback_random": True})


@contextmanager
def synchronized(model: nn.Module, accelerator: Accelerator, *, now: bool) -> Iterator[None]:
    """Within the block gradients are summed up over processes, or kept back until they are."""
    if (sharded := _sharded_module(model)) is not None:
        sharded.set_requires_gradient_sync(now)
    with nullcontext() if now else accelerator.no_sync(model):
        yield


def reshard(model: nn.Module) -> None:
    """Frees what a forward pass without a backward pass has gathered of parameters (FSDP2)."""
    if (sharded := _sharded_module(model)) is not None:
        sharded.reshard()


def whole(tensor: Tensor) -> Tensor:
    """The full tensor of a sharded one; a collective: every process calls it, in the same order."""
    sharded = _sharded(tensor)
    return tensor if sharded is None else sharded.full_tensor()


def placed(full: Tensor, like: Tensor) -> Tensor:
    """A full tensor, or this process's shard of it, on the device and sharded as `like` is."""
    full = full.to(like.device)
    sharded = _sharded(like)
    if sharded is None:
        return full
    from torch.distributed.tensor import distribute_tensor

    # Every process has read the whole: nothing needs to be sent.
    return distribute_tensor(full, sharded.device_mesh, sharded.placements, src_data_rank=None)


@torch.no_grad()
def whole_network(network: Network) -> Network:
    """The network with full parameters, itself if it has them; every process must ask for it."""
    if all(_sharded(parameter) is None for parameter in network.parameters()):
        return network
    copy = network.blank()
    for target, parameter in zip(copy.parameters(), network.parameters(), strict=True):
        target.copy_(whole(parameter))
    return copy


def _sharded_module(module: nn.Module) -> "FSDPModule | None":
    """The module, if its parameters are sharded."""
    if not dist.is_initialized():
        return None
    from torch.distributed.fsdp import FSDPModule

    return module if isinstance(module, FSDPModule) else None


def _sharded(tensor: Tensor) -> "DTensor | None":
    """The tensor, if this process holds but a shard of it."""
    if type(tensor) in (Tensor, nn.Parameter):
        return None
    from torch.distributed.tensor import DTensor

    return tensor if isinstance(tensor, DTensor) else None
