"""The served model behind MLflow's own scoring server: what is answered, and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pytest
from fastapi.testclient import TestClient
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import PyFuncModel, scoring_server

from corpusmill.model.hf.folder import export_model
from corpusmill.model.inference import sample
from corpusmill.model.inference.request import AnswerRequest
from corpusmill.model.tokenizer.config import TokenizerConfig
from corpusmill.model.tokenizer.training import train_tokenizer
from corpusmill.storage.served import text_generation
from corpusmill.storage.settings import CHECKOUT
from tests.corpora import speeches
from tests.networks import DECODER, random_decoder

WINDOW = 64
Ask = Callable[[Any], tuple[int, Any]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("served")
    tokenizer = directory / "tokenizer"
    tokenizer.mkdir()
    train_tokenizer([speeches(1)[0][:3000]], TokenizerConfig(vocab_size=300), tokenizer)
    export_model(random_decoder(300), DECODER, tokenizer, WINDOW, directory / "model")
    return directory / "model"


@pytest.fixture(scope="module")
def model(folder: Path) -> PyFuncModel:
    path = str(folder.parent / "pyfunc")
    mlflow.pyfunc.save_model(
        path,
        python_model=str(CHECKOUT / "model" / "inference" / "serving.py"),
        artifacts={"model": str(folder)},
        signature=text_generation("").signature,
        pip_requirements=["torch"],
    )
    loaded: PyFuncModel = mlflow.pyfunc.load_model(path)
    return loaded


@pytest.fixture(scope="module")
def ask(model: PyFuncModel) -> Ask:
    client = TestClient(scoring_server.init(model))

    def ask(body: Any) -> tuple[int, Any]:
        # As json.dumps writes it: NaN and halves of surrogate pairs too.
        found = client.post(
            "/invocations", content=json.dumps(body), headers={"content-type": "application/json"}
        )
        return found.status_code, found.json()

    return ask


def _body(prompt: Any, **params: Any) -> dict[str, Any]:
    return {"dataframe_records": [{"prompt": prompt}], "params": {"max_new_tokens": 2, **params}}


def test_the_signature_has_the_parameters_of_a_request_and_their_defaults() -> None:
    stated = {param.name: param.default for param in text_generation("").signature.params.params}
    fields = {name: field.default for name, field in AnswerRequest.model_fields.items()}
    assert stated == {name: value for name, value in fields.items() if name != "prompt"}


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"max_new_tokens": -1}, "max_new_tokens is -1"),
        ({"max_new_tokens": 0}, "max_new_tokens is 0"),
        ({"max_new_tokens": 10**9}, "less than or equal to 8192"),
        ({"max_new_tokens": 2**70}, "less than or equal to 8192"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"temperature": float("inf")}, "temperature is inf"),
        ({"temperature": -1.0}, "temperature is -1.0"),
        ({"top_p": 0}, "top_p is 0.0"),
        ({"top_p": 1.5}, "top_p is 1.5"),
        ({"top_k": -1}, "top_k is -1"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": None}, "seed is None"),
        ({"temprature": 0.5}, "params has 'temprature'"),
    ],
)
def test_a_wrong_parameter_is_refused_by_its_name(
    ask: Ask, params: dict[str, Any], said: str
) -> None:
    status, answer = ask(_body("a", **params))
    assert (status, "stack_trace" in answer) == (400, False)
    assert said in answer["message"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (_body(None), "prompt.0 is None"),
        (_body(3), "prompt.0 is 3"),
        (_body([]), "the list is empty"),
        (_body("\ud800"), "surrogates not allowed"),
        ({"prompt": ["a", "\ud800"]}, "half of a surrogate pair"),
        ({"dataframe_split": {"columns": ["prompt"], "data": []}}, "the list is empty"),
        ({"dataframe_records": []}, "missing inputs"),
        ({"dataframe_records": [{"prompt": "a", "seed": 1}]}, "The input has 'seed'"),
        ({"dataframe_records": [{"prompt": "a"}], "seed": 1}, "The request has 'seed'"),
        ({"prompt": "a", "temprature": 1}, "The input has 'temprature'"),
        (_body("word " * 100), f"tokens, but the model reads {WINDOW}"),
    ],
)
def test_what_cannot_be_answered_is_refused_with_the_reason(ask: Ask, body: Any, said: str) -> None:
    status, answer = ask(body)
    assert (status, "stack_trace" in answer) == (400, False)
    assert said in answer["message"]


@pytest.mark.parametrize("params", [{"top_k": 0}, {"temperature": 1e-30}, {"seed": 2**62}])
def test_the_edges_of_what_is_allowed_are_answered(ask: Ask, params: dict[str, Any]) -> None:
    assert ask(_body("a", **params))[0] == 200


def test_a_list_of_prompts_is_so_many_prompts(ask: Ask) -> None:
    apart = [ask(_body(prompt, temperature=0.0))[1]["predictions"][0] for prompt in ("a", "b")]
    asked = {"max_new_tokens": 2, "temperature": 0.0}
    assert ask(_body(["a", "b"], temperature=0.0))[1] == {"predictions": apart}
    assert ask({"prompt": ["a", "b"], **asked}) == (200, apart)


def test_a_prompt_draws_another_answer_each_time_it_is_in_a_request(ask: Ask) -> None:
    body = {"prompt": ["a"] * 17, "max_new_tokens": 8, "temperature": 2.0}
    answers = ask(body)[1]
    assert answers[16] not in answers[:16]


def test_a_stream_is_checked_alike(model: PyFuncModel) -> None:
    wrong: list[tuple[dict[str, Any], str]]
    wrong = [({"top_p": 0.0}, "top_p is 0.0"), ({"top": 1}, "params has 'top'")]
    for params, said in wrong:
        with pytest.raises(MlflowException, match=said):
            list(model.predict_stream({"prompt": "a"}, params=params))


def test_the_command_line_checks_alike(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["sample", str(folder), "caf\udce9"])
    assert sample.main() == 1
    assert "a byte that is not UTF-8" in capsys.readouterr().err
