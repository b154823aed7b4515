"""gpt-tiny as a store holds it, for a peer to be trained on the same tokens for the same time."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch

from model.device import use_threads
from model.hf import load_model
from storage.artifacts import read_manifest
from storage.settings import load_settings
from storage.shards.reading import TokenStream
from storage.shards.schema import SPLITS
from tests.benchmarks.training_peers import held_out_loss

GPT_TINY_SECONDS = 240.0


def make_sotu_data(folder: Path) -> Path:
    """Writes the tokens of the newest training run of the store, as the peers read them.

    Returns:
        The working folder of that run.
    """
    runs = load_settings().home / "runs"
    finished = sorted(runs.glob("*/model/manifest.json"), key=lambda path: path.stat().st_mtime)
    if not finished:
        raise SystemExit(f"{runs} holds no finished run; train gpt-tiny there first, by make run.")
    run = finished[-1].parent.parent
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
