"""The task that shows the corpus report: the page in MLflow, its summary in Prefect."""

from prefect import get_run_logger
from prefect.artifacts import create_markdown_artifact

from corpusmill.storage.artifacts import Ref
from corpusmill.storage.markup import as_text
from corpusmill.tasks.reports.corpus.findings import Findings, gather
from corpusmill.tasks.reports.corpus.page import render
from corpusmill.tasks.reports.corpus.sentences import deck, headline
from corpusmill.tasks.reports.corpus.words import (
    language,
    number,
    plain,
    share,
    size,
    unread_sentence,
)
from corpusmill.tasks.retries import stage
from corpusmill.tasks.tracking import FlowContext

_PAGE = "corpus.html"


@stage("report-corpus")
def report_corpus(context: FlowContext, corpus: Ref, tokenizer: Ref, shards: Ref) -> None:
    """Keeps the corpus report among the MLflow run's files, and its summary in Prefect."""
    findings = gather(corpus.path, tokenizer.path, shards.path)
    context.tracker.log_text(render(findings), _PAGE)
    link = context.tracker.link_to(_PAGE)
    create_markdown_artifact(
        summarise(findings, link),
        key="corpus-report",
        description=f"Corpus `{corpus.digest}`: {headline(findings)}",
    )
    get_run_logger().info("corpus report: %s", link)


def summarise(findings: Findings, link: str) -> str:
    """The headline numbers and the reasons as markdown, with the address of the whole report."""
    read, kept, held_out = findings.read, findings.kept, findings.held_out
    rows = [
        ("Documents in", number(read.documents)),
        ("Kept", f"{number(kept.documents)} ({share(kept.documents, read.documents)})"),
        ("Dropped", number(findings.dropped.documents)),
        ("Bytes kept", size(kept.bytes or 0)),
        ("Held out", f"{number(held_out.documents)} documents, {size(held_out.bytes or 0)}"),
    ]
    if findings.tokens is not None:
        rows.append(("Training tokens", number(findings.tokens)))
    parts = [
        f"# {headline(findings)}",
        deck(findings),
        *(
            f"**Warning: nothing in {as_text(language(code))} was kept** ({as_text(why)})."
            for code, why in findings.lost_languages.items()
        ),
        f"**[The whole report]({link})**, in MLflow",
        "\n".join(["| the corpus | |", "|---|---:|", *(f"| {a} | {b} |" for a, b in rows)]),
    ]
    if findings.reasons:
        lines = [
            f"| {as_text(plain(reason.name))} | {number(reason.amount.documents)} "
            f"| {share(reason.amount.documents, read.documents)} |"
            for reason in findings.reasons
        ]
        head = ["| dropped | documents | of all read |", "|---|---:|---:|"]
        parts.append("\n".join(head + lines))
    said = [(each["file"], unread_sentence(each)) for each in findings.unread]
    said += [(name, f"gave nothing: {why}") for name, why in findings.empty.items()]
    if said:
        lines = [f"| {as_text(name)} | {as_text(sentence)} |" for name, sentence in said]
        parts.append("\n".join(["| not read | |", "|---|---|", *lines]))
    return "\n\n".join(parts) + "\n"
