"""The encoder: flat ids, framed, and the same ones whichever engine gives them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.model.tokenizer.config import TokenizerConfig
from corpusmill.model.tokenizer.control import END_OF_TEXT, end_of_text_id
from corpusmill.model.tokenizer.encoding import Encoder, encode_documents
from corpusmill.model.tokenizer.engines import Engine, Flat, Reference, find_fault
from corpusmill.model.tokenizer.folder import load_tokenizer
from corpusmill.model.tokenizer.hostile import hostile_texts
from corpusmill.model.tokenizer.training import train_tokenizer
from corpusmill.storage.errors import ModelError

pytest.importorskip("fastokens", reason="fastokens is not installed")
BLNS = Path(__file__).resolve().parents[2] / "shared" / "data" / "blns" / "blns.json"
TEXTS = ["The house stands by the river.", "", "孩子们在屋里读书。", f"a {END_OF_TEXT} b", "🎈 é"]
FAMILIES = {
    "gpt": TokenizerConfig(vocab_size=400),
    "roberta": TokenizerConfig(family="masked_lm", vocab_size=400),
    "bert": TokenizerConfig(family="masked_lm", algorithm="wordpiece", vocab_size=300),
    "t5": TokenizerConfig(family="encoder_decoder", vocab_size=400),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = {}
    for name, config in FAMILIES.items():
        made[name] = tmp_path_factory.mktemp(name)
        text = (
            "The old house stands by the river; it rained for days. 孩子们在屋里读书，雨下了三天。"
        )
        train_tokenizer(
            [f"{text} {n} {chr(97 + n % 26) * 9}" for n in range(400)], config, made[name]
        )
    return made


@pytest.fixture(scope="module")
def encoder(folders: dict[str, Path]) -> Encoder:
    return Encoder(folders["gpt"])


@pytest.mark.parametrize("name", FAMILIES)
def test_documents_lie_in_a_row_each_as_the_library_frames_it(
    folders: dict[str, Path], name: str
) -> None:
    encoder, reference = Encoder(folders[name]), load_tokenizer(folders[name])
    ids, ends = encoder.encode(TEXTS)
    assert (ids.dtype.name, ends.dtype.name) == ("uint16", "int64")
    wanted = [reference.encode(text).ids for text in TEXTS]
    if name == "gpt":
        wanted = [[*each, end_of_text_id(reference)] for each in wanted]
    assert [part.tolist() for part in np.split(ids, ends)[:-1]] == wanted
    assert ends[-1] == len(ids)


def test_byte_level_vocabularies_are_encoded_by_fastokens(folders: dict[str, Path]) -> None:
    for name in ("gpt", "roberta", "t5"):
        encoder = Encoder(folders[name])
        encoder.encode(TEXTS)
        assert (encoder.engine.split()[0], encoder.engine_note) == ("fastokens", "")


def test_a_tokenizer_that_fastokens_refuses_is_encoded_by_the_library(
    folders: dict[str, Path],
) -> None:
    encoder = Encoder(folders["bert"])
    assert encoder.engine.startswith("tokenizers ")
    assert encoder.engine_note.startswith("fastokens refuses this tokenizer (")


def test_arrow_strings_and_lists_give_the_same(encoder: Encoder) -> None:
    for array in (
        pa.array(TEXTS, pa.large_string()),
        pa.array(["x", *TEXTS], pa.large_string())[1:],
    ):
        for mine, theirs in zip(encoder.encode(array), encoder.encode(TEXTS), strict=True):
            assert np.array_equal(mine, theirs)


def test_no_documents_give_no_ids(encoder: Encoder) -> None:
    ids, ends = encoder.encode([])
    assert (len(ids), len(ends), ids.dtype.name) == (0, 0, "uint16")


@settings(max_examples=100)
@given(texts=st.lists(st.text(max_size=60), max_size=4))
def test_any_text_gives_the_ids_of_the_library(
    folders: dict[str, Path], encoder: Encoder, texts: list[str]
) -> None:
    ids, ends = encoder.encode(texts)
    wanted = list(encode_documents(load_tokenizer(folders["gpt"]), texts))
    assert [part.tolist() for part in np.split(ids, ends)[:-1]] == [w.tolist() for w in wanted]


@pytest.mark.skipif(
    not BLNS.exists(), reason="the list of naughty strings is not beside the checkout"
)
def test_naughty_strings_give_the_ids_of_the_library(
    folders: dict[str, Path], encoder: Encoder
) -> None:
    texts = json.loads(BLNS.read_text(encoding="utf-8"))
    ids, _ = encoder.encode(texts)
    wanted = encode_documents(load_tokenizer(folders["gpt"]), texts)
    assert np.array_equal(ids, np.concatenate(list(wanted)))


class Wrong:
    """An engine that is right but for one text."""

    name = "wrong 1.0"

    def __init__(self, reference: Engine) -> None:
        self._reference = reference

    def encode(self, texts: list[str]) -> Flat:
        if "boom" in texts:
            raise RuntimeError("a panic\nof many lines")
        return self._reference.encode(["other" if text == "bad" else text for text in texts])


def test_an_engine_is_measured_against_the_library(folders: dict[str, Path]) -> None:
    reference = Reference(load_tokenizer(folders["gpt"]))
    wrong = Wrong(reference)
    assert find_fault(wrong, reference, hostile_texts([END_OF_TEXT])) == ""
    assert find_fault(wrong, reference, ["good", "bad"]) == "wrong 1.0 gives other ids for 'bad'"
    assert find_fault(wrong, reference, ["boom"]) == "wrong 1.0 failed on a text (a panic)"


@pytest.mark.parametrize(
    ("first", "note"),
    [
        (["bad"], "wrong 1.0 gives other ids for 'bad'"),
        (["good"], "wrong 1.0 failed on a text (a panic)"),
    ],
)
def test_an_engine_that_errs_on_the_corpus_is_replaced_and_costs_nothing(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch, first: list[str], note: str
) -> None:
    reference = Reference(load_tokenizer(folders["gpt"]))
    monkeypatch.setattr("corpusmill.model.tokenizer.engines.Fastokens", lambda _: Wrong(reference))
    encoder = Encoder(folders["gpt"])
    assert encoder.engine == "wrong 1.0"
    for texts in (first, ["boom", "bad"]):
        ids, _ = encoder.encode(texts)
        wanted = encode_documents(load_tokenizer(folders["gpt"]), texts)
        assert np.array_equal(ids, np.concatenate(list(wanted)))
    assert encoder.engine.startswith("tokenizers ")
    assert encoder.engine_note == note


def test_a_missing_fastokens_is_recorded(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "fastokens", None)
    assert Encoder(folders["gpt"]).engine_note == "fastokens is not installed"


@pytest.mark.parametrize(("name", "more"), [("gpt", (2, 3, 4)), ("bert", (2,))])
def test_the_number_of_threads_is_kept_to(
    folders: dict[str, Path], name: str, more: tuple[int, ...]
) -> None:
    program = (
        "import os, sys; from pathlib import Path\n"
        "from corpusmill.model.tokenizer.encoding import Encoder\n"
        "encoder = Encoder(Path(sys.argv[1]), threads=int(sys.argv[2]))\n"
        "assert 'RAYON_NUM_THREADS' not in os.environ\n"
        "encoder.encode(['some text'] * 100); print(len(os.listdir('/proc/self/task')))"
    )
    environment = {k: v for k, v in os.environ.items() if k != "RAYON_NUM_THREADS"}
    environment |= {"OPENBLAS_NUM_THREADS": "1"}
    one, three = (
        subprocess.run(
            [sys.executable, "-c", program, str(folders[name]), number],
            env=environment,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for number in ("1", "3")
    )
    # `tokenizers` takes what it is given; `fastokens` no more than there are processors.
    assert int(three) - int(one) in more


def test_a_vocabulary_that_parts_no_documents_is_refused(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    value = json.loads((folders["gpt"] / "tokenizer.json").read_text(encoding="utf-8"))
    value["post_processor"] = None
    (tmp_path / "tokenizer.json").write_text(
        json.dumps(value).replace(END_OF_TEXT, "<stop>"), encoding="utf-8"
    )
    with pytest.raises(ModelError, match="no token that parts two documents"):
        Encoder(tmp_path)
