"""Filling in: texts with masks or sentinels, and what an encoder puts in the place of a mask."""

import re

import torch
from tokenizers import Tokenizer

from corpusmill.model.finite import check_logits
from corpusmill.model.network.bert import Bert
from corpusmill.model.objectives.vocabulary import Vocabulary
from corpusmill.model.tokenizer.encoding import decode, encode_texts
from corpusmill.storage.errors import ConfigError


@torch.inference_mode()
def fill_in(
    network: Bert, tokenizer: Tokenizer, vocabulary: Vocabulary, text: str, sequence_length: int
) -> str:
    """The text with the likeliest token in the place of each mask, all read at once.

    Raises:
        ConfigError: there is no mask in the text, or it is longer than the network reads.
    """
    mask = vocabulary.require("mask")
    ids = [vocabulary.require("opening"), *_encoded(text, tokenizer, vocabulary, (mask,))]
    ids.append(vocabulary.closing)
    places = [place for place, token in enumerate(ids) if token == mask]
    if not places:
        raise ConfigError(
            f"There is no {vocabulary.tokens[mask]} in {text[:60]!r}; expected one where a token "
            "is to be filled in."
        )
    check_length(len(ids), sequence_length)
    device = network.embed_tokens.weight.device
    lengths = torch.tensor([len(ids)], device=device)
    hidden_BTD = network.hidden(torch.tensor([ids], device=device), lengths)
    logits_NV = network.masked_logits(hidden_BTD, torch.tensor([places], device=device))
    check_logits(logits_NV)
    for place, token in zip(places, logits_NV.argmax(-1).tolist(), strict=True):
        ids[place] = token
    return decode(tokenizer, ids, skip_special_tokens=True)


def read_source(
    text: str, tokenizer: Tokenizer, vocabulary: Vocabulary, sequence_length: int
) -> list[int]:
    """A text as an encoder-decoder reads it; sentinels that it spells stand for what is missing.

    Raises:
        ConfigError: it is longer than the network reads.
    """
    ids = [*_encoded(text, tokenizer, vocabulary, vocabulary.sentinels), vocabulary.closing]
    check_length(len(ids), sequence_length)
    return ids


def _encoded(
    text: str, tokenizer: Tokenizer, vocabulary: Vocabulary, marks: tuple[int, ...]
) -> list[int]:
    """Ids of a text in which some control tokens are what they are.

    A control token that a text spells is text to the tokenizer.
    """
    by_token = {vocabulary.tokens[mark]: mark for mark in marks}
    if not by_token:
        return encode_texts(tokenizer, [text])[0]
    pattern = "|".join(re.escape(token) for token in sorted(by_token, key=len, reverse=True))
    ids: list[int] = []
    for piece in re.split(f"({pattern})", text):
        if piece in by_token:
            ids.append(by_token[piece])
        else:
            ids += encode_texts(tokenizer, [piece])[0]
    return ids


def check_length(tokens: int, sequence_length: int) -> None:
    """Refuses a text of more tokens than a network reads, those around it among them.

    Raises:
        ConfigError: with both numbers.
    """
    if tokens > sequence_length:
        raise ConfigError(
            f"The text has {tokens} tokens, but the model reads {sequence_length}; shorten it."
        )
