"""The rules of Gopher and FineWeb in plain Python: what the compiled `kernels` must agree with.

Where a paper is not precise, the choice is that of datatrove 0.10, whose corpora made these rules
known: punctuation marks count as words, the first of equally frequent n-grams is the top one, and
repeated n-grams do not overlap. Unlike there, blank lines do not count, and an n-gram that occurs
once is not the top one: that would drop every short poem as repetitive.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from corpusmill.tasks.ingestion.cleaning.characters import (
    ALONE,
    CLOSES,
    ENDS,
    ITEM,
    JOINS_LETTERS,
    JOINS_NUMBERS,
    LETTER,
    NUMBER,
    REPEATS,
    SPACE,
    WORD,
    flags_of,
)
from corpusmill.tasks.ingestion.cleaning.thresholds import (
    DUPLICATE,
    EXCESS,
    KEPT,
    REASONS,
    SPACED,
    STOP_WORDS,
    TOP,
    UNSPACED,
    UNSPACED_SHARE,
    Thresholds,
)

Checks = Iterator[tuple[str, bool]]
Rule = Callable[["Document", Thresholds], Checks]


@dataclass(frozen=True)
class Document:
    """A text; whether punctuation marks are words; whether its language's stop words are known."""

    text: str
    marks: bool
    stop_words: bool

    @cached_property
    def words(self) -> list[str]:
        return segment(self.text) if self.marks else part(self.text)

    @cached_property
    def lines(self) -> list[str]:
        return [line for line in self.text.split("\n") if line.strip()]

    @cached_property
    def paragraphs(self) -> list[str]:
        paragraphs: list[list[str]] = [[]]
        for line in self.text.split("\n"):
            if line.strip():
                paragraphs[-1].append(line)
            elif paragraphs[-1]:
                paragraphs.append([])
        return ["\n".join(lines) for lines in paragraphs if lines]

    @cached_property
    def unspaced(self) -> bool:
        visible = sum(not flags_of(character) & SPACE for character in self.text)
        return self.alone / max(1, visible) >= UNSPACED_SHARE

    @cached_property
    def alone(self) -> int:
        return sum(bool(flags_of(character) & ALONE) for character in self.text)

    @property
    def weight(self) -> float:
        """The number of words; of characters that are words by themselves, 1.7 count as one."""
        return len(self.words) - EXCESS * self.alone


def part(text: str) -> list[str]:
    """Words as separated by white space, punctuation included; in unspaced scripts, characters."""
    words: list[str] = []
    kind, begin = SPACE, 0
    for i, character in enumerate(text):
        flags = flags_of(character)
        alone = (kind | flags) & ALONE and kind & flags & WORD
        if (kind | flags) & SPACE or alone:
            if not kind & SPACE:
                words.append(text[begin:i])
            kind, begin = flags, i
        kind |= flags
    return words if kind & SPACE else [*words, text[begin:]]


def segment(text: str, flags_of: Callable[[str], int] = flags_of) -> list[str]:
    """Words, punctuation marks and, in unspaced scripts, single characters, in order."""
    words: list[str] = []
    begin = 0
    for i in range(len(text) + 1):
        if begin < i and (i == len(text) or not _goes_on(text, begin, i, flags_of)):
            words.append(text[begin:i])
            begin = i
        if begin == i < len(text) and flags_of(text[i]) & SPACE:
            begin = i + 1
    return words


def _goes_on(text: str, begin: int, i: int, flags_of: Callable[[str], int]) -> bool:
    """Whether character `i` belongs to the word that begins at `begin`."""
    first, flags = flags_of(text[begin]), flags_of(text[i])
    if not first & WORD:
        return bool(flags & REPEATS) and text[i] == text[i - 1]
    if first & ALONE or flags & (SPACE | ALONE):
        return False
    if flags & WORD:
        return True
    after = flags_of(text[i + 1]) if i + 1 < len(text) else 0
    if not after & WORD or after & ALONE:
        return False
    return bool(flags & (JOINS_NUMBERS if after & NUMBER else JOINS_LETTERS))


