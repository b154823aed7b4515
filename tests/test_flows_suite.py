"""One pretrained model on several tasks: real servers and processes, as small as can be."""

import json
import random
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from sklearn.metrics import accuracy_score

from corpusmill.flows.suite import suite
from corpusmill.model.hf.folder import export_model
from corpusmill.model.network.build import build_network
from corpusmill.model.tokenizer.config import TokenizerConfig
from corpusmill.model.tokenizer.training import train_tokenizer
from corpusmill.storage import aliases
from corpusmill.storage.artifacts import Spec, find, obtain
from corpusmill.storage.errors import ConfigError, InputError
from corpusmill.storage.layout import Layout
from corpusmill.storage.registry import register
from corpusmill.storage.served import text_generation
from corpusmill.storage.settings import Settings, load_settings
from corpusmill.storage.tracking import open_run
from corpusmill.tasks.stages.digests import Meanings
from tests.corpora import speeches
from tests.labelled import write_rows
from tests.networks import DECODER

KINDS = {"river": "water", "lake": "water", "tower": "stone", "wall": "stone"}
NAME = "tiny"
SHORT = {
    "epochs": 2,
    "train.global_batch_size": 64,
    "train.hardware.micro_batch_size": 64,
    "train.sequence_length": 32,
    "train.optimizer.learning_rate": 0.01,
    "train.hardware.precision": "fp32",
    "suite.seeds": 2,
    "suite.embeddings": 0,
}
TASKS: Sequence[dict[str, Any]] = (
    {"name": "stones", "train": "rows.jsonl", "similarity": 1.0},
    {"name": "gone", "train": "nowhere.jsonl"},
)


@dataclass
class Exams:
    """One store with a registered model and examples, in which `run` runs the flow."""

    settings: Settings
    folder: Path

    def run(self, version: int = 1, **overrides: Any) -> Run:
        """Puts a version to the suite; its run in MLflow."""
        given = {"suite.folder": str(self.folder), "suite.tasks": TASKS, **SHORT}
        given |= {key.replace("__", "."): value for key, value in overrides.items()}
        suite(f"models:/{NAME}/{version}", "en", given)
        return self.newest()

    def newest(self) -> Run:
        client = MlflowClient(self.settings.mlflow_url)
        experiment = client.get_experiment_by_name(self.settings.experiment)
        assert experiment
        runs = client.search_runs([experiment.experiment_id], "tags.flow = 'suite'")
        return runs[0]

    def text(self, run: Run, path: str) -> str:
        mlflow.set_tracking_uri(self.settings.mlflow_url)
        found: str = mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/{path}")
        return found

    def cells(self, run: Run) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.text(run, "cells.json"))["cells"]
        return found

    def models(self) -> set[str]:
        return {path.name for path in Layout(self.settings.home).artifacts("model").iterdir()}


def _rows(count: int) -> list[tuple[str, str]]:
    draw, rows = random.Random(0), []
    for number in range(count):
        word = draw.choice(list(KINDS))
        around = [str(draw.randrange(1000)) for _ in range(6)]
        around[draw.randrange(6)] = word
        rows.append((f"{number} {' '.join(around)}", KINDS[word]))
    return rows


def _register(settings: Settings, folder: Path, seed: int) -> None:
    network = build_network(DECODER, 400)
    network.init_weights(seed=seed)
    layout = Layout(settings.home)
    ref, _ = obtain(
        layout,
        Spec("model", 1, config={"seed": seed}),
        lambda target: export_model(network, DECODER, folder / "tokenizer", 32, target),
    )
    tracker = open_run(settings, str(uuid.uuid4()), f"start {seed}", {"flow": "pretrain"})
    register(layout, tracker, NAME, ref, {}, text_generation("Once"))
    tracker.finish("FINISHED")


@pytest.fixture(scope="module")
def mill(
    prefect_server: str, mlflow_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Exams]:
    """A store after its first suite; the tests below go on from there in order."""
    folder = tmp_path_factory.mktemp("suite")
    (folder / "tokenizer").mkdir()
    texts = [*speeches(1), *KINDS]
    train_tokenizer(texts, TokenizerConfig(vocab_size=400), folder / "tokenizer")
    write_rows(folder / "rows.jsonl", _rows(300))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CORPUSMILL_HOME", str(folder / "home"))
        patch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
        patch.setenv("MLFLOW_EXPERIMENT_NAME", "suites")
        patch.chdir(folder)
        settings = load_settings()
        for seed in (1, 2):
            _register(settings, folder, seed)
        mill = Exams(settings, folder)
        mill.run()
        yield mill


