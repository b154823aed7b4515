"""Loaders of token files beside ours, each in its own terms; run by `tests.benchmarks.loader`.

`python loader_peers.py PEER FOLDER` prints JSON. FOLDER holds tokens.npy, uint16 (tokens,), and
what `prepare PEER` made of it. A batch is 32 rows of 1,024 inputs and as many targets, int64.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

BATCH, LENGTH = 32, 1024
SECONDS = 1.0


def measure(batches: Iterator[Any]) -> dict[str, float]:
    """Milliseconds to the first batch, and tokens a second of one core over those that follow.

    The rate is by the time of the processor, which other programs on the machine do not take.
    `batches` opens its files when it is asked for the first one.
    """
    begun = time.perf_counter()
    first = next(batches)
    opened = time.perf_counter()
    assert tuple(first[0].shape) == (BATCH, LENGTH), first[0].shape
    for _ in range(50):
        next(batches)
    count, started = 0, time.process_time()
    while (now := time.process_time()) - started < SECONDS:
        for _ in range(20):
            next(batches)
        count += 20
    rate = count * BATCH * LENGTH / (now - started)
    return {"first_ms": round(1e3 * (opened - begun), 2), "mtokens_s": round(rate / 1e6, 1)}


def nanogpt(folder: Path) -> Iterator[Any]:
    """nanoGPT's get_batch, rewritten from its description: random places of a memory map."""
    import torch

    while True:
        data = np.memmap(folder / "tokens.bin", np.uint16, "r")  # a new one each time, as there
        starts = torch.randint(len(data) - LENGTH, (BATCH,)).tolist()
        rows = [data[start : start + LENGTH + 1].astype(np.int64) for start in starts]
        yield (
            torch.stack([torch.from_numpy(row[:-1]) for row in rows]),
            torch.stack([torch.from_numpy(row[1:]) for row in rows]),
        )


def datasets_arrow(folder: Path) -> Iterator[Any]:
    """Rows of `datasets` taken as Arrow tables, their buffers found and cast by hand."""
    import torch
    from datasets import load_from_disk

    rows = load_from_disk(str(folder / "datasets")).with_format("arrow")
    for places in _shuffled(len(rows)):
        column = rows[places]["ids"].combine_chunks()
        ids = np.frombuffer(column.values.buffers()[1], np.uint16)
        ids = ids[column.offset * (LENGTH + 1) :][: BATCH * (LENGTH + 1)]
        tokens = torch.from_numpy(ids.reshape(BATCH, -1).astype(np.int64))
        yield tokens[:, :-1], tokens[:, 1:]


def datasets_torch(folder: Path) -> Iterator[Any]:
    """Rows of `datasets` taken as torch tensors."""
    from datasets import load_from_disk

    rows = load_from_disk(str(folder / "datasets")).with_format("torch")
    for places in _shuffled(len(rows)):
        tokens = rows[places]["ids"].long()
        yield tokens[:, :-1], tokens[:, 1:]


def litdata(folder: Path) -> Iterator[Any]:
    """A litdata StreamingDataset of token blocks, in the process itself."""
    from litdata import StreamingDataLoader, StreamingDataset, TokensLoader

    rows = StreamingDataset(
        str(folder / "litdata"),
        item_loader=TokensLoader(block_size=LENGTH + 1),
        shuffle=True,
        drop_last=True,
    )
    while True:
        for tokens in StreamingDataLoader(rows, batch_size=BATCH, num_workers=0, drop_last=True):
            yield tokens[:, :-1].long(), tokens[:, 1:].long()


def prepare_nanogpt(folder: Path) -> None:
    """The flat file."""
    np.load(folder / "tokens.npy", mmap_mode="r").tofile(folder / "tokens.bin")


def prepare_datasets(folder: Path) -> None:
    """Rows of uint16 lists of one length."""
    import pyarrow as pa
    from datasets import Dataset

    flat = np.load(folder / "tokens.npy")
    rows = flat[: len(flat) // (LENGTH + 1) * (LENGTH + 1)]
    ids = pa.FixedSizeListArray.from_arrays(pa.array(rows), LENGTH + 1)
    Dataset(pa.table({"ids": ids})).save_to_disk(str(folder / "datasets"))


def _pieces(place: tuple[str, int]) -> Iterator[Any]:
    import torch

    path, start = place
    yield torch.from_numpy(np.load(path, mmap_mode="r")[start : start + (1 << 20)].copy())


def prepare_litdata(folder: Path) -> None:
    """Chunks of 64 MB."""
    from litdata import TokensLoader, optimize

    path = str(folder / "tokens.npy")
    size = len(np.load(path, mmap_mode="r"))
    optimize(
        fn=_pieces,
        inputs=[(path, start) for start in range(0, size, 1 << 20)],
        output_dir=str(folder / "litdata"),
        chunk_bytes=64 << 20,
        item_loader=TokensLoader(block_size=LENGTH + 1),
        num_workers=1,
    )


def _shuffled(rows: int) -> Iterator[np.ndarray]:
    generator = np.random.default_rng(0)
    while True:
        order = generator.permutation(rows)
        for start in range(0, rows - BATCH, BATCH):
            yield order[start : start + BATCH]


PEERS: dict[str, Callable[[Path], Iterator[Any]]] = {
    "nanogpt": nanogpt,
    "datasets_arrow": datasets_arrow,
    "datasets_torch": datasets_torch,
    "litdata": litdata,
}
PREPARE = {
    "nanogpt": prepare_nanogpt,
    "datasets": prepare_datasets,
    "litdata": prepare_litdata,
}


def main(arguments: list[str]) -> None:
    import torch

    torch.set_num_threads(1)
    if arguments[0] == "prepare":
        PREPARE[arguments[1]](Path(arguments[2]))
    else:
        __import__(arguments[0].split("_")[0] if arguments[0] != "nanogpt" else "torch")
        print(json.dumps(measure(PEERS[arguments[0]](Path(arguments[1])))))


if __name__ == "__main__":
    main(sys.argv[1:])
