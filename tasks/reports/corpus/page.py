"""The page of the corpus report: one HTML file that asks for nothing else."""

import json
from collections.abc import Mapping

from corpusmill.tasks.reports.corpus import sentences, words
from corpusmill.tasks.reports.corpus.findings import Findings
from corpusmill.tasks.reports.corpus.plots import bins, final_bars, median_bin, stages
from corpusmill.tasks.reports.html import environment


def render(findings: Findings) -> str:
    """The report as HTML; what was not measured is left out or said."""
    templates = environment(("corpusmill.tasks.reports.corpus", "."))
    templates.filters |= {
        name: getattr(words, name)
        for name in (
            "number",
            "short",
            "size",
            "share",
            "width",
            "plain",
            "language",
            "visible",
            "unread_sentence",
        )
    }
    histogram = bins(findings.figures["lengths"]) if findings.figures else []
    return templates.get_template("page.html").render(
        findings=findings,
        figures=findings.figures,
        headline=sentences.headline(findings),
        deck=sentences.deck(findings),
        duplicates_note=sentences.duplicates_note(findings),
        funnel_note=sentences.funnel_note(findings),
        tokenizer_note=sentences.tokenizer_note(findings),
        absent=sentences.absent(findings),
        configuration=json.dumps(findings.manifest["config"], indent=1, ensure_ascii=False),
        edits=_largest_first((findings.figures or {}).get("edits")),
        strata=_largest_first(findings.tokenizer.get("sample_bytes")),
        stages=stages(findings),
        final_bars=final_bars(findings),
        bins=histogram,
        median=median_bin(histogram),
        similar=[
            (pair["similarity"], *words.compared(pair["first"], pair["second"]))
            for pair in (findings.figures or {}).get("similar", [])
        ],
    )


def _largest_first(counts: Mapping[str, int] | None) -> list[tuple[str, int]]:
    return sorted((counts or {}).items(), key=lambda pair: -pair[1])
