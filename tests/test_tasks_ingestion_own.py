"""Steps and readers of one's own, as docs/extending.md has them: laws, identities, errors."""

import gzip
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from corpusmill.flows.command_line import main
from corpusmill.flows.config import base_of, resolve
from corpusmill.flows.recipes.catalogue import RECIPES
from corpusmill.model.training.config import TrainConfig
from corpusmill.storage.artifacts import Ref
from corpusmill.storage.errors import ConfigError, CorpusError
from corpusmill.tasks.ingestion.cleaning.steps import cleaning_steps
from corpusmill.tasks.ingestion.config import CleaningConfig
from corpusmill.tasks.ingestion.dry_run import cleaning_of
from tests.corpora import build, counts_of, sides_of, write_jsonl
from tests.extending import write_examples

STEPS = """
def both(text: str, language: str) -> str | tuple[None, str]:
    return (None, "first") if text.endswith("1") else text

def wrong(text, language):
    return {"8": 1 / 0} if text == "number 2" else text

def adds(text, language):
    return [text, text]

def halves(text, language):
    return "\\ud800"

def shapeless(text):
    return text

class Unmade:
    def __init__(self):
        raise OSError("no list of words")

class Leaves:
    def __init__(self):
        raise SystemExit(3)

def leaves(text, language):
    raise SystemExit(3)

NUMBER = 3
"""
FORM = "Name ____ Date ____ Place ____"


