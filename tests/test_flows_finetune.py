"""From labelled examples to a registered model that answers: real servers and processes."""

import json
import os
import random
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import mlflow
import pytest
from click.testing import CliRunner
from mlflow import MlflowClient
from prefect import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

from corpusmill.flows.command_line import main
from corpusmill.flows.continued import continue_pretraining
from corpusmill.flows.evaluate import evaluate
from corpusmill.flows.finetune import finetune
from corpusmill.model.hf.folder import export_model
from corpusmill.model.network.build import build_network
from corpusmill.model.tokenizer.config import TokenizerConfig
from corpusmill.model.tokenizer.training import train_tokenizer
from corpusmill.storage.aliases import find_by_alias, record_of, versions
from corpusmill.storage.errors import ConfigError, CorpusError, ModelError
from corpusmill.storage.examples.reading import read_examples
from corpusmill.storage.layout import Layout
from corpusmill.storage.manifest import digest_file
from corpusmill.storage.settings import Settings, load_settings
from corpusmill.storage.versions import (
    CANDIDATE,
    CHAMPION,
    EXAMPLES,
    RegisteredModel,
    check_language_model,
)
from corpusmill.tasks.reports.lineage import as_tree
from corpusmill.tasks.stages.lineage import lineage_of
from corpusmill.tasks.stages.pruning import plan_pruning
from tests.corpora import speeches
from tests.labelled import write_rows
from tests.networks import DECODER
from tests.pages import Page
from tests.servers import free_port, start, stop

NAME = "stones"
KINDS = {"river": "water", "lake": "water", "tower": "stone", "wall": "stone"}
SHORT = {
    "task.similarity": 1.0,
    # Few steps of many texts: each step waits for all threads, which a busy machine makes dear.
    "epochs": 7,
    "train.global_batch_size": 64,
    "train.hardware.micro_batch_size": 64,
    "train.sequence_length": 32,
    "train.optimizer.learning_rate": 0.01,
    "train.hardware.precision": "fp32",
}


@dataclass
class Mill:
    """One store with a start model and examples, in which `run` runs the flow."""

    settings: Settings
    folder: Path

    def run(self, name: str = NAME, **overrides: Any) -> RegisteredModel:
        """Runs the flow; the version that it registered."""
        dotted = {key.replace("__", "."): value for key, value in overrides.items()}
        given = {"task.train": str(self.folder / "rows.jsonl"), **SHORT, **dotted}
        finetune(str(self.folder / "start"), name, "classify", given)
        return self.at(name, CANDIDATE)

    def at(self, name: str, alias: str) -> RegisteredModel:
        version = find_by_alias(self.settings, name, alias)
        assert version
        return version

    def text(self, version: RegisteredModel, path: str) -> str:
        """A file that the run of a version keeps."""
        mlflow.set_tracking_uri(self.settings.mlflow_url)
        found: str = mlflow.artifacts.load_text(f"runs:/{version.run_id}/{path}")
        return found

    def metrics(self, version: RegisteredModel) -> dict[str, float]:
        run = MlflowClient(self.settings.mlflow_url).get_run(version.run_id)
        assert run.info.status == "FINISHED"
        return dict(run.data.metrics)


def _rows(seed: int, count: int) -> list[tuple[str, str]]:
    draw, rows = random.Random(seed), []
    for number in range(count):
        word = draw.choice(list(KINDS))
        around = [str(draw.randrange(1000)) for _ in range(6)]
        around[draw.randrange(6)] = word
        rows.append((f"{seed} {number} {' '.join(around)}", KINDS[word]))
    return rows


@pytest.fixture(scope="module")
def mill(
    prefect_server: str, mlflow_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mill]:
    """A mill after its first run; the tests below go on from there in order."""
    folder = tmp_path_factory.mktemp("tasks")
    (folder / "tokenizer").mkdir()
    texts = [*speeches(1), *KINDS]
    train_tokenizer(texts, TokenizerConfig(vocab_size=400), folder / "tokenizer")
    network = build_network(DECODER, 400)
    network.init_weights(seed=0)
    export_model(network, DECODER, folder / "tokenizer", 32, folder / "start")
    write_rows(folder / "rows.jsonl", _rows(0, 300))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CORPUSMILL_HOME", str(folder / "home"))
        patch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
        patch.setenv("MLFLOW_EXPERIMENT_NAME", "finetuning")
        patch.chdir(folder)
        mill = Mill(load_settings(), folder)
        mill.run()
        yield mill


