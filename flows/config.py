"""PretrainConfig and ContinueConfig, and how overrides are merged into a recipe of theirs."""

from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Self, TypeVar

from pydantic import BaseModel, create_model, model_validator

from corpusmill.flows.overrides import nearest, override
from corpusmill.model.config import EvaluationConfig, Hardware, ProbeConfig
from corpusmill.model.evaluation.probe_items import probe_identity, read_items
from corpusmill.model.hf.families import check_language_model, family_of
from corpusmill.model.network.config import DecoderConfig, Family, ModelConfig
from corpusmill.model.objectives.config import check_objectives
from corpusmill.model.tokenizer.config import TokenizerConfig
from corpusmill.model.training.config import TrainConfig, check_beginning, check_device
from corpusmill.model.training.groups import HardwareConfig
from corpusmill.model.training.identity import check_effect, identity_of
from corpusmill.model.training.renamed import RENAMED
from corpusmill.storage.config import Config, parse
from corpusmill.storage.errors import ConfigError, CorpusError, CorpusmillError
from corpusmill.storage.extensions import OWN_ERRORS, digest_source, in_short, is_own, load_own
from corpusmill.storage.manifest import digest_json
from corpusmill.storage.names import RegisteredName
from corpusmill.storage.settings import ComputePrecision, load_settings
from corpusmill.tasks.ingestion.config import CleaningConfig, CorpusConfig
from corpusmill.tasks.launch import default_processes, find_hardware
from corpusmill.tasks.stages.night_config import NightConfig


class RegistrationConfig(Config):
    """Attributes:
    name: of the registered model in MLflow; its aliases are `candidate` and `champion`.
    """

    name: RegisteredName = "gpt-tiny"


class PretrainConfig(Config):
    """All that decides a pretraining run; each part lies beside its owner.

    Attributes:
        initialize_from: absolute path of a model in the Hugging Face format to start from, with its
            tokenizer; `model` then does not matter.
    """

    initialize_from: str | None = None
    corpus: CorpusConfig = CorpusConfig()
    tokenizer: TokenizerConfig = TokenizerConfig()
    model: ModelConfig = DecoderConfig()
    train: TrainConfig = TrainConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    registration: RegistrationConfig = RegistrationConfig()

    @model_validator(mode="before")
    @classmethod
    def _take_tokenizer_along(cls, values: Any) -> Any:
        """A model that is brought along can read with its own tokenizer alone."""
        start = values.get("initialize_from") if isinstance(values, dict) else None
        # What is no string is refused as the field that it is.
        if not isinstance(start, str):
            return values
        expected = "expected the absolute path of a folder with a model in the Hugging Face format"
        if not Path(start).is_absolute():
            raise ValueError(f"initialize_from is {start!r}; {expected}")
        if not Path(start).is_dir():
            raise ValueError(
                f"initialize_from is {start!r}, and there is no such folder; {expected}"
            )
        family = family_of(Path(start))
        check_language_model(Path(start))
        tokenizer = TokenizerConfig(source=start, family=family)
        return {**values, "tokenizer": tokenizer.model_dump()}

    @model_validator(mode="after")
    def _check_family(self) -> Self:
        family = self.tokenizer.family if self.initialize_from else self.model.family
        if self.tokenizer.family != family:
            raise ValueError(
                f"model.architecture {self.model.architecture} needs a tokenizer of the family "
                f"{family}, but tokenizer.family is {self.tokenizer.family}; set it to {family}"
            )
        check_objectives(self.train.objectives, family)
        check_effect(self.train, family, None if self.initialize_from else self.model)
        if not self.initialize_from:
            check_beginning(self.train)
        return self

    @model_validator(mode="after")
    def _check_pairs(self) -> Self:
        wanted = any(each.objective == "translation" for each in self.train.objectives)
        sources = (each for each in self.corpus.sources if not isinstance(each, str))
        if wanted and not any(source.pair for source in sources):
            raise ValueError(
                "train.objectives asks for translation, but no source holds pairs; expected one in "
                'corpus.sources such as {"files": "/text/pairs.jsonl", "pair": ["en", "zh"]}'
            )
        return self


