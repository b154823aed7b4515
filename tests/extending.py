"""The examples of docs/extending.md as the modules that the page calls them."""

import re
from pathlib import Path

PAGE = Path(__file__).parent.parent / "docs" / "extending.md"


def write_examples(folder: Path) -> None:
    """Writes the package `ours` of the page into a folder."""
    found = re.findall(r"`(ours/\w+\.py)`:\n\n```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(found) > 1
    for name, source in found:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(source, encoding="utf-8")
