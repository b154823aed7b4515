"""One pretrained model on several tasks: real servers and processes."""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from sklearn.metrics import accuracy_score

from corpusmill.flows.config import resolve
from corpusmill.flows.recipes.suites import SUITES
from corpusmill.flows.suite import suite
from corpusmill.flows.suite_config import task_of
from corpusmill.model.hf.folder import export_model
from corpusmill.model.network.build import build_network
from corpusmill.model.tokenizer.config import TokenizerConfig
from corpusmill.model.tokenizer.training import train_tokenizer
from corpusmill.storage.errors import ConfigError, CorpusError
from corpusmill.storage.layout import Layout
from corpusmill.storage.settings import Settings, load_settings
from tests.corpora import speeches
from tests.labelled import write_rows
from tests.networks import DECODER

KINDS = {"river": "water", "lake": "water", "tower": "stone", "wall": "stone"}
TASKS = {
    "kinds": {"train": "rows.jsonl", "similarity": 1.0},
    "gone": {"train": "nothing.jsonl"},
}
GIVEN = {
    "tasks": TASKS,
    "suite.seeds": 2,
    "suite.limit": 120,
    "epochs": 1,
    "train.hardware.precision": "fp32",
}


@dataclass
class Mill:
    """One store with a start model and the rows of a task, in which `run` runs the flow."""

    settings: Settings
    folder: Path

    def run(self, **overrides: Any) -> None:
        """Runs the flow."""
        given = GIVEN | {"suite.folder": str(self.folder)} | overrides
        suite(str(self.folder / "start"), "en", given)

    def last(self, kind: str = "") -> Any:
        """The newest run in MLflow, or a file of it."""
        client = MlflowClient(self.settings.mlflow_url)
        experiment = client.get_experiment_by_name(self.settings.experiment)
        assert experiment
        run = client.search_runs([experiment.experiment_id], max_results=1)[0]
        if not kind:
            return run
        path = client.download_artifacts(run.info.run_id, kind)
        return Path(path).read_text(encoding="utf-8")


def _rows(count: int) -> list[tuple[str, str]]:
    draw, rows = random.Random(0), []
    for number in range(count):
        word = draw.choice(list(KINDS))
        rows.append((f"{number} {draw.randrange(1000)} {word} {draw.randrange(99)}", KINDS[word]))
    return rows


@pytest.fixture(scope="module")
def mill(
    prefect_server: str, mlflow_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mill]:
    """A mill after its first run."""
    folder = tmp_path_factory.mktemp("suite")
    (folder / "tokenizer").mkdir()
    train_tokenizer(
        [*speeches(1), *KINDS], TokenizerConfig(vocab_size=400), folder / "tokenizer"
    )
    network = build_network(DECODER, 400)
    network.init_weights(seed=0)
    export_model(network, DECODER, folder / "tokenizer", 64, folder / "start")
    write_rows(folder / "rows.jsonl", _rows(200))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CORPUSMILL_HOME", str(folder / "home"))
        patch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
        patch.setenv("MLFLOW_EXPERIMENT_NAME", "suites")
        mill = Mill(load_settings(), folder)
        mill.run()
        yield mill


def test_every_system_has_a_figure_and_what_failed_a_sentence(mill: Mill) -> None:
    found = mill.last().data.metrics
    systems = ("", "scratch/", "embeddings/", "majority/", "tfidf/", "mean_with_tfidf/")
    assert {f"suite/kinds/{name}accuracy" for name in systems} <= set(found)
    page = mill.last("report/report.md")
    assert "gone: " in page and "nothing.jsonl" in page


def test_a_cell_comes_back_from_its_answers_by_scikit_learn_alone(mill: Mill) -> None:
    cells = json.loads(mill.last("cells.json"))
    ours = [each for each in cells if each["system"] == "pretrained"]
    assert [each["seed"] for each in ours] == [0, 1]
    figures = []
    for each in ours:
        lines = mill.last(f"{each['folder']}/test/predictions.jsonl").splitlines()
        rows = [json.loads(line) for line in lines]
        gold = [row["label"] for row in rows]
        said = [max(row["scores"], key=row["scores"].get) for row in rows]
        figures.append(accuracy_score(gold, said))
    assert sum(figures) / 2 == pytest.approx(mill.last().data.metrics["suite/kinds/accuracy"])


def test_another_seed_trains_that_one_alone_and_the_same_again_nothing(mill: Mill) -> None:
    models = Layout(mill.settings.home).artifacts / "model"
    before = set(models.iterdir())
    mill.run()
    assert set(models.iterdir()) == before
    mill.run(**{"suite.seeds": 3})
    assert len(set(models.iterdir()) - before) == 2  # pretrained and scratch


def test_a_suite_without_a_folder_or_a_task_that_can_be_read_is_refused(mill: Mill) -> None:
    with pytest.raises(ConfigError, match="suite.folder is not given"):
        task_of(resolve(SUITES, "zh", {}), "tnews")
    with pytest.raises(ConfigError, match="there is no such folder"):
        mill.run(**{"suite.folder": "/nowhere"})
    with pytest.raises(CorpusError, match="No task of the suite could be read"):
        mill.run(tasks={"gone": TASKS["gone"]})