class ContinueConfig(Config):
    """All that decides a night of continued pretraining: its champion's config, and how a night is.

    Attributes:
        train: as the line was pretrained; `night` says what is different in a night.
        family: of the champion's network.
    """

    corpus: CorpusConfig = CorpusConfig()
    train: TrainConfig = TrainConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    registration: RegistrationConfig = RegistrationConfig()
    night: NightConfig = NightConfig()
    family: Family = "causal_lm"


class EvaluateConfig(Config):
    """What a model is scored on, and how.

    Attributes:
        corpus: the text, of which every document is scored as it is.
    """

    corpus: CorpusConfig = CorpusConfig(
        cleaning=CleaningConfig(normalise=False, identify_languages=False, near_duplicates="off")
    )
    evaluation: EvaluationConfig = EvaluationConfig()


# What fields of these configs were called before, and what they are called now.
RENAMED_FIELDS = {f"train.{old}": f"train.{new}" for old, new in RENAMED.items()}
C = TypeVar("C", bound=BaseModel)


def resolve(recipes: Mapping[str, Callable[[], C]], recipe: str, overrides: Mapping[str, Any]) -> C:
    """The recipe's config with dotted overrides merged in, one field at a time, and validated.

    Args:
        recipe: a name among `recipes`, or `package.module:name` of a function that, like them,
            takes nothing and returns such a config.
        overrides: {"train.max_steps": 100, "corpus.sources": ["/text/*.txt"]}

    Raises:
        ConfigError: a recipe, a field or a value that does not exist, with the nearest that does.
    """
    return override(base_of(recipes, recipe), overrides, RENAMED_FIELDS)


def base_of(recipes: Mapping[str, Callable[[], C]], recipe: str) -> C:
    """The config of a recipe as it is, before overrides; it may be incomplete.

    Raises:
        ConfigError: there is no such recipe, or one's own is none.
    """
    if not isinstance(recipe, str):
        raise ConfigError(f"recipe is {recipe!r}; expected a name, such as {next(iter(recipes))}.")
    if is_own(recipe):
        return _own_recipe({type(each()) for each in recipes.values()}, recipe)
    if recipe not in recipes:
        raise ConfigError(
            f"There is no recipe {recipe!r}; {nearest(recipe, list(recipes))}"
            f"the recipes are {', '.join(recipes)}, and package.module:name of one's own."
        )
    return recipes[recipe]()


def differences(config: BaseModel, base: BaseModel) -> dict[str, tuple[Any, Any]]:
    """The fields that differ by their dotted names: what they hold, and what they hold in `base`.

    A field that only one of them has, as the options of another architecture, is None in the other.
    """
    here, there = flat(config), flat(base)
    return {
        name: (here.get(name), there.get(name))
        for name in {**there, **here}
        if here.get(name) != there.get(name)
    }


def flat(config: BaseModel) -> dict[str, Any]:
    """The fields by their dotted names, as overrides name them, with their values as JSON.

    Those that are only written where they are given are left out where they are not.
    """
    return dict(_leaves(config, config.model_dump(mode="json")))


def digest_config(config: PretrainConfig) -> str:
    """The digest of a resolved config, and of the sources of one's own code that it names.

    Of `train` it has what decides which model comes out, as the identity of the model has it, and
    of probes what is asked.
    """
    own = [digest_source(name) for name in config.corpus.own_names]
    values = config.model_dump(mode="json", exclude={"train", "evaluation"})
    values |= {"train": _identity_of_training(config), "evaluation": _asked(config.evaluation)}
    return digest_json([values, *own])


def digest_night(config: ContinueConfig) -> str:
    """The digest of how a night trains and judges, and of what its probes ask."""
    values = config.model_dump(mode="json", include={"night", "train"})
    return digest_json(values | {"evaluation": _asked(config.evaluation)})


M = TypeVar("M", PretrainConfig, ContinueConfig)


