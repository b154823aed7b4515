"""What the report of a fine-tuning says: made for a person with one minute."""

from collections.abc import Iterator

from corpusmill.storage.examples.schema import SIDES, Side
from corpusmill.storage.markup import command
from corpusmill.tasks.reports.corpus.words import counted, number, plain
from corpusmill.tasks.reports.labels.findings import Findings, cut
from corpusmill.tasks.reports.labels.parts import (
    calibration,
    confused,
    learning_curve,
    lengths,
    mistakes,
    of_labels,
    told,
)
from corpusmill.tasks.reports.labels.trials import trials
from corpusmill.tasks.reports.labels.words import (
    figure,
    in_words,
    interval,
    named,
    points,
    points_between,
)
from corpusmill.tasks.reports.outline import Part, Report, Steps, Table
from corpusmill.tasks.stages.answers import Row
from corpusmill.tasks.stages.examples import warnings_of
from corpusmill.tasks.stages.learning_curve import Learner, share_needed
from corpusmill.tasks.stages.predictions import Difference

_BESIDE = ("tfidf", "majority", "scratch", "embeddings", "mean with tfidf")


def describe_labels(found: Findings) -> Report:
    """The report of a model that was taught labels."""
    name = f"{found.name} version {found.version}"
    mine = found.rows[found.side][0].figure
    said = "is the champion" if found.promotion.champion else "stays a candidate"
    low_high = f", 95 % {interval(found.decides, mine)}" if mine.low == mine.low else ""
    return Report(
        title=f"{name}, taught labels",
        headline=f"{name} {said}: {figure(found.decides, mine.value)} {in_words(found.decides)} "
        f"on {found.side}{low_high}",
        tone="good" if found.promotion.champion else "plain",
        deck=tuple(_deck(found)),
        parts=tuple(_parts(found)),
        links=(("MLflow run", found.mlflow_url), ("Prefect flow run", found.flow_run_url)),
    )


def _deck(found: Findings) -> Iterator[str]:
    why = found.promotion.words.partition("; ")[2]
    if why:
        yield f"{why[:1].upper()}{why[1:].rstrip('.')}."
    rows = {row.name: row for row in found.rows[found.side]}
    beside = [
        f"{named(name, found.said.kind)} {figure(found.decides, rows[name].figure.value)}"
        for name in _BESIDE
        if name in rows
    ]
    if beside:
        examples = counted(len(found.said), f"{found.side} example")
        yield f"On the same {examples}: {', '.join(beside)}."
    for name in ("majority", "tfidf"):
        gain = rows[name].gain if name in rows else None
        if gain and gain.low <= 0:
            yield _not_better(named(name, found.said.kind), gain)
            break
    yield from _worth(found, rows)


def _not_better(other: str, gain: Difference) -> str:
    said = "worse than" if gain.high < 0 else "not shown to be better than"
    return (
        f"It is {said} {other}: let it learn longer (epochs), from more labels, or from a start "
        "that was pretrained on such text."
    )


def _worth(found: Findings, rows: dict[str, Row]) -> Iterator[str]:
    """What pretraining was worth, in points and in labels."""
    scratch, embeddings = (rows.get(name) for name in ("scratch", "embeddings"))
    if scratch is None or scratch.gain is None:
        return
    gain = scratch.gain
    sentence = (
        f"Pretraining was worth {points(found.decides, gain.gain)} over random weights (95 % "
        f"{points_between(found.decides, gain)})"
    )
    if embeddings and embeddings.gain:
        alone = points(found.decides, gain.gain - embeddings.gain.gain)
        sentence += f"; its embeddings alone are worth {alone}"
    yield f"{sentence}."
    if len(found.curves.get("pretrained", ())) > 1:
        yield f"{_saved(found, 'scratch', 'random weights')} {_saved(found, 'tfidf', 'TF-IDF')}"


def _saved(found: Findings, other: Learner, name: str) -> str:
    mine = found.curves["pretrained"]
    share = share_needed(found.curves, other)
    if share is None:
        return f"With all labels it is below {name} with all."
    labels = round(share * mine[-1].examples)
    if share == mine[0].share:
        return (
            f"With {100 * share:.2g} % of the labels ({number(labels)}) or fewer it is as good as "
            f"{name} with all."
        )
    return (
        f"With {100 * share:.0f} % of the labels ({number(labels)}) it is as good as {name} with "
        f"all: {100 * (1 - share):.0f} % are saved."
    )


def _parts(found: Findings) -> Iterator[Part]:
    yield _table(found, found.side)
    if plot := learning_curve(found):
        yield plot
    known = warnings_of(found.counts)
    if known:
        sentences = (f"{each[:1].upper()}{each[1:].rstrip('.')}." for each in map(cut, known))
        yield Steps("What to know of the examples", tuple((each, "") for each in sentences))
    for part in (
        confused(found),
        calibration(found),
        told(found),
        of_labels(found),
        lengths(found),
        mistakes(found),
    ):
        if part:
            yield part
    if tried := trials(found):
        yield tried
    yield _examples(found)
    if found.side == "test":
        yield _table(found, "validation")
    yield _others(found)
    if found.promotion.champion:
        address = f"models:/{found.name}@champion"
        asked = command("predict", address, "new.csv", "--out", "answers.csv")
        yield Steps("What to do next", (("Have it answer a file.", asked),))


def _table(found: Findings, side: Side) -> Table:
    rows = found.rows[side]
    best = max((row.figure.value for row in rows), default=0.0)
    decides = found.decides
    return Table(
        f"{in_words(decides)[:1].upper()}{in_words(decides)[1:]} on {side}",
        ("", in_words(decides), "95 %", "this model is better by", "95 %"),
        tuple(
            (
                named(row.name, found.said.kind) if row.gain else f"version {found.version}",
                figure(decides, row.figure.value),
                interval(decides, row.figure),
                points(decides, row.gain.gain) if row.gain else "",
                points_between(decides, row.gain) if row.gain else "",
            )
            for row in rows
        ),
        note="Promoted by validation; test decides nothing." if side == "test" else "",
        strong=0,
        bars=tuple(max(0.0, row.figure.value / best) if best > 0 else 0.0 for row in rows),
        broad=True,
    )


def _others(found: Findings) -> Table:
    rows = found.rows[found.side]
    names = list(rows[0].others)
    return Table(
        f"All figures on {found.side}",
        ("", *(f"version {found.version}" if not n else row.name for n, row in enumerate(rows))),
        tuple(
            (name, *(f"{row.others[name]:.4f}" if name in row.others else "–" for row in rows))
            for name in names
        ),
        note="As scikit-learn and scipy work them out; the answers themselves are "
        f"predictions/{found.side}/predictions.jsonl in MLflow.",
        broad=True,
    )


def _examples(found: Findings) -> Table:
    sides = [found.counts[side] for side in SIDES]
    reasons = sorted({reason for each in sides for reason in each["dropped"]})
    rows = [
        ("read", *(number(each["in"]) for each in sides)),
        ("kept", *(number(each["kept"]) for each in sides)),
    ]
    rows += [
        (plain(reason), *(number(each["dropped"].get(reason, 0)) for each in sides))
        for reason in reasons
    ]
    return Table("Examples, and what was dropped", ("", *SIDES), tuple(rows), strong=1)
