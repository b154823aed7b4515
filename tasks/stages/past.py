"""What a night takes over from those before it: what was met, what is kept out, what was tried."""

from contextlib import suppress

import numpy as np

from corpusmill.storage.artifacts import Ref, find
from corpusmill.storage.corpus import documents as corpora
from corpusmill.storage.corpus.documents import documents_path, ids_of
from corpusmill.storage.errors import ArtifactError, StackError
from corpusmill.storage.layout import Layout
from corpusmill.storage.ledger import Decisions
from corpusmill.storage.manifest import read_manifest
from corpusmill.storage.memory import KIND, Memory, Met, read_met
from corpusmill.storage.memory import documents_path as met_path
from corpusmill.storage.splits import SPLITS
from corpusmill.storage.versions import MEMORY, RegisteredModel
from corpusmill.tasks.ingestion.duplicates.relatives import LEAST_SHARED, shared_bands
from corpusmill.tasks.ingestion.night import MET
from corpusmill.tasks.ingestion.past import KeptOut
from corpusmill.tasks.stages import held_out
from corpusmill.tasks.stages.memory import recall


def kept_out_by(decisions: Decisions) -> KeptOut:
    """What no night may learn from."""
    aside = {bytes.fromhex(name) for each in decisions.set_aside for name in each.ids}
    forgotten = {bytes.fromhex(name) for each in decisions.forgotten for name in each.ids}
    ids = {"set_aside": frozenset(aside), "forgotten": frozenset(forgotten)}
    bands = [each.bands for each in decisions.forgotten]
    return KeptOut(
        {reason: those for reason, those in ids.items() if those},
        np.concatenate(bands) if bands else None,
    )


def memory_of(layout: Layout, champion: RegisteredModel) -> Ref:
    """What the champion's line has met; of one registered by an earlier release, its corpora.

    That shards and held-out text are there too is seen by their manifests: nothing old is read.

    Raises:
        StackError: some of it is gone, which no retry brings back.
        ConfigError: another tool registered the champion.
    """
    try:
        if digest := champion.tags.get(MEMORY):
            memory = find(layout, KIND, digest)
        else:
            memory = recall(layout, find(layout, corpora.KIND, champion.tag("corpus")))
        for each in Memory(memory.path).segments:
            read_manifest(layout.artifact("shards", each.shards))
            read_manifest(layout.artifact(held_out.KIND, each.held_out))
    except ArtifactError as error:
        raise StackError(
            f"What {champion.uri}, the champion, has met is not all in {layout.root} ({error}); "
            "restore the store from a copy, go back to a version that has it with `corpusmill "
            f"rollback {champion.name}`, or pretrain the model again."
        ) from error
    return memory


def shards_of(layout: Layout, memory: Ref) -> list[Ref]:
    """The shards that a line was trained on, in that order.

    Raises:
        ArtifactError: one is gone or damaged.
    """
    return [find(layout, "shards", each.shards) for each in Memory(memory.path).segments]


def held_out_of(layout: Layout, memory: Ref) -> list[Ref]:
    """The held-out documents of a line, segment by segment.

    Raises:
        ArtifactError: one is gone or damaged.
    """
    return [find(layout, held_out.KIND, each.held_out) for each in Memory(memory.path).segments]


def is_tried(
    layout: Layout, memory: Ref, decisions: Decisions, corpus: Ref, config: str
) -> str | None:
    """The version that was trained on all that is new here, and was refused or rolled back.

    What is edited since then is no other text.

    A version that was refused counts only if it was trained and judged as tonight's would be.

    Args:
        memory: of the champion.
        config: digest of how tonight's version will be trained and judged.
    """
    new = _new(corpus)
    known = Memory(memory.path).met.ids.view("V16")[:, 0]
    is_met = np.zeros(len(new), bool)
    for each in decisions.rejected:
        if each.config not in (None, config):
            continue
        with suppress(ArtifactError):
            theirs = Memory(find(layout, KIND, each.memory).path).met
            since = ~np.isin(theirs.ids.view("V16")[:, 0], known)
            is_met |= np.isin(new.ids.view("V16")[:, 0], theirs.ids[since].view("V16")[:, 0])
            is_met |= shared_bands(new.bands, theirs.bands, since) >= LEAST_SHARED
        if len(new) and is_met.all():
            return each.version
    return None


def _new(corpus: Ref) -> Met:
    """The documents of a night that are learned from or judged by."""
    met = read_met(met_path(corpus.path, MET))
    ids = ids_of([documents_path(corpus.path, side) for side in SPLITS])
    kept = np.isin(met.ids.view("V16")[:, 0], ids.view("V16")[:, 0])
    return Met(met.ids[kept], met.sides[kept], met.bands[kept])
