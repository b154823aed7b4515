"""The loader beside nanoGPT's, `datasets`' and litdata's, and the rate of packing.

`python -m tests.benchmarks.loader PEER_PYTHON [MILLION_TOKENS]` prints JSON; PEER_PYTHON is the
interpreter of an environment that has datasets and litdata. Each figure is of a fresh process, the
contestants take turns, rates are by the time of one core and by the clock, and the files are in
the page cache. Like is held against like: what hands out arrays in the type of the shards, and what
hands out int64 tensors.
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

from corpusmill.model.data.batches import Batch
from corpusmill.model.data.packing import plan_rows
from corpusmill.model.training.config import TrainConfig
from corpusmill.model.training.feed import open_feed
from corpusmill.model.training.groups import BestFitPacking, HardwareConfig, WindowPacking
from corpusmill.model.training.samples import Reading
from corpusmill.storage.shards.parts import assemble, write_part
from tests.benchmarks.loader_peers import BATCH, LENGTH, PEERS, PREPARE, measure

_ROUNDS = 3
_OURS = {"arrays": ("ours",), "tensors": ("ours", "ours_packed")}
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
        for kind, its_peers in PEERS.items():
            runs: dict[str, list[dict[str, float]]]
            runs = {name: [] for name in (*_OURS[kind], *its_peers)}
            for _ in range(_ROUNDS):
                for name, taken in runs.items():
                    command = ours if name in _OURS[kind] else peers
                    taken.append(json.loads(_output([*command, kind, name, temporary])))
            result[kind] = {name: _summary(taken) for name, taken in runs.items()}
            for rate in ("cpu_mtokens_s", "wall_mtokens_s"):
                best = result[kind]["ours"][rate]
                for name in its_peers:
                    entry = result[kind][name]
                    entry[f"ours_by_{rate[:-10]}"] = round(best / entry[rate], 2)
    return result


def contestant(kind: str, name: str, folder: Path) -> dict[str, float]:
    """One of ours, in a process of its own."""
    import torch

    from corpusmill.model.data.tensors import as_tensors

    torch.set_num_threads(1)
    cpu = torch.device("cpu")
    config = TrainConfig(
        sequence_length=LENGTH,
        global_batch_size=BATCH,
        hardware=HardwareConfig(micro_batch_size=BATCH),
        packing=BestFitPacking() if name == "ours_packed" else WindowPacking(),
    )

    def batches() -> Iterator[Any]:
        feed = open_feed(Reading(folder), config, {})
        step = 0
        while True:
            mine = feed.step(step)
            batch = feed.samples.read(mine.numbers[0], mine.draws[0])
            assert isinstance(batch, Batch)
            if kind == "arrays":
                yield batch.ids, batch.tokens[:, 1:]
            else:
                yield as_tensors(batch, cpu)
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
        key: statistics.median(run[key] for run in runs)
        for key in ("first_ms", "cpu_mtokens_s", "wall_mtokens_s")
    } | {"of_runs": [run["cpu_mtokens_s"] for run in runs]}


if __name__ == "__main__":
    if sys.argv[1] in _OURS:
        print(json.dumps(contestant(sys.argv[1], sys.argv[2], Path(sys.argv[3]))))
    else:
        print(json.dumps(main(sys.argv[1], int((*sys.argv, "150")[2])), indent=2))
