"""Recipes and overrides: what is merged, and what is refused with the nearest right name."""

import math
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from corpusmill.flows.command_line import main
from corpusmill.flows.config import (
    PretrainConfig,
    digest_config,
    on_this_machine,
    resolve,
)
from corpusmill.flows.overrides import override
from corpusmill.flows.recipes.catalogue import RECIPES
from corpusmill.model.network.build import build_network
from corpusmill.model.training.config import check_device
from corpusmill.model.training.identity import identity_of
from corpusmill.storage.errors import ConfigError, CorpusmillError
from corpusmill.storage.settings import load_settings


def test_every_recipe_resolves_without_overrides() -> None:
    for name in RECIPES.keys() - {"adopt", "bert-zh", "translate-tiny", "translate-base"}:
        assert isinstance(resolve(RECIPES, name, {}), PretrainConfig)


@pytest.mark.parametrize(
    ("start", "sentence"),
    [
        (None, r"initialize_from is ''; expected the absolute path"),
        ("models/gpt2", r"initialize_from is 'models/gpt2'; expected the absolute path"),
        ("/nowhere", r"initialize_from is '/nowhere', and there is no such folder; expected the"),
        (3, "initialize_from is 3; expected a string, in quotes"),
        ([], r"initialize_from is \[\]; expected a string, in quotes"),
    ],
)
def test_a_model_to_adopt_is_named_by_an_absolute_path(start: object, sentence: str) -> None:
    overrides = {} if start is None else {"initialize_from": start}
    with pytest.raises(CorpusmillError, match=sentence):
        resolve(RECIPES, "adopt", overrides)


@pytest.mark.parametrize(
    ("recipe", "overrides", "sentence"),
    [
        (
            "bert-tiny",
            {"tokenizer.family": "causal_lm", "tokenizer.algorithm": "bpe"},
            "model.architecture bert needs a tokenizer of the family masked_lm, but "
            "tokenizer.family is causal_lm",
        ),
        ("translate-tiny", {}, r"asks for translation, but no source holds pairs; expected one"),
        ("bert-zh", {}, r"^corpus.sources: the list is empty; expected at least one path, glob or"),
        (
            "bert-zh",
            {
                "corpus.sources": ["/text"],
                "tokenizer.source": "/a",
                "tokenizer.character_coverage": 1,
            },
            "character_coverage is 1.0, which says nothing to a vocabulary brought along; leave",
        ),
        (
            "gpt-tiny",
            {"train.objectives": [{"objective": "masked_tokens"}]},
            "asks for masked_tokens, which a causal_lm model does not learn; expected next_token",
        ),
        (
            "gpt-tiny",
            {"train.objectives": [{"objective": "guess"}]},
            "train.objectives.0.objective is 'guess'; expected one of",
        ),
        (
            "bert-tiny",
            {"train.packing.name": "best_fit"},
            "train.packing.name is 'best_fit', which says nothing to a network of bert; expected",
        ),
        (
            "denoise-tiny",
            {"train.packing.document_mask": True},
            "train.packing.document_mask is True, which says nothing to a network of encoder_deco",
        ),
        (
            "gpt2-tiny",
            {"train.optimizer.embedding_learning_rate": 0.1},
            "embedding_learning_rate is 0.1, which says nothing to a network of gpt2; expected",
        ),
        (
            "gpt-tiny",
            {"train.average.name": "line"},
            "train.average.name is line, the mean with the model that a run goes on from, but this",
        ),
    ],
)
def test_what_a_family_does_not_do_is_refused(
    recipe: str, overrides: dict[str, object], sentence: str
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        resolve(RECIPES, recipe, overrides)


def test_an_override_changes_its_field_and_leaves_the_siblings_alone() -> None:
    config = resolve(RECIPES, "gpt-smoke", {"train.max_steps": 7})
    assert config.train.max_steps == 7
    assert config.train.sequence_length == RECIPES["gpt-smoke"]().train.sequence_length


def test_sources_may_be_a_list_of_paths_and_datasets() -> None:
    sources = ["/text/*.txt", {"dataset": "team/essays", "split": "test"}]
    config = resolve(RECIPES, "gpt-tiny", {"corpus.sources": sources})
    assert config.corpus.sources[0] == "/text/*.txt"
    assert config.model_dump()["corpus"]["sources"][1]["split"] == "test"


@pytest.mark.parametrize(
    ("override", "nearest"),
    [
        ({"train.max_stps": 5}, "train.max_steps"),
        ({"max_steps": 5}, "train.max_steps"),
        ({"tokeniser.vocab_size": 5}, "tokenizer.vocab_size"),
        ({"train.learning_rate": 1}, "it is 'train.optimizer.learning_rate' now"),
        ({"train.weight_average": "ema"}, "it is 'train.average.name' now"),
        (
            {"train.optimizer": "adamw"},
            "train.optimizer is 'adamw', .* such as train.optimizer.name",
        ),
        ({"train.schedule": "cosine"}, "such as train.schedule.name; set those"),
        ({"train": {"max_steps": 5}}, "overrides are dotted names"),
    ],
)
def test_a_field_that_does_not_exist_is_refused_with_the_nearest(
    override: dict[str, object], nearest: str
) -> None:
    with pytest.raises(ConfigError, match=nearest):
        resolve(RECIPES, "gpt-tiny", override)


def test_a_recipe_that_does_not_exist_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'gpt-tiny'"):
        resolve(RECIPES, "gpt-tiney", {})


@pytest.mark.parametrize("wrong", [None, 3, "train", [("train.max_steps", 3)]])
def test_what_is_no_recipe_and_no_mapping_of_overrides_is_a_sentence(wrong: Any) -> None:
    with pytest.raises(ConfigError, match=r"overrides is .*; expected a mapping of dotted names"):
        resolve(RECIPES, "gpt-tiny", wrong)
    with pytest.raises(ConfigError, match=r"recipe is .*; expected a name|There is no recipe"):
        resolve(RECIPES, wrong, {})


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        (
            {"train.optimizer.learning_rate": 0},
            "train.optimizer.learning_rate is 0: .*greater than 0",
        ),
        ({"train.schedule.warmup_steps": 9000}, "warmup_steps 9000 leaves nothing of max_steps"),
        ({"tokenizer.vocab_size": 100}, "tokenizer: vocab_size is 100, .*257"),
        ({"model.num_key_value_heads": 3}, "num_attention_heads 4 is not a multiple"),
        ({"corpus.sources": []}, "corpus.sources"),
        ({"registration.name": "a/b"}, "registration.name: 'a/b', of 3 characters, cannot name"),
        (
            {"evaluation.seed": 2**58},
            "evaluation.seed is 288230376151711744: .*less than 4294967296",
        ),
        ({"train.max_steps": "many"}, "train.max_steps is 'many'; expected an integer"),
    ],
)
def test_a_value_that_cannot_work_is_refused_in_one_sentence(
    override: dict[str, object], sentence: str
) -> None:
    with pytest.raises(ConfigError, match=sentence) as refusal:
        resolve(RECIPES, "gpt-tiny", override)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("recipe", "millions"),
    [("gpt-small", 124), ("gpt-medium", 355), ("gpt-1b", 1235), ("gpt2", 124), ("bert-base", 110)],
)
def test_a_recipe_has_the_parameters_it_says(recipe: str, millions: int) -> None:
    config = RECIPES[recipe]()
    with torch.device("meta"):
        network = build_network(config.model, config.tokenizer.vocab_size)
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count / 1e6 == pytest.approx(millions, rel=0.01)


