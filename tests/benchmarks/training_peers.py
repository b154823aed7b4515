"""Trainers beside ours, each by its own program and in its own terms; run by the benchmark.

`python training_peers.py PEER SHAPE DATA_DIR STEPS [options]` trains once and prints JSON as its
last line, all else on stderr. The interpreter is that of an environment made from
training_peers.txt. DATA_DIR holds train.bin and val.bin, token ids as uint16 (tokens,), and
meta.json {"vocab_size": n}; on a GPU, if there is one.

Every peer is a process of its own, and the lines it prints are timed as they come:
nanogpt-eager, nanogpt-compiled: upstream's train.py, from the given checkout.
litgpt: its own `pretrain`, which compiles. hf: the steps of transformers' run_clm_no_trainer.py.

first_step_s: from the start of the process to the line of its first optimizer step.
tokens_per_second: median over the logged intervals after the first tenth of the steps, three at
    least, so without compilation; reading the data, the schedule and logging are in it.
seconds: from start to exit, with the checkpoint at the end, without the score.
peak_bytes: greatest resident memory of the process, on the host.
loss: nats a token over all of val.bin, in windows of the context that do not overlap, in fp32.
"""

import argparse
import importlib.util
import json
import os
import pickle
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

Logits = Callable[["Tensor"], "Tensor"]

LOOPS = Path(__file__).with_name("training_peer_loops.py")
# The number in a line that says a step is done; nanoGPT counts them from 0.
DONE = {
    "nanogpt": (re.compile(r"^iter (\d+): loss"), 1),
    "litgpt": (re.compile(r"\| iter \d+ step (\d+) \|"), 0),
    "hf": (re.compile(r"^step (\d+): loss"), 0),
}
_SCORED_TOKENS = 16384  # at once


@dataclass(frozen=True)
class Shape:
    """A network, its batch of `batch` rows of `context` tokens, and nanoGPT's setting for it."""

    layers: int
    heads: int
    width: int
    context: int
    batch: int
    rate: float = 1e-3
    beta2: float = 0.99
    weight_decay: float = 0.1


SHAPES = {
    "c4": Shape(4, 4, 128, context=64, batch=12),
    "c6": Shape(6, 6, 384, context=256, batch=8),
    "sotu": Shape(4, 4, 256, context=256, batch=12, rate=2e-3),
    "gpt-124m": Shape(12, 12, 768, context=1024, batch=16, rate=6e-4, beta2=0.95),
    "gpt-350m": Shape(24, 16, 1024, context=1024, batch=8, rate=3e-4, beta2=0.95),
}


@dataclass
class Watched:
    """What a process took; `stamps` are steps done and seconds since its start."""

    stamps: list[tuple[int, float]] = field(default_factory=list)
    seconds: float = 0.0
    peak_bytes: int = 0


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Trains one peer once.")
    parser.add_argument("peer", choices=("nanogpt-eager", "nanogpt-compiled", "litgpt", "hf"))
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("data", type=Path)
    parser.add_argument("steps", type=int)
    parser.add_argument(
        "--precision", help="litgpt: bf16-true, bf16-mixed, 32-true; hf: no, bf16 (nanoGPT: fixed)"
    )
    parser.add_argument("--seed", type=int, help="default 1337, the one nanoGPT has")
    parser.add_argument("--score", action="store_true", help="score all of val.bin")
    parser.add_argument("--cold", action="store_true", help="with an empty cache of compiled code")
    parser.add_argument("--nanogpt", type=Path, default=os.environ.get("NANOGPT"))
    given = parser.parse_args()
    given.family = given.peer.split("-")[0]
    if given.steps < 6:
        parser.error(
            f"STEPS is {given.steps}; expected 6 or more, for the first three are not timed"
        )
    if given.family == "nanogpt":
        if not given.nanogpt or not (given.nanogpt / "train.py").is_file():
            parser.error(f"no train.py in {given.nanogpt}; name a checkout in NANOGPT or --nanogpt")
        if given.seed is not None or given.precision:
            parser.error("nanoGPT's train.py takes no --seed, and on a CPU no --precision")
    if given.shape.startswith("gpt-") and not _on_gpu():
        parser.error(f"{given.shape} is for a GPU, and torch finds none")
    return given


