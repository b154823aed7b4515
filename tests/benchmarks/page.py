"""Pages of figures, of which each benchmark command writes a part of its own."""

from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md"


def write_part(lines: list[str], page: Path = PAGE) -> None:
    """Replaces the part of the page that begins with the heading `lines[0]`, or appends it."""
    parts: list[list[str]] = []
    for line in page.read_text(encoding="utf-8").splitlines() if page.exists() else []:
        if line.startswith("# "):
            parts.append([])
        parts[-1].append(line)
    titles = [part[0] for part in parts]
    if lines[0] in titles:
        parts[titles.index(lines[0])] = lines
    else:
        parts.append(lines)
    text = "\n\n".join("\n".join(part).strip() for part in parts)
    page.write_text(text + "\n", encoding="utf-8")
