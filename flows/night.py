"""What a night does once there is something new: inspect, train, judge, remember, decide."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from prefect import get_run_logger, runtime
from prefect.client.schemas.objects import State
from prefect.states import Completed

from corpusmill.flows.config import ContinueConfig, digest_night
from corpusmill.flows.tail import kept
from corpusmill.model.training.config import TrainConfig
from corpusmill.model.training.groups import LineMeanConfig, WSDSchedule
from corpusmill.storage.artifacts import Ref
from corpusmill.storage.layout import Layout
from corpusmill.storage.ledger import Decisions
from corpusmill.storage.manifest import read_manifest
from corpusmill.storage.markup import command
from corpusmill.storage.memory import read_segments
from corpusmill.storage.served import text_generation
from corpusmill.storage.settings import Settings
from corpusmill.storage.splits import SPLITS
from corpusmill.storage.versions import CONTINUED_FROM, MEMORY, RegisteredModel
from corpusmill.tasks.corpus import find_sources, make_corpus
from corpusmill.tasks.evaluation import find_contamination
from corpusmill.tasks.ingestion.building import CorpusPlan
from corpusmill.tasks.ingestion.past import Past
from corpusmill.tasks.nights import choose_held_out, judge, keep_memory, misfit_of, replay, tidy
from corpusmill.tasks.quarantine import (
    inspect,
    quarantine_in_words,
    set_aside,
    set_harmful_aside,
)
from corpusmill.tasks.registration import fetch_champion, promote_by_judgement, register
from corpusmill.tasks.reports.corpus.report import report_corpus
from corpusmill.tasks.reports.model_card import licences_of, render_card
from corpusmill.tasks.reports.run import before_of, make_outcome, report, report_quarantine
from corpusmill.tasks.shards import make_shards
from corpusmill.tasks.stack.nightlies import Ending
from corpusmill.tasks.stages.judgement import Judgement
from corpusmill.tasks.stages.lineage import lessons_of
from corpusmill.tasks.stages.past import is_tried, kept_out_by, shards_of
from corpusmill.tasks.tracking import FlowContext
from corpusmill.tasks.training import train


@dataclass(frozen=True)
class Tonight:
    """What a night learns from, and from where it goes on.

    Attributes:
        base: the champion's model.
        found: the corpus of all that is new, `corpus` that of what is learned from.
        how: digest of how a night is trained and judged.
    """

    champion: RegisteredModel
    base: Ref
    past: Past
    plan: CorpusPlan
    found: Ref
    corpus: Ref
    how: str


def look(
    settings: Settings,
    layout: Layout,
    config: ContinueConfig,
    champion: RegisteredModel,
    *,
    past: Past,
    plan: CorpusPlan,
    decisions: Decisions,
) -> Tonight | State[None]:
    """What is new in files that were not met; or why the night ends here."""
    name = champion.name
    base = fetch_champion(settings, layout, champion)
    found = make_corpus(settings, layout, plan, config.corpus)
    if why := _too_little(found):
        return ended("Skipped", why)
    aside = inspect(
        layout,
        base,
        past,
        found,
        night=config.night,
        config=config.evaluation,
        released=decisions.released,
    )
    corpus = found
    if aside:
        # Anew: what is held out must be of the text that is left.
        decisions = set_aside(layout, name, aside, str(runtime.flow_run.name))
        past = Past(past.memory, kept_out_by(decisions))
        plan = find_sources(layout, config.corpus, past)
        corpus = make_corpus(settings, layout, plan, config.corpus)
        if why := _too_little(corpus):
            report_quarantine(name, aside)
            return ended("Quarantined", quarantine_in_words(name, aside, why))
    how = digest_night(config)
    if tried := is_tried(layout, past.memory, decisions, corpus, how):
        return ended(
            "Skipped",
            f"Version {tried} has learned all that is new and is not the champion; the text waits "
            f"for more, or for `{command('release', name)}`.",
        )
    return Tonight(champion, base, past, plan, found, corpus, how)


def learn(context: FlowContext, config: ContinueConfig, tonight: Tonight) -> State[None]:
    """A night, from what is new to the decision."""
    settings, layout, night = context.settings, context.layout, config.night
    base, champion, corpus, past = tonight.base, tonight.champion, tonight.corpus, tonight.past
    name = champion.name
    held_out = choose_held_out(layout, past, corpus, night)
    new = make_shards(settings, layout, corpus, base, held_out)
    report_corpus(context, corpus, base, new)
    shards = replay(layout, past, new, base, night, _seed(config, champion))
    lessons = len(read_segments(past.memory.path))
    training = night_training(config, read_manifest(shards.path)["counts"]["train"], lessons)
    model = train(context, shards, base, None, training, initialize_from=base)
    with kept(model):
        figures, theirs, judgement = judge(
            layout, model, base, held_out, night, config.evaluation, trained_on=corpus
        )
        after = keep_memory(layout, past.memory, corpus, tonight.plan.sources, new)
        counts = read_manifest(corpus.path)["counts"]
        licences = licences_of(counts, champion.tags.get("licences", "").split("; "))
        tags = _tags(corpus, held_out, after, champion, judgement) | {
            "licences": "; ".join(licences),
            figures.decides: f"{figures.score:.4f}",
            "evaluation_precision": figures.precision,
        }
        inputs = {"corpus": corpus, "initialize_from": base, "shards": shards}
        example = next((sample.prompt for sample in figures.samples), "")
        version = register(context, name, model, inputs, tags, text_generation(example))
        if judgement.verdict == "harm":
            set_harmful_aside(layout, name, corpus, judgement, str(runtime.flow_run.name))
        promotion = promote_by_judgement(context, version, champion, judgement, tonight.how)
        before = before_of(champion, theirs, judgement)
        outcome = make_outcome(
            context,
            model,
            version,
            promotion,
            figures,
            judgement=judgement,
            before=before,
            contamination=find_contamination(layout, corpus, held_out, config.evaluation),
        )
        scratch = [shards, held_out, *([tonight.found] if tonight.found != corpus else [])]
        card = render_card(outcome, counts, licences, version, lessons_of(after.path))
        warnings = _warnings(layout, tonight, new)
        report(context, model, corpus, outcome, card, scratch=scratch, warnings=warnings)
    tidy(settings, layout, name, scratch)
    return ended(
        "Completed" if promotion.champion else "Refused",
        f"Version {version.version}: {promotion.words}.",
    )


def ended(how: Ending, why: str) -> State[None]:
    """The end of a night, under a name that automations know, and why."""
    get_run_logger().info("%s", why)
    return Completed(name=how, message=why)


def night_training(config: ContinueConfig, counts: Mapping[str, int], lessons: int) -> TrainConfig:
    """How a night trains on so much text: as the line was pretrained, with rates of its own.

    Phases of mixing and warm-ups of batch and length are of the run that began with noise, and so
    is early stopping; the mean of weights is the line's.

    Args:
        lessons: that the line has learned before, what it began with being the first.
    """
    train, night = config.train, config.night
    samples = (
        counts["documents"] / 2
        if any(each.objective == "translation" for each in train.objectives)
        else (counts["tokens"] - 1) / train.sequence_length
    )
    steps = math.ceil(night.max_epochs * samples / train.global_batch_size)
    steps = max(1, min(steps, night.max_steps))
    rates = {
        field: rate * night.rate_factor
        for field in ("learning_rate", "embedding_learning_rate", "head_learning_rate")
        if (rate := getattr(train.optimizer, field))
    }
    changes = {
        "max_steps": steps,
        "max_seconds": night.max_seconds,
        "mixing": (),
        "batch_size_warmup": None,
        "sequence_length_warmup": None,
        "average": LineMeanConfig(share=max(night.line_share, 1 / (1 + lessons))),
        "optimizer": train.optimizer.model_copy(update=rates),
        "schedule": WSDSchedule(
            warmup_steps=min(night.warmup_steps, steps - 1), decay_fraction=night.decay_fraction
        ),
        # A look at the end and three on the way, or as seldom as before.
        "validation": train.validation.model_copy(
            update={"early_stopping": None, "every": max(train.validation.every, -(-steps // 4))}
        ),
        "profile_steps": 0,
    }
    return train.model_copy(update=changes)


def _too_little(corpus: Ref) -> str | None:
    """Why a night cannot learn from what is new, if so."""
    counts = read_manifest(corpus.path)["counts"]
    train, held_out = (counts[split]["documents"] for split in SPLITS)
    if train and held_out:
        return None
    new = train + held_out
    if not new:
        return "Nothing is new."
    return f"{new} new document{'s' * (new > 1)}: too few to learn from and to judge by; they wait."


def _warnings(layout: Layout, tonight: Tonight, new: Ref) -> list[str]:
    """What the corpus does not know of the text: sources that are gone, a tokenizer for others."""
    gone = [f"The source {each.name} is left out: {each.gone}" for each in tonight.plan.gone]
    misfit = misfit_of(new, shards_of(layout, tonight.past.memory))
    return [*gone, *([misfit] if misfit else [])]


def _seed(config: ContinueConfig, champion: RegisteredModel) -> int:
    """Another one each night, that replay draws other text."""
    return config.train.seed + int(champion.version)


def _tags(
    corpus: Ref, held_out: Ref, memory: Ref, champion: RegisteredModel, judgement: Judgement
) -> dict[str, str]:
    figures = {
        f"gate.{each.age}": f"{each.gain:+.4f} ({each.low:+.4f} to {each.high:+.4f}, "
        f"{each.blocks} blocks)"
        for each in judgement.comparisons
        if each.source is None
    }
    figures |= {
        f"gate.probe.{each.name}": f"{each.gain:+.4f} ({each.low:+.4f} to {each.high:+.4f}, "
        f"{each.items} items)"
        for each in judgement.probes
    }
    return figures | {
        "corpus": corpus.digest,
        "held_out": held_out.digest,
        MEMORY: memory.digest,
        CONTINUED_FROM: champion.version,
        "gate": f"{judgement.verdict}: {judgement.reasons[0]}"[:4000],
        "prefect.flow_run_url": str(runtime.flow_run.ui_url),
    }
