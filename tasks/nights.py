"""The stages of a night as tasks: what was met, what may be learned, what is judged by."""

import shutil
from collections.abc import Mapping, Sequence
from typing import Any

from prefect import get_run_logger
from prefect.artifacts import create_table_artifact

from corpusmill.model.config import EvaluationConfig, EvaluationResult
from corpusmill.model.hf.families import family_of
from corpusmill.model.tokenizer.folder import load_tokenizer
from corpusmill.model.training.job import moments_spec
from corpusmill.storage import aliases
from corpusmill.storage.artifacts import Ref, discard
from corpusmill.storage.layout import Layout, RunLayout
from corpusmill.storage.ledger import Decisions, Ledger, Rejected
from corpusmill.storage.manifest import read_manifest
from corpusmill.storage.markup import as_text
from corpusmill.storage.settings import Settings
from corpusmill.storage.versions import CONTINUED_FROM, DIGEST, MEMORY, RegisteredModel
from corpusmill.tasks.ingestion.past import Past
from corpusmill.tasks.ingestion.sources import ResolvedSource
from corpusmill.tasks.retries import stage
from corpusmill.tasks.stages import evaluation
from corpusmill.tasks.stages.held_out import Choice, choose_documents, keep_held_out, new_documents
from corpusmill.tasks.stages.judgement import Judgement, compare, table_of
from corpusmill.tasks.stages.memory import remember
from corpusmill.tasks.stages.night_config import NightConfig
from corpusmill.tasks.stages.past import held_out_of, memory_of, shards_of
from corpusmill.tasks.stages.replay import mix_with_old

# A tokenizer that needs so many times the tokens a byte does not fit the text.
_MISFIT = 1.5


@stage("recall")
def recall_memory(layout: Layout, champion: RegisteredModel) -> Ref:
    """What the champion's line has met.

    Raises:
        StackError: some of it is gone.
    """
    return memory_of(layout, champion)


@stage("note-rollback")
def note_rollback(settings: Settings, layout: Layout, champion: RegisteredModel) -> Decisions:
    """What was decided about the text of a model, a rollback by hand being noted first."""
    ledger = Ledger(layout, champion.name)
    newest = ledger.read().champion
    if newest is None or int(champion.version) >= int(newest):
        if newest != champion.version:
            # Promoted by hand, or by a flow that ended before it noted that.
            ledger.promote(champion.version)
        return ledger.read()
    gone = [
        Rejected(each.version, each.tags[MEMORY], None)
        for each in aliases.versions(settings, champion.name)
        if int(champion.version) < int(each.version) <= int(newest) and MEMORY in each.tags
    ]
    ledger.roll_back(gone, champion.version)
    get_run_logger().info(
        "version %s is the champion again in place of version %s: what was learned since is new",
        champion.version,
        newest,
    )
    return ledger.read()


@stage("choose-held-out")
def choose_held_out(layout: Layout, past: Past, corpus: Ref, night: NightConfig) -> Ref:
    """What both models are judged by: old and new held-out text, of a bounded size."""
    limit = night.document_bytes
    old = Choice("old", held_out_of(layout, past.memory), "validation", night.old_bytes, limit)
    new = Choice("new", [corpus], "validation", night.new_bytes, limit)
    return choose_documents(layout, [old, new], past.forgotten)


@stage("replay")
def replay(
    layout: Layout,
    past: Past,
    new: Ref,
    tokenizer: Ref,
    night: NightConfig,
    seed: int,
) -> Ref:
    """The new shards with old text beside them; says so if the tokenizer does not fit the new."""
    old = shards_of(layout, past.memory)
    if warning := misfit_of(new, old):
        get_run_logger().warning("%s", warning)
    mixed = mix_with_old(
        layout,
        new,
        old,
        vocab_size=load_tokenizer(tokenizer.path).get_vocab_size(),
        replay=night.replay,
        seed=seed,
        without=past.forgotten,
    )
    counts = read_manifest(mixed.path)["counts"]
    replayed, total = counts["replayed_tokens"], counts["train"]["tokens"]
    get_run_logger().info("%s new tokens, %s replayed", f"{total - replayed:,}", f"{replayed:,}")
    return mixed