def test_each_system_has_its_figure_in_mlflow(mill: Exams) -> None:
    run = mill.newest()
    assert run.info.status == "FINISHED"
    beside = ("", "scratch/", "majority/", "tfidf/", "mean_with_tfidf/")
    assert {f"suite/stones/{name}accuracy" for name in beside} <= run.data.metrics.keys()
    assert {"suite/mean", "suite/scratch/mean"} <= run.data.metrics.keys()
    assert "suite/stones/accuracy_half_width" in run.data.metrics


def test_a_task_without_files_is_told_and_the_others_go_on(mill: Exams) -> None:
    missing = json.loads(mill.text(mill.newest(), "suite.json"))["missing"]
    assert list(missing) == ["gone"] and "nowhere.jsonl" in missing["gone"]
    assert "nowhere.jsonl" in mill.text(mill.newest(), "report/report.md")


def test_scikit_learn_alone_gives_each_cell_back(mill: Exams, tmp_path: Path) -> None:
    run = mill.newest()
    cells = mill.cells(run)
    assert len(cells) == 6
    for cell in cells:
        lines = [json.loads(line) for line in mill.text(run, cell["predictions"]).splitlines()]
        said = [max(line["scores"], key=line["scores"].get) for line in lines]
        assert accuracy_score([line["label"] for line in lines], said) == cell["value"]
    of_network = [cell["value"] for cell in cells if cell["system"] == "pretrained"]
    assert run.data.metrics["suite/stones/accuracy"] == pytest.approx(np.mean(of_network))


def test_each_digest_of_a_cell_leads_to_bytes_and_is_explained(mill: Exams) -> None:
    layout = Layout(mill.settings.home)
    listed = json.loads(mill.text(mill.newest(), "cells.json"))
    meanings = Meanings(layout, aliases.versions(mill.settings), lambda _: None)
    cell = listed["cells"][0]
    assert cell["system"] == "pretrained" and cell["config"] in listed["configs"]
    for ref in (listed["start"], listed["examples"]["stones"], cell["model"], cell["answers"]):
        assert find(layout, ref["kind"], ref["digest"])
        assert meanings.find(ref["digest"])[0].what == f"an artifact: {ref['kind']}"
    assert any(each.digest == cell["config"] for each in meanings.find(cell["config"]))


def test_the_version_has_the_figures_in_a_tag_and_in_its_card(mill: Exams) -> None:
    version = aliases.version_at(mill.settings, f"models:/{NAME}/1")
    assert version.tags["evaluated.suite.en.run"] == mill.newest().info.run_id
    assert "stones" in version.tags["evaluated.suite.en"]
    described = MlflowClient(mill.settings.mlflow_url).get_model_version(NAME, "1").description
    assert described and described.startswith("**Suite `en`**")


def test_again_with_nothing_new_starts_no_process(mill: Exams) -> None:
    models, before = mill.models(), time.monotonic()
    cells = mill.cells(mill.newest())
    again = mill.run()
    assert mill.models() == models and mill.cells(again) == cells
    assert time.monotonic() - before < 60


def test_of_more_seeds_only_the_new_ones_are_learned(mill: Exams) -> None:
    models = mill.models()
    run = mill.run(suite__seeds=3)
    assert len(mill.models() - models) == 2
    assert len(mill.cells(run)) == 8


def test_the_next_version_stands_beside_the_last(mill: Exams) -> None:
    run = mill.run(2)
    text = mill.text(run, "report/report.md")
    assert "Beside version 1" in text and "asked otherwise" not in text
    assert "Beside version" not in mill.text(mill.run(1), "report/report.md")


def test_where_no_task_can_be_scored_the_flow_fails(mill: Exams) -> None:
    with pytest.raises(InputError, match=r"None of the 1 tasks could be scored.*nowhere"):
        mill.run(suite__tasks=TASKS[1:])


def test_a_folder_that_is_not_there_is_asked_for(mill: Exams) -> None:
    with pytest.raises(ConfigError, match=r"suite\.folder is '/nowhere'"):
        mill.run(suite__folder="/nowhere")
