"""Checkpoints: what is saved comes back, and what is damaged or half-written does not."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from corpusmill.model.network.config import DecoderConfig
from corpusmill.model.network.decoder import Decoder
from corpusmill.model.training.checkpoint import (
    Progress,
    clear_leftovers,
    tensors_of,
    write_checkpoint,
)
from corpusmill.model.training.groups import MuonConfig
from corpusmill.model.training.optimizer import Optimizers, build_optimizers
from corpusmill.model.training.resuming import load_newest
from corpusmill.storage.artifacts import Spec, publish
from corpusmill.storage.errors import ConfigError
from corpusmill.storage.writing import temporary

SMALL = DecoderConfig(
    hidden_size=8,
    num_hidden_layers=1,
    num_attention_heads=1,
    num_key_value_heads=1,
    head_dim=4,
    intermediate_size=8,
)

MODEL = Spec("model", 1)
ENDLESS_WRITER = """
import sys
from pathlib import Path
from corpusmill.model.training.checkpoint import Progress, tensors_of, write_checkpoint
from corpusmill.model.network.config import DecoderConfig
from corpusmill.model.training.groups import MuonConfig
from corpusmill.model.network.decoder import Decoder
from corpusmill.model.training.optimizer import build_optimizers
from corpusmill.storage.artifacts import Spec
network = Decoder(DecoderConfig(num_hidden_layers=1), 300)
network.init_weights(seed=0)
optimizer = build_optimizers(network, MuonConfig())
for parameter in network.parameters():
    parameter.grad = parameter.detach().clone()
optimizer.step(1.0)
for step in range(1, 10_000):
    tensors = tensors_of(network, optimizer, None)
    write_checkpoint(Path(sys.argv[1]), Spec("model", 1), Progress(step), tensors)
    print(step, flush=True)
