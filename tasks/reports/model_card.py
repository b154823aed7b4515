"""The model card: what a model was made of, under which licences, and how good it is.

The front matter follows the metadata of Hugging Face model cards (Mitchell et al. 2019 for the
idea).
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from corpusmill.storage import metrics
from corpusmill.storage.markup import as_text
from corpusmill.storage.splits import SPLITS
from corpusmill.tasks.ingestion.building import UNKNOWN_LICENCE
from corpusmill.tasks.reports.outcome import Outcome
from corpusmill.tasks.stages.evaluation import in_words

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


def render_card(outcome: Outcome, counts: Mapping[str, Any], licences: list[str]) -> str:
    """The card as markdown with YAML front matter."""
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

[MLflow run]({outcome.mlflow_url}) · [Prefect flow run]({outcome.flow_run_url})
"""
