"""Filling in: what an encoder puts in the place of the mask token of a text."""

import torch
from tokenizers import Tokenizer

from model.network.bert import Bert
from model.objectives.vocabulary import Vocabulary
from storage.errors import ConfigError


@torch.inference_mode()
def fill_in(
    network: Bert, tokenizer: Tokenizer, vocabulary: Vocabulary, text: str, sequence_length: int
) -> str:
    """The text with the likeliest token in the place of each mask, all read at once.

    Raises:
        ConfigError: there is no mask in the text, or it is longer than the network reads.
    """
    mask = vocabulary.require("mask")
    ids = [vocabulary.require("opening")]
    # A control token that a text spells is text to the tokenizer.
    for piece in text.split(vocabulary.tokens[mask]):
        ids += [*tokenizer.encode(piece, add_special_tokens=False).ids, mask]
    ids[-1] = vocabulary.closing
    places = [place for place, token in enumerate(ids) if token == mask]
    if not places:
        raise ConfigError(
            f"There is no {vocabulary.tokens[mask]} in {text[:60]!r}; expected one where a token "
            "is to be filled in."
        )
    if len(ids) > sequence_length:
        raise ConfigError(
            f"The text has {len(ids)} tokens, but the model reads {sequence_length}; shorten it."
        )
    device = network.embed_tokens.weight.device
    lengths = torch.tensor([len(ids)], device=device)
    hidden_BTD = network.hidden(torch.tensor([ids], device=device), lengths)
    logits_NV = network.masked_logits(hidden_BTD, torch.tensor([places], device=device))
    for place, token in zip(places, logits_NV.argmax(-1).tolist(), strict=True):
        ids[place] = token
    return str(tokenizer.decode(ids, skip_special_tokens=True))
