"""Messages, .eml (RFC 5322), and mailboxes, .mbox (RFC 4155): subject and body of each.

Of a body that is there in several forms the plain one is read. Attachments are counted.
"""

import mailbox
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage, MIMEPart
from pathlib import Path

from storage.corpus.extraction.found import Extract, Loss, Passed, Text
from storage.corpus.extraction.pages import text_of_page


def read_message(path: Path) -> Iterator[Extract]:
    """The text of one message."""
    yield from _extract(path.read_bytes(), 0)


def read_mailbox(path: Path) -> Iterator[Extract]:
    """The text of each message of a mailbox.

    Raises:
        ValueError: it has none.
    """
    box = mailbox.mbox(path, create=False)
    if not len(box) and path.stat().st_size:
        raise ValueError("no line that begins a message")
    for number, key in enumerate(box.keys()):
        yield from _extract(box.get_bytes(key), number)


def _extract(data: bytes, number: int) -> Iterator[Extract]:
    try:
        message = message_from_bytes(data, policy=policy.default)
        assert isinstance(message, EmailMessage)
        body = message.get_body(("plain", "html"))
        text = _text(body) if body else ""
        subject = str(message["subject"] or "").strip()
        attached = sum(1 for _ in message.iter_attachments()) if body else 0
    # Hostile messages find the errors that the authors of the package did not.
    except (AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        finding = f"found a message that cannot be taken apart ({error}), expected RFC 5322"
        place, remedy = f"message {number}", "save it as text, or leave it out"
        yield Loss(place, "damaged", finding, remedy, 1, len(data))
        return
    if attached:
        yield Passed("attachments_not_read", attached)
    if damaged := subject.count("\ufffd"):
        yield Passed("replaced_bytes", damaged)
    if isinstance(text, bytes):
        yield Text(number, b"\n\n".join(each for each in (subject.encode(), text) if each))
    else:
        yield Text(number, "\n\n".join(each for each in (subject, text.strip()) if each))


def _text(part: MIMEPart) -> str | bytes:
    """The text of a part; its bytes where they are not in the encoding that it names."""
    data = part.get_payload(decode=True)
    assert isinstance(data, bytes)
    try:
        text = data.decode(str(part.get_content_charset("utf-8")))
    except UnicodeDecodeError:
        return data
    return text_of_page(text) if part.get_content_subtype() == "html" else text
