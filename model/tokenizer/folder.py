"""The tokenizer folder: `tokenizer.json` and what `AutoTokenizer` wants beside it."""

from pathlib import Path

from tokenizers import Tokenizer, models

from corpusmill.model.tokenizer.panics import panics_as_errors
from corpusmill.storage.errors import ModelError

TOKENIZER = "tokenizer.json"


def load_tokenizer(directory: Path) -> Tokenizer:
    """The tokenizer of a folder, set so that no text becomes a control token.

    Raises:
        ModelError: there is no readable `tokenizer.json`.
    """
    path = directory / TOKENIZER
    try:
        with panics_as_errors():
            tokenizer = Tokenizer.from_str(path.read_text(encoding="utf-8"))
    except Exception as error:  # tokenizers raises bare Exception
        raise ModelError(
            f"{path} is not a readable tokenizer ({error}); expected the tokenizer.json of "
            "Hugging Face tokenizers."
        ) from error
    return as_used(tokenizer)


def as_used(tokenizer: Tokenizer) -> Tokenizer:
    """The same, set so that no text becomes a control token, nor is cut or filled up.

    Nor are merges dropped at random: a text has the same ids each time.
    """
    tokenizer.encode_special_tokens = True
    if isinstance(tokenizer.model, models.BPE):
        tokenizer.model.dropout = None
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer
