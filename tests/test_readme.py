"""The README's map of the house, and docs/design.md, held against the house."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("corpusmill", "flows", "tasks", "model", "storage", "tests")


def _map() -> dict[str, list[str]]:
    """Every folder of the map and the files that it names there; "" for the top of the checkout."""
    page = (ROOT / "README.md").read_text(encoding="utf-8").partition("## The map")[2]
    rooms: dict[str, list[str]] = {"": []}
    room = ""
    for first, said in re.findall(r"^\| ?(.*?) ?\| (.*) \|$", page, re.MULTILINE):
        if first:
            room = first.strip("`")
            rooms[room] = []
        for name in re.findall(r"`([\w.]+\.\w+)`", said):
            rooms["" if (ROOT / name).exists() else room].append(name)
    return rooms


def _folders() -> set[str]:
    found = {folder for room in ROOMS for folder in (ROOT / room).rglob("*.py")}
    return {f"{each.parent.relative_to(ROOT)}/" for each in found}


def test_the_map_names_every_folder() -> None:
    assert _map().keys() - {""} == _folders()


def test_the_map_names_no_file_that_is_not_there() -> None:
    named = [ROOT / room / name for room, names in _map().items() for name in names]
    assert len(named) > 60
    assert [path for path in named if not path.exists()] == []


def test_the_design_names_no_file_that_is_not_there() -> None:
    page = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:flows|tasks|model|storage|tests)/[\w/.]*)`", page)
    assert len(named) > 25
    assert [name for name in named if not (ROOT / name).exists()] == []
