"""The items of probes: read from JSON Lines, and chosen by hash. No torch.

An item is a question of log-likelihoods: each of its options is a context and a continuation, and
it is right if the option of the index `gold` is the likeliest, or, of a last word, if greedy
decoding writes it. What is asked is what lm-evaluation-harness asks of the same texts; the
delimiter of the probe, its `target_delimiter`, stands before each continuation:

- minimal_pairs (BLiMP, Warstadt et al. 2020): `sentence_good`, `sentence_bad`; each a continuation
  of nothing.
- last_word (LAMBADA, Paperno et al. 2016): `context` and `continuation`; or `text`, of which what
  stands behind its last space is the continuation, with that space and no delimiter.
- multiple_choice: `question` (or `query`), `choices`, and `answer` (or `gold`), an index from 0;
  each choice follows the question. As Hugging Face has ARC, `choices` may hold `text` and `label`,
  and `answerKey` one of the labels. A question that wants "Answer:" ends so.

Other fields are not read. An item whose right answer is also a wrong one asks nothing, and is left
out: BLiMP has 7 among 67,000.
"""

import gzip
import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from corpusmill.model.config import ProbeConfig, ProbeKind
from corpusmill.storage.errors import CorpusError
from corpusmill.storage.manifest import digest_json

_FIELDS: Mapping[ProbeKind, str] = {
    "minimal_pairs": "sentence_good and sentence_bad",
    "last_word": "context and continuation, or text with a space before its last word",
    "multiple_choice": (
        "question, choices (two or more texts, or their text and label) and answer (an index from "
        "0) or answerKey (a label)"
    ),
}
_GZIP = b"\x1f\x8b"  # its first bytes


@dataclass(frozen=True)
class Item:
    """Attributes:
    digest: of its texts.
    options: context and continuation of each.
    gold: index of the right one.
    sizes: bytes of each continuation, without the delimiter before it.
    """

    digest: str
    options: tuple[tuple[str, str], ...]
    gold: int
    sizes: tuple[int, ...]


def probe_identity(probe: ProbeConfig) -> dict[str, Any]:
    """What decides the figures of a probe: the items that are asked, wherever they lie.

    Raises:
        CorpusError: as `read_items` does.
    """
    asked = digest_json([item.digest for item in read_items(probe)])
    return probe.model_dump(mode="json", exclude={"files", "items"}) | {"items": asked}


def read_items(probe: ProbeConfig) -> list[Item]:
    """The items that are asked: those of the smallest digests, each once.

    Memory is that of twice as many. Files that have not changed are read once a process.

    Raises:
        CorpusError: no file, one that is no JSON Lines, an item without its fields, or no item.
    """
    return list(_chosen(probe, tuple(_find_files(probe))))


@dataclass(frozen=True)
class _Stamped:
    """A file, and what of it changes with its bytes."""

    path: Path
    size: int
    changed: tuple[int, int]
    inode: int


@lru_cache(maxsize=8)
def _chosen(probe: ProbeConfig, files: tuple[_Stamped, ...]) -> tuple[Item, ...]:
    kept: dict[str, Item] = {}
    for item in (item for each in files for item in _read(each.path, probe)):
        kept[item.digest] = item
        if len(kept) > 2 * probe.items:
            kept = {digest: kept[digest] for digest in sorted(kept)[: probe.items]}
    if not kept:
        raise CorpusError(
            f"The probe {probe.name} has no item in {probe.files}; expected one a line, with the "
            f"fields {_FIELDS[probe.kind]}, and a right answer that is no wrong one."
        )
    return tuple(kept[digest] for digest in sorted(kept)[: probe.items])


def _find_files(probe: ProbeConfig) -> list[_Stamped]:
    try:
        paths = [Path(probe.files)]
        if not paths[0].is_file():
            pattern = probe.files.strip("/")
            paths = sorted(each for each in Path("/").glob(pattern or "-") if each.is_file())
        found = [_stamped(each) for each in paths]
    except (OSError, ValueError, NotImplementedError) as error:
        raise CorpusError(
            f"The probe {probe.name} names {probe.files}, which cannot be looked up ({error}); "
            "expected the absolute path, or a glob, of JSON Lines: mend evaluation.probes."
        ) from error
    if not found:
        raise CorpusError(
            f"The probe {probe.name} names {probe.files}, and there is no such file; expected JSON "
            "Lines: mend evaluation.probes."
        )
    return found


