"""The shapes of networks, by architecture. Imports no torch."""

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from corpusmill.storage.config import Config

Family = Literal["causal_lm", "masked_lm", "encoder_decoder"]
IGNORED = -100  # the target of a position at which nothing is to be learned
Activation = Literal["gelu", "gelu_new", "relu", "relu2", "silu"]


class DecoderConfig(Config):
    """The modern decoder: RMSNorm, rotary positions, SwiGLU, grouped-query attention, QK-norm.

    Names and meaning follow `transformers`' Qwen3Config, whose format the weights export to.
    """

    architecture: Literal["decoder"] = "decoder"
    hidden_size: PositiveInt = 256
    num_hidden_layers: PositiveInt = 4
    num_attention_heads: PositiveInt = 4
    num_key_value_heads: PositiveInt = 4
    head_dim: PositiveInt = 64
    intermediate_size: PositiveInt = 688
    rope_theta: float = Field(10_000.0, gt=1)
    rms_norm_eps: float = Field(1e-6, gt=0)
    tie_word_embeddings: bool = False

    @property
    def family(self) -> Family:
        """What it learns to do."""
        return "causal_lm"

    @model_validator(mode="after")
    def _check_heads(self) -> "DecoderConfig":
        if self.num_attention_heads % self.num_key_value_heads:
            raise ValueError(
                f"num_attention_heads {self.num_attention_heads} is not a multiple of "
                f"num_key_value_heads {self.num_key_value_heads}"
            )
        if self.num_attention_heads > self.hidden_size:
            raise ValueError(
                f"num_attention_heads {self.num_attention_heads} is above hidden_size "
                f"{self.hidden_size}; expected one head for each head_dim of the width, which is "
                f"{max(1, self.hidden_size // self.head_dim)} of {self.head_dim}"
            )
        if self.head_dim % 2:
            raise ValueError(f"head_dim {self.head_dim} is odd; rotary positions need pairs")
        return self


class _Classic(Config):
    """What the networks of 2017 to 2019 share: heads that divide the width, LayerNorm, two
    matrices of `intermediate_size` with an activation between them.
    """

    hidden_size: PositiveInt = 256
    num_attention_heads: PositiveInt = 4
    intermediate_size: PositiveInt = 1024
    hidden_act: Activation = "gelu"
    max_position_embeddings: PositiveInt = 512

    @model_validator(mode="after")
    def _check_heads(self) -> Self:
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"hidden_size {self.hidden_size} does not divide into num_attention_heads "
                f"{self.num_attention_heads}"
            )
        return self


class GPT2Config(_Classic):
    """GPT-2: learned positions, LayerNorm first, GELU; `transformers`' GPT2LMHeadModel.

    Attributes:
        max_position_embeddings: longest sequence that it can read.
    """

    architecture: Literal["gpt2"] = "gpt2"
    num_hidden_layers: PositiveInt = 4
    hidden_act: Activation = "gelu_new"
    layer_norm_eps: float = Field(1e-5, gt=0)
    tie_word_embeddings: bool = True

    @property
    def family(self) -> Family:
        """What it learns to do."""
        return "causal_lm"


class BertConfig(_Classic):
    """BERT; `transformers`' BertForPreTraining, or BertForMaskedLM without the second head.

    Attributes:
        max_position_embeddings: longest sequence that it can read.
        type_vocab_size: segments that it can tell apart.
        next_sentence: whether it has a head that judges if B follows A.
    """

    architecture: Literal["bert"] = "bert"
    num_hidden_layers: PositiveInt = 4
    type_vocab_size: int = Field(2, ge=2)
    layer_norm_eps: float = Field(1e-12, gt=0)
    next_sentence: bool = False

    @property
    def family(self) -> Family:
        """What it learns to do."""
        return "masked_lm"


class EncoderDecoderConfig(_Classic):
    """The original Transformer with sinusoidal positions and one vocabulary for both halves.

    Attributes:
        norm_first: False is the paper's, `transformers`' MarianMTModel; True is
            PegasusForConditionalGeneration.
        max_position_embeddings: of what is exported; the positions themselves know no end.
    """

    architecture: Literal["encoder_decoder"] = "encoder_decoder"
    num_encoder_layers: PositiveInt = 3
    num_decoder_layers: PositiveInt = 3
    hidden_act: Activation = "relu"
    norm_first: bool = False
    tie_word_embeddings: bool = True

    @property
    def family(self) -> Family:
        """What it learns to do."""
        return "encoder_decoder"

    @property
    def num_hidden_layers(self) -> int:
        """Layers of both halves."""
        return self.num_encoder_layers + self.num_decoder_layers

    @model_validator(mode="after")
    def _check_width(self) -> Self:
        if self.hidden_size % 2:
            raise ValueError(f"hidden_size {self.hidden_size} is odd; sinusoids need pairs")
        return self


ModelConfig = Annotated[
    DecoderConfig | GPT2Config | BertConfig | EncoderDecoderConfig,
    Field(discriminator="architecture"),
]
