"""Which encoding bytes of text are in, and the way from there to UTF-8.

A byte order mark decides; else what only UTF-16 and UTF-32 hold; else text that is mostly UTF-8 is
UTF-8; else chardet says what the bytes look like. Bytes that no encoding explains well enough stay
as they are, so that the documents they are in can be found and counted.
"""

import codecs
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from itertools import chain, pairwise

SAMPLE = 1 << 20
UTF_8 = "utf-8"

# UTF-32 first: its little-endian mark begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, UTF_8),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_HEAD = 1 << 12
# Bytes that are rare in text, except in UTF-16 and UTF-32.
_CONTROLS = bytes({*range(32)} - set(b"\t\n\v\f\r\x1b"))
_MIN_CONTROLS = 0.02
_MAX_UNASSIGNED = 0.01
# ISO-2022 and HZ are ASCII but for these sequences.
_SHIFTS = re.compile(rb"\x1b\$[@AB(]|\x1b\$\)C|~\{(?:[!-w][!-~])+~\}")
# Halves of surrogate pairs, as some databases write them in what is UTF-8 otherwise (CESU-8).
_HALVES = re.compile(rb"\xed[\xa0-\xbf][\x80-\xbf]")
# The least confidence at which chardet is believed (table in docs/benchmarks.md): of short text, a
# rare encoding is mostly an error.
_MIN_COMMON, _MIN_RARE = 0.12, 0.3
_COMMON = frozenset(
    {
        *(f"cp{page}" for page in (866, 874, 932, 949, *range(1250, 1259))),
        *(f"iso8859-{part}" for part in (1, 2, 5, 6, 7, 8, 9, 13, 15)),
        *("big5hkscs", "euc_jis_2004", "euc_jp", "euc_kr", "gb18030", "iso2022_jp_2"),
        *("iso2022_jp_2004", "iso2022_jp_ext", "koi8-r", "koi8-u", "shift_jis_2004", "tis-620"),
    }
)
# A lower confidence is enough if the decoded text reads as words, and any other encoding that gives
# words has less than this share of it.
_MIN_READABLE, _MAX_OTHER = 0.06, 0.9
_MAX_ODD = 0.05
_EAST_ASIAN = {"CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "HANGUL", "FULLWIDTH"}
_SIGN_WITHIN = re.compile(r"[^\W\d_][^\w\s\x00-\x7f\xab\xb7\xbb\u2010-\u201f\u2026][^\W\d_]")
# Text in the first is often really in the second, which has more characters: browsers decode it so
# (WHATWG), and what follows the sample may need it.
_WIDER = {
    "euc_jis_2004": "euc_jp",
    "euc_kr": "cp949",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "shift_jis": "cp932",
    "shift_jis_2004": "cp932",
    "tis-620": "cp874",
}
# In ISO 8859 these are control characters, which text does not have.
_NOT_ISO_8859 = re.compile(rb"[\x80-\x9f]")
_ISO_8859 = [f"iso8859-{part}" for part in range(1, 17) if part not in (11, 12)]
_HIGH_BYTES = re.compile(rb"[\x80-\xff]")
# So few bytes say nothing by their frequency, only by their neighbours: in code pages of the Latin
# script they are accented letters beside a letter, or typographic signs, and neither looks like the
# remains of UTF-8.
_FEW = 8
_LATIN = re.compile(
    rb"(?<=[A-Za-z\xc0-\xfe])[\xc0-\xd6\xd8-\xf6\xf8-\xfe](?![\x80-\xbf])"
    rb"|[\xc0-\xd6\xd8-\xf6\xf8-\xfe](?=[A-Za-z])|(?<=[ \n])[\xc0\xc8\xc9\xd3\xe0\xe8\xe9\xf3](?= )"
    rb"|(?<![\xc2-\xf4])[\x80\x82-\x89\x8b\x91-\x9c\x9e\x9f\xa0\xa1\xa3\xa5\xa7\xa9\xab\xae"
    rb"\xb0\xb2-\xb4\xb7\xb9\xbb-\xbf]"
)
_MIN_LATIN = 0.9
# If bad bytes hide the encoding of the whole, so many lines are detected one by one; most of those
# with a result must agree.
_LINES = 64
_MIN_LINES = 0.9


def encoding_of(head: bytes) -> str:
    """The encoding that text begins in; one of the names of `codecs.lookup`.

    Args:
        head: the first SAMPLE bytes, or all.
    """
    return certain(head) or guess(head) or UTF_8


def certain(head: bytes) -> str | None:
    """The encoding that a byte order mark, wide characters or escape sequences prove, or None."""
    marked = (encoding for mark, encoding in _MARKS if head.startswith(mark))
    return next(marked, None) or _wide(head) or _shifted(head)


def guess(data: bytes) -> str | None:
    """The encoding, other than UTF-8, that data may be in; None where UTF-8 is likelier.

    Only up to SAMPLE bytes around the first one that is not UTF-8 are looked at.
    """
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return _guess(data, error.start, error.reason)
    return None


def wider(encoding: str) -> str:
    """The larger encoding that text in this one is often really in, or this one (see _WIDER)."""
    return _WIDER.get(encoding, encoding)


def to_utf8(chunks: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    """The text in UTF-8; bytes that cannot be decoded become bytes that are invalid in UTF-8."""
    codecs.register_error("mark", _mark)
    decoder = codecs.getincrementaldecoder(encoding)("mark")
    for chunk in chain(chunks, [None]):
        text = decoder.decode(chunk or b"", final=chunk is None)
        yield text.encode("utf-8", "surrogateescape")


def without_mark(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """UTF-8 text without its byte order mark."""
    head = b""
    for chunk in chunks:
        head += chunk
        if len(head) >= len(codecs.BOM_UTF8):
            break
    yield head.removeprefix(codecs.BOM_UTF8)
    yield from chunks


def with_line_feeds(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """UTF-8 text with LF for CR LF and CR."""
    held = b""
    for chunk in chunks:
        data = held + chunk if held else chunk
        held = b""
        if b"\r" in data:
            # What follows it decides whether the last one is half of a CR LF.
            if data.endswith(b"\r"):
                data, held = data[:-1], b"\r"
            data = line_feeds(data)
        yield data
    yield line_feeds(held)


def line_feeds(data: bytes) -> bytes:
    """The text with LF for CR LF and CR."""
    return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in data else data


def _mark(error: UnicodeError) -> tuple[str, int]:
    """Codec error handler: one byte 0xFF, invalid in UTF-8, for what cannot be decoded."""
    assert isinstance(error, UnicodeDecodeError)
    return "\udcff", error.end


def _wide(head: bytes) -> str | None:
    """UTF-16 or UTF-32, if the bytes are text in it: no other text is that by chance."""
    sample = head[:_HEAD]
    controls = len(sample) - len(sample.translate(None, _CONTROLS))
    if not sample or controls < _MIN_CONTROLS * len(sample):
        return None
    for encoding in ("utf-32-le", "utf-32-be"):
        if _is_text(sample, encoding):
            return encoding
    # Characters of a script are close together: their upper bytes vary less than their lower bytes.
    uppers = {"utf-16-be": sample[::2], "utf-16-le": sample[1::2]}
    encoding = min(uppers, key=lambda name: len(set(uppers[name])))
    few, many = sorted(len(set(bytes_)) for bytes_ in uppers.values())
    # Much less in Latin, Greek, Cyrillic and Arabic, whose UTF-16 may be valid UTF-8 too.
    differ = few < (0.5 if _is_decoded(sample, UTF_8) else 0.9) * many
    return encoding if differ and _is_text(sample, encoding) else None


def _is_text(sample: bytes, encoding: str) -> bool:
    """Whether hardly any of its characters are ones that text does not have."""
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(sample)
    except UnicodeDecodeError:
        return False
    bad = sum(
        number
        for character, number in Counter(text).items()
        if unicodedata.category(character) in ("Cc", "Cn", "Co") and character not in "\t\n\f\r"
    )
    return text != "" and "\0" not in text and bad <= _MAX_UNASSIGNED * len(text)


def _is_decoded(sample: bytes, encoding: str) -> bool:
    try:
        codecs.getincrementaldecoder(encoding)().decode(sample)
    except UnicodeDecodeError:
        return False
    return True


def _shifted(head: bytes) -> str | None:
    """ISO-2022 or HZ, which are bytes of ASCII with escape sequences; else None."""
    is_likely = b"\x1b" in head or b"~{" in head
    return _detected(head) if is_likely and _SHIFTS.search(head) else None


def _guess(data: bytes, bad: int, reason: str) -> str | None:
    if reason == "unexpected end of data":
        return None
    start = max(0, bad - _HEAD)
    sample = data[start : start + SAMPLE]
    text = _HALVES.sub("\u00fc".encode(), sample).decode("utf-8", "surrogateescape")
    sound = len(re.findall("[\u0080-\ud7ff\ue000-\U0010ffff]", text))
    # Some characters of a two-byte encoding are valid UTF-8 by chance, but most are not.
    if 2 * sound >= len(re.findall("[\udc80-\udcff]", text)):
        return None
    encoding = _detected(sample)
    if encoding in _COMMON:
        return encoding
    # One undecodable byte hides the encoding of the whole, but not that of the other lines.
    return _detected_by_lines(sample) or encoding or _readable(sample)


def _detected(sample: bytes) -> str | None:
    """chardet's first answer, if it is confident enough; never UTF-8."""
    name, confidence = next(_ranked(sample))
    if confidence < (_MIN_COMMON if name in _COMMON else _MIN_RARE):
        return None
    return _checked(sample, name)


def _ranked(sample: bytes) -> Iterator[tuple[str, float]]:
    """chardet's answers and their confidence, likeliest first; that of ASCII and UTF is 0."""
    import chardet

    found = chardet.detect_all(
        sample,
        ignore_threshold=True,
        encoding_era=chardet.EncodingEra.ALL & ~chardet.EncodingEra.MAINFRAME,
        max_bytes=SAMPLE,
        compat_names=False,
        exclude_encodings=_ISO_8859 if _NOT_ISO_8859.search(sample) else None,
    )
    for each in found:
        name = each["encoding"] or UTF_8
        yield name, 0.0 if name.startswith(("ascii", "utf")) else each["confidence"]


def _checked(sample: bytes, name: str) -> str | None:
    encoding = wider(name) if _is_decoded(sample, wider(name)) else name
    high = _HIGH_BYTES.findall(sample)
    is_one_byte = len(sample.decode(encoding, "ignore")) == len(sample)
    if is_one_byte and len(high) <= _FEW:
        latin = len(_LATIN.findall(sample)) / len(high)
        return encoding if latin >= _MIN_LATIN else None
    return encoding


def _detected_by_lines(sample: bytes) -> str | None:
    """The encoding that most lines are detected to be in, each by itself."""
    lines = [line for line in sample.split(b"\n") if not line.isascii()]
    asked = lines[:: len(lines) // _LINES + 1]
    found = Counter(filter(None, map(_detected, asked)))
    for encoding, number in found.most_common(1):
        if number > len(asked) / 2 and number >= _MIN_LINES * found.total():
            return encoding
    return None


def _readable(sample: bytes) -> str | None:
    """chardet's likeliest encoding that gives words, unless another is about as likely."""
    found: list[tuple[str, float, str]] = []
    for name, confidence in _ranked(sample):
        if confidence < _MIN_READABLE * _MAX_OTHER:
            break
        encoding = wider(name)
        try:
            text = sample.decode(encoding)
        except (UnicodeDecodeError, LookupError):
            continue
        if not _is_of_words(text):
            continue
        if not found and (confidence < _MIN_READABLE or name not in _COMMON):
            return None
        if found and text != found[0][2]:
            if confidence >= _MAX_OTHER * found[0][1]:
                return None
            break
        found.append((encoding, confidence, text))
    return _checked(sample, found[0][0]) if found else None


def _is_of_words(text: str) -> bool:
    """Whether most words are of one script, with no signs or capitals inside them."""
    words = [word for word in text.split() if not word.isascii()]
    odd = 0
    for word in words:
        scripts = {
            unicodedata.name(letter, "").partition(" ")[0] for letter in word if letter.isalpha()
        }
        scripts -= _EAST_ASIAN
        odd += (
            len(scripts) > 1
            or bool(_SIGN_WITHIN.search(word))
            or any(a.islower() and b.isupper() for a, b in pairwise(word))
        )
    return odd <= _MAX_ODD * len(words)
