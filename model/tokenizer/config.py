"""What decides a tokenizer."""

from typing import Literal, Self

from pydantic import Field, model_validator

from corpusmill.model.tokenizer.control import control_tokens
from corpusmill.storage.config import Config

Algorithm = Literal["bpe", "wordpiece", "unigram"]
Family = Literal["causal_lm", "masked_lm", "encoder_decoder"]
BYTES = 256
# SentencePiece's default.
CHARACTER_COVERAGE = 0.9995
# Of a vocabulary without bytes: a character, the same inside of words, and one word of both.
_SMALLEST_WORDPIECE = 3


class TokenizerConfig(Config):
    """A vocabulary to learn, or one to bring along.

    Attributes:
        algorithm: byte-level BPE, WordPiece (for masked_lm alone: it does not give text back as
            it was), or Unigram with bytes to fall back on.
        family: of the model; it decides the control tokens and where they stand.
        infilling: causal_lm has the tokens that fill_in_the_middle marks its parts with.
        vocab_size: tokens, with the control tokens among them and, but for WordPiece, 256 bytes.
        character_coverage: share of the text whose characters are tokens of their own, even beyond
            a third of the vocabulary; the rest is [UNK] in WordPiece, bytes in Unigram. Byte-level
            BPE writes every character.
        sample_bytes: UTF-8 bytes of the corpus to learn from, at most.
        sample_exponent: each source and language gets a share of the sample that goes with its
            bytes to this power: 1 as in the corpus, 0 equal shares (Conneau and Lample 2019).
        memory_bytes: the sample is cut so that learning is predicted to need no more than this.
        source: absolute path of a folder with a tokenizer.json, to use in place of learning;
            algorithm and vocab_size then do not matter.
        extend_to: tokens that the vocabulary of `source` shall grow to.
    """

    algorithm: Algorithm = "bpe"
    family: Family = "causal_lm"
    infilling: bool = False
    vocab_size: int = Field(4096, ge=1, le=1 << 20)
    # Left out unless set, so that identities from before this field existed stay.
    character_coverage: float = Field(
        CHARACTER_COVERAGE, gt=0, le=1, exclude_if=CHARACTER_COVERAGE.__eq__
    )
    sample_bytes: int = Field(100_000_000, ge=1)
    sample_exponent: float = Field(0.7, ge=0, le=1)
    memory_bytes: int = Field(4 << 30, ge=256 << 20)
    source: str | None = None
    extend_to: int | None = Field(None, ge=1, le=1 << 20)

    @property
    def exact(self) -> bool:
        """Whether every text must come back from its tokens as it was: bits per byte count on it.

        Of a vocabulary brought along, which may normalise, evaluation counts the bytes that it
        loses.
        """
        return self.source is None and self.algorithm != "wordpiece"

    @property
    def smallest(self) -> int:
        """The least vocab_size that can be learned."""
        control = len(control_tokens(self.family, self.algorithm, infilling=self.infilling))
        return control + (_SMALLEST_WORDPIECE if self.algorithm == "wordpiece" else BYTES)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.extend_to and not self.source:
            raise ValueError(
                f"extend_to is {self.extend_to}, but there is no vocabulary to extend; "
                "set source, or vocab_size alone"
            )
        if self.algorithm == "wordpiece" and self.family != "masked_lm" and not self.source:
            raise ValueError(
                f"algorithm is 'wordpiece', which does not give text back as it was, but family "
                f"{self.family!r} writes text; take 'bpe' or 'unigram'"
            )
        if self.infilling and self.family != "causal_lm":
            raise ValueError(
                f"infilling is for the family causal_lm, but family is {self.family!r}; leave it "
                "out"
            )
        if self.vocab_size < self.smallest and not self.source:
            alphabet = "a first character" if self.algorithm == "wordpiece" else f"{BYTES} bytes"
            raise ValueError(
                f"vocab_size is {self.vocab_size}, too small for control tokens and {alphabet}; "
                f"set it to {self.smallest} or more"
            )
        return self

    @model_validator(mode="after")
    def _coverage_counts(self) -> Self:
        covered_anyway = self.source or self.algorithm == "bpe"
        if covered_anyway and self.character_coverage != CHARACTER_COVERAGE:
            raise ValueError(
                f"character_coverage is {self.character_coverage}, which says nothing to "
                f"{'a vocabulary brought along' if self.source else 'byte-level BPE'}; leave it "
                "out, or learn one of the algorithm 'wordpiece' or 'unigram'"
            )
        return self
