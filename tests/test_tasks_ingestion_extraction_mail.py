"""Texts out of messages, mailboxes and the pages in them."""

import gzip
from pathlib import Path

import pytest

from corpusmill.tasks.ingestion.extraction.found import Counted, Text, Unreadable
from corpusmill.tasks.ingestion.extraction.mail import read_mailbox, read_message
from tests.made_documents import (
    make_message,
)
from tests.readings import counts_of as counted
from tests.readings import texts_of


def test_a_message_is_its_subject_and_its_plain_body(tmp_path: Path) -> None:
    (tmp_path / "x.eml").write_bytes(bytes(make_message()))
    assert list(read_message(tmp_path / "x.eml")) == [
        Counted("attachments_not_read", 1),
        Text(0, "Title\n\nOne café\n\ntwo"),
    ]
    (tmp_path / "x.eml").write_bytes(
        b"Content-Type: text/html; charset=utf-8\n\n<p>One <b>in</b> HTML</p><p>two"
    )
    assert list(read_message(tmp_path / "x.eml")) == [Text(0, "One in HTML\n\ntwo")]


def test_a_message_in_another_encoding_than_it_says_is_not_changed(tmp_path: Path) -> None:
    body = "文章内容在这里，大家都知道这一点。".encode("gb18030") * 9
    (tmp_path / "x.eml").write_bytes(b"Content-Type: text/plain; charset=utf-8\n\n" + body)
    assert texts_of(tmp_path / "x.eml") == [body.decode("gb18030")]


def test_a_mailbox_is_a_document_a_message(tmp_path: Path) -> None:
    box = b"".join(b"From a@b Thu\n" + bytes(make_message(f"m{n}")) + b"\n" for n in range(3))
    (tmp_path / "x.mbox").write_bytes(box)
    texts = [found.text for found in read_mailbox(tmp_path / "x.mbox") if isinstance(found, Text)]
    assert texts == [f"m{n}\n\nOne café\n\ntwo" for n in range(3)]
    (tmp_path / "x.mbox.gz").write_bytes(gzip.compress(box))
    assert counted(tmp_path / "x.mbox.gz") == {"text": 3, "attachments_not_read": 3}


def test_a_sentence_that_begins_with_from_begins_no_message(tmp_path: Path) -> None:
    path = tmp_path / "x.mbox"
    dated = b"From a@b Thu Jan  1 00:00:00 2015\n"
    path.write_bytes(
        b"a head\n\n" + dated + b"Subject: s\n\nDear all,\n\nFrom here on it is: other.\nend\n\n"
        b"From - Thu\nSubject: t\n\n>From the start\n>>From x\nno blank line\n" + dated + b"\nu\n"
    )
    loss, *texts = sorted(read_mailbox(path), key=lambda found: isinstance(found, Text))
    assert isinstance(loss, Unreadable) and (loss.reason, loss.bytes) == (
        "left_over",
        len("a head\n\n"),
    )
    assert texts == [
        Text(0, "s\n\nDear all,\n\nFrom here on it is: other.\nend"),
        Text(1, "t\n\nFrom the start\n>From x\nno blank line"),
        Text(2, "u"),
    ]


_PARTS = (
    b"Content-Type: multipart/mixed; boundary=B\n\n--B\n\none\n--B\nContent-Type: image/png\n\nx\n"
)
_HAN = "文章内容在这里，大家都知道这一点。" * 9
_BASE64 = b"Content-Transfer-Encoding: base64\n\n"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        pytest.param(b"\nA: b\n\none", "A: b\n\none", id="no headers"),
        pytest.param(b"\xef\xbb\xbfSubject: s\n\none", "s\n\none", id="a byte order mark"),
        pytest.param(_PARTS + b"--B\n\ntwo\n--B--\n", "one\n\ntwo", id="around a picture"),
        pytest.param(_PARTS, "one", id="an attachment is cut off"),
        pytest.param(b"Content-Type: text/plain; charset=unknown-8bit\n\none", "one", id="unknown"),
        pytest.param(
            b"Content-Type: text/html; charset=utf-8\n\n<p>" + _HAN.encode("gbk"),
            _HAN,
            id="a page in another encoding",
        ),
    ],
)
def test_what_stands_in_a_message_is_read(tmp_path: Path, data: bytes, text: str) -> None:
    (tmp_path / "x.eml").write_bytes(data)
    assert texts_of(tmp_path / "x.eml") == [text]


@pytest.mark.parametrize(
    "data", [_PARTS + b"--B\n\ntw", _BASE64 + b"SGVsbG8gd29y" + b"bG", _BASE64 + b"SGVs\x80bG8g"]
)
def test_a_message_that_is_cut_off_is_none(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.eml").write_bytes(data)
    (loss,) = read_message(tmp_path / "x.eml")
    assert isinstance(loss, Unreadable)
    assert (loss.reason, loss.documents, loss.bytes) == ("truncated", 1, len(data))


def test_a_page_whose_encoding_is_guessed_is_counted(tmp_path: Path) -> None:
    page = b"Content-Type: text/html\n\n<p>" + _HAN.encode("gbk")
    (tmp_path / "x.eml").write_bytes(page)
    assert list(read_message(tmp_path / "x.eml")) == [Counted("decoded.gb18030", 1), Text(0, _HAN)]
