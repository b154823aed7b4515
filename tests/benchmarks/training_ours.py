"""Our training beside the peers of training_peers.py: the same shapes, data, figures and rules.

`python -m tests.benchmarks.training_ours SETTING SHAPE DATA_DIR STEPS [options]` trains once, as
the `train` task does, by a job file and a process of its own, and prints JSON as its last line.

SETTING adamw is nanoGPT's rates, schedule and number of tokens a step; recipe is that of speedrun.
A step is over when the journal says so; what the fields mean stands in training_peers.py.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from subprocess import Popen
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from corpusmill.flows.overrides import override
from corpusmill.flows.recipes.decoders import speedrun
from corpusmill.model.device import use_threads
from corpusmill.model.hf.folder import load_model
from corpusmill.model.network.config import DecoderConfig
from corpusmill.model.tokenizer.control import END_OF_TEXT, frame, roles_of, write_roles
from corpusmill.model.training.config import TrainConfig
from corpusmill.model.training.job import TrainingJob
from corpusmill.storage.artifacts import Spec, publish
from corpusmill.storage.config import write_json_value
from corpusmill.storage.journal import JournalReader
from corpusmill.storage.layout import RunLayout
from corpusmill.storage.splits import SPLITS
from corpusmill.tasks.launch import supervised, training_command, training_environment
from tests.benchmarks.training_peers import SHAPES, Shape, held_out_loss, steady
from tests.shards import write_shards


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Trains ours once.")
    parser.add_argument("setting", choices=("adamw", "recipe"))
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("data", type=Path)
    parser.add_argument("steps", type=int)
    parser.add_argument("--seed", type=int, default=1337)
    parser.add_argument("--score", action="store_true", help="score all of val.bin")
    parser.add_argument("--cold", action="store_true", help="with an empty cache of compiled code")
    parser.add_argument("--compile", choices=("auto", "always", "never"), default="auto")
    parser.add_argument("--processes", type=int, default=1)
    return parser.parse_args()


def network(shape: Shape) -> DecoderConfig:
    """The shape in our architecture: SwiGLU's three matrices are as large as GELU's two."""
    return DecoderConfig(
        hidden_size=shape.width,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        head_dim=shape.width // shape.heads,
        intermediate_size=round(shape.width * 8 / 3 / 32) * 32,
    )


def settings(given: argparse.Namespace, shape: Shape) -> TrainConfig:
    """How it is trained."""
    common = {
        "sequence_length": shape.context,
        "max_steps": given.steps,
        "seed": given.seed,
        "hardware.compile": given.compile,
        "hardware.num_processes": given.processes,
        "log_every": 10 if given.steps >= 100 else 1,
        "validation.every": given.steps,
        "validation.windows": 16,
        "checkpoint_every": given.steps,
    }
    if given.setting == "recipe":
        return override(speedrun().train, common)
    return override(
        TrainConfig(),
        {
            **common,
            "optimizer.name": "adamw",
            "optimizer.learning_rate": shape.rate,
            "optimizer.adam_beta1": 0.9,
            "optimizer.adam_beta2": shape.beta2,
            "optimizer.adam_epsilon": 1e-8,
            "optimizer.weight_decay": shape.weight_decay,
            "optimizer.max_grad_norm": 1.0,
            "schedule.name": "cosine",
            "schedule.warmup_steps": min(100, given.steps // 5),
            "global_batch_size": shape.batch,
            "hardware.micro_batch_size": shape.batch // given.processes,
        },
    )


def prepare(data: Path, folder: Path) -> None:
    """A tokenizer of as many tokens and shards of the very ids of train.bin and val.bin."""
    size = json.loads((data / "meta.json").read_text())["vocab_size"]
    vocabulary = {chr(0x4E00 + number): number for number in range(size)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.decoder = decoders.Fuse()
    tokenizer.add_special_tokens([END_OF_TEXT])
    roles = roles_of("causal_lm", "bpe")
    frame(tokenizer, "causal_lm", roles)
    (folder / "tokenizer").mkdir()
    tokenizer.save(str(folder / "tokenizer" / "tokenizer.json"))
    write_roles(folder / "tokenizer", roles)

    def write(directory: Path) -> dict[str, Any]:
        counts: dict[str, Any] = {}
        for split, name in zip(SPLITS, ("train.bin", "val.bin"), strict=True):
            ids = np.fromfile(data / name, np.uint16)
            written = write_shards(directory, split, size + 1, [("all", ids)])
            assert written["tokens"] == len(ids)
            counts[split] = {**written, "bytes": len(ids)}
        return counts

    publish(folder / "shards", Spec("shards", 1), write)


def measure(given: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """Trains in an empty folder; returns what is printed."""
    shape, layout = SHAPES[given.shape], RunLayout(scratch / "run")
    prepare(given.data, scratch)
    layout.path.mkdir()
    job = TrainingJob(
        digest="benchmark",
        directory=layout.path,
        shards=scratch / "shards",
        tokenizer=scratch / "tokenizer",
        num_processes=given.processes,
        model=network(shape),
        train=settings(given, shape),
    )
    write_json_value(layout.job, job)
    cache = scratch if given.cold else Path(tempfile.gettempdir())
    begun = time.time()
    command = training_command(job, layout)
    with supervised(
        command, layout.log, training_environment(cache / "compiled-benchmark")
    ) as process:
        peak = _ended(process)
    seconds = time.time() - begun
    if process.returncode:
        sys.exit(layout.log.read_text(encoding="utf-8"))
    journal = JournalReader(layout.journal).read()
    logged = [record for record in journal if "train/loss" in record.get("metrics", {})]
    # Steps are logged after the last of ten here, after the first of ten there.
    offset = 1 - job.train.log_every
    stamps = [(record["step"] + offset, record["time"] - begun) for record in logged]
    loss = None
    if given.score:
        loss = round(_loss(layout.model, given.data, shape.context), 4)
    run = {
        "log_every": job.train.log_every,
        "steps": given.steps,
        "batch": job.train.global_batch_size,
        "context": shape.context,
    }
    return {
        "peer": "ours",
        "setting": given.setting,
        "shape": given.shape,
        "tokens_per_second": round(steady(stamps, run), 1),
        "first_step_s": round(stamps[0][1], 2) if job.train.log_every == 1 else None,
        "seconds": round(seconds, 2),
        "peak_bytes": peak,
        "tokens": given.steps * job.train.global_batch_size * shape.context,
        "loss": loss,
        "steps": given.steps,
        "compiled": journal[0].get("compiled"),
    }


def _ended(process: "Popen[bytes]") -> int:
    """Waits for the end; the greatest resident memory of one process, in bytes."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _loss(model: Path, data: Path, context: int) -> float:
    """By the peers' rule, in fp32; the end-of-text token that they lack is no answer."""
    use_threads()
    decoder, _, _ = load_model(model, torch.float32)
    size = json.loads((data / "meta.json").read_text())["vocab_size"]
    run = {"data": str(data), "context": context, "vocab_size": size}
    return held_out_loss(decoder.eval(), run)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        print(json.dumps(measure(parse(), Path(temporary))))
