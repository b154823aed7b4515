"""Documents as people have them among other files: told apart, bounded, counted."""

import importlib.util
import zipfile
from pathlib import Path

import pytest

from corpusmill.storage.errors import CorpusError
from corpusmill.tasks.ingestion.config import CorpusConfig
from corpusmill.tasks.ingestion.readers import documents, formats
from corpusmill.tasks.ingestion.sources import resolve
from tests.corpora import build, counts_of
from tests.made_documents import ODT, pdf_line, write_docx, write_epub, write_pdf, write_zip
from tests.readings import flaw_of, flaws_in, items_of, texts_in, texts_of


def test_documents_are_read_in_archives_and_by_their_first_bytes(tmp_path: Path) -> None:
    word, pdf = (
        write_docx(tmp_path / "x.docx"),
        write_pdf(tmp_path / "x.pdf", pdf_line("Text", 700)),
    )
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.write(word, "a.docx")
        archive.write(pdf, "misnamed.txt")
    first, second = texts_of(tmp_path / "x.zip")
    assert first.startswith("Title\n\nOne") and second == "Text"


@pytest.mark.parametrize("name", ["x.zip", "x.txt", "x.odt"])
def test_a_document_that_is_an_archive_is_no_archive_of_documents(
    tmp_path: Path, name: str
) -> None:
    (text,) = texts_of(write_docx(tmp_path / name))
    assert text.startswith("Title\n\nOne")
    open_document = "application/vnd.oasis.opendocument.text"
    members = {"mimetype": open_document, "content.xml": ODT, "styles.xml": "<x/>"}
    with zipfile.ZipFile(tmp_path / name, "w") as archive:
        for member, data in members.items():
            archive.writestr(member, data)
    (text,) = texts_of(tmp_path / name)
    assert text.startswith("Title\n\nOne two")


def test_a_folder_of_the_same_name_hides_no_reader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "storage").mkdir()
    (tmp_path / "storage" / "__init__.py").write_text("raise ImportError('the wrong storage')")
    monkeypatch.chdir(tmp_path)
    assert texts_of(write_pdf(tmp_path / "x.pdf", pdf_line("Text", 700))) == ["Text"]


@pytest.mark.parametrize("kind", sorted(formats.DOCUMENTS.values()))
def test_what_is_no_such_document_is_a_flaw(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"x.{kind}"
    data = b"nonsense\n" * 9
    if kind == "eml":
        data = b"Content-Type: multipart/mixed; boundary=B\n\nx"
    path.write_bytes(data)
    flaw = flaw_of(path)
    assert (flaw.reason, flaw.bytes) == ("damaged", len(data))


def test_a_file_that_takes_all_memory_is_a_flaw(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents, "MEMORY_BYTES", 1 << 28)
    path = write_zip(tmp_path / "x.odt", {"content.xml": " " * (1 << 28)})
    flaw = flaw_of(path)
    assert flaw.reason == "damaged" and "memory" in flaw.finding
    assert flaw.bytes == path.stat().st_size


def test_a_file_that_takes_all_time_is_a_flaw(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents, "SECONDS", 1)
    part = "<w:p><w:r><w:t>x</w:t></w:r></w:p>" * 1_000_000
    flaw = flaw_of(write_docx(tmp_path / "x.docx", part))
    assert flaw.reason == "damaged" and "ended with code -9" in flaw.finding


@pytest.mark.parametrize(("before", "after"), [("docx", ""), ("words", ""), ("", "docx")])
def test_what_lies_beside_a_document_is_counted(tmp_path: Path, before: str, after: str) -> None:
    one = write_docx(tmp_path / "one.docx").read_bytes()
    more = {"docx": one, "words": b"some bytes", "": b""}
    (tmp_path / "x.docx").write_bytes(more[before] + one + more[after])
    items = items_of(tmp_path / "x.docx")
    (text,) = texts_in(items)
    assert text.startswith("Title\n\nOne")
    assert sum(flaw.bytes or 0 for flaw in flaws_in(items)) == len(more[before] + more[after])


def test_without_its_package_a_document_is_set_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "pypdfium2" else find(name)
    )
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "a.txt").write_text("a text")
    write_pdf(tmp_path / "lib" / "b.pdf", pdf_line("Text", 700))
    (source,) = resolve(CorpusConfig(sources=(str(tmp_path / "lib"),)), tmp_path)
    assert [file.name for file in source.apart] == ["lib/b.pdf"]
    with pytest.raises(CorpusError, match=r"pip install 'corpusmill\[documents\]'"):
        resolve(CorpusConfig(sources=(str(tmp_path / "lib" / "b.pdf"),)), tmp_path)


def test_real_documents_are_kept_whole(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    write_docx(tmp_path / "lib" / "a.docx")
    write_epub(tmp_path / "lib" / "b.epub")
    counts = counts_of(build(tmp_path, tmp_path / "lib"))
    assert counts["documents"] == {"in": 2, "kept": 2, "dropped": {}}
