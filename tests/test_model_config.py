"""What makes two evaluations the same one."""

from typing import Any

import pytest

from corpusmill.model.config import EvaluationConfig
from corpusmill.model.network.config import Family


@pytest.mark.parametrize(
    ("changed", "idle", "acting"),
    [
        ({"stride": 3}, "masked_lm", "causal_lm"),
        ({"prompt_characters": 9}, "encoder_decoder", "causal_lm"),
        ({"temperature": 0.1}, "masked_lm", "encoder_decoder"),
        ({"translate": False}, "causal_lm", "encoder_decoder"),
        ({"beams": 2}, "causal_lm", "encoder_decoder"),
    ],
    ids=str,
)
def test_an_option_of_other_families_makes_no_other_evaluation(
    changed: dict[str, Any], idle: Family, acting: Family
) -> None:
    one, other = EvaluationConfig(), EvaluationConfig(**changed)
    assert one.identity(idle) == other.identity(idle)
    assert one.identity(acting) != other.identity(acting)


def test_where_nothing_is_translated_nothing_is_searched() -> None:
    one, other = (EvaluationConfig(translate=False, beams=beams) for beams in (2, 3))
    assert one.identity("encoder_decoder") == other.identity("encoder_decoder")
