"""Quarantine: new text that looks unlike anything the line has met waits for a person.

What a model may not learn from is most often not bad text but other text: a dump in another
language, tables, noise. The champion itself tells: it reads such text far worse than any before.
"""

import random
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from corpusmill.storage.artifacts import Ref
from corpusmill.storage.blocks import Blocks
from corpusmill.storage.corpus.documents import Document, read_documents
from corpusmill.storage.ledger import SetAside
from corpusmill.storage.manifest import read_manifest
from corpusmill.storage.splits import SPLITS
from corpusmill.tasks.stages.night_config import QuarantineConfig

# Of the middle of a document, to see how repetitive it is; fewer bytes say too little.
_MIDDLE_BYTES, _LEAST_BYTES = 4096, 2048
# Shares of its own size that text is compressed to: from a template repeated over and over to what
# has no regularity at all. Of 549 texts of so many bytes (speeches, articles, manuals, reviews and
# poems, English and Chinese) all lie between 0.36 and 0.68; random characters of ASCII at 0.83, of
# base64 at 0.76, of Han at 0.73.
_REPETITIVE, _NOISE = 0.08, 0.71
EXCERPT = 200
# A champion to which the order of words is worth so much of its loss can tell text by it; text for
# which it is worth less than so much of that is none.
_KNOWS_ORDER, _LEAST_ORDER = 0.05, 0.25
_SHUFFLED = "~"
_LEAST_WORDS = 20
# Times as much is read before text is set aside.
_CLOSER = 10


@dataclass(frozen=True)
class Reading:
    """How well the champion reads text.

    Attributes:
        old: its loss a byte, or a prediction, on old held-out text.
        by_document: the same, of some new documents.
        old_order: what the order of words is worth to it on old text: the share of its loss on the
            same words in random order that it is spared.
        order_by_document: the same, of those new documents.
    """

    old: float
    by_document: Mapping[str, float]
    old_order: float = 0.0
    order_by_document: Mapping[str, float] = field(default_factory=dict)


def shuffled(document: Document) -> Document:
    """The same words, or letters of a script without spaces, in random order; under another id."""
    words, between = document.text.split(), " "
    if len(words) < _LEAST_WORDS:
        words, between = list(document.text), ""
    random.Random(document.id).shuffle(words)
    return replace(document, id=document.id + _SHUFFLED, text=between.join(words))


def reading_of(blocks: Blocks, old: Collection[str]) -> Reading | None:
    """What an evaluation says of it; None where it is not judged by a sum of losses.

    Args:
        blocks: of old and of new text, and of what `shuffled` makes of either.
        old: ids of the old documents.
    """
    # Bits over bytes, nats over predictions; what is judged by BLEU has no loss.
    width = blocks.statistics.shape[1]
    if width > 2:
        return None
    sizes = blocks.bytes if width == 1 else blocks.predictions
    loss, size = Counter[str](), Counter[str]()
    for name, value, count in zip(
        blocks.documents, blocks.statistics[:, 0].tolist(), sizes.tolist(), strict=True
    ):
        loss[name] += value
        size[name] += count
    there = [name for name in size if size[name] and not name.endswith(_SHUFFLED)]
    known, new = ([name for name in there if (name in old) == is_old] for is_old in (True, False))
    if not known:
        return None

    def rate(names: Sequence[str], ending: str = "") -> float:
        listed = [name + ending for name in names]
        return sum(loss[each] for each in listed) / max(1, sum(size[each] for each in listed))

    def order(names: Sequence[str]) -> float:
        without = rate(names, _SHUFFLED)
        return 1 - rate(names) / without if without else 0.0

    return Reading(
        rate(known),
        {name: rate([name]) for name in new},
        order(known),
        {name: order([name]) for name in new if name + _SHUFFLED in size},
    )


def known_languages(line: Sequence[Ref], share: float) -> frozenset[str]:
    """Languages of at least this share of the tokens of a line's shards."""
    total = Counter[str]()
    for shards in line:
        languages = read_manifest(shards.path)["counts"]["train"]["languages"]
        total.update({name: each["tokens"] for name, each in languages.items()})
    return frozenset(name for name, tokens in total.items() if tokens >= share * total.total())


@dataclass(frozen=True)
class Looked:
    """What is seen of a new document without a model.

    Attributes:
        why: in what it is unlike what was met, in words; None in nothing.
        begins: its first characters.
    """

    id: str
    source: str
    file: str
    language: str
    bytes: int
    why: str | None
    begins: str


def look_at(corpus: Ref, languages: Collection[str]) -> list[Looked]:
    """What is seen of the documents of a night; of their text no more stays than how it begins.

    Args:
        languages: of what was met; empty where they are not known.
    """
    return [
        Looked(
            each.id,
            each.source,
            each.file,
            each.language,
            len(data),
            _why(each.language, data, languages),
            each.text[:EXCERPT],
        )
        for split in SPLITS
        for each in read_documents(corpus.path, split)
        for data in (each.text.encode(),)
    ]


