"""The samples of a run: shards as its objectives read them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from model.data.batches import Samples
from model.data.packing import Packed
from model.data.windows import Windows
from model.network.config import BertConfig, DecoderConfig, ModelConfig
from model.objectives.config import MaskedTokens
from model.objectives.masked import MaskedRows, SentencePairs
from model.objectives.masking import Masking
from model.objectives.vocabulary import read_vocabulary
from model.training.config import TrainConfig
from storage.shards.reading import TokenStream, read_document_ends
from storage.shards.schema import Split

Sections = Sequence[tuple[int, int]]


@dataclass(frozen=True)
class Reading:
    """What is read, for which network.

    Attributes:
        shards: their folder.
        tokenizer: its folder; a causal network is taught without looking at it.
    """

    shards: Path
    model: ModelConfig = field(default_factory=DecoderConfig)
    tokenizer: Path | None = None


def open_samples(
    reading: Reading, config: TrainConfig, split: Split, sections: Sections | None = None
) -> Samples:
    """The samples of one split.

    Args:
        sections: (first token, tokens) of each; one of everything where it is not given.

    Raises:
        ArtifactError: the files are not token shards.
        ConfigError: the objective does not fit the tokenizer or the text.
    """
    stream = TokenStream(reading.shards, split)
    sections = sections or [(0, len(stream))]
    if isinstance(reading.model, BertConfig):
        return _masked(reading, reading.model, config, stream, split, sections)
    # Held-out text is read in windows always: whatever the packing, losses compare.
    if config.packing == "best_fit" and split == "train":
        ends = read_document_ends(reading.shards, split)
        return Packed(stream, config.sequence_length, ends, sections)
    masked = config.document_mask and split == "train"
    ends_or_none = read_document_ends(reading.shards, split) if masked else None
    return Windows(stream, config.sequence_length, sections, ends_or_none)


def _masked(
    reading: Reading,
    model: BertConfig,
    config: TrainConfig,
    stream: TokenStream,
    split: Split,
    sections: Sections,
) -> Samples:
    assert reading.tokenizer
    [objective] = [each for each in config.objectives if isinstance(each, MaskedTokens)] or [
        MaskedTokens()
    ]
    masking = Masking(objective, read_vocabulary(reading.tokenizer), config.seed)
    ends = read_document_ends(reading.shards, split)
    parts = stream, ends, config.sequence_length, masking, sections
    if model.next_sentence:
        return SentencePairs(*parts, least=2 if split == "train" else 1)
    return MaskedRows(*parts, document_mask=config.document_mask)
