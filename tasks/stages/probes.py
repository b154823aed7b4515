"""Two models on the same items of probes: who fell, by more than chance."""

from dataclasses import dataclass
from pathlib import Path

from corpusmill.model.config import EvaluationResult
from corpusmill.model.evaluation.intervals import paired
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
        low, high: its interval, of 95 % for all probes of a night together.
        won, lost: items that the candidate alone has right, and the champion alone.
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


def compare_probes(candidate: Path, champion: Path) -> tuple[ProbeComparison, ...]:
    """Both models on the probes that both were asked, item by item.

    The intervals hold together for all of them (Bonferroni): of nights that change nothing, one in
    forty at most has a probe that falls below its own, however many probes there are.

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
        low, high = paired(won, lost, items, _LEVEL / len(common))
        gain = (won - lost) / items
        found.append(
            ProbeComparison(
                name=name,
                candidate=float(mine.mean()),
                champion=float(its.mean()),
                gain=gain,
                low=low,
                high=high,
                items=items,
                won=won,
                lost=lost,
            )
        )
    return tuple(found)


def said_of_probe(of: ProbeComparison) -> str:
    """A comparison as a sentence."""
    if of.high < 0:
        what = "falls by more than its interval"
    else:
        what = "rises by more than its interval" if of.low > 0 else "does not change beyond chance"
    return (
        f"probe {of.name} {what}: {of.gain:+.1%} of {of.items} items (95 % between {of.low:+.1%} "
        f"and {of.high:+.1%}; {of.won} won, {of.lost} lost; {of.candidate:.1%} against "
        f"{of.champion:.1%})"
    )
