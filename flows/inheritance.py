"""A night's config: that of the champion, with what is asked for differently."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from corpusmill.flows.config import RENAMED_FIELDS, ContinueConfig, differences
from corpusmill.flows.overrides import override
from corpusmill.model.training.renamed import in_groups, is_flat
from corpusmill.storage.config import parse
from corpusmill.storage.errors import ConfigError

# What a night takes over. How it is run is no matter of the model: its parameters say that anew.
_PARTS = ("corpus", "train", "evaluation", "registration")
# What a line keeps from its first run on.
_KEPT = ("tokenizer", "model", "initialize_from")
# What decides which documents there are, and on which side: with others nothing could be compared.
_BREAKING = ("corpus.", "family")
_HARMLESS = ("corpus.sources", "corpus.on_bad_text", "corpus.max_unread", "corpus.readers")
# What a night sets by itself, and what says it instead.
_LEFT_OUT = "it to be left out"
_NIGHTS_OWN = {
    "train.max_steps": "night.max_steps instead",
    "train.max_seconds": "night.max_seconds instead",
    "train.schedule": "night.warmup_steps and night.decay_fraction instead",
    "train.mixing": "night.replay instead",
    "train.average": "night.line_share instead",
    "train.batch_size_warmup": _LEFT_OUT,
    "train.sequence_length_warmup": _LEFT_OUT,
    "train.validation.early_stopping": _LEFT_OUT,
    "train.profile_steps": _LEFT_OUT,
}
_MASK = "***"


def inherit(
    recorded: Mapping[str, Any], name: str, overrides: Mapping[str, Any], allow: Collection[str]
) -> tuple[ContinueConfig, dict[str, tuple[Any, Any]]]:
    """The config of a night, and what in it differs from the champion's.

    Args:
        recorded: config.json of the champion's run, of a pretraining or of a night.
        name: of the registered model.
        overrides: by dotted names, as for a recipe.
        allow: names, or the beginnings of names, that may differ although that breaks comparison.

    Returns:
        The config; by its dotted name, for each field that differs, what it is and what it was.

    Raises:
        ConfigError: a field or value that does not exist; a difference that would break comparison
            and is not allowed; a config of the champion that cannot be read any more.
    """
    _check_names(overrides)
    champion = champions_config(recorded, name)
    config = override(champion, overrides, RENAMED_FIELDS)
    if config.registration != champion.registration:
        raise ConfigError(
            f"overrides name the model {config.registration.name!r}, but this night is one of "
            f"{name!r}; give that name as the parameter `name` instead."
        )
    changed = differences(config, champion)
    for key in _breaking(changed):
        if not any(key == each or key.startswith(f"{each}.") for each in allow):
            now, before = changed[key]
            raise ConfigError(
                f"{key} is {now!r}, but the champion was trained with {before!r}: the same text "
                "would become other documents, on other sides, and nothing could be compared; "
                f'leave it out, or pass allow=["{key}"] if you mean it.'
            )
    _check_sources(config)
    return config, changed


def kept_by_line(recorded: Mapping[str, Any]) -> dict[str, Any]:
    """What of a champion's recorded config its whole line has, and no night can change."""
    return {key: recorded[key] for key in _KEPT if key in recorded}


def _check_names(overrides: Mapping[str, Any]) -> None:
    """Raises ConfigError for what a night takes from elsewhere than from its overrides."""
    for key in map(str, overrides):
        for own, instead in _NIGHTS_OWN.items():
            if key == own or key.startswith(f"{own}."):
                raise ConfigError(f"{key} is set by each night; expected {instead}.")
        if key.partition(".")[0] in _KEPT:
            raise ConfigError(
                f"{key} is the champion's, for a line keeps its network and tokenizer; expected it "
                "to be left out: to change it, pretrain another model under a name of its own."
            )


def champions_config(recorded: Mapping[str, Any], name: str) -> ContinueConfig:
    """The config that a champion was made by, as that of a night.

    Raises:
        ConfigError: it is not understood any more.
    """
    values = {key: recorded[key] for key in _PARTS if key in recorded}
    train = values.get("train")
    if isinstance(train, Mapping) and is_flat(train):
        values["train"] = in_groups(train)
    if "tokenizer" in recorded:
        values["family"] = recorded["tokenizer"].get("family", "causal_lm")
    elif "family" in recorded:
        values["family"] = recorded["family"]
    values["registration"] = {"name": name}
    try:
        return parse(ContinueConfig, values)
    except ConfigError as error:
        raise ConfigError(
            f"The champion of {name} was trained with a config that is not understood any more "
            f"({error}); expected one of this release: pretrain the model again."
        ) from error


def _breaking(changed: Collection[str]) -> Iterator[str]:
    for key in changed:
        if key.startswith(_BREAKING) and not key.startswith(_HARMLESS):
            yield key


def _check_sources(config: ContinueConfig) -> None:
    """Raises ConfigError if an address is one whose secrets were masked when it was recorded."""
    for source in config.corpus.sources:
        address = source if isinstance(source, str) else getattr(source, "files", "")
        if "://" in address and _MASK in address:
            raise ConfigError(
                f"The source {address} was recorded without its secret, expected the whole "
                'address: give it in overrides, such as {"corpus.sources": [...]}.'
            )
