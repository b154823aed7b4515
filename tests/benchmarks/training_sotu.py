"""gpt-tiny as a store holds it, for a peer to be trained on the same tokens for the same time."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch

from flows.recipes import gpt_tiny
from model.config import TrainingJob
from model.device import use_threads
from model.hf import load_model
from storage.config import read_json
from storage.manifest import read_manifest
from storage.settings import load_settings
from storage.shards.reading import TokenStream
from storage.shards.schema import SPLITS
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


def score_ours(run: Path, data: Path) -> dict[str, Any]:
    """The model of that run by the peers' rule."""
    use_threads()
    decoder, _, sequence_length = load_model(run / "model", torch.float32)
    vocab_size = json.loads((data / "meta.json").read_text())["vocab_size"]
    described = {"data": str(data), "context": sequence_length, "vocab_size": vocab_size}
    loss = held_out_loss(decoder.eval(), described)
    result = json.loads((run / "result.json").read_text())
    counts = read_manifest(Path(json.loads((run / "job.json").read_text())["shards"]))["counts"]
    held_out = counts["validation"]
    bits = held_out["tokens"] / held_out["bytes"] / math.log(2)
    return {
        "loss": loss,
        "bits_per_nat": bits,
        "bits_per_byte": loss * bits,
        "seconds": result["seconds"],
        "tokens": result["tokens_seen"],
    }
