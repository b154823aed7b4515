"""A profile of a few optimizer steps: a trace to look at, and a table to read."""

import gzip
import shutil
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from corpusmill.model.training.config import TrainConfig

# Compilation and first allocations are not what a profile is asked for.
_WARM_STEPS = 10
_ROWS = 30


class Profile:
    """Records `train.profile_steps` steps: those after the first ten, or as late as there are."""

    def __init__(self, folder: Path, config: TrainConfig) -> None:
        """Args:
        folder: gets trace.json.gz (for Perfetto or chrome://tracing) and table.txt.
        """
        self.folder = folder
        self._first = max(0, min(_WARM_STEPS, config.max_steps - config.profile_steps))
        self._after = min(config.max_steps, self._first + config.profile_steps)
        self._recorder: profile | None = None

    def reach(self, step: int) -> bool:
        """Begins or ends before the optimizer step with this number; whether it has ended."""
        if step == self._first:
            activities = [ProfilerActivity.CPU]
            if torch.cuda.is_available():
                activities.append(ProfilerActivity.CUDA)
            self._recorder = profile(activities=activities, record_shapes=True)
            self._recorder.start()
        if step != self._after or not self._recorder:
            return False
        self._recorder.stop()
        self._write(self._recorder)
        self._recorder = None
        return True

    def _write(self, recorded: profile) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        plain = self.folder / "trace.json"
        recorded.export_chrome_trace(str(plain))
        with plain.open("rb") as source, gzip.open(f"{plain}.gz", "wb") as target:
            shutil.copyfileobj(source, target)
        plain.unlink()
        device = "cuda" if torch.cuda.is_available() else "cpu"
        averages = recorded.key_averages(group_by_input_shape=True)
        # The operators that took the most time themselves, without those they called.
        order = f"self_{device}_time_total"
        table = averages.table(sort_by=order, row_limit=_ROWS, max_shapes_column_width=48)
        (self.folder / "table.txt").write_text(table, encoding="utf-8")
