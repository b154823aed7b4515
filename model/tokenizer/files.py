"""A tokenizer from the files of its vocabulary alone, as transformers builds it of them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
)

from corpusmill.model.files import CONFIG, read_json
from corpusmill.storage.errors import ModelError

VOCABULARY, MERGES, WORDS, ADDED = "vocab.json", "merges.txt", "vocab.txt", "added_tokens.json"
SETTINGS = "tokenizer_config.json"
_QWEN_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_BY_TYPE = {"gpt2": "GPT2Tokenizer", "qwen3": "Qwen2Tokenizer", "bert": "BertTokenizer"}


def has_vocabulary(directory: Path) -> bool:
    """Whether a folder has files that a tokenizer can be built from."""
    return any((directory / name).is_file() for name in (VOCABULARY, WORDS))


def vocabulary_files(directory: Path) -> list[Path]:
    """The files that a tokenizer is built from where there is no tokenizer.json."""
    paths = [directory / name for name in (VOCABULARY, MERGES, WORDS, ADDED, CONFIG)]
    return [path for path in paths if path.is_file()]


def build_tokenizer(directory: Path) -> Tokenizer:
    """The tokenizer of vocab.json and merges.txt, or of vocab.txt.

    Which of those that have such files is told by the class that tokenizer_config.json names, by
    the model type of config.json, or else by the files: GPT-2's or BERT's.

    Raises:
        ModelError: there are no such files, they cannot be read, or they belong to another class.
    """
    by_words = (directory / WORDS).is_file() and not (directory / MERGES).is_file()
    settings = _read_if_there(directory / SETTINGS)
    kind = _BY_TYPE.get(str(_read_if_there(directory / CONFIG).get("model_type")))
    kind = kind or ("BertTokenizer" if by_words else "GPT2Tokenizer")
    kind = str(settings.get("tokenizer_class") or kind).removesuffix("Fast")
    if kind not in _BUILDERS or (kind == "BertTokenizer") != by_words:
        raise ModelError(
            f"{directory} has the vocabulary of a {kind} without a tokenizer.json, expected "
            f"{' or '.join(sorted(_BUILDERS))} with their own files; save it with "
            "AutoTokenizer.from_pretrained(…).save_pretrained(…) of transformers."
        )
    try:
        tokenizer = _BUILDERS[kind](directory, settings)
    except Exception as error:  # tokenizers raises bare Exception
        raise ModelError(f"{directory} holds no readable vocabulary ({error}).") from error
    _add_tokens(tokenizer, directory, settings)
    return tokenizer


def _gpt2(directory: Path, settings: Mapping[str, Any]) -> Tokenizer:
    tokenizer = Tokenizer(_byte_pairs(directory))
    space = bool(settings.get("add_prefix_space"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=space)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _qwen2(directory: Path, settings: Mapping[str, Any]) -> Tokenizer:
    tokenizer = Tokenizer(_byte_pairs(directory))
    space = bool(settings.get("add_prefix_space"))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_QWEN_WORDS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=space, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _bert(directory: Path, settings: Mapping[str, Any]) -> Tokenizer:
    lines = (directory / WORDS).read_text(encoding="utf-8").removesuffix("\n").split("\n")
    vocabulary = {token: number for number, token in enumerate(lines)}
    unknown = settings.get("unk_token") or "[UNK]"
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token=_content(unknown)))
    tokenizer.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=settings.get("tokenize_chinese_chars", True),
        strip_accents=settings.get("strip_accents"),
        lowercase=settings.get("do_lower_case", True),
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    return tokenizer


_BUILDERS: Mapping[str, Callable[[Path, Mapping[str, Any]], Tokenizer]] = {
    "GPT2Tokenizer": _gpt2,
    "Qwen2Tokenizer": _qwen2,
    "BertTokenizer": _bert,
}


def _byte_pairs(directory: Path) -> models.BPE:
    return models.BPE.from_file(str(directory / VOCABULARY), str(directory / MERGES))


def _add_tokens(tokenizer: Tokenizer, directory: Path, settings: Mapping[str, Any]) -> None:
    """Adds the tokens that are named beside the vocabulary, under the ids that they are given."""
    given = {int(number): each for number, each in settings.get("added_tokens_decoder", {}).items()}
    for token, number in _read_if_there(directory / ADDED).items():
        given.setdefault(number, {"content": token})
    for number, each in sorted(given.items()):
        tokenizer.add_tokens([AddedToken(**{k: v for k, v in each.items() if k != "__type"})])
        found = tokenizer.token_to_id(each["content"])
        if found != number:
            raise ModelError(
                f"{directory} gives {each['content']!r} the id {number}, but behind its vocabulary "
                f"it has {found}; the files do not belong together."
            )


def _content(token: Any) -> str:
    return str(token["content"] if isinstance(token, dict) else token)


def _read_if_there(path: Path) -> dict[str, Any]:
    return read_json(path) if path.is_file() else {}