"""


def _trained(steps: int, config: DecoderConfig = SMALL) -> tuple[Decoder, Optimizers]:
    """A network and its optimizer after a few steps on made-up gradients."""
    network = Decoder(config, 300)
    network.init_weights(seed=0)
    optimizer = build_optimizers(network, MuonConfig())
    generator = torch.Generator().manual_seed(1)
    for _ in range(steps):
        for parameter in network.parameters():
            parameter.grad = torch.randn(parameter.shape, generator=generator)
        optimizer.step(1.0)
    return network, optimizer


def _save(folder: Path, *steps: int) -> None:
    for step in steps:
        progress = Progress(step, step * 100, step / 2)
        write_checkpoint(folder, MODEL, progress, tensors_of(*_trained(step), None))


def _flip_a_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_weights_moments_and_progress_come_back_bit_for_bit(tmp_path: Path) -> None:
    saved, saved_optimizers = _trained(3)
    progress = Progress(step=3, tokens_seen=1234, seconds=5.678)
    write_checkpoint(tmp_path, MODEL, progress, tensors_of(saved, saved_optimizers, None))
    loaded, optimizer = _trained(0)
    assert load_newest(tmp_path, loaded, optimizer, None) == (progress, [])
    for before, after in zip(saved.parameters(), loaded.parameters(), strict=True):
        assert torch.equal(before, after)
    states = dict(saved_optimizers.states()), dict(optimizer.states())
    for before, after in zip(saved.parameters(), loaded.parameters(), strict=True):
        old, new = states[0][before], states[1][after]
        assert old.keys() == new.keys()
        assert all(torch.equal(old[key], new[key]) for key in old)


def test_a_step_after_loading_is_the_step_that_would_have_followed(tmp_path: Path) -> None:
    _save(tmp_path, 3)
    whole, whole_optimizers = _trained(3)
    loaded, optimizer = _trained(0)
    load_newest(tmp_path, loaded, optimizer, None)
    for network, each in ((whole, whole_optimizers), (loaded, optimizer)):
        for parameter in network.parameters():
            parameter.grad = torch.ones_like(parameter)
        each.step(0.5)
    pairs = zip(whole.parameters(), loaded.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_an_empty_folder_has_no_checkpoint(tmp_path: Path) -> None:
    assert load_newest(tmp_path / "none", *_trained(0), None) == (None, [])


def test_the_newest_two_are_kept(tmp_path: Path) -> None:
    _save(tmp_path, 1, 2, 3, 4)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000003", "step-00000004"]


@pytest.mark.parametrize(
    "file", ["model.safetensors", "optimizer.safetensors", "progress.json", "manifest.json"]
)
def test_a_damaged_newest_is_refused_and_the_one_before_it_loaded(
    tmp_path: Path, file: str
) -> None:
    _save(tmp_path, 1, 2)
    newest = tmp_path / "step-00000002"
    if file == "manifest.json":
        os.truncate(newest / file, 100)
    else:
        _flip_a_byte(newest / file)
    network, optimizer = _trained(0)
    progress, ((path, reason),) = load_newest(tmp_path, network, optimizer, None)
    assert progress == Progress(1, 100, 0.5)
    assert path == newest
    assert file in reason
    expected, _ = _trained(1)
    pairs = zip(expected.parameters(), network.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("file", ["model.safetensors", "optimizer.safetensors"])
@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_not_published(
    tmp_path: Path, file: str, number: float
) -> None:
    tensors = tensors_of(*_trained(1), None)
    next(iter(tensors[file].values())).flatten()[-1] = number
    with pytest.raises(ConfigError, match=f"of {file} is not finite at step 1; .* lower"):
        write_checkpoint(tmp_path, MODEL, Progress(1), tensors)
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_with_nan_that_is_there_is_refused_for_the_one_before_it(
    tmp_path: Path,
) -> None:
    _save(tmp_path, 1, 2)
    newest = tmp_path / "step-00000002"
    weights = tensors_of(*_trained(2), None)["model.safetensors"]
    weights["norm.weight"][0] = torch.nan

    def poison(directory: Path) -> None:
        shutil.copytree(newest, directory, dirs_exist_ok=True)
        save_file(weights, directory / "model.safetensors")
        (directory / "manifest.json").unlink()

    publish(tmp_path / "step-00000003", Spec("checkpoint", 1), poison)
    progress, ((path, reason),) = load_newest(tmp_path, *_trained(0), None)
    assert progress == Progress(2, 200, 1.0)
    assert (path.name, reason) == ("step-00000003", "norm.weight is not finite")


def test_a_checkpoint_of_another_shape_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    _save(tmp_path, 1)
    network, optimizer = _trained(0, SMALL.model_copy(update={"intermediate_size": 16}))
    before = [parameter.detach().clone() for parameter in network.parameters()]
    progress, refused = load_newest(tmp_path, network, optimizer, None)
    assert progress is None
    assert len(refused) == 1
    assert all(torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))
    assert not list(optimizer.states())


def test_a_folder_without_manifest_is_no_checkpoint(tmp_path: Path) -> None:
    _save(tmp_path, 1, 2)
    (tmp_path / "step-00000002" / "manifest.json").unlink()
    progress, refused = load_newest(tmp_path, *_trained(0), None)
    assert progress == Progress(1, 100, 0.5)
    assert refused == []


def test_what_a_killed_writer_left_is_no_checkpoint_and_is_cleared(tmp_path: Path) -> None:
    _save(tmp_path, 1)
    with temporary(tmp_path) as leftover:
        pass
    (tmp_path / "step-00000001").rename(leftover)
    leftover.with_name(f"{leftover.name}.lock").touch()
    assert load_newest(tmp_path, *_trained(0), None) == (None, [])
    clear_leftovers(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_writer_killed_at_any_moment_leaves_a_good_newest(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", ENDLESS_WRITER, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    while process.stdout.readline() != "3\n":
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    said, _ = process.communicate()
    last = int(["3", *said.split()][-1])
    network, optimizer = _trained(0, DecoderConfig(num_hidden_layers=1))
    progress, refused = load_newest(tmp_path, network, optimizer, None)
    assert refused == []
    assert progress is not None
    assert progress.step in (last, last + 1)
