"""How numbers, names and hostile excerpts are written for a person to read."""

import re
import unicodedata
from collections.abc import Mapping
from difflib import SequenceMatcher
from typing import Any

from markupsafe import Markup, escape

_SPACE = "\u00a0"
# Marks and embeddings that turn the direction of what follows, and the byte order mark.
_UNSEEN = frozenset(
    "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff"
)
_UNPRINTABLE = frozenset({"Cc", "Cn", "Co", "Cs", "Zl", "Zp"})
_WORD = re.compile(r"[^\W\u2e80-\u9fff\uac00-\ud7af]+|\s+|.", re.DOTALL)
_SPELT = {
    "c4:": "C4:",
    "fineweb:": "FineWeb:",
    "html": "HTML",
    "ip": "IP",
    "json": "JSON",
    "nfc": "NFC",
    "pii": "PII",
}


def number(count: int) -> str:
    """All digits, in groups of three."""
    return f"{count:,}"


def short(count: int) -> str:
    """Three digits and a unit: 12.3 M; all digits below 100,000."""
    return number(count) if count < 100_000 else _scaled(count, ("", "K", "M", "B", "T"))


def size(count: int) -> str:
    """Bytes in decimal units, three digits: 12.3 MB."""
    if abs(count) < 1000:
        return f"{count}{_SPACE}{'byte' if abs(count) == 1 else 'bytes'}"
    return _scaled(count, ("", "kB", "MB", "GB", "TB", "PB"))


def power(exponent: int) -> str:
    """2^exponent bytes, in binary units: 512 B, 1 KiB."""
    unit = min(exponent // 10, 4)
    return f"{2 ** (exponent - 10 * unit):,}{_SPACE}{('B', 'KiB', 'MiB', 'GiB', 'TiB')[unit]}"


def share(part: int, whole: int) -> str:
    """Part of a whole in percent; what is neither nothing nor all does not look like that."""
    if whole <= 0:
        return "–"
    percent = 100 * part / whole
    if 0 < percent < 0.1:
        return f"<0.1{_SPACE}%"
    if 99.9 < percent < 100:
        return f">99.9{_SPACE}%"
    return f"{percent:.{0 if percent in (0, 100) else 1}f}{_SPACE}%"


def width(part: float, whole: float) -> float:
    """Part of a whole as the length of a bar, 0 to 100."""
    return round(min(100.0, max(0.0, 100 * part / whole)), 3) if whole > 0 else 0.0


def plain(name: str) -> str:
    """A reason or an edit in words: `gopher.word_count` is Gopher: word count."""
    words = name.replace(".", ": ").replace("_", " ").strip()
    words = " ".join(_SPELT.get(word, word) for word in words.split(" "))
    return words[:1].upper() + words[1:]


def counted(count: int, one: str) -> str:
    """1 file, 1,200 files."""
    return f"{count:,} {one}" if count == 1 else f"{count:,} {one}s"


def one_line(text: str | None) -> str:
    """What was written, without its line breaks."""
    return " ".join((text or "").split())


def unread_sentence(unread: Mapping[str, Any]) -> str:
    """What a file lost because it could not be read: an entry of a manifest's `unread`."""
    lost = f"{counted(unread['documents'], 'document')}, {size(unread['bytes'])}"
    more = ", and more, for its end is missing," if unread["doubtful"] else ""
    return f"{lost}{more} not read; {unread['detail']}"


def language(code: str) -> str:
    """The English name of an ISO 639 language, by CLDR; the code where that has none."""
    # Here: it takes 0.06 s, and most of those who import this module name no language.
    from babel import Locale

    return "Not determined" if code == "und" else Locale("en").languages.get(code, code)


def visible(text: str) -> Markup:
    """Escaped text on one line, in which control characters and turns of direction are seen."""
    return Markup("").join(_seen(character) for character in text)


def compared(first: str, second: str) -> tuple[Markup, Markup]:
    """Both texts, with what each alone has marked."""
    left, right = _WORD.findall(first), _WORD.findall(second)
    sides: tuple[list[Markup], list[Markup]] = ([], [])
    for tag, a, b, c, d in SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
        mark = Markup("{}" if tag == "equal" else "<mark>{}</mark>")
        for side, words in zip(sides, (left[a:b], right[c:d]), strict=True):
            if words:
                side.append(mark.format(visible("".join(words))))
    return Markup("").join(sides[0]), Markup("").join(sides[1])


def _seen(character: str) -> Markup:
    if character in "\n\t":
        return Markup('<i class="unseen">{}</i> ').format("↵" if character == "\n" else "⇥")
    if character in _UNSEEN or unicodedata.category(character) in _UNPRINTABLE:
        return Markup('<i class="unseen">U+{}</i>').format(f"{ord(character):04X}")
    return escape(character)


def _scaled(count: int, units: tuple[str, ...]) -> str:
    value, unit = float(count), 0
    while abs(value) >= 999.5 and unit < len(units) - 1:
        value, unit = value / 1000, unit + 1
    digits = 2 if abs(value) < 9.995 else 1 if abs(value) < 99.95 else 0
    return f"{value:.{digits}f}{_SPACE}{units[unit]}"