def described(given: argparse.Namespace, out: Path) -> dict[str, Any]:
    """The run, as training_peer_loops.py takes it."""
    return {
        **asdict(SHAPES[given.shape]),
        "shape": given.shape,
        "vocab_size": json.loads((given.data / "meta.json").read_text())["vocab_size"],
        # A fifth of a run that is too short for the hundred of nanoGPT's setting.
        "warmup": min(100, given.steps // 5),
        "steps": given.steps,
        "log_every": 10 if given.steps >= 100 else 1,
        "seed": 1337 if given.seed is None else given.seed,
        "data": str(given.data.resolve()),
        "out": str(out),
        "precision": given.precision,
    }


def nanogpt_command(run: dict[str, Any], compiled: bool) -> list[str]:
    """train.py as nanoGPT's README starts it, with this run's shape and data.

    It evaluates and saves before the step numbered max_iters, and then takes that step too: the
    checkpoint is of `steps` steps, and its process takes one more, which is not counted.
    """
    data = Path(run["out"], "data")
    data.mkdir()
    for name in ("train.bin", "val.bin"):
        (data / name).symlink_to(Path(run["data"], name))
    (data / "meta.pkl").write_bytes(pickle.dumps({"vocab_size": run["vocab_size"]}))
    options = {
        "dataset": data,
        "out_dir": run["out"],
        "device": "cuda" if _on_gpu() else "cpu",
        "compile": compiled,
        "n_layer": run["layers"],
        "n_head": run["heads"],
        "n_embd": run["width"],
        "block_size": run["context"],
        "batch_size": run["batch"],
        "dropout": 0.0,
        "learning_rate": run["rate"],
        "min_lr": run["rate"] / 10,
        "beta2": run["beta2"],
        "weight_decay": run["weight_decay"],
        "warmup_iters": run["warmup"],
        "max_iters": run["steps"],
        "lr_decay_iters": run["steps"],
        "eval_interval": run["steps"],
        "eval_iters": 1,
        "log_interval": run["log_every"],
        "always_save_checkpoint": True,
    }
    overrides = [f"--{name}={value}" for name, value in options.items()]
    return [sys.executable, "train.py", "config/train_shakespeare_char.py", *overrides]


def watch(command: list[str], folder: Path, family: str, added: dict[str, str]) -> Watched:
    """Runs a peer to its end, and stamps the lines that say a step is done."""
    pattern, offset = DONE[family]
    threads = {"OMP_NUM_THREADS": str(os.cpu_count()), "PYTHONUNBUFFERED": "1"}
    watched, begun = Watched(), time.perf_counter()
    child = subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, **threads, **added},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout
    for line in child.stdout:
        if found := pattern.search(line):
            watched.stamps.append((int(found[1]) + offset, time.perf_counter() - begun))
        print(line, end="", file=sys.stderr)
    # What the operating system counted for this process, which Popen.wait throws away.
    _, status, usage = os.wait4(child.pid, 0)
    watched.seconds = time.perf_counter() - begun
    watched.peak_bytes = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"{' '.join(command)} ended with {child.returncode}")
    return watched


