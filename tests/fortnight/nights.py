"""The base and the nights after it, through the deployments, with what each of them left."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from corpusmill.model.training.job import TrainingJob, TrainingResult
from corpusmill.storage import aliases
from corpusmill.storage.artifacts import find
from corpusmill.storage.config import read_json
from corpusmill.storage.layout import RunLayout
from corpusmill.storage.ledger import Ledger
from corpusmill.storage.memory import KIND, Memory
from corpusmill.storage.versions import CHAMPION, MEMORY, PREVIOUS, RegisteredModel
from tests.fortnight.schedule import Kind, Size, Step
from tests.fortnight.stack import FlowRun, Stack, disk

NAME = "fortnight"
NIGHTLY, FULL = "continue-pretraining/nightly", "pretrain/full"
TRAINING, JUDGING = frozenset({"train"}), frozenset({"inspect", "judge"})


@dataclass(frozen=True)
class Record:
    """What a step left.

    Attributes:
        new_bytes: of the texts that came with it, and of those that the champion had not learned.
        state: name of the flow run's.
        seconds: of the flow run, from its first line to its end.
        tasks: seconds of each task.
        growth: bytes on disk that came, by place in the home.
        before, champion: version that was champion before and after it.
        version: that it registered, "" if none.
        tags: of that.
        tokens: that it was trained on.
        waiting: documents set aside up to now, by the folder of their files.
        met_all: whether it has met all that the version rolled back had; None of others.
    """

    label: str
    kind: Kind
    new_bytes: int
    state: str
    message: str
    seconds: float = 0.0
    tasks: Mapping[str, float] = field(default_factory=dict)
    growth: Mapping[str, int] = field(default_factory=dict)
    before: str = ""
    champion: str = ""
    version: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    tokens: int = 0
    waiting: Mapping[str, int] = field(default_factory=dict)
    met_all: bool | None = None

    @property
    def promoted(self) -> bool:
        """Whether it made a champion."""
        return bool(self.version) and self.champion == self.version

    @property
    def seconds_besides(self) -> float:
        """Outside training and judging."""
        work = sum(self.tasks.get(name, 0.0) for name in TRAINING | JUDGING)
        return self.seconds - work

    def line(self) -> str:
        """For a person to read."""
        work = ", ".join(
            f"{name} {self.tasks[name]:.0f}"
            for name in sorted(TRAINING | JUDGING)
            if name in self.tasks
        )
        figures = "; ".join(
            f"{age} {self.tags[f'gate.{age}']}"
            for age in ("new", "old")
            if self.version and f"gate.{age}" in self.tags
        )
        return (
            f"{self.label:12} {self.state:11} {self.seconds:5.0f} s ({work or 'no work'}; "
            f"{self.seconds_besides:.1f} besides)  +{sum(self.growth.values()) / 1e6:.1f} MB for "
            f"{self.new_bytes / 1e6:.2f}  champion {self.champion}  {figures or self.message}"
        )


@dataclass(frozen=True)
class Fortnight:
    """A fortnight in a folder: `text`, the folder that is learned from; `home`, of the stack.

    Attributes:
        seed: of the base.
    """

    stack: Stack
    folder: Path
    size: Size
    seed: int

    @property
    def text(self) -> Path:
        """The folder that is learned from."""
        return self.folder / "text"

    def pretrain(self, name: str, text: Path, overrides: Mapping[str, Any]) -> RegisteredModel:
        """A model of all that a folder holds, by the deployment, unless there is a champion."""
        settings = self.stack.settings
        if (found := aliases.find_by_alias(settings, name, CHAMPION)) is not None:
            return found
        source = {"files": f"{text}/**/*.txt", "name": "speeches", "licence": "public domain"}
        given = {
            "corpus.sources": [source],
            "train.seed": self.seed,
            "registration.name": name,
            **self.size.base,
            **overrides,
        }
        run = self.stack.run(FULL, {"recipe": self.size.recipe, "overrides": given})
        if run.state != "COMPLETED":
            raise SystemExit(f"{name} ended {run.state}: {run.message}")
        print(f"{name} in {run.seconds:.0f} s (train {run.tasks.get('train', 0):.0f})", flush=True)
        return aliases.champion_or_refuse(settings, name)

    def play(self, steps: Iterable[Step]) -> list[Record]:
        """All steps but those that were played before; one line each."""
        records = self._played()
        for number, step in enumerate(steps):
            if number >= len(records):
                records.append(
                    self._roll_back(step) if step.kind == "rollback" else self._night(step, records)
                )
                with self._journal.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(asdict(records[-1])) + "\n")
            print(records[number].line(), flush=True)
        return records

    def line_of(self, champion: RegisteredModel) -> list[RegisteredModel]:
        """The versions from the base to this one, each continued from the one before it."""
        versions = {each.version: each for each in aliases.versions(self.stack.settings, NAME)}
        line = [versions[champion.version]]
        while before := line[-1].tags.get("continued_from"):
            line.append(versions[before])
        return line[::-1]

    def training_of(self, version: RegisteredModel) -> tuple[TrainingJob, TrainingResult]:
        """How a version was trained, and how far."""
        run = RunLayout(self.stack.layout.run(version.digest))
        return read_json(TrainingJob, run.job), read_json(TrainingResult, run.result)

    @property
    def _journal(self) -> Path:
        return self.folder / "nights.jsonl"

    def _played(self) -> list[Record]:
        if not self._journal.exists():
            return []
        lines = self._journal.read_text(encoding="utf-8").splitlines()
        return [Record(**json.loads(line)) for line in lines]

    def _champion(self, alias: str = CHAMPION) -> RegisteredModel:
        found = aliases.find_by_alias(self.stack.settings, NAME, alias)
        assert found is not None, alias
        return found

    def _night(self, step: Step, records: list[Record]) -> Record:
        for name, text in step.files.items():
            path = self.text / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        before, home = self._champion(), self.stack.settings.home
        size = disk(home)
        overrides = {**self.size.night, **step.overrides}
        run = self.stack.run(NIGHTLY, {"name": NAME, "overrides": overrides})
        if run.state != "COMPLETED":
            raise SystemExit(f"{step.label} ended {run.state}: {run.message}")
        grown = disk(home)
        grown.subtract(size)
        version = self._version_of(run)
        return Record(
            label=step.label,
            kind=step.kind,
            new_bytes=step.bytes + _unlearned(records),
            state=run.name,
            message=run.message,
            seconds=run.seconds,
            tasks=run.tasks,
            growth={place: change for place, change in grown.items() if change},
            before=before.version,
            champion=self._champion().version,
            version=version.version if version else "",
            tags=dict(version.tags) if version else {},
            tokens=self.training_of(version)[1].tokens_seen if version else 0,
            waiting=self._waiting(),
            met_all=self._met_all(version, records),
        )

    def _roll_back(self, step: Step) -> Record:
        before, previous = self._champion(), self._champion(PREVIOUS)
        done = self.stack.command("corpusmill", "rollback", NAME)
        now = self._champion()
        worked = done.returncode == 0 and now.version == previous.version
        return Record(
            label=step.label,
            kind=step.kind,
            new_bytes=0,
            state="RolledBack" if worked else "Failed",
            message=" ".join((done.stdout + done.stderr).split()),
            before=before.version,
            champion=now.version,
            tags=dict(before.tags),
            waiting=self._waiting(),
        )

    def _version_of(self, run: FlowRun) -> RegisteredModel | None:
        """The version that a run has registered."""
        versions = aliases.versions(self.stack.settings, NAME)
        urls = ((each, each.tags.get("prefect.flow_run_url", "")) for each in versions)
        return next((each for each, url in urls if run.id in url), None)

    def _waiting(self) -> dict[str, int]:
        count: dict[str, int] = {}
        for each in Ledger(self.stack.layout, NAME).read().set_aside:
            folder = Path(each.file).parent.name
            count[folder] = count.get(folder, 0) + len(each.ids)
        return count

    def _met_all(self, version: RegisteredModel | None, records: list[Record]) -> bool | None:
        """Whether a version has met all that the one had that was rolled back last."""
        rolled = next((each for each in reversed(records) if each.kind == "rollback"), None)
        if version is None or rolled is None:
            return None
        return self._met(rolled.tags[MEMORY]) <= self._met(version.tags[MEMORY])

    def _met(self, memory: str) -> set[bytes]:
        ids = Memory(find(self.stack.layout, KIND, memory).path).met.ids
        return {each.tobytes() for each in ids}


def _unlearned(records: list[Record]) -> int:
    """Bytes of speeches that the champion has not learned: of nights refused or rolled back."""
    learned = {each.version: each.new_bytes for each in records if each.promoted}
    waiting = 0
    for each in reversed(records):
        if each.kind == "rollback":
            waiting += learned.get(each.before, 0)
        elif each.promoted:
            break
        elif each.kind == "speeches":
            # Which has in it what was waiting then.
            waiting += each.new_bytes
            break
    return waiting
