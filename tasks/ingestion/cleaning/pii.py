"""Masks personal data (PII) by <EMAIL>, <PHONE>, <IP>, <CARD> and <ID>.

A number is masked where its form or its check digit says what it is: card numbers pass Luhn's
formula and begin as an issuer's do, Chinese resident identity numbers hold a date of birth and pass
ISO 7064 MOD 11-2, telephone numbers are written with +, as Chinese mobile numbers, or grouped as in
North America. Dates, ISBNs and amounts are left alone. An IP address is masked where it is that of
one host on the internet, which 192.168.1.1, 127.0.0.1, 224.0.0.1 and networks (8.8.8.0) are not.

Versions look like addresses. Four numbers are taken for a version where the words before or what
follows say so (kernel 2.6.18.106, 1.8.0.202-b08), and where all of them are below 100 (as in 3 % of
random addresses), unless their context is that of an address (IP 8.8.4.4, http://8.8.4.4,
8.8.4.4:53).
"""

import ipaddress
import re
from collections import Counter
from dataclasses import dataclass
from datetime import date

import pyarrow.compute as pc

from corpusmill.tasks.ingestion.batches import DocumentBatch
from corpusmill.tasks.ingestion.cleaning.normalisation import replace_rows
from corpusmill.tasks.ingestion.stats import Stats

_EMAIL = r"[A-Za-z0-9][A-Za-z0-9._%+-]*@(?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,}"
# Every match of _CANDIDATE contains a match of this, which RE2 searches first, as it is faster.
_GATE = (
    r"\+[1-9]|[0-9]{8}|[0-9]{4}[ -][0-9]{4}|1[3-9][0-9][ -][0-9]{4}|[0-9]{3}\)? ?[.-]?[0-9]{3}[.-]"
    r"|[0-9]\.[0-9]+\.[0-9]+\.[0-9]|[0-9A-Fa-f]:[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:]{2}"
)
_CANDIDATE = re.compile(
    r"""(?<![A-Za-z0-9_.:+-])(?:
      (?P<ip> \d{1,3}(?:\.\d{1,3}){3} (?!\.?\d)
            | (?=[23])[0-9A-Fa-f]{4}(?::[0-9A-Fa-f]{0,4}){2,6}:[0-9A-Fa-f]{1,4} (?!:) )
    | (?P<id> [1-9]\d{16}[\dXx] )
    | (?P<card> 3[47]\d{2}(?P<gap>[ -]?)\d{6}(?P=gap)\d{5}
              | [2-6]\d{3}(?P<between>[ -]?)\d{4}(?P=between)\d{4}(?P=between)\d{1,7} )
    | (?P<phone> (?:\+?86[ -]?)?1[3-9]\d(?:[ -]?\d{4}){2}
               | (?:\+?1[ .-]?)?(?:\([2-9]\d\d\)[ ]?|[2-9]\d\d[.-])[2-9]\d\d[.-]\d{4}
               | (?<![\])])\+[1-9](?:[ .-]?(?:\(\d{1,4}\)|\d)){8,14} )
    )(?![A-Za-z0-9_]|[.-]\d)""",
    re.VERBOSE,
)
_ISSUERS = re.compile(
    r"3[47]\d{13}|4(?:\d{12}|\d{15}|\d{18})|5[1-5]\d{14}|2(?:2[2-9]|[3-6]\d|7[01])\d{13}"
    r"|2720\d{12}|6(?:011|4[4-9]\d|5\d\d)\d{12}|62\d{14,17}|35\d{14}"
)
_ADDRESS_BEFORE = re.compile(r"(?i)(?://|@|(?:\bip|\bipv4|addr|address|host|地址)\W{0,3})$")
_ADDRESS_AFTER = re.compile(r":\d|/\d")
_VERSION_BEFORE = re.compile(
    r"""(?ix)(?:\b(?:v|ver|versions?|release|rev|revision|build|kernel|firmware|driver|patch|update
    |linux|section)\W{0,3} | (?:版本|内核|核心|固件|驱动|補丁|补丁)\w{0,2}\W{0,3} | §\s?)$"""
)
_VERSION_AFTER = re.compile(r"[-+~]?[A-Za-z]")
_BEFORE = 16
_UNICAST = ipaddress.ip_network("2000::/3")


