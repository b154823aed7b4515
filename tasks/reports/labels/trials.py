"""How else a network might have been taught: the trials of a search, side by side."""

from corpusmill.storage import metrics
from corpusmill.tasks.reports.labels.findings import Findings, cut
from corpusmill.tasks.reports.labels.words import figure, in_words
from corpusmill.tasks.reports.outline import Table
from corpusmill.tasks.stages.search import Tried

_BESIDE = (metrics.NLL, metrics.MSE)


def trials(found: Findings) -> Table | None:
    """The trials, the best first; None where nothing was sought."""
    if not found.tried:
        return None
    seeds = found.tried[0].trial.seeds
    beside = tuple(name for name in _BESIDE if name in found.tried[0].figures)
    return Table(
        "What was tried",
        ("", "steps", f"{in_words(found.decides)} on validation", *beside, ""),
        tuple(_row(each, found.decides, beside) for each in found.tried),
        note="The first was taken: the best on validation, which knows nothing of test."
        + (f" Each is the mean of {seeds} seeds." if seeds > 1 else ""),
        strong=0,
        words=1,
        broad=True,
    )


def _row(tried: Tried, decides: str, beside: tuple[str, ...]) -> tuple[str, ...]:
    said = figure(decides, tried.figures[decides]) if decides in tried.figures else "–"
    others = (f"{tried.figures[n]:.4f}" if n in tried.figures else "–" for n in beside)
    steps = f"{tried.trial.config.max_steps:,}"
    return (tried.trial.name, steps, said, *others, cut(tried.failed) if tried.failed else "")
