"""A vocabulary brought along: a Hugging Face folder in place of learning, extended where asked."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

from tokenizers import Regex, Tokenizer, pre_tokenizers

from corpusmill.model.tokenizer.config import TokenizerConfig
from corpusmill.model.tokenizer.control import (
    INFILLING,
    ROLE_FILES,
    ROLES,
    SENTINELS,
    control_ids,
    read_roles,
)
from corpusmill.model.tokenizer.extension import extend_tokenizer
from corpusmill.model.tokenizer.files import build_tokenizer, has_vocabulary, vocabulary_files
from corpusmill.model.tokenizer.folder import TOKENIZER, as_used, load_tokenizer
from corpusmill.model.tokenizer.panics import panics_as_errors
from corpusmill.storage.errors import ConfigError, ModelError

# Looked for where the folder does not say; the first that is there.
_USUAL = {
    "eos_token": ("<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>"),
    "pad_token": ("[PAD]", "<pad>"),
    "unk_token": ("[UNK]", "<unk>"),
    "cls_token": ("[CLS]", "<s>"),
    "sep_token": ("[SEP]", "</s>"),
    "mask_token": ("[MASK]", "<mask>"),
}
_NEEDED = {
    "causal_lm": ("eos_token",),
    "masked_lm": ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"),
    "encoder_decoder": ("pad_token", "eos_token"),
}
_IN_NO_VOCABULARY = "\U00010600"  # a letter of Linear A


def bring_tokenizer(
    source: Path, sample: Sequence[str], config: TokenizerConfig
) -> tuple[Tokenizer, dict[str, str], str]:
    """The tokenizer of a folder, made safe against control tokens in texts, and grown if asked.

    Returns:
        The tokenizer, its roles and their tokens, and where it is from, in words.

    Raises:
        ModelError: there is no readable tokenizer in the folder, or one that some text stops or
            gets lost in.
        ConfigError: it lacks what the family needs, or cannot be extended as asked.
    """
    tokenizer = _read(source)
    _check_any_text(tokenizer, source)
    roles = _find_roles(tokenizer, source, config.family)
    tokenizer.add_special_tokens(list(dict.fromkeys(roles.values())))
    if config.family == "encoder_decoder" and tokenizer.token_to_id(SENTINELS[0]) is None:
        tokenizer.add_special_tokens(list(SENTINELS))
    if config.infilling:
        tokenizer.add_special_tokens(list(INFILLING))
    tokenizer = _made_safe(tokenizer)
    engine, present = f"brought along from {source.name}", tokenizer.get_vocab_size()
    if config.extend_to is None:
        return tokenizer, roles, engine
    if config.extend_to < present:
        raise ConfigError(
            f"tokenizer.extend_to is {config.extend_to}, but the vocabulary in {source} has "
            f"{present} tokens already; set it higher, or leave it out."
        )
    grown = extend_tokenizer(tokenizer, sample, config.extend_to)
    return grown, roles, f"{engine}, extended from {present} to {config.extend_to} tokens"


def source_files(config: TokenizerConfig) -> list[Path]:
    """The files that a tokenizer brought along consists of, as far as they are there."""
    if config.source is None:
        return []
    source = Path(config.source)
    paths = [path for name in (TOKENIZER, *ROLE_FILES) if (path := source / name).is_file()]
    return paths if source / TOKENIZER in paths else [*paths, *vocabulary_files(source)]


def _read(source: Path) -> Tokenizer:
    if not (source / TOKENIZER).is_file() and has_vocabulary(source):
        return as_used(build_tokenizer(source))
    return load_tokenizer(source)


def _check_any_text(tokenizer: Tokenizer, source: Path) -> None:
    """A character that the vocabulary lacks may neither stop the encoder nor vanish."""
    try:
        with panics_as_errors():
            ids = tokenizer.encode(_IN_NO_VOCABULARY, add_special_tokens=False).ids
        fault = "" if ids else "it is dropped"
    except Exception as error:  # tokenizers raises bare Exception
        fault = str(error)
    if fault:
        raise ModelError(
            f"The tokenizer in {source} has nothing to write {_IN_NO_VOCABULARY!r} with ({fault}); "
            "expected bytes to fall back on, or an unknown token in its vocabulary."
        )


def _find_roles(tokenizer: Tokenizer, source: Path, family: str) -> dict[str, str]:
    """The roles that the folder names, or that usual tokens suggest, as far as they are there."""
    present = tokenizer.get_vocab(with_added_tokens=True)
    usual = {
        role: token
        for role in {*ROLES[family], *_NEEDED[family]} & _USUAL.keys()
        for token in reversed(_USUAL[role])
        if token in present
    }
    named = {**usual, **read_roles(source)}
    roles = {role: token for role, token in sorted(named.items()) if token in present}
    missing = [role for role in _NEEDED[family] if role not in roles]
    if missing:
        raise ConfigError(
            f"The tokenizer in {source} has no {' and no '.join(missing)}, which family {family!r} "
            "needs; name it in its tokenizer_config.json, or bring one of that family."
        )
    return roles


def _made_safe(tokenizer: Tokenizer) -> Tokenizer:
    """The same tokenizer without what loses text or makes control tokens of it by the way."""
    value = json.loads(tokenizer.to_str())
    if (value["decoder"] or {}).get("type") == "WordPiece":
        # It would write "do not" as "don't".
        value["decoder"]["cleanup"] = False
    safe = Tokenizer.from_str(json.dumps(value, ensure_ascii=False))
    if value["model"]["type"] == "Unigram":
        # Its model looks for the likeliest pieces and finds `</s>` in a text that spells it: such
        # spellings, and no others, are cut behind their first character.
        tokens = sorted(control_ids(tokenizer).values())
        spelled = "|".join(f"{re.escape(token[0])}(?={re.escape(token[1:])})" for token in tokens)
        cuts = [safe.pre_tokenizer, pre_tokenizers.Split(Regex(spelled), "isolated")]
        safe.pre_tokenizer = pre_tokenizers.Sequence([cut for cut in cuts if cut])
    return safe