@dataclass(frozen=True)
class PIIFormatter:
    """Replaces each string of personal data by its kind, such as <EMAIL>."""

    name = "mask personal data"

    def __call__(self, batch: DocumentBatch, stats: Stats) -> DocumentBatch:
        batch = _mask_emails(batch, stats)
        rows = pc.indices_nonzero(pc.match_substring_regex(batch.texts, _GATE)).to_pylist()
        counts: Counter[str] = Counter()
        changed: dict[int, str] = {}
        for row in rows:
            before = batch.texts[row].as_py()
            text = mask_numbers(before, counts)
            if text != before:
                changed[row] = text
        for kind in sorted(counts):
            stats.edit(f"mask.{kind}", counts[kind])
        return replace_rows(batch, changed)


def mask_numbers(text: str, counts: Counter[str]) -> str:
    """The text with IP addresses, telephone, card and identity numbers masked; counts each kind."""

    def mask(match: re.Match[str]) -> str:
        kind = str(match.lastgroup)
        found = match.group()
        if kind == "card" and not _is_card(re.sub("[ -]", "", found)):
            return found
        if (kind == "id" and not _is_identity(found)) or (kind == "ip" and not _is_host(match)):
            return found
        counts[kind] += 1
        return f"<{kind.upper()}>"

    return _CANDIDATE.sub(mask, text)


def _mask_emails(batch: DocumentBatch, stats: Stats) -> DocumentBatch:
    rows = pc.indices_nonzero(pc.match_substring(batch.texts, "@"))
    if not len(rows):
        return batch
    texts = batch.texts.take(rows)
    count = pc.sum(pc.count_substring_regex(texts, _EMAIL)).as_py()
    stats.edit("mask.email", count)
    masked = pc.replace_substring_regex(texts, _EMAIL, "<EMAIL>").to_pylist()
    return replace_rows(batch, dict(zip(rows.to_pylist(), masked, strict=True))) if count else batch


def _is_card(digits: str) -> bool:
    """An issuer's prefix and length, and Luhn's formula (ISO/IEC 7812-1, annex B)."""
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    total = sum(int(digit) for digit in digits[-1::-2]) + sum(doubled)
    return total % 10 == 0 and _ISSUERS.fullmatch(digits) is not None


def _is_identity(text: str) -> bool:
    """GB 11643-1999: a region, a date of birth, a number, and a check character."""
    try:
        date(int(text[6:10]), int(text[10:12]), int(text[12:14]))
    except ValueError:
        return False
    total = sum(int(digit) * pow(2, 17 - i, 11) for i, digit in enumerate(text[:17]))
    return text[17].upper() == "10X98765432"[total % 11]


def _is_host(match: re.Match[str]) -> bool:
    try:
        address = ipaddress.ip_address(match.group())
    except ValueError:
        return False
    if not address.is_global or address.is_multicast:
        return False
    if address.version == 6:
        return address in _UNICAST
    # A network's own address, and its broadcast address.
    return address.packed[-1] not in (0, 255) and not _is_version(match, max(address.packed))


def _is_version(match: re.Match[str], greatest: int) -> bool:
    text, begin, end = match.string, match.start(), match.end()
    before = text[max(0, begin - _BEFORE) : begin]
    if _VERSION_BEFORE.search(before) or _VERSION_AFTER.match(text, end):
        return True
    spoken_of = _ADDRESS_BEFORE.search(before) or _ADDRESS_AFTER.match(text, end)
    return greatest < 100 and not spoken_of
