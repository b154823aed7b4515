"""A stack that runs, with what tests ask of it."""

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from corpusmill.storage.layout import Layout
from corpusmill.storage.settings import USER, Settings
from corpusmill.tasks.stack import supervision
from corpusmill.tasks.stack.prefect_server import PrefectServer


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
        answer = httpx.request(method, address, json=body, auth=key)
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