def test_the_first_model_is_champion_and_names_what_it_was_made_of(mill: Mill) -> None:
    version = mill.at(NAME, CHAMPION)
    assert version.version == mill.at(NAME, CANDIDATE).version == "1"
    assert version.tag("started_from") == str(mill.folder / "start")
    assert (Layout(mill.settings.home).artifact("examples", version.tag(EXAMPLES))).is_dir()


def test_figures_stand_beside_those_of_every_opponent(mill: Mill) -> None:
    found = mill.metrics(mill.at(NAME, CHAMPION))
    assert found["test/accuracy"] > 0.8 > found["test/majority/accuracy"]
    names = ("tfidf", "scratch", "embeddings", "mean_with_tfidf")
    assert {f"{side}/{name}/accuracy" for side in ("validation", "test") for name in names} <= set(
        found
    )
    assert {"test/f1_macro", "test/auc", "test/nll", "test/ece"} <= set(found)


@pytest.mark.parametrize("side", ["validation", "test"])
def test_scikit_learn_alone_gives_the_cells_of_the_table_back(mill: Mill, side: str) -> None:
    from sklearn import metrics

    version = mill.at(NAME, CHAMPION)
    lines = mill.text(version, f"predictions/{side}/predictions.jsonl").splitlines()
    answers = [json.loads(line) for line in lines]
    names = list(answers[0]["scores"])
    gold = [each["label"] for each in answers]
    scores = [list(each["scores"].values()) for each in answers]
    said = [max(each["scores"], key=each["scores"].__getitem__) for each in answers]
    positive = [each == names[1] for each in gold]
    expected = {
        "accuracy": metrics.accuracy_score(gold, said),
        "f1_macro": metrics.f1_score(gold, said, average="macro"),
        "f1": metrics.f1_score(gold, said, pos_label=names[1]),
        "matthews": metrics.matthews_corrcoef(gold, said),
        "nll": metrics.log_loss(gold, scores, labels=names),
        "auc": metrics.roc_auc_score(positive, [each[1] for each in scores]),
    }
    logged = mill.metrics(version)
    assert {name: logged[f"{side}/{name}"] for name in expected} == pytest.approx(
        expected, rel=1e-12
    )
    described = MlflowClient(mill.settings.mlflow_url).get_model_version(NAME, version.version)
    [row] = re.findall(
        rf"### On {side} .*?\n\| candidate \| ([\d.]+) ", described.description or "", re.S
    )
    assert row == f"{expected['accuracy']:.4f}"


def test_the_report_is_a_page_in_mlflow_and_the_same_in_prefect(mill: Mill) -> None:
    version = mill.at(NAME, CHAMPION)
    page = Page(mill.text(version, "report/report.html"))
    for title in (
        *("Accuracy on test", "What labels are worth", "Which label is taken for which"),
        *("How sure, how often right", "Label by label", "Short and long texts"),
        "Examples, and what was dropped",
    ):
        assert title in page.text
    assert f"{NAME} version 1 is the champion: " in page.text
    assert "The first of its name." in page.text and "Pretraining was worth" in page.text
    assert mill.text(version, "report/what_labels_are_worth.svg").startswith("<svg ")
    text = mill.text(version, "report/report.md")
    with get_client(sync_client=True) as client:
        artifacts = client.read_artifacts(
            artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=["report"]))
        )
    shown = [str(each.data) for each in artifacts if NAME in str(each.data)]
    assert any(each.endswith(text) and "The report as a page" in each for each in shown)


def test_what_labels_are_worth_is_a_curve_over_their_number(mill: Mill) -> None:
    version = mill.at(NAME, CHAMPION)
    client = MlflowClient(mill.settings.mlflow_url)
    every = sum(1 for _ in read_examples(_examples_of(mill, version), "train").ids)
    for learner in ("pretrained", "scratch", "tfidf"):
        history = client.get_metric_history(version.run_id, f"learning_curve/{learner}/accuracy")
        # Of 1 and 5 per cent nothing is learned here: they are a handful.
        assert sorted(each.step for each in history) == [round(0.2 * every), every]
    logged = mill.metrics(version)
    assert logged["learning_curve/tfidf/accuracy"] == logged["test/tfidf/accuracy"]


