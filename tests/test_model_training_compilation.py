"""When a run is compiled, and that compiling changes only its speed."""

import shutil
from pathlib import Path

import pytest
import torch
from torch._inductor import config as inductor_config

from corpusmill.flows.overrides import override
from corpusmill.model.network.config import DecoderConfig
from corpusmill.model.network.decoder import Decoder
from corpusmill.model.objectives.config import Translation
from corpusmill.model.training.compilation import decide_compilation
from corpusmill.model.training.config import TrainConfig
from corpusmill.model.training.groups import HardwareConfig
from corpusmill.storage.layout import RunLayout
from tests.training_runs import SHORT, Workshop, finish_all, losses, records, weights

pytestmark = pytest.mark.long

CPU = torch.device("cpu")
SMALL = DecoderConfig(hidden_size=128, num_hidden_layers=4, head_dim=32, intermediate_size=352)
DROPPING = SHORT.model_copy(update={"dropout": 0.1})
COMPILED = override(DROPPING, {"hardware.compile": "always", "checkpoint_every": 5})


@pytest.mark.parametrize(("steps", "compiled"), [(300, False), (20_000, True)])
def test_a_run_is_compiled_if_it_is_long_enough_to_win_the_time_back(
    steps: int, compiled: bool
) -> None:
    config = override(
        TrainConfig(), {"max_steps": steps, "sequence_length": 64, "hardware.micro_batch_size": 8}
    )
    decided = decide_compilation(Decoder(SMALL, 65), config, CPU, num_processes=1)
    assert decided.compiled is compiled
    assert "compiling costs 30 s and would win" in decided.reason


def test_a_run_on_pairs_stays_eager_for_their_batches_differ_in_shape() -> None:
    config = TrainConfig(max_steps=20_000, objectives=(Translation(),))
    decided = decide_compilation(Decoder(SMALL, 65), config, CPU, num_processes=1)
    assert not decided.compiled and "differ in shape" in decided.reason


@pytest.mark.parametrize(
    ("device", "sentence"), [("cpu", "no C++ compiler"), ("cuda", "no C comp")]
)
def test_without_a_compiler_a_run_stays_eager_and_says_so(
    monkeypatch: pytest.MonkeyPatch, device: str, sentence: str
) -> None:
    monkeypatch.setenv("PATH", "")
    config = TrainConfig(hardware=HardwareConfig(compile="always"))
    with inductor_config.patch("cpp.cxx", ("g++",)):
        decided = decide_compilation(Decoder(SMALL, 65), config, torch.device(device), 1)
    assert not decided.compiled
    assert sentence in decided.reason


@pytest.mark.parametrize("name", ["my home", "bob's"])
def test_where_a_path_is_no_single_word_a_run_stays_eager_and_says_so(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = str(tmp_path / name)
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", path)
    config = TrainConfig(hardware=HardwareConfig(compile="always"))
    decided = decide_compilation(Decoder(SMALL, 65), config, CPU, num_processes=1)
    assert not decided.compiled
    assert f"there is {path!r}; the run stays eager" in decided.reason


@pytest.fixture(scope="module")
def compiled(workshop: Workshop) -> dict[str, RunLayout]:
    """An eager run, a compiled one, and one that goes on from a checkpoint of that."""
    if not (shutil.which("g++") or shutil.which("clang++")):
        pytest.skip("there is no C++ compiler here")
    layouts = {
        "eager": workshop.prepare("eager", DROPPING),
        "compiled": workshop.prepare("compiled", COMPILED),
        "resumed": workshop.prepare("compiled again", COMPILED, digest="compiled"),
    }
    compiler = "torch._inductor.compile_fx"
    finish_all([layouts["eager"], layouts["compiled"]], compiler)
    halfway = layouts["compiled"].checkpoints / "step-00000015"
    shutil.copytree(halfway, layouts["resumed"].checkpoints / halfway.name)
    finish_all([layouts["resumed"]], compiler)
    return layouts


def test_a_compiled_run_learns_and_drops_what_an_eager_one_does(
    compiled: dict[str, RunLayout],
) -> None:
    (record,) = records(compiled["compiled"], "started")
    assert record["compiled"] is True
    expected = losses(compiled["eager"])
    assert losses(compiled["compiled"]) == pytest.approx(expected, abs=1e-3)


def test_a_compiled_run_that_is_resumed_ends_with_the_same_bytes(
    compiled: dict[str, RunLayout],
) -> None:
    (resumed,) = records(compiled["resumed"], "resumed")
    assert resumed["step"] == 15
    assert weights(compiled["resumed"]) == weights(compiled["compiled"])
