"""What a tokenizer must show before anything is made with it."""

import json
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path

from tokenizers import Tokenizer

from corpusmill.model.tokenizer.control import control_ids, framing_of
from corpusmill.model.tokenizer.encoding import decode, encode_texts
from corpusmill.model.tokenizer.folder import load_tokenizer
from corpusmill.model.tokenizer.hostile import hostile_texts
from corpusmill.model.tokenizer.panics import tokenizer_refused
from corpusmill.model.tokenizer.sampling import Piece
from corpusmill.storage.errors import ConfigError, ModelError

_PASSAGES = 8
_PASSAGE = 400  # characters
_LANGUAGE_BYTES = 1 << 20
_BATCH = 16
# Of a language's tokens; one that has less than this of the text cannot spoil more of it either.
MAX_UNKNOWN = 0.01


@dataclass(frozen=True, slots=True)
class Figures:
    """What the checks measured.

    Attributes:
        vocab_size: tokens, control tokens included.
        bytes_per_token: UTF-8 bytes over tokens, by language, on up to 1 MB of each.
        unknown: share of tokens that stand for characters the vocabulary lacks, by language.
        scripts: writing systems in the sample, all of which came back.
    """

    vocab_size: int
    bytes_per_token: dict[str, float]
    unknown: dict[str, float]
    scripts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A tokenizer under examination; `unknown` is the id of what it lacks, -1 where it has none."""

    directory: Path
    tokenizer: Tokenizer
    unknown: int

    def ids(self, text: str) -> list[int]:
        return encode_texts(self.tokenizer, [text])[0]


@tokenizer_refused("encode and decode every text")
def accept(directory: Path, sample: Sequence[Piece], *, exact: bool = False) -> Figures:
    """Checks the tokenizer in a folder on a sample of the corpus.

    Args:
        exact: whether every text must come back as it was, as from one that is learned here for a
            model that writes; else, where the tokenizer normalises, up to that and to white space.

    Raises:
        ModelError: ids with holes, a text that becomes a control token, or one that does not come
            back; a text that the tokenizer fails on.
        ConfigError: too many characters of a language, that is 1 % of the sample or more, are
            unknown to it.
    """
    tokenizer = load_tokenizer(directory)
    candidate = _Candidate(directory, tokenizer, _unknown_id(tokenizer))
    _check_ids(candidate)
    _check_control(candidate)
    bytes_per_token, unknown = _compress(candidate, sample)
    _check_unknown(unknown, sample, directory)
    passages = passages_by_script(piece.text for piece in sample)
    for script, texts in passages.items():
        for text in texts:
            _check_round_trip(candidate, text, f"in the script {script!r}", exact)
    for token in tokenizer.get_added_tokens_decoder().values():
        for text in _around(token.content):
            _check_round_trip(candidate, text, f"with its added token {token.content!r}", exact)
    if exact:
        for text in hostile_texts(()):
            _check_round_trip(candidate, text, "of odd characters", exact)
    scripts = tuple(sorted(passages))
    return Figures(tokenizer.get_vocab_size(), bytes_per_token, unknown, scripts)


def passages_by_script(texts: Iterable[str]) -> dict[str, list[str]]:
    """Up to 8 passages for each script, each of up to 400 characters around its first character."""
    passages: dict[str, list[str]] = {}
    full: set[str] = set()
    for text in texts:
        characters = set(text) - full
        for character in sorted(characters):
            script = _script(character)
            found = passages.setdefault(script, [])
            if len(found) < _PASSAGES:
                start = max(0, text.index(character) - _PASSAGE // 2)
                found.append(text[start : start + _PASSAGE])
            else:
                full.add(character)
    return passages


@lru_cache(maxsize=1 << 16)
def _script(character: str) -> str:
    """The first word of its Unicode name, which is that of its script for letters."""
    if not character.isalpha():
        return "signs"
    return unicodedata.name(character, "unnamed").split()[0].split("-")[0].lower()


def _check_ids(candidate: _Candidate) -> None:
    ids = sorted(candidate.tokenizer.get_vocab(with_added_tokens=True).values())
    if ids != list(range(len(ids))):
        wrong = next(number for number, found in enumerate(ids) if number != found)
        raise ModelError(
            f"The {len(ids)} tokens in {candidate.directory} do not have the ids from 0 to "
            f"{len(ids) - 1}: {wrong} is missing or the one before comes twice; expected one id "
            "for each token, without holes."
        )


def _check_control(candidate: _Candidate) -> None:
    """No text may spell a control token, whatever stands around it."""
    before, closing = framing_of(candidate.tokenizer)
    control = control_ids(candidate.tokenizer)
    if not {*before, closing} <= control.keys():
        raise ModelError(
            f"Documents are parted by token {closing} of {candidate.directory}, which is not among "
            "its control tokens; mark it as special in tokenizer.json."
        )
    for token in control.values():
        for text in _around(token):
            if met := control.keys() & {*candidate.ids(text)} - {candidate.unknown}:
                raise ModelError(
                    f"The text {text!r} becomes the control token {control[min(met)]!r} of "
                    f"{candidate.directory}; expected ordinary tokens: mark it as special in "
                    "tokenizer.json, and let no merge and no word spell it."
                )


def _around(token: str) -> tuple[str, ...]:
    """Texts that spell a token."""
    return (token, f"a{token}b", f"a {token} b", f" {token}\n", f"中{token}文", token * 3)


def _compress(
    candidate: _Candidate, sample: Sequence[Piece]
) -> tuple[dict[str, float], dict[str, float]]:
    """Bytes a token, and the share of unknown tokens, by language."""
    bytes_per_token, unknown = {}, {}
    for language in sorted({piece.stratum[1] for piece in sample}):
        texts = (piece.text for piece in sample if piece.stratum[1] == language)
        size, tokens, missed = 0, 0, 0
        while size < _LANGUAGE_BYTES and (batch := list(islice(texts, _BATCH))):
            size += sum(len(text.encode()) for text in batch)
            for ids in encode_texts(candidate.tokenizer, batch):
                tokens += len(ids)
                missed += ids.count(candidate.unknown)
        bytes_per_token[language] = size / max(1, tokens)
        unknown[language] = missed / max(1, tokens)
    return bytes_per_token, unknown


def _check_unknown(unknown: dict[str, float], sample: Sequence[Piece], directory: Path) -> None:
    sizes: Counter[str] = Counter()
    for piece in sample:
        sizes[piece.stratum[1]] += len(piece.text)
    for language, share in unknown.items():
        if share > MAX_UNKNOWN and sizes[language] >= MAX_UNKNOWN * sizes.total():
            raise ConfigError(
                f"{share:.1%} of the tokens of language {language!r} are unknown to the vocabulary "
                f"in {directory}, expected at most {MAX_UNKNOWN:.0%}; raise tokenizer.vocab_size "
                "or character_coverage, or take one that falls back on bytes (algorithm bpe or "
                "unigram)."
            )


def _check_round_trip(candidate: _Candidate, text: str, what: str, exact: bool) -> None:
    ids, tokenizer = candidate.ids(text), candidate.tokenizer
    if candidate.unknown in ids and not exact:
        return
    back = decode(tokenizer, ids, skip_special_tokens=False)
    same = back == text
    if not same and not exact and tokenizer.normalizer is not None:
        same = _squash(tokenizer, back) == _squash(tokenizer, text)
    if not same:
        raise ModelError(
            f"The tokenizer in {candidate.directory} does not give back a text {what}: "
            f"{text[:60]!r} becomes {back[:60]!r}; mend its tokenizer.json (an added token with "
            "lstrip or rstrip takes the spaces beside it), or take another tokenizer."
        )


def _squash(tokenizer: Tokenizer, text: str) -> str:
    """What is left of a text after normalisation, without white space and SentencePiece's mark."""
    return "".join(tokenizer.normalizer.normalize_str(text).replace("▁", " ").split())


def _unknown_id(tokenizer: Tokenizer) -> int:
    model = json.loads(tokenizer.to_str())["model"]
    token = model.get("unk_token")
    number = tokenizer.token_to_id(token) if token else model.get("unk_id")
    return -1 if number is None else int(number)
