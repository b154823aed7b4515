"""Text for benchmarks: real documents first, then as many more as asked for, made of them by edits.

`python -m tests.benchmarks.text FOLDER OUT MEGABYTES` writes jsonl, Parquet and compressed jsonl.
"""

import gzip
import json
import random
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

_FILE_BYTES = 128_000_000
_SENTENCE = re.compile(r"(?<=[.!?。！？；])\s*")
_SHARES = {"copy": 0.04, "near": 0.12, "junk": 0.15}


def real_documents(folder: Path) -> Iterator[str]:
    """Documents of web-like lengths, in English and Chinese."""
    for name in (
        "sotu/sotu.jsonl.gz",
        "lm_en_ebooks/chapters.jsonl.gz",
        "lm_en_eips_md/eips.jsonl.gz",
        "docs_zh_vue/docs.jsonl.gz",
    ):
        for record in records(folder / name):
            yield from sections(record["text"])
    for record in records(folder / "chinese_poetry/poems.jsonl.gz"):
        yield f"{record['title']}\n{record['author']}\n{record['text']}"
    for name, key, language in (
        ("pydocs_en_zh/pydocs_en_zh.jsonl.gz", "doc", "zh"),
        ("pydocs_en_zh/pydocs_en_zh.jsonl.gz", "doc", "en"),
        ("bible_kjv_cuv/bible_en_zh.jsonl.gz", "id", "zh"),
        ("bible_kjv_cuv/bible_en_zh.jsonl.gz", "id", "en"),
    ):
        yield from _joined(records(folder / name), key, language)
    for name in ("valid", "test"):
        path = folder / f"wikitext2_valid_test/{name}.txt"
        yield from sections(path.read_text(encoding="utf-8"))


def documents(folder: Path, size: int, seed: int = 0) -> Iterator[str]:
    """At least `size` UTF-8 bytes: the real documents, then edits and recombinations of them."""
    draw = random.Random(seed)
    real = list(real_documents(folder))
    # Documents of one script are recombined with each other only.
    pools = [[t for t in real if t.isascii()], [t for t in real if not t.isascii()]]
    for text in draw.sample(real, len(real)):
        yield text
        size -= len(text.encode())
        if size <= 0:
            return
    while size > 0:
        text = _edited(draw, pools[draw.random() < 0.4])
        yield text
        size -= len(text.encode())


def write_files(texts: Iterable[str], out: Path) -> list[Path]:
    """Writes texts as files of about 128 MB: jsonl, now and then Parquet or jsonl.gz."""
    out.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    batch: list[str] = []
    size = 0
    for text in texts:
        batch.append(text)
        size += len(text.encode())
        if size >= _FILE_BYTES:
            paths.append(_write(batch, out, len(paths)))
            batch, size = [], 0
    if batch:
        paths.append(_write(batch, out, len(paths)))
    return paths


def _write(texts: list[str], out: Path, number: int) -> Path:
    if number % 8 == 3:
        path = out / f"{number:03d}.parquet"
        pq.write_table(pa.table({"text": texts}), path, compression="zstd")
        return path
    lines = "".join(
        json.dumps({"url": f"https://example.org/{number}/{row}", "text": text}, ensure_ascii=False)
        + "\n"
        for row, text in enumerate(texts)
    ).encode()
    if number % 8 == 5:
        path = out / f"{number:03d}.jsonl.gz"
        path.write_bytes(gzip.compress(lines, 5))
    else:
        path = out / f"{number:03d}.jsonl"
        path.write_bytes(lines)
    return path


def _edited(draw: random.Random, pool: list[str]) -> str:
    fate = draw.random()
    base = draw.choice(pool)
    if fate < _SHARES["copy"]:
        return base
    if fate < _SHARES["near"]:
        words = re.split(r"(\s+)", base) if base.isascii() else list(base)
        return "".join(word for word in words if draw.random() > 0.01)
    if fate < _SHARES["junk"]:
        line = base[: draw.randint(5, 60)].replace("\n", " ")
        return "\n".join([line] * draw.randint(3, 40)) + "\x07"
    sentences = [s for _ in range(draw.randint(2, 6)) for s in _SENTENCE.split(draw.choice(pool))]
    draw.shuffle(sentences)
    glue = " " if base.isascii() else ""
    lines = [glue.join(sentences[i : i + 4]) for i in range(0, min(len(sentences), 120), 4)]
    return "\n".join(lines)


def sections(text: str, size: int = 5000) -> Iterator[str]:
    gathered: list[str] = []
    for paragraph in text.split("\n"):
        gathered.append(paragraph)
        if sum(map(len, gathered)) > size:
            yield "\n".join(gathered)
            gathered = []
    if gathered:
        yield "\n".join(gathered)


def _joined(records: Iterable[dict[str, str]], key: str, language: str) -> Iterator[str]:
    gathered: list[str] = []
    place = ""
    for record in records:
        here = record[key].rpartition(".")[0] or record[key]
        if here != place and gathered:
            yield from sections("\n".join(gathered), 3000)
            gathered = []
        place = here
        gathered.append(record[language])
    yield from sections("\n".join(gathered), 3000)


def records(path: Path) -> Iterator[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


if __name__ == "__main__":
    folder, out, megabytes = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
    for path in write_files(documents(folder, int(megabytes * 1e6)), out):
        print(path)
