"""A served labeller behind MLflow's scoring server: which requests it takes, what it answers."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pytest
import torch
from fastapi.testclient import TestClient
from mlflow.pyfunc import scoring_server

from corpusmill.model.tasks.config import HeadConfig
from corpusmill.model.tasks.folder import export_labeller
from corpusmill.model.tasks.network import Labeller
from corpusmill.model.tasks.prediction import Predictor
from corpusmill.model.tokenizer.config import TokenizerConfig
from corpusmill.model.tokenizer.training import train_tokenizer
from corpusmill.storage.examples.schema import TaskKind
from corpusmill.storage.served import labelling
from tests.corpora import speeches
from tests.networks import DECODER, random_network

Ask = Callable[[Any], tuple[int, Any]]
TEXT = "Fellow citizens"
LABELS = ("bad", "good")


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    train_tokenizer([speeches(1)[0][:3000]], TokenizerConfig(vocab_size=300), folder)
    return folder


def _served(kind: TaskKind, example: dict[str, list[str]], tokenizer: Path, folder: Path) -> Ask:
    """A server of a labeller with a temperature that is not 1."""
    names = () if kind == "regression" else LABELS
    head = HeadConfig(kind=kind, labels=names, pooling="last", temperature=3.0)
    network = Labeller(random_network(DECODER, 300), head)
    network.init_head(0, keep_pooler=False)
    torch.nn.init.normal_(network.classifier.weight, generator=torch.Generator().manual_seed(0))
    export_labeller(network, tokenizer, 64, folder / "model")
    served = labelling(example, kind)
    mlflow.pyfunc.save_model(
        str(folder / "pyfunc"),
        python_model=str(served.code),
        artifacts={"model": str(folder / "model")},
        signature=served.signature,
        pip_requirements=["torch"],
    )
    loaded = mlflow.pyfunc.load_model(str(folder / "pyfunc"))
    client = TestClient(scoring_server.init(loaded))

    def ask(body: Any) -> tuple[int, Any]:
        kind = {"content-type": "application/json"}
        found = client.post("/invocations", content=json.dumps(body), headers=kind)
        return found.status_code, found.json()

    return ask


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("labeller")


@pytest.fixture(scope="module")
def ask(tokenizer: Path, folder: Path) -> Ask:
    return _served("classification", {"text": [TEXT]}, tokenizer, folder)


@pytest.mark.parametrize(
    "body",
    [
        {"text": TEXT},
        {"inputs": {"text": [TEXT]}},
        {"inputs": [{"text": TEXT}]},
        {"instances": [{"text": TEXT}]},
        {"dataframe_records": [{"text": TEXT}]},
        {"dataframe_split": {"columns": ["text"], "data": [[TEXT]]}},
    ],
)
def test_every_way_to_ask_has_the_label_and_its_scaled_probability(
    ask: Ask, folder: Path, body: Any
) -> None:
    status, answer = ask(body)
    scaled = Predictor(folder / "model").answer([TEXT])[0].tolist()
    best = scaled.index(max(scaled))
    said = {"label": LABELS[best], "score": scaled[best]}
    assert (status, answer) == (
        200,
        {"predictions": [said | {"scores": dict(zip(LABELS, scaled, strict=True))}]},
    )


def test_many_texts_are_answered_in_order(ask: Ask) -> None:
    texts = ["a", "", TEXT, "字" * 100_000, "\ufeffa"]
    apart = [ask({"text": text})[1]["predictions"][0]["label"] for text in texts]
    status, together = ask({"text": texts})
    assert (status, [each["label"] for each in together["predictions"]]) == (200, apart)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"text": None}, "text of row 1 is None; expected a string"),
        ({"text": ["a", 3]}, "text of row 2 is 3; expected a string"),
        ({"dataframe_records": [{"txt": "a"}]}, "missing inputs ['text']"),
        ({"txt": "a"}, "exactly one of the input fields"),
        ({"text": "\ud800"}, "surrogates not allowed"),
        ({"dataframe_records": [{"text": "a"}], "seed": 1}, "The request has 'seed'"),
    ],
)
def test_what_cannot_be_answered_is_refused_with_the_reason(ask: Ask, body: Any, said: str) -> None:
    status, answer = ask(body)
    assert (status, "stack_trace" in answer) == (400, False)
    assert said in answer["message"]


def test_pairs_and_numbers_are_asked_alike(tokenizer: Path, tmp_path: Path) -> None:
    example = {"text": [TEXT], "text_pair": ["a"]}
    ask = _served("regression", example, tokenizer, tmp_path)
    status, answer = ask({"text": ["a", "b"], "text_pair": ["c", "d"]})
    assert (status, [list(each) for each in answer["predictions"]]) == (200, [["value"]] * 2)
    status, answer = ask({"text": ["a", "b"], "text_pair": ["c"]})
    assert status == 400 and "2 of text and 1 of text_pair" in answer["message"]
