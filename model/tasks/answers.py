"""Answers as people and programs read them."""

from collections.abc import Sequence
from typing import Any

from corpusmill.model.tasks.prediction import Predictor

# Of several labels, those hold that are likelier than not.
_HOLDS = 0.5


def answers_of(
    predictor: Predictor, texts: Sequence[str], pairs: Sequence[str] | None = None
) -> list[dict[str, Any]]:
    """What is said of each text: `label`, `score` and `scores`; `labels` and `scores`; `value`."""
    head = predictor.head
    found = []
    for row in predictor.answer(texts, pairs).tolist():
        if head.kind == "regression":
            found.append({"value": row[0]})
            continue
        scores = dict(zip(head.labels, row, strict=True))
        if head.kind == "several":
            held = [name for name, score in scores.items() if score > _HOLDS]
            found.append({"labels": held, "scores": scores})
        else:
            label = max(scores, key=scores.__getitem__)
            found.append({"label": label, "score": scores[label], "scores": scores})
    return found
