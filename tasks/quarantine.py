"""Quarantine as tasks: new text is inspected, and what a person must look at is set aside."""

from collections.abc import Collection, Sequence

from prefect import get_run_logger
from prefect.artifacts import create_table_artifact

from corpusmill.model.config import EvaluationConfig
from corpusmill.storage.artifacts import Ref, discard
from corpusmill.storage.blocks import read_blocks
from corpusmill.storage.corpus.documents import Document, read_documents
from corpusmill.storage.layout import Layout
from corpusmill.storage.ledger import Decisions, Ledger, SetAside
from corpusmill.storage.manifest import read_manifest
from corpusmill.storage.markup import as_text, command
from corpusmill.storage.splits import SPLITS
from corpusmill.tasks.ingestion.past import Past
from corpusmill.tasks.reports.corpus.words import counted
from corpusmill.tasks.retries import stage
from corpusmill.tasks.stages import evaluation
from corpusmill.tasks.stages.held_out import Choice, choose_documents, new_documents
from corpusmill.tasks.stages.judgement import Judgement
from corpusmill.tasks.stages.night_config import NightConfig
from corpusmill.tasks.stages.past import held_out_of, shards_of
from corpusmill.tasks.stages.quarantine import (
    EXCERPT,
    Reading,
    known_languages,
    look_at,
    reading_of,
    shuffled,
    suspects,
)

# Of a place in a document that is inspected; documents are read in many where they are few.
_STRETCH_BYTES = 1_000


@stage("inspect")
def inspect(
    layout: Layout,
    champion: Ref,
    past: Past,
    corpus: Ref,
    *,
    night: NightConfig,
    config: EvaluationConfig,
    released: Collection[str],
) -> list[SetAside]:
    """The new documents that wait for a person: too many are unlike anything met before."""
    if night.quarantine.max_unlike == 1:
        return []
    quarantine = night.quarantine
    languages = known_languages(shards_of(layout, past.memory), quarantine.language_share)
    documents = look_at(corpus, languages)

    def read(size: int) -> Reading | None:
        sizes = quarantine.sample_bytes, size
        return _read_some(layout, champion, past, corpus, sizes, config)

    aside, share = suspects(documents, read, quarantine, released)
    get_run_logger().info("%.0f%% of the new text looks unlike what was met", 100 * share)
    return aside


def _read_some(
    layout: Layout,
    champion: Ref,
    past: Past,
    corpus: Ref,
    sizes: tuple[int, int],
    config: EvaluationConfig,
) -> Reading | None:
    """How well the champion reads some of the new text; None for pairs, which have no such loss.

    Args:
        sizes: bytes of old and of new text.
    """
    counts = read_manifest(corpus.path)["counts"]
    if counts.get("pairs"):
        return None
    stretch = _STRETCH_BYTES
    each = max(stretch, sizes[1] // sum(counts[split]["documents"] for split in SPLITS))
    old = held_out_of(layout, past.memory)
    choices = [
        Choice("old", old, "validation", sizes[0], stretch, altered=shuffled, stretch=stretch),
        Choice("new", [corpus], None, sizes[1], each, True, shuffled, stretch),
    ]
    chosen = choose_documents(layout, choices, past.forgotten)
    quick = config.held_out_alone
    ref, _ = evaluation.make_evaluation(layout, champion, chosen, quick, "champion, on new text")
    blocks, new = read_blocks(ref.path), new_documents(chosen.path)
    discard(chosen)
    return reading_of(blocks, set(blocks.documents) - new)


@stage("set-aside")
def set_aside(layout: Layout, name: str, aside: Sequence[SetAside], night: str) -> Decisions:
    """Keeps documents for a person to look at; what is decided from now on."""
    ledger = Ledger(layout, name)
    ledger.set_aside(aside, night)
    rows = [
        {
            "file": as_text(each.file),
            "documents": len(each.ids),
            "why": as_text(each.why),
            "it begins": as_text(each.excerpt),
        }
        for each in aside
    ]
    create_table_artifact(
        key="quarantine",
        table=rows,
        description=f"Set aside until you release it: {as_text(command('release', name))}",
    )
    get_run_logger().warning(
        "%d documents of %d files are set aside (%s); look at them in the run's artifacts, and let "
        "them in with `%s`, or take the files away",
        sum(len(each.ids) for each in aside),
        len({each.file for each in aside}),
        aside[0].why,
        command("release", name),
    )
    return ledger.read()


def quarantine_in_words(name: str, aside: Sequence[SetAside], rest: str) -> str:
    """What a night says of which too little is left.

    Args:
        rest: why the text that is not set aside is too little.
    """
    documents, files = sum(len(each.ids) for each in aside), len({each.file for each in aside})
    return (
        f"Set aside until `{command('release', name)}`: {counted(documents, 'document')} of "
        f"{counted(files, 'file')} ({aside[0].why}). Of the rest: {rest}"
    )


@stage("set-harmful-aside")
def set_harmful_aside(
    layout: Layout, name: str, corpus: Ref, judgement: Judgement, night: str
) -> None:
    """Keeps the text of a night that did harm for a person, so that no later night repeats it."""
    files: dict[tuple[str, str], list[Document]] = {}
    for split in SPLITS:
        for each in read_documents(corpus.path, split):
            files.setdefault((each.source, each.file), []).append(each)
    why = f"what was learned from this night did harm: {judgement.reasons[0]}"
    aside = [
        SetAside(source, file, why, tuple(each.id for each in those), those[0].text[:EXCERPT])
        for (source, file), those in files.items()
    ]
    Ledger(layout, name).set_aside(aside, night)
    get_run_logger().warning(
        "the text of this night, %d files, is set aside, for it did harm; take away what does not "
        "belong there, and let the rest in with `%s`",
        len(aside),
        command("release", name),
    )
