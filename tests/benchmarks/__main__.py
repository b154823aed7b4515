"""Measures every stage of the data path beside its peers, and writes its part of
docs/benchmarks.md.

`python -m tests.benchmarks FOLDER PEER_PYTHON [NAME…]`: FOLDER holds the real text, PEER_PYTHON is
the interpreter of the peers' environment; of names other than those given, the figures of the last
run stand.
"""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from tests.benchmarks.page import PAGE, write_part
from tests.benchmarks.text import documents, write_files

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "var" / "benchmarks"
Row = tuple[str, str, str, str, str]


def commands(folder: str, peer: str) -> dict[str, list[str]]:
    """The command of each benchmark."""
    module = [sys.executable, "-m"]
    text = str(RESULTS / "text")
    return {
        "sharding": [*module, "tests.benchmarks.sharding", folder, peer],
        "verdicts": [*module, "tests.benchmarks.verdicts", folder, peer, "2500"],
        "duplicates": [*module, "tests.benchmarks.duplicates", folder, peer, "20000"],
        # In the peers' environment, for one process must hold all encoders.
        "tokenizers": [peer, "-m", "tests.benchmarks.tokenizers_bench", folder, "100"],
        "loader": [*module, "tests.benchmarks.loader", peer, "150"],
        "pipeline": [*module, "tests.benchmarks.pipeline", text],
    }


def sharding_rows(result: dict[str, Any]) -> list[Row]:
    read, shard = result["read"], result["shard"]
    tokens = f"{shard['tokens'] / 1e6:.0f} M tokens, ids identical"
    return [
        (
            f"jsonl to Arrow, {read['megabytes']} MB, one core",
            f"{median(read['ours']):.0f} MB/s",
            f"datasets {median(read['datasets']):.0f} MB/s",
            _paired(read["ours"], read["datasets"]),
            "500 MB/s",
        ),
        (
            f"text to shards, the whole stage, {tokens}",
            f"{median(shard['ours']):.1f} M tokens/s",
            f"datasets.map {median(shard['datasets.map']):.2f} M tokens/s",
            _paired(shard["ours"], shard["datasets.map"]),
            "15 x",
        ),
    ]


def verdicts_rows(result: dict[str, Any]) -> list[Row]:
    rates = result["documents_per_second"]
    lowest, highest = (rate / rates["datatrove"] for rate in rates["ours_range"])
    plain, theirs = (result[f"agreement_with_{name}"] for name in ("plain_python", "datatrove"))
    return [
        (
            f"Gopher and FineWeb verdicts; agreement with plain Python {plain:.2%}, with datatrove "
            f"{theirs:.1%}",
            f"{rates['ours']:,.0f} documents/s",
            f"datatrove {rates['datatrove']:,.0f} documents/s",
            f"{result['ratio_to_datatrove']:.0f} x ({lowest:.0f} to {highest:.0f})",
            "100 x, 99.9 %, 95 %",
        )
    ]


def duplicates_rows(result: dict[str, Any]) -> list[Row]:
    ours = result["ours"]
    spread = ours["seconds_of_runs"]
    return [
        (
            f"near-duplicates, {result['documents']:,} documents; recall {ours['recall']:.4f}, "
            f"false removals {ours['false_removals']:.2%} (peer: {result[name]['recall']:.3f}, "
            f"{result[name]['false_removals']:.1%})",
            f"{result['documents'] / ours['seconds']:,.0f} documents/s",
            f"{name} {result['documents'] / result[name]['seconds']:,.0f} documents/s",
            f"{result[name]['seconds_by_ours']} x ({result[name]['seconds'] / max(spread):.0f} to "
            f"{result[name]['seconds'] / min(spread):.0f})",
            "10 x, 0.99, 1 %" if name == "datasketch" else "",
        )
        for name in ("datasketch", "rensa")
    ]


def pipeline_rows(result: dict[str, Any]) -> list[Row]:
    stages = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in result["stages"].items())
    overhead = 1 - result["in_tasks"] / result["seconds"]
    documents = result["documents"]
    return [
        (
            f"the whole data pipeline, {result['bytes'] / 1e6:.0f} MB of files (1 GB of text), "
            f"{documents['in']:,} documents in, {documents['kept']:,} kept ({stages})",
            f"{result['seconds']:.0f} s, {result['peak_bytes'] / 1e9:.2f} GB",
            "",
            f"{overhead:.1%} of the time outside tasks, most of it to start two processes",
            "480 s, 3 GB, 5 %",
        )
    ]


