"""gpt-tiny as a store holds it, and a peer on the same tokens, trained for the same time."""

import json
import math
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from corpusmill.flows.recipes.decoders import gpt_tiny
from corpusmill.model.device import use_threads
from corpusmill.model.hf.folder import load_model
from corpusmill.model.training.job import TrainingJob, TrainingResult
from corpusmill.storage.config import read_json, write_json_value
from corpusmill.storage.layout import RunLayout
from corpusmill.storage.manifest import read_manifest
from corpusmill.storage.settings import load_settings
from corpusmill.storage.shards.reading import TokenStream
from corpusmill.storage.splits import SPLITS
from corpusmill.tasks.launch import supervised, training_command, training_environment
from tests.benchmarks.training_peers import held_out_loss


def make_sotu_data(folder: Path) -> Path:
    """Writes the tokens of the store's newest run of gpt-tiny, as the peers read them.

    Returns:
        The working folder of that run.
    """
    runs = load_settings().home / "runs"
    ended = sorted(runs.glob("*/model/manifest.json"), key=lambda path: path.stat().st_mtime)
    folders = [path.parent.parent for path in ended]
    shape = gpt_tiny().model
    tiny = [each for each in folders if read_json(TrainingJob, each / "job.json").model == shape]
    if not tiny:
        raise SystemExit(f"{runs} holds no run of gpt-tiny; train it there first, by make run.")
    run = tiny[-1]
    shards = Path(json.loads((run / "job.json").read_text())["shards"])
    folder.mkdir(parents=True, exist_ok=True)
    for split, name in zip(SPLITS, ("train.bin", "val.bin"), strict=True):
        stream = TokenStream(shards, split)
        ids = stream.read(0, len(stream))
        np.asarray(ids, np.uint16).tofile(folder / name)
    size = json.loads((run / "model" / "config.json").read_text())["vocab_size"]
    (folder / "meta.json").write_text(json.dumps({"vocab_size": size}), encoding="utf-8")
    return run


def train_ours(run: Path, data: Path) -> dict[str, Any]:
    """gpt-tiny on the shards of that run, alone on the machine, scored by the peers' rule.

    As the `train` task does it, by a process of its own, which compiles anew.
    """
    with tempfile.TemporaryDirectory() as scratch:
        layout = RunLayout(Path(scratch, "run"))
        layout.path.mkdir()
        changes = {"directory": layout.path, "train": gpt_tiny().train}
        job = read_json(TrainingJob, run / "job.json").model_copy(update=changes)
        write_json_value(layout.job, job)
        command, begun = training_command(job, layout), time.perf_counter()
        environment = training_environment(Path(scratch, "compiled"))
        with supervised(command, layout.log, environment) as process:
            code = process.wait()
        seconds = time.perf_counter() - begun
        if code:
            raise SystemExit(layout.log.read_text(encoding="utf-8"))
        tokens = read_json(TrainingResult, layout.result).tokens_seen
        loss = _score(layout.model, data)
    assert job.shards
    held_out = read_manifest(job.shards)["counts"]["validation"]
    bits = held_out["tokens"] / held_out["bytes"] / math.log(2)
    return {
        "loss": loss,
        "bits_per_nat": bits,
        "bits_per_byte": loss * bits,
        "seconds": seconds,
        "tokens": tokens,
    }


def _score(model: Path, data: Path) -> float:
    use_threads()
    decoder, _, sequence_length = load_model(model, torch.float32)
    vocab_size = json.loads((data / "meta.json").read_text())["vocab_size"]
    described = {"data": str(data), "context": sequence_length, "vocab_size": vocab_size}
    return held_out_loss(decoder.eval(), described)
