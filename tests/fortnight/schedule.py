"""What happens in the fortnight, night by night."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tests.fortnight.texts import Speeches, chinese, random_words

Kind = Literal["speeches", "empty", "edited", "rollback", "poisoned", "chinese"]


@dataclass(frozen=True)
class Step:
    """One night, or one command between two.

    Attributes:
        label: names it.
        files: texts that are put into the folder before it, by path in that.
        overrides: that this night is given.
    """

    label: str
    kind: Kind
    files: Mapping[str, str] = field(default_factory=dict)
    overrides: Mapping[str, Any] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        """Of the texts."""
        return sum(len(text.encode()) for text in self.files.values())


@dataclass(frozen=True)
class Size:
    """How large a fortnight is.

    Attributes:
        recipe: of the base.
        earlier: how many of the earlier speeches, the last ones, the base learns from.
        later: how many of the later ones, the first ones, the nights learn from.
        nights: that learn from them.
        after: of the nights, by number, those after which something else happens.
        poison: documents and bytes of each.
        base, night, poisoned: overrides of all runs of each kind.
    """

    recipe: str
    earlier: int
    later: int
    nights: int
    after: Mapping[int, Sequence[Kind]]
    poison: tuple[int, int]
    base: Mapping[str, Any] = field(default_factory=dict)
    night: Mapping[str, Any] = field(default_factory=dict)
    poisoned: Mapping[str, Any] = field(default_factory=dict)


WHOLE = Size(
    recipe="gpt-tiny",
    earlier=10_000,
    later=10_000,
    nights=14,
    after={
        3: ["empty"],
        5: ["edited"],
        7: ["rollback"],
        9: ["poisoned"],
        11: ["chinese"],
        14: ["empty"],
    },
    poison=(200, 40_000),
)
QUICK = Size(
    recipe="gpt-smoke",
    earlier=30,
    later=12,
    nights=3,
    after={1: ["empty", "edited"], 2: ["rollback", "poisoned"], 3: ["chinese", "empty"]},
    poison=(40, 10_000),
    base={"train.max_steps": 60},
    night={
        "night.rate_factor": 0.5,
        "night.max_steps": 20,
        "night.quarantine.loss_factor": 1.2,
    },
    # A network that knows next to nothing learns from random words too: the gate is alone with
    # them, and the rate does the harm.
    poisoned={
        "night.quarantine.max_unlike": 1,
        "night.rate_factor": 1,
        "train.optimizer.learning_rate": 0.5,
    },
)


def steps(speeches: Speeches, size: Size, data: Path) -> Iterator[Step]:
    """The nights in their order; after the poisoned one, other poison comes with good text."""
    poisoned = False
    for number, share in enumerate(speeches.shares(size.nights), 1):
        files = {f"speeches/{path.name}": path.read_text(encoding="utf-8") for path in share}
        if poisoned:
            files |= _poison(speeches, size, 2)
        yield Step(f"night {number}", "speeches", files)
        poisoned = False
        for kind in size.after.get(number, ()):
            if kind == "poisoned":
                poisoned = True
                yield Step("poisoned", kind, _poison(speeches, size, 1), size.poisoned)
            elif kind == "chinese":
                files = {f"chinese/{name}": text for name, text in chinese(data, 60).items()}
                yield Step("Chinese", kind, files)
            elif kind == "edited":
                yield Step("edited", kind, _edited(speeches.later[0]))
            else:
                yield Step(f"{kind} after {number}", kind)


def _poison(speeches: Speeches, size: Size, number: int) -> dict[str, str]:
    documents = random_words(speeches.earlier, *size.poison, seed=number)
    return {f"poison-{number}/{name}": text for name, text in documents.items()}


def _edited(path: Path) -> dict[str, str]:
    """A speech of the first night with another word."""
    text = path.read_text(encoding="utf-8")
    edited = text.replace(" free ", " open ", 1)
    assert edited != text
    return {f"speeches/{path.name}": edited}
