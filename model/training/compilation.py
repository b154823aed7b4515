"""Whether a run is compiled, and why.

The answer follows from the job alone, never from a clock: a run that is resumed, or repeated, must
compute the same bits.
"""

import shlex
import shutil
from dataclasses import asdict, dataclass

import torch

from corpusmill.model.network.base import Network
from corpusmill.model.tasks.network import Labeller
from corpusmill.model.training.config import TrainConfig
from corpusmill.model.training.ranks import of_all

# Measured with torch 2.13. On a CPU compiling took 20 s and 2.5 s a layer, and won of each layer
# and micro-batch 3.2 ms at width 128 (768 tokens, 2 threads), 7.5 ms at 256 (1,024 tokens, 1
# thread) and 11 ms at 384 (2,048 tokens, 2 threads): launches of small operations, and passes over
# memory in proportion to tokens times width.
_COLD_SECONDS = {"cpu": (20.0, 2.5), "cuda": (30.0, 3.0)}
_LAUNCHES_SECONDS = {"cpu": 2.1e-3, "cuda": 0.3e-3}
# On a GPU from the literature: about 20 passes of 4 bytes at 3 TB/s.
_PASSES_SECONDS = {"cpu": 2.3e-8, "cuda": 3.0e-11}


@dataclass(frozen=True)
class Compilation:
    """Attributes:
    compiled: whether the network is compiled after its first step.
    reason: for the journal, with the seconds that were weighed.
    """

    compiled: bool
    reason: str


def decide_compilation(
    network: Network, config: TrainConfig, device: torch.device, num_processes: int
) -> Compilation:
    """Weighs what compiling costs, with nothing in the cache, against what it wins by the end.

    Every process must ask, for where one of them stays eager all of them do.
    """
    return agreed(_decide(network, config, device, num_processes))


def agreed(mine: Compilation) -> Compilation:
    """The decision that all processes take: eager if any is, with the first such reason."""
    every = [Compilation(**each) for each in of_all(asdict(mine))]
    return next((each for each in every if not each.compiled), every[0])


def _decide(
    network: Network, config: TrainConfig, device: torch.device, num_processes: int
) -> Compilation:
    asked = config.hardware.compile
    differ = isinstance(network, Labeller) or "translation" in {
        each.objective for each in config.objectives
    }
    if asked == "auto" and differ:
        return Compilation(False, "batches differ in shape; the run stays eager")
    cost, won = _seconds(network, config, device, num_processes)
    reason = (
        f"compiling costs {cost:.0f} s and would win {won:.0f} s over {config.max_steps} steps"
        if asked == "auto"
        else f"train.hardware.compile is {asked}"
    )
    wanted = asked == "always" or (asked == "auto" and won > cost)
    if wanted and (fault := _fault(device)):
        return Compilation(False, fault)
    return Compilation(wanted, reason)


def _seconds(
    network: Network, config: TrainConfig, device: torch.device, num_processes: int
) -> tuple[float, float]:
    layers, kind = network.config.num_hidden_layers, device.type
    once, each = _COLD_SECONDS[kind]
    threads = torch.get_num_threads() if kind == "cpu" else 1
    tokens = config.hardware.micro_batch_size * config.sequence_length
    numbers = tokens * network.config.hidden_size / threads
    won = layers * (_LAUNCHES_SECONDS[kind] + _PASSES_SECONDS[kind] * numbers)
    micro_batches = config.global_batch_size // (config.hardware.micro_batch_size * num_processes)
    return once + each * layers, won * micro_batches * config.max_steps


def _fault(device: torch.device) -> str | None:
    """Why nothing can be compiled on this device, where that is so."""
    # The compiler takes seconds to import, and most runs on a CPU do without.
    from torch._inductor.runtime.cache_dir_utils import cache_dir

    for path in (cache_dir(), torch.__path__[0]):
        # torch 2.13 gives the compiler and the linker such a path unquoted.
        if not _is_one_word(path):
            return (
                f"compiling needs paths without spaces and quotes, but there is {path!r}; "
                "the run stays eager"
            )
    if device.type == "cuda":
        # Triton builds what starts a kernel with one of these.
        if shutil.which("gcc") or shutil.which("clang"):
            return None
        return "there is no C compiler on the PATH (gcc or clang); the run stays eager"
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        get_cpp_compiler()
    except InvalidCxxCompiler:
        return "there is no C++ compiler on the PATH (g++ or clang++); the run stays eager"
    return None


def _is_one_word(path: str) -> bool:
    try:
        return shlex.split(path) == [path]
    except ValueError:  # a quote that is not closed
        return False