def _examples_of(mill: Mill, version: RegisteredModel) -> Path:
    return Layout(mill.settings.home).artifact("examples", version.tag(EXAMPLES))


def test_a_registered_model_answers_texts_with_labels(mill: Mill) -> None:
    mlflow.set_tracking_uri(mill.settings.mlflow_url)
    served = mlflow.pyfunc.load_model(f"models:/{NAME}@champion")
    texts, labels = zip(*_rows(0, 40), strict=True)
    answers = served.predict([{"text": text} for text in texts])
    right = [said == label for said, label in zip(answers["label"], labels, strict=True)]
    assert sum(right) > 32
    first = answers.iloc[0]
    assert first["score"] == first["scores"][first["label"]] > 0.5
    assert sum(first["scores"].values()) == pytest.approx(1)


def test_mlflow_serves_it_over_http(mill: Mill) -> None:
    address = f"http://127.0.0.1:{(port := free_port())}"
    command = ["mlflow", "models", "serve", "-m", f"models:/{NAME}@champion", "-p", str(port)]
    # It calls uvicorn by its name.
    found = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    pid = start([*command, "--env-manager", "local", "-h", "127.0.0.1"], found, f"{address}/ping")
    try:
        told = httpx.post(f"{address}/invocations", json={"text": ["a river", "a wall"]})
    finally:
        stop(pid)
    answers = told.raise_for_status().json()["predictions"]
    assert [each["label"] for each in answers] == ["water", "stone"]
    assert all(each["score"] == each["scores"][each["label"]] for each in answers)


def test_a_version_says_what_it_takes_and_shows_it(mill: Mill) -> None:
    mlflow.set_tracking_uri(mill.settings.mlflow_url)
    described = mlflow.models.get_model_info(f"models:/{NAME}@champion")
    assert described.signature and described.signature.inputs.input_names() == ["text"]
    assert described.signature.outputs.input_names() == ["label", "score", "scores"]
    example = mlflow.pyfunc.load_model(f"models:/{NAME}@champion").input_example
    assert list(example) == ["text"]


def test_the_same_again_makes_no_second_version(mill: Mill) -> None:
    assert mill.run().version == "1"


def test_a_worse_model_stays_a_candidate(mill: Mill) -> None:
    worse = mill.run(method__name="head", epochs=0.5, opponents=False)
    assert (worse.version, mill.at(NAME, CHAMPION).version) == ("2", "1")


@pytest.mark.long
def test_a_champion_of_other_labels_is_not_replaced(mill: Mill) -> None:
    renamed = {"stone": "hard", "water": "wet"}
    other = mill.run(task__labels=renamed, epochs=0.3, opponents=False)
    assert (other.version, mill.at(NAME, CHAMPION).version) == ("3", "1")


SOUGHT = {
    "search__learning_rates": [0.003, 0.01, 1e30],
    "search__epochs": [7],
    "train__validation__early_stopping": 5,
    "opponents": False,
}


def _trainings(mill: Mill) -> set[str]:
    return {each.name for each in Layout(mill.settings.home).runs.iterdir()}


def test_the_best_of_a_search_on_validation_is_what_the_flow_goes_on_with(mill: Mill) -> None:
    before = _trainings(mill)
    version = mill.run("sought", **SOUGHT)
    trained = _trainings(mill) - before
    assert len(trained) == 3  # the best is not trained once more
    client = MlflowClient(mill.settings.mlflow_url)
    experiment = client.get_run(version.run_id).info.experiment_id
    below = f"tags.`mlflow.parentRunId` = '{version.run_id}'"
    trials = {
        float(run.data.params["train.optimizer.learning_rate"]): run
        for run in client.search_runs([experiment], below)
    }
    assert {rate: run.info.status for rate, run in trials.items()} == {
        0.003: "FINISHED",
        0.01: "FINISHED",
        1e30: "FAILED",
    }
    good = [trials[rate].data.metrics for rate in (0.003, 0.01)]
    best = max(good, key=lambda each: (each["validation/accuracy"], -each["validation/nll"]))
    found = mill.metrics(version)
    assert "train/loss" in best and not any(name.startswith("test/") for name in best)
    assert found["validation/accuracy"] == best["validation/accuracy"]
    assert found["validation/nll"] == best["validation/nll"]
    page = Page(mill.text(version, "report/report.html"))
    assert "What was tried" in page.text and "gradient is not finite" in page.text

    mill.run("sought", **SOUGHT)
    assert _trainings(mill) == before | trained


