"""The judgement of a night: two evaluations in, whether the candidate is to be champion out.

New and old held-out text are judged apart, for a model that learns what is new and forgets what is
old may look better or worse on a mixture of both.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from corpusmill.model.config import EvaluationResult
from corpusmill.model.evaluation.figures import Figure, Sums, figure_for
from corpusmill.storage.blocks import Blocks, read_blocks
from corpusmill.storage.config import read_json
from corpusmill.storage.errors import ModelError
from corpusmill.tasks.stages.evaluation import in_words
from corpusmill.tasks.stages.probes import ProbeComparison, compare_probes, said_of_probe
from corpusmill.tasks.stages.resampling import resampled_sums

Age = Literal["new", "old"]
FEW = 30  # blocks, below which an interval says little
RESAMPLES = 2_000
_PERCENTILES = (2.5, 97.5)


@dataclass(frozen=True)
class Beside:
    """Another figure of two models on the same text, which decides nothing; more is better.

    Attributes:
        figure: the name of it.
        candidate, champion, gain, low, high: as of a comparison.
    """

    figure: str
    candidate: float
    champion: float
    gain: float
    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """Two models on one part of the held-out text.

    Attributes:
        age: whether that text is new tonight, or was there before.
        source: of the text; None for all of it.
        candidate, champion: the figure of each.
        gain: how much better the candidate is, as a share of the champion's figure; below 0 it is
            worse. 0.02 is 2 % fewer bits, or 2 % more BLEU.
        low, high: its interval of 95 %, by a paired bootstrap over blocks nested in documents.
        blocks, documents, bytes: how much text that is.
        few: there are fewer than 30 blocks, so the gain itself decides.
        beside: other figures that the same text gives.
    """

    age: Age
    source: str | None
    candidate: float
    champion: float
    gain: float
    low: float
    high: float
    blocks: int
    documents: int
    bytes: int
    few: bool
    beside: tuple[Beside, ...]

    @property
    def least(self) -> float:
        """The gain that is shown."""
        return self.gain if self.few else self.low

    @property
    def most(self) -> float:
        """The gain that is not ruled out."""
        return self.gain if self.few else self.high


@dataclass(frozen=True)
class Judgement:
    """Whether a candidate is to be champion, and why.

    Attributes:
        verdict: promoted; harm: old text has lost more than is tolerated, new text has got
            worse, or a probe; unproven: neither that nor the gain is shown.
        reasons: for a person to read; the first one decides.
        figure: the name of what is compared.
        higher_is_better: of that figure; a gain above 0 is better in any case.
        tolerance: share of the champion's figure that old text may lose.
        comparisons: of all new text, of all old text, and where there are several, of each source
            of new text and each of old text; without those of which no text is held out.
        probes: that both were asked.
    """

    verdict: Literal["promoted", "harm", "unproven"]
    reasons: tuple[str, ...]
    figure: str
    higher_is_better: bool
    tolerance: float
    comparisons: tuple[Comparison, ...]
    probes: tuple[ProbeComparison, ...] = ()

    @property
    def promoted(self) -> bool:
        """Whether the candidate is to be champion."""
        return self.verdict == "promoted"

    def whole(self, age: Age) -> Comparison | None:
        """The comparison on all new or all old text; None if none is held out."""
        found = (each for each in self.comparisons if (each.age, each.source) == (age, None))
        return next(found, None)


def compare(
    candidate: Path,
    champion: Path,
    new: Collection[str],
    tolerance: float,
    *,
    asked: tuple[Path, Path] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Judgement:
    """Judges a candidate by the evaluations of both models on one corpus.

    It is promoted if new text as a whole is better, and neither old text as a whole nor a source of
    it is worse by more than the tolerance: by the lower ends of their intervals, or by the gains
    themselves where there are few blocks. A probe that falls beyond chance is harm.

    Args:
        candidate, champion: folders of evaluations, with the same precision.
        new: ids of the held-out documents that are new; all others are old.
        tolerance: share of the champion's figure, such as 0.005.
        asked: folders of evaluations with the probes of both; None where they are in the former.
        seed: of the resampling.

    Raises:
        ModelError: figures of two kinds, such as those of two tokenizers, or of other documents.
        ArtifactError: an evaluation has no blocks.
    """
    figure = _common_figure(candidate, champion)
    theirs, ours = read_blocks(champion), read_blocks(candidate)
    if not ours.same_text(theirs):
        raise ModelError(
            f"The evaluations {candidate} and {champion} are of other documents; expected the same "
            "corpus: evaluate both on it."
        )
    pair = _Pair(figure, ours, theirs, resamples, seed)
    comparisons = tuple(_comparisons(pair, new))
    verdict, reasons = _verdict(comparisons, figure, tolerance)
    probes = compare_probes(*(asked or (candidate, champion)))
    if fallen := tuple(said_of_probe(each) for each in probes if each.fell):
        # What decides comes first, and harm decides.
        reasons = (*reasons, *fallen) if verdict == "harm" else (*fallen, *reasons)
        verdict = "harm"
    return Judgement(
        verdict, reasons, figure.name, figure.higher_is_better, tolerance, comparisons, probes
    )


def table_of(judgement: Judgement) -> list[dict[str, Any]]:
    """The figures of a judgement, part by part of the held-out text."""
    return [row for each in judgement.comparisons for row in _rows(each)]


def _rows(comparison: Comparison) -> Iterator[dict[str, Any]]:
    """What decides, then what stands beside it."""
    of = comparison
    text = of.age if of.source is None else f"{of.age}: {of.source}"
    size = {"blocks": of.blocks, "documents": of.documents, "bytes": of.bytes, "few": of.few}
    for figure in (comparison, *comparison.beside):
        named = f"{text}, {in_words(figure.figure)}" if isinstance(figure, Beside) else text
        values = ("candidate", "champion", "gain", "low", "high")
        yield {"text": named} | {each: getattr(figure, each) for each in values} | size


def _common_figure(candidate: Path, champion: Path) -> Figure:
    ours, theirs = (
        read_json(EvaluationResult, each / "result.json") for each in (candidate, champion)
    )
    assert ours.precision == theirs.precision, "figures of two precisions are not compared"
    if ours.judged_by != theirs.judged_by:
        mine, its = (" ".join(each.judged_by).strip() for each in (ours, theirs))
        raise ModelError(
            f"The candidate is judged by {mine} and the champion by {its}; expected the same of "
            "both: they cannot be compared."
        )
    return figure_for(ours.decides)


@dataclass(frozen=True)
class _Pair:
    """The blocks of two models, row by row of the same text."""

    figure: Figure
    candidate: Blocks
    champion: Blocks
    resamples: int
    seed: int

    def compared(self, age: Age, source: str | None, rows: np.ndarray) -> Comparison:
        """Both on these blocks; int64 (blocks,)."""
        documents = _numbered([self.candidate.documents[row] for row in rows.tolist()])
        size = self.candidate.bytes[rows]
        ours, theirs = (
            np.column_stack([each.statistics[rows], each.predictions[rows], size])
            for each in (self.candidate, self.champion)
        )
        # The difference is drawn, so that what is the same stays so whatever is rounded.
        values = np.concatenate([theirs, ours - theirs], axis=1)
        drawn = resampled_sums(values, documents, self.resamples, self.seed)
        (candidate, champion), (candidates, champions) = (
            _sums(each) for each in (values.sum(0)[None], drawn)
        )

        def measured(of: Callable[[Sums], np.ndarray], higher: bool) -> dict[str, float]:
            own, its = of(candidate), of(champion)
            gains = _gain(of(candidates), of(champions), higher)
            low, high = np.percentile(gains, _PERCENTILES).tolist()
            gain = float(_gain(own, its, higher)[0])
            values = {"candidate": float(own[0]), "champion": float(its[0])}
            return {**values, "gain": gain, "low": low, "high": high}

        return Comparison(
            age=age,
            source=source,
            **measured(self.figure.of, self.figure.higher_is_better),
            blocks=len(rows),
            documents=int(documents[-1]) + 1,
            bytes=int(size.sum()),
            few=len(rows) < FEW,
            beside=tuple(
                Beside(name, **measured(of, True)) for name, of in self.figure.beside.items()
            ),
        )


def _gain(ours: np.ndarray, theirs: np.ndarray, higher: bool) -> np.ndarray:
    """The whole of it, 1 or -1, where the champion's figure is 0."""
    better = ours - theirs if higher else theirs - ours
    gain: np.ndarray = np.divide(better, theirs, where=theirs > 0, out=np.sign(better))
    return gain


