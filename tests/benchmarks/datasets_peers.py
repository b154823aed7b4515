"""What `datasets` takes for JSON Lines to Arrow, and for text to token ids; prints JSON.

Runs in an environment of the peers: `datasets_peers.py read FILE` or
`datasets_peers.py shard ARROW TOKENIZER`.
"""

import hashlib
import json
import sys
import tempfile
import time
from typing import Any

import datasets
import pyarrow as pa
from tokenizers import Tokenizer

datasets.disable_progress_bars()


def read(path: str) -> dict[str, Any]:
    """Builds a dataset of a jsonl file, on one core."""
    with tempfile.TemporaryDirectory() as cache:
        began = time.perf_counter()
        data = datasets.load_dataset("json", data_files=path, split="train", cache_dir=cache)
        return {"seconds": time.perf_counter() - began, "documents": len(data)}


def shard(path: str, tokenizer: str) -> dict[str, Any]:
    """Maps the documents of an Arrow file to ids that end with the end of text, on two cores."""
    encoder = Tokenizer.from_file(f"{tokenizer}/tokenizer.json")
    encoder.encode_special_tokens = True
    end = encoder.token_to_id("<|endoftext|>")
    assert end is not None

    def encode(batch: dict[str, list[str]]) -> dict[str, list[list[int]]]:
        found = encoder.encode_batch_fast(batch["text"], add_special_tokens=False)
        return {"ids": [[*each.ids, end] for each in found]}

    features = datasets.Features({"ids": datasets.Sequence(datasets.Value("uint16"))})
    with tempfile.TemporaryDirectory() as cache:
        data = datasets.load_dataset("arrow", data_files=path, split="train", cache_dir=cache)
        began = time.perf_counter()
        mapped = data.map(
            encode,
            batched=True,
            num_proc=2,
            remove_columns=data.column_names,
            features=features,
            cache_file_name=f"{cache}/ids.arrow",
        )
        seconds = time.perf_counter() - began
        return {"seconds": seconds, **_digested(mapped.data.column("ids"))}


def _digested(column: pa.ChunkedArray) -> dict[str, Any]:
    digest, tokens = hashlib.sha256(), 0
    for chunk in column.chunks:
        values = chunk.flatten()
        digest.update(values.buffers()[1].to_pybytes()[values.offset * 2 :][: len(values) * 2])
        tokens += len(values)
    return {"tokens": tokens, "digest": digest.hexdigest()}


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    print(json.dumps(read(*arguments) if command == "read" else shard(*arguments)))
