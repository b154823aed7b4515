"""datasketch and rensa on the documents of an Arrow file; runs in an environment of their own.

`python duplicates_peers.py datasketch|rensa FILE` prints JSON. Both get the shingles that ours
makes, made by one regular expression, and are told nothing of the text beyond them.
"""

import json
import re
import sys
import time

import pyarrow as pa

_SIMILARITY = 0.8
_PERMUTATIONS = 128
_BANDS = 16
_HAN = "\u2e80-\u2fdf\u3005-\u3007\u3041-\u312f\u31a0-\u31ff\u3400-\u9fff\uf900-\ufaff"
_TOKEN = re.compile(f"[{_HAN}]|[^\\W_{_HAN}]+")


def shingles(text: str) -> set[str]:
    words = _TOKEN.findall(text.lower())
    return {" ".join(words[i : i + 5]) for i in range(max(1, len(words) - 4))}


def datasketch(texts: list[str]) -> tuple[dict[int, list[int]], float, float]:
    from datasketch import MinHash, MinHashLSH

    shingling = 0.0
    signatures = []
    for text in texts:
        start = time.perf_counter()
        encoded = [shingle.encode() for shingle in shingles(text)]
        shingling += time.perf_counter() - start
        signature = MinHash(num_perm=_PERMUTATIONS)
        signature.update_batch(encoded)
        signatures.append(signature)
    signed = time.perf_counter()
    index = MinHashLSH(threshold=_SIMILARITY, num_perm=_PERMUTATIONS)
    removed = {}
    for number, signature in enumerate(signatures):
        if others := index.query(signature):
            removed[number] = sorted(others)
        index.insert(number, signature)
    return removed, shingling, signed


def rensa(texts: list[str]) -> tuple[dict[int, list[int]], float, float]:
    from rensa import RMinHash, RMinHashLSH

    shingling = 0.0
    signatures = []
    for first in range(0, len(texts), 1000):
        start = time.perf_counter()
        sets = [list(shingles(text)) for text in texts[first : first + 1000]]
        shingling += time.perf_counter() - start
        signatures += RMinHash.from_token_sets(sets, num_perm=_PERMUTATIONS, seed=1)
    signed = time.perf_counter()
    index = RMinHashLSH(threshold=_SIMILARITY, num_perm=_PERMUTATIONS, num_bands=_BANDS)
    removed = {}
    for number, signature in enumerate(signatures):
        if others := index.query(signature):
            removed[number] = sorted(others)
        index.insert(number, signature)
    return removed, shingling, signed


def main(peer: str, file: str) -> None:
    with pa.memory_map(file) as source:
        texts = pa.ipc.open_file(source).read_all()["text"].to_pylist()
    start = time.perf_counter()
    removed, shingling, signed = {"datasketch": datasketch, "rensa": rensa}[peer](texts)
    end = time.perf_counter()
    result = {
        "seconds": round(end - start, 3),
        "signature_seconds": round(signed - start, 3),
        "shingling_seconds": round(shingling, 3),
        "removed": removed,
    }
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
