"""A report as one file of HTML that asks for nothing else."""

from functools import cache

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from corpusmill.tasks.reports.corpus.words import visible
from corpusmill.tasks.reports.outline import Report


def render_html(report: Report) -> str:
    """The page, for light and dark screens and for telephones."""
    return _environment().get_template("report.html").render(report=report)


def environment(*folders: tuple[str, str]) -> Environment:
    """Templates of pages that ask for nothing else, with the style that all pages share.

    Args:
        folders: further ones with templates, each a package and a path in it.
    """
    places = (("corpusmill.tasks.reports", "pages"), *folders)
    return Environment(
        loader=ChoiceLoader([PackageLoader(*place) for place in places]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _environment() -> Environment:
    found = environment()
    found.filters |= {"visible": visible, "drawn": Markup}
    return found
