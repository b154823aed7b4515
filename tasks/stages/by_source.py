"""The figure that decides, source by source, with intervals."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from corpusmill.model.config import EvaluationResult
from corpusmill.model.evaluation.figures import Sums, figure_for
from corpusmill.storage.blocks import read_blocks
from corpusmill.storage.config import read_json
from corpusmill.tasks.stages.judgement import FEW
from corpusmill.tasks.stages.resampling import resampled_sums

RESAMPLES = 2_000
_PERCENTILES = (2.5, 97.5)


@dataclass(frozen=True)
class SourceFigure:
    """A model on the held-out text of a source.

    Attributes:
        source: None for the text of all sources.
        value: the figure, such as bits per byte.
        low, high: its interval of 95 %, by a bootstrap over blocks nested in documents.
        documents, bytes, blocks: how much text that is.
    """

    source: str | None
    value: float
    low: float
    high: float
    documents: int
    bytes: int
    blocks: int

    @property
    def few(self) -> bool:
        """Whether there are too few blocks for the interval to say anything."""
        return self.blocks < FEW


def figures_by_source(
    evaluation: Path, *, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[str, list[SourceFigure]]:
    """The name of the figure by which models are compared, and its values.

    The first is that of all text; where there are several sources, each follows by name.

    Args:
        evaluation: its folder.
        seed: of the resampling.

    Raises:
        ArtifactError: the evaluation has no blocks.
        ModelError: no statistics are kept of what decides it.
    """
    blocks = read_blocks(evaluation)
    figure = figure_for(read_json(EvaluationResult, evaluation / "result.json").decides)
    values = np.column_stack([blocks.statistics, blocks.predictions, blocks.bytes])
    sources, documents = np.array(blocks.sources), np.array(blocks.documents)
    names = sorted(set(blocks.sources))
    parts: list[tuple[str | None, np.ndarray]] = [(None, np.arange(len(blocks)))]
    if len(names) > 1:
        parts += [(name, np.flatnonzero(sources == name)) for name in names]
    rows = []
    for source, chosen in parts:
        own, ids = values[chosen], documents[chosen]
        # Equal documents have one id, and each its first block.
        begins = (ids[1:] != ids[:-1]) | (blocks.numbers[chosen][1:] == 0)
        numbers = np.cumsum(np.append(False, begins))
        drawn = figure.of(_sums(resampled_sums(own, numbers, resamples, seed)))
        low, high = np.percentile(drawn, _PERCENTILES).tolist()
        whole = float(figure.of(_sums(own.sum(0)[None]))[0])
        size = int(own[:, -1].sum())
        rows.append(SourceFigure(source, whole, low, high, int(numbers[-1]) + 1, size, len(chosen)))
    return figure.name, rows


def _sums(values: np.ndarray) -> Sums:
    return Sums(values[:, :-2], predictions=values[:, -2], bytes=values[:, -1])
