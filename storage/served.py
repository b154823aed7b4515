"""How registered models are served: the code that answers, what it takes and what it gives."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow.models import ModelSignature
from mlflow.types.schema import (
    AnyType,
    Array,
    ColSpec,
    DataType,
    Map,
    ParamSchema,
    ParamSpec,
    Schema,
    TensorSpec,
)

from corpusmill.storage.examples.schema import TaskKind
from corpusmill.storage.settings import CHECKOUT


@dataclass(frozen=True)
class Served:
    """Attributes:
    code: that MLflow runs.
    signature: what it takes and gives.
    example: of what it takes.
    """

    code: Path
    signature: ModelSignature
    example: Any


def text_generation(prompt: str) -> Served:
    """Text that goes on from a prompt; the parameters with the defaults of `AnswerRequest`."""
    params = [
        ParamSpec("max_new_tokens", "long", 80),
        ParamSpec("temperature", "double", 0.8),
        ParamSpec("top_k", "long", 50),
        ParamSpec("top_p", "double", 1.0),
        ParamSpec("seed", "long", 0),
    ]
    signature = ModelSignature(
        # Of a column of strings MLflow would make "None" of null, and "['a']" of a list.
        inputs=Schema([ColSpec(AnyType(), "prompt")]),
        outputs=Schema([ColSpec("string")]),
        params=ParamSchema(params),
    )
    example = {"prompt": [prompt]}, {"max_new_tokens": 40}
    return Served(CHECKOUT / "model" / "inference" / "serving.py", signature, example)


def labelling(example: Mapping[str, Sequence[str]], kind: TaskKind) -> Served:
    """Labels, or a number, of a text or of a pair of texts.

    Args:
        example: `text`, and `text_pair` where pairs are asked.
    """
    given: list[ColSpec | TensorSpec] = [ColSpec(AnyType(), name) for name in example]
    scores = ColSpec(Map(DataType.double), "scores")
    answers: dict[TaskKind, list[ColSpec | TensorSpec]] = {
        "classification": [ColSpec("string", "label"), ColSpec("double", "score"), scores],
        "several": [ColSpec(Array(DataType.string), "labels"), scores],
        "regression": [ColSpec("double", "value")],
    }
    signature = ModelSignature(inputs=Schema(given), outputs=Schema(answers[kind]))
    code = CHECKOUT / "model" / "tasks" / "serving.py"
    return Served(code, signature, dict(example))
