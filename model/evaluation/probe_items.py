"""The items of probes: read from JSON Lines, and chosen by hash. No torch.

An item is a question of log-likelihoods: each of its options is a context and a continuation, and
it is right if the option of the index `gold` is the likeliest, or, of a last word, if greedy
decoding writes it. What is asked is what lm-evaluation-harness asks of the same texts:

- minimal_pairs (BLiMP, Warstadt et al. 2020): `sentence_good`, `sentence_bad`; each, with a space
  before it, a continuation of nothing.
- last_word (LAMBADA, Paperno et al. 2016): `context` and `continuation`, or `text`, whose last word
  is then the continuation. One space stands between both.
- multiple_choice: `question` (or `query`), `choices`, and `answer` (or `gold`), an index from 0;
  each choice follows the question and one space. A question that wants "Answer:" ends so.

Other fields are not read.
"""

import gzip
import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from corpusmill.model.config import ProbeConfig, ProbeKind
from corpusmill.storage.errors import CorpusError
from corpusmill.storage.manifest import digest_file, digest_json

_FIELDS: Mapping[ProbeKind, str] = {
    "minimal_pairs": "sentence_good and sentence_bad",
    "last_word": "context and continuation, or text, of at least two words",
    "multiple_choice": "question, choices (two or more texts) and answer (an index from 0)",
}


@dataclass(frozen=True)
class Item:
    """Attributes:
    digest: of its texts.
    options: context and continuation of each.
    gold: index of the right one.
    sizes: bytes of each continuation, without the space before it.
    """

    digest: str
    options: tuple[tuple[str, str], ...]
    gold: int
    sizes: tuple[int, ...]


def find_files(probe: ProbeConfig) -> list[Path]:
    """The files of a probe, by name.

    Raises:
        CorpusError: there is none.
    """
    if Path(probe.files).is_file():
        return [Path(probe.files)]
    pattern = probe.files.strip("/")
    files = sorted(each for each in Path("/").glob(pattern or "-") if each.is_file())
    if not files:
        raise CorpusError(
            f"The probe {probe.name} names {probe.files}, and there is no such file; expected JSON "
            "Lines: mend evaluation.probes."
        )
    return files


def probe_identity(probe: ProbeConfig) -> dict[str, Any]:
    """What decides the figures of a probe: its files' bytes, wherever they lie.

    Raises:
        CorpusError: there are no files.
    """
    digests = [digest_file(each) for each in find_files(probe)]
    return probe.model_dump(mode="json", exclude={"files"}) | {"files": digests}


def read_items(probe: ProbeConfig) -> list[Item]:
    """The items that are asked: those of the smallest digests, each once.

    Raises:
        CorpusError: a file that is no JSON Lines, an item without its fields, or no item.
    """
    items = {each.digest: each for path in find_files(probe) for each in _read(path, probe.kind)}
    if not items:
        raise CorpusError(
            f"The probe {probe.name} has no item in {probe.files}; expected one a line, with the "
            f"fields {_FIELDS[probe.kind]}."
        )
    return [items[digest] for digest in sorted(items)[: probe.items]]


def _read(path: Path, kind: ProbeKind) -> Iterator[Item]:
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8") as file:
            lines = file.read().split("\n")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise CorpusError(
            f"{path} cannot be read ({error}); expected JSON Lines in UTF-8, as they are or in "
            "gzip."
        ) from error
    for number, line in enumerate(lines, start=1):
        try:
            if line.strip():
                yield _PARSED[kind](json.loads(line))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise CorpusError(
                f"Line {number} of {path} is no item of {kind}; expected a JSON object with the "
                f"fields {_FIELDS[kind]}: mend it or take it away."
            ) from error


def _minimal_pair(fields: Mapping[str, Any]) -> Item:
    pair = [_text(fields[name]) for name in ("sentence_good", "sentence_bad")]
    return _item([("", f" {each}") for each in pair], gold=0)


def _last_word(fields: Mapping[str, Any]) -> Item:
    if "text" in fields:
        context, word = _text(fields["text"]).rstrip().rsplit(maxsplit=1)
    else:
        context, word = _text(fields["context"]), _text(fields["continuation"]).strip()
    return _item([(_text(context), f" {_text(word)}")], gold=0)


def _multiple_choice(fields: Mapping[str, Any]) -> Item:
    question = fields["question"] if "question" in fields else fields["query"]
    gold = fields["answer"] if "answer" in fields else fields["gold"]
    choices = [f" {_text(each)}" for each in list(fields["choices"])]
    if len(choices) < 2 or type(gold) is not int or not 0 <= gold < len(choices):
        raise ValueError("no such choice")
    return _item([(_text(question), each) for each in choices], gold)


def _item(options: list[tuple[str, str]], gold: int) -> Item:
    sizes = tuple(len(each.removeprefix(" ").encode()) for _, each in options)
    return Item(digest_json([options, gold])[:16], tuple(options), gold, sizes)


def _text(value: Any) -> str:
    """The value, if it is a text of more than spaces in valid Unicode."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError("no text")
    value.encode()
    return value


_PARSED: Mapping[ProbeKind, Callable[[Mapping[str, Any]], Item]] = {
    "minimal_pairs": _minimal_pair,
    "last_word": _last_word,
    "multiple_choice": _multiple_choice,
}
