"""How a night learns and how it is judged."""

from pydantic import Field, PositiveInt

from corpusmill.storage.config import Config


class QuarantineConfig(Config):
    """Which text waits for a person before anything is learned from it.

    A document is unlike what was met if its language is none of the line's, if the champion reads
    it much worse than the held-out text of before, if the order of its words is worth nothing to a
    champion to which it is worth something in old text, or if it is far more or less repetitive.

    Attributes:
        max_unlike: share of the new bytes; only beyond it is what is unlike set aside, and what was
            not read where a larger share of its neighbours is. 1 sets nothing aside.
        loss_factor: times the champion's loss a byte on old held-out text.
        language_share: a language with less than this share of the text that was met is new.
        sample_bytes: of new text that the champion reads, in stretches of as many documents as
            possible; ten times as much before anything is set aside.
    """

    max_unlike: float = Field(0.2, ge=0, le=1)
    loss_factor: float = Field(1.8, gt=1)
    language_share: float = Field(0.005, ge=0, le=1)
    sample_bytes: PositiveInt = 48_000


class NightConfig(Config):
    """How a night learns and how it is judged; docs/nights.md says what was measured.

    Attributes:
        max_epochs: passes over the new text and what is replayed beside it.
        max_steps: optimizer steps at most.
        max_seconds: of training at most; it then ends with what it has learned and is judged.
        replay: share of the tokens that is text the line has learned before.
        rate_factor: of the learning rate that the line was pretrained at.
        line_share: of the weights that the night comes to in the model that it exports, the rest
            being the champion's; the next night goes on from the former. A line's first nights have
            equal shares with what it began with, as long as they are larger.
        warmup_steps: in which the rate rises to that.
        decay_fraction: share of the steps, at the end, in which it falls to zero.
        tolerance: how much worse, in proportion, a candidate may be on old held-out text.
        old_bytes, new_bytes: of held-out text that is judged by, in equal shares of its sources.
        document_bytes: of one document that is judged by.
    """

    max_epochs: float = Field(1.0, gt=0)
    max_steps: PositiveInt = 20_000
    max_seconds: float = Field(4 * 3600.0, gt=0)
    replay: float = Field(0.5, ge=0, lt=1)
    rate_factor: float = Field(0.2, gt=0, le=1)
    line_share: float = Field(0.2, gt=0, le=1)
    warmup_steps: int = Field(5, ge=0)
    decay_fraction: float = Field(0.8, ge=0, le=1)
    tolerance: float = Field(0.003, ge=0)
    old_bytes: PositiveInt = 256_000
    new_bytes: PositiveInt = 128_000
    document_bytes: PositiveInt = 32_000
    quarantine: QuarantineConfig = QuarantineConfig()
