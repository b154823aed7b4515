"""Outcomes of runs whose every name and text tries to be more than text."""

from dataclasses import replace

from corpusmill.model.config import Memorisation, ProbeResult
from corpusmill.tasks.reports.outcome import (
    Before,
    Costs,
    Intake,
    Milestone,
    Outcome,
    Sample,
    Waiting,
)
from corpusmill.tasks.stages.by_source import SourceFigure
from corpusmill.tasks.stages.contamination import Contamination

HOSTILE = "![x](http://evil.example/a.png) <img src=//evil.example> | `a` CURVE www.evil.example"


def first_run(text: str = HOSTILE) -> Outcome:
    """Of a run that is no night, with this text wherever text of others stands."""
    return Outcome(
        model=text,
        version="1",
        champion=True,
        standing="champion",
        family="causal_lm",
        figures={"bits_per_byte": 2.0, "perplexity": 40.25, "lost_bytes": 0.0},
        decides="bits_per_byte",
        signature="",
        precision="fp32",
        baselines={"xz -9e after reading the training text": 1.9, "xz -9e alone": 2.5},
        held_out_documents=6,
        held_out_bytes=166_050,
        tokens_seen=30_720,
        parameters=156_608,
        training_seconds=2.1,
        samples=[sample(text)],
        flow_run_url="http://here/run",
        mlflow_url="http://here/mlflow",
        curves={"train/loss": [(0, 6.0), (9, 4.0)], "validation/loss": [(0, 6.1), (9, 4.2)]},
        intake=Intake(14, 9, 1, 123_456, {text: 3, "duplicate": 2}, [text], []),
        compared_by="bits_per_byte",
        sources=[
            SourceFigure(None, 2.0, 1.9, 2.1, 6, 166_050, 80),
            SourceFigure(text, 2.2, 2.0, 2.4, 2, 66_050, 30),
        ],
        contamination=[Contamination("held-out text", 40, 2, 1, 900, 30)],
        memorisation=Memorisation(passages=50, verbatim=1, low=0.001, high=0.1, tokens=50),
        costs=Costs([(text, 61.0), ("judge", 12.3)], 73.3, 31_000_000, 123_000_000, 52_000_000_000),
    )


def probe(accuracy: float) -> ProbeResult:
    """How a model did on minimal pairs."""
    return ProbeResult(
        name="blimp",
        kind="minimal_pairs",
        accuracy=accuracy,
        low=accuracy - 0.05,
        high=accuracy + 0.05,
        items=400,
        chance=0.5,
        beside={},
    )


def sample(text: str, continuation: str | None = None) -> Sample:
    """What a model wrote, and a person."""
    written = text if continuation is None else continuation
    return {"prompt": text, "continuation": written, "reference": text}


def night(text: str = HOSTILE) -> Outcome:
    """Of a night that promoted version 3, with text that waits and probes."""
    compared = [
        part("new", 2.421, 2.446, 0.0102, few=True),
        part("old", 2.310, 2.321, 0.0048),
        part(f"old: {text}", 2.310, 2.321, 0.0048),
    ]
    known = probe(0.58)
    line = [
        Milestone("1", True, 2.4, None, None, [(0, 5.0), (9, 4.4)]),
        Milestone("2", False, 2.5, 2.6, 2.7, [(0, 5.0), (9, 4.3)], [known]),
    ]
    first = first_run(text)
    assert first.intake
    return replace(
        first,
        version="3",
        baselines={},
        reasons=[
            "new text is better: +1.02% (95 % between +0.82% and +1.18%; few: 6 blocks, so the "
            "mean decides; bits per byte 2.421 against 2.446)",
            f"old text of {text} loses no more than the 0.30% that is tolerated: +0.48%",
        ],
        compared=compared,
        before=Before("1", [sample(text, "it wrote before")], 0.003),
        probes=[probe(0.61)],
        intake=replace(first.intake, waiting=[Waiting(text, 4, text, text)]),
        line=line,
    )


def part(
    text: str, candidate: float, champion: float, gain: float, *, few: bool = False
) -> dict[str, object]:
    """A row of a judgement's table."""
    return {
        "text": text,
        "candidate": candidate,
        "champion": champion,
        "gain": gain,
        "low": gain - 0.002,
        "high": gain + 0.002,
        "blocks": 6 if few else 36,
        "documents": 6,
        "bytes": 12_000,
        "few": few,
    }
