"""What the report of a first run says: the figures beside their peers, and what to do next."""

import json
from collections.abc import Iterator, Sequence

from corpusmill.model.config import ProbeResult
from corpusmill.storage import metrics
from corpusmill.storage.markup import command, quoted
from corpusmill.tasks.reports.corpus.words import counted, number, one_line, plain, share, size
from corpusmill.tasks.reports.hands import noted, unread
from corpusmill.tasks.reports.outcome import SHOWN, Intake, Outcome
from corpusmill.tasks.reports.outline import Part, Passage, Passages, Plot, Report, Steps, Table
from corpusmill.tasks.reports.plots import Line, draw_lines
from corpusmill.tasks.stages.evaluation import in_words

_FEW_BYTES = 20_000  # of held-out text, from which a figure moves by chance
_MEANINGS = {
    metrics.PERPLEXITY: "its own tokens; compares between models with one tokenizer alone",
    metrics.LOSS: "nats a prediction",
    metrics.LOST_BYTES: "of the text that the tokenizer does not give back; they are paid for",
    metrics.UNIGRAM_ACCURACY: "what the commonest token always would get right",
    metrics.PSEUDO_PERPLEXITY: "each token from all others",
    metrics.CHRF: "0 to 100, by characters",
}


def describe_first_run(outcome: Outcome) -> Report:
    """The report of a run that began with noise, or with somebody else's model."""
    said, _, why = outcome.standing.partition("; ")
    name = f"{outcome.model} version {outcome.version}"
    figure = f"{outcome.score:.3f} {in_words(outcome.decides)}"
    headline = f"{name} is the champion: {figure}" if outcome.champion else f"{name} stays a {said}"
    return Report(
        title=name,
        headline=f"{headline}: {why}" if why and not outcome.champion else headline,
        tone="good" if outcome.champion else "plain",
        deck=tuple(_deck(outcome)),
        parts=tuple(_parts(outcome)),
        links=links(outcome),
    )


def figures(outcome: Outcome) -> Table:
    """All figures of the evaluation but the one that the page has shown, with what they mean."""
    shown = outcome.compares if outcome.before else outcome.decides
    rows = [
        (in_words(key), figure(key, value), _MEANINGS.get(key, ""))
        for key, value in outcome.figures.items()
        if key != shown
    ]
    note = f"In {outcome.precision}."
    if outcome.signature:
        note += f" {in_words(outcome.decides)} is worked out as {outcome.signature}."
    return Table("Other figures", ("", "", ""), tuple(rows), note=note, words=1)


def figure(key: str, value: float) -> str:
    """A figure of an evaluation, with as many digits as say something."""
    if key == metrics.LOST_BYTES:
        return number(int(value))
    return f"{value:.1f}" if abs(value) >= 20 else f"{value:.3f}"


def intake(found: Intake) -> Table:
    """What came in, and what was dropped, the commonest reason first."""
    rows = [
        ("read", number(found.read), ""),
        ("kept", number(found.kept), f"{size(found.bytes)}; {number(found.held_out)} held out"),
    ]
    dropped = sorted(found.dropped.items(), key=lambda item: -item[1])
    rows += [(plain(name), number(count), share(count, found.read)) for name, count in dropped]
    note = f"Not read, or not whole: {unread(found)}." if found.unread else ""
    return Table("Documents", ("", "documents", ""), tuple(rows), note=note, words=1)


def samples(outcome: Outcome) -> Passages:
    """What the model made of prompts from held-out documents."""
    return Passages(
        SHOWN[outcome.decides],
        (),
        tuple(
            Passage(one_line(each["prompt"]), (one_line(each["continuation"]),), each["reference"])
            for each in outcome.samples
        ),
        note="The prompts are from held-out documents.",
    )


def links(outcome: Outcome) -> tuple[tuple[str, str], ...]:
    """To the pages of the run."""
    return ("MLflow run", outcome.mlflow_url), ("Prefect flow run", outcome.flow_run_url)


