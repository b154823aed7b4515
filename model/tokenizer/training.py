"""A vocabulary from text: what is learned, by whom, and the folder that holds it. No torch."""

import unicodedata
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

from tokenizers import Tokenizer

from corpusmill.model.tokenizer.bpe import train_bpe
from corpusmill.model.tokenizer.brought import bring_tokenizer
from corpusmill.model.tokenizer.config import TokenizerConfig
from corpusmill.model.tokenizer.control import control_tokens, frame, roles_of, write_roles
from corpusmill.model.tokenizer.folder import TOKENIZER
from corpusmill.model.tokenizer.memory import learner_of
from corpusmill.model.tokenizer.panics import tokenizer_refused
from corpusmill.model.tokenizer.runs import learnable
from corpusmill.model.tokenizer.unigram import train_unigram
from corpusmill.model.tokenizer.wordpiece import train_wordpiece
from corpusmill.storage.errors import ConfigError


def train_tokenizer(texts: Iterable[str], config: TokenizerConfig, directory: Path) -> str:
    """Learns a vocabulary from `texts`, or brings one along, and writes a tokenizer folder.

    Returns:
        The engine that learned it, in words.

    Raises:
        ConfigError: the text does not support so many tokens, or the vocabulary brought along does
            not fit the configuration.
        ModelError: there is no readable tokenizer in `config.source`.
    """
    sample = list(learnable(texts))
    if config.source:
        with tokenizer_refused("take this text"):
            tokenizer, roles, engine = bring_tokenizer(Path(config.source), sample, config)
    else:
        with tokenizer_refused("learn from this text"):
            tokenizer, engine = _learn(sample, config)
        roles = roles_of(config.family, config.algorithm)
        _check_size(tokenizer, config, sample)
    frame(tokenizer, config.family, roles)
    tokenizer.save(str(directory / TOKENIZER))
    write_roles(directory, roles)
    return engine


def engines_of(config: TokenizerConfig) -> dict[str, str]:
    """The packages that decide what is learned here, and their versions."""
    engines = {"tokenizers": version("tokenizers"), "unicode": unicodedata.unidata_version}
    if learner_of(config) == "rustbpe":
        engines["rustbpe"] = version("rustbpe")
    return engines


def _learn(sample: list[str], config: TokenizerConfig) -> tuple[Tokenizer, str]:
    control = control_tokens(config.family, config.algorithm, infilling=config.infilling)
    if config.algorithm == "bpe":
        return train_bpe(sample, config.vocab_size, control)
    train = train_wordpiece if config.algorithm == "wordpiece" else train_unigram
    return train(sample, config.vocab_size, control, config.character_coverage), "tokenizers"


def _check_size(tokenizer: Tokenizer, config: TokenizerConfig, sample: list[str]) -> None:
    reached = tokenizer.get_vocab_size()
    if reached < config.vocab_size:
        size = sum(len(text.encode()) for text in sample)
        raise ConfigError(
            f"tokenizer.vocab_size is {config.vocab_size}, but {size:,} bytes of training text "
            f"hold only {reached} distinct tokens; {_within_reach(reached, config)}."
        )


def _within_reach(reached: int, config: TokenizerConfig) -> str:
    if config.algorithm == "bpe":
        return f"set it to {reached} or less, or add text"
    # Of Unigram's, characters are a part of what is asked for: of `reached` fewer would be learned.
    less = "well below {}" if config.algorithm == "unigram" else "to {} or less"
    smaller = f"set it {less.format(reached)}, " if reached > config.smallest else ""
    return f"{smaller}add text, or set algorithm to bpe"
