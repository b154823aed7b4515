"""Which characters are tokens of their own.

Those that make up `character_coverage` of the text, as in SentencePiece, and others as long as all
take no more than a third of the vocabulary: the coverage alone would lose K, Q and ? of English,
whose characters are few, and the third alone the rarer half of Chinese.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import accumulate


@dataclass(frozen=True, slots=True)
class Alphabet:
    """Characters that become tokens.

    Attributes:
        characters: the most frequent first.
        covering: how many characters it takes to make up the coverage that was asked for.
        size: tokens that those take.
        lost: share of the text that is of none of `characters`.
    """

    characters: tuple[str, ...]
    covering: int
    size: int
    lost: float

    @property
    def short(self) -> bool:
        """Whether less of the text is covered than was asked for."""
        return len(self.characters) < self.covering


def choose_alphabet(
    counts: Mapping[str, int],
    room: int,
    most: int,
    coverage: float,
    tokens_of: Callable[[str], int] = lambda _: 1,
) -> Alphabet:
    """The characters that shall be tokens.

    Args:
        counts: how often each character comes.
        room: tokens that there are, control tokens apart; a third as many characters are taken
            whatever they cover.
        most: tokens that characters may take to make up the coverage.
        coverage: share of the text, in (0, 1].
        tokens_of: how many tokens a character takes.
    """
    ranked = sorted(sorted(counts), key=counts.__getitem__, reverse=True)
    total = sum(counts.values())
    goal = coverage * total
    met = accumulate((counts[character] for character in ranked), initial=0)
    covering = next(number for number, covered in enumerate(met) if covered >= goal)
    sizes = list(accumulate(map(tokens_of, ranked[:covering])))
    fitting = sum(size <= most for size in sizes)
    characters = tuple(ranked[: max(fitting, room // 3)])
    lost = 1 - sum(map(counts.__getitem__, characters)) / max(1, total)
    return Alphabet(characters, covering, sizes[-1] if sizes else 0, lost)


def count_characters(texts: Iterable[str]) -> Counter[str]:
    """How often each character comes."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text)
    return counts
