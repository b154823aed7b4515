"""What people and nights decided about the text of one registered model: append-only JSON lines.

A memory says what the champion has met, and another version has another memory. What is decided
here holds for all of them: text that was set aside, released or is to be forgotten, versions that
were refused or rolled back.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from corpusmill.storage.journal import JournalReader, JournalWriter, Record
from corpusmill.storage.layout import Layout
from corpusmill.storage.manifest import digest_json


@dataclass(frozen=True)
class SetAside:
    """Documents of one file that wait for a person.

    Attributes:
        why: in words.
        ids: of the documents, 32 hexadecimal digits each.
        excerpt: of one of them.
        night: that set them aside, as the ledger has it.
    """

    source: str
    file: str
    why: str
    ids: tuple[str, ...]
    excerpt: str
    night: str = field(default="", compare=False)


@dataclass(frozen=True)
class Forgotten:
    """Documents that nobody wants to have been learned.

    Attributes:
        file: that they are in.
        ids: of the documents, and of their relatives that were met.
        bands: of the documents; uint64 (documents, bands).
    """

    file: str
    ids: tuple[str, ...]
    bands: np.ndarray


@dataclass(frozen=True)
class Rejected:
    """A version that did not become, or did not stay, champion.

    Attributes:
        version: its number.
        memory: digest of what it had met.
        config: digest of how it was trained and judged; None for one that was rolled back, whose
            text is not tried again under any.
    """

    version: str
    memory: str
    config: str | None


@dataclass
class Decisions:
    """What the ledger comes to.

    Attributes:
        set_aside: what still waits.
        released: ids of documents that a person has let in.
        forgotten: what is kept out for ever.
        rejected: versions whose text was not released since, and that were not champion since.
        rolled_back: versions that were champion and gave way to an older one, released or not.
        champion: number of the version that a flow promoted last, or that was rolled back to.
    """

    set_aside: list[SetAside] = field(default_factory=list)
    released: set[str] = field(default_factory=set)
    forgotten: list[Forgotten] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    rolled_back: set[str] = field(default_factory=set)
    champion: str | None = None


class Ledger:
    """The ledger of one registered model."""

    def __init__(self, layout: Layout, name: str) -> None:
        self._path = layout.ledger(digest_json(["ledger", name]))
        self._name = name

    def set_aside(self, documents: Sequence[SetAside], night: str) -> None:
        """Documents wait for a person, and no night learns from them meanwhile."""
        self._append("set_aside", night=night, documents=[asdict(each) for each in documents])

    def release(self, file: str | None) -> int:
        """Lets in what waits, of one file or all, and what was rejected with its version.

        Returns:
            How many documents waited.
        """
        found = [each for each in self.read().set_aside if file in (None, each.file)]
        ids = sorted({name for each in found for name in each.ids})
        self._append("released", file=file, ids=ids)
        return len(ids)

    def forget(self, forgotten: Forgotten) -> None:
        """Keeps documents and their relatives out of all later nights."""
        bands = base64.b64encode(np.ascontiguousarray(forgotten.bands, "<u8").tobytes()).decode()
        self._append(
            "forgotten",
            file=forgotten.file,
            ids=list(forgotten.ids),
            bands=bands,
            width=forgotten.bands.shape[1],
        )

    def promote(self, version: str) -> None:
        """A flow made this version the champion."""
        self._append("promoted", version=version)

    def reject(self, rejected: Rejected) -> None:
        """A night's version was refused; its text is new again, beside other text."""
        self._append("refused", **asdict(rejected))

    def roll_back(self, rejected: Sequence[Rejected], champion: str) -> None:
        """Versions gave way to an older one, by a command or by hand."""
        versions = [asdict(each) for each in rejected]
        self._append("rolled_back", versions=versions, champion=champion)

    def read(self) -> Decisions:
        """What was decided up to now."""
        decisions = Decisions()
        for record in JournalReader(self._path).read():
            _take_in(decisions, record)
        return decisions

    def _append(self, event: str, **fields: Any) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        writer = JournalWriter(self._path)
        try:
            writer.write(event, name=self._name, **fields)
            writer.sync()
        finally:
            writer.close()


def _take_in(decisions: Decisions, record: Record) -> None:
    match record["event"]:
        case "set_aside":
            decisions.set_aside += [
                SetAside(**{**each, "ids": tuple(each["ids"]), "night": record["night"]})
                for each in record["documents"]
            ]
        case "released":
            file = record["file"]
            decisions.released.update(record["ids"])
            decisions.set_aside = [
                each for each in decisions.set_aside if file not in (None, each.file)
            ]
            if file is None:
                decisions.rejected.clear()
        case "forgotten":
            decisions.forgotten.append(_forgotten(record))
        case "promoted":
            _crown(decisions, record["version"])
        case "refused":
            decisions.rejected.append(
                Rejected(record["version"], record["memory"], record["config"])
            )
        case "rolled_back":
            gone = [Rejected(**each) for each in record["versions"]]
            decisions.rejected += gone
            decisions.rolled_back.update(each.version for each in gone)
            _crown(decisions, record["champion"])


def _crown(decisions: Decisions, version: str) -> None:
    """A version is champion, whatever was decided about it before."""
    decisions.champion = version
    decisions.rejected = [each for each in decisions.rejected if each.version != version]
    decisions.rolled_back.discard(version)


def _forgotten(record: Mapping[str, Any]) -> Forgotten:
    bands = np.frombuffer(base64.b64decode(record["bands"]), np.uint64)
    return Forgotten(record["file"], tuple(record["ids"]), bands.reshape(-1, record["width"]))