@pytest.mark.parametrize("name", sorted(RECIPES.keys() - {"adopt"}))
def test_a_recipe_begins_with_a_uniform_prediction(name: str) -> None:
    # Its width, in one layer and with fewer tokens: a prediction that is not uniform shows more.
    vocab_size, shape = 1024, RECIPES[name]().model
    assert shape is not None
    layers = [field for field in type(shape).model_fields if field.endswith("_layers")]
    network = build_network(shape.model_copy(update=dict.fromkeys(layers, 1)), vocab_size)
    network.init_weights(seed=0)
    ids, targets = torch.randint(vocab_size, (2, 1, 64), generator=torch.Generator().manual_seed(0))
    given: dict[str, torch.Tensor] = {"targets_BT": targets}
    if shape.family == "encoder_decoder":
        given |= {"source_BS": ids, "lengths_B": torch.tensor([64])}
    if shape.family == "masked_lm":
        places = torch.arange(64).unsqueeze(0)
        given = {"targets_BM": targets, "places_BM": places, "lengths_B": torch.tensor([64])}
    with torch.no_grad():
        loss = network(ids_BT=ids, **given).item() / 64
    assert loss / math.log(vocab_size) == pytest.approx(1, abs=0.015)


@pytest.mark.parametrize("recipe", ["gpt-small", "gpt-medium", "gpt-1b"])
def test_a_recipe_for_a_gpu_is_refused_without_one(recipe: str) -> None:
    train = RECIPES[recipe]().train
    with pytest.raises(ConfigError, match=r"no NVIDIA GPU, only 2 processors for [\d,]+ tokens"):
        check_device(train, 0, 2)
    check_device(train, 1, 2)
    check_device(override(train, {"hardware.device": "auto"}), 0, 2)


