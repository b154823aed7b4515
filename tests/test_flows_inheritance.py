"""A night inherits all of its champion's config; what would break comparison is refused by name."""

import re
from collections.abc import Mapping
from typing import Any

import pytest

from corpusmill.flows.config import ContinueConfig, PretrainConfig, differences, flat, resolve
from corpusmill.flows.inheritance import champions_config, inherit
from corpusmill.flows.night import night_training
from corpusmill.flows.recipes.catalogue import RECIPES
from corpusmill.model.training.renamed import RENAMED
from corpusmill.storage.errors import ConfigError
from corpusmill.tasks.stages.night_config import NightConfig

PAIRS = {"corpus.sources": [{"files": "/text/pairs.jsonl", "pair": ["en", "zh"]}]}
# What recipes that come without text or pairs are given.
WITHOUT_TEXT = ("bert-zh", "translate-tiny", "translate-base")
ASKED: Mapping[str, Any] = {
    "corpus.sources": [{"files": "/text", "name": "ours", "licence": "CC0-1.0", "held_out": False}],
    "corpus.validation_fraction": 0.2,
    "corpus.text_unit": "paragraph",
    "corpus.cleaning.similarity": 0.7,
    "corpus.cleaning.gopher_quality": True,
    "train.optimizer.learning_rate": 0.0123,
    "train.sequence_length": 96,
    "evaluation.sample_tokens": 7,
}


def _recorded(recipe: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    """What a run of this recipe has recorded."""
    overrides = {**(PAIRS if recipe in WITHOUT_TEXT else {}), **asked}
    recorded: dict[str, Any] = resolve(RECIPES, recipe, overrides).model_dump(mode="json")
    return recorded


def _ours() -> dict[str, Any]:
    return _recorded("gpt-tiny", ASKED)


@pytest.mark.parametrize("recipe", sorted(RECIPES.keys() - {"adopt"}))
def test_every_recipe_has_nights_that_inherit_all_that_they_share(recipe: str) -> None:
    recorded = _recorded(recipe, {})
    config, changed = inherit(recorded, "our model", {}, ())
    assert not changed
    assert config.registration.name == "our model"
    assert config.family == recorded["tokenizer"]["family"]
    assert config.night == NightConfig()
    shared = {"corpus", "train", "evaluation"}
    assert config.model_dump(mode="json", include=shared) == {key: recorded[key] for key in shared}


def test_no_field_of_the_champion_falls_back_to_its_default() -> None:
    config, changed = inherit(_ours(), "ours", {}, ())
    values = flat(config)
    assert not changed
    for name, value in ASKED.items():
        if name != "corpus.sources":
            assert values[name] == value
    (source,) = config.corpus.sources
    assert not isinstance(source, str)
    assert (source.name, source.licence) == ("ours", "CC0-1.0")


def test_a_night_inherits_from_a_night_all_but_how_a_night_is_run() -> None:
    overrides = {"night.replay": 0.6, "corpus.sources": ["/more"]}
    first, _ = inherit(_ours(), "ours", overrides, ())
    second, changed = inherit(first.model_dump(mode="json"), "ours", {"night.max_steps": 9}, ())
    assert (second.night.replay, second.night.max_steps) == (NightConfig().replay, 9)
    assert second.corpus.sources == ("/more",)
    assert changed.keys() == {"night.max_steps"}


def test_overrides_change_one_field_each_and_every_difference_is_said() -> None:
    overrides = {"train.sequence_length": 64, "night.quarantine.max_unlike": 0.5}
    config, changed = inherit(_ours(), "ours", overrides, ())
    assert changed == {
        "train.sequence_length": (64, 96),
        "night.quarantine.max_unlike": (0.5, NightConfig().quarantine.max_unlike),
    }
    assert config.train.optimizer.learning_rate == 0.0123
    assert config.corpus == champions_config(_ours(), "ours").corpus


def test_what_is_as_it_was_is_no_difference() -> None:
    _, changed = inherit(_ours(), "ours", {"corpus.validation_fraction": 0.2}, ())
    assert not changed


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("corpus.validation_fraction", 0.05),
        ("corpus.text_unit", "line"),
        ("corpus.min_characters", 5),
        ("corpus.cleaning.similarity", 0.9),
        ("corpus.cleaning.near_duplicates", "keep"),
        ("family", "masked_lm"),
    ],
)
def test_what_would_break_comparison_is_refused_unless_it_is_named(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"{name} is .* but the champion was trained with") as no:
        inherit(_ours(), "ours", {name: value}, ["train", "corpus.clean", f"{name}s"])
    assert f'allow=["{name}"]' in str(no.value)
    config, changed = inherit(_ours(), "ours", {name: value}, [name])
    assert flat(config)[name] == value and set(changed) == {name}


