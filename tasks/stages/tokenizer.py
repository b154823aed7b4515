"""Tokenizer: a corpus in, a tokenizer folder out that loads with `AutoTokenizer`."""

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from corpusmill.model.tokenizer.acceptance import MAX_UNKNOWN, accept
from corpusmill.model.tokenizer.brought import source_files
from corpusmill.model.tokenizer.config import TokenizerConfig
from corpusmill.model.tokenizer.memory import cut_to_memory
from corpusmill.model.tokenizer.sampling import Stratum, bytes_by_stratum, draw_sample
from corpusmill.model.tokenizer.training import engines_of, train_tokenizer
from corpusmill.storage.artifacts import Ref, Spec, obtain
from corpusmill.storage.corpus.documents import documents_path, record_batches
from corpusmill.storage.corpus.pairs import SEPARATOR
from corpusmill.storage.layout import Layout
from corpusmill.storage.manifest import digest_file, read_manifest

# By what is learned: where it makes the same bytes as before, its identities stay.
FORMAT_VERSIONS = {"bpe": 4, "wordpiece": 5, "unigram": 5}
_LOGGER = logging.getLogger(__name__)


def make_tokenizer(layout: Layout, corpus: Ref, config: TokenizerConfig) -> Ref:
    """Learns a vocabulary from a sample of the training split, or takes a given tokenizer."""
    brought = {path.name: digest_file(path) for path in source_files(config)}
    spec = Spec(
        "tokenizer",
        FORMAT_VERSIONS["bpe" if config.source else config.algorithm],
        {"corpus": corpus.digest, **brought},
        config.model_dump(mode="json", exclude={"source"}) | {"engines": engines_of(config)},
    )
    tokenizer, reused = obtain(
        layout,
        spec,
        lambda directory: _write(directory, documents_path(corpus.path, "train"), config),
    )
    counts = read_manifest(tokenizer.path)["counts"]
    rates = counts["bytes_per_token"].items()
    _LOGGER.info(
        "tokenizer %s: %d tokens by %s, bytes per token: %s%s",
        tokenizer.digest[:12],
        counts["vocab_size"],
        counts["engine"],
        ", ".join(f"{language} {rate:.2f}" for language, rate in rates) or "no text",
        " - reused" if reused else "",
    )
    return tokenizer


def _write(directory: Path, documents: Path, config: TokenizerConfig) -> dict[str, Any]:
    totals = _totals(documents)
    sample, said = cut_to_memory(
        draw_sample(_documents(documents), totals, config.sample_bytes, config.sample_exponent),
        config,
    )
    _LOGGER.info(said)
    engine = train_tokenizer((piece.text for piece in sample), config, directory)
    sizes = bytes_by_stratum(sample).items()
    figures = accept(directory, sample, exact=config.exact)
    if lacking := {name: share for name, share in figures.unknown.items() if share > MAX_UNKNOWN}:
        _LOGGER.warning(
            "Of languages with less than %.0f %% of the sample many tokens are unknown to the "
            "vocabulary: %s",
            100 * MAX_UNKNOWN,
            ", ".join(f"{language} {share:.0%}" for language, share in lacking.items()),
        )
    return {
        "engine": engine,
        "sample_bytes": {"/".join(stratum): size for stratum, size in sizes},
        **asdict(figures),
    }


def _documents(path: Path) -> Iterator[tuple[Stratum, str, str]]:
    for batch in record_batches(path):
        columns = (batch.column(name).to_pylist() for name in ("source", "language", "id", "text"))
        for source, language, identity, text in zip(*columns, strict=True):
            yield (source, language), identity, text.replace(SEPARATOR, "\n")


def _totals(path: Path) -> dict[Stratum, int]:
    """UTF-8 bytes of the documents by source and language."""
    totals: Counter[Stratum] = Counter()
    for batch in record_batches(path):
        sizes = pc.binary_length(batch.column("text")).to_pylist()
        strata = zip(
            batch.column("source").to_pylist(), batch.column("language").to_pylist(), strict=True
        )
        for stratum, size in zip(strata, sizes, strict=True):
            totals[stratum] += size
    return totals
