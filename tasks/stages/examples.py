"""Labelled examples: files in, an artifact with their sides and what was found of it elsewhere."""

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from corpusmill.storage.artifacts import Ref, Spec, obtain
from corpusmill.storage.corpus.documents import read_documents
from corpusmill.storage.examples.reading import Examples
from corpusmill.storage.examples.schema import FORMAT_VERSION, KIND, SIDES, Side
from corpusmill.storage.examples.writing import write_examples
from corpusmill.storage.layout import Layout
from corpusmill.storage.manifest import digest_json, read_manifest
from corpusmill.storage.memory import KIND as MEMORY
from corpusmill.tasks.ingestion.config import CleaningConfig, CorpusConfig
from corpusmill.tasks.ingestion.engines import engines_of
from corpusmill.tasks.labelled.config import ExamplesConfig
from corpusmill.tasks.labelled.files import LabelledFile, find_files
from corpusmill.tasks.labelled.making import make
from corpusmill.tasks.stages.contamination import contamination_of
from corpusmill.tasks.stages.learned_text import copies_in_memory

_LOGGER = logging.getLogger(__name__)
# A larger share without a label or a text is hardly meant.
_MOST_LOST = 0.1
# What is read is not cleaned as a corpus is.
_READING = CorpusConfig(cleaning=CleaningConfig(identify_languages=False))


def make_examples(layout: Layout, config: ExamplesConfig, corpora: Sequence[Ref]) -> Ref:
    """Reads labelled examples into an artifact, or finds the one made of the same bytes before.

    Args:
        corpora: that the start model was trained on, and the memory of its line; how much of each
            side stands in their training text is counted. The examples are the same whatever they
            are.

    Raises:
        CorpusError: a path that leads to nothing, a file or a column that cannot be read, labels
            that are none, nothing left to train on, or copies that are to be refused.
    """
    files = find_files(config, layout.downloads, layout.file_index)

    def write(directory: Path) -> Mapping[str, Any]:
        made = make(files, config)
        for side, examples in made.examples.items():
            write_examples(directory, side, examples, config.kind)
        found = {
            each.digest: (_in_memory if each.kind == MEMORY else _in_corpus)(made.examples, each)
            for each in corpora
        }
        overlaps = made.counts["overlaps"] | {"corpora": found}
        return dict(made.counts) | {"overlaps": overlaps, "files": list(map(_told, files))}

    ref, reused = obtain(layout, examples_spec(files, config, corpora), write)
    _log(ref, reused)
    return ref


def examples_spec(
    files: Sequence[LabelledFile], config: ExamplesConfig, corpora: Sequence[Ref]
) -> Spec:
    """What examples are made from: the bytes of the files, whatever folder they lie in."""
    inputs = {"files": digest_json([file.identity for file in files])}
    inputs |= {f"corpus {number}": corpus.digest for number, corpus in enumerate(corpora)}
    decides = config.model_dump(mode="json", exclude={"train", "validation", "test"})
    cut = {side: config.files_of(side) is None for side in SIDES}
    engines = engines_of((file.file for file in files), _READING)
    return Spec(KIND, FORMAT_VERSION, inputs, decides | {"cut": cut, "engines": engines})


def _told(labelled: LabelledFile) -> dict[str, Any]:
    """What a manifest says of a file: its lineage goes on there. A path may be any bytes."""
    file = labelled.file
    path = os.fsencode(file.path.absolute()).decode("utf-8", "backslashreplace")
    told = {"side": labelled.side, "path": path, "size": file.size, "sha256": file.digest}
    return told if labelled.label is None else told | {"label": labelled.label}


def _in_corpus(examples: Mapping[Side, Examples], corpus: Ref) -> dict[str, dict[str, int]]:
    """How many examples of each side share a run of words with the training text of a corpus."""
    sets = {
        side: [f"{text}\n{pair}" for text, pair in zip(some.texts, some.pairs, strict=True)]
        if some.pairs
        else some.texts
        for side, some in examples.items()
    }
    texts = (each.text for each in read_documents(corpus.path, "train"))
    return {
        each.name: {
            "copies": each.contaminated,
            "examples": each.texts,
            "too_short": each.too_short,
        }
        for each in contamination_of({str(side): some for side, some in sets.items()}, texts)
    }


def _in_memory(examples: Mapping[Side, Examples], memory: Ref) -> dict[str, dict[str, int]]:
    """How many examples of each side the line of a model has met as documents, or nearly."""
    found = {}
    for side, some in examples.items():
        copies = copies_in_memory(some.texts, memory)
        if some.pairs:
            copies |= copies_in_memory(some.pairs, memory)
        found[str(side)] = {"copies": int(copies.sum()), "examples": len(some), "too_short": 0}
    return found


def _log(ref: Ref, reused: bool) -> None:
    counts = read_manifest(ref.path)["counts"]
    kept = ", ".join(f"{counts[side]['kept']:,} {side} of {counts[side]['in']:,}" for side in SIDES)
    _LOGGER.info(
        "examples %s: %s, %s%s",
        ref.digest[:12],
        kept,
        f"{len(counts['labels'])} labels" if counts["labels"] else "numbers",
        " - reused" if reused else "",
    )
    for sentence in warnings_of(counts):
        _LOGGER.warning(sentence)


def warnings_of(counts: Mapping[str, Any]) -> list[str]:
    """What a person should know of examples: what is lost, overlaps, labels unseen or rare."""
    said = [
        f"{lost:,} of {counts[side]['in']:,} {side} examples have no {what}, and are left out"
        for side in SIDES
        for reason, what in (("unlabelled", "label"), ("empty", "text"))
        if (lost := counts[side]["dropped"].get(reason, 0)) > _MOST_LOST * counts[side]["in"]
    ]
    corpora = counts["overlaps"]["corpora"]
    for name, found in counts["overlaps"].items():
        if name != "corpora" and found["copies"]:
            side, _, other = name.partition("_in_")
            said.append(
                f"{found['copies']:,} of {found['examples']:,} {side} examples have a copy in "
                f"{other} ({found['same']:,} read the same); the copies on one side are dropped"
            )
    for digest, sides in corpora.items():
        for side, found in sides.items():
            if found["copies"]:
                said.append(
                    f"{found['copies']:,} of {found['examples']:,} {side} examples stand in the "
                    f"text that the start has learned from ({digest[:12]})"
                )
    for side in SIDES:
        if counts[side]["in"] and not counts[side]["kept"]:
            said.append(f"no {side} example of {counts[side]['in']:,} is left")
    for name, count in counts["unseen_labels"].items():
        said.append(f"the label {name!r} of {count:,} examples is unseen in training; dropped")
    lone = [name for name, sides in counts["labels"].items() if sides["train"] == 1]
    if lone:
        said.append(f"one training example each has the label {', '.join(map(repr, lone))}")
    return said
