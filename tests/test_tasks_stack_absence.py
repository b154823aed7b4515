"""A stack after a power cut: no dead run holds anything, missed nights are caught up once."""

import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import psutil
import pytest

from corpusmill.tasks.stack import control, supervision
from corpusmill.tasks.stack.nightlies import set_nightly
from corpusmill.tasks.stack.watch import LOOKS_PENDING, look
from tests.servers import settings_in, wait_for
from tests.stacks import Running, stack_of_nights

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with stack_of_nights(tmp_path_factory.mktemp("absence")) as running:
        yield running


def cut_power(running: Running) -> None:
    """Kills all of the stack at once; nothing can say a last word."""
    for process in supervision.members(running.layout.stack):
        with suppress(psutil.Error):
            os.kill(process.pid, signal.SIGKILL)
    wait_for(lambda: not supervision.members(running.layout.stack), 90)


def back(running: Running) -> Running:
    settings = control.up(settings_in(running.layout.root), running.layout, running.checkout)
    return Running(settings, running.layout, running.checkout)


def nights_of(running: Running, deployment: str) -> list[dict[str, Any]]:
    """Runs of a deployment for times that are past, oldest first."""
    wanted = {
        "deployments": {"id": {"any_": [deployment]}},
        "flow_runs": {"expected_start_time": {"before_": datetime.now(UTC).isoformat()}},
        "sort": "EXPECTED_START_TIME_ASC",
    }
    found: list[dict[str, Any]] = running.api("POST", "/flow_runs/filter", wanted)
    return found


def test_a_pending_run_whose_process_never_comes_is_ended_on_a_stack_that_goes_on(
    running: Running,
) -> None:
    server = running.server
    server.pause_pool(True)
    run = server.start_run("continue-pretraining/nightly", {})
    server.set_state(run, "PENDING", "Submitted by a worker that is gone.")
    missed: Counter[str] = Counter()
    for _ in range(LOOKS_PENDING - 1):
        missed = look(server, running.layout.stack, missed)
    assert server.run_state(run)[0] == "PENDING", "it may still come"
    look(server, running.layout.stack, missed)
    assert server.run_state(run) == ("CRASHED", "The process of this run is gone.")
    server.pause_pool(False)


def test_a_power_cut_leaves_no_run_that_holds_anything_and_one_night_to_catch_up(
    running: Running,
) -> None:
    server = running.server
    mine = set_nightly(server, "mine", "02:00", "UTC")
    cut = server.start_run("continue-pretraining/nightly", {"overrides": {"seconds": 600}})
    wait_for(lambda: server.run_state(cut)[0] != "SCHEDULED", 90)
    # The worker takes no more: these are the nights that come while the stack is down.
    server.pause_pool(True)
    today = datetime.now(UTC)
    past = {"start_time": f"{today - timedelta(days=3):%FT%TZ}", "end_time": f"{today:%FT%TZ}"}
    running.api("POST", f"/deployments/{mine.id}/schedule", past)
    assert server.run_state(cut)[0] in ("PENDING", "RUNNING")
    cut_power(running)

    running = back(running)

    assert running.server.run_state(cut) == (
        "CRASHED",
        "The stack ended amid this run, without a word; it has no process any more.",
    )
    *older, newest = nights_of(running, mine.id)
    assert [run["state_type"] for run in older] == ["CANCELLED", "CANCELLED"]
    assert "caught up at once by the one of" in older[0]["state"]["message"]
    assert newest["state_type"] == "SCHEDULED"
    running.server.pause_pool(False)
    wait_for(lambda: running.server.run_state(newest["id"])[0] == "COMPLETED", 120)
