"""Configuration and the files between processes: jobs in, results out. Imports no torch."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PositiveInt, model_validator

from model.training.config import TrainConfig
from storage.config import Config

IGNORED = -100  # the target of a position at which nothing is to be learned


class CausalLMConfig(Config):
    """The modern decoder: RMSNorm, rotary positions, SwiGLU, grouped-query attention, QK-norm.

    Names and meaning follow `transformers`' Qwen3Config, whose format the weights export to.
    """

    family: Literal["causal_lm"] = "causal_lm"
    hidden_size: PositiveInt = 256
    num_hidden_layers: PositiveInt = 4
    num_attention_heads: PositiveInt = 4
    num_key_value_heads: PositiveInt = 4
    head_dim: PositiveInt = 64
    intermediate_size: PositiveInt = 688
    rope_theta: float = Field(10_000.0, gt=1)
    rms_norm_eps: float = Field(1e-6, gt=0)
    tie_word_embeddings: bool = False

    @model_validator(mode="after")
    def _check_heads(self) -> "CausalLMConfig":
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


# A tagged union once there is a second family.
ModelConfig = Annotated[CausalLMConfig, Field()]


class EvaluationConfig(Config):
    """Scoring of held-out documents with a sliding window, and sample continuations.

    Attributes:
        stride: tokens scored a window; the rest of the window is context. None: half a window.
        batch_size: windows scored at once.
        samples: how many held-out documents are continued.
        prompt_characters: length of each prompt, cut at the last word.
        sample_tokens, temperature, top_k: of the continuations.
    """

    stride: PositiveInt | None = None
    batch_size: PositiveInt = 16
    samples: int = Field(3, ge=0)
    prompt_characters: PositiveInt = 80
    sample_tokens: PositiveInt = 80
    temperature: float = Field(0.8, ge=0)
    top_k: PositiveInt = 50
    seed: int = 0


class TrainingJob(Config):
    """What the training process is told: the whole of job.json.

    Attributes:
        digest: identity of the run; its checkpoints carry it.
        directory: the run's working folder (journal, checkpoints, result).
        shards, tokenizer: artifact folders.
        initialize_from: folder of a model in the Hugging Face format whose weights a new run
            starts from.
        num_processes: how many processes must be there.
        model: the network's shape; None takes that of `initialize_from`.
    """

    digest: str
    directory: Path
    shards: Path
    tokenizer: Path
    initialize_from: Path | None = None
    num_processes: PositiveInt
    model: ModelConfig | None
    train: TrainConfig

    @model_validator(mode="after")
    def _check_origin(self) -> "TrainingJob":
        if (self.model is None) == (self.initialize_from is None):
            raise ValueError("give either model or initialize_from, the other must be null")
        return self


class TrainingResult(Config):
    """How the training process ended: the whole of result.json."""

    status: Literal["finished", "interrupted", "failed"]
    step: int = 0
    tokens_seen: int = 0
    model: Path | None = None
    parameters: int = 0
    seconds: float = 0.0
    error: str | None = None
    input_error: bool = False


class EvaluationJob(Config):
    """What the evaluation process is told: a model and the documents it has not seen."""

    directory: Path
    model: Path
    corpus: Path
    evaluation: EvaluationConfig


class Sample(Config):
    """A prompt from a held-out document and what the model wrote after it."""

    prompt: str
    continuation: str


class EvaluationResult(Config):
    """Figures over all held-out documents.

    Attributes:
        loss: nats a token.
        perplexity: exp(loss), comparable only between models with one tokenizer.
        bits_per_byte: comparable between any two models and with compressors.
    """

    documents: int
    bytes: int
    tokens: int
    loss: float
    perplexity: float
    bits_per_byte: float
    seconds: float
    samples: tuple[Sample, ...] = ()
