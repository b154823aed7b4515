"""Texts that tokenizers trip over."""

from collections.abc import Iterable


def hostile_texts(control: Iterable[str]) -> list[str]:
    """Control tokens spelled out, odd code points, emoji, long runs and mixed scripts."""
    spelled = [text for token in control for text in (token, f"a{token}b", f" {token} {token}\n")]
    odd = ["", " ", "\0", "a\0b", "\ufeffa", "\u200b\u200d\u2060", "\u202eabc\u202c", "\u0301"]
    odd += ["e\u0301\u0302", "\x7f\x85\xa0\u2028\u3000", "\U0010ffff\uffff\ufffd", "▁a ▁", "##a"]
    odd += ["<0x41>", "Ġa", "\r", "\u1680\u180e\u2003", "\ud7a3\u1100\u1161"]
    emoji = ["👨‍👩‍👧‍👦🏳️‍🌈", "👍🏽" * 40, "🇨🇳🇩🇪", "☺️a☺"]
    long = ["a" * 20_000, " " * 5_000, "\n" * 3_000, "=-" * 4_000, "中" * 10_000, "9" * 5_000]
    long += ["ab " * 5_000, "\t \r\n " * 999, "\u0301" * 500, "!?" * 2_000]
    mixed = ["don't DON'T ’s 'LL 'ſ", "中文English混排，123４５６。", "x²³ ½ Ⅻ ﬁ ǅ İıßẞ"]
    mixed += ["Привет мир ١٢٣ नमस्ते ไทย 한국어 ქართული עברית", "a\r\n\r\nb\r\rc \n d", "𝒳𝔘𠀀𠮷"]
    mixed += ["  two  spaces\t\ttabs ", "e\u0301\u200bé\u200b\u0301中\u0301"]
    return [*spelled, *odd, *emoji, *long, *mixed]