def misfit_of(new: Ref, old: Sequence[Ref]) -> str | None:
    """Says of new shards that the tokenizer does not fit their text as it fits the old, if so."""
    here, *before = (read_manifest(shards.path)["counts"]["train"] for shards in (new, *old))
    tokens, size = (sum(each[key] for each in before) for key in ("tokens", "bytes"))
    if not (here["bytes"] and size and tokens):
        return None
    times = here["tokens"] / here["bytes"] / (tokens / size)
    if times < _MISFIT:
        return None
    return (
        f"The tokenizer needs {times:.1f} times the tokens a byte for the new text that it needs "
        "for the old: it was not made for such text, and little is learned a token. Pretrain a "
        "model with a tokenizer of both, or keep the text of the other kind apart."
    )


@stage("judge")
def judge(
    layout: Layout,
    candidate: Ref,
    champion: Ref,
    held_out: Ref,
    night: NightConfig,
    config: EvaluationConfig,
    *,
    trained_on: Ref,
) -> tuple[EvaluationResult, EvaluationResult, Judgement]:
    """Scores both on the same held-out text, and compares them on new and on old text apart.

    Returns:
        Figures and samples of the candidate, and of the champion, which answers the same prompts.
    """
    # Probes by themselves: what the champion answered when it was a candidate is there yet.
    apart = bool(config.probes) and family_of(candidate.path) == "causal_lm"
    text = config.model_copy(update={"probes": ()}) if apart else config
    ours, figures = evaluation.make_evaluation(
        layout, candidate, held_out, text, "candidate", trained_on
    )
    theirs, its = evaluation.make_evaluation(layout, champion, held_out, text, "champion")
    asked = None
    if apart:
        mine, answers = evaluation.make_evaluation(layout, candidate, None, config, "candidate")
        others, its_answers = evaluation.make_evaluation(layout, champion, None, config, "champion")
        asked = mine.path, others.path
        figures = figures.model_copy(update={"probes": answers.probes})
        its = its.model_copy(update={"probes": its_answers.probes})
    judgement = compare(
        ours.path, theirs.path, new_documents(held_out.path), night.tolerance, asked=asked
    )
    for reason in judgement.reasons:
        get_run_logger().info("%s", reason)
    create_table_artifact(
        key="judgement",
        table=[_row(each) for each in table_of(judgement)],
        description=f"{judgement.verdict}: {judgement.reasons[0]}",
    )
    return figures, its, judgement


def _row(figures: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "text": as_text(figures["text"]),
        "candidate": f"{figures['candidate']:.4f}",
        "champion": f"{figures['champion']:.4f}",
        "gain": f"{figures['gain']:+.2%}",
        "95 %": f"{figures['low']:+.2%} to {figures['high']:+.2%}",
        "blocks": f"{figures['blocks']}{' (few)' if figures['few'] else ''}",
    }


@stage("tidy")
def tidy(settings: Settings, layout: Layout, name: str, scratch: Sequence[Ref]) -> None:
    """Drops what a night was made with, and the store's copies of superseded nights.

    Those stay in MLflow; `corpusmill prune` removes more.
    """
    for ref in scratch:
        discard(ref)
    versions = aliases.versions(settings)
    in_use = {each.tags.get(DIGEST) for each in versions if each.aliases}
    for version in versions:
        superseded = version.name == name and CONTINUED_FROM in version.tags
        digest = version.tags.get(DIGEST)
        if superseded and digest and digest not in in_use:
            moments = moments_spec(digest).digest
            for kind, each in (("model", digest), ("moments", moments)):
                discard(Ref(kind, each, layout.artifact(kind, each)))
            run = RunLayout(layout.run(digest))
            for folder in (run.model, run.moments):
                shutil.rmtree(folder, ignore_errors=True)


@stage("remember")
def keep_memory(
    layout: Layout,
    before: Ref | None,
    corpus: Ref,
    sources: Sequence[ResolvedSource],
    shards: Ref,
) -> Ref:
    """The memory of the model that has learned this corpus."""
    held_out = keep_held_out(layout, corpus)
    return remember(layout, before, corpus, sources, shards=shards, held_out=held_out)
