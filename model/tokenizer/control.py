"""Control tokens: which a family of models has, and where they stand around a document."""

import json
from collections.abc import Mapping
from pathlib import Path

from tokenizers import Tokenizer, processors

from corpusmill.storage.errors import ModelError

END_OF_TEXT = "<|endoftext|>"
SENTINELS = tuple(f"<extra_id_{number}>" for number in range(100))
# Of fill-in-the-middle: what stands before the prefix, the middle and the suffix.
INFILLING = ("<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>")
ROLE_FILES = ("tokenizer_config.json", "special_tokens_map.json")

# By family: the roles, as transformers calls them, and their tokens (GPT-2, BERT, T5).
ROLES: Mapping[str, Mapping[str, str]] = {
    "causal_lm": {"bos_token": END_OF_TEXT, "eos_token": END_OF_TEXT},
    "masked_lm": {
        "pad_token": "[PAD]",
        "unk_token": "[UNK]",
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
        "mask_token": "[MASK]",
    },
    "encoder_decoder": {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"},
}


def roles_of(family: str, algorithm: str) -> dict[str, str]:
    """The roles of a family and their tokens; Unigram cannot do without an unknown token."""
    roles = dict(ROLES[family])
    if algorithm == "unigram":
        roles.setdefault("unk_token", "<unk>")
    return roles


def control_tokens(family: str, algorithm: str, *, infilling: bool) -> list[str]:
    """All control tokens of a new vocabulary, in the order of their ids from 0."""
    more = SENTINELS if family == "encoder_decoder" else INFILLING if infilling else ()
    return list(dict.fromkeys([*roles_of(family, algorithm).values(), *more]))


def frame(tokenizer: Tokenizer, family: str, roles: Mapping[str, str]) -> None:
    """Makes the tokenizer set control tokens around its texts, as the family wants them.

    What parts two documents is what the template of a pair says, so that `tokenizer.json` alone
    tells it: nothing but end-of-text between them (causal_lm), `[CLS] … [SEP]` around the first
    (Devlin et al. 2019), `</s>` after each (Raffel et al. 2020).
    """
    if family == "masked_lm":
        opening, closing = roles["cls_token"], roles["sep_token"]
        single, pair = f"{opening} $A {closing}", f"{opening} $A {closing} $B:1 {closing}:1"
    else:
        opening = closing = roles["eos_token"]
        single = "$A" if family == "causal_lm" else f"$A {closing}"
        pair = f"$A {closing} $B:1" + ("" if family == "causal_lm" else f" {closing}:1")
    ids = [(token, tokenizer.token_to_id(token)) for token in sorted({opening, closing})]
    tokenizer.post_processor = processors.TemplateProcessing(single, pair, ids)


def framing_of(tokenizer: Tokenizer) -> tuple[list[int], int]:
    """Ids that stand before a document, and the id that closes it.

    Raises:
        ModelError: nothing parts two documents.
    """
    single, pair = tokenizer.encode("").ids, tokenizer.encode("", "").ids
    if pair:
        return single[:-1], pair[-1]
    legacy = tokenizer.token_to_id(END_OF_TEXT)  # of vocabularies without a template
    if legacy is None:
        raise ModelError(
            f"The tokenizer has no token that parts two documents, such as {END_OF_TEXT}; expected "
            "one made by corpusmill: bring it along with tokenizer.source."
        )
    return [], legacy


def end_of_text_id(tokenizer: Tokenizer) -> int:
    """Id of the control token that closes a document.

    Raises:
        ModelError: the vocabulary has none.
    """
    return framing_of(tokenizer)[1]


def control_ids(tokenizer: Tokenizer) -> dict[int, str]:
    """All ids that no text may become, with their tokens."""
    added = tokenizer.get_added_tokens_decoder()
    return {number: token.content for number, token in added.items() if token.special}


def read_roles(directory: Path) -> dict[str, str]:
    """The roles, such as mask_token, that the files of a tokenizer folder name, and their tokens.

    Raises:
        ModelError: one of the files is not JSON.
    """
    named: dict[str, str] = {}
    for name in ROLE_FILES:
        path = directory / name
        if not path.is_file():
            continue
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            items = list(values.items())
        except (ValueError, AttributeError) as error:
            raise ModelError(
                f"{path} is not a JSON object ({error}); mend or remove it."
            ) from error
        for role, token in items:
            content = token.get("content") if isinstance(token, dict) else token
            if role.endswith("_token") and isinstance(content, str):
                named[role] = content
    return named


def write_roles(directory: Path, roles: Mapping[str, str]) -> None:
    """Writes what `AutoTokenizer` needs beside tokenizer.json."""
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        **roles,
        "clean_up_tokenization_spaces": False,
    }
    for name, value in zip(ROLE_FILES, (config, roles), strict=True):
        (directory / name).write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
