"""The search for how a network is best taught, as a task: each trial is a run of MLflow's own."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from prefect import get_run_logger

from corpusmill.model.tasks.config import MethodConfig
from corpusmill.model.tasks.metrics import deciding, figures_of
from corpusmill.model.training.config import TrainConfig
from corpusmill.storage import metrics
from corpusmill.storage.artifacts import Ref
from corpusmill.storage.errors import InputError
from corpusmill.storage.examples.reading import kind_of, label_names
from corpusmill.storage.tracking import Tracker
from corpusmill.tasks.launch import find_hardware
from corpusmill.tasks.retries import stage
from corpusmill.tasks.stages.answers import read_system
from corpusmill.tasks.stages.finetuning import plan_finetuning, teach
from corpusmill.tasks.stages.search import Trial, Tried, best_first, together
from corpusmill.tasks.stages.side_by_side import UntilStopped, side_by_side
from corpusmill.tasks.tracking import FlowContext
from corpusmill.tasks.training import project_journal


@stage("search", retries=3)
def search_configs(
    context: FlowContext,
    start: Ref,
    examples: Ref,
    method: MethodConfig,
    trials: Sequence[Trial],
) -> list[Tried]:
    """Trains each trial, or reuses its model, and judges it on validation; the best first.

    On a CPU they learn side by side, in processes of one thread; a GPU has one at a time. One whose
    numbers do not stay finite, or that cannot be trained otherwise, has lost, and says why.

    Raises:
        InputError: no trial could be trained.
    """
    pupils = _Pupils(context, start, examples, method)
    numbered = list(enumerate(trials, start=1))
    # What takes longest begins first.
    numbered.sort(key=lambda each: each[1].config.max_steps, reverse=True)
    calls = [
        partial(pupils.teach, number, trial, further)
        for number, trial in numbered
        for further in range(trial.seeds)
    ]
    at_once = 1 if find_hardware().gpus else context.settings.processors
    found = iter(side_by_side(calls, at_once, pupils.followed))
    tried = [together([next(found) for _ in range(trial.seeds)]) for _, trial in numbered]
    decides = deciding(kind_of(examples.path), len(label_names(examples.path))).name
    ordered = best_first(tried, decides)
    get_run_logger().info("%s", _in_a_line(ordered, decides))
    return ordered


def _in_a_line(ordered: Sequence[Tried], decides: str) -> str:
    best, worst = ordered[0], [each for each in ordered if each.failed is None][-1]
    said, other = (each.figures.get(decides, math.nan) for each in (best, worst))
    return (
        f"the best of {len(ordered)} trials is {best.trial.name}: validation {decides} "
        f"{said:.4f}; the worst, {worst.trial.name}, has {other:.4f}"
    )


@dataclass(frozen=True)
class _Pupils:
    """Networks that are taught the same examples from the same start, each by a trial.

    Attributes:
        followed: what ends them where the flow does.
    """

    context: FlowContext
    start: Ref
    examples: Ref
    method: MethodConfig
    followed: UntilStopped = field(default_factory=UntilStopped)

    def teach(self, number: int, trial: Trial, further: int) -> Tried:
        """What a trial comes to with one of its seeds; a run of MLflow's own keeps it.

        Args:
            further: seeds from that of the trial's config.
        """
        seed = trial.config.seed + further
        name = f"trial {number}: {trial.name}" + (f", seed {seed}" if trial.seeds > 1 else "")
        config = trial.config.model_copy(update={"seed": seed})
        given = self.context.layout, self.start, self.examples, self.method, config
        try:
            _, answers = teach(*given, processors=1, follower=self.followed)
        except InputError as error:
            run = self._record(name, trial, config)
            run.set_tags({"mlflow.note.content": str(error)})
            run.finish("FAILED")
            return Tried(trial, {}, str(error))
        said = read_system(name, answers, tested=False).validation
        figures = figures_of(said)
        run = self._record(name, trial, config)
        project_journal(run, plan_finetuning(*given).files.journal)
        named = {metrics.labelled("validation", each): value for each, value in figures.items()}
        run.log_metrics(named, config.max_steps)
        run.finish("FINISHED")
        return Tried(trial, figures)

    def _record(self, name: str, trial: Trial, config: TrainConfig) -> Tracker:
        run = self.context.tracker.child(name)
        others = {key: value for key, value in trial.changes.items() if "." not in key}
        run.log_config({**others, "train": config.model_dump(mode="json")})
        return run
