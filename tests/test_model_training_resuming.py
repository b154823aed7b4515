"""Two real processes go on from one checkpoint, or from none, whatever each of them can read."""

import multiprocessing
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from accelerate import Accelerator

from corpusmill.flows.overrides import override
from corpusmill.model.network.config import DecoderConfig
from corpusmill.model.network.decoder import Decoder
from corpusmill.model.training.checkpoint import Progress, tensors_of, write_checkpoint
from corpusmill.model.training.compilation import Compilation, agreed
from corpusmill.model.training.groups import MuonConfig
from corpusmill.model.training.job import TrainingJob
from corpusmill.model.training.optimizer import Optimizers, build_optimizers
from corpusmill.model.training.ranks import of_all
from corpusmill.model.training.resuming import load_newest
from corpusmill.model.training.run import Run, build_run, resume
from corpusmill.storage.artifacts import Spec
from corpusmill.storage.config import read_json
from corpusmill.storage.errors import ArtifactError, ConfigError
from tests.servers import free_port
from tests.training_runs import SHORT, Workshop

SHAPE = DecoderConfig(
    hidden_size=8,
    num_hidden_layers=1,
    num_attention_heads=1,
    num_key_value_heads=1,
    head_dim=4,
    intermediate_size=8,
)
STEPS = (10, 20)
MODEL = Spec("model", 1)


def _network(step: int) -> tuple[Decoder, Optimizers]:
    """A network whose every number says which step it is of."""
    network = Decoder(SHAPE, 70)
    optimizers = build_optimizers(network, MuonConfig())
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizers.step(1.0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(step)
    return network, optimizers


def _write(folder: Path, *steps: int) -> None:
    for step in steps:
        write_checkpoint(folder, MODEL, Progress(step), tensors_of(*_network(step), None))


def _damage(folder: Path, *steps: int) -> None:
    for step in steps:
        os.truncate(folder / f"step-{step:08d}" / "model.safetensors", 100)


def _write_again(folder: Path) -> None:
    shutil.rmtree(folder / "step-00000020")
    write_checkpoint(folder, MODEL, Progress(20), tensors_of(*_network(7), None))


# What befalls the store as the main process sees it, and as the other one does.
CASES: dict[str, tuple[Callable[[Path], None] | None, Callable[[Path], None] | None]] = {
    "unhurt": (None, None),
    "the main one": (lambda folder: _damage(folder, 20), None),
    "the other one": (None, lambda folder: _damage(folder, 20)),
    "the other one lacks it": (None, lambda folder: shutil.rmtree(folder / "step-00000020")),
    "other bytes": (None, _write_again),
    "none is shared": (None, lambda folder: _damage(folder, *STEPS)),
}


def _outcome(folder: Path) -> tuple[Any, ...]:
    """Step and weights that a process goes on with, and what it refuses with which reason."""
    network, optimizers = _network(0)
    try:
        progress, refused = load_newest(folder, network, optimizers, None)
    except ArtifactError as error:
        sentence = str(error).removeprefix(str(folder)).partition(" (")[0]
        return sentence, network.norm.weight[0].item(), []
    assert progress is not None
    said = [(path.name, reason.split(" has ")[0][-40:]) for path, reason in refused]
    return progress.step, network.norm.weight[0].item(), said


def _rank(rank: int, port: int, root: Path, found: Any) -> None:
    torch.set_num_threads(1)
    address = f"tcp://127.0.0.1:{port}"
    dist.init_process_group("gloo", init_method=address, rank=rank, world_size=2)
    outcomes = {name: _outcome(root / name / str(rank)) for name in CASES}
    found.put((rank, outcomes, agreed(Compilation(rank == 0, f"of process {rank}"))))
    dist.barrier()


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """What each of two processes did in every case, and how they agree to compile."""
    root = tmp_path_factory.mktemp("stores")
    _write(root / "whole", *STEPS)
    for name, hurts in CASES.items():
        for rank, hurt in enumerate(hurts):
            shutil.copytree(root / "whole", root / name / str(rank))
            if hurt:
                hurt(root / name / str(rank))
    context, port = multiprocessing.get_context("fork"), free_port()
    found = context.Queue()
    ranks = [context.Process(target=_rank, args=(rank, port, root, found)) for rank in (0, 1)]
    for each in ranks:
        each.start()
    told = sorted(found.get(timeout=60) for _ in ranks)
    for each in ranks:
        each.join(30)
    return told


@pytest.mark.parametrize("name", ["the main one", "the other one", "the other one lacks it"])
def test_what_one_process_alone_cannot_read_none_goes_on_from(both: list[Any], name: str) -> None:
    main, other = (outcomes[name] for _, outcomes, _ in both)
    assert main == other
    assert main[:2] == (10, 10)
    assert [path for path, _ in main[2]] == ["step-00000020"]


def test_what_all_read_alike_they_go_on_from(both: list[Any]) -> None:
    assert [outcomes["unhurt"] for _, outcomes, _ in both] == [(20, 20, [])] * 2


def test_a_checkpoint_of_other_bytes_is_not_the_same_one(both: list[Any]) -> None:
    main, other = (outcomes["other bytes"] for _, outcomes, _ in both)
    assert main == other
    assert main[:2] == (10, 10)


def test_good_checkpoints_that_one_process_cannot_read_end_the_run_instead_of_its_start(
    both: list[Any],
) -> None:
    main, other = (outcomes["none is shared"] for _, outcomes, _ in both)
    assert main == other
    assert (
        main[0] == " holds checkpoints that the main process reads, but none that all processes do"
    )
    assert main[1] == 0


def test_where_one_process_cannot_compile_none_does(both: list[Any]) -> None:
    assert [compilation for *_, compilation in both] == [Compilation(False, "of process 1")] * 2


class Harmful:
    """What a peer would run if it were sent as a pickle."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os._exit, (1,)


def test_what_processes_tell_each_other_holds_no_code(tmp_path: Path) -> None:
    store = dist.FileStore(str(tmp_path / "meeting"), 1)  # type: ignore[attr-defined]
    dist.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        assert of_all({"步": [1, None]}) == [{"步": [1, None]}]
        with pytest.raises(TypeError, match="not JSON serializable"):
            of_all(Harmful())
    finally:
        dist.destroy_process_group()


def _prepared(workshop: Workshop, changes: Mapping[str, Any]) -> Run:
    """A run in this process, built from its job."""
    layout = workshop.prepare("edited", override(SHORT, changes))
    return build_run(read_json(TrainingJob, layout.job), layout, Accelerator(cpu=True))


def test_a_job_edited_by_hand_does_not_go_on_from_the_checkpoints_of_the_one_before(
    workshop: Workshop,
) -> None:
    first = _prepared(workshop, {})
    for parameter in first.network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    first.optimizers.step(1.0)
    tensors = tensors_of(first.network, first.optimizers, None)
    write_checkpoint(first.layout.checkpoints, first.spec, Progress(5), tensors)
    assert first.journal
    first.journal.close()
    moved = _prepared(workshop, {"log_every": 7, "hardware.micro_batch_size": 1})
    resume(moved)
    assert moved.progress.step == 5
    assert moved.journal
    moved.journal.close()
    sentence = r"made with train.optimizer.learning_rate 0.03, but job.json has 0.5; give"
    with pytest.raises(ConfigError, match=sentence):
        resume(_prepared(workshop, {"optimizer.learning_rate": 0.5}))
