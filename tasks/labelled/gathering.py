"""All examples of the files, those aside that cannot be used."""

import difflib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from corpusmill.storage.corpus.documents import document_id
from corpusmill.storage.errors import CorpusError
from corpusmill.storage.examples.schema import SIDES, Side
from corpusmill.tasks.ingestion.batches import Flaw
from corpusmill.tasks.ingestion.readers.flaws import name_some
from corpusmill.tasks.labelled.config import ExamplesConfig
from corpusmill.tasks.labelled.files import LabelledFile
from corpusmill.tasks.labelled.labels import Label, NoNumberError, label_of
from corpusmill.tasks.labelled.reading import Row, names_in, read_rows

# So much of a file may be unreadable, as of a corpus.
_MOST_UNREAD = 0.1


@dataclass
class Gathered:
    """Examples with a text and a label, in the order of the files; all lists are of one length.

    Attributes:
        sides: whose files they come from.
        ids: digests of text and pair.
        pairs: None where an example is one text.
        dropped: of each side, how many were left out by reason.
    """

    pairs: list[str] | None
    sides: list[Side] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    dropped: dict[Side, Counter[str]] = field(
        default_factory=lambda: {side: Counter() for side in SIDES}
    )

    def add(self, side: Side, row: Row, label: Label) -> None:
        """Adds an example that can be used."""
        if self.pairs is not None:
            self.pairs.append(row.pair or "")
        self.sides.append(side)
        self.ids.append(example_id(row.text, row.pair))
        self.texts.append(row.text)
        self.labels.append(label)
        self.places.append(row.place)


def example_id(text: str, pair: str | None) -> str:
    """The id of an example, whatever file it is in: of one text, that of the same document."""
    # No cleaned text has a NUL.
    return document_id((text if pair is None else f"{text}\0{pair}").encode())


def gather(files: Sequence[LabelledFile], config: ExamplesConfig) -> Gathered:
    """Reads all files.

    Raises:
        CorpusError: a file that cannot be read, or more than a tenth of it; a column that is not
            there, or empty in all of a file.
    """
    gathered = Gathered(pairs=None if config.text_pair is None else [])
    for file in files:
        _gather(file, config, gathered)
    return gathered


def _gather(file: LabelledFile, config: ExamplesConfig, gathered: Gathered) -> None:
    dropped: Counter[str] = Counter()
    flaws: list[Flaw] = []
    odd: list[str] = []
    filled: Counter[str] = Counter()
    rows = 0
    for row in read_rows(file, config):
        if isinstance(row, Flaw):
            flaws.append(row)
            dropped[row.reason] += row.documents
            continue
        rows += 1
        filled.update(_filled(row, config))
        try:
            label = label_of(row.label, config.kind, config.labels or {})
        except NoNumberError as error:
            odd.append(f"{row.place}: {error}")
            dropped["no_number"] += 1
            continue
        reason = _unusable(row, label)
        if reason or label is None:
            dropped[reason] += 1
        else:
            gathered.add(file.side, row, label)
    _check_read(file, flaws, rows)
    for column in config.columns:
        if rows and not filled[column]:
            raise _empty_column(file, column, rows)
    if len(odd) == filled[config.label] > 0:
        raise CorpusError(
            f"None of the {len(odd):,} labels in the column {config.label!r} of {file.file.name} "
            f"is a number ({odd[0]}); expected numbers for task.kind=regression: name another "
            "column in task.label, or set task.kind=classification."
        )
    gathered.dropped[file.side].update(dropped)


def _filled(row: Row, config: ExamplesConfig) -> list[str]:
    """The columns in which a row has something."""
    found = {config.text: row.text, config.label: row.label is not None}
    if config.text_pair:
        found[config.text_pair] = row.pair or ""
    return [name for name, value in found.items() if value]


def _unusable(row: Row, label: Label | None) -> str:
    if not row.text or row.pair == "":
        return "empty"
    return "unlabelled" if label is None else ""


def _check_read(file: LabelledFile, flaws: Sequence[Flaw], rows: int) -> None:
    lost = sum(flaw.documents for flaw in flaws)
    if lost > _MOST_UNREAD * (rows + lost):
        first = flaws[0]
        raise CorpusError(
            f"{lost:,} of {rows + lost:,} records of {file.file.name} cannot be read, the first at "
            f"{first.place}: {first.finding}; expected a tenth at most: {first.remedy}."
        )


def _empty_column(file: LabelledFile, column: str, rows: int) -> CorpusError:
    names = names_in(file)
    if column in names or not names:
        return CorpusError(
            f"The column {column!r} of {file.file.name} is empty in all of its {rows:,} records; "
            "expected something in it: fill it in, or name another column."
        )
    near = difflib.get_close_matches(column, names, n=1)
    meant = f"did you mean {near[0]!r}?" if near else "name one of these,"
    numbers = (
        " or, where the first line names no columns, give them by number, from '0' on."
        if file.file.format.kind in {"csv", "tsv", "zip"}
        else " or mend the file."
    )
    return CorpusError(
        f"{file.file.name} has no column {column!r}, only {name_some(names)}; {meant}{numbers}"
    )
