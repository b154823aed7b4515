"""Metrics of a run in MLflow, projected from the journal of its training."""

import time
from collections.abc import Iterable

from mlflow.entities import Metric
from mlflow.exceptions import MlflowException

from corpusmill.storage.errors import ProcessError
from corpusmill.storage.journal import Record
from corpusmill.storage.metrics import TRAIN_LOSS
from corpusmill.storage.tracking import Tracker

_BATCH = 1000


class MetricProjection:
    """Sends journal records to an MLflow run, in batches, each step of a metric once.

    A step that a resumed run repeats is skipped: its values are the same. A batch sent twice after
    a time-out changes nothing, since MLflow keeps equal points once.
    """

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        self._pending: list[Metric] = []
        self._highest: dict[str, int] = {}
        self._not_before = 0.0
        history = tracker.client.get_metric_history(tracker.run_id, TRAIN_LOSS)
        self._done = max((point.step for point in history), default=-1)

    def add(self, records: Iterable[Record]) -> None:
        """Takes the metrics of journal records, in the order of the journal."""
        for record in records:
            step, stamp = record.get("step", 0), int(record["time"] * 1000)
            for name, value in record.get("metrics", {}).items():
                if step > self._highest.get(name, -1):
                    self._highest[name] = step
                    if step >= self._done:
                        self._pending.append(Metric(name, float(value), stamp, step))

    def flush(self) -> str | None:
        """Sends what is pending; a server that is down is tried again some seconds later.

        Returns:
            None, or why it could not be sent; nothing is lost by that.
        """
        if not self._pending or time.monotonic() < self._not_before:
            return None
        try:
            while self._pending:
                self._tracker.client.log_batch(self._tracker.run_id, metrics=self._pending[:_BATCH])
                del self._pending[:_BATCH]
        except MlflowException as error:
            self._not_before = time.monotonic() + 10
            return str(error)
        return None

    def finish(self, patience: float = 600.0) -> None:
        """Sends everything, waiting up to `patience` seconds for the server.

        Raises:
            ProcessError: it stayed down; the journal still holds every point.
        """
        deadline = time.monotonic() + patience
        while self._pending:
            reason = self.flush()
            if self._pending and time.monotonic() > deadline:
                raise ProcessError(
                    f"{len(self._pending)} metrics could not be sent to MLflow for {patience:.0f} "
                    f"s ({reason}); the journal keeps them: start the server and retry."
                )
            time.sleep(1 if self._pending else 0)
