"""Quarantine: new text that looks unlike anything the line has met waits for a person.

What a model may not learn from is most often not bad text but other text: a dump in another
language, tables, noise. The champion itself tells: it reads such text far worse than any before.
"""

import zlib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Reading:
    """How well the champion reads text.

    Attributes:
        old: its loss a byte, or a prediction, on old held-out text.
        by_document: the same, of some new documents.
    """

    old: float
    by_document: Mapping[str, float]


def reading_of(blocks: Blocks, old: Collection[str]) -> Reading | None:
    """What an evaluation says of it; None where it is not judged by a sum of losses.

    Args:
        blocks: of old and of new text.
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
    of_old = [sum(of[each] for each in old if each in size) for of in (loss, size)]
    if not of_old[1]:
        return None
    new = {name: loss[name] / size[name] for name in size if name not in old and size[name]}
    return Reading(of_old[0] / of_old[1], new)


def known_languages(line: Sequence[Ref], share: float) -> frozenset[str]:
    """Languages of at least this share of the tokens of a line's shards."""
    total = Counter[str]()
    for shards in line:
        languages = read_manifest(shards.path)["counts"]["train"]["languages"]
        total.update({name: each["tokens"] for name, each in languages.items()})
    return frozenset(name for name, tokens in total.items() if tokens >= share * total.total())


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
    losses = _loss_votes(documents, reading, config) if reading else {}
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


def _loss_votes(
    documents: Sequence[Document], reading: Reading, config: QuarantineConfig
) -> dict[str, str]:
    """Of each document that the champion reads badly, or must be taken to, why."""
    limit = config.loss_factor * reading.old
    votes: dict[object, list[float]] = {}
    for document in documents:
        value = reading.by_document.get(document.id)
        if value is not None:
            for group in _groups(document):
                votes.setdefault(group, []).append(value)
    found: dict[str, str] = {}
    for document in documents:
        value = reading.by_document.get(document.id)
        if value is None:
            known = (votes[group] for group in _groups(document) if group in votes)
            value = float(np.median(next(known, [0.0])))
        if value > limit:
            found[document.id] = (
                f"the champion needs {config.loss_factor:g} times as much for it as for old text, "
                "or more"
            )
    return found


def _groups(document: Document) -> Iterator[object]:
    """Of what it is one of many, the narrowest first."""
    yield document.source, document.file
    yield document.source, document.language, None
