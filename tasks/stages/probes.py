"""Two models on the same items of probes: who fell, by more than chance."""

from dataclasses import dataclass
from pathlib import Path

from corpusmill.model.config import EvaluationResult
from corpusmill.model.evaluation.intervals import mcnemar, paired
from corpusmill.storage.config import read_json
from corpusmill.storage.errors import ModelError
from corpusmill.storage.probes import read_answers

_LEVEL = 0.05


@dataclass(frozen=True)
class ProbeComparison:
    """Two models on the same items of a probe.

    Attributes:
        candidate, champion: the accuracy of each.
        gain: how many more items the candidate has right, as a share of all items.
        low, high: its interval, of 95 % for all probes of a night together (Newcombe 1998).
        won, lost: items that the candidate alone has right, and the champion alone.
        p: of the exact test of McNemar (1947), times the number of probes (Bonferroni).
        fell: whether the candidate is worse and p is below 5 %.
    """

    name: str
    candidate: float
    champion: float
    gain: float
    low: float
    high: float
    items: int
    won: int
    lost: int
    p: float
    fell: bool


def compare_probes(candidate: Path, champion: Path) -> tuple[ProbeComparison, ...]:
    """Both models on the probes that both were asked, item by item.

    Tests and intervals are of all of them together (Bonferroni): of nights that change nothing, one
    in forty at most has a probe that falls, however many probes there are.

    Args:
        candidate, champion: folders of evaluations.

    Raises:
        ModelError: they were asked other items.
        ArtifactError: their answers are missing.
    """
    asked = [
        {each.name for each in read_json(EvaluationResult, folder / "result.json").probes}
        for folder in (candidate, champion)
    ]
    common = asked[0] & asked[1]
    if not common:
        return ()
    ours, theirs = (read_answers(each) for each in (candidate, champion))
    found = []
    for name in ours:
        if name not in common:
            continue
        if ours[name].items != theirs[name].items:
            raise ModelError(
                f"The evaluations {candidate} and {champion} asked other items of the probe "
                f"{name}; expected the same: evaluate both with the same files."
            )
        mine, its = ours[name].right, theirs[name].right
        won, lost, items = int((mine & ~its).sum()), int((its & ~mine).sum()), len(mine)
        low, high = paired(won, lost, int((mine & its).sum()), items, _LEVEL / len(common))
        p = min(1.0, len(common) * mcnemar(won, lost))
        found.append(
            ProbeComparison(
                name=name,
                candidate=float(mine.mean()),
                champion=float(its.mean()),
                gain=(won - lost) / items,
                low=low,
                high=high,
                items=items,
                won=won,
                lost=lost,
                p=p,
                fell=won < lost and p < _LEVEL,
            )
        )
    return tuple(found)


def said_of_probe(of: ProbeComparison) -> str:
    """A comparison as a sentence."""
    if of.fell:
        what = "falls beyond chance"
    else:
        rose = of.won > of.lost and of.p < _LEVEL
        what = "rises beyond chance" if rose else "does not change beyond chance"
    return (
        f"probe {of.name} {what}: {of.gain:+.1%} of {of.items} items (95 % between {of.low:+.1%} "
        f"and {of.high:+.1%}; {of.won} won, {of.lost} lost, p {of.p:.2g}; {of.candidate:.1%} "
        f"against {of.champion:.1%})"
    )
