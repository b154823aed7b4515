"""Bad input of every kind at once: read, or set apart with file, place and reason; never lost."""

import gzip
import tarfile
import zipfile
from itertools import chain
from pathlib import Path

import pytest

from corpusmill.storage.corpus.documents import read_documents
from corpusmill.storage.splits import SPLITS
from corpusmill.tasks.ingestion.config import CorpusConfig
from corpusmill.tasks.reports.corpus.findings import read_samples
from tests.corpora import build, build_of, counts_of
from tests.readings import real

HOSTILE = (
    "format_variants",
    "blns",
    "csv_spectrum/csvs",
    "parquet_samples",
    "warcio_samples",
    "wikipedia_xml_en",
)


@pytest.mark.parametrize("policy", ["drop", "repair"])
def test_every_hostile_file_is_read_or_set_apart(tmp_path: Path, policy: str) -> None:
    sources = tuple(str(real(name)) for name in HOSTILE)
    ref = build_of(tmp_path, CorpusConfig(sources=sources, on_bad_text=policy, max_unread=1))
    documents = counts_of(ref)["documents"]
    assert documents["in"] == documents["kept"] + sum(documents["dropped"].values())
    amounts = counts_of(ref)["bytes"]
    assert amounts["in"] == amounts["kept"] + sum(amounts["dropped"].values()) + amounts["edited"]
    assert documents["kept"] > 150
    kept = sum(1 for split in SPLITS for _ in read_documents(ref.path, split))
    assert kept == documents["kept"]
    for sample in chain.from_iterable(read_samples(ref.path).values()):
        assert sample["file"] and sample["place"] and sample["reason"]


def test_a_million_empty_documents_are_a_million_dropped(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"text": ""}\n' * 1_000_000 + '{"text": "one"}\n{"text": "two"}\n')
    documents = counts_of(build(tmp_path, path))["documents"]
    assert documents == {"in": 1_000_002, "kept": 2, "dropped": {"empty": 1_000_000}}


def test_one_endless_line_costs_itself_alone(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl.gz"
    with gzip.open(path, "wb", 1) as file:
        file.write(b'{"text": "before"}\n{"text": "')
        for _ in range(100):
            file.write(b"endless " * 125_000)
        file.write(b'"}\n{"text": "after"}\n')
    documents = counts_of(build(tmp_path, path, max_document_bytes=1 << 20, max_unread=1))[
        "documents"
    ]
    assert documents == {"in": 3, "kept": 2, "dropped": {"too_long": 1}}


def test_archives_that_reach_out_of_their_folder_are_not_followed(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("../../outside.txt", "away")
        archive.writestr("inside.txt", "a document inside")
    (tmp_path / "y.txt").write_text("another document")
    with tarfile.open(tmp_path / "x.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "y.txt", "../outside.txt")
        archive.add(tmp_path / "y.txt", "y.txt")
    ref = build(tmp_path, tmp_path / "x.zip", tmp_path / "x.tar.gz", max_unread=1)
    documents = counts_of(ref)["documents"]
    assert documents == {"in": 4, "kept": 2, "dropped": {"unsafe_path": 2}}


def test_mixed_encodings_in_one_folder_are_all_read(tmp_path: Path) -> None:
    simplified = "今天的天气很好，我们一起去公园散步，看了很多花。" * 20
    traditional = "今天的天氣很好，我們一起去公園散步，看了很多花。" * 20
    folder = tmp_path / "text"
    folder.mkdir()
    for encoding in ("utf-8", "utf-16", "gb18030"):
        (folder / f"{encoding}.txt").write_bytes((simplified + encoding).encode(encoding))
    (folder / "big5.txt").write_bytes(traditional.encode("big5"))
    (folder / "latin.txt").write_bytes(("Le garçon a été à l'école. " * 20).encode("latin-1"))
    ref = build(tmp_path, folder, cleaning={"near_duplicates": "off"})
    kept = [document.text for split in SPLITS for document in read_documents(ref.path, split)]
    assert len(kept) == 5
    assert sum("公园" in each or "公園" in each for each in kept) == 4
    assert any("garçon" in each for each in kept)
