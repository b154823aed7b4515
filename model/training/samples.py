"""The samples of a run: shards as its objectives read them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from corpusmill.model.data.batches import Samples
from corpusmill.model.data.packing import Packed
from corpusmill.model.data.windows import Windows
from corpusmill.model.network.config import BertConfig, DecoderConfig, ModelConfig
from corpusmill.model.objectives.config import (
    FillInTheMiddle,
    MaskedTokens,
    NextToken,
    Objective,
    SpanCorruption,
    Translation,
    default_objective,
)
from corpusmill.model.objectives.infilling import Infilled
from corpusmill.model.objectives.masked import MaskedRows
from corpusmill.model.objectives.masking import Masking
from corpusmill.model.objectives.pairs import SentencePairs
from corpusmill.model.objectives.spans import CorruptedRows
from corpusmill.model.objectives.translation import TranslatedPairs
from corpusmill.model.objectives.vocabulary import Vocabulary, read_vocabulary
from corpusmill.model.tasks.config import HeadConfig
from corpusmill.model.tasks.labelled import open_labelled
from corpusmill.model.training.config import TrainConfig
from corpusmill.model.training.groups import BestFitPacking, WindowPacking
from corpusmill.storage.shards.reading import TokenStream, read_document_ends, read_pairs
from corpusmill.storage.splits import Split

Sections = Sequence[tuple[int, int]]


@dataclass(frozen=True)
class Reading:
    """What is read, for which network.

    Attributes:
        shards: their folder.
        tokenizer: its folder; a causal network is taught without looking at it.
        head: of a network that answers with labels; `shards` are then examples.
        share: of those examples that it learns from.
    """

    shards: Path
    model: ModelConfig = field(default_factory=DecoderConfig)
    tokenizer: Path | None = None
    head: HeadConfig | None = None
    share: float = 1.0


def open_samples(
    reading: Reading, config: TrainConfig, split: Split, sections: Sections | None = None
) -> Samples:
    """The samples of one split, of the first objective alone where there are several.

    Args:
        sections: (first token, tokens) of each; one of everything where it is not given.

    Raises:
        ArtifactError: the files are not token shards.
        ConfigError: the objective does not fit the tokenizer or the text.
    """
    if reading.head:
        assert reading.tokenizer
        given = reading.tokenizer, reading.model.family, config.sequence_length, reading.head
        return open_labelled(reading.shards, *given, split, share=reading.share)
    stream = TokenStream(reading.shards, split)
    sections = sections or [(0, len(stream))]
    objective = (config.objectives or (default_objective(reading.model.family),))[0]
    return _open(reading, config, split, stream, sections, objective)


def open_joined(reading: Reading, config: TrainConfig) -> dict[str, Samples]:
    """The training samples of each objective, by its name.

    Raises:
        ArtifactError, ConfigError: as `open_samples`.
    """
    stream = TokenStream(reading.shards, "train")
    sections = [(0, len(stream))]
    return {
        each.objective: _open(reading, config, "train", stream, sections, each)
        for each in config.objectives
    }


def _open(
    reading: Reading,
    config: TrainConfig,
    split: Split,
    stream: TokenStream,
    sections: Sections,
    objective: Objective,
) -> Samples:
    match objective:
        case NextToken():
            return _causal(reading, config, split, stream, sections)
        case MaskedTokens():
            masking = Masking(objective, _vocabulary(reading), config.seed)
            return _masked(reading, config, split, stream, masking, sections)
        case FillInTheMiddle():
            length, vocabulary = config.sequence_length, _vocabulary(reading)
            return Infilled(stream, length, vocabulary, config.seed, sections)
        case SpanCorruption():
            parts = config.sequence_length, objective, _vocabulary(reading), config.seed
            return CorruptedRows(stream, *parts, sections)
        case Translation():
            pairs = read_pairs(reading.shards, split)
            limits = config.sequence_length, _vocabulary(reading)
            return TranslatedPairs(stream, pairs, *limits, sections)


def _vocabulary(reading: Reading) -> Vocabulary:
    assert reading.tokenizer, "this objective looks at the vocabulary"
    return read_vocabulary(reading.tokenizer)


def _causal(
    reading: Reading, config: TrainConfig, split: Split, stream: TokenStream, sections: Sections
) -> Samples:
    if isinstance(config.packing, BestFitPacking):
        ends = read_document_ends(reading.shards, split)
        return Packed(stream, config.sequence_length, ends, sections)
    ends_or_none = (
        read_document_ends(reading.shards, split) if config.packing.document_mask else None
    )
    return Windows(stream, config.sequence_length, sections, ends_or_none)


def _masked(
    reading: Reading,
    config: TrainConfig,
    split: Split,
    stream: TokenStream,
    masking: Masking,
    sections: Sections,
) -> Samples:
    assert isinstance(reading.model, BertConfig)
    ends = read_document_ends(reading.shards, split)
    parts = stream, ends, config.sequence_length, masking, sections
    if reading.model.next_sentence:
        return SentencePairs(*parts, least=2 if split == "train" else 1)
    return MaskedRows(*parts, document_mask=config.packing == WindowPacking(document_mask=True))
