"""Quarantine: new text that looks unlike anything the line has met waits for a person.

What a model may not learn from is most often not bad text but other text: a dump in another
language, tables, noise. The champion itself tells: it reads such text far worse than any before.
"""

import random
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from corpusmill.storage.artifacts import Ref
from corpusmill.storage.blocks import Blocks
from corpusmill.storage.corpus.documents import Document, read_documents
from corpusmill.storage.ledger import SetAside
from corpusmill.storage.manifest import read_manifest
from corpusmill.storage.splits import SPLITS
from corpusmill.tasks.stages.night_config import QuarantineConfig

# Of a document, to see how repetitive it is; fewer bytes say too little.
_HEAD_BYTES, _LEAST_BYTES = 4096, 2048
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


def suspects(
    corpus: Ref,
    read: Callable[[int], Reading | None],
    languages: Collection[str],
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
        aside, share = find_unlike(corpus, read(size), languages, config, released)
        if share <= config.max_unlike:
            return [], share
    return aside, share


def find_unlike(
    corpus: Ref,
    reading: Reading | None,
    languages: Collection[str],
    config: QuarantineConfig,
    released: Collection[str],
) -> tuple[list[SetAside], float]:
    """The documents of a night that look unlike what was met, by file; their share of its bytes.

    A document that the champion has not read is taken to be as the most of its file, or else of its
    language in its source, are.

    Args:
        released: ids of documents that a person has let in.
    """
    documents = [each for split in SPLITS for each in read_documents(corpus.path, split)]
    losses = _badly_read(documents, reading, config) if reading else {}
    found: dict[tuple[str, str, str], list[Document]] = {}
    unlike = total = 0
    for document in documents:
        size = len(document.text.encode())
        total += size
        why = _why(document, losses, languages)
        if why and document.id not in released:
            unlike += size
            found.setdefault((document.source, document.file, why), []).append(document)
    aside = [
        SetAside(source, file, why, tuple(each.id for each in those), those[0].text[:EXCERPT])
        for (source, file, why), those in found.items()
    ]
    return aside, unlike / max(1, total)


def _why(document: Document, losses: Mapping[str, str], languages: Collection[str]) -> str | None:
    """In what it is unlike, in words."""
    if languages and document.language not in languages and document.language != "und":
        return f"its language, {document.language}, is none of {', '.join(sorted(languages))}"
    data = document.text.encode()[:_HEAD_BYTES]
    if len(data) >= _LEAST_BYTES:
        ratio = len(zlib.compress(data)) / len(data)
        if not _REPETITIVE < ratio < _NOISE:
            return f"it compresses to {ratio:.0%} of its size"
    return losses.get(document.id)


def _badly_read(
    documents: Sequence[Document], reading: Reading, config: QuarantineConfig
) -> dict[str, str]:
    """Of each document that the champion reads badly, or must be taken to, why."""
    found: dict[str, str] = {}
    if reading.old_order >= _KNOWS_ORDER:
        least = reading.old_order * _LEAST_ORDER
        for name, value in _of_all(documents, reading.order_by_document).items():
            if value < least:
                found[name] = (
                    f"the order of its words spares the champion {max(0.0, value):.0%} of its "
                    f"loss, and {reading.old_order:.0%} in old text: it reads as words at random"
                )
    for name, value in _of_all(documents, reading.by_document).items():
        if value > config.loss_factor * reading.old:
            found[name] = (
                f"the champion needs {config.loss_factor:g} times as much for it as for old text, "
                "or more"
            )
    return found


def _of_all(documents: Sequence[Document], known: Mapping[str, float]) -> dict[str, float]:
    """A value of each document: its own, or else the median of its file, or of its language."""
    groups: dict[object, list[float]] = {}
    for document in documents:
        if document.id in known:
            for group in _groups(document):
                groups.setdefault(group, []).append(known[document.id])
    values: dict[str, float] = {}
    for document in documents:
        near = [groups[group] for group in _groups(document) if group in groups]
        if document.id in known or near:
            values[document.id] = known.get(document.id, float(np.median(near[0])) if near else 0.0)
    return values


def _groups(document: Document) -> Iterator[object]:
    """Of what it is one of many, the narrowest first."""
    yield document.source, document.file
    yield document.source, document.language, None
