"""How sources are mixed. Imports no torch."""

from pydantic import Field, model_validator

from corpusmill.storage.config import Config

MIXING_BLOCK = 4096  # samples after which every source has been drawn from as its weight says


class MixingPhase(Config):
    """How sources are mixed in one part of a run.

    Attributes:
        until: fraction of the run at which this phase ends.
        weights: by source, in proportion to the samples drawn from it; others are not read.
    """

    until: float = Field(1.0, gt=0, le=1)
    weights: dict[str, float] = Field(min_length=1)

    @model_validator(mode="after")
    def _check_weights(self) -> "MixingPhase":
        total = sum(self.weights.values())
        for name, weight in self.weights.items():
            if weight < 0 or 0 < weight < total / MIXING_BLOCK or not 0 < total < float("inf"):
                raise ValueError(
                    f"the weight {weight} of {name!r} is not a share of {total}; expected 0, or at "
                    f"least 1/{MIXING_BLOCK} of the sum"
                )
        return self
