"""The only place that joins paths under the root of the store."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Layout:
    """Paths under `root`: `artifacts/<kind>/<digest>`, `runs/<digest>`, `ledgers`, `downloads`,
    `compiled`, `locks`, `stack`, `files.sqlite`."""

    root: Path

    def artifacts(self, kind: str) -> Path:
        """Folder of all artifacts of one kind."""
        return self.root / "artifacts" / kind

    def artifact(self, kind: str, digest: str) -> Path:
        """Folder of one artifact, complete once it holds `manifest.json`."""
        return self.artifacts(kind) / digest

    def kinds(self) -> list[str]:
        """The kinds of which there are artifacts, in order of their names."""
        return sorted(path.name for path in self.root.glob("artifacts/*/"))

    @property
    def runs(self) -> Path:
        """Folder of the training runs."""
        return self.root / "runs"

    def run(self, digest: str) -> Path:
        """Working folder of the training run with this identity; survives crashes."""
        return self.runs / digest

    def ledger(self, digest: str) -> Path:
        """What people and nights decided about the text of one registered model, appended to."""
        return self.root / "ledgers" / f"{digest}.jsonl"

    @property
    def file_index(self) -> Path:
        """Digests of files of text that were read, so that those unchanged are not read again."""
        return self.root / "files.sqlite"

    @property
    def downloads(self) -> Path:
        """Copies of what lies on other machines, each complete once it has its final name."""
        return self.root / "downloads"

    @property
    def compiled(self) -> Path:
        """Machine code of networks, kept from run to run."""
        return self.root / "compiled"

    def lock(self, digest: str) -> Path:
        """File that is locked by whoever changes what has this digest."""
        return self.root / "locks" / digest

    @property
    def stack(self) -> Path:
        """State of the local servers: databases, logs, sockets, PID files."""
        return self.root / "stack"

    @property
    def tracked_files(self) -> Path:
        """What the MLflow server of the local stack keeps as files."""
        return self.stack / "mlflow" / "artifacts"


@dataclass(frozen=True)
class RunLayout:
    """Paths inside one training run's working folder."""

    path: Path

    @property
    def job(self) -> Path:
        return self.path / "job.json"

    @property
    def journal(self) -> Path:
        return self.path / "journal.jsonl"

    @property
    def result(self) -> Path:
        return self.path / "result.json"

    @property
    def lock(self) -> Path:
        """File that is locked by the flow that works on the run."""
        return self.path / "lock"

    @property
    def log(self) -> Path:
        return self.path / "output.log"

    @property
    def meetings(self) -> Path:
        """Files in which the processes of a launch find each other, one for each launch."""
        return self.path / "meetings"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def profile(self) -> Path:
        """Trace and table of the steps that were profiled, where that was asked for."""
        return self.path / "profile"

    @property
    def moments(self) -> Path:
        """What its optimizer leaves to a run that begins with its model, published likewise."""
        return self.path / "moments"

    @property
    def model(self) -> Path:
        """The trained model in the Hugging Face format, published like an artifact."""
        return self.path / "model"
