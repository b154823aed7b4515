"""Nights that fail, are skipped or hang, told to a webhook that listens."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, get_args

import pytest
from click.testing import CliRunner

from corpusmill.flows.command_line import main
from corpusmill.storage.errors import ConfigError
from corpusmill.tasks.stack.automations import BLOCK, ensure_automations, tell, told
from corpusmill.tasks.stack.nightlies import Ending, set_nightly
from tests.servers import wait_for
from tests.stacks import Running, stack_of_nights

pytestmark = pytest.mark.long

FAILED, SKIPPED, HUNG = (f"corpusmill-nights-{name}" for name in ("failed", "skipped", "hung"))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with stack_of_nights(tmp_path_factory.mktemp("told")) as running:
        yield running


@contextmanager
def listening() -> Iterator[tuple[str, list[str]]]:
    """A webhook: its address, and the texts that it has been sent."""
    texts: list[str] = []

    class Webhook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            texts.append(json.loads(body)["text"])
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with HTTPServer(("127.0.0.1", 0), Webhook) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/nights?token=geheim", texts
        finally:
            server.shutdown()
            thread.join()


def automations(running: Running) -> dict[str, dict[str, Any]]:
    found = running.api("POST", "/automations/filter", {})
    return {each["name"]: each for each in found}


def fired(running: Running, automation: str) -> int:
    """How often the page's feed says that an automation did what it does."""
    resource = f"prefect.automation.{automations(running)[automation]['id']}"
    of_it = {"event": {"name": ["prefect.automation.action.executed"]}}
    wanted = {"filter": {**of_it, "resource": {"id": [resource]}}}
    total: int = running.api("POST", "/events/filter", wanted)["total"]
    return total


def test_a_night_that_ended_in_whatever_way_does_not_hang(running: Running) -> None:
    ends = set(automations(running)[HUNG]["trigger"]["expect"])
    assert {f"prefect.flow-run.{each}" for each in (*get_args(Ending), "Failed", "Crashed")} <= ends
    told_of = automations(running)[SKIPPED]["trigger"]["expect"]
    assert "prefect.flow-run.Sleeping" not in told_of


def test_without_an_address_a_failed_night_is_an_event_in_the_feed(running: Running) -> None:
    assert set(automations(running)) == {FAILED, SKIPPED, HUNG}
    assert told(running.server) is None
    running.server.start_run("continue-pretraining/nightly", {"overrides": {"fail": True}})
    wait_for(lambda: fired(running, FAILED), 120)
    assert not fired(running, SKIPPED)


def test_failed_skipped_and_hung_nights_reach_a_webhook(running: Running) -> None:
    server = running.server
    set_nightly(server, "mine", "02:00", "UTC")
    with listening() as (address, texts):
        home = {"CORPUSMILL_HOME": str(running.layout.root)}
        said = CliRunner().invoke(main, ["nightly", "--tell", address], env=home)
        assert said.exit_code == 0, said.output
        assert "token=***" in said.output and "geheim" not in said.output

        _change(running, HUNG, lambda trigger: trigger.update(within=10))
        nightly = "continue-pretraining/nightly"
        good = server.start_run(nightly, {})
        failing = {"name": "mine", "overrides": {"fail": True}}
        server.start_run(f"{nightly}-mine", failing)
        server.start_run(nightly, {"overrides": {"skip": True}})
        server.start_run(nightly, {"overrides": {"seconds": 40}})

        # Prefect promises to send each at least once, and a slow machine's other nights hang too.
        beginnings = "mine ended Failed", "gpt-tiny ended Skipped", "gpt-tiny still runs"

        def said_of(beginning: str) -> str:
            return next(
                (each for each in texts if each.startswith(f"The night of {beginning}")), ""
            )

        wait_for(lambda: all(map(said_of, beginnings)), 150)
        failed, skipped, _ = map(said_of, beginnings)
        assert "the night's words" in failed
        assert "/runs/flow-run/" in failed
        assert "no champion yet" in skipped
        assert server.run_state(good)[0] == "COMPLETED"


def _change(running: Running, name: str, change: Any) -> None:
    """As a person does in the page."""
    found = automations(running)[name]
    change(found["trigger"])
    settable = ("name", "description", "enabled", "trigger", "actions", "tags")
    body = {key: found[key] for key in settable}
    running.server.request("PUT", f"/automations/{found['id']}", body)


def test_what_was_changed_in_the_page_stays_and_what_is_missing_comes_back(
    running: Running,
) -> None:
    before = automations(running)
    number = before[SKIPPED]["id"]
    running.server.request("PATCH", f"/automations/{number}", {"enabled": False})
    running.server.request("DELETE", f"/automations/{before[FAILED]['id']}")
    _change(running, HUNG, lambda trigger: trigger.update(within=7200))
    changed = automations(running)
    ensure_automations(running.server)
    after = automations(running)
    assert set(after) == {FAILED, SKIPPED, HUNG}
    assert (after[SKIPPED], after[HUNG]) == (changed[SKIPPED], changed[HUNG])
    ensure_automations(running.server)
    assert automations(running) == after


def test_an_address_given_again_takes_the_place_of_the_first(running: Running) -> None:
    tell(running.server, "https://user:secret@hooks.example.com/a")
    assert told(running.server) == "https://***@hooks.example.com/a"
    wanted = {"block_documents": {"name": {"any_": [BLOCK]}}}
    assert len(running.api("POST", "/block_documents/filter", wanted)) == 1


@pytest.mark.parametrize(
    ("address", "remedy"),
    [
        ("mailto:me@example.com", "'Sendgrid Email' called corpusmill-nights"),
        ("hooks.example.com", "such as https://"),
        ("https://", "such as https://"),
        ("file:///tmp/x", "such as https://"),
    ],
)
def test_what_is_no_webhook_is_refused(running: Running, address: str, remedy: str) -> None:
    with pytest.raises(ConfigError, match=remedy):
        tell(running.server, address)