def test_a_group_can_be_allowed_as_a_whole() -> None:
    overrides = {"corpus.cleaning.similarity": 0.9, "corpus.cleaning.mask_pii": True}
    _, changed = inherit(_ours(), "ours", overrides, ["corpus.cleaning"])
    assert set(changed) == set(overrides)
    with pytest.raises(ConfigError, match="would become other documents"):
        inherit(_ours(), "ours", overrides, ["corpus.cleaning.similarity"])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("corpus.sources", ["/other/text"]),
        ("corpus.on_bad_text", "repair"),
        ("corpus.max_unread", 0.5),
        ("corpus.readers", {".law": "textwrap:TextWrapper"}),
    ],
)
def test_where_text_comes_from_may_change(name: str, value: Any) -> None:
    _, changed = inherit(_ours(), "ours", {name: value}, ())
    assert set(changed) == {name}


def test_a_field_that_does_not_exist_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"did you mean 'night\.replay'"):
        inherit(_ours(), "ours", {"night.replai": 0.5}, ())
    with pytest.raises(ConfigError, match=r"it is 'train\.optimizer\.learning_rate' now"):
        inherit(_ours(), "ours", {"train.learning_rate": 0.1}, ())
    with pytest.raises(ConfigError, match="tokenizer"):
        inherit(_ours(), "ours", {"tokenizer.vocab_size": 300}, ())


ADDRESS = "https://example.org/text.jsonl?token=s3cr3t"


@pytest.mark.parametrize("source", [ADDRESS, {"files": ADDRESS, "name": "web"}])
def test_an_address_whose_secret_was_masked_is_asked_for(source: Any) -> None:
    recorded = _recorded("gpt-tiny", {"corpus.sources": [source, "/text"]})
    assert "s3cr3t" not in str(recorded)
    with pytest.raises(ConfigError, match="was recorded without its secret"):
        inherit(recorded, "ours", {}, ())
    config, changed = inherit(recorded, "ours", {"corpus.sources": [source, "/text"]}, ())
    assert "s3cr3t" in str(config.corpus.sources)
    # What is said of it is said without.
    assert "s3cr3t" not in str(changed)


def test_a_config_written_before_its_fields_were_grouped_is_understood() -> None:
    recorded = _ours()
    grouped = recorded["train"]
    old = {name: value for name, value in grouped.items() if not isinstance(value, Mapping)}
    for before, now in RENAMED.items():
        group, _, name = now.rpartition(".")
        values: Any = grouped
        for part in group.split("."):
            values = values.get(part) if isinstance(values, Mapping) else None
        if isinstance(values, Mapping) and name in values:
            old[before] = values[name]
    config, _ = inherit({**recorded, "train": old}, "ours", {}, ())
    assert config == champions_config(recorded, "ours")


def test_a_config_of_another_release_is_refused_in_one_sentence() -> None:
    recorded = _ours()
    recorded["corpus"]["colour"] = "blue"
    with pytest.raises(ConfigError, match=r"is not understood any more .*pretrain the model again"):
        champions_config(recorded, "ours")


def test_what_a_pretraining_alone_has_is_no_part_of_a_night() -> None:
    recorded = _recorded("bert-tiny", {})
    assert set(recorded) - set(ContinueConfig.model_fields) <= set(PretrainConfig.model_fields)
    assert champions_config(recorded, "ours").family == "masked_lm"


@pytest.mark.parametrize(
    ("field", "sentence"),
    [
        ("train.max_steps", r"train\.max_steps is set by each night; expected night\.max_steps"),
        ("train.schedule.warmup_steps", r"expected night\.warmup_steps and night\.decay_fraction"),
        ("train.average.name", r"train\.average\.name is set by each night; .*night\.line_share"),
        ("tokenizer.vocab_size", r"a line keeps its network and tokenizer"),
        ("model.hidden_size", r"pretrain another model under a name of its own"),
    ],
)
def test_what_a_night_sets_or_a_line_keeps_is_refused_with_the_reason(
    field: str, sentence: str
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        inherit(_ours(), "ours", {field: 3}, ())


def test_what_a_night_changes_by_itself_cannot_be_asked_for_in_vain() -> None:
    asked = {
        "train.average.name": "ema",
        "train.batch_size_warmup": {"initial": 4, "steps": 10},
        "train.sequence_length_warmup": {"initial": 48, "steps": 10},
        "train.mixing": [{"until": 1, "weights": {"ours": 1}}],
        "train.profile_steps": 2,
        "train.validation.early_stopping": 2,
    }
    config = champions_config(_recorded("gpt-tiny", {**ASKED, **asked}), "ours")
    training = night_training(config, {"documents": 90, "tokens": 90_000}, lessons=1)
    changed = {f"train.{name}" for name in differences(training, config.train)}
    assert {name.removesuffix(".name") for name in asked} <= {
        each for name in changed for each in (name, name.rpartition(".")[0])
    }
    # Rates are scaled, and a short night looks as often as a long one.
    heeded = {"train.optimizer.learning_rate", "train.validation.every"}
    for name in changed - heeded:
        with pytest.raises(ConfigError, match=f"{re.escape(name)} is set by each night"):
            inherit(_ours(), "ours", {name: 3}, ())
