"""Names that others must be able to hold: checked on the first line, not after training.

What a registered model may be called was tried on MLflow 3.17: it refuses `/`, `:` and a name that
a path would resolve; `@`, `?`, `#` and line breaks are taken, but their `models:/…` addresses lead
elsewhere; its tables hold 256 characters.
"""

import unicodedata
from typing import Annotated

from pydantic import AfterValidator

_LONGEST = 256
_OF_ADDRESSES = "/:@?#"
# Control characters, halves of surrogate pairs, separators of lines and of paragraphs.
_UNPRINTABLE = ("Cc", "Cs", "Zl", "Zp")


def registrable(name: str) -> str:
    """The same name, unless MLflow cannot hold it or an address `models:/NAME@ALIAS` cannot.

    Raises:
        ValueError: with what was expected.
    """
    if (
        not 0 < len(name) <= _LONGEST
        or name != name.strip()
        or name == "."
        or name.startswith("..")
        or any(each in _OF_ADDRESSES or unicodedata.category(each) in _UNPRINTABLE for each in name)
    ):
        raise ValueError(
            f"{name[:40]!r}, of {len(name)} characters, cannot name a registered model; expected 1 "
            f"to {_LONGEST} characters in one line without any of {' '.join(_OF_ADDRESSES)}, no "
            "space at either end and no '..' at the beginning"
        )
    return name


RegisteredName = Annotated[str, AfterValidator(registrable)]
