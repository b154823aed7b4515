"""A learning curve: how good networks and a linear model are that learn from some of the labels."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from corpusmill.model.baselines.config import BaselineConfig
from corpusmill.model.tasks.config import Beginning, MethodConfig
from corpusmill.model.training.config import TrainConfig
from corpusmill.storage.artifacts import Ref
from corpusmill.storage.examples.schema import Side
from corpusmill.storage.layout import Layout
from corpusmill.storage.manifest import read_manifest
from corpusmill.tasks.stages.answers import System, metric_of, read_system
from corpusmill.tasks.stages.baselines import make_baseline
from corpusmill.tasks.stages.finetuning import teach
from corpusmill.tasks.stages.predictions import Figure, figure_with_interval
from corpusmill.tasks.stages.side_by_side import UntilStopped, side_by_side

Learner = Literal["pretrained", "scratch", "tfidf"]
LEARNERS: tuple[Learner, ...] = ("pretrained", "scratch", "tfidf")
# What has learned from fewer says of its labels what chance has drawn.
FEWEST = 16


@dataclass(frozen=True)
class Taught:
    """What was learned from some of the training examples.

    Attributes:
        share: of them.
        examples: their number.
        answers: an artifact, as of `make_predictions` and `make_baseline`.
    """

    share: float
    examples: int
    answers: Ref


@dataclass(frozen=True)
class Point:
    """One point of a curve: the figure that decides, with its interval."""

    share: float
    examples: int
    figure: Figure


def make_learning_curve(
    layout: Layout,
    start: Ref,
    examples: Ref,
    method: MethodConfig,
    config: TrainConfig,
    shares: Sequence[float],
    *,
    processors: int,
) -> Mapping[Learner, Sequence[Taught]]:
    """Teaches shares of the labels, side by side in processes of one thread; reuses what is there.

    Shares of fewer than 16 examples are left out.

    Args:
        method: of the network that begins pretrained.
        config: for all labels, with precision and number of processes determined.
        shares: of the training examples, each below 1.
        processors: how many processes there are at once.

    Returns:
        What each learner made of each share, the least first.

    Raises:
        ConfigError, ModelError, InputError, ProcessError: as
            `corpusmill.tasks.stages.finetuning.teach` and `make_baseline`.
    """
    every = read_manifest(examples.path)["counts"]["train"]["kept"]
    some = [share for share in sorted(set(shares)) if round(share * every) >= FEWEST]
    # One thread each: small networks gain little from a second one, and lose by waiting for it.
    single = config.on_hardware(num_processes=1)
    followed = UntilStopped()

    def answers(name: Learner, share: float) -> Ref:
        if name == "tfidf":
            return make_baseline(layout, examples, BaselineConfig(name=name, share=share))
        taught, steps = _method(method, name, share), with_share(single, share)
        _, said = teach(layout, start, examples, taught, steps, processors=1, follower=followed)
        return said

    # What takes longest begins first.
    points = [(name, share) for share in reversed(some) for name in LEARNERS]
    calls = [partial(answers, *point) for point in points]
    found = dict(zip(points, side_by_side(calls, processors, followed), strict=True))
    return {
        name: [Taught(share, round(share * every), found[name, share]) for share in some]
        for name in LEARNERS
    }


def with_share(config: TrainConfig, share: float) -> TrainConfig:
    """The config for a share of the labels: √share of the steps.

    Steps as few as the labels would leave a network of one per cent of them where it began, for a
    new head needs some hundred steps, and as many as for all of them would cost ten times the
    time. So one per cent is passed over ten times as often, as few labels want to be: Mosbach et
    al. 2021 take 20 passes over sets of some thousand, in place of 3.
    """
    shorter = math.sqrt(share)
    steps = max(2, round(shorter * config.max_steps))
    warmup = min(steps - 1, round(shorter * config.schedule.warmup_steps))
    every = max(1, round(shorter * config.validation.every))
    return TrainConfig.model_validate(
        config.model_dump()
        | {
            "max_steps": steps,
            "schedule": config.schedule.model_dump() | {"warmup_steps": warmup},
            "validation": config.validation.model_dump() | {"every": every},
        }
    )


def points_of(
    curve: Mapping[Learner, Sequence[Taught]],
    whole: Mapping[Learner, System],
    examples: Ref,
    side: Side,
) -> Mapping[Learner, Sequence[Point]]:
    """The figures of each learner on one side, the last one of all labels.

    Args:
        whole: what learned from all of them.
    """
    tested = any(each.test for each in whole.values())
    every = read_manifest(examples.path)["counts"]["train"]["kept"]
    found: dict[Learner, Sequence[Point]] = {}
    for name, system in whole.items():
        taught = [
            (each.share, each.examples, read_system(name, each.answers, tested=tested))
            for each in curve.get(name, ())
        ]
        found[name] = [
            Point(share, count, figure_with_interval([said], metric_of(each)))
            for share, count, each in [*taught, (1.0, every, system)]
            if (said := each.of(side))
        ]
    return found


def share_needed(curves: Mapping[Learner, Sequence[Point]], other: Learner) -> float | None:
    """From which share of the labels on the pretrained network equals another with all of them.

    Returns:
        As `share_that_equals`.
    """
    points = [(each.share, each.figure.value) for each in curves["pretrained"]]
    return share_that_equals(points, curves[other][-1].figure.value)


def share_that_equals(points: Sequence[tuple[float, float]], wanted: float) -> float | None:
    """From which share on a learner is as good as `wanted`, interpolated on the logarithm.

    Args:
        points: shares, rising, and the figure at each; the higher the better.

    Returns:
        None where it is not even at the last; the first share where it is at all of them.
    """
    below = max((number for number, (_, value) in enumerate(points) if value < wanted), default=-1)
    if below == len(points) - 1:
        return None
    if below < 0:
        return points[0][0]
    (share, value), (more, higher) = points[below : below + 2]
    way = (wanted - value) / (higher - value)
    return math.exp(math.log(share) + way * (math.log(more) - math.log(share)))


def _method(method: MethodConfig, begins: Beginning, share: float) -> MethodConfig:
    given = {"begins": begins, "share": share}
    # Of noise nothing is worth keeping frozen.
    name = method.name if begins == "pretrained" else "full"
    return MethodConfig.model_validate(method.model_dump() | given | {"name": name})