def costs(outcome: Outcome) -> Table | None:
    """Seconds by stage, and the disk; None where they were not measured."""
    found = outcome.costs
    if found is None:
        return None
    longest = max((seconds for _, seconds in found.stages), default=0.0)
    shown = [(name, seconds) for name, seconds in found.stages if seconds >= 0.02 * longest]
    rows = [(name, f"{seconds:,.1f} s") for name, seconds in shown]
    rows += [
        ("altogether", f"{found.seconds:,.1f} s"),
        ("written and kept", size(found.written)),
        ("the whole store", size(found.store)),
        ("free on its disk", size(found.free)),
    ]
    bars = [seconds / longest if longest else 0.0 for _, seconds in shown]
    return Table("What it took", ("", ""), tuple(rows), bars=(*bars, 0.0, 0.0, 0.0, 0.0))


def _deck(outcome: Outcome) -> Iterator[str]:
    named, more = _beginning(in_words(outcome.decides)), outcome.higher_is_better
    documents = counted(outcome.held_out_documents, "document")
    yield (
        f"{named} of {documents} that it has not learned from ({size(outcome.held_out_bytes)}): "
        f"the {'more' if more else 'less'} the better.{_interval(outcome)}"
    )
    better = [
        name
        for name, value in outcome.baselines.items()
        if (value > outcome.score if more else value < outcome.score)
    ]
    if better:
        less = (
            "less than the repetition of strings gives away"
            if outcome.decides == metrics.BITS_PER_BYTE
            else "nothing of use"
        )
        yield (
            f"{better[0]} is better than this model, which has learned {less} as yet. Let it train "
            "longer (train.max_steps), or give it more text."
        )
    if outcome.held_out_documents == 1:
        yield (
            "The held-out side is a single document: the figure is that of this document, and "
            "says little of others. More documents, or corpus.text_unit=paragraph, give several."
        )
    elif outcome.held_out_bytes < _FEW_BYTES:
        yield (
            f"{size(outcome.held_out_bytes)} are little to judge by: with another draw of held-out "
            "documents the figure would be another. Raise corpus.validation_fraction."
        )


def _interval(outcome: Outcome) -> str:
    if outcome.compared_by != outcome.decides or outcome.held_out_documents == 1:
        return ""
    whole = outcome.sources[0]
    if whole.few:
        return ""
    return (
        f" Another draw of documents like these: 95 % between {whole.low:.3f} and {whole.high:.3f}."
    )


def _parts(outcome: Outcome) -> Iterator[Part]:
    if outcome.intake and (needed := tuple((said, "") for said in noted(outcome.intake))):
        yield Steps("What needs a hand", needed)
    yield _peers(outcome)
    if curve := training_curve(outcome):
        yield curve
    if len(outcome.sources) > 1:
        yield _by_source(outcome)
    yield figures(outcome)
    if outcome.probes:
        yield probes(outcome.probes)
    yield _run(outcome)
    if outcome.contamination or outcome.memorisation:
        yield known(outcome)
    if outcome.intake:
        yield intake(outcome.intake)
    if took := costs(outcome):
        yield took
    yield samples(outcome)
    yield Steps("What to do next", tuple(_next(outcome)))


def _peers(outcome: Outcome) -> Table:
    named = {f"{outcome.model} version {outcome.version}": outcome.score, **outcome.baselines}
    if outcome.holder_score is not None:
        named[f"{outcome.model} version {outcome.holder}, the champion"] = outcome.holder_score
    ordered = sorted(
        enumerate(named.items()), key=lambda item: item[1][1], reverse=outcome.higher_is_better
    )
    most = max(named.values()) or 1.0
    return Table(
        _beginning(in_words(outcome.decides)),
        ("", "held-out text"),
        tuple((name, f"{value:.3f}") for _, (name, value) in ordered),
        strong=next(row for row, (place, _) in enumerate(ordered) if place == 0),
        bars=tuple(value / most for _, (_, value) in ordered),
    )