def steady(stamps: list[tuple[int, float]], run: dict[str, Any]) -> float:
    """Tokens a second once the peer has settled."""
    every, steps = run["log_every"], run["steps"]
    first = max(3, steps // 10)
    # litgpt logs every step: of its lines those that the others print too.
    kept = [(n, at) for n, at in stamps if first <= n <= steps and (n - 1) % every == 0]
    rates = [(done - before) / (at - since) for (before, since), (done, at) in pairwise(kept)]
    return statistics.median(rates) * float(run["batch"] * run["context"])


def nanogpt_logits(run: dict[str, Any], checkout: Path) -> Logits:
    """The network of its checkpoint, in its own model.py."""
    import torch

    spec = importlib.util.spec_from_file_location("nanogpt_model", checkout / "model.py")
    assert spec and spec.loader
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    saved = torch.load(Path(run["out"], "ckpt.pt"), map_location="cpu", weights_only=True)
    network = module.GPT(module.GPTConfig(**saved["model_args"]))
    network.load_state_dict(_uncompiled(saved["model"]))
    network = network.eval().to(_device())
    # Without targets it returns the last position only.
    return lambda ids: network(ids, ids)[0]


def litgpt_logits(run: dict[str, Any]) -> Logits:
    """The network of its checkpoint, in fp32 whatever it was trained in."""
    import torch
    from litgpt.config import Config  # type: ignore[import-not-found]
    from litgpt.model import GPT  # type: ignore[import-not-found]

    final = Path(run["out"], "final")
    network = GPT(Config.from_file(final / "model_config.yaml"))
    saved = torch.load(final / "lit_model.pth", map_location="cpu", weights_only=True)
    network.load_state_dict(_uncompiled(saved["model"]))
    network = network.float().eval().to(_device())
    return cast(Logits, network)


def hf_logits(run: dict[str, Any]) -> Logits:
    """The network as transformers loads it."""
    from transformers import AutoModelForCausalLM

    network: Any = AutoModelForCausalLM.from_pretrained(run["out"])
    network = network.float().eval().to(_device())
    return lambda ids: network(input_ids=ids).logits


def held_out_loss(logits: Logits, run: dict[str, Any]) -> float:
    """Nats a token over val.bin; each but the first is scored once, the last window is short."""
    import torch
    from torch.nn.functional import cross_entropy

    ids = np.fromfile(Path(run["data"], "val.bin"), np.uint16).astype(np.int64)
    seen, wanted = torch.from_numpy(ids[:-1]), torch.from_numpy(ids[1:])
    context, total = run["context"], 0.0
    whole, piece = len(seen) // context * context, _SCORED_TOKENS // context * context
    with torch.inference_mode():
        for first in [*range(0, whole, piece), *range(whole, len(seen), context)]:
            last = min(first + piece, whole) if first < whole else len(seen)
            inputs = seen[first:last].view(-1, min(context, last - first))
            # litgpt pads its vocabulary: what no token has is no answer.
            scores = logits(inputs.to(_device()))[..., : run["vocab_size"]].flatten(0, 1)
            targets = wanted[first:last].to(_device())
            total += cross_entropy(scores, targets, reduction="sum").item()
    return total / len(seen)


def measure(given: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """Trains in an empty folder; returns what is printed."""
    out = scratch / "out"
    out.mkdir()
    run = described(given, out)
    added = {}
    if given.cold:
        added = {f"{name}_CACHE_DIR": str(scratch / name) for name in ("TORCHINDUCTOR", "TRITON")}
    if given.family == "nanogpt":
        command, folder = nanogpt_command(run, given.peer == "nanogpt-compiled"), given.nanogpt
    else:
        command, folder = [sys.executable, str(LOOPS), given.peer, json.dumps(run)], scratch
    watched = watch(command, folder, given.family, added)
    loss = None
    if given.score:
        loaders = {"litgpt": litgpt_logits, "hf": hf_logits}
        load = loaders.get(given.family, partial(nanogpt_logits, checkout=given.nanogpt))
        loss = round(held_out_loss(load(run), run), 4)
    step, first = watched.stamps[0]
    return {
        "peer": given.peer,
        "shape": given.shape,
        "precision": given.precision,
        "tokens_per_second": round(steady(watched.stamps, run), 1),
        "first_step_s": round(first, 2) if step == 1 else None,
        "seconds": round(watched.seconds, 2),
        "peak_bytes": watched.peak_bytes,
        "tokens": given.steps * run["batch"] * run["context"],
        "loss": loss,
        "steps": given.steps,
    }


def _uncompiled(state: dict[str, Any]) -> dict[str, Any]:
    return {name.removeprefix("_orig_mod."): value for name, value in state.items()}


def _on_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def _device() -> str:
    return "cuda" if _on_gpu() else "cpu"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        print(json.dumps(measure(parse(), Path(temporary))))
