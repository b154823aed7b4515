"""Byte-level BPE: training, acceptance checks and encoding. Imports no torch.

The algorithm is byte-pair encoding (Sennrich et al. 2016) over UTF-8 bytes (Radford et al. 2019),
run by Hugging Face `tokenizers`; the folder that is written loads with `AutoTokenizer`.
"""

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from pydantic import Field
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from storage.config import Config
from storage.errors import ConfigError, CorpusError, ModelError

END_OF_TEXT = "<|endoftext|>"
_BYTES_AND_CONTROL = 257
# Words with their leading space, numbers of up to three digits, punctuation, line ends: the
# pattern published with Llama 3, which holds for every script that Unicode calls letters.
_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_BATCH = 256


class TokenizerConfig(Config):
    """Attributes:
    vocab_size: tokens, with the 256 bytes and the control token among them.
    sample_bytes: UTF-8 bytes of training text that the merges are learned from.
    """

    vocab_size: int = Field(4096, ge=_BYTES_AND_CONTROL, le=1 << 20)
    sample_bytes: int = Field(100_000_000, ge=1)


def train_tokenizer(texts: Iterable[str], config: TokenizerConfig, directory: Path) -> None:
    """Learns the merges from `texts`, checks them and writes a tokenizer folder.

    Raises:
        ConfigError: the text does not support `vocab_size` tokens.
        CorpusError: a text does not come back from its tokens as it was.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PATTERN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=config.vocab_size,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    sample = list(_take_bytes(texts, config.sample_bytes))
    tokenizer.train_from_iterator(sample, trainer)
    _check_size(tokenizer, config.vocab_size, sample)
    tokenizer.save(str(directory / "tokenizer.json"))
    _write_companions(directory)
    _check_round_trip(load_tokenizer(directory), sample)


def load_tokenizer(directory: Path) -> Tokenizer:
    """The tokenizer of a folder, set so that no text becomes a control token.

    Raises:
        ModelError: there is no readable `tokenizer.json`.
    """
    path = directory / "tokenizer.json"
    try:
        tokenizer = Tokenizer.from_str(path.read_text(encoding="utf-8"))
    except Exception as error:  # tokenizers raises bare Exception
        raise ModelError(
            f"{path} is not a readable tokenizer ({error}); expected the tokenizer.json of "
            "Hugging Face tokenizers."
        ) from error
    tokenizer.encode_special_tokens = True
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def end_of_text_id(tokenizer: Tokenizer) -> int:
    """Id of the control token that closes a document.

    Raises:
        ModelError: the vocabulary has none.
    """
    token_id = tokenizer.token_to_id(END_OF_TEXT)
    if token_id is None:
        raise ModelError(
            f"The tokenizer has no {END_OF_TEXT} token; expected one trained by corpusmill."
        )
    return int(token_id)


def encode_documents(tokenizer: Tokenizer, texts: Iterable[str]) -> Iterator[np.ndarray]:
    """Token ids of each text followed by the end-of-text id; uint32, shape (tokens + 1,)."""
    end = end_of_text_id(tokenizer)
    texts = iter(texts)
    while batch := list(islice(texts, _BATCH)):
        for encoding in tokenizer.encode_batch_fast(batch, add_special_tokens=False):
            ids = np.empty(len(encoding.ids) + 1, dtype=np.uint32)
            ids[:-1] = encoding.ids
            ids[-1] = end
            yield ids


def _take_bytes(texts: Iterable[str], budget: int) -> Iterator[str]:
    for text in texts:
        yield text
        budget -= len(text.encode())
        if budget <= 0:
            return


def _check_size(tokenizer: Tokenizer, wanted: int, sample: list[str]) -> None:
    reached = tokenizer.get_vocab_size()
    if reached < wanted:
        size = sum(len(text.encode()) for text in sample)
        raise ConfigError(
            f"tokenizer.vocab_size is {wanted}, but {size:,} bytes of training text hold only "
            f"{reached} distinct tokens; set it to {reached} or less, or add text."
        )


def _check_round_trip(tokenizer: Tokenizer, sample: list[str]) -> None:
    probes = [*sample[:: max(1, len(sample) // 64)], f"{END_OF_TEXT} 中文 émoji 🎈\t\r\n"]
    end = end_of_text_id(tokenizer)
    for text in probes:
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        if end in ids or tokenizer.decode(ids, skip_special_tokens=False) != text:
            raise CorpusError(
                f"The trained tokenizer does not give back the text {text[:60]!r}; "
                "this is a defect of corpusmill, please report it."
            )


def _write_companions(directory: Path) -> None:
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": END_OF_TEXT,
        "eos_token": END_OF_TEXT,
        "clean_up_tokenization_spaces": False,
    }
    special = {"bos_token": END_OF_TEXT, "eos_token": END_OF_TEXT}
    for name, value in (("tokenizer_config.json", config), ("special_tokens_map.json", special)):
        (directory / name).write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
