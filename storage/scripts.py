"""Scripts that set no spaces between words, as ranges of code points, first and last included."""

Ranges = tuple[tuple[int, int], ...]

HAN: Ranges = (
    (0x3005, 0x3007),
    (0x3100, 0x312F),  # Bopomofo
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)
KANA: Ranges = (
    (0x3040, 0x30FF),
    (0x31F0, 0x31FF),
    (0xFF66, 0xFF9F),
    (0x1B000, 0x1B16F),
)
OTHERS: Ranges = (
    (0x0E00, 0x0FFF),  # Thai, Lao, Tibetan
    (0x1000, 0x109F),  # Burmese
    (0x1780, 0x17FF),  # Khmer
    (0x1980, 0x1AAF),  # New Tai Lue, Tai Tham
    (0x1B00, 0x1B7F),  # Balinese
    (0xA000, 0xA4CF),  # Yi
    (0xA980, 0xA9FF),  # Javanese, Burmese
    (0xAA60, 0xAA7F),
)
WITHOUT_SPACES: Ranges = HAN + KANA + OTHERS


def is_among(code: int, ranges: Ranges) -> bool:
    """Whether a code point lies in one of these ranges."""
    return any(first <= code <= last for first, last in ranges)


def character_class(ranges: Ranges) -> str:
    """What stands between the brackets of a regular expression for these code points."""
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in ranges)
