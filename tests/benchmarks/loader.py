"""The loader beside nanoGPT's, `datasets`' and litdata's, and the rate of packing.

`python -m tests.benchmarks.loader PEER_PYTHON [MILLION_TOKENS]` prints JSON; PEER_PYTHON is the
interpreter of an environment that has datasets and litdata. Each figure is of a fresh process, the
contestants take turns, rates are by the time of one core, and the files are in the page cache.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from model.config import TrainConfig
from model.data.feed import open_feed
from model.data.packing import plan_rows
from storage.shards.parts import assemble, write_part
from tests.benchmarks.loader_peers import BATCH, LENGTH, PEERS, PREPARE, measure

_ROUNDS = 3
_OURS = ("ours", "ours_uint16", "ours_packed")
_PACKED_LENGTH = 2048


def main(peer_python: str, million_tokens: int) -> dict[str, Any]:
    """Runs every contestant _ROUNDS times, in turns."""
    peers = [peer_python, str(Path(__file__).with_name("loader_peers.py"))]
    ours = [sys.executable, "-m", "tests.benchmarks.loader"]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        result: dict[str, Any] = {"tokens": million_tokens * 10**6}
        result |= _make_shards(folder, million_tokens * 10**6)
        result["plan"] = plan(1_000_000)
        for name in PREPARE:
            _output([*peers, "prepare", name, temporary])
        runs: dict[str, list[dict[str, float]]] = {name: [] for name in (*_OURS, *PEERS)}
        for _ in range(_ROUNDS):
            for name, taken in runs.items():
                command = ours if name in _OURS else peers
                taken.append(json.loads(_output([*command, name, temporary])))
    result["loaders"] = {name: _summary(taken) for name, taken in runs.items()}
    ours_rate = result["loaders"]["ours"]["mtokens_s"]
    result["times_as_fast_as"] = {
        name: round(ours_rate / result["loaders"][name]["mtokens_s"], 2) for name in PEERS
    }
    return result


def contestant(name: str, folder: Path) -> dict[str, float]:
    """One of ours, in a process of its own."""
    import torch

    from model.data.tensors import as_tensors

    torch.set_num_threads(1)
    cpu = torch.device("cpu")
    config = TrainConfig(
        sequence_length=LENGTH,
        global_batch_size=BATCH,
        micro_batch_size=BATCH,
        packing="best_fit" if name == "ours_packed" else "windows",
    )

    def batches() -> Iterator[Any]:
        feed = open_feed(folder, config, {})
        step = 0
        while True:
            _, (numbers,) = feed.step(step)
            batch = feed.samples.read(numbers)
            yield (batch.ids, batch.following) if name == "ours_uint16" else as_tensors(batch, cpu)
            step += 1

    return measure(batches())


def plan(documents: int) -> dict[str, float]:
    """Packs documents of log-normal lengths at 2,048, from their ends alone."""
    lengths = _lengths(documents)
    ends = np.cumsum(lengths)
    begun = time.perf_counter()
    rows = plan_rows(ends - lengths, ends, _PACKED_LENGTH)
    seconds = time.perf_counter() - begun
    padding = 1 - int(ends[-1]) / (len(rows) * _PACKED_LENGTH)
    return {
        "documents": documents,
        "seconds": round(seconds, 2),
        "padding_percent": round(100 * padding, 4),
        "dropped_tokens": int(ends[-1] - rows.lengths.sum()),
    }


def _lengths(documents: int) -> np.ndarray:
    lengths = np.exp(np.random.default_rng(0).normal(5.5, 1.2, documents))
    return lengths.astype(np.int64) + 1


def _make_shards(folder: Path, tokens: int) -> dict[str, Any]:
    """Documents of log-normal lengths, as tokens for the peers and as shards for us."""
    ends = np.cumsum(_lengths(tokens // 200))
    ends = np.append(ends[ends < tokens], tokens)
    ids = np.random.default_rng(0).integers(0, 50_000, tokens, np.uint16)
    np.save(folder / "tokens.npy", ids)
    part = write_part(
        folder,
        0,
        ids,
        ends=ends,
        document_ids=[f"{row:012d}" for row in range(len(ends))],
        sources=["web"] * len(ends),
        languages=["en"] * len(ends),
        sizes=np.diff(ends, prepend=0) * 4,
    )
    begun = time.perf_counter()
    assemble(folder, "train", 50_000, [part])
    assembled = time.perf_counter() - begun
    return {"documents": len(ends), "assemble_mtokens_s": round(tokens / assembled / 1e6, 1)}


def _output(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return done.stdout.strip().rsplit("\n", 1)[-1]


def _summary(runs: list[dict[str, float]]) -> dict[str, Any]:
    return {
        key: statistics.median(run[key] for run in runs) for key in ("first_ms", "mtokens_s")
    } | {"of_runs": [run["mtokens_s"] for run in runs]}


if __name__ == "__main__":
    if sys.argv[1] in _OURS:
        print(json.dumps(contestant(sys.argv[1], Path(sys.argv[2]))))
    else:
        print(json.dumps(main(sys.argv[1], int((*sys.argv, "150")[2])), indent=2))
