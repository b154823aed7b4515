"""Nights on a stack that runs: `corpusmill nightly`, and what `make up` leaves as it was set."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from click.testing import CliRunner, Result

from corpusmill.flows.command_line import main
from corpusmill.storage.layout import Layout
from corpusmill.storage.settings import USER
from corpusmill.tasks.stack import control, supervision
from corpusmill.tasks.stack.nightlies import Nightly, find_nightlies
from tests.servers import settings_in
from tests.stacks import Running, write_nights


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A stack with the nightly deployment of prefect.yaml, its flow one of these tests."""
    checkout = tmp_path_factory.mktemp("checkout")
    write_nights(checkout)
    home = tmp_path_factory.mktemp("nights")
    layout = Layout(home)
    settings = control.up(settings_in(home), layout, checkout)
    try:
        yield Running(settings, layout, checkout)
    finally:
        control.down(settings, layout)
        assert supervision.members(layout.stack) == []


def command(running: Running, *words: str) -> Result:
    # What a shell has of another stack is not this one's, nor this one's the next test's.
    tracking = [f"MLFLOW_TRACKING_{name}" for name in ("URI", "USERNAME", "PASSWORD")]
    inherited = [name for name in os.environ if name.startswith(("PREFECT_", "MLFLOW_"))]
    others = dict.fromkeys([*inherited, *tracking])
    home = {"CORPUSMILL_HOME": str(running.layout.root)}
    return CliRunner().invoke(main, ["nightly", *words], env={**others, **home})


def found(running: Running) -> dict[str, Nightly]:
    return {each.model: each for each in find_nightlies(running.server)}


def test_a_night_is_added_changed_and_removed(running: Running) -> None:
    added = command(running, "小说 100%", "--at", "02:30", "--zone", "Asia/Shanghai")
    assert added.exit_code == 0, added.output
    assert "at 02:30 Asia/Shanghai; the next night comes" in added.output
    assert "小说 100% has no champion yet" in added.output
    made = found(running)["小说 100%"]
    assert made.deployment.startswith("nightly-小说 100--")
    assert made.next is not None
    there = made.next.astimezone(ZoneInfo("Asia/Shanghai"))
    assert (there.hour, there.minute) == (2, 30)
    assert timedelta() < made.next - datetime.now(UTC) <= timedelta(days=1)
    assert f"{there:%Y-%m-%d %H:%M} CST" in added.output

    changed = command(running, "小说 100%", "--at", "23:05")
    assert "at 23:05 Asia/Shanghai" in changed.output
    assert found(running)["小说 100%"].id == made.id

    removed = command(running, "小说 100%", "--remove")
    assert "is removed" in removed.output
    assert set(found(running)) == {"gpt-tiny"}
    again = command(running, "小说 100%", "--remove")
    assert (again.exit_code, again.output.count("\n")) == (1, 1)
    assert "expected one of: gpt-tiny" in again.output


def test_the_night_of_gpt_tiny_is_the_one_of_the_file_and_stays_as_it_was_set(
    running: Running,
) -> None:
    before = found(running)["gpt-tiny"]
    assert (before.deployment, before.when) == ("nightly", ("02:00 Europe/Berlin",))
    command(running, "gpt-tiny", "--at", "03:00")
    changed = found(running)["gpt-tiny"]
    assert (changed.id, changed.when) == (before.id, ("03:00 Europe/Berlin",))

    removed = command(running, "gpt-tiny", "--remove")
    assert "has no schedule any more" in removed.output
    _changed_file(running)
    assert found(running)["gpt-tiny"].when == ()
    assert found(running)["gpt-tiny"].next is None
    command(running, "gpt-tiny", "--at", "02:00")


def test_what_is_not_in_the_file_is_left_alone_by_up(running: Running) -> None:
    command(running, "mine", "--at", "04:00", "--zone", "UTC")
    mine = found(running)["mine"]
    cron = {"schedule": {"cron": "0 5 * * 6", "timezone": "UTC"}, "active": True}
    chosen = {"name": "mine", "overrides": {"train.seed": 3}}
    running.server.set_deployment(mine.id, {"schedules": [cron], "parameters": chosen})
    before = running.server.deployments()[mine.id]
    _changed_file(running)
    assert running.server.deployments()[mine.id] == before
    assert "0 5 * * 6 UTC" in command(running, "mine").output
    assert found(running)["mine"].id == mine.id
    command(running, "mine", "--remove")


def _changed_file(running: Running) -> None:
    """Has `up` deploy prefect.yaml once more."""
    file = running.checkout / "prefect.yaml"
    file.write_text(file.read_text() + "\n")
    log = running.layout.stack / "logs" / "deploy.log"
    log.unlink(missing_ok=True)
    control.up(running.settings, running.layout, running.checkout)
    assert log.exists()


def test_the_list_says_when_and_which_champion(running: Running) -> None:
    command(running, "crowned", "--at", "01:00", "--zone", "UTC")
    named = {"name": "crowned"}
    _mlflow(running, "registered-models/create", named)
    run = _mlflow(running, "runs/create", {"experiment_id": "0"})["run"]["info"]
    source = {"source": f"{run['artifact_uri']}/model", "run_id": run["run_id"]}
    _mlflow(running, "model-versions/create", {**named, **source})
    _mlflow(running, "registered-models/alias", {**named, "alias": "champion", "version": "1"})

    lines = command(running).output.splitlines()

    assert lines[0].startswith("gpt-tiny  02:00 ")
    assert lines[0].endswith("no champion yet")
    assert lines[1].startswith("crowned  01:00 UTC  next 20")
    assert lines[1].endswith("champion version 1")
    assert "no champion" not in command(running, "crowned", "--at", "01:30").output
    command(running, "crowned", "--remove")


def test_a_model_without_nights_is_told_from_those_that_have_some(running: Running) -> None:
    refused = command(running, "gpt-tinny")
    assert refused.exit_code == 1
    assert "'gpt-tinny', expected one of: gpt-tiny;" in " ".join(refused.output.split())


def _mlflow(running: Running, path: str, body: dict[str, str]) -> Any:
    address = f"{running.settings.mlflow_url}/api/2.0/mlflow/{path}"
    key = (USER, running.settings.key or "")
    return httpx.post(address, json=body, auth=key).raise_for_status().json()


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["a/b", "--at", "02:00"], "cannot name a registered model"),
        (["a", "--at", "2:00"], "expected hours and minutes, such as 02:00"),
        (["a", "--at", "24:00"], "expected hours and minutes"),
        (["a", "--at", "02:00", "--zone", "Asia/Shangai"], "such as Asia/Shanghai."),
        (["--at", "02:00"], "expected its registered name"),
        (["a", "--zone", "UTC"], "--zone is that of --at"),
        (["a", "--at", "02:00", "--remove"], "--remove goes with neither"),
    ],
)
def test_what_cannot_be_is_refused_before_a_server_is_asked(
    words: list[str], complaint: str, tmp_path: Path
) -> None:
    here = {"CORPUSMILL_HOME": str(tmp_path)}
    refused = CliRunner().invoke(main, ["nightly", *words], env=here)
    assert (refused.exit_code, refused.output.count("\n")) == (1, 1)
    assert complaint in refused.output


def test_without_a_stack_the_command_says_how_to_start_one(tmp_path: Path) -> None:
    here = {"CORPUSMILL_HOME": str(tmp_path)}
    refused = CliRunner().invoke(main, ["nightly"], env=here)
    assert (refused.exit_code, "start it with `make up`" in refused.output) == (1, True)