def test_gpus_are_what_torch_sees_in_the_environment_of_training(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # What Slurm sets for a job without a GPU.
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "NoDevFiles")
    with pytest.raises(ConfigError, match="no NVIDIA GPU"):
        on_this_machine(RECIPES["gpt-small"]())


def test_what_is_left_to_the_machine_is_filled_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("CORPUSMILL_PRECISION", "bf16")
    fixed = resolve(RECIPES, "gpt-smoke", {"evaluation.precision": "fp32"})
    here = on_this_machine(fixed)
    assert (here.train.hardware.precision, here.evaluation.precision) == ("bf16", "fp32")
    assert here.train.hardware.num_processes == min(2, load_settings().processors)
    # Where nothing is left to it, not even torch is asked.
    monkeypatch.setattr(sys, "executable", "/nowhere")
    assert on_this_machine(here) is here


def test_the_precision_is_part_of_what_a_model_is() -> None:
    train = RECIPES["gpt-smoke"]().train.on_hardware(precision="bf16")
    assert identity_of(train, "causal_lm", None, 1)["hardware"] == {"precision": "bf16"}


def test_more_heads_than_the_width_allows_are_refused_with_the_numbers() -> None:
    with pytest.raises(ConfigError, match=r"num_attention_heads 300 is above hidden_size 256"):
        resolve(
            RECIPES,
            "gpt-tiny",
            {"model.num_attention_heads": 300, "model.num_key_value_heads": 300},
        )


OWN_RECIPES = """
from corpusmill.flows.config import PretrainConfig
from corpusmill.flows.recipes.decoders import gpt_smoke

NOTHING = None

def gpt_law() -> PretrainConfig:
    base = gpt_smoke()
    return base.model_copy(update={"train": base.train.model_copy(update={"max_steps": 9})})

def wrong() -> int:
    return 3

def broken() -> PretrainConfig:
    return {}["nothing"]
"""


@pytest.fixture
def own_recipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "our_recipes.py").write_text(OWN_RECIPES, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)


def test_a_recipe_of_ones_own_is_named_as_ours_are(own_recipes: None) -> None:
    config = resolve(RECIPES, "our_recipes:gpt_law", {"train.seed": 5})
    assert (config.train.max_steps, config.train.seed) == (9, 5)


def test_a_recipe_of_ours_may_be_named_by_its_place() -> None:
    assert (
        resolve(RECIPES, "corpusmill.flows.recipes.decoders:gpt_smoke", {})
        == RECIPES["gpt-smoke"]()
    )


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("wrong", "our_recipes:wrong returned a int; expected a PretrainConfig"),
        ("broken", "our_recipes:broken raised KeyError: 'nothing'; expected a function"),
        ("NOTHING", "our_recipes:NOTHING is a NoneType; expected a function without arguments"),
    ],
)
def test_what_is_no_recipe_is_refused_in_a_sentence(
    own_recipes: None, name: str, sentence: str
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        resolve(RECIPES, f"our_recipes:{name}", {})


@pytest.mark.parametrize(
    ("options", "same"),
    [
        ({"hardware.compile": "never", "hardware.parallelism": "fsdp", "log_every": 7}, True),
        ({"hardware.micro_batch_size": 2, "hardware.num_processes": 2}, True),
        ({"hardware.precision": "fp32"}, False),
        ({"seed": 7}, False),
    ],
)
def test_configs_of_one_model_have_one_digest(options: dict[str, object], same: bool) -> None:
    named = {f"train.{name}": value for name, value in options.items()}
    pair = [resolve(RECIPES, "gpt-smoke", overrides) for overrides in ({}, named)]
    assert (digest_config(pair[0]) == digest_config(pair[1])) == same


def test_where_something_is_dropped_the_micro_batch_is_part_of_the_digest() -> None:
    digests = {
        digest_config(
            resolve(
                RECIPES,
                "gpt-smoke",
                {"train.dropout": 0.1, "train.hardware.micro_batch_size": size},
            )
        )
        for size in (1, 2)
    }
    assert len(digests) == 2


def test_the_command_shows_a_config_its_differences_and_its_digest() -> None:
    words = ["config", "gpt-smoke", "train.seed=5", "registration.name=mine"]
    shown = CliRunner().invoke(main, words).output
    assert 'registration.name = "mine"\n' in shown
    own, digest = shown.split("Other than in gpt-smoke:\n")[1].split("\n\nDigest ")
    assert own.split("\n") == [
        "  train.seed = 5, not 0",
        '  registration.name = "mine", not "gpt-smoke"',
    ]
    assert digest.strip() not in CliRunner().invoke(main, words[:-1]).output
