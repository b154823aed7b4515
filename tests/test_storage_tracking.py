"""MLflow runs against a real server: idempotent, and patient with one that is down."""

import json
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient

from corpusmill.storage.errors import ServerError, StackError
from corpusmill.storage.projection import MetricProjection
from corpusmill.storage.settings import Settings, load_settings
from corpusmill.storage.tracking import (
    Tracker,
    close_run,
    connect,
    file_of_run,
    open_run,
    running_flow_runs,
    tracked,
)
from tests.servers import MlflowServer, free_port


@pytest.fixture
def settings(home: Path) -> Settings:
    return replace(load_settings(), home=home, experiment=f"tracking-{uuid.uuid4().hex[:8]}")


def records(*steps: int, time: float = 1.0) -> list[dict[str, object]]:
    return [
        {"event": "metrics", "time": time, "step": step, "metrics": {"train/loss": 9.0 - step}}
        for step in steps
    ]


def history(tracker: Tracker) -> list[tuple[int, float]]:
    points = tracker.client.get_metric_history(tracker.run_id, "train/loss")
    return sorted((point.step, point.value) for point in points)


def test_a_retry_finds_the_run_of_its_flow_run(settings: Settings) -> None:
    first = open_run(settings, "flow-1", "name", {"flow": "pretrain"})
    first.finish("FAILED")
    again = open_run(settings, "flow-1", "name", {"flow": "pretrain"})
    assert again.run_id == first.run_id
    assert again.client.get_run(again.run_id).info.status == "RUNNING"


@pytest.mark.parametrize("of_before", [False, True])
def test_an_experiment_has_a_view_of_its_runs_by_model(settings: Settings, of_before: bool) -> None:
    client = connect(settings)
    if of_before:
        client.create_experiment(settings.experiment)
    tracker = open_run(settings, "flow-12", "name", {"flow": "pretrain"})
    tags = client.get_experiment(tracker.experiment_id).tags
    key = tracker.link_to_all.rpartition("viewStateShareKey=")[2]
    view = json.loads(tags[f"mlflow.sharedViewState.{key}"])
    assert view["groupBy"]["groupByKeys"] == [{"mode": "tag", "groupByData": "model"}]
    assert "metrics.`evaluation/bits_per_byte`" in view["selectedColumns"]
    assert view["columnWidths"].keys() <= set(view["columnOrder"])


def test_a_run_of_a_machine_without_git_names_no_commit(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    tracker = open_run(settings, "flow-10", "name", {"flow": "pretrain"})
    assert "mlflow.source.git.commit" not in tracker.client.get_run(tracker.run_id).data.tags


def test_a_repeated_step_and_a_repeated_projection_are_kept_once(settings: Settings) -> None:
    tracker = open_run(settings, "flow-2", "name", {"flow": "pretrain"})
    for _ in range(2):
        projection = MetricProjection(tracker)
        projection.add(records(1, 2, 3))
        projection.add(records(2, 3, 4, time=2.0))  # what a run resumed at step 1 writes again
        projection.finish()
    assert history(tracker) == [(1, 8.0), (2, 7.0), (3, 6.0), (4, 5.0)]


@pytest.fixture
def frail_server(tmp_path: Path) -> Iterator[MlflowServer]:
    """An MLflow server of this test's own."""
    server = MlflowServer(tmp_path)
    server.start()
    yield server
    server.stop()


def test_a_server_that_is_down_loses_no_point(
    settings: Settings, frail_server: MlflowServer
) -> None:
    own = replace(settings, mlflow_url=frail_server.url)
    tracker = open_run(own, "flow-3", "name", {"flow": "pretrain"})
    projection = MetricProjection(tracker)
    frail_server.stop()
    projection.add(records(1, 2))
    assert projection.flush() is not None
    projection.add(records(3))
    frail_server.start()
    projection.finish(patience=30)
    assert [step for step, _ in history(tracker)] == [1, 2, 3]


def test_config_is_logged_as_parameters_and_as_a_file(settings: Settings, tmp_path: Path) -> None:
    tracker = open_run(settings, "flow-4", "name", {"flow": "pretrain"})
    config = {"train": {"max_steps": 3}, "corpus": {"sources": ["/a", "/b"]}}
    tracker.log_config(config)
    tracker.log_config(config)  # a retry logs the same again
    params = tracker.client.get_run(tracker.run_id).data.params
    assert params == {"train.max_steps": "3", "corpus.sources": "['/a', '/b']"}
    file = tracker.client.download_artifacts(tracker.run_id, "config.json", str(tmp_path))
    assert '"max_steps": 3' in Path(file).read_text()


def test_a_run_that_nobody_ends_can_be_closed(settings: Settings) -> None:
    lost = open_run(settings, "flow-5", "name", {"flow": "pretrain"})
    tracker = open_run(settings, "flow-6", "name", {"flow": "pretrain"})
    assert running_flow_runs(settings, tracker) == [(lost.run_id, "flow-5")]
    close_run(settings, lost.run_id, "KILLED")
    assert connect(settings).get_run(lost.run_id).info.status == "KILLED"


def test_figures_that_are_logged_again_are_kept_once(settings: Settings) -> None:
    tracker = open_run(settings, "flow-8", "name", {"flow": "pretrain"})
    for figures in ({"a": 1.0}, {"a": 1.0, "b": 2.0}):
        tracker.log_metrics(figures)
    history = tracker.client.get_metric_history
    assert [len(history(tracker.run_id, name)) for name in ("a", "b")] == [1, 1]


def test_why_a_run_failed_is_said_even_if_it_cannot_be_ended(settings: Settings) -> None:
    tracker = open_run(settings, "flow-9", "name", {"flow": "pretrain"})
    tracker.client = MlflowClient(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(StackError, match="the reason"), tracked(tracker, settings):
        raise StackError("the reason")


def test_no_server_is_said_in_a_sentence(settings: Settings) -> None:
    nowhere = replace(settings, mlflow_url=f"http://127.0.0.1:{free_port()}")
    with pytest.raises(ServerError, match="start it with `make up`"):
        open_run(nowhere, "flow-7", "name", {"flow": "pretrain"})


def test_a_deleted_experiment_is_restored_or_another_named(settings: Settings) -> None:
    deleted = replace(settings, experiment="deleted-in-the-page")
    client = connect(deleted)
    number = client.create_experiment(deleted.experiment)
    client.delete_experiment(number)
    with pytest.raises(StackError, match=f"restore --experiment-id {number}.*EXPERIMENT_NAME"):
        open_run(deleted, "flow-8", "name", {"flow": "pretrain"})
    client.restore_experiment(number)
    assert open_run(deleted, "flow-8", "name", {"flow": "pretrain"}).experiment_id == number


def test_a_proxy_of_the_network_is_not_asked_for_this_machine(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"socks5://127.0.0.1:{free_port()}")
    monkeypatch.setenv("NO_PROXY", "intranet")
    monkeypatch.setenv("no_proxy", "intranet")
    open_run(settings, "flow-9", "name", {"flow": "pretrain"})


def test_a_file_is_that_of_the_run_that_was_asked_for(settings: Settings) -> None:
    for flow_run in ("first", "second"):
        open_run(settings, flow_run, "name", {"flow": "pretrain"}).log_text(flow_run, "said.txt")
    assert file_of_run(settings, "first", "said.txt") == "first"
    assert file_of_run(settings, "third", "said.txt") is None