@pytest.fixture
def ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_examples(tmp_path)
    (tmp_path / "ours" / "more.py").write_text(STEPS, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path / "ours"


def _build(folder: Path, *steps: str) -> Ref:
    texts = [FORM, "12\nThe court held", *(f"number {n}" for n in range(5))]
    path = write_jsonl(folder / "x.jsonl", texts)
    return build(folder, path, cleaning=CleaningConfig(own_steps=steps, identify_languages=False))


def test_a_step_of_ones_own_drops_by_reason_and_edits(tmp_path: Path, ours: Path) -> None:
    ref = _build(tmp_path, "ours.steps:DropForms", "ours.more:both")
    documents = counts_of(ref)["documents"]
    assert documents == {
        "in": 7,
        "kept": 5,
        "dropped": {"DropForms.blank_form": 1, "both.first": 1},
    }
    assert "The court held" in sides_of(ref)


def test_another_source_is_another_corpus(tmp_path: Path, ours: Path) -> None:
    before = _build(tmp_path, "ours.steps:DropForms")
    assert _build(tmp_path, "ours.steps:DropForms") == before
    source = (ours / "steps.py").read_text(encoding="utf-8")
    (ours / "steps.py").write_text(source.replace("blank_form", "no_text_in_it"), encoding="utf-8")
    after = _build(tmp_path, "ours.steps:DropForms")
    assert after.digest != before.digest
    assert counts_of(after)["documents"]["dropped"] == {"DropForms.no_text_in_it": 1}


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (
            "wrong",
            r"ours.more:wrong raised ZeroDivisionError: .* at line 5 of .*x.jsonl in x.jsonl",
        ),
        ("leaves", r"ours.more:leaves raised SystemExit: 3 at line 1 of .*x.jsonl in x.jsonl"),
        ("adds", r"ours.more:adds returned a list at line 1 of .*; expected the text to keep, or"),
        ("halves", r"ours.more:halves returned a text with '\\ud800' at line 1 of"),
    ],
)
def test_what_a_step_does_wrong_is_a_sentence_with_the_place(
    tmp_path: Path, ours: Path, name: str, sentence: str
) -> None:
    with pytest.raises(CorpusError, match=sentence):
        _build(tmp_path, f"ours.more:{name}")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("NUMBER", r"ours.more:NUMBER is a int; expected something to call as NUMBER\(text, lang"),
        ("shapeless", r"ours.more:shapeless is called otherwise \(too many .*\); expected"),
        ("Unmade", r"ours.more:Unmade raised OSError: no list of words when it was made"),
        ("Leaves", r"ours.more:Leaves raised SystemExit: 3 when it was made"),
        ("Nothing", r"ours.more:Nothing is not there"),
    ],
)
def test_what_is_no_step_is_refused_with_the_config(ours: Path, name: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        resolve(RECIPES, "gpt-smoke", {"corpus.cleaning.own_steps": [f"ours.more:{name}"]})


def test_a_corpus_without_own_steps_says_nothing_of_them() -> None:
    assert "own_steps" not in CleaningConfig().model_dump()


def test_the_command_shows_what_a_step_keeps_and_drops(tmp_path: Path, ours: Path) -> None:
    path = write_jsonl(tmp_path / "x.jsonl", [FORM, "12\nThe court held", "as it is"])
    shown = CliRunner().invoke(main, ["try", "ours.steps:DropForms", str(path)]).output
    assert shown.startswith("3 documents in, 2 kept, 1 dropped\n  DropForms.edited: 1\n")
    assert f"line 1: {FORM}\n\nedited\n" in shown
    assert shown.endswith("x.jsonl line 3: as it is\n")
    shown = CliRunner().invoke(main, ["try", "c4_quality", str(path)]).output
    assert "c4.few_sentences, 3 dropped" in shown
    shown = CliRunner().invoke(main, ["try", "c5_quality", str(path)]).output
    assert "There is no cleaning step 'c5_quality'; expected package.module:Name" in shown
    shown = CliRunner().invoke(main, ["try", "mask_pii=false", str(path)]).output
    assert (
        "'mask_pii=false' is a step that is off, which does nothing; expected mask_pii, or" in shown
    )


def test_each_word_that_can_be_tried_turns_a_step_on(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        cleaning_of("none")
    words = str(refused.value).split("one of ")[-1].split(", where")[0].split(", ")
    (tmp_path / "words.txt").write_text("word\n")
    alone = len(cleaning_steps(cleaning_of("identify_languages"), 1))
    for word in set(words) - {"identify_languages"}:
        file = f"={tmp_path / 'words.txt'}" if word in ("blocklist", "decontaminate") else ""
        assert len(cleaning_steps(cleaning_of(word + file), 1)) == alone + 1, word


def test_the_recipe_of_the_page_resolves(ours: Path) -> None:
    config = resolve(RECIPES, "ours.recipes:gpt_law", {})
    assert config.train.max_steps == 2 * RECIPES["gpt-tiny"]().train.max_steps


RECIPES_OF_OURS = """
import sys
from corpusmill.flows.recipes.catalogue import RECIPES

base = RECIPES["gpt-tiny"]()

def nofield():
    return base.model_copy(update={"trian": 3})

def inner():
    return base.model_copy(update={"train": base.train.model_copy(update={"max_stps": 3})})

def word():
    return base.model_copy(update={"train": base.train.model_copy(update={"max_steps": "many"})})

def group():
    return base.model_copy(update={"train": {"max_steps": 3}})

def leaves():
    sys.exit(3)

adopt, translate = RECIPES["adopt"], RECIPES["translate-tiny"]
"""


@pytest.fixture
def recipes(ours: Path) -> None:
    (ours / "made.py").write_text(RECIPES_OF_OURS, encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("nofield", "ours.made:nofield returned what is no PretrainConfig: trian is 3"),
        ("inner", "ours.made:inner returned .*: train.max_stps is 3"),
        ("word", "ours.made:word returned .*: train.max_steps is 'many'.*integer"),
        ("leaves", "ours.made:leaves raised SystemExit: 3; expected a function"),
    ],
)
@pytest.mark.usefixtures("recipes")
def test_what_a_recipe_returns_is_validated(name: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        resolve(RECIPES, f"ours.made:{name}", {})


@pytest.mark.usefixtures("recipes")
def test_a_recipe_may_give_a_group_by_its_fields_and_be_incomplete() -> None:
    config = resolve(RECIPES, "ours.made:group", {})
    assert config.train == TrainConfig(max_steps=3)
    for incomplete in ("adopt", "translate"):
        with pytest.raises(ConfigError, match=r"initialize_from is ''|no source holds pairs"):
            resolve(RECIPES, f"ours.made:{incomplete}", {})
        assert base_of(RECIPES, f"ours.made:{incomplete}")
    pairs = {"corpus.sources": [{"files": "/text/pairs.jsonl", "pair": ["en", "zh"]}]}
    assert resolve(RECIPES, "ours.made:translate", pairs)


READERS = """
def late(file):
    yield file.readline().decode()
    raise ValueError("no second line")

def leaves(file):
    raise SystemExit(3)

def text(file):
    return file.read().decode()

def halves(file):
    yield "a\\ud800b"
    yield "another text"

def numbers(file):
    yield 1
"""
LAWS = "§ 1\nNobody may\nenter.\n§ 2\nNobody may leave.\n"


@pytest.fixture
def laws(tmp_path: Path, ours: Path) -> Path:
    """Two laws in a file, the same two compressed, and two in an archive."""
    (ours / "wrong.py").write_text(READERS, encoding="utf-8")
    folder = tmp_path / "laws"
    folder.mkdir()
    (folder / "a.law").write_text(LAWS, encoding="utf-8")
    (folder / "b.law.gz").write_bytes(gzip.compress(LAWS.replace("Nobody", "Anybody").encode()))
    with zipfile.ZipFile(folder / "c.zip", "w") as archive:
        archive.writestr("in.law", LAWS.replace("Nobody", "Somebody"))
    return folder


def test_a_reader_of_ones_own_reads_its_suffix_wherever_it_stands(
    tmp_path: Path, laws: Path
) -> None:
    ref = build(tmp_path, laws, readers={".law": "ours.readers:read_law"})
    assert set(sides_of(ref)) == {
        f"{who} may{what}"
        for who in ("Nobody", "Anybody", "Somebody")
        for what in ("\nenter.", " leave.")
    }
    assert counts_of(ref)["documents"] == {"in": 6, "kept": 6, "dropped": {}}


def test_a_reader_comes_before_ours_and_its_source_is_part_of_the_corpus(
    tmp_path: Path, laws: Path, ours: Path
) -> None:
    (laws / "a.law").rename(laws / "a.xml")
    readers = {".xml": "ours.readers:read_law", ".law": "ours.readers:read_law"}
    ref = build(tmp_path, laws, readers=readers)
    assert counts_of(ref)["documents"]["kept"] == 6
    (ours / "readers.py").write_text(
        (ours / "readers.py").read_text(encoding="utf-8").replace(".strip()", ".strip().upper()"),
        encoding="utf-8",
    )
    after = build(tmp_path, laws, readers=readers)
    assert after.digest != ref.digest
    assert all(text.isupper() for text in sides_of(after))


def test_what_a_reader_raises_is_a_damaged_file_with_the_place(tmp_path: Path, laws: Path) -> None:
    with pytest.raises(CorpusError) as caught:
        build(tmp_path, laws, readers={".law": "ours.wrong:late"}, on_bad_text="refuse")
    assert "a.law, after document 1: ours.wrong:late raised ValueError: no second" in str(
        caught.value
    )
    with pytest.raises(CorpusError, match=r"a.law.*: ours.wrong:leaves raised SystemExit: 3"):
        build(tmp_path, laws, readers={".law": "ours.wrong:leaves"}, on_bad_text="refuse")
    (laws / "d.txt").write_text("Another text.", encoding="utf-8")
    ref = build(tmp_path, laws, readers={".law": "ours.wrong:late"}, max_unread=1)
    documents = counts_of(ref)["documents"]
    assert documents == {"in": 7, "kept": 2, "dropped": {"damaged": 3, "duplicate": 2}}


@pytest.mark.parametrize(
    ("suffix", "sentence"),
    [
        (".gz", r"'.gz' is the suffix of a compression, which is undone before .* for .law.gz"),
        ("law", "'law' is no suffix; expected a dot and then small letters"),
    ],
)
@pytest.mark.usefixtures("ours")
def test_what_is_no_suffix_of_a_reader_is_a_sentence(suffix: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        resolve(RECIPES, "gpt-smoke", {"corpus.readers": {suffix: "ours.readers:read_law"}})


@pytest.mark.usefixtures("laws")
def test_half_of_a_surrogate_pair_is_the_fault_of_the_reader(tmp_path: Path) -> None:
    readers = {".law": "ours.wrong:halves"}
    with pytest.raises(CorpusError, match=r"ours.wrong:halves gave half of .*; mend the reader"):
        build(tmp_path, tmp_path / "laws", readers=readers, on_bad_text="refuse")
    ref = build(tmp_path, tmp_path / "laws", readers=readers, on_bad_text="repair")
    assert any("\ufffd" in text for text in sides_of(ref))


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("text", r"ours.wrong:text returned a str of laws/a.law in laws; expected it to yield"),
        ("numbers", r"ours.wrong:numbers gave a int as document 1 of laws/a.law in laws; expect"),
    ],
)
def test_what_is_no_text_is_a_sentence(
    tmp_path: Path, laws: Path, name: str, sentence: str
) -> None:
    with pytest.raises(CorpusError, match=sentence):
        build(tmp_path, laws, readers={".law": f"ours.wrong:{name}"})
