"""Runs a step of one's own and checks its answers: it may drop or edit documents, not add any."""

import re
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from corpusmill.storage.corpus.pairs import SEPARATOR
from corpusmill.storage.errors import CorpusError
from corpusmill.storage.extensions import OWN_ERRORS, in_short
from corpusmill.tasks.ingestion.batches import DocumentBatch
from corpusmill.tasks.ingestion.own import OwnStep, load_step
from corpusmill.tasks.ingestion.stats import Stats

_REASON = re.compile(r"\w[\w. -]{0,59}")
_UNSOUND = re.compile("[\ud800-\udfff\0\r]")


class BoundaryError(Exception):
    """What a step of one's own returned is wrong: how, as the middle of a sentence."""


@dataclass(frozen=True)
class OwnCleaning:
    """Asks a step of one's own about each document, and counts what it drops and edits.

    Attributes:
        name: `package.module:Name` of the step; reasons and edits are counted under `Name.`.
    """

    name: str
    _step: OwnStep = field(repr=False)

    def __call__(self, batch: DocumentBatch, stats: Stats) -> DocumentBatch:
        said = self.name.rpartition(":")[2]
        texts = batch.texts.to_pylist()
        answers = []
        for row, (text, language) in enumerate(
            zip(texts, batch.languages.to_pylist(), strict=True)
        ):
            try:
                answers.append(_checked(text, self._step(text, language)))
            except BoundaryError as error:
                raise self._refusal(batch, row, str(error)) from None
            except OWN_ERRORS as error:
                raise self._refusal(batch, row, f"raised {in_short(error)}") from error
        reasons = np.array([reason for _, reason in answers], object)
        kept = [text for text, reason in answers if not reason]
        edits = sum(
            answer[0] not in (text, None) for text, answer in zip(texts, answers, strict=True)
        )
        stats.edit(f"{said}.edited", edits)
        for reason in dict.fromkeys(filter(None, reasons.tolist())):
            out = reasons == reason
            # Dropped documents are counted and sampled as they came, the others as they are now.
            batch, reasons = stats.drop(batch, out, f"{said}.{reason}"), reasons[~out]
        return batch.with_texts(pa.array(kept, pa.large_string())) if edits else batch

    def _refusal(self, batch: DocumentBatch, row: int, finding: str) -> CorpusError:
        return CorpusError(
            f"{self.name} {finding} at {batch.place(row)} of {batch.file} in {batch.source}; "
            "expected the text to keep, or (None, reason) to drop it; mend it, or take it out of "
            "corpus.cleaning.own_steps."
        )


def own_cleaning(name: str) -> OwnCleaning:
    """The step that `package.module:Name` names.

    Raises:
        ConfigError: not found, or not a step.
    """
    return OwnCleaning(name, load_step(name))


def _checked(text: str, answer: object) -> tuple[str | None, str]:
    """(text, "") to keep a document, or (None, reason) to drop it.

    Raises:
        BoundaryError: the answer is not what `OwnStep` allows.
    """
    if isinstance(answer, str):
        if found := _UNSOUND.search(answer):
            raise BoundaryError(f"returned a text with {found.group()!a}")
        if text.count(SEPARATOR) == 1 != answer.count(SEPARATOR):
            raise BoundaryError("changed the number of U+2029, which parts the sides of a pair,")
        return (answer, "") if answer.strip() else (None, "empty")
    if isinstance(answer, tuple) and len(answer) == 2 and answer[0] is None:
        if isinstance(answer[1], str) and _REASON.fullmatch(answer[1]):
            return None, answer[1]
        raise BoundaryError(
            f"returned {answer[1]!a:.40} as a reason, which is not a word or a few,"
        )
    raise BoundaryError(f"returned a {type(answer).__name__}")
