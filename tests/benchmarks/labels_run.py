"""One fine-tuning that ours and the peer do alike, each on one core."""

from pathlib import Path

from corpusmill.storage.config import Config, read_json
from corpusmill.storage.settings import ComputePrecision


class LabelRun(Config):
    """What both are told.

    Attributes:
        folder: where it works.
        start: a pretrained encoder; `labelled_start` the same with the head that ours begins with.
        examples: an artifact of them.
        steps: of which the first `warmup` raise the rate, which then falls to zero.
        padded: whether the peer pads every text to `length`, as run_glue.py does unless told.
        scored: whether the test examples are answered.
    """

    folder: Path
    start: Path
    labelled_start: Path
    examples: Path
    seed: int = 0
    steps: int
    warmup: int
    batch: int = 32
    length: int = 128
    rate: float
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.98)
    epsilon: float = 1e-8
    max_grad_norm: float = 1.0
    dropout: float = 0.1
    precision: ComputePrecision
    padded: bool = False
    scored: bool = True

    @property
    def predictions(self) -> Path:
        """What is said of the test examples."""
        return self.folder / "test" / "predictions.jsonl"


def read_run(file: Path) -> LabelRun:
    """The run that a file describes."""
    return read_json(LabelRun, file)
