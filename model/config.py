"""What is found on a machine and how a model is judged: the files between processes. No torch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, PositiveInt, field_validator

from corpusmill.model.inference.request import NewTokens, Sampling
from corpusmill.model.network.config import Family
from corpusmill.storage.config import Config, Seed
from corpusmill.storage.settings import ComputePrecision, Precision


class Hardware(Config):
    """What training and evaluation find on a machine.

    Attributes:
        gpus: NVIDIA GPUs that torch sees.
        precision: what a precision of auto means.
    """

    gpus: int = Field(ge=0)
    precision: ComputePrecision


ProbeKind = Literal["minimal_pairs", "last_word", "multiple_choice"]


def absolute(files: str) -> str:
    """Returns `files` unless it is relative, which would depend on the folder the flow runs in.

    Raises:
        ValueError: a relative path.
    """
    if not files.startswith("/"):
        raise ValueError(
            f"{files!r} is no absolute path; expected one, such as /text/blimp.jsonl.gz"
        )
    return files


class ProbeConfig(Config):
    """A zero-shot probe: items whose right answer should be the likeliest.

    Attributes:
        name: how metrics and reports call it: letters, digits, `_`, `-` and `.`.
        files: absolute path, or glob, of JSON Lines (.jsonl or .jsonl.gz), an item a line.
        kind: which fields an item has and when it is right, as
            `corpusmill.model.evaluation.probe_items` explains.
        items: how many are asked, chosen by hash; all where there are fewer.
        delimiter: what stands before each continuation, as `target_delimiter` of
            lm-evaluation-harness: nothing in a script without spaces.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$")
    files: Annotated[str, AfterValidator(absolute)]
    kind: ProbeKind
    items: PositiveInt = 500
    delimiter: str = Field(" ", max_length=16)


class EvaluationConfig(Sampling):
    """Scoring of held-out documents with a sliding window, sample continuations, and probes.

    Attributes:
        stride: tokens scored a window; the rest of the window is context. None: half a window.
        batch_size: windows scored at once.
        samples: how many held-out documents are continued.
        prompt_characters: some length of each prompt, which ends with a sentence.
        sample_tokens: of a continuation.
        translate: whether an encoder-decoder translates pairs that are held out; False judges it by
            what it writes into gaps, as where there are none.
        beams, length_penalty: hypotheses of a translation that are followed at once, and the power
            of its length by which its log p is divided.
        precision: of matrix products; auto is what CORPUSMILL_PRECISION says, and without it bf16
            where the hardware multiplies it natively, else fp32.
        probes: asked of a model that writes; others leave them out.
    """

    stride: PositiveInt | None = None
    batch_size: PositiveInt = 16
    samples: int = Field(3, ge=0)
    prompt_characters: PositiveInt = 80
    sample_tokens: NewTokens = 80
    translate: bool = True
    beams: PositiveInt = 4
    length_penalty: float = Field(1.0, ge=0, allow_inf_nan=False)
    precision: Precision = "auto"
    seed: Seed = 0
    probes: tuple[ProbeConfig, ...] = ()

    @field_validator("probes")
    @classmethod
    def _names_are_unique(cls, probes: tuple[ProbeConfig, ...]) -> tuple[ProbeConfig, ...]:
        names = [each.name for each in probes]
        if len(set(names)) < len(names):
            raise ValueError(f"found probes of the names {names}, expected each name once")
        return probes

    @property
    def held_out_alone(self) -> "EvaluationConfig":
        """The same without samples and probes: figures of held-out text alone."""
        return self.model_copy(update={"samples": 0, "probes": ()})

    def identity(self, family: Family) -> dict[str, Any]:
        """What decides figures and samples of a model of this family, but for files of probes."""
        idle = {name for name, families in _READ_BY.items() if family not in families}
        if not self.translate:
            idle |= {"beams", "length_penalty"}
        return self.model_dump(mode="json", exclude=idle)


