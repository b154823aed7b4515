"""From wikitext, the markup of Wikipedia, to plain text, in time linear in its length.

Parsers of wikitext go back and try again at each bracket that is never closed, and a page of 20 kB
can keep them for minutes. Here every kind of bracket is paired in one pass; what is never closed
stays in the text, without the bracket.
"""

import html
import re

_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_HIDDEN = re.compile(
    r"<(/?)(ref|references|gallery|timeline|score|math|chem|ce|hiero|graph|imagemap|inputbox|"
    r"categorytree|templatedata|mapframe|table|style)\b([^<>]*+)>",
    re.IGNORECASE,
)
_VARIANT = re.compile(r"-\{([^{}]*+)\}-")
# Each alternative begins with a plain character, by which the search is many times faster.
_BRACES = re.compile(r"\{\{\{*+|\}\}\}*+|\n[ \t:]*+\{\||\n[ \t]*+\|\}(?!\})")
_LINK = re.compile(r"\[\[|\]\]")
_EXTERNAL = re.compile(r"\[(?:https?:|ftp:|mailto:|//)[^\s\[\]]*+[ \t]*+([^\[\]\n]*+)\]")
_BREAK = re.compile(r"<br\b[^<>]*+>", re.IGNORECASE)
_TAG = re.compile(r"</?[a-zA-Z][^<>]*+>")
_QUOTES = re.compile(r"'''*+")
_SWITCH = re.compile(r"__[^\W_]++__")
_HOLLOW = re.compile(r"[(（][\s,;:，；：、]*+[)）]")
_AFTER_OPENING = re.compile(r"([(（])[\s,;，；、]++")
_LANGUAGE = re.compile(r"[a-z]{2,3}(?:-[a-z-]+)?\Z|simple\Z")
_GAP = re.compile(r"\n{3,}+")
_UNSEEN = re.compile(
    "(?:file|image|media|category|文件|檔案|档案|图像|圖像|图片|圖片|媒体|媒體|分类|分類)\\Z",
    re.IGNORECASE,
)
_DEPTH = 20


def plain_text(wikitext: str) -> str:
    """The text of a page without templates, tables, references, files, categories and markup.

    Paragraphs stay separated by blank lines; headings and list items are lines of their own.
    """
    text = _COMMENT.sub("", wikitext)
    text = _without_hidden(text)
    text = _VARIANT.sub(_choose_variant, text)
    text = _without_braces("\n" + text)
    text = _without_links(text)
    text = _EXTERNAL.sub(r"\1", text)
    text = _TAG.sub("", _BREAK.sub("\n", text))
    text = _SWITCH.sub("", _QUOTES.sub("", text))
    text = html.unescape(text).replace("\r", "\n").replace("\xa0", " ")
    text = _AFTER_OPENING.sub(r"\1", _HOLLOW.sub("", text)).replace("  ", " ")
    lines = (_plain_line(line) for line in text.split("\n"))
    return _GAP.sub("\n\n", "\n".join(lines)).strip()


def _plain_line(line: str) -> str:
    line = line.strip()
    if line.startswith("=") and line.endswith("="):
        return line.strip("=").strip()
    if line.startswith("|"):  # of a table that was not closed
        return ""
    return line.lstrip("*#:; ")


def _cut(text: str, spans: list[tuple[int, int]]) -> str:
    """The text outside the spans, which may lie in each other."""
    kept = []
    reached = 0
    for start, end in sorted(spans):
        if start > reached:
            kept.append(text[reached:start])
        reached = max(reached, end)
    return "".join([*kept, text[reached:]])


def _without_hidden(text: str) -> str:
    spans = []
    opened: re.Match[str] | None = None
    for tag in _HIDDEN.finditer(text):
        closing, name, attributes = tag.groups()
        if opened is None and not closing and not attributes.endswith("/"):
            opened = tag
        elif opened is None:
            spans.append(tag.span())
        elif closing and name.lower() == opened[2].lower():
            spans.append((opened.start(), tag.end()))
            opened = None
    return _cut(text, spans)


def _without_braces(text: str) -> str:
    """Takes out templates and tables."""
    spans: list[tuple[int, int]] = []
    opened: list[tuple[str, int]] = []
    waiting = {"{": 0, "|": 0}
    for token in _BRACES.finditer(text):
        found = token[0].strip(" \t\n:")
        if found == "{|":
            opened.append(("|", token.start()))
            waiting["|"] += 1
        elif found.startswith("{"):
            opened += [("{", token.start())] * (len(found) // 2)
            waiting["{"] += len(found) // 2
        else:
            kind = "|" if found == "|}" else "{"
            for _ in range(1 if kind == "|" else len(found) // 2):
                if not waiting[kind]:
                    break
                # What was opened inside and not closed ends here too.
                while True:
                    other, start = opened.pop()
                    waiting[other] -= 1
                    if other == kind:
                        break
                spans.append((start, token.end()))
    return _cut(text, spans).replace("{{", "").replace("}}", "")


def _without_links(text: str) -> str:
    """Puts the label of each link in its place, and nothing for files and categories."""
    stack: list[list[str]] = [[]]
    reached = 0
    for token in _LINK.finditer(text):
        stack[-1].append(text[reached : token.start()])
        reached = token.end()
        if token[0] == "[[" and len(stack) <= _DEPTH:
            stack.append([])
        elif token[0] == "]]" and len(stack) > 1:
            link = "".join(stack.pop())
            stack[-1].append(_label(link))
    return "".join(part for parts in stack for part in parts) + text[reached:]


def _label(link: str) -> str:
    target, bar, label = link.partition("|")
    space = target.partition(":")[0].strip().lower() if ":" in target else ""
    if _UNSEEN.match(space) or (not bar and _LANGUAGE.match(space)):
        return ""
    return label if bar else target.lstrip(":")


def _choose_variant(markup: re.Match[str]) -> str:
    """One of the forms a Chinese page gives for its writing systems, the simplified one first."""
    flags, bar, rules = markup[1].rpartition("|")
    if bar and set(flags) & set("H-T"):
        return ""
    split = [rule.partition(":") for rule in rules.split(";")]
    forms = {language.strip(): form.strip() for language, colon, form in split if colon}
    wanted = [forms[language] for language in ("zh-hans", "zh-cn", "zh") if language in forms]
    return next(iter([*wanted, *forms.values()]), rules)
