"""Code of one's own, named as `package.module:Name`: found on PYTHONPATH, loaded and digested."""

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from corpusmill.storage.errors import ConfigError
from corpusmill.storage.manifest import digest_file, digest_json

_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
# Loaded twice, our own classes would not know each other.
_OURS = "corpusmill"
# What one's own code may raise: `sys.exit` in it is to end nothing of ours without a word.
OWN_ERRORS = (Exception, SystemExit)
# Kept on each loaded module: the digest of the sources that it was loaded from.
_LOADED = "__corpusmill_source__"


def is_own(name: str) -> bool:
    """Whether this names code of one's own, rather than something of ours by its word."""
    return ":" in name


def load_own(name: str) -> Any:
    """What `package.module:Name` names, from its source as it is now.

    A process that loaded it from other sources before, such as a worker that outlives a flow,
    loads the whole package again.

    Raises:
        ConfigError: no such module or name in it, or a module that raises when it is imported.
    """
    module = name.partition(":")[0]
    digest = digest_source(name)
    package = module.partition(".")[0]
    if package != _OURS and getattr(sys.modules.get(module), _LOADED, None) != digest:
        _forget(package)
        importlib.invalidate_caches()
    found = loaded_own(name)
    setattr(sys.modules[module], _LOADED, digest)
    return found


def loaded_own(name: str) -> Any:
    """The same, as `load_own` last loaded it in this process.

    Raises:
        ConfigError: as `load_own`.
    """
    module, _, attribute = name.partition(":")
    try:
        loaded = importlib.import_module(module)
    except OWN_ERRORS as error:
        if isinstance(error, ModuleNotFoundError) and _is_within(error.name, module):
            raise _not_found(name, error.name or module) from error
        raise ConfigError(
            f"{name} cannot be loaded: {module} raised {in_short(error)} when it was imported; "
            "expected a module that imports; mend it."
        ) from error
    if not hasattr(loaded, attribute):
        public = ", ".join(_defined(loaded)) or "nothing"
        raise ConfigError(
            f"{name} is not there: {loaded.__file__} holds {public}; expected {attribute}; correct "
            "the name."
        )
    return getattr(loaded, attribute)


def digest_source(name: str) -> str:
    """The digest of the sources of the top-level package that `name` lies in: all its .py files.

    What they import of other packages is not covered.

    Raises:
        ConfigError: not of the form `package.module:Name`, or no such package.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} does not name code of one's own; expected package.module:Name, such as "
            "ours.steps:DropForms."
        )
    package = name.partition(":")[0].partition(".")[0]
    sources = list(_sources(name, package))
    return digest_json([[place, digest_file(path)] for place, path in sorted(sources)])


def in_short(error: BaseException) -> str:
    """An error of somebody else's code in a few words: its type and the first line it says."""
    said = str(error).partition("\n")[0]
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def _sources(name: str, package: str) -> Iterator[tuple[str, Path]]:
    importlib.invalidate_caches()
    # The finders themselves: what was loaded before may be of a folder that is gone.
    specs = (finder.find_spec(package, None) for finder in sys.meta_path)
    spec = next(filter(None, specs), None)
    if spec is None:
        raise _not_found(name, package)
    if spec.submodule_search_locations is None and spec.has_location and spec.origin:
        yield Path(spec.origin).name, Path(spec.origin)
    for folder in map(Path, spec.submodule_search_locations or ()):
        for path in folder.rglob("*.py"):
            yield path.relative_to(folder).as_posix(), path


def _defined(module: ModuleType) -> list[str]:
    """The public names of a module that it does not import from others."""
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and not isinstance(value, ModuleType)
        and getattr(value, "__module__", module.__name__) == module.__name__
    ]


def _is_within(missing: str | None, module: str) -> bool:
    """Whether a missing module is this one or a package that it lies in."""
    return missing is not None and f"{module}.".startswith(f"{missing}.")


def _not_found(name: str, module: str) -> ConfigError:
    return ConfigError(
        f"{name} is not found: there is no module {module}; expected it on the PYTHONPATH of the "
        "worker and of every process that works for it: correct the name, or export PYTHONPATH "
        "with the absolute path of its folder, then `make down` and `make up`."
    )


def _forget(package: str) -> None:
    """Has the next import read a package's sources again; its extension modules stay."""
    for name in [each for each in sys.modules if f"{each}.".startswith(f"{package}.")]:
        file = getattr(sys.modules[name], "__file__", None)
        if file is None or file.endswith(".py"):
            del sys.modules[name]
