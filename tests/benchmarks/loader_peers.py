"""Loaders of token files beside ours, each in its own terms; run by `tests.benchmarks.loader`.

`python loader_peers.py KIND PEER FOLDER` prints JSON. FOLDER holds tokens.npy, uint16 (tokens,),
and what `prepare PEER` made of it. A batch is 32 rows of 1,024 inputs and as many targets: of the
kind `arrays` in the stored type, of the kind `tensors` as int64 tensors.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

BATCH, LENGTH = 32, 1024
SECONDS = 1.0


def measure(batches: Iterator[Any]) -> dict[str, float]:
    """Milliseconds to the first batch, and tokens a second over those that follow.

    By the time of the processor, which other programs on the machine do not take, and by the
    clock on the wall. `batches` opens its files when it is asked for the first one.
    """
    begun = time.perf_counter()
    first = next(batches)
    opened = time.perf_counter()
    assert tuple(first[0].shape) == (BATCH, LENGTH), first[0].shape
    for _ in range(50):
        next(batches)
    count, started, wall = 0, time.process_time(), time.perf_counter()
    while (now := time.process_time()) - started < SECONDS:
        for _ in range(20):
            next(batches)
        count += 20
    wall = time.perf_counter() - wall
    mtokens = count * BATCH * LENGTH / 1e6
    return {
        "first_ms": round(1e3 * (opened - begun), 2),
        "cpu_mtokens_s": round(mtokens / (now - started), 1),
        "wall_mtokens_s": round(mtokens / wall, 1),
    }


def arrays(rows: Callable[[Path], Iterator[np.ndarray]], folder: Path) -> Iterator[Any]:
    """Inputs and targets in the type they are stored in."""
    for ids in rows(folder):
        yield ids[:, :-1], ids[:, 1:]


def tensors(rows: Callable[[Path], Iterator[np.ndarray]], folder: Path) -> Iterator[Any]:
    """Inputs and targets as int64 tensors, cast once."""
    import torch

    for ids in rows(folder):
        tokens = torch.from_numpy(ids.astype(np.int64))
        yield tokens[:, :-1], tokens[:, 1:]


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


def memmap_loop(folder: Path) -> Iterator[np.ndarray]:
    """No loader but the least one can write: random places of a map, no epochs, no checks."""
    data = np.asarray(np.memmap(folder / "tokens.bin", np.uint16, "r"))
    generator = np.random.default_rng(0)
    while True:
        starts = generator.integers(0, len(data) - LENGTH, BATCH).tolist()
        yield np.stack([data[start : start + LENGTH + 1] for start in starts])


def datasets_arrow(folder: Path) -> Iterator[np.ndarray]:
    """Rows of `datasets` taken as Arrow tables, by what both libraries document."""
    from datasets import load_from_disk

    rows = load_from_disk(str(folder / "datasets")).with_format("arrow")
    for places in _shuffled(len(rows)):
        column = rows[places].column("ids").combine_chunks()
        yield column.flatten().to_numpy().reshape(BATCH, LENGTH + 1)


def datasets_stunt(folder: Path) -> Iterator[np.ndarray]:
    """The same with its buffers found and cast by hand, which is our trick and not theirs."""
    from datasets import load_from_disk

    rows = load_from_disk(str(folder / "datasets")).with_format("arrow")
    for places in _shuffled(len(rows)):
        column = rows[places]["ids"].combine_chunks()
        ids = np.frombuffer(column.values.buffers()[1], np.uint16)
        ids = ids[column.offset * (LENGTH + 1) :][: BATCH * (LENGTH + 1)]
        yield ids.reshape(BATCH, LENGTH + 1)


def datasets_numpy(folder: Path) -> Iterator[np.ndarray]:
    """Rows of `datasets` taken as NumPy arrays."""
    from datasets import load_from_disk

    rows = load_from_disk(str(folder / "datasets")).with_format("numpy")
    for places in _shuffled(len(rows)):
        yield rows[places]["ids"]


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


PEERS: dict[str, dict[str, Callable[[Path], Iterator[Any]]]] = {
    "arrays": {
        "datasets_arrow": partial(arrays, datasets_arrow),
        "datasets_numpy": partial(arrays, datasets_numpy),
        "datasets_stunt": partial(arrays, datasets_stunt),
        "memmap_loop": partial(arrays, memmap_loop),
    },
    "tensors": {
        "nanogpt": nanogpt,
        "datasets_arrow": partial(tensors, datasets_arrow),
        "datasets_torch": datasets_torch,
        "litdata": litdata,
        "datasets_stunt": partial(tensors, datasets_stunt),
        "memmap_loop": partial(tensors, memmap_loop),
    },
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
        kind, name, folder = arguments
        if name.startswith(("datasets", "litdata")):
            __import__(name.split("_")[0])  # not a part of opening the files
        print(json.dumps(measure(PEERS[kind][name](Path(folder)))))


if __name__ == "__main__":
    main(sys.argv[1:])
