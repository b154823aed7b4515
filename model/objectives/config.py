"""What a network is taught to do with text. Imports no torch."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Literal

from pydantic import Field

from storage.config import Config


class NextToken(Config):
    """Every token from those before it."""

    objective: Literal["next_token"] = "next_token"


class MaskedTokens(Config):
    """Some tokens from all others (Devlin et al. 2019, §3.1), redrawn each time a text is read.

    Attributes:
        share: of the tokens that is predicted; of these 80 % are masked, 10 % replaced by another
            token, and 10 % left as they are.
        whole_words: a word is masked with all its tokens; a Chinese word too (Cui et al. 2021).
    """

    objective: Literal["masked_tokens"] = "masked_tokens"
    share: float = Field(0.15, gt=0, le=0.5)
    whole_words: bool = False


Objective = Annotated[NextToken | MaskedTokens, Field(discriminator="objective")]

# The first is what a family learns where nothing else is asked for.
OBJECTIVES: Mapping[str, tuple[type[Config], ...]] = {
    "causal_lm": (NextToken,),
    "masked_lm": (MaskedTokens,),
}


def check_objectives(objectives: Iterable[Objective], family: str) -> None:
    """Raises ValueError if a family cannot learn one of them."""
    fitting = OBJECTIVES[family]
    for each in objectives:
        if not isinstance(each, fitting):
            names = " or ".join(kind.model_fields["objective"].default for kind in fitting)
            raise ValueError(
                f"train.objectives asks for {each.objective}, which a {family} model does not "
                f"learn; expected {names}"
            )
