"""Versions of the packages that decide what a stage makes, our own among them."""

from importlib.metadata import PackageNotFoundError, version


def installed(package: str) -> str:
    """The version of a package, or that it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
