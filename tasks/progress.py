"""How far a stage is, on the page of its flow run."""

from contextlib import suppress
from uuid import UUID

import httpx
from prefect.artifacts import create_progress_artifact, update_progress_artifact


class ProgressBar:
    """A Prefect progress artifact; the work goes on if the server cannot be reached."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._artifact: UUID | None = None

    def show(self, percent: float, description: str) -> None:
        """Shows percent, 0 to 100, and description in place of those shown before."""
        with suppress(httpx.HTTPError):
            if self._artifact:
                update_progress_artifact(self._artifact, percent, description=description)
                return
            made = create_progress_artifact(percent, key=self._key, description=description)
            assert isinstance(made, UUID)
            self._artifact = made
