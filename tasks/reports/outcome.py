"""What a flow run came to: all that its report shows, kept as outcome.json beside the run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter, ValidationError

from corpusmill.model.config import Memorisation, ProbeResult
from corpusmill.model.network.config import Family
from corpusmill.storage import metrics
from corpusmill.storage.errors import ConfigError
from corpusmill.tasks.stages.by_source import SourceFigure
from corpusmill.tasks.stages.contamination import Contamination

# What samples show, by the figure that decides.
SHOWN: Mapping[str, str] = {
    metrics.BITS_PER_BYTE: "It writes",
    metrics.MASKED_ACCURACY: "It fills in",
    metrics.SPAN_PERPLEXITY: "It writes what was cut out",
    metrics.BLEU: "It translates",
}

Sample = Mapping[str, str | None]
# (step, value), in order of the steps.
Curve = Sequence[tuple[int, float]]


@dataclass(frozen=True)
class Before:
    """The champion that a night went on from.

    Attributes:
        samples: what it wrote after the same prompts.
        tolerance: share of its figure that old text may lose.
    """

    version: str
    samples: list[Sample]
    tolerance: float
    probes: list[ProbeResult] = field(default_factory=list)


@dataclass(frozen=True)
class Waiting:
    """Documents of one file that wait for a person.

    Attributes:
        why: in words.
        excerpt: of one of them.
    """

    file: str
    documents: int
    why: str
    excerpt: str


@dataclass(frozen=True)
class Intake:
    """What came in, and what became of it.

    Attributes:
        read, kept, held_out: documents; those held out are among those kept.
        bytes: of the text that was kept.
        dropped: documents, by reason.
        unread: a sentence for each file that could not be read, or not whole.
        waiting: what waits for a person by now, of earlier nights too.
        warnings: sentences about text of which nothing, or little, can be learned.
    """

    read: int
    kept: int
    held_out: int
    bytes: int
    dropped: dict[str, int]
    unread: list[str]
    waiting: list[Waiting]
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Costs:
    """What the run took.

    Attributes:
        stages: (name, seconds in which it was at work), in the order in which they began.
        seconds: in which any of them was.
        written: bytes that are on the disk since, scratch and databases of servers left out.
        store: bytes of the whole store.
        free: bytes that the disk has left.
    """

    stages: list[tuple[str, float]]
    seconds: float
    written: int
    store: int
    free: int


@dataclass(frozen=True)
class Milestone:
    """A version of the line and its figures on the text it was judged by.

    Attributes:
        old: the figure by which versions are compared, on old text; of a first run, on all.
        new, new_before: on the new text of its night, and that of the champion before it.
        validation: held-out loss while it was trained.
        rolled_back: it was the champion, and gave way to an older one.
    """

    version: str
    champion: bool
    old: float | None
    new: float | None
    new_before: float | None
    validation: Curve
    probes: list[ProbeResult] = field(default_factory=list)
    rolled_back: bool = False


@dataclass(frozen=True)
class Outcome:
    """What a flow run came to.

    Attributes:
        standing: whether it is the champion, in words.
        kind: the same as of a promotion.
        holder: number of the champion when this was decided.
        holder_score: its figure that decides, of a first run that is worse.
        figures: of the evaluation, by name.
        decides: the figure by which versions are compared.
        signature: how that figure was worked out, where others do it differently.
        precision: in which the figures were computed.
        baselines: what that figure is without a model, by how it comes about.
        reasons: of a night, why it was promoted or refused.
        compared: of a night, candidate and champion on each part of the held-out text.
        report_url: of the page that shows this, in MLflow.
        curves: training and held-out loss, by the names of the metrics.
        compared_by: the figure by which versions are compared part by part of the text, which of an
            encoder is its loss.
        sources: of a first run, its values on all held-out text and source by source.
        contamination: how much of what it was judged by stands in what it was trained on.
        memorisation: how much of its training text it knows by heart.
        before: of a night, the champion that it went on from.
        line: of a night, the versions before it, the oldest first.
    """

    model: str
    version: str
    champion: bool
    standing: str
    family: Family
    figures: dict[str, float]
    decides: str
    signature: str
    precision: str
    baselines: dict[str, float]
    held_out_documents: int
    held_out_bytes: int
    tokens_seen: int
    parameters: int
    training_seconds: float
    samples: list[Sample]
    flow_run_url: str
    mlflow_url: str
    report_url: str = ""
    kind: str = ""
    holder: str = ""
    holder_score: float | None = None
    higher_is_better: bool = False
    reasons: list[str] = field(default_factory=list)
    compared: list[dict[str, Any]] = field(default_factory=list)
    curves: dict[str, Curve] = field(default_factory=dict)
    probes: list[ProbeResult] = field(default_factory=list)
    compared_by: str = ""
    sources: list[SourceFigure] = field(default_factory=list)
    contamination: list[Contamination] = field(default_factory=list)
    memorisation: Memorisation | None = None
    before: Before | None = None
    intake: Intake | None = None
    costs: Costs | None = None
    line: list[Milestone] = field(default_factory=list)

    @property
    def score(self) -> float:
        """The figure that decides."""
        return self.figures[self.decides]

    @property
    def compares(self) -> str:
        """The figure of a comparison; an older outcome does not say it."""
        return self.compared_by or self.decides

    @property
    def _whole(self) -> float:
        """What it is compared by, on all held-out text."""
        return self.sources[0].value if self.sources else self.score

    @property
    def milestone(self) -> Milestone:
        """What later nights show of it."""
        parts = {row["text"]: row for row in self.compared}
        old, new = parts.get("old"), parts.get("new")
        return Milestone(
            version=self.version,
            champion=self.champion,
            old=old["candidate"] if old else self._whole if not parts else None,
            new=new["candidate"] if new else None,
            new_before=new["champion"] if new else None,
            validation=self.curves.get(metrics.VALIDATION_LOSS, ()),
            probes=self.probes,
        )


def to_json(outcome: Outcome) -> str:
    """The text of its outcome.json."""
    return TypeAdapter(Outcome).dump_json(outcome, indent=1).decode()


def read_outcome(text: str) -> Outcome:
    """An outcome.json.

    Raises:
        ConfigError: it is none of this release.
    """
    try:
        return TypeAdapter(Outcome).validate_json(text)
    except ValidationError as error:
        raise ConfigError(
            f"This outcome.json cannot be read ({error.errors()[0]['msg']} at "
            f"{'.'.join(map(str, error.errors()[0]['loc']))}); expected one of this release: run "
            "the flow again."
        ) from error
