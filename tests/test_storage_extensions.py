"""Code of one's own: found, loaded as it is now, digested, and refused in one sentence."""

from pathlib import Path

import pytest

from corpusmill.storage.errors import ConfigError
from corpusmill.storage.extensions import digest_source, load_own


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty package `mine` of two modules on the path."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "first.py").write_text("from mine.second import VALUE\n", encoding="utf-8")
    (folder / "second.py").write_text("VALUE = 1\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    return folder


def test_a_changed_sibling_is_another_identity_and_is_loaded_again(package: Path) -> None:
    digest = digest_source("mine.first:VALUE")
    assert load_own("mine.first:VALUE") == 1
    (package / "second.py").write_text("VALUE = 'two'\n", encoding="utf-8")
    assert load_own("mine.first:VALUE") == "two"
    assert digest_source("mine.first:VALUE") != digest


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("mine.third:X", r"mine.third:X cannot be loaded: .*ZeroDivisionError: division by"),
        ("mine.leaves:X", r"mine.leaves:X cannot be loaded: .* raised SystemExit: 3 when it was"),
        ("mine.first:X", r"mine.first:X is not there: .*first.py holds VALUE; expected X"),
        ("mine.fourth:X", r"there is no module mine.fourth; expected it on the PYTHONPATH"),
        ("nowhere.at:X", r"there is no module nowhere; expected it on the PYTHONPATH"),
        ("mine first:X", r"'mine first:X' does not name code of one's own; expected package"),
    ],
)
def test_what_cannot_be_loaded_is_a_sentence(package: Path, name: str, sentence: str) -> None:
    (package / "leaves.py").write_text("import sys; sys.exit(3)\n", encoding="utf-8")
    (package / "third.py").write_text("1 / 0\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=sentence) as caught:
        load_own(name)
    assert "\n" not in str(caught.value)
