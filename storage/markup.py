"""Text of documents, files and people within markdown and terminals: it stays text."""

import re

# Whatever markdown, its dialects for tables, links, formulas and emoji, or HTML give a meaning.
_MARKS = re.compile(r"[\\`*_{}\[\]<>#|~&$^@]|:(?=//|\w)|=(?==)|(?<=www)\.")
# The page of Prefect shows entities without a name as they are written: others have a backslash.
_NAMED = {"<": "&lt;", ">": "&gt;", "&": "&amp;"}
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def as_text(text: str) -> str:
    """Text on one line of markdown, in a cell of a table too, that shows as it is."""
    line = _CONTROLS.sub("\ufffd", " ".join(text.split()))
    return _MARKS.sub(lambda mark: _NAMED.get(mark[0], f"\\{mark[0]}"), line)


def on_terminal(text: str) -> str:
    """Text that a terminal shows and does not obey; line ends and tabs stay."""
    return _CONTROLS.sub("\ufffd", text)
