"""A suite: one pretrained model learns each task several times, beside what it has to beat."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from corpusmill.model.baselines.config import BaselineConfig
from corpusmill.model.tasks.config import Beginning, MethodConfig
from corpusmill.model.training.config import TrainConfig
from corpusmill.storage.artifacts import Ref, content_digest
from corpusmill.storage.errors import ArtifactError, InputError, ProcessError
from corpusmill.storage.layout import Layout
from corpusmill.storage.manifest import digest_json, read_manifest
from corpusmill.tasks.stages.baselines import make_baseline
from corpusmill.tasks.stages.finetuning import teach
from corpusmill.tasks.stages.side_by_side import UntilStopped, side_by_side

PRETRAINED, SCRATCH, EMBEDDINGS = "pretrained", "scratch", "embeddings"
MAJORITY, TFIDF = "majority", "tfidf"
_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class Exam:
    """A task, ready to be learned.

    Attributes:
        task: its name.
        examples: the artifact of these.
        metric: the figure that the table is of; None for what its kind of labels is judged by.
        train: how a network learns it, with precision determined; each with a seed of its own.
    """

    task: str
    examples: Ref
    metric: str | None
    train: TrainConfig


@dataclass(frozen=True)
class Cell:
    """What has to answer a task.

    Attributes:
        task: its name.
        system: what a network begins with (pretrained, embeddings, scratch), or a baseline
            (majority, tfidf).
        seed: of a network; None of a baseline, which chance has no part in.
    """

    task: str
    system: str
    seed: int | None = None

    def __str__(self) -> str:
        return f"{self.task} {self.system}" + ("" if self.seed is None else f" {self.seed}")


@dataclass(frozen=True)
class Answered:
    """A cell, and the bytes that it goes back to.

    Attributes:
        answers: to validation and test, as of `make_predictions` and `make_baseline`.
        model: that gave them; None of a baseline.
        config: digest of how it was made.
    """

    cell: Cell
    answers: Ref
    model: Ref | None
    config: str


def cells_of(exams: Sequence[Exam], seeds: int, embeddings: int) -> list[Cell]:
    """All cells, the longest first: what waits for the last of them waits least.

    Args:
        seeds: how often each task is learned, pretrained and from random weights.
        embeddings: how often with pretrained embeddings alone.
    """
    counts = {PRETRAINED: seeds, SCRATCH: seeds, EMBEDDINGS: embeddings}
    longest = sorted(exams, key=lambda exam: -exam.train.max_steps)
    networks = [
        Cell(exam.task, system, seed)
        for exam in longest
        for system, count in counts.items()
        for seed in range(count)
    ]
    return networks + [Cell(e.task, name) for e in exams for name in (TFIDF, MAJORITY)]


def measure_cells(
    layout: Layout,
    start: Ref,
    exams: Sequence[Exam],
    method: MethodConfig,
    cells: Sequence[Cell],
    *,
    processors: int,
    tell: Callable[[int], None],
) -> tuple[list[Answered], dict[Cell, str]]:
    """Answers of all cells, by processes of one thread, so many side by side; reuses what is there.

    A cell that fails takes no other with it.

    Args:
        method: of what begins pretrained; the others learn with all of their weights.
        processors: how many processes there are at once.
        tell: is told after each cell how many are done.

    Returns:
        What has answered, and of each cell that failed why, in the order of `cells`.
    """
    by_name = {exam.task: exam for exam in exams}
    followed, done = UntilStopped(), list[Cell]()

    def answer(cell: Cell) -> Answered | str:
        try:
            found = answer_cell(layout, start, by_name[cell.task], method, cell, followed)
        except (InputError, ProcessError, ArtifactError) as error:
            followed.follow()
            said = str(error).split("\n")[0]
            _LOGGER.warning("%s has no answers: %s", cell, said)
            return said
        finally:
            done.append(cell)
            tell(len(done))
        return found

    calls = [partial(answer, cell) for cell in cells]
    found = dict(zip(cells, side_by_side(calls, processors, followed), strict=True))
    answered = [each for each in found.values() if isinstance(each, Answered)]
    return answered, {cell: each for cell, each in found.items() if isinstance(each, str)}


def answer_cell(
    layout: Layout, start: Ref, exam: Exam, method: MethodConfig, cell: Cell, followed: UntilStopped
) -> Answered:
    """Has a cell answer in processes of one thread, or finds what it has answered before.

    Raises:
        ConfigError, ModelError, InputError, ProcessError: as
            `corpusmill.tasks.stages.finetuning.teach` and `make_baseline`.
    """
    if cell.seed is None:
        name = BaselineConfig.model_validate({"name": cell.system})
        answers, model = make_baseline(layout, exam.examples, name), None
    else:
        # One thread each: small networks gain little from a second one, and lose by waiting for it.
        train = exam.train.on_hardware(num_processes=1).model_copy(update={"seed": cell.seed})
        begins = _beginning(method, cell.system)
        given = layout, start, exam.examples, begins, train
        model, answers = teach(*given, processors=1, follower=followed)
    made = read_manifest((model or answers).path)["config"]
    return Answered(cell, answers, model, digest_json(made))


def setting_of(exam: Exam, method: MethodConfig) -> str:
    """Digest of what a task asks and how it is learned: figures of one setting can be compared."""
    train = exam.train.model_dump(mode="json", exclude={"seed", "hardware", "log_every"})
    how = [exam.metric, method.model_dump(mode="json"), train]
    return digest_json([content_digest(exam.examples), *how])


def configs_of(answered: Sequence[Answered]) -> Mapping[str, object]:
    """How cells were made, by digest."""
    return {
        each.config: read_manifest((each.model or each.answers).path)["config"] for each in answered
    }


def _beginning(method: MethodConfig, begins: str) -> MethodConfig:
    known: tuple[Beginning, ...] = ("pretrained", "embeddings", "scratch")
    assert begins in known
    given: dict[str, object] = {"begins": begins}
    # Of noise nothing is worth keeping frozen.
    given |= {} if begins == PRETRAINED else {"name": "full"}
    return MethodConfig.model_validate(method.model_dump() | given)
