"""Messages, .eml (RFC 5322), and mailboxes, .mbox (RFC 4155): subject and body of each.

Of a body that is there in several forms the plain one is read. Attachments are counted.
"""

import codecs
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from email import errors, message_from_bytes, policy
from email.message import EmailMessage, MIMEPart
from pathlib import Path

from corpusmill.tasks.ingestion.encodings import UTF_8, wider
from corpusmill.tasks.ingestion.extraction.found import Counted, Extract, Text, Unreadable
from corpusmill.tasks.ingestion.extraction.pages import decode_page, text_of_page

_FORMS = ("plain", "html")
_MARK = b"From "
_HEADER = re.compile(rb"[!-9;-~]+:")
# As `From a@b Thu Jan  1 00:00:00 2015`, with a time zone or without.
_DATED = re.compile(rb"\d\d?:\d\d(?::\d\d)?\b.*\b\d{4}\b")
_QUOTED_MARK = re.compile(rb"^>(>*From )", re.MULTILINE)
_BAD_BASE64 = (
    errors.InvalidBase64CharactersDefect,
    errors.InvalidBase64LengthDefect,
    errors.InvalidBase64PaddingDefect,
)


@dataclass(frozen=True)
class _Body:
    """The body of a message, or of one part of it.

    Attributes:
        text: bytes where their encoding is unknown.
        guessed: the encoding that a page was detected to be in, if none was declared.
    """

    text: str | bytes
    guessed: str | None = None


def read_message(path: Path) -> Iterator[Extract]:
    """The text of one message."""
    yield from _extract(path.read_bytes(), 0)


def read_mailbox(path: Path) -> Iterator[Extract]:
    """The text of each message of a mailbox.

    Raises:
        ValueError: it has none.
    """
    with path.open("rb") as file:
        messages = _messages(file)
        before = next(messages).removeprefix(codecs.BOM_UTF8)
        number = -1
        for number, message in enumerate(messages):
            yield from _extract(_QUOTED_MARK.sub(rb"\1", message), number)
    if number < 0 and path.stat().st_size:
        raise ValueError("no line that begins a message")
    if before.strip():
        finding = f"found {len(before)} bytes that belong to no message, expected a line `From …`"
        yield Unreadable(
            "before message 0", "left_over", finding, "mend the mailbox", 1, len(before)
        )


def _messages(lines: Iterable[bytes]) -> Iterator[bytes]:
    """What lies before the first line that begins a message, and then each message.

    A sentence may begin with `From ` too: such a line begins a message only if it ends in a date,
    or stands after a blank line and before a header. To mailbox.mbox every such line begins one.
    """
    held = list[bytes]()
    before, doubtful = b"\n", b""
    for line in lines:
        if doubtful and not _HEADER.match(line):
            held.append(doubtful)
        elif doubtful:
            yield b"".join(held)
            held = []
        doubtful = b""
        if not line.removeprefix(codecs.BOM_UTF8).startswith(_MARK):
            held.append(line)
        elif _DATED.search(line):
            yield b"".join(held)
            held = []
        elif not before.strip():
            doubtful = line
        else:
            held.append(line)
        before = line
    yield b"".join([*held, doubtful])


def _extract(data: bytes, number: int) -> Iterator[Extract]:
    place = f"message {number}"
    try:
        parsed = message_from_bytes(data.removeprefix(codecs.BOM_UTF8), policy=policy.default)
        assert isinstance(parsed, EmailMessage)
        subject = str(parsed["subject"] or "").strip()
        parts = list(_parts(parsed))
        read = [part for part in parts if part is not None]
        bodies = [_body(part) for part in read]
        cut = any(_is_cut(part, parsed) for part in read)
    # On malformed messages the package email raises errors of many kinds.
    except (AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        finding = f"found a message that cannot be taken apart ({error}), expected RFC 5322"
        yield Unreadable(
            place, "damaged", finding, "save it as text, or leave it out", 1, len(data)
        )
        return
    if cut:
        finding = "found a text without its end, expected a whole message"
        yield Unreadable(
            place, "truncated", finding, "fetch it again, or leave it out", 1, len(data)
        )
        return
    if attached := len(parts) - len(read):
        yield Counted("attachments_not_read", attached)
    if damaged := subject.count("\ufffd"):
        yield Counted("replaced_bytes", damaged)
    yield from (Counted(f"decoded.{each.guessed}", 1) for each in bodies if each.guessed)
    yield Text(number, _joined([subject, *(each.text for each in bodies)]))


def _joined(texts: list[str | bytes]) -> str | bytes:
    """The texts separated by blank lines; bytes where the encoding of one is unknown."""
    if any(isinstance(text, bytes) for text in texts):
        known = (text.encode() if isinstance(text, str) else text for text in texts)
        return b"\n\n".join(each for each in known if each)
    return "\n\n".join(text for each in texts if (text := str(each).strip()))


def _parts(part: MIMEPart) -> Iterator[MIMEPart | None]:
    """The parts that hold what was written, in order, and None for each attachment.

    Raises:
        ValueError: parts whose beginnings cannot be found.
    """
    kind = part.get_content_maintype(), part.get_content_subtype()
    if kind[0] == "multipart":
        if not part.is_multipart():
            raise ValueError("no parts between its boundaries")
        if kind[1] in ("alternative", "related") and part.get_body(_FORMS) is not None:
            yield part.get_body(_FORMS)
            yield from (None for _ in part.iter_attachments())
        else:
            for inner in part.iter_parts():
                assert isinstance(inner, MIMEPart)
                yield from _parts(inner)
    elif kind[0] == "text" and kind[1] in _FORMS and not part.is_attachment():
        yield None if part.get_filename() else part
    else:
        yield None


def _is_cut(part: MIMEPart, message: EmailMessage) -> bool:
    """Whether the text of a part lacks its end, or is no longer what was encoded."""
    *_, last = message.walk()
    is_open = any(
        isinstance(defect, errors.CloseBoundaryNotFoundDefect)
        for each in message.walk()
        for defect in each.defects
    )
    return (part is last and is_open) or any(isinstance(each, _BAD_BASE64) for each in part.defects)


def _body(part: MIMEPart) -> _Body:
    """The text of a part; its bytes where they are not in the encoding that it names.

    Raises:
        ValueError: a page that is in no encoding that is known.
    """
    data = part.get_payload(decode=True)
    assert isinstance(data, bytes)
    declared = part.get_content_charset()
    if part.get_content_subtype() == "html":
        page = decode_page(data, declared)
        return _Body(text_of_page(page.text), page.guessed)
    try:
        return _Body(data.decode(wider(codecs.lookup(declared or UTF_8).name)))
    except (LookupError, ValueError):
        return _Body(data)
