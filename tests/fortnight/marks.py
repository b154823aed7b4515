"""The marks of a fortnight: each with its value, and whether it was reached."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.fortnight.nights import Record

_GAIN, _LOSS = 0.10, 0.005
_TOKENS = 0.02
_EMPTY_SECONDS = _NIGHT_SECONDS = 20.0
_OF_TEXT, _OF_WEIGHTS = 1.2, 2


@dataclass(frozen=True)
class Mark:
    """One mark.

    Attributes:
        asks: what for.
        value: that was found.
        reached: None where it is only told.
    """

    asks: str
    value: str
    reached: bool | None

    def line(self) -> str:
        """For a person to read."""
        says = {True: "ok", False: "SHORT", None: ""}[self.reached]
        return f"{self.asks:52} {self.value:60} {says}".rstrip()


def quality_marks(
    comparisons: Sequence[Mapping[str, Any]], tokens: int, at_once: int
) -> Iterator[Mark]:
    """How well new text was learned, and old text kept.

    Args:
        comparisons: of base, control, at once and champion.
        tokens: that the champion's line was trained on.
        at_once: that the model trained once was.
    """
    found = {(each["model"], each["against"], each["text"]): each for each in comparisons}
    for other in ("base", "control"):
        row = found["champion", other, "new"]
        yield Mark(f"new text at least 10 % below the {other}", _gain(row), row["gain"] >= _GAIN)
    row = found["champion", "base", "old"]
    yield Mark("old text at most 0.5 % above the base", _gain(row), row["gain"] >= -_LOSS)
    for text in ("new", "old"):
        yield Mark(f"{text} text, bits per byte", _bits(comparisons, text), None)
        yield Mark(
            f"{text} text, the control against the base",
            _gain(found["control", "base", text]),
            None,
        )
        yield Mark(
            f"{text} text, the champion against the one at once",
            _gain(found["champion", "at once", text]),
            None,
        )
    share = at_once / tokens - 1
    yield Mark(
        "tokens of the one at once within 2 %",
        f"{at_once:,} for {tokens:,}: {share:+.2%}",
        abs(share) <= _TOKENS,
    )


def night_marks(records: Sequence[Record]) -> Iterator[Mark]:
    """What nights did with what they were given."""
    of = {
        kind: [each for each in records if each.kind == kind]
        for kind in ("speeches", "empty", "edited", "rollback", "poisoned", "chinese")
    }
    learned = sum(each.promoted for each in of["speeches"])
    yield Mark("nights promoted", f"{learned} of {len(of['speeches'])}", None)
    for each in of["poisoned"]:
        refused = each.state in ("Refused", "Quarantined") and each.champion == each.before
        yield Mark("a night of poison is refused", _said(each), refused)
        yield _poison_set_aside(records[records.index(each) + 1 :])
    for each in of["chinese"]:
        yield _chinese(each)
    worst = max(of["empty"], key=lambda each: each.seconds)
    skipped = all(each.state == "Skipped" for each in of["empty"])
    yield Mark(
        "an empty night is skipped in under 20 s",
        f"{worst.seconds:.1f} s, {worst.state}",
        skipped and worst.seconds < _EMPTY_SECONDS,
    )
    for each in of["edited"]:
        skipped = each.state == "Skipped" and not each.version
        yield Mark("an edited file is not learned twice", _said(each), skipped)
    for each in of["rollback"]:
        yield _rollback(each, records[records.index(each) + 1 :])
    worst = max(records, key=lambda each: each.seconds_besides)
    yield Mark(
        "a night at most 20 s outside training and judging",
        f"{worst.seconds_besides:.1f} s, {worst.label}",
        worst.seconds_besides <= _NIGHT_SECONDS,
    )


def growth_mark(records: Sequence[Record], weights: int) -> Mark:
    """What a night left on disk, beside what its text and the weights of a model weigh.

    Args:
        weights: bytes of them.
    """
    allowed = {each.label: _OF_TEXT * each.new_bytes + _OF_WEIGHTS * weights for each in records}
    worst = max(records, key=lambda each: sum(each.growth.values()) / allowed[each.label])
    grown = sum(worst.growth.values())
    value = f"{grown / 1e6:.1f} MB of {allowed[worst.label] / 1e6:.1f}, {worst.label}"
    return Mark("disk: 1.2 x new text and 2 x weights", value, grown <= allowed[worst.label])


def _bits(comparisons: Sequence[Mapping[str, Any]], text: str) -> str:
    rows = [each for each in comparisons if each["text"] == text]
    bits = {each["against"]: each["other_bits_per_byte"] for each in rows}
    bits |= {each["model"]: each["bits_per_byte"] for each in rows}
    return ", ".join(f"{model} {value:.4f}" for model, value in bits.items())


def _gain(row: Mapping[str, Any]) -> str:
    values = (f"{-row[name]:+.2%}" for name in ("gain", "high", "low"))
    change, low, high = values
    return (
        f"{change} ({low} to {high}), {row['bits_per_byte']:.4f} for "
        f"{row['other_bits_per_byte']:.4f}"
    )


def _said(record: Record) -> str:
    return f"{record.state}: {record.message}"[:120]


def _poison_set_aside(later: Sequence[Record]) -> Mark:
    """Of the night that learned the good text which had come with other poison.

    That may be the night after: a single good document waits for more.
    """
    asks = "poison is set aside, good text learned"
    learned = (each for each in later if each.kind == "speeches" and each.version)
    night = next(learned, None)
    if night is None:
        return Mark(asks, "no later night has learned", False)
    value = f"{dict(night.waiting)}, {_said(night)}"[:120]
    reached = bool(night.waiting.get("poison-2")) and night.promoted
    # Good text is not to be set aside with it.
    return Mark(
        asks,
        value,
        reached and not night.waiting.get("speeches"),
    )


def _chinese(night: Record) -> Mark:
    aside = night.waiting.get("chinese", 0)
    return Mark(
        "Chinese text is set aside, or learned without loss",
        f"{aside} documents wait, {_said(night)}",
        (aside > 0 and not night.version) or night.promoted,
    )


def _rollback(step: Record, later: Sequence[Record]) -> Mark:
    """The next night with a new version goes on from the champion before, and learns both."""
    learned = (each for each in later if each.promoted and each.kind == "speeches")
    night = next(learned, None)
    if step.state != "RolledBack" or night is None:
        return Mark("after a rollback both are learned", _said(step), False)
    value = f"version {night.version} from {night.tags['continued_from']}, rolled back from "
    return Mark(
        "after a rollback both are learned",
        f"{value}{step.before} to {step.champion}",
        night.tags["continued_from"] == step.champion and bool(night.met_all),
    )