def tokenizers_rows(result: dict[str, Any]) -> list[Row]:
    training, encoding = result["training"], result["encoding"]
    rates = encoding["million_tokens_per_second"]
    seconds = median(run["wall"] for run in training["seconds"])
    return [
        (
            f"train BPE 32 k on {training['megabytes']:.0f} MB; bytes per token of held-out text "
            f"{training['bytes_per_token_ratio']:.4f} of the peer's",
            f"{seconds:.1f} s",
            f"tokenizers {training['tokenizers_seconds']['wall']:.1f} s",
            _spread(training["times_faster"]),
            "2 x, 0.5 %",
        ),
        (
            f"encode {encoding['tokens'] / 1e6:.1f} M tokens, ids identical",
            f"{rates['ours']['median']:.1f} M tokens/s",
            f"tokenizers {rates['tokenizers']['median']:.2f}, tiktoken "
            f"{rates['tiktoken']['median']:.2f} M tokens/s",
            _spread(encoding["times_tokenizers"]),
            "",
        ),
    ]


def loader_rows(result: dict[str, Any]) -> list[Row]:
    rows: list[Row] = []
    for kind in ("arrays", "tensors"):
        ours = result[kind]["ours"]
        peers = {n: e for n, e in result[kind].items() if not n.startswith("ours")}
        # A bare loop over a map, and buffers cast by hand, are bounds and not what a user has.
        real = [name for name in peers if name not in ("memmap_loop", "datasets_stunt")]
        best = max(real, key=lambda name: peers[name]["wall_mtokens_s"])
        others = ", ".join(
            f"{name} {entry['wall_mtokens_s']:.0f}" for name, entry in peers.items() if name != best
        )
        rows.append(
            (
                f"loader, batch 32 x 1024, {kind}; first batch {ours['first_ms']:.1f} ms",
                f"{ours['wall_mtokens_s']:.0f} M tokens/s",
                f"{best} {peers[best]['wall_mtokens_s']:.0f} M tokens/s; {others}",
                f"{peers[best]['ours_by_wall']} x",
                "300 M, 20 ms, 3 x",
            )
        )
    plan = result["plan"]
    rows.append(
        (
            f"packing {plan['documents']:,} documents at 2,048; dropped {plan['dropped_tokens']}",
            f"{plan['seconds']} s",
            "",
            f"padding {plan['padding_percent']} %",
            "0.1 %",
        )
    )
    return rows


ROWS: dict[str, Callable[[dict[str, Any]], list[Row]]] = {
    "sharding": sharding_rows,
    "verdicts": verdicts_rows,
    "duplicates": duplicates_rows,
    "tokenizers": tokenizers_rows,
    "loader": loader_rows,
    "pipeline": pipeline_rows,
}


def _paired(ours: Sequence[float], theirs: Sequence[float]) -> str:
    ratios = sorted(mine / peer for mine, peer in zip(ours, theirs, strict=True))
    return f"{median(ratios):.1f} x ({ratios[0]:.1f} to {ratios[-1]:.1f})"


def _spread(value: dict[str, float]) -> str:
    return f"{value['median']:.1f} x ({value['lowest']:.1f} to {value['highest']:.1f})"


def measure(name: str, command: list[str]) -> None:
    """Runs one benchmark and keeps what it prints."""
    print(f"{name}…", flush=True)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    output = done.stdout[done.stdout.index("{") :]
    (RESULTS / f"{name}.json").write_text(json.dumps(json.loads(output), indent=1))


def page() -> list[str]:
    """The page, from the figures that are there."""
    lines = [
        "# Benchmarks of the data path",
        "",
        f"Made by `make bench-data` on {os.cpu_count()} cores ({platform.machine()}), each stage",
        "beside its peer in one run, on real text and, above some 100 MB, edits of it. Ratios are",
        "those to trust: the median of the runs, and their spread in brackets.",
        "",
        "| stage | ours | peer | ratio | mark |",
        "|---|---|---|---|---|",
    ]
    for name, rows in ROWS.items():
        path = RESULTS / f"{name}.json"
        if path.exists():
            lines += [f"| {' | '.join(row)} |" for row in rows(json.loads(path.read_text()))]
    return lines


def main(folder: str, peer: str, *names: str) -> None:
    """Measures what is asked for, and writes the page."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    wanted = commands(str(Path(folder).resolve()), peer)
    for name in names or wanted:
        if name == "pipeline" and not (RESULTS / "text").exists():
            write_files(documents(Path(folder), 10**9), RESULTS / "text")
        measure(name, wanted[name])
    write_part(page())
    print(PAGE)


if __name__ == "__main__":
    main(*sys.argv[1:])