def _by_source(outcome: Outcome) -> Table:
    rows = tuple(
        (
            each.source or "all",
            f"{each.value:.3f}",
            "few" if each.few else f"{each.low:.3f} to {each.high:.3f}",
            number(each.documents),
            size(each.bytes),
        )
        for each in outcome.sources
    )
    head = ("source", in_words(outcome.compared_by), "95 %", "documents", "text")
    return Table("Source by source", head, rows, broad=True)


def probes(found: Sequence[ProbeResult]) -> Table:
    """Shares of right answers, beside that of a guess."""
    rows = tuple(
        (
            each.name,
            f"{each.accuracy:.1%}",
            f"{each.low:.1%} to {each.high:.1%}",
            "–" if each.chance is None else f"{each.chance:.1%}",
            number(each.items),
        )
        for each in found
    )
    return Table("Probes", ("", "right", "95 %", "by chance", "items"), rows, broad=True)


def known(outcome: Outcome) -> Table:
    """What of the evaluation stands in the training text, and what of that is known by heart."""
    said = (
        "{}: has a run of 13 words, or 8 if it is short (22 and 14 characters of a script without "
        "spaces), in common with the training text"
    )
    rows = [
        (
            said.format(each.name),
            "–" if each.share is None else f"{each.share:.1%}",
            f"none long enough ({number(each.too_short)} too short)"
            if each.share is None
            else f"of {number(each.texts)} texts; {share(each.shared, each.runs)} of their runs",
        )
        for each in outcome.contamination
    ]
    if heart := outcome.memorisation:
        rows.append(
            (
                f"training text continued word for word for {heart.tokens} tokens",
                "–" if heart.share is None else f"{heart.share:.1%}",
                "none long enough"
                if heart.share is None
                else f"of {number(heart.passages)} passages; "
                f"95 % {heart.low:.1%} to {heart.high:.1%}",
            )
        )
    note = "A text counts by one such run; how much of the text that is, the share of runs says."
    return Table("Known before", ("", "", ""), tuple(rows), note if rows else "", words=1)


def _run(outcome: Outcome) -> Table:
    rows = (
        ("parameters", number(outcome.parameters)),
        ("tokens seen", number(outcome.tokens_seen)),
        ("seconds of training", f"{outcome.training_seconds:,.0f}"),
    )
    return Table("The run", ("", ""), rows)


def training_curve(outcome: Outcome) -> Plot | None:
    """Training and held-out loss by step."""
    train = outcome.curves.get(metrics.TRAIN_LOSS, ())
    held_out = outcome.curves.get(metrics.VALIDATION_LOSS, ())
    lines = [
        Line("train", train, "grey", faint=True),
        Line("held out", held_out, "blue", dots=True),
    ]
    svg = draw_lines(lines, "step", "loss, nats")
    if not svg:
        return None
    last = f", at last {held_out[-1][1]:.3f}" if held_out else ""
    return Plot("Loss", svg, f"Training and held-out loss by step{last}")


def _next(outcome: Outcome) -> Iterator[tuple[str, str]]:
    if outcome.champion:
        prompt = one_line(outcome.samples[0]["prompt"] if outcome.samples else "") or "Once"
        yield "Let it answer you.", command("sample", prompt, "--model", outcome.model)
    overrides = {"corpus.sources": ["/text/**/*.txt"], "registration.name": "ours"}
    yield (
        "Train one on your own text.",
        "prefect deployment run pretrain/full --param "
        f"{quoted('overrides=' + json.dumps(overrides))}",
    )
    if outcome.champion:
        yield (
            "Have it learn every night from what is new in its folders.",
            command("nightly", outcome.model, "--at", "02:00"),
        )


def _beginning(words: str) -> str:
    """Words at the beginning of a sentence."""
    return words[:1].upper() + words[1:]
