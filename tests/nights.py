"""Random nights: a folder that people work in, and lines of memories that follow it.

`python -m tests.nights SEED NIGHTS` plays so many, and prints what went wrong.
"""

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Literal

import numpy as np
import pytest

from corpusmill.storage.artifacts import Ref
from corpusmill.storage.corpus.documents import ids_of, read_documents
from corpusmill.storage.layout import Layout
from corpusmill.storage.splits import SPLITS
from corpusmill.tasks.ingestion.building import build_corpus, plan_corpus
from corpusmill.tasks.ingestion.config import CleaningConfig, CorpusConfig
from corpusmill.tasks.ingestion.parts import make_part, part_bands, part_documents
from corpusmill.tasks.ingestion.past import KeptOut, Past
from corpusmill.tasks.stages.held_out import keep_held_out
from corpusmill.tasks.stages.memory import remember

WORDS = tuple(f"word{number}" for number in range(400))
# Nights of a folder, after which another one begins.
NIGHTS = 12
_SIMILAR = 0.8


@dataclass(frozen=True)
class Learned:
    """What a line has met.

    Attributes:
        memory: None before the first corpus.
        sides: of each text that was trained on or held out.
    """

    memory: Ref | None = None
    sides: dict[str, str] = field(default_factory=dict)


@dataclass
class Tally:
    """What came of nights.

    Attributes:
        pairs: of texts of one line with an exact Jaccard similarity of 0.8 or more.
        parted: those of them that lie on both sides.
        broken: laws that were broken, in words.
    """

    nights: int = 0
    documents: int = 0
    pairs: int = 0
    parted: int = 0
    broken: list[str] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        self.nights += other.nights
        self.documents += other.documents
        self.pairs += other.pairs
        self.parted += other.parted
        self.broken += other.broken


