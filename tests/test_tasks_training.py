"""The task `train`: what names a model, and what a run leaves once it is finished."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from corpusmill.model.network.config import BertConfig
from corpusmill.model.objectives.config import MaskedTokens
from corpusmill.model.training.config import TrainConfig
from corpusmill.model.training.groups import LineMeanConfig
from corpusmill.model.training.job import TrainingJob, model_spec, moments_spec
from corpusmill.model.training.moments import write_moments
from corpusmill.storage.artifacts import Ref, Spec, content_digest, folder_digest, obtain
from corpusmill.storage.config import read_json
from corpusmill.storage.errors import ConfigError
from corpusmill.storage.layout import Layout, RunLayout
from corpusmill.storage.manifest import MANIFEST
from corpusmill.storage.splits import SPLITS
from corpusmill.storage.writing import locked
from corpusmill.tasks.stages.training import TrainingRun, plan_run, train
from tests.training_runs import SHORT, Workshop, finish_all

INPUTS = ("shards", "tokenizer", "initial")


def _made(root: Path, kind: str, content: str = "") -> Ref:
    """An artifact whose bytes its digest does not tell."""

    def write(directory: Path) -> None:
        (directory / "x").write_text(content)
        (directory / "config.json").write_text('{"model_type": "gpt2"}')

    ref, _ = obtain(Layout(root), Spec(kind, 1), write)
    return ref


def _digest(root: Path, changed: str) -> str:
    shards, tokenizer, start = (
        _made(root, kind, "other" if kind == changed else "same") for kind in INPUTS
    )
    return model_spec(shards.path, tokenizer.path, start.path, None, TrainConfig(), 1).digest


@pytest.mark.parametrize("changed", INPUTS)
def test_a_model_is_named_by_the_bytes_that_go_in(tmp_path: Path, changed: str) -> None:
    digests = [_digest(tmp_path / str(n), what) for n, what in enumerate(["", "", changed])]
    assert digests[0] == digests[1] != digests[2]


def test_what_says_what_a_word_is_names_a_model_that_masks_whole_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards, tokenizer = (_made(tmp_path, kind).path for kind in INPUTS[:2])

    def digest(*, whole_words: bool) -> str:
        train = TrainConfig(objectives=(MaskedTokens(whole_words=whole_words),))
        return model_spec(shards, tokenizer, None, BertConfig(), train, 1).digest

    before = {each: digest(whole_words=each) for each in (True, False)}
    monkeypatch.setattr("corpusmill.storage.packages.version", lambda _: "another")
    assert digest(whole_words=False) == before[False]
    assert digest(whole_words=True) != before[True]


def test_a_mean_with_the_model_before_needs_one(workshop: Workshop, tmp_path: Path) -> None:
    job = read_json(TrainingJob, workshop.prepare("noise", SHORT).job)
    shards, tokenizer = (Ref(kind, "", workshop.root / kind) for kind in INPUTS[:2])
    config = job.train.model_copy(update={"average": LineMeanConfig()})
    with pytest.raises(ConfigError, match="this run begins with noise; expected ema"):
        plan_run(Layout(tmp_path), shards, tokenizer, job.model, config)


class _Blind:
    def follow(self) -> None:
        raise AssertionError("nothing is left to train")


@pytest.fixture(scope="module")
def finished(workshop: Workshop) -> RunLayout:
    """A run whose process has ended, and whose model no flow has taken in yet."""
    layout = workshop.prepare("finished", SHORT)
    finish_all([layout])
    return layout


def test_a_run_keeps_what_tells_of_it_and_no_checkpoints_once_its_model_is_in_the_store(
    finished: RunLayout, tmp_path: Path
) -> None:
    job, store = read_json(TrainingJob, finished.job), Layout(tmp_path)
    run = TrainingRun(job.spec(), job)
    assert list(finished.checkpoints.glob("step-*/manifest.json"))
    model, reused = train(store, run, _Blind())
    assert not reused
    assert not finished.checkpoints.exists()
    for path in (finished.job, finished.journal, finished.result, finished.log):
        assert path.exists()
    assert (finished.model / "model.safetensors").samefile(model.path / "model.safetensors")
    assert train(store, run, _Blind()) == (model, True)


def test_a_copy_of_the_model_is_gone_on_from_with_what_its_run_has_left(
    workshop: Workshop, finished: RunLayout, tmp_path: Path
) -> None:
    job, store = read_json(TrainingJob, finished.job), Layout(tmp_path)
    model, _ = train(store, TrainingRun(job.spec(), job), _Blind())

    def write(folder: Path) -> None:
        shutil.copytree(model.path, folder, dirs_exist_ok=True)
        (folder / MANIFEST).unlink()

    # As it comes back from the registry where the one in the store is damaged.
    copy, _ = obtain(store, Spec("registered", 1, {"model": model.digest}), write)
    counts: dict[str, Any] = {split: {"tokens": 1000, "sources": {}} for split in SPLITS}
    shards, _ = obtain(store, Spec("shards", 1), lambda _: counts)
    tokenizer = Ref("tokenizer", "", workshop.root / "tokenizer")
    config = job.train.on_hardware(num_processes=1)
    of_either = [plan_run(store, shards, tokenizer, None, config, start) for start in (model, copy)]
    assert of_either[0].spec == of_either[1].spec
    assert of_either[0].job.moments == store.artifact("moments", moments_spec(model.digest).digest)


def test_what_a_run_has_left_is_that_of_the_model_which_is_in_the_store(
    finished: RunLayout, tmp_path: Path
) -> None:
    job, store = read_json(TrainingJob, finished.job), Layout(tmp_path)
    # Of the same run once before, which the clock has ended elsewhere.
    spec = moments_spec(job.spec().digest)
    before, _ = obtain(store, spec, lambda folder: write_moments(folder, {"x": torch.ones(1)}, {}))
    train(store, TrainingRun(job.spec(), job), _Blind())
    assert content_digest(before) == folder_digest(finished.moments)


def test_what_another_flow_works_on_is_left_to_it(finished: RunLayout, tmp_path: Path) -> None:
    job, store = read_json(TrainingJob, finished.job), Layout(tmp_path)
    run = TrainingRun(job.spec(), job)
    train(store, run, _Blind())
    theirs = finished.checkpoints / "step-00000001"
    theirs.mkdir(parents=True)
    with locked(finished.lock):
        assert train(store, run, _Blind())[1]
    assert theirs.exists()
