"""What makes two training runs the same one."""

from typing import Any

import pytest
from pydantic import ValidationError

import corpusmill.flows.config  # noqa: F401 - defines every configuration
from corpusmill.flows.overrides import override
from corpusmill.model.network.config import (
    BertConfig,
    DecoderConfig,
    Family,
    GPT2Config,
    ModelConfig,
)
from corpusmill.model.training.config import TrainConfig
from corpusmill.model.training.groups import MuonConfig
from corpusmill.model.training.identity import identity_of
from corpusmill.storage.config import Config, parse
from corpusmill.storage.errors import ConfigError


def _are_one(
    base: dict[str, Any],
    changed: dict[str, Any],
    family: Family = "causal_lm",
    shape: ModelConfig | None = None,
) -> bool:
    one, other = (override(TrainConfig(), values) for values in (base, base | changed))
    return identity_of(one, family, shape, 2) == identity_of(other, family, shape, 2)


@pytest.mark.parametrize(
    "changed",
    [
        {"hardware.num_processes": 3},
        {"hardware.micro_batch_size": 1},
        {"log_every": 1},
        {"validation.every": 7},
    ],
    ids=str,
)
def test_where_a_run_runs_and_what_is_written_of_it_makes_no_other_model(
    changed: dict[str, Any],
) -> None:
    assert _are_one({}, changed)


@pytest.mark.parametrize(
    "changed",
    [
        {"seed": 1},
        {"dropout": 0.1},
        {"validation.early_stopping": 2},
        {"max_steps": 7},
        {"max_seconds": 7.0},
    ],
    ids=str,
)
def test_what_is_learned_from_what_makes_another_model(changed: dict[str, Any]) -> None:
    assert not _are_one({}, changed)


# A change, what it says nothing under, and what it counts under.
CONDITIONAL: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    ({"validation.every": 7}, {}, {"validation.early_stopping": 2}),
    ({"validation.windows": 7}, {}, {"validation.early_stopping": 2}),
    ({"hardware.micro_batch_size": 1}, {}, {"dropout": 0.1}),
]


@pytest.mark.parametrize(("changed", "idle", "acting"), CONDITIONAL, ids=str)
def test_an_option_makes_another_model_only_where_it_has_an_effect(
    changed: dict[str, Any], idle: dict[str, Any], acting: dict[str, Any]
) -> None:
    assert _are_one(idle, changed)
    assert not _are_one(acting, changed)


@pytest.mark.parametrize(
    ("changed", "idle", "acting"),
    [
        ({"packing.document_mask": True}, "encoder_decoder", "masked_lm"),
    ],
    ids=str,
)
def test_an_option_that_a_family_does_not_know_makes_no_other_model(
    changed: dict[str, Any], idle: Family, acting: Family
) -> None:
    assert _are_one({}, changed, idle)
    assert not _are_one({}, changed, acting)


TIED, UNTIED = (DecoderConfig(tie_word_embeddings=tied) for tied in (True, False))
# A change, a shape that it says nothing to, and one that it counts for.
OF_A_SHAPE: list[tuple[dict[str, Any], ModelConfig, ModelConfig]] = [
    ({"optimizer.embedding_learning_rate": 0.1}, TIED, UNTIED),
    (
        {"optimizer.embedding_learning_rate": 0.1},
        GPT2Config(),
        GPT2Config(tie_word_embeddings=False),
    ),
    ({"optimizer.embedding_learning_rate": 0.1}, BertConfig(), UNTIED),
    (
        {"optimizer.base_hidden_size": 128},
        DecoderConfig(hidden_size=128),
        DecoderConfig(hidden_size=256),
    ),
    ({"packing.document_mask": True}, BertConfig(next_sentence=True), BertConfig()),
]


@pytest.mark.parametrize(("changed", "idle", "acting"), OF_A_SHAPE, ids=str)
def test_an_option_that_a_network_has_no_use_for_makes_no_other_model(
    changed: dict[str, Any], idle: ModelConfig, acting: ModelConfig
) -> None:
    assert _are_one({}, changed, idle.family, idle)
    assert not _are_one({}, changed, acting.family, acting)


def test_compiling_makes_no_other_model_with_dropout_either() -> None:
    assert _are_one({"dropout": 0.1}, {"hardware.compile": "never"})


def test_what_a_family_learns_by_itself_may_be_named() -> None:
    assert _are_one({}, {"objectives": [{"objective": "next_token", "weight": 2}]})
    assert not _are_one({}, {"objectives": [{"objective": "fill_in_the_middle"}]})


def test_with_dropout_the_number_of_processes_that_draw_it_counts() -> None:
    for dropout, one in ((0.0, True), (0.1, False)):
        config = TrainConfig(dropout=dropout)
        alone, pair = (identity_of(config, "causal_lm", None, number) for number in (1, 2))
        same = alone == pair
        assert same == one


def test_a_mean_of_the_last_checkpoints_needs_a_last_step_that_is_known() -> None:
    mean = {"name": "checkpoints"}
    with pytest.raises(ConfigError, match="which max_seconds 60 leaves open; set aver"):
        parse(TrainConfig, {"max_seconds": 60, "average": mean})


def test_a_mean_with_the_last_weights_is_not_one_of_the_best() -> None:
    given = {"average": {"name": "line"}, "validation": {"early_stopping": 2}}
    with pytest.raises(ConfigError, match="early_stopping exports others; leave one of them out"):
        parse(TrainConfig, given)


def _configs(kind: type[Config]) -> list[type[Config]]:
    return [kind, *(below for each in kind.__subclasses__() for below in _configs(each))]


@pytest.mark.parametrize("number", [float("inf"), float("nan")])
def test_no_configuration_takes_a_number_that_is_not_finite(number: float) -> None:
    refused = 0
    for kind in _configs(Config):
        for name, field in kind.model_fields.items():
            if "float" in str(field.annotation):
                value: object = {"a": number} if "dict" in str(field.annotation) else number
                if str(field.annotation).startswith("tuple"):
                    value = (number,)
                with pytest.raises(ValidationError) as error:
                    kind.model_validate({name: value})
                found = {(each["loc"][0], each["type"]) for each in error.value.errors()}
                assert (name, "finite_number") in found
                refused += 1
    assert refused > 25


def test_a_rate_without_end_is_refused_with_a_sentence() -> None:
    with pytest.raises(ConfigError, match=r"learning_rate is inf: Input should be a finite number"):
        parse(MuonConfig, {"learning_rate": float("inf")})


@pytest.mark.parametrize("seed", [-1, 2**58])
def test_a_seed_that_cannot_be_drawn_from_is_refused(seed: int) -> None:
    with pytest.raises(ConfigError, match=f"seed is {seed}: Input should be"):
        parse(TrainConfig, {"seed": seed})