def suspects(
    documents: Sequence[Looked],
    read: Callable[[int], Reading | None],
    config: QuarantineConfig,
    released: Collection[str],
) -> tuple[list[SetAside], float]:
    """The documents of a night that wait for a person, by file; the share of what is unlike.

    None waits while what is unlike is within its share. What was not read is taken to be as its
    neighbours are, so that good text among bad is not known by a glance: more is read then.

    Args:
        read: so many bytes of the new text, by the champion.
        released: ids of documents that a person has let in.
    """
    share = 0.0
    for size in (config.sample_bytes, _CLOSER * config.sample_bytes):
        aside, share = find_unlike(documents, read(size), config, released)
        if share <= config.max_unlike:
            return [], share
    return aside, share


def find_unlike(
    documents: Sequence[Looked],
    reading: Reading | None,
    config: QuarantineConfig,
    released: Collection[str],
) -> tuple[list[SetAside], float]:
    """The documents of a night that look unlike what was met, by file; the share of its bytes that
    does.

    Of documents that the champion has not read as many are unlike as of those that it has read of
    their file, or else of the files of their language in their source. Where these are more than
    may be, nobody knows which, and all of them wait.

    Args:
        released: ids of documents that a person has let in.
    """
    # None of those that were read and are like what was met.
    known = _badly_read(reading, config) if reading else {}
    known |= {each.id: each.why for each in documents if each.why}
    known |= dict.fromkeys(released)
    near = _by_group(documents, known)
    found: dict[tuple[str, str, str], list[Looked]] = {}
    unlike = 0.0
    for each in documents:
        if each.id in known:
            why = known[each.id]
            share = float(why is not None)
        else:
            share, why = next((near[name] for name in _groups(each) if name in near), (0.0, None))
        unlike += share * each.bytes
        if why and share > config.max_unlike:
            found.setdefault((each.source, each.file, why), []).append(each)
    aside = [
        SetAside(source, file, why, tuple(each.id for each in waiting), waiting[0].begins)
        for (source, file, why), waiting in found.items()
    ]
    return aside, unlike / max(1, sum(each.bytes for each in documents))


def _why(language: str, data: bytes, languages: Collection[str]) -> str | None:
    """In what a text is unlike, in words."""
    if languages and language not in languages and language != "und":
        return f"its language, {language}, is none of {', '.join(sorted(languages))}"
    # Not the beginning, where a long text may have what is in no other place of it.
    first = max(0, len(data) - _MIDDLE_BYTES) // 2
    middle = data[first : first + _MIDDLE_BYTES]
    if len(middle) >= _LEAST_BYTES:
        ratio = len(zlib.compress(middle)) / len(middle)
        if not _REPETITIVE < ratio < _NOISE:
            return f"it compresses to {ratio:.0%} of its size"
    return None


def _badly_read(reading: Reading, config: QuarantineConfig) -> dict[str, str | None]:
    """Of each document that the champion has read why it is unlike, or None."""
    found: dict[str, str | None] = dict.fromkeys(reading.by_document)
    if reading.old_order >= _KNOWS_ORDER:
        least = reading.old_order * _LEAST_ORDER
        for name, value in reading.order_by_document.items():
            if value < least:
                found[name] = (
                    f"the order of its words spares the champion {max(0.0, value):.0%} of its "
                    f"loss, and {reading.old_order:.0%} in old text: it reads as words at random"
                )
    for name, value in reading.by_document.items():
        if value > config.loss_factor * reading.old:
            found[name] = (
                f"the champion needs {config.loss_factor:g} times as much for it as for old text, "
                "or more"
            )
    return found


def _by_group(
    documents: Sequence[Looked], known: Mapping[str, str | None]
) -> dict[object, tuple[float, str | None]]:
    """What share of the documents of each group is unlike, the mean over its files; and a reason.

    What is seen of a document without reading says nothing of the others.
    """
    groups: dict[object, dict[str, list[str | None]]] = {}
    for each in documents:
        if each.id in known and not each.why:
            for group in _groups(each):
                groups.setdefault(group, {}).setdefault(each.file, []).append(known[each.id])
    found: dict[object, tuple[float, str | None]] = {}
    for group, files in groups.items():
        shares = [sum(map(bool, those)) / len(those) for those in files.values()]
        why = next((why for those in files.values() for why in those if why), None)
        found[group] = sum(shares) / len(shares), why
    return found


def _groups(document: Looked) -> Iterator[object]:
    """Of what it is one of many, the narrowest first."""
    yield document.source, document.file
    yield document.source, document.language, None