def on_this_machine(config: M) -> M:
    """The config with what it leaves to the machine: precision, and the number of processes.

    Raises:
        ConfigError: meant for a GPU and there is none, or a precision that there is not.
        CorpusError: a probe whose files cannot be read.
    """
    train, evaluation = config.train, config.evaluation
    _read_probes(evaluation)
    asked = train.hardware
    open_precision = "auto" in (asked.precision, evaluation.precision)
    if not open_precision and asked.num_processes and asked.device == "auto":
        return config
    found, processors = find_hardware(), load_settings().processors
    check_device(train, found.gpus, processors)
    each = default_processes(found.gpus, processors)
    num_processes = asked.num_processes or each * asked.num_machines
    precision = _precision(asked, found)
    return config.model_copy(
        update={
            "train": train.on_hardware(num_processes=num_processes, precision=precision),
            "evaluation": evaluation.model_copy(
                update={"precision": _precision(evaluation, found)}
            ),
        }
    )


def evaluated_on_this_machine(config: EvaluateConfig) -> EvaluateConfig:
    """The config with the precision that it leaves to the machine.

    Raises:
        CorpusError: a probe whose files cannot be read.
    """
    evaluation = config.evaluation
    _read_probes(evaluation)
    if evaluation.precision != "auto":
        return config
    precision = _precision(evaluation, find_hardware())
    return config.model_copy(
        update={"evaluation": evaluation.model_copy(update={"precision": precision})}
    )


def _read_probes(config: EvaluationConfig) -> None:
    """Refuses on the first line of a flow what it would only meet after training and scoring."""
    for probe in config.probes:
        read_items(probe)


def _asked(config: EvaluationConfig) -> dict[str, Any]:
    """The config with what its probes ask in the place of their files."""
    values = config.model_dump(mode="json")
    return values | {"probes": [_identity_of_probe(each) for each in config.probes]}


def _identity_of_probe(probe: ProbeConfig) -> dict[str, Any]:
    try:
        return probe_identity(probe)
    except CorpusError:
        # A recorded config outlives files; of what is shown no flow has read them either.
        return probe.model_dump(mode="json")


def _identity_of_training(config: PretrainConfig) -> dict[str, Any]:
    shape = None if config.initialize_from else config.model
    processes = config.train.hardware.num_processes
    return identity_of(config.train, config.tokenizer.family, shape, processes)


def _own_recipe(kinds: Collection[type[C]], recipe: str) -> C:
    """What a function of one's own returns, which must be a config of one of these kinds."""
    make = load_own(recipe)
    expected = " or ".join(sorted(kind.__name__ for kind in kinds))
    if not callable(make):
        raise ConfigError(
            f"{recipe} is a {type(make).__name__}; expected a function without arguments that "
            f"returns a {expected}."
        )
    try:
        config = make()
    except CorpusmillError as error:
        raise ConfigError(f"{recipe}: {error}") from error
    except OWN_ERRORS as error:
        raise ConfigError(
            f"{recipe} raised {in_short(error)}; expected a function without arguments that "
            f"returns a {expected}."
        ) from error
    for kind in kinds:
        if isinstance(config, kind):
            return _validated(recipe, config)
    raise ConfigError(f"{recipe} returned a {type(config).__name__}; expected a {expected}.")


def _validated(recipe: str, config: C) -> C:
    """The config with each of its fields validated, which `model_copy` leaves undone."""
    kind = type(config)
    fields: dict[str, Any] = {n: (each.annotation, each) for n, each in kind.model_fields.items()}
    # What the fields must be together is not asked yet: overrides may still complete them.
    apart = create_model(kind.__name__, __base__=Config, **fields)
    try:
        return kind.model_construct(**dict(parse(apart, _plain(config))))
    except CorpusmillError as error:
        raise ConfigError(f"{recipe} returned what is no {kind.__name__}: {error}") from error


def _plain(value: Any) -> Any:
    """What models hold as dictionaries, with what is none of their fields, which no dump shows."""
    if isinstance(value, BaseModel):
        return {name: _plain(each) for name, each in value}
    return type(value)(map(_plain, value)) if type(value) in (list, tuple) else value


def _leaves(
    config: BaseModel, values: Mapping[str, Any], prefix: str = ""
) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        inner = getattr(config, name)
        if isinstance(inner, BaseModel):
            yield from _leaves(inner, value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _precision(config: HardwareConfig | EvaluationConfig, found: Hardware) -> ComputePrecision:
    return found.precision if config.precision == "auto" else config.precision
