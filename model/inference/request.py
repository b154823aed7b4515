"""What a model may be asked, checked once wherever it is asked. Imports no torch."""

from typing import Annotated, Any

from pydantic import AfterValidator, Field, field_validator

from corpusmill.storage.config import Config

MAX_NEW_TOKENS = 8192
NewTokens = Annotated[int, Field(ge=1, le=MAX_NEW_TOKENS)]


def _check_unicode(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"character {error.start} is {text[error.start]!r}, half of a surrogate pair or a byte "
            "that is not UTF-8; send valid Unicode"
        ) from error
    return text


Text = Annotated[str, AfterValidator(_check_unicode)]


class Sampling(Config):
    """How a token is chosen.

    Attributes:
        temperature: the logits' divisor; 0 takes the likeliest token always.
        top_k: how many of the likeliest tokens can be drawn; 0 is all of them.
        top_p: of these, as many of the likeliest as it takes to have this share of the probability
            (Holtzman et al. 2020).
        seed: of the draws for the first text, the next number for the next one, and so on; the
            same seed gives the same tokens, alone or beside other texts.
    """

    temperature: float = Field(0.8, ge=0, le=2, allow_inf_nan=False)
    top_k: int = Field(50, ge=0)
    top_p: float = Field(1.0, gt=0, le=1, allow_inf_nan=False)
    seed: int = Field(0, ge=0, le=2**62)

    def from_text(self, number: int) -> "Sampling":
        """How the tokens of text `number` and of those after it are chosen."""
        return self.model_copy(update={"seed": self.seed + number})


class AnswerRequest(Sampling):
    """Texts to answer, and how.

    Attributes:
        prompt: one text or several, of valid Unicode.
        max_new_tokens: of each answer.
    """

    prompt: tuple[Text, ...]
    max_new_tokens: NewTokens = 80

    @field_validator("prompt", mode="before")
    @classmethod
    def _list(cls, value: Any) -> Any:
        if isinstance(value, str):
            return (value,)
        if isinstance(value, list | tuple) and not value:
            raise ValueError("the list is empty; send one text at least")
        return value