def gopher_quality(document: Document, limits: Thresholds) -> Checks:
    """Rae et al. 2021, section A.1.1, Quality Filtering."""
    text, words, lines = document.text, document.words, document.lines
    said = [word for word in words if any(flags_of(c) & WORD for c in word)]
    weight = document.weight - (len(words) - len(said))
    yield "gopher.word_count", not limits.min_words <= weight <= limits.max_words
    length = sum(map(len, said)) / len(said)
    yield "gopher.word_length", not limits.min_word_length <= length <= limits.max_word_length
    yield "gopher.hash_ratio", text.count("#") / document.weight > limits.symbol_ratio
    ellipses = text.count("...") + text.count("…")
    yield "gopher.ellipsis_ratio", ellipses / document.weight > limits.symbol_ratio
    bullets = sum(bool(flags_of(line.lstrip()[0]) & ITEM) for line in lines)
    yield "gopher.bullet_lines", bullets / len(lines) > limits.bullet_lines
    dotted = sum(line.rstrip().endswith(("...", "…")) for line in lines)
    yield "gopher.ellipsis_lines", dotted / len(lines) > limits.ellipsis_lines
    lettered = sum(any(flags_of(c) & LETTER for c in word) for word in words)
    yield "gopher.alphabetic_words", lettered / len(words) < limits.letter_words
    known = set(words) & set(STOP_WORDS[document.unspaced])
    yield "gopher.stop_words", document.stop_words and len(known) < 2


def gopher_repetition(document: Document, limits: Thresholds) -> Checks:
    """Rae et al. 2021, section A.1.1, Repetition Removal, and table A1."""
    size, words, lines = len(document.text), document.words, document.lines
    repeated, characters = _repeated(document.paragraphs)
    allowed = limits.paragraph_fraction * len(document.paragraphs)
    yield "gopher.duplicate_paragraph_fraction", repeated > allowed
    allowed = limits.paragraph_characters * size
    yield "gopher.duplicate_paragraph_characters", characters > allowed
    repeated, characters = _repeated(lines)
    yield "gopher.duplicate_line_fraction", repeated > limits.line_fraction * len(lines)
    yield "gopher.duplicate_line_characters", characters > limits.line_characters * size
    for i, (width, share) in enumerate(zip(limits.top_sizes, limits.top_shares, strict=True)):
        yield REASONS[TOP + i], _top(words, width, limits.gap) > share * size
    duplicates = zip(limits.duplicate_sizes, limits.duplicate_shares, strict=True)
    for i, (width, share) in enumerate(duplicates):
        yield REASONS[DUPLICATE + i], _repeated_in_row(words, width) > share * size


def fineweb_quality(document: Document, limits: Thresholds) -> Checks:
    """Penedo et al. 2024, section 3.6, and the limit of newlines in their code."""
    lines, newlines = document.lines, document.text.count("\n")
    ended = sum(bool(flags_of(line.rstrip()[-1]) & (ENDS | CLOSES)) for line in lines)
    yield "fineweb.line_end_ratio", not lines or ended < limits.line_ends * len(lines)
    short = sum(len(line) <= limits.short_line for line in lines)
    yield "fineweb.short_line_ratio", short > limits.short_lines * len(lines)
    allowed = limits.fineweb_line_characters * (len(document.text) - newlines)
    yield "fineweb.duplicate_line_characters", _repeated(lines)[1] > allowed
    yield "fineweb.newline_ratio", newlines > limits.newlines * document.weight


def judge(document: Document, rules: Iterable[Rule]) -> int:
    """The index in REASONS of the first rule that the document breaks, or KEPT."""
    limits = UNSPACED if document.unspaced else SPACED
    for rule in rules:
        # A rule goes on only after a document has passed its first parts.
        for reason, broken in rule(document, limits):
            if broken:
                return REASONS.index(reason)
    return KEPT


def _repeated(items: Sequence[str]) -> tuple[int, int]:
    """How many items repeat an earlier one, and their characters."""
    seen: set[str] = set()
    again = [item for item in items if item in seen or seen.add(item)]  # type: ignore[func-returns-value]
    return len(again), sum(map(len, again))


def _top(words: Sequence[str], width: int, gap: int) -> int:
    """Characters in all occurrences of the most frequent n-gram of `width` words, if repeated."""
    sequences = (tuple(words[i : i + width]) for i in range(len(words) - width + 1))
    for sequence, count in Counter(sequences).most_common(1):
        return count * (sum(map(len, sequence)) + gap * (width - 1)) if count > 1 else 0
    return 0


def _repeated_in_row(words: Sequence[str], width: int) -> int:
    """Characters of n-grams that repeat an earlier one, without overlaps."""
    seen: set[Hashable] = set()
    characters = i = 0
    while i + width <= len(words):
        sequence = tuple(words[i : i + width])
        if sequence in seen:
            characters += sum(map(len, sequence))
            i += width
        else:
            seen.add(sequence)
            i += 1
    return characters
