"""A stack that runs, with what tests ask of it."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import yaml

from corpusmill.storage.layout import Layout
from corpusmill.storage.settings import CHECKOUT, USER, Settings
from corpusmill.tasks.stack import control, supervision
from corpusmill.tasks.stack.prefect_server import PrefectServer
from tests.servers import settings_in

NIGHTS = """
import time
from prefect import flow
from prefect.states import Completed

@flow(name="continue-pretraining")
def continue_pretraining(
    name: str = "gpt-tiny", overrides: dict | None = None, allow: list[str] | None = None
):
    given = overrides or {}
    time.sleep(given.get("seconds", 0))
    if given.get("fail"):
        raise ValueError("the night's words")
    if given.get("skip"):
        return Completed(name="Skipped", message="no champion yet")
"""


@dataclass(frozen=True)
class Running:
    settings: Settings
    layout: Layout
    checkout: Path

    @property
    def server(self) -> PrefectServer:
        return PrefectServer(self.settings)

    def api(self, method: str, path: str, body: object = None) -> Any:
        """What the Prefect server answers to who shows the key."""
        address, key = f"{self.settings.prefect_api_url}{path}", (USER, self.settings.key or "")
        # What Prefect's own client waits for too: the server's database is busy.
        for pause in (1, 2, 4, 8, 0):
            answer = httpx.request(method, address, json=body, auth=key)
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                break
            time.sleep(pause)
        return answer.raise_for_status().json()

    def pid(self, program: str) -> int:
        """Process of a program, 0 while it is between two."""
        found = supervision.find(self.layout.stack)
        assert found is not None
        for child in found.process.children():
            with contextlib.suppress(psutil.Error):
                if child.environ().get("SUPERVISOR_PROCESS_NAME") == program:
                    return child.pid
        return 0


def write_nights(checkout: Path) -> None:
    """A checkout with the nightly deployment of prefect.yaml, its flow one of the tests."""
    checkout.mkdir(exist_ok=True)
    (checkout / "nights.py").write_text(NIGHTS)
    file = yaml.safe_load((CHECKOUT / "prefect.yaml").read_text())
    [nightly] = [each for each in file["deployments"] if each["name"] == "nightly"]
    nightly["entrypoint"] = "nights.py:continue_pretraining"
    (checkout / "prefect.yaml").write_text(yaml.safe_dump({"deployments": [nightly]}))


@contextlib.contextmanager
def stack_of_nights(root: Path) -> Iterator[Running]:
    """A stack with the nightly deployment alone, that leaves no process."""
    write_nights(root / "checkout")
    layout = Layout(root / "home")
    settings = control.up(settings_in(layout.root), layout, root / "checkout")
    try:
        yield Running(settings, layout, root / "checkout")
    finally:
        control.down(settings, layout)
        assert supervision.members(layout.stack) == []
