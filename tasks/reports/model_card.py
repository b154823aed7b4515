"""The model card: what a model was made of, under which licences, and how good it is.

The front matter follows the metadata of Hugging Face model cards (Mitchell et al. 2019 for the
idea).
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from corpusmill.storage import metrics
from corpusmill.storage.markup import as_text
from corpusmill.storage.splits import SPLITS
from corpusmill.storage.versions import (
    CONTINUED_FROM,
    EXAMPLES,
    MEMORY,
    STARTED_FROM,
    RegisteredModel,
)
from corpusmill.tasks.ingestion.building import UNKNOWN_LICENCE
from corpusmill.tasks.reports.outcome import Outcome
from corpusmill.tasks.stages.evaluation import in_words
from corpusmill.tasks.stages.lineage import ExampleFile, Lesson

# So many corpora have a row of their own.
_SHOWN = 20
_PIPELINES: Mapping[str, str] = {
    metrics.BITS_PER_BYTE: "text-generation",
    metrics.MASKED_ACCURACY: "fill-mask",
    metrics.SPAN_PERPLEXITY: "text2text-generation",
    metrics.BLEU: "translation",
}


def licences_of(counts: Mapping[str, Any], inherited: Iterable[str] = ()) -> list[str]:
    """The licences of all text that a model has learned from, sorted.

    Args:
        counts: of the manifest of the corpus it was trained on.
        inherited: licences of the model that it was continued from.
    """
    return sorted({*counts.get("licences", {}).values(), *inherited} - {""})


def render_card(
    outcome: Outcome,
    counts: Mapping[str, Any],
    licences: list[str],
    version: RegisteredModel,
    lessons: Sequence[Lesson],
) -> str:
    """The card as markdown with YAML front matter.

    Args:
        counts: of the manifest of the corpus that the version learned from.
        licences: of all text that it goes back to.
        lessons: of its line, the newest first.
    """
    sources = counts.get("licences", {})
    rows = "\n".join(f"| {as_text(name)} | {as_text(said)} |" for name, said in sources.items())
    documents = counts["documents"]
    size = sum(counts[split]["bytes"] for split in SPLITS)
    known = len(licences) == 1 and licences != [UNKNOWN_LICENCE]
    baselines = "".join(f"; {name}: {value:.3f}" for name, value in outcome.baselines.items())
    return f"""---
license: {json.dumps(licences[0]) if known else "other"}
license_details: {json.dumps(licences, ensure_ascii=False)}
library_name: transformers
pipeline_tag: {_PIPELINES[outcome.decides]}
tags: [corpusmill]
---

# {as_text(outcome.model)} version {outcome.version}

{outcome.parameters:,} parameters, {outcome.tokens_seen:,} tokens seen, \
**{outcome.score:.3f} {in_words(outcome.decides)}** on {outcome.held_out_documents:,} held-out \
documents ({outcome.held_out_bytes:,} bytes, in {outcome.precision}){baselines}.

## Trained on

{documents["kept"]:,} documents, {size:,} bytes, of {documents["in"]:,} found; licences of \
all text it has learned from: {as_text(", ".join(licences) or UNKNOWN_LICENCE)}.

| source | licence |
|---|---|
{rows}

{render_lineage(version, lessons)}
[MLflow run]({outcome.mlflow_url}) · [Prefect flow run]({outcome.flow_run_url})
"""


def render_lineage(version: RegisteredModel, lessons: Sequence[Lesson]) -> str:
    """What a version goes back to, as markdown; `lessons` are its line's, the newest first."""
    before = version.tags.get(CONTINUED_FROM)
    return f"""## Lineage

{f"Continued from version {before}." if before else "The first of its line."} It has met, the \
newest first:

| corpus | documents | files | bytes | licences |
|---|---|---|---|---|
{_lessons_in_rows(lessons)}

Digests: model `{version.digest}`, its bytes `{version.content}`, memory \
`{version.tags.get(MEMORY)}`. `corpusmill lineage` names every file with its SHA-256.
"""


def render_teaching(version: RegisteredModel, files: Sequence[ExampleFile]) -> str:
    """What a version that answers with labels was made of, as markdown."""
    rows = "\n".join(
        f"| {as_text(each.path)} | {each.side} | {each.size:,} | `{each.sha256}` |"
        for each in files[:_SHOWN]
    )
    more = f"\n\n… and {len(files) - _SHOWN:,} more." if len(files) > _SHOWN else ""
    return f"""## Lineage

Started from {as_text(version.tags[STARTED_FROM])}, and was taught the examples \
`{version.tags[EXAMPLES]}` of these files:

| file | for | bytes | SHA-256 |
|---|---|---|---|
{rows}{more}

Digests: model `{version.digest}`, its bytes `{version.content}`. `corpusmill lineage` goes on to \
what it started from.
"""


def _lessons_in_rows(lessons: Sequence[Lesson]) -> str:
    rows = [_row(each.corpus, [each]) for each in lessons[:_SHOWN]]
    if older := lessons[_SHOWN:]:
        rows.append(_row(f"{len(older):,} before", older))
    return "\n".join(rows)


def _row(corpus: str, lessons: Sequence[Lesson]) -> str:
    """Figures of one lesson, or of several together, in a table."""
    documents = sum(each.documents for each in lessons)
    if any(each.files is None for each in lessons):
        return f"| {corpus} | {documents:,} | not known | not known | not known |"
    files = [file for each in lessons for file in each.files or ()]
    licences = as_text(", ".join(sorted({each.licence for each in files})))
    size = sum(each.size for each in files)
    return f"| {corpus} | {documents:,} | {len(files):,} | {size:,} | {licences} |"