def test_what_a_version_was_taught_with_is_not_pruned(mill: Mill) -> None:
    every, layout = versions(mill.settings, NAME), Layout(mill.settings.home)
    removed = {(e.kind, e.path.name) for e in plan_pruning(layout, every, 0.0).removals}
    kept = mill.at(NAME, CHAMPION)
    assert ("examples", kept.tag(EXAMPLES)) not in removed
    assert ("model", kept.digest) not in removed


@pytest.mark.parametrize(
    ("start", "said"),
    [
        ("/nowhere/at/all", "there is no folder /nowhere/at/all"),
        ("models:/nothing@champion", "There is no nothing@champion in the registry"),
    ],
)
def test_a_start_that_is_not_there_is_refused(mill: Mill, start: str, said: str) -> None:
    given = {"task.train": str(mill.folder / "rows.jsonl"), **SHORT}
    with pytest.raises((ConfigError, ModelError), match=said):
        finetune(start, NAME, "classify", given)


def test_a_column_that_is_missing_is_refused_with_the_nearest(mill: Mill) -> None:
    with pytest.raises(CorpusError, match="text"):
        mill.run(task__text="txet")


def test_examples_that_are_not_named_are_asked_for(mill: Mill) -> None:
    with pytest.raises(ConfigError, match=r"task\.train"):
        finetune(str(mill.folder / "start"), NAME, "classify", {})


LABELLER = "answers with labels; expected a language model, such as .* that it started from"


def test_a_labeller_is_no_language_model(mill: Mill, monkeypatch: pytest.MonkeyPatch) -> None:
    for ask in (lambda: evaluate(NAME), lambda: continue_pretraining(NAME)):
        with pytest.raises(ConfigError, match=LABELLER):
            ask()
    monkeypatch.setattr("corpusmill.flows.command_line.tracked", lambda settings, _: settings)
    found = CliRunner().invoke(main, ["sample", "a river", "--model", NAME])
    assert found.exit_code == 1 and re.search(LABELLER, found.output)
    with pytest.raises(ConfigError, match=LABELLER):
        check_language_model(mill.at(NAME, CHAMPION))


def test_a_labeller_is_a_start_whose_head_goes_and_its_lineage_stays(mill: Mill) -> None:
    again = {"task.train": str(mill.folder / "rows.jsonl"), **SHORT, "opponents": False}
    again |= {"epochs": 0.5, "task.labels": {"stone": "hard", "water": "wet"}}
    finetune(f"models:/{NAME}@champion", "again", "classify", again)
    assert mill.at("again", CHAMPION).tag("started_from") == f"models:/{NAME}/1"
    every = versions(mill.settings)
    generations = lineage_of(
        Layout(mill.settings.home),
        every,
        mill.at("again", CHAMPION),
        lambda version: record_of(mill.settings, version),
    )
    tree = list(as_tree(generations, None))
    titles = [re.sub(r" \(.*?\)", "", line) for line in tree if line.startswith("●")]
    assert titles == [
        f"● again version 1, started from models:/{NAME}/1",
        f"● {NAME} version 1, started from {mill.folder / 'start'}",
    ]
    rows = mill.folder / "rows.jsonl"
    named = f"{digest_file(rows)}  {rows}  {rows.stat().st_size:,} bytes, for train"
    assert sum(named in line for line in tree) == 2
    described = MlflowClient(mill.settings.mlflow_url).get_model_version("again", "1").description
    assert described and digest_file(rows) in described and f"models:/{NAME}/1" in described
