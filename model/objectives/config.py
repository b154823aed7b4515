"""What a network is taught to do with text. Imports no torch."""

import unicodedata
from collections.abc import Iterable, Mapping
from typing import Annotated, Literal

from pydantic import Field

from corpusmill.model.network.config import Family
from corpusmill.storage.config import Config
from corpusmill.storage.packages import installed


class _Weighted(Config):
    """Attributes:
    weight: of several objectives, in proportion to the samples that are drawn for this one.
    """

    weight: float = Field(1.0, gt=0)


class NextToken(_Weighted):
    """Every token from those before it."""

    objective: Literal["next_token"] = "next_token"


class FillInTheMiddle(_Weighted):
    """A text between two others (Bavarian et al. 2022); the tokenizer needs `infilling`."""

    objective: Literal["fill_in_the_middle"] = "fill_in_the_middle"


class MaskedTokens(_Weighted):
    """Some tokens from all others (Devlin et al. 2019, §3.1), redrawn each time a text is read.

    Attributes:
        share: of the tokens that is predicted; of these 80 % are masked, 10 % replaced by another
            token, and 10 % left as they are.
        whole_words: a word is masked with all its tokens; a Chinese word too (Cui et al. 2021).
    """

    objective: Literal["masked_tokens"] = "masked_tokens"
    share: float = Field(0.15, gt=0, le=0.5)
    whole_words: bool = False


class SpanCorruption(_Weighted):
    """What was cut out of a text (Raffel et al. 2020, §3.1.4), redrawn each time it is read.

    Attributes:
        share: of the tokens that is cut out.
        mean_span: tokens of a span, on average.
    """

    objective: Literal["span_corruption"] = "span_corruption"
    share: float = Field(0.15, gt=0, le=0.5)
    mean_span: float = Field(3.0, ge=1)


class Translation(_Weighted):
    """The second text of a pair from the first (Vaswani et al. 2017); needs sources with pairs."""

    objective: Literal["translation"] = "translation"


Objective = Annotated[
    NextToken | FillInTheMiddle | MaskedTokens | SpanCorruption | Translation,
    Field(discriminator="objective"),
]

# The first is what a family learns where nothing else is asked for.
OBJECTIVES: Mapping[str, tuple[type[Config], ...]] = {
    "causal_lm": (NextToken, FillInTheMiddle),
    "masked_lm": (MaskedTokens,),
    "encoder_decoder": (SpanCorruption, Translation),
}


def default_objective(family: Family) -> Objective:
    """What a family learns where nothing else is asked for."""
    kind = OBJECTIVES[family][0]
    objective: Objective = kind()  # type: ignore[assignment]
    return objective


def engines_of(objectives: Iterable[Objective]) -> dict[str, str]:
    """What decides which samples are made beside the text and the configuration: what is a word,
    where words are masked whole.
    """
    if any(isinstance(each, MaskedTokens) and each.whole_words for each in objectives):
        return {"rjieba": installed("rjieba"), "unicode": unicodedata.unidata_version}
    return {}


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
