"""Text of documents, files and people within markdown, terminals and commands: it stays text."""

import os
import re
import shlex

# Whatever markdown, its dialects for tables, links, formulas and emoji, or HTML give a meaning.
_MARKS = re.compile(r"[\\`*_{}\[\]<>#|~&$^@]|:(?=//|\w)|=(?==)|(?<=www)\.")
# The page of Prefect shows entities without a name as they are written: others have a backslash.
_NAMED = {"<": "&lt;", ">": "&gt;", "&": "&amp;"}
# What a terminal obeys, and what turns the order around in which it or a page shows what follows
# (Unicode's Bidi_Control; Boucher and Anderson 2021, "Trojan Source").
_BIDI = r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_CONTROLS = re.compile(rf"[\x00-\x08\x0b-\x1f\x7f-\x9f{_BIDI}]")
_BREAKS = re.compile("[\t\n\u2028\u2029]")
_REPLACEMENT = "\ufffd"


def as_text(text: str) -> str:
    """Text on one line of markdown, in a cell of a table too, that shows as it is."""
    line = _CONTROLS.sub(_REPLACEMENT, " ".join(text.split()))
    return _MARKS.sub(lambda mark: _NAMED.get(mark[0], f"\\{mark[0]}"), line)


def on_terminal(text: str) -> str:
    """Text that a terminal shows and does not obey; line ends and tabs stay.

    Where lines mean something, `as_line` keeps what is in one from making others.
    """
    return _CONTROLS.sub(_REPLACEMENT, text)


def as_line(text: str) -> str:
    """Text that a terminal shows as one line, whatever names of files within it hold."""
    return _BREAKS.sub(_REPLACEMENT, on_terminal(text))


def json_on_terminal(text: str) -> str:
    """JSON of the same value that a terminal does not obey."""
    return _CONTROLS.sub(lambda each: f"\\u{ord(each[0]):04x}", text)


def command(verb: str, argument: str, *options: str) -> str:
    """A command of corpusmill on one line, which a shell takes as it is, whatever was given."""
    # What begins like an option is an argument behind two dashes.
    behind = [*options, "--", argument] if argument.startswith("-") else [argument, *options]
    return " ".join(map(quoted, ("corpusmill", verb, *behind)))


def quoted(text: str) -> str:
    """One word of a shell, bash or zsh, on one line of what can be printed."""
    if text.isprintable():
        return shlex.quote(text)
    return f"$'{''.join(map(_spelt, text))}'"


def _spelt(character: str) -> str:
    if character in "\\'":
        return f"\\{character}"
    if character.isprintable():
        return character
    named = {"\n": "\\n", "\t": "\\t"}.get(character)
    # Names of files may hold bytes that are no text.
    return named or "".join(f"\\x{byte:02x}" for byte in os.fsencode(character))
