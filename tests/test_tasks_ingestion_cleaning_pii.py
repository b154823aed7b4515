"""What leads to a person is masked, and numbers of other kinds are left alone."""

import pytest

from corpusmill.tasks.ingestion.batches import make_batch
from corpusmill.tasks.ingestion.cleaning.pii import PIIFormatter
from corpusmill.tasks.ingestion.stats import Stats


def _mask(*texts: str) -> tuple[list[str], dict[str, int]]:
    stats = Stats()
    batch = PIIFormatter()(make_batch("s", "f", texts, "line", range(len(texts))), stats)
    return batch.texts.to_pylist(), dict(stats.edits)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Write to jane.doe+x@mail.example.co.uk.", "Write to <EMAIL>."),
        ("邮箱zhang_san@qq.com，谢谢", "邮箱<EMAIL>，谢谢"),
        ("Call (212) 555-0187 or 212-555-0187.", "Call <PHONE> or <PHONE>."),
        ("Call +1 212.555.0187 or +44 20 7946 0958!", "Call <PHONE> or <PHONE>!"),
        ("电话13812345678，微信同号", "电话<PHONE>，微信同号"),
        ("手机 +86 138-1234-5678", "手机 <PHONE>"),
        ("from 93.184.216.34:8080", "from <IP>:8080"),
        ("IP: 8.8.4.4, http://8.8.4.4/ 和 地址 8.8.4.4", "IP: <IP>, http://<IP>/ 和 地址 <IP>"),
        ("at 2606:2800:220:1:248:1893:25c8:1946 now", "at <IP> now"),
        ("Visa 4111 1111 1111 1111", "Visa <CARD>"),
        ("Amex 378282246310005, 银联6212345678901232", "Amex <CARD>, 银联<CARD>"),
        ("身份证11010519491231002X。", "身份证<ID>。"),
    ],
)
def test_personal_strings_are_masked(text: str, masked: str) -> None:
    assert _mask(text)[0] == [masked]


@pytest.mark.parametrize(
    "text",
    [
        "On 2020-01-02 at 12:30:45, or 20200102123045.",
        "ISBN 978-3-16-148410-0 and 0-306-40615-2",
        "Version 1.2.3.4, v10.20.30.40 and section 3.1.4.1",
        "SQLite 3.36.10.0, kernel 2.6.18.6, zlib 1.2.13.1, Firefox/2.0.0.11",
        "Linux 2.6.18.106, 版本号为 11.2.202.235, 1.8.0.202-b08 and Oracle 11.2.0.4",
        "multicast 224.0.0.0 and 224.0.0.251, the networks 8.8.8.0/24 and 8.8.8.255",
        "localhost is 127.0.0.1, the router 192.168.1.1, any 0.0.0.0",
        "999.300.1.2 is no address, 1.2.3.4.5 neither",
        "4111 1111 1111 1112 fails Luhn's formula",
        "110105194912310021 fails the check of GB 11643",
        "1,000,000.00 and 3.14159265358979 and 0xdeadbeef1234567890",
        "std::vector and face::dead and 12:34:56:78",
        "an @mention, a@b and user@localhost",
        "13800138000123 and 2138123456789 are longer",
        "order 1234567890, timestamp 1577934245",
        "f(x)+1099511627776 and +3.140000 and 3977:349::",
    ],
)
def test_other_numbers_are_left_alone(text: str) -> None:
    assert _mask(text) == ([text], {})


def test_masks_are_counted_by_kind() -> None:
    texts, edits = _mask("a@b.com a@c.org", "8.8.4.4 nothing", "8.8.144.4 and a@b.com", "none")
    assert texts == ["<EMAIL> <EMAIL>", "8.8.4.4 nothing", "<IP> and <EMAIL>", "none"]
    assert edits == {"mask.email": 3, "mask.ip": 1}