def _sums(values: np.ndarray) -> tuple[Sums, Sums]:
    """Of the candidate and of the champion."""
    champion, difference = np.split(values, 2, axis=1)
    ours, theirs = (
        Sums(each[:, :-2], predictions=each[:, -2], bytes=each[:, -1])
        for each in (champion + difference, champion)
    )
    return ours, theirs


def _numbered(documents: list[str]) -> np.ndarray:
    """Numbers from 0 of documents whose blocks lie next to each other."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(each, len(numbers)) for each in documents], np.int64)


def _comparisons(pair: _Pair, new: Collection[str]) -> Iterator[Comparison]:
    wanted, blocks = frozenset(new), pair.candidate
    is_new, sources = (
        np.array([each in wanted for each in blocks.documents]),
        np.array(blocks.sources),
    )
    ages: dict[Age, np.ndarray] = {"new": is_new, "old": ~is_new}
    for age, those in ages.items():
        if those.any():
            yield pair.compared(age, None, np.flatnonzero(those))
    for age, those in ages.items():
        names = sorted(set(sources[those].tolist()))
        # One alone is all there is of this age.
        for source in names if len(names) > 1 else ():
            yield pair.compared(age, source, np.flatnonzero(those & (sources == source)))


def _verdict(
    comparisons: tuple[Comparison, ...], figure: Figure, tolerance: float
) -> tuple[Literal["promoted", "harm", "unproven"], tuple[str, ...]]:
    """The verdict and its reasons, that which decides first."""
    new = next((each for each in comparisons if (each.age, each.source) == ("new", None)), None)
    old = [each for each in comparisons if each.age == "old"]
    doubted = [_said(each, figure, tolerance) for each in old if each.least < -tolerance]
    # Of a source with little text the mean may lie beyond by chance.
    harmed = [
        _said(each, figure, tolerance) for each in old if each.gain < -tolerance and each.high < 0
    ]
    if new is not None and new.gain < 0 and new.high < 0:
        harmed.insert(0, _said(new, figure, tolerance))
    if harmed:
        return "harm", tuple(dict.fromkeys((*harmed, *doubted)))
    if new is None:
        return "unproven", ("no new text is held out, so nothing shows that it was learned",)
    if not old:
        return "unproven", ("no old text is held out, so nothing shows that it was kept",)
    said = tuple(_said(each, figure, tolerance) for each in (new, *old[:1]))
    if doubted:
        return "unproven", tuple(dict.fromkeys((*doubted, *said)))
    return ("promoted" if new.least > 0 else "unproven"), said


def _said(of: Comparison, figure: Figure, tolerance: float) -> str:
    """A comparison as a sentence."""
    text = f"{of.age} text" + (f" of {of.source}" if of.source else "")
    figures = f"{in_words(figure.name)} {of.candidate:.4g} against {of.champion:.4g}"
    few = f"few: {of.blocks} blocks, so the mean decides" if of.few else f"{of.blocks:,} blocks"
    interval = f"95 % between {of.low:+.2%} and {of.high:+.2%}"
    if of.age == "old":
        if of.least >= -tolerance:
            what = f"loses no more than the {tolerance:.2%} that is tolerated"
        elif of.gain < -tolerance:
            what = f"loses more than the {tolerance:.2%} that is tolerated"
        else:
            what = f"may lose more than the {tolerance:.2%} that is tolerated"
    elif of.least > 0:
        what = "is better"
    else:
        what = "is worse" if of.most < 0 else "is not shown to be better"
    return f"{text} {what}: {of.gain:+.2%} ({interval}; {few}; {figures})"
