"""Dotted overrides of a configuration whose groups have kinds."""

from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from corpusmill.flows.overrides import override
from corpusmill.storage.config import Config
from corpusmill.storage.errors import ConfigError


class _Warm(Config):
    steps: int


class _Heavy(Config):
    name: Literal["heavy"] = "heavy"
    pause: int = 0
    rate: float = 3.0
    momentum: float = 0.9


class _Light(Config):
    name: Literal["light"] = "light"
    pause: int = 0
    rate: float = 1.0


_Mover = Annotated[_Heavy | _Light, Field(discriminator="name")]


class _Part(Config):
    mover: _Mover = _Heavy(rate=2.0)
    mean: _Mover | None = None
    warm: _Warm | None = None
    size: int = 1
    words: tuple[str, ...] = ()
    rows: tuple[_Warm, ...] = ()


class _Whole(Config):
    part: _Part = _Part()


def _overridden(**given: Any) -> _Part:
    return override(_Whole(), {f"part.{n.replace('__', '.')}": v for n, v in given.items()}).part


def test_a_field_of_the_kind_there_is_changes_alone() -> None:
    assert _overridden(mover__momentum=0.5).mover == _Heavy(rate=2.0, momentum=0.5)


def test_another_kind_keeps_what_both_have_by_one_default_in_whatever_order_it_is_named() -> None:
    assert _overridden(mover__pause=5, mover__name="light").mover == _Light(pause=5)
    there = _Whole(part=_Part(mover=_Heavy(rate=2.0, pause=5)))
    assert override(there, {"part.mover.name": "light"}).part.mover == _Light(pause=5)
    assert override(there, {"part.mover.name": "heavy"}) == there
    rated = override(there, {"part.mover.rate": 7, "part.mover.name": "light"}).part.mover
    assert rated == _Light(rate=7, pause=5)


def test_a_group_that_can_be_left_out_is_made_taken_away_and_given_whole() -> None:
    assert _overridden(warm__steps=3).warm == _Warm(steps=3)
    assert _overridden(mean__name="light").mean == _Light()
    there = _Whole(part=_Part(mean=_Light()))
    assert override(there, {"part.mean": None}).part.mean is None
    assert _overridden(mover={"name": "light", "rate": 4}).mover == _Light(rate=4)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (
            {"mover__name": "light", "mover__momentum": 0.5},
            "part.mover.momentum has an effect only where part.mover.name is 'heavy', and it is "
            "'light'; set that too, or leave it out",
        ),
        ({"mean__rate": 2}, "part.mean.name is 'heavy' or 'light', and it is None; set that too"),
        (
            {"mover": "light"},
            "part.mover is 'light', but it has fields of its own, such as part.mover.name",
        ),
        ({"mover__name": "lihgt"}, "part.mover.name is 'lihgt'; expected one of 'heavy', 'light'"),
        ({"mover__name": []}, r"part.mover.name is \[\]; expected one of 'heavy', 'light'"),
        ({"mover__name": {}, "mover__rate": 2}, "part.mover.rate has an effect only where"),
        ({"mover__name": None}, "part.mover.name is None; expected one of 'heavy', 'light'"),
        ({"mover__name": 3}, "part.mover.name is 3; expected one of 'heavy', 'light'"),
        ({"warm": {}}, "part.warm.steps is missing: found {}, expected steps too; set it"),
        ({"warm": {"steps": 1, "pace": 2}}, "part.warm.pace is 2; expected no such field"),
        ({"size": "big"}, "part.size is 'big'; expected an integer"),
        ({"words": "bare"}, "part.words is 'bare'; expected a list"),
        ({"words": [True]}, "part.words.0 is True; expected a string, in quotes"),
        ({"rows": [3]}, "part.rows.0 is 3; expected a mapping of its fields"),
        ({"mean": {"rate": 2}}, "part.mean.name is missing; it says of which kind the others are"),
        ({"mover": None}, "part.mover is None"),
        ({"mover__speed": 2}, "There is no field 'part.mover.speed' to override"),
        ({"size__more": 2}, "There is no field 'part.size.more' to override"),
    ],
)
def test_what_would_have_no_effect_or_is_not_there_is_refused(
    given: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        _overridden(**given)


def test_an_older_name_is_answered_with_todays() -> None:
    renamed = {"part.pace": "part.mover.rate"}
    with pytest.raises(
        ConfigError, match=r"'part.pace' to override any more; it is 'part.mover.ra"
    ):
        override(_Whole(), {"part.pace": 2}, renamed)
