"""Answers the rows of a file, as labelled examples are read, through a process with the model."""

import csv
import json
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from corpusmill.model.process import INPUT_ERROR
from corpusmill.storage.config import parse
from corpusmill.storage.errors import ConfigError, CorpusError, InputError, ProcessError
from corpusmill.storage.layout import Layout
from corpusmill.tasks.ingestion.batches import Flaw
from corpusmill.tasks.labelled.config import ExamplesConfig
from corpusmill.tasks.labelled.files import find_files
from corpusmill.tasks.labelled.reading import Row, names_in, read_rows
from corpusmill.tasks.launch import conversing, stream_command

# Rows that are answered at once; what memory holds.
_ROWS = 4096
# What is asked, texts and the second ones of pairs, and what is answered.
Ask = Callable[[Sequence[str], Sequence[str] | None], list[dict[str, Any]]]
Write = Callable[[Sequence[Mapping[str, Any]]], None]


@dataclass
class Done:
    """Attributes:
    answered: rows.
    flaws: rows that cannot be read, which are left out.
    first_flaw: where the first of them is and what is wrong, in words.
    shares: of each label, the mean of its probabilities over the rows; as these are calibrated,
        that is nearer to how many have it than a count of those of which it is said.
    """

    answered: int = 0
    flaws: int = 0
    first_flaw: str = ""
    shares: dict[str, float] = field(default_factory=dict)

    def add(self, answers: Sequence[Mapping[str, Any]]) -> None:
        """Counts the answers of some rows."""
        before, self.answered = self.answered, self.answered + len(answers)
        for name in answers[0].get("scores", ()):
            here = sum(each["scores"][name] for each in answers)
            self.shares[name] = (self.shares.get(name, 0.0) * before + here) / self.answered


def answer_file(
    layout: Layout,
    model: Path,
    file: Path,
    out: Path,
    *,
    text: str,
    text_pair: str | None,
    labels: Collection[str],
    shown: Callable[[int], None],
) -> Done:
    """Writes what a model says of each row of a file, in order, with the texts.

    Args:
        model: folder of a network that answers with labels.
        out: .csv, .tsv, .jsonl or .parquet; it is there once all is written.
        labels: that it has to know.
        shown: is told bytes of the file that are done.

    Raises:
        ConfigError: `out` has another suffix, or the model does not know one of the labels.
        CorpusError: the file cannot be read, or has no such column.
        InputError: the folder holds no such model.
    """
    if out.suffix not in _WRITERS:
        raise ConfigError(f"{out} ends in {out.suffix!r}; expected one of {', '.join(_WRITERS)}.")
    given = {"train": {"-": str(file.absolute())}, "text": text, "text_pair": text_pair}
    config, done = parse(ExamplesConfig, given), Done()
    (found,) = find_files(config, layout.downloads)
    _check_columns(file, names_in(found), [name for name in (text, text_pair) if name])
    unfinished = out.with_name(f".{out.name}.unfinished")
    try:
        with asked(model) as (known, ask), _WRITERS[out.suffix](unfinished) as write:
            _check_labels(model, known, labels)
            for rows in _in_pieces(read_rows(found, config), done):
                pairs = [row.pair or "" for row in rows] if text_pair else None
                answers = ask([row.text for row in rows], pairs)
                write([_joined(*each) for each in zip(rows, answers, strict=True)])
                done.add(answers)
                shown(sum(len(row.text.encode()) for row in rows))
        unfinished.replace(out)
    finally:
        unfinished.unlink(missing_ok=True)
    return done


def _check_columns(file: Path, names: Sequence[str], wanted: Sequence[str]) -> None:
    for column in wanted:
        if names and column not in names and not column.isdecimal():
            raise CorpusError(
                f"{file} has no column {column!r}; expected one of {', '.join(map(repr, names))}: "
                "name it with --text or --text-pair."
            )


def _check_labels(model: Path, known: Sequence[str], wanted: Collection[str]) -> None:
    if unknown := [name for name in wanted if name not in known]:
        expected = f"one of {', '.join(map(repr, known))}" if known else "none: it tells numbers"
        raise ConfigError(f"{model} knows no label {unknown[0]!r}; expected {expected}.")


def _in_pieces(rows: Iterator[Row | Flaw], done: Done) -> Iterator[list[Row]]:
    piece: list[Row] = []
    for row in rows:
        if isinstance(row, Flaw):
            done.flaws += row.documents
            done.first_flaw = done.first_flaw or f"{row.place}: {row.finding}"
            continue
        piece.append(row)
        if len(piece) == _ROWS:
            yield piece
            piece = []
    if piece:
        yield piece


def _joined(row: Row, answer: Mapping[str, Any]) -> dict[str, Any]:
    pair = {} if row.pair is None else {"text_pair": row.pair}
    return {"text": row.text, **pair, **answer}


@contextmanager
def asked(model: Path) -> Iterator[tuple[Sequence[str], Ask]]:
    """The labels of the model in this folder, and a process that answers with it, which ends with
    the block.

    Raises:
        InputError: the folder holds no such model.
        ProcessError: it ended without an answer.
    """
    with tempfile.TemporaryFile() as errors, conversing(stream_command(model), errors) as process:
        assert process.stdin and process.stdout

        def heard() -> Any:
            line = process.stdout.readline() if process.stdout else b""
            if line:
                return json.loads(line)
            process.wait()
            errors.seek(0)
            said = errors.read().decode("utf-8", "replace").strip().split("\n")[-1]
            raise (InputError if process.returncode == INPUT_ERROR else ProcessError)(said)

        def ask(texts: Sequence[str], pairs: Sequence[str] | None) -> list[dict[str, Any]]:
            assert process.stdin
            asked = {"texts": texts, "pairs": pairs}
            process.stdin.write(json.dumps(asked).encode() + b"\n")
            process.stdin.flush()
            found: list[dict[str, Any]] = heard()
            return found

        yield heard()["labels"], ask


@contextmanager
def _json_lines(path: Path) -> Iterator[Write]:
    with path.open("w", encoding="utf-8") as file:

        def write(rows: Sequence[Mapping[str, Any]]) -> None:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)

        yield write


@contextmanager
def _delimited(delimiter: str, path: Path) -> Iterator[Write]:
    with path.open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file, delimiter=delimiter)
        begun = False

        def write(rows: Sequence[Mapping[str, Any]]) -> None:
            nonlocal begun
            flat = [_flat(row) for row in rows]
            if not begun:
                out.writerow(flat[0])
                begun = True
            out.writerows(row.values() for row in flat)

        yield write


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """A column for the score of each label; labels, where there may be several, in one."""
    found = {name: value for name, value in row.items() if name != "scores"}
    if "labels" in found:
        found["labels"] = ",".join(found["labels"])
    return found | {f"score of {name}": value for name, value in row.get("scores", {}).items()}


@contextmanager
def _parquet(path: Path) -> Iterator[Write]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with ExitStack() as stack:
        file: pq.ParquetWriter | None = None

        def write(rows: Sequence[Mapping[str, Any]]) -> None:
            nonlocal file
            table = pa.Table.from_pylist(list(rows), file.schema if file else None)
            file = file or stack.enter_context(pq.ParquetWriter(str(path), table.schema))
            file.write_table(table)

        yield write


_WRITERS: Mapping[str, Callable[[Path], AbstractContextManager[Write]]] = {
    ".jsonl": _json_lines,
    ".csv": partial(_delimited, ","),
    ".tsv": partial(_delimited, "\t"),
    ".parquet": _parquet,
}
