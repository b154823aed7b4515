"""What the processes of a baseline and of neighbours are told."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from corpusmill.storage.config import Config
from corpusmill.storage.examples.schema import Side


class BaselineConfig(Config):
    """What a model has to beat.

    Attributes:
        name: majority says of every example what is most frequent, or the mean of a regression;
            tfidf is a linear model of weighted n-grams.
        share: of the training examples, chosen by hash: the fewer are among the more.
    """

    name: Literal["majority", "tfidf"]
    share: float = Field(1.0, gt=0, le=1)


class BaselineJob(Config):
    """A baseline to fit to labelled examples.

    Attributes:
        directory: into which its predictions are written.
        examples: the artifact of these.
    """

    directory: Path
    examples: Path
    baseline: BaselineConfig


class BaselineResult(Config):
    """Attributes:
    examples: that it was fitted to.
    features: that it weighs; none of the majority.
    """

    examples: int
    features: int = 0


class NeighboursJob(Config):
    """Examples whose nearest training examples are looked for.

    Attributes:
        directory: into which what is found is written.
        examples: the artifact of all of them.
        side: that the examples are on.
        ids: of these.
    """

    directory: Path
    examples: Path
    side: Side
    ids: tuple[str, ...]
