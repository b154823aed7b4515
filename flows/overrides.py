"""Dotted overrides: fields deep in a configuration are changed by their names.

OmegaConf takes no pydantic models, and of a group whose kind changes it keeps what the new one has
not.
"""

import difflib
from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from corpusmill.storage.addresses import shown
from corpusmill.storage.config import parse
from corpusmill.storage.errors import ConfigError

C = TypeVar("C", bound=BaseModel)
Kinds = tuple[type[BaseModel], ...]


def override(
    config: C, overrides: Mapping[str, Any], renamed: Mapping[str, str] | None = None
) -> C:
    """The config with dotted overrides merged in, one field at a time, and validated.

    Where a group has several kinds and another one is named, it keeps the fields that both kinds
    have by one default; the others begin with the new one's. A group that can be left out, or has
    kinds, may also be given whole.

    Args:
        overrides: {"train.max_steps": 100, "train.optimizer.name": "adamw"}
        renamed: names that fields once had, and those that they have now.

    Raises:
        ConfigError: a field or a value that does not exist, with the nearest that does.
    """
    if not isinstance(overrides, Mapping):
        raise ConfigError(
            f"overrides is {shown(repr(overrides))}; expected a mapping of dotted names to values, "
            'such as {"train.max_steps": 100}.'
        )
    names = dict(_names((type(config),)))
    for name in map(str, overrides):
        if name not in names:
            raise ConfigError(_unknown(name, list(names), renamed or {}))
    values = config.model_dump()
    # Groups first, then what their kind is.
    for name in sorted(overrides, key=lambda name: (name.count("."), not names[name])):
        _put(values, (type(config),), name, overrides[name])
    return parse(type(config), values)


def _unknown(name: str, names: list[str], renamed: Mapping[str, str]) -> str:
    if name in renamed:
        return f"There is no field {name!r} to override any more; it is {renamed[name]!r} now."
    return (
        f"There is no field {name!r} to override; {nearest(name, names)}"
        "overrides are dotted names such as train.max_steps."
    )


def nearest(name: str, names: list[str]) -> str:
    """A question about the name that was meant, where one is like it."""
    by_leaf = {candidate.rsplit(".", 1)[-1]: candidate for candidate in names}
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    leaf = difflib.get_close_matches(name.rsplit(".", 1)[-1], by_leaf, n=1, cutoff=0.7)
    best = close or [by_leaf[match] for match in leaf]
    return f"did you mean {best[0]!r}? " if best else ""


def _names(kinds: Kinds, prefix: str = "") -> Iterator[tuple[str, bool]]:
    """What can be overridden, and whether it says of which kind its group is."""
    for kind in kinds:
        for name, field in kind.model_fields.items():
            inner, whole = _group(field.annotation)
            if whole or not inner:
                yield prefix + name, name == _tag(kinds)
            yield from _names(inner, f"{prefix}{name}.")


def _put(values: dict[str, Any], kinds: Kinds, name: str, value: Any, place: str = "") -> None:
    """Puts a value into those of a group, of which there are these kinds, at `place`."""
    head, _, rest = name.partition(".")
    tag = _tag(kinds)
    if head == tag:
        kept = _shared(values, kinds, tag, value)
        values.clear()
        values |= {tag: value, **kept}
        return
    having = [kind for kind in kinds if head in kind.model_fields]
    here = [kind for kind in having if tag is None or _says(kind, tag) == values.get(tag)]
    if not here:
        wanted = " or ".join(repr(_says(kind, str(tag))) for kind in having)
        raise ConfigError(
            f"{place}{name} has an effect only where {place}{tag} is {wanted}, and it is "
            f"{values.get(str(tag))!r}; set that too, or leave it out."
        )
    inner, _ = _group(here[0].model_fields[head].annotation)
    if rest:
        # A group given whole may lack this one, or hold something else in its place.
        values[head] = dict(values[head]) if isinstance(values.get(head), Mapping) else {}
        _put(values[head], inner, rest, value, f"{place}{head}.")
    elif inner and not (isinstance(value, Mapping) or value is None):
        first = _tag(inner) or next(iter(inner[0].model_fields))
        raise ConfigError(
            f"{place}{head} is {shown(repr(value))}, but it has fields of its own, such as "
            f"{place}{head}.{first}; set those."
        )
    else:
        values[head] = dict(value) if inner and value is not None else value


def _shared(values: Mapping[str, Any], kinds: Kinds, tag: str, chosen: Any) -> dict[str, Any]:
    """What stays of a group of one kind when another is chosen: a rate of the one is none of the
    other, as their defaults show.
    """
    before, after = (_fields(kinds, tag, each) for each in (values.get(tag), chosen))
    return {
        name: values[name]
        for name in (before.keys() & after.keys()) - {tag}
        if before[name].default == after[name].default
    }


def _fields(kinds: Kinds, tag: str, chosen: Any) -> dict[str, FieldInfo]:
    """Those of the kind that is chosen; none where the choice is none, which `parse` then says."""
    return next((kind.model_fields for kind in kinds if _says(kind, tag) == chosen), {})


def _group(annotation: Any) -> tuple[Kinds, bool]:
    """The kinds of a group, none for a plain field; and whether it can be given whole."""
    if get_origin(annotation) is Annotated:
        return _group(get_args(annotation)[0])
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return (annotation,), False
    if get_origin(annotation) not in (Union, UnionType):
        return (), False
    kinds: Kinds = ()
    for each in get_args(annotation):
        inner, _ = _group(each)
        if not inner and each is not type(None):
            return (), False
        kinds += inner
    return kinds, True


def _tag(kinds: Kinds) -> str | None:
    """The field that says which of several kinds a group is."""
    if len(kinds) == 1:
        return None
    return next(name for name in kinds[0].model_fields if _says(kinds[0], name) is not None)


def _says(kind: type[BaseModel], name: str) -> Any:
    """The only value of a field of a kind, where it has but one."""
    annotation = kind.model_fields[name].annotation
    allowed = get_args(annotation) if get_origin(annotation) is Literal else ()
    return allowed[0] if len(allowed) == 1 else None
