"""The tutorial names files and tests that are there, the same in both languages."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("docs/tutorial.md", "docs/tutorial.zh.md")
SOURCES = {path.name: path for path in ROOT.glob("tests/test_*.py")}


def _named(page: str) -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(r"`([\w/.]+)`", text)


@pytest.mark.parametrize("page", PAGES)
def test_the_tests_that_prove_a_step_exist(page: str) -> None:
    proofs = [name for name in _named(page) if name.startswith("test_") and "." not in name]
    written = "".join(path.read_text(encoding="utf-8") for path in SOURCES.values())
    assert len(proofs) >= 12
    assert [name for name in proofs if f"def {name}(" not in written] == []


@pytest.mark.parametrize("page", PAGES)
def test_the_files_that_compute_a_step_exist(page: str) -> None:
    files = [name for name in _named(page) if name.endswith(".py")]
    known = {path.name for path in ROOT.glob("model/**/*.py")} | SOURCES.keys()
    assert len(files) >= 12
    assert [name for name in files if Path(name).name not in known] == []
    assert all((ROOT / name).is_file() for name in files if "/" in name)


def test_both_languages_name_the_same_files_and_tests() -> None:
    def references(page: str) -> list[str]:
        return [name for name in _named(page) if name.startswith("test_") or name.endswith(".py")]

    assert references(PAGES[0]) == references(PAGES[1])