class Folder:
    """Files of a document a line, as people work in them.

    Attributes:
        path: where they are.
    """

    def __init__(self, path: Path, random: Random) -> None:
        path.mkdir(parents=True)
        self.path = path
        self._random = random
        self._files: dict[str, list[str]] = {}
        self._ever: list[str] = []
        self._names = 0
        # A first corpus needs two documents that are no near-duplicates.
        self._write(self._new_name(), [self._new_text(), self._new_text()])
        for _ in range(2):
            self._add()

    def work(self) -> None:
        """Some of what people do in a day."""
        doings = (self._add, self._add, self._edit, self._edit, self._copy, self._delete)
        for _ in range(self._random.randint(0, 5)):
            self._random.choice((*doings, self._rename, self._shuffle))()

    def _add(self) -> None:
        """A file of new texts, of versions of older ones, and of texts that were there before."""
        texts = []
        for _ in range(self._random.randint(1, 10)):
            kind = self._random.random()
            if not self._ever or kind < 0.4:
                texts.append(self._new_text())
            elif kind < 0.85:
                texts.append(self._version(self._random.choice(self._ever)))
            else:
                texts.append(self._random.choice(self._ever))
        self._write(self._new_name(), texts)

    def _edit(self) -> None:
        name = self._some()
        texts = list(self._files[name])
        place = self._random.randrange(len(texts))
        texts[place] = self._version(texts[place])
        self._write(name, texts)

    def _copy(self) -> None:
        self._write(self._new_name(), self._files[self._some()])

    def _delete(self) -> None:
        if len(self._files) > 1:
            name = self._some()
            del self._files[name]
            (self.path / name).unlink()

    def _rename(self) -> None:
        name, other = self._some(), self._new_name()
        self._files[other] = self._files.pop(name)
        (self.path / name).rename(self.path / other)

    def _shuffle(self) -> None:
        """The texts of two files, in another order and otherwise divided."""
        one, other = self._some(), self._some()
        texts = list(dict.fromkeys([*self._files[one], *self._files[other]]))
        self._random.shuffle(texts)
        half = max(1, len(texts) // 2)
        self._write(one, texts[:half])
        self._write(other, texts[half:] or texts)

    def _new_text(self) -> str:
        length = self._random.choice((self._random.randint(3, 30), 60, 120, 200))
        return " ".join(self._random.choices(WORDS, k=length))

    def _version(self, text: str) -> str:
        words = text.split()
        for _ in range(self._random.choice((1, 1, 1, 2, 4))):
            place = self._random.randrange(len(words) + 1)
            words[place : place + self._random.randint(0, 1)] = self._random.sample(WORDS, 1)
        return " ".join(words)

    def _write(self, name: str, texts: list[str]) -> None:
        self._files[name] = texts
        self._ever += texts
        (self.path / name).write_text("".join(f"{text}\n" for text in texts))

    def _some(self) -> str:
        return self._random.choice(sorted(self._files))

    def _new_name(self) -> str:
        self._names += 1
        # Not in the order in which they are made.
        return f"{self._random.randrange(1000):03d}-{self._names}.txt"


class Game:
    """Nights of one folder, some of them refused, rolled back, or with text set aside."""

    def __init__(self, root: Path, seed: str, near: Literal["drop", "keep"]) -> None:
        self._random = Random(seed)
        self._layout = Layout(root / "home")
        self._folder = Folder(root / "text", self._random)
        # What cleaning does to text is proved elsewhere, and takes time.
        cleaning = CleaningConfig(normalise=False, identify_languages=False, near_duplicates=near)
        self._config = CorpusConfig(
            sources=(str(self._folder.path),),
            text_unit="line",
            validation_fraction=0.1,
            cleaning=cleaning,
        )
        self._aside: frozenset[bytes] = frozenset()
        self._forgotten: frozenset[bytes] = frozenset()
        self._forgotten_bands: np.ndarray | None = None
        self._line = [Learned()]
        self._seed = seed
        self.tally = Tally()

    def play(self, nights: int) -> None:
        """Plays nights, and counts what comes of them."""
        for number in range(nights):
            after = self._night(self._line[-1], number)
            self.tally.nights += 1
            if (after and self._random.random() > 0.25) or not self._line[-1].memory:
                self._line.append(after or Learned())
            elif len(self._line) > 2 and self._random.random() < 0.2:
                self._line.pop()
            if self._random.random() < 0.3:
                self._aside = frozenset()
            self._folder.work()

    def _night(self, before: Learned, number: int) -> Learned | None:
        past = Past(before.memory, self._kept_out) if before.memory else None
        plan = plan_corpus(self._layout, self._config, past)
        if not plan.sources:
            return None
        parts = [make_part(self._layout, each, self._config) for each in plan.partitions]
        corpus = plan.corpus or build_corpus(self._layout, plan.sources, self._config, parts, past)
        if before.memory:
            if self._set_aside(corpus):
                past = Past(before.memory, self._kept_out)
                corpus = build_corpus(self._layout, plan.sources, self._config, parts, past)
            self._forget(parts)
        sides = dict(_sides(corpus))
        if past and len(set(sides.values())) < len(SPLITS):
            return None
        self._check(before, sides, number)
        memory = remember(
            self._layout,
            before.memory,
            corpus,
            plan.sources,
            # Nothing is trained here.
            shards=Ref("shards", "0" * 32, corpus.path),
            held_out=keep_held_out(self._layout, corpus),
        )
        return Learned(memory, before.sides | sides)

    @property
    def _kept_out(self) -> KeptOut:
        ids = {"set_aside": self._aside, "forgotten": self._forgotten}
        return KeptOut({name: those for name, those in ids.items() if those}, self._forgotten_bands)

    def _set_aside(self, corpus: Ref) -> bool:
        """Sometimes the new documents of one file wait for a person; whether any do."""
        found = [each for split in SPLITS for each in read_documents(corpus.path, split)]
        if not found or self._random.random() > 0.15:
            return False
        file = self._random.choice(found).file
        ids = {each.id for each in found if each.file == file}
        self._aside |= {bytes.fromhex(each) for each in ids}
        return True

    def _forget(self, parts: list[Ref]) -> None:
        """Sometimes a document is to be forgotten from the next night on."""
        if not parts or self._random.random() > 0.05:
            return
        part = self._random.choice(parts).path
        ids = ids_of([part_documents(part)])
        row = self._random.randrange(len(ids))
        bands = np.array(part_bands(part)[row : row + 1])
        self._forgotten |= {ids[row].tobytes()}
        known = self._forgotten_bands
        self._forgotten_bands = bands if known is None else np.concatenate([known, bands])

    def _check(self, before: Learned, sides: dict[str, str], number: int) -> None:
        """The laws, and the pairs that tonight's texts make with each other and with older ones."""
        where = f"game {self._seed}, night {number}"
        self.tally.documents += len(sides)
        if both := sides.keys() & before.sides.keys():
            self.tally.broken.append(f"{where}: {len(both)} texts are learned twice: {min(both)!r}")
        known = [(_shingles(text), side) for text, side in before.sides.items()]
        for text, side in sides.items():
            ours = _shingles(text)
            for theirs, other in known:
                if _is_similar(ours, theirs):
                    self.tally.pairs += 1
                    self.tally.parted += side != other
            known.append((ours, side))


def _sides(corpus: Ref) -> Iterator[tuple[str, str]]:
    seen = set[str]()
    for split in SPLITS:
        for document in read_documents(corpus.path, split):
            assert document.text not in seen, document.text
            seen.add(document.text)
            yield document.text, split


def _shingles(text: str) -> frozenset[tuple[str, ...]]:
    words = text.split()
    return frozenset(tuple(words[n : n + 5]) for n in range(max(1, len(words) - 4)))


def _is_similar(one: frozenset[tuple[str, ...]], other: frozenset[tuple[str, ...]]) -> bool:
    if min(len(one), len(other)) < _SIMILAR * max(len(one), len(other)):
        return False
    return len(one & other) >= _SIMILAR * len(one | other)


def play(seed: int, nights: int) -> Tally:
    """Plays at least so many nights, folder after folder."""
    tally, number = Tally(), 0
    while tally.nights < nights:
        near: Literal["drop", "keep"] = "keep" if number % 2 else "drop"
        with tempfile.TemporaryDirectory() as root:
            game = Game(Path(root), f"{seed}/{number}", near)
            game.play(NIGHTS)
        tally.add(game.tally)
        number += 1
    return tally


def main(seed: int, nights: int) -> int:
    """Plays nights, and prints what came of them; 1 where a law was broken."""
    start = time.monotonic()
    with pytest.MonkeyPatch.context() as patch:
        # That files survive a power cut takes most of the time.
        patch.setattr(os, "fsync", lambda _: None)
        tally = play(seed, nights)
    print(
        f"{tally.nights} nights, {tally.documents} documents: {tally.parted} of {tally.pairs} "
        f"pairs of similarity {_SIMILAR} or more on both sides ({time.monotonic() - start:.0f} s)"
    )
    print("\n".join(tally.broken))
    return 1 if tally.broken or tally.parted > tally.pairs / 100 else 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