# Options that only these families know.
_READ_BY: Mapping[str, frozenset[Family]] = {
    "stride": frozenset({"causal_lm"}),
    "prompt_characters": frozenset({"causal_lm"}),
    "probes": frozenset({"causal_lm"}),
    "temperature": frozenset({"causal_lm", "encoder_decoder"}),
    "top_k": frozenset({"causal_lm", "encoder_decoder"}),
    "top_p": frozenset({"causal_lm", "encoder_decoder"}),
    "translate": frozenset({"encoder_decoder"}),
    "beams": frozenset({"encoder_decoder"}),
    "length_penalty": frozenset({"encoder_decoder"}),
}


class EvaluationJob(Config):
    """What the evaluation process is told: a model and the documents it has not seen.

    Attributes:
        corpus: None to ask probes alone.
        trained_on: the corpus that it has seen, to find what a decoder knows of it by heart.
    """

    directory: Path
    model: Path
    corpus: Path | None
    evaluation: EvaluationConfig
    trained_on: Path | None = None


class Memorisation(Config):
    """What of its training text a decoder continues word for word.

    Attributes:
        passages: that were tried, all different, chosen by hash.
        verbatim: of these, that greedy decoding continues as they are.
        low, high: interval of 95 % of their share (Wilson 1927).
        tokens: of a prompt, and of what follows it.
    """

    passages: int
    verbatim: int
    low: float
    high: float
    tokens: int

    @property
    def share(self) -> float | None:
        """Of the passages; None where no text was long enough for one."""
        return self.verbatim / self.passages if self.passages else None


class Sample(Config):
    """A prompt from a held-out document and what the model wrote after it.

    Attributes:
        reference: what a person wrote, where one did.
    """

    prompt: str
    continuation: str
    reference: str | None = None


class ProbeResult(Config):
    """How a model did on a probe.

    Attributes:
        accuracy: share of items that are right.
        low, high: its interval of 95 % (Wilson 1927).
        items: that were asked.
        chance: the accuracy of a guess; None where nothing is to choose from.
        beside: other figures, by name. perplexity: of the last words; accuracy_per_byte: of a
            choice by its log p a byte.
    """

    name: str
    kind: ProbeKind
    accuracy: float
    low: float
    high: float
    items: int
    chance: float | None = None
    beside: dict[str, float]


class EvaluationResult(Config):
    """Figures over all held-out documents.

    Attributes:
        predictions: tokens that were predicted.
        figures: by name. loss: nats a prediction; perplexity: its exponential, comparable only
            between models with one tokenizer; bits_per_byte: comparable between any two models and
            with compressors, for what a tokenizer loses is paid for; the others are explained where
            they are worked out.
        decides: the figure by which versions of a model are compared; empty, like `figures`, where
            probes alone were asked.
        signature: how that figure was worked out, where others do it differently: it compares
            only with figures of the same signature.
        precision: in which all of them were computed.
        probes: in the order of the config.
        memorisation: of a decoder, where its training text was at hand.
    """

    family: Family
    documents: int
    bytes: int
    predictions: int
    figures: dict[str, float]
    decides: str
    higher_is_better: bool = False
    signature: str = ""
    precision: ComputePrecision
    seconds: float
    samples: tuple[Sample, ...] = ()
    probes: tuple[ProbeResult, ...] = ()
    memorisation: Memorisation | None = None

    @property
    def score(self) -> float:
        """The figure that decides."""
        return self.figures[self.decides]

    @property
    def judged_by(self) -> tuple[str, str]:
        """What two figures must have in common to be compared."""
        return self.decides, self.signature

    def better_than(self, other: "EvaluationResult") -> bool:
        """Whether this is the better model; both were judged by the same documents."""
        assert self.precision == other.precision, "figures of two precisions are not compared"
        assert self.judged_by == other.judged_by, "figures of two kinds are not compared"
        return self.score > other.score if self.higher_is_better else self.score < other.score
