"""What the report says in sentences, made from the numbers it shows."""

from corpusmill.tasks.reports.corpus.findings import CLEANED, EXACT, READABLE, SIMILAR, Findings
from corpusmill.tasks.reports.corpus.words import counted, plain, share, short, size

_TAKERS = {
    READABLE: "unreadable text",
    CLEANED: "cleaning",
    EXACT: "exact duplicates",
    SIMILAR: "near-duplicates",
}


def headline(findings: Findings) -> str:
    """The report in one line."""
    read, kept = findings.read.documents, findings.kept.documents
    if not read:
        return "No documents came in"
    if not kept:
        return f"None of {short(read)} documents {'is new' if findings.selected else 'kept'}"
    if kept == read:
        what = "new" if findings.selected else "kept"
        return f"All {short(read)} documents {what}" if read > 1 else f"One document, {what}"
    return f"{short(kept)} of {short(read)} documents {'are new' if findings.selected else 'kept'}"


def deck(findings: Findings) -> str:
    """What stands under the headline."""
    read, kept = findings.read, findings.kept
    if findings.selected:
        start = f"Chosen from corpus {findings.manifest['inputs']['documents'][:12]}: what the "
        start += "model has met before is left out."
    elif read.bytes:
        start = f"{_number(len(findings.sources), 'source')} gave {size(read.bytes)} of text; "
        start += f"{share(kept.bytes or 0, read.bytes)} of it stayed."
    else:
        start = f"{_number(len(findings.sources), 'source')} gave no text."
    if not read.documents:
        return start
    if not findings.reasons:
        return f"{start} Nothing was dropped."
    first, reasons = findings.reasons[0], len(findings.reasons)
    name = f"“{plain(first.name)}”"
    if reasons == 1:
        return f"{start} What was dropped had one reason, {name}."
    part = share(first.amount.documents, findings.dropped.documents)
    return f"{start} {name}, the most frequent of {reasons} reasons, took {part} of the dropped."


def funnel_note(findings: Findings) -> str:
    """What the funnel does not draw."""
    sentences = []
    quiet = [
        _TAKERS[step.name]
        for step in findings.steps
        if not step.lost.documents and not step.lost.bytes
    ]
    if quiet:
        sentences.append(f"Nothing was lost to {_listed(quiet)}.")
    edited = findings.edited_away
    if edited:
        change = "took {} out of" if edited > 0 else "added {} to"
        sentences.append(f"Edits {change.format(size(abs(edited)))} the text.")
    return " ".join(sentences)


def duplicates_note(findings: Findings) -> str:
    """How many duplicates were dropped."""
    exact, near = findings.exact_duplicates, findings.near_duplicates
    of_read = f"{share(exact + near, findings.read.documents)} of all documents read"
    if findings.selected:
        return f"{exact:,} were met before and {near:,} are similar to such: {of_read}."
    return f"{exact:,} exact and {near:,} near-duplicates were dropped: {of_read}."


def tokenizer_note(findings: Findings) -> str:
    """What is known of the tokenizer."""
    known = findings.tokenizer
    parts = []
    if "vocab_size" in known:
        engine = f", trained by {known['engine']}" if known.get("engine") else ""
        parts.append(f"A vocabulary of {known['vocab_size']:,} tokens{engine}.")
    sample = known.get("sample_bytes")
    if sample:
        total = sum(sample.values())
        parts.append(f"Learned from {size(total)} of text.")
    if findings.bytes_per_token:
        parts.append("Bytes of text a token, by language; longer is better compressed.")
    else:
        parts.append("Its compression was not measured.")
    return " ".join(parts)


def absent(findings: Findings) -> list[str]:
    """Which sections are left out, and why."""
    lines = []
    if findings.figures is None:
        lines.append(
            "Bytes read, lengths, languages and edits are measured where documents are read, "
            "not where new ones are chosen from a corpus."
        )
    elif findings.read.documents and not findings.figures["edits"]:
        lines.append("No text was edited.")
    if not findings.tokenizer and not findings.bytes_per_token:
        lines.append("Bytes a token: not measured.")
    if findings.tokens is None:
        lines.append("Tokens: not counted.")
    return lines


def _number(count: int, one: str) -> str:
    return f"One {one}" if count == 1 else counted(count, one)


def _listed(names: list[str]) -> str:
    return " or ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
