"""Makes the flaws of text that cannot be read: what was found, what was expected, the remedy."""

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any

from corpusmill.tasks.ingestion.batches import WHOLE_FILE, Flaw, excerpt_of, size_of
from corpusmill.tasks.ingestion.readers.formats import FOREIGN, SUPPORTED, format_of

_JSON_TYPES = {
    type(None): "null",
    bool: "true or false",
    float: "a number",
    list: "an array",
    dict: "an object",
}


def no_text(
    place: str, field: str, record: Mapping[str, Any] | None, excerpt: str = "", size: int = 0
) -> Flaw:
    """The flaw of a record whose field is missing or holds no string; `record` is None for a null.

    A null is no text, so that nothing of the record's `size` bytes is lost.
    """
    if record is None:
        found, fields = "null", ""
    else:
        found = _JSON_TYPES[type(record[field])] if field in record else "missing"
        fields = f" (fields: {name_some(record)})"
    return Flaw(
        place,
        "no_text",
        f"the field {field!r} is {found}, expected a string{fields}",
        "set text_field to the field that holds the text",
        excerpt,
        0 if found == "null" else size,
    )


def empty_side(place: str, field: str, other: str) -> Flaw:
    """The flaw of a pair of which one side is blank."""
    return Flaw(
        place,
        "empty_side",
        f"found nothing in the field {field!r}, expected a text on both sides of a pair",
        "fill it in, or leave the pair out",
        excerpt_of(other),
        size_of(other),
    )


def no_pairs(kind: str) -> Flaw:
    """The flaw of a file in a source of pairs whose format has no fields to hold them."""
    return Flaw(
        WHOLE_FILE,
        "no_pairs",
        f"found a file of the kind {kind}, expected pairs in the fields of .jsonl, .json, .csv, "
        ".tsv, .parquet or .arrow",
        "convert it, or take `pair` out of its source",
        "",
    )


def nested() -> Flaw:
    """The flaw of an archive within an archive, whatever it is called."""
    finding = "found an archive within an archive, expected a file with text"
    return Flaw(WHOLE_FILE, "nested_archive", finding, "unpack the outer one", "")


def foreign(kind: str) -> Flaw:
    """The flaw of a file that is named as text and is of another kind."""
    return Flaw(
        WHOLE_FILE,
        "pointer" if "pointer" in kind else "not_text",
        f"found {kind}, expected the text itself",
        FOREIGN[kind],
        "",
    )


def not_read(place: str, name: str, size: int) -> Flaw:
    """The flaw of a file of `size` bytes whose name tells no kind that is read."""
    suffix = PurePosixPath(name).suffix.lower()
    remedy = "convert it, or narrow corpus.sources to pass over it"
    if format_of(name):
        remedy = "pip install 'corpusmill[documents]', which reads it"
    return Flaw(
        place,
        "not_read",
        f"found a file with {f'the suffix {suffix}' if suffix else 'no suffix'}, which is not "
        f"read; expected {SUPPORTED}",
        remedy,
        "",
        size,
        apart=f"*{suffix}",
    )


def left_over(place: str, size: int) -> Flaw:
    """The flaw of bytes that no reader has read."""
    finding = f"found {size} bytes that belong to nothing, expected the end of the file"
    return Flaw(place, "left_over", finding, "fetch or make the file again", "", size)


def name_some(names: Iterable[str]) -> str:
    """A list of names for a sentence, cut short after 20."""
    names = [excerpt_of(name) for name in names]
    return ", ".join([*names[:20], "…"] if len(names) > 20 else names) or "none"


def wrong_schema(finding: str, remedy: str = "", documents: int = 1) -> Flaw:
    """The flaw of a table whose columns are not those that were expected."""
    remedy = "set text_field to the column that holds the text" + remedy
    return Flaw(WHOLE_FILE, "wrong_schema", finding, remedy, "", documents=documents)


def too_long(place: str, size: int, limit: int, excerpt: str = "") -> Flaw:
    """The flaw of a document that is left out for its size."""
    return Flaw(
        place,
        "too_long",
        f"found {size} bytes without an end, expected at most {limit} a document",
        "cut it, or raise corpus.max_document_bytes",
        excerpt,
        size,
    )


def half_a_pair(text: str, position: int, place: str) -> Flaw:
    """The flaw of a text with a lone surrogate."""
    finding = f"found half of a surrogate pair at character {position}, expected Unicode"
    remedy = 'mend the text, or set corpus.on_bad_text="repair"'
    return Flaw(place, "bad_encoding", finding, remedy, excerpt_of(text), size_of(text))


def nul(text: str, place: str) -> Flaw:
    """The flaw of a text with a NUL character."""
    finding = f"found a NUL at character {text.index(chr(0))}, expected text"
    remedy = 'remove it, set corpus.on_bad_text="repair", or corpus.encoding="utf-16" if it is that'
    return Flaw(place, "bad_encoding", finding, remedy, excerpt_of(text), size_of(text))