def _stamped(path: Path) -> _Stamped:
    found = path.stat()
    return _Stamped(path, found.st_size, (found.st_mtime_ns, found.st_ctime_ns), found.st_ino)


def _read(path: Path, probe: ProbeConfig) -> Iterator[Item]:
    kind = probe.kind
    for number, line in enumerate(_lines(path), start=1):
        try:
            item = _PARSED[kind](json.loads(line), probe.delimiter) if line.strip() else None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise CorpusError(
                f"Line {number} of {path} is no item of {kind}; expected a JSON object with the "
                f"fields {_FIELDS[kind]}: mend it or take it away."
            ) from error
        if item and _asks(item):
            yield item


def _lines(path: Path) -> Iterator[str]:
    try:
        with path.open("rb") as file:
            opened = gzip.open if file.read(2) == _GZIP else open
        with opened(path, "rt", encoding="utf-8-sig") as file:
            yield from file
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise CorpusError(
            f"{path} cannot be read ({error}); expected JSON Lines in UTF-8, as they are or in "
            "gzip."
        ) from error


def _minimal_pair(fields: Mapping[str, Any], delimiter: str) -> Item:
    pair = [_text(fields[name]) for name in ("sentence_good", "sentence_bad")]
    return _item("", pair, delimiter, gold=0)


def _last_word(fields: Mapping[str, Any], delimiter: str) -> Item:
    if "text" in fields:
        text = _text(fields["text"]).rstrip()
        word = text.split()[-1]
        context = text.removesuffix(word)
        kept = context.rstrip()
        # Texts without spaces have a last word too, but no mark of where it begins.
        return _item(_text(kept), [word], context.removeprefix(kept), gold=0)
    word = _text(fields["continuation"])
    # Without a delimiter a space at its beginning is meant.
    word = word.strip() if delimiter else word.rstrip()
    return _item(_text(fields["context"]), [word], delimiter, gold=0)


def _multiple_choice(fields: Mapping[str, Any], delimiter: str) -> Item:
    question = fields["question"] if "question" in fields else fields["query"]
    choices, labels = fields["choices"], None
    if isinstance(choices, dict):
        choices, labels = choices["text"], choices["label"]
    if not isinstance(choices, list) or len(choices) < 2:
        raise ValueError("no choices")
    return _item(
        _text(question),
        [_text(each) for each in choices],
        delimiter,
        _gold(fields, labels, len(choices)),
    )


def _gold(fields: Mapping[str, Any], labels: Any, choices: int) -> int:
    """The index of the right choice, which may be told by its label."""
    if labels is not None and (
        not isinstance(labels, list)
        or len({*map(_text, labels)}) != choices
        or len(labels) != choices
    ):
        raise ValueError("no such labels")
    told = next((name for name in ("answer", "gold") if name in fields), None)
    if told:
        gold = fields[told]
    elif labels is None:
        raise ValueError("no labels")
    else:
        gold = labels.index(fields["answerKey"])
    if type(gold) is not int or not 0 <= gold < choices:
        raise ValueError("no such choice")
    return gold


def _item(context: str, texts: Sequence[str], delimiter: str, gold: int) -> Item:
    options = tuple((context, delimiter + each) for each in texts)
    sizes = tuple(len(each.encode()) for each in texts)
    return Item(digest_json([options, gold])[:16], options, gold, sizes)


def _asks(item: Item) -> bool:
    texts = [each.strip() for _, each in item.options]
    return texts.count(texts[item.gold]) == 1


def _text(value: Any) -> str:
    """The value, if it is a text of more than spaces in valid Unicode."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError("no text")
    value.encode()
    return value


_PARSED: Mapping[ProbeKind, Callable[[Mapping[str, Any], str], Item]] = {
    "minimal_pairs": _minimal_pair,
    "last_word": _last_word,
    "multiple_choice": _multiple_choice,
}
