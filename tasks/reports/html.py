"""A report as one file of HTML that asks for nothing else."""

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from corpusmill.tasks.reports.corpus.words import visible
from corpusmill.tasks.reports.outline import Report


def render_html(report: Report) -> str:
    """The page, for light and dark screens and for telephones."""
    return _environment().get_template("report.html").render(report=report)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("corpusmill.tasks.reports", "pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"visible": visible, "drawn": Markup}
    return environment
