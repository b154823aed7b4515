"""What is taught to a pretrained network besides text. Imports no torch."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from corpusmill.storage.config import Config
from corpusmill.storage.examples.schema import TaskKind
from corpusmill.storage.settings import Precision

Pooling = Literal["first", "last", "mean"]
Beginning = Literal["pretrained", "embeddings", "scratch"]


class MethodConfig(Config):
    """How a network is taught a task.

    Attributes:
        name: whether all of it learns, or the head alone.
        begins: what is taken over of the pretrained network: all of it, its embeddings alone, or
            its shape alone.
        pooling: which state a text is judged by: `first` that of the first token through a layer
            with tanh, as BERT (Devlin et al. 2019) has it; `last` that of the last token, as GPT
            (Radford et al. 2018); `mean` that of all of them. None for what suits the family:
            first for masked_lm, last for causal_lm, mean for encoder_decoder.
        class_weights: whether each label weighs as much as any other, however many examples it has.
        share: of the training examples, chosen by hash: the fewer are among the more.
    """

    name: Literal["full", "head"] = "full"
    begins: Beginning = "pretrained"
    pooling: Pooling | None = None
    class_weights: bool = False
    share: float = Field(1.0, gt=0, le=1, exclude_if=lambda share: share == 1)


class HeadConfig(Config):
    """The shape of a head.

    Attributes:
        kind: of the task.
        labels: their names in the order of the outputs; none for regression.
        pooling: as of `MethodConfig`.
        mean, std: of the numbers to be told, for regression.
        temperature: by which logits are divided before they become probabilities, so that those
            say how often they are right (Guo et al. 2017, §4.2).
    """

    kind: TaskKind
    labels: tuple[str, ...] = ()
    pooling: Pooling
    mean: float = 0.0
    std: float = Field(1.0, gt=0)
    temperature: float = Field(1.0, gt=0)

    @property
    def outputs(self) -> int:
        """Numbers that the head gives."""
        return len(self.labels) or 1


class PredictionJob(Config):
    """What the prediction process is told.

    Attributes:
        directory: where it writes what it said.
        model: folder of a network that answers with labels.
        examples: of which it answers those for validation and test.
    """

    directory: Path
    model: Path
    examples: Path
    precision: Precision = "auto"
