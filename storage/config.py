"""The base of all configuration, and how values from outside become it."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from corpusmill.storage.addresses import shown
from corpusmill.storage.errors import ConfigError
from corpusmill.storage.manifest import write_json

# What every generator of numpy and torch takes, and the keys of our own draws can hold.
Seed = Annotated[int, Field(ge=0, lt=2**32)]


class Config(BaseModel):
    """Base of all configuration: frozen; a field that does not exist is an error, and so is a
    number that is not finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


C = TypeVar("C", bound=BaseModel)

_FIELDS = "a mapping of its fields"
# What is expected by pydantic's types of errors, where its own sentences speak of Python.
_EXPECTED = {
    "string_type": "a string, in quotes",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "int_type": "an integer",
    "int_parsing": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "float_parsing": "a number",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a mapping of names to values",
    "model_type": _FIELDS,
    "model_attributes_type": _FIELDS,
    "extra_forbidden": "no such field",
}


def parse(kind: type[C], value: Any) -> C:
    """Builds a configuration value, or says in one sentence which field is wrong.

    Raises:
        ConfigError: with the field, what was found and what was expected.
    """
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(_place(value, first["loc"], first["type"] == "missing")) or kind.__name__
        if first["type"] == "union_tag_invalid":
            tag = first["ctx"]
            name = tag["discriminator"][1:-1]
            given = first["input"]
            found = given[name] if isinstance(given, Mapping) else tag["tag"]
            raise ConfigError(
                f"{place}.{name} is {shown(repr(found))}; expected one of {tag['expected_tags']}."
            ) from None
        if first["type"] == "union_tag_not_found":
            name = first["ctx"]["discriminator"][1:-1]
            raise ConfigError(
                f"{place}.{name} is missing; it says of which kind the others are."
            ) from None
        if first["type"] == "missing":
            found = shown(repr(first["input"]))
            raise ConfigError(
                f"{place} is missing: found {found}, expected {first['loc'][-1]} too; set it."
            ) from None
        if first["type"] in _EXPECTED:
            raise ConfigError(
                f"{place} is {shown(repr(first['input']))}; expected {_EXPECTED[first['type']]}."
            ) from None
        message = first["msg"].removeprefix("Value error, ")
        found = "" if first["type"] == "value_error" else f" is {shown(repr(first['input']))}"
        raise ConfigError(f"{place}{found}: {shown(message)}.") from None


def _place(value: Any, location: Sequence[str | int], missing: bool) -> Iterator[str]:
    """The path to a field; between its parts pydantic names the kinds of unions, which drop out."""
    for number, part in enumerate(location, start=1):
        inside = isinstance(value, Mapping) and part in value
        inside |= isinstance(part, int) and isinstance(value, Sequence)
        # A kind may be called as a field is, but what has no parts is not gone into.
        if inside and (number == len(location) or isinstance(value[part], (Mapping, list, tuple))):
            value = value[part]
            yield str(part)
    if missing:
        yield str(location[-1])


def read_json(kind: type[C], path: Path) -> C:
    """Reads a job or result file.

    Raises:
        ConfigError: unreadable, or a field that does not fit.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror}).") from error
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        raise ConfigError(f"{path} is not a {kind.__name__}: {error}") from error


def write_json_value(path: Path, value: BaseModel) -> None:
    """Writes a job or result file in one step: a reader never sees a part of it."""
    write_json(path, value.model_dump(mode="json"))
