"""Which labelled examples a task is learned from and judged by, and how they are read."""

import re
from collections.abc import Collection, Iterator
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from corpusmill.storage.config import Config
from corpusmill.storage.examples.schema import SIDES, Side, TaskKind
from corpusmill.tasks.ingestion.config import Encoding, TextUnit, absolute

NamedFiles = str | tuple[str, ...]
Files = NamedFiles | dict[str, NamedFiles]


def known_pattern(pattern: str) -> str:
    """Returns `pattern` if it is a regular expression with a named group.

    Raises:
        ValueError: it is not.
    """
    try:
        if re.compile(pattern).groupindex:
            return pattern
        error = "it names no group"
    except re.error as why:
        error = str(why)
    raise ValueError(
        f"{pattern!r} cannot be used ({error}); expected a regular expression whose named groups "
        r"are the columns, such as (?P<label>\w+) (?P<text>.*)"
    )


def absolute_files(files: Files) -> Files:
    """Returns `files` if it names at least one and all by absolute paths.

    Raises:
        ValueError: it names none, or one by a relative path.
    """
    addresses = [address for _, address in entries_of(files)]
    if not addresses or not all(addresses):
        raise ValueError(f"{files!r} leads to no file; expected at least one absolute path")
    for address in addresses:
        absolute(address)
    return files


def entries_of(files: Files) -> Iterator[tuple[str | None, str]]:
    """Each path, glob or folder, and the label of all its examples where that is given."""
    if isinstance(files, dict):
        for label, named in files.items():
            yield from ((label, address) for _, address in entries_of(named))
    else:
        yield from ((None, address) for address in ([files] if isinstance(files, str) else files))


CheckedFiles = Annotated[Files, AfterValidator(absolute_files)]
Pattern = Annotated[str, AfterValidator(known_pattern)]


class ExamplesConfig(Config):
    """Labelled examples: where they lie, which columns hold what, how they are parted in sides.

    Files with columns are .csv, .tsv, .jsonl, .json, .parquet and .arrow, plain or compressed, and
    a .txt that is named by itself, whose columns tabs part. Of other files, such as the .txt of a
    folder, the label is the name of the folder they lie in.

    Attributes:
        train, validation, test: absolute paths, globs or folders; or such for each label, as
            {"positive": "/data/good.txt", "negative": "/data/bad.txt"}. Where validation or test
            is not given, a fraction of `train` is cut off by hash, copies on one side.
        text, text_pair, label: names of columns (`outer.inner` of a nested object), or their
            numbers, from 0, where the first line names none.
        kind: whether an example has one label, a number, or several labels (a list, or labels
            parted by commas).
        header: whether the first line of a .csv or .tsv names its columns; where it is not given,
            it does unless the columns are given by number.
        quoted: whether fields of .csv and .tsv may stand in quotation marks; where it is not given,
            in .csv they may, and in .tsv quotation marks are text.
        pattern: a regular expression for each line of a .txt, whose named groups are its columns.
        encoding: of text files; `auto` detects it.
        text_unit: what one text of a .txt without columns is.
        labels: other names for labels, as {"1": "positive"}; the others stay as they are.
        validation_fraction, test_fraction: the expected shares that are cut off.
        similarity: Jaccard similarity of runs of five characters from which texts are near copies.
        on_overlap: whether examples of training of which there are copies in validation or test
            are dropped (and of validation, in test), or those in test, or the files are refused.
        limit: train on no more examples than so many, chosen by hash.
    """

    train: CheckedFiles
    validation: CheckedFiles | None = None
    test: CheckedFiles | None = None
    text: str = Field(default="text", min_length=1)
    text_pair: str | None = Field(default=None, min_length=1)
    label: str = Field(default="label", min_length=1)
    kind: TaskKind = "classification"
    header: bool | None = None
    quoted: bool | None = None
    pattern: Pattern | None = None
    encoding: Encoding = "auto"
    text_unit: TextUnit = "file"
    labels: dict[str, str] | None = None
    validation_fraction: float = Field(default=0.1, ge=0, lt=1)
    test_fraction: float = Field(default=0.1, ge=0, lt=1)
    similarity: float = Field(default=0.8, ge=0.25, le=1)
    on_overlap: Literal["drop_training", "drop_test", "refuse"] = "drop_training"
    limit: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _fields_agree(self) -> Self:
        columns = [self.text, self.label, *filter(None, [self.text_pair])]
        if len(set(columns)) < len(columns):
            raise ValueError(f"found the columns {columns}, expected each to be another")
        missing = [name for name in self._matched() if name not in self._groups()]
        if self.pattern and missing:
            raise ValueError(
                f"{self.pattern!r} has no group {missing[0]!r}; expected one for each column that "
                "is read"
            )
        if self.validation_fraction + self.test_fraction >= 1:
            raise ValueError(
                f"validation_fraction {self.validation_fraction} and test_fraction "
                f"{self.test_fraction} leave nothing to train on; expected less than 1 together"
            )
        return self

    def _groups(self) -> Collection[str]:
        return re.compile(self.pattern or "").groupindex

    def _matched(self) -> list[str]:
        """The columns that a pattern must have a group for."""
        given = all(isinstance(self.files_of(side) or {}, dict) for side in SIDES)
        return [name for name in self.columns if not (given and name == self.label)]

    def files_of(self, side: Side) -> Files | None:
        """What is named for a side."""
        files: Files | None = getattr(self, side)
        return files

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are read."""
        return (self.text, *filter(None, [self.text_pair]), self.label)
