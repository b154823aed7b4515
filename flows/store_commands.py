"""The commands about the store: what is not needed goes, and what is there is read and checked."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import groupby
from operator import attrgetter

import click

from corpusmill.flows.home import here, tracked
from corpusmill.storage.markup import as_line


class _Line:
    """A bar in one line of the terminal; none where standard error is a file."""

    def show(self, percent: float, description: str) -> None:
        """As of `corpusmill.tasks.stages.progress.Bar`."""
        if sys.stderr.isatty():
            click.echo(f"\r\x1b[K{percent:3.0f} %  {as_line(description)}", nl=False, err=True)


@contextmanager
def _line() -> Iterator[_Line]:
    try:
        yield _Line()
    finally:
        if sys.stderr.isatty():
            click.echo("\r\x1b[K", nl=False, err=True)


@click.command()
@click.option("--yes", is_flag=True, help="Remove it; without, it is only shown.")
@click.option(
    "--age",
    type=click.FloatRange(min=0),
    default=1.0,
    show_default=True,
    metavar="HOURS",
    help="What is younger stays, but for runs that are finished.",
)
def prune(*, yes: bool, age: float) -> None:
    """Remove what no version in the registry needs: old text, models without an alias, runs.

    What versions learned from and are judged by stays, and the models of those with an alias.
    """
    settings, layout = here()
    settings = tracked(settings, layout)
    # Here: MLflow takes two seconds to import, and the other commands need none of it.
    from corpusmill.storage.aliases import versions
    from corpusmill.tasks.stages import pruning

    plan = pruning.plan_pruning(layout, versions(settings), age * pruning.HOUR)
    by_kind = attrgetter("kind")
    for kind, group in groupby(sorted(plan.removals, key=by_kind), by_kind):
        sizes = [each.bytes for each in group]
        click.echo(f"{kind:16} {len(sizes):6,}  {sum(sizes) / 1e6:10,.1f} MB")
    for note in plan.notes:
        click.echo(as_line(note))
    total = sum(each.bytes for each in plan.removals) / 1e6
    if not plan.removals:
        click.echo(f"Nothing in {layout.root} is to be removed.")
    elif yes:
        pruning.prune(plan)
        click.echo(f"Removed, {total:,.1f} MB in all. Downloads stay.")
    else:
        click.echo(
            f"{total:,.1f} MB in all would be free; nothing is removed yet: `make prune YES=1` or "
            "`corpusmill prune --yes` does it. Downloads stay."
        )


@click.command()
def verify() -> None:
    """Read everything in the store and in MLflow, and name what is not as it was written."""
    settings, layout = here()
    settings = tracked(settings, layout)
    from corpusmill.storage.aliases import versions
    from corpusmill.storage.registry import check_files
    from corpusmill.tasks.stages.verification import verify_store

    with _line() as bar:
        checked = verify_store(layout, versions(settings), partial(check_files, settings), bar)
    for each in checked:
        click.echo(f"{each.kind:20} {each.sound:6,} sound" + _not_sound(len(each.wrong)))
    wrong = [sentence for each in checked for sentence in each.wrong]
    for sentence in wrong:
        click.echo(as_line(sentence))
    if wrong:
        sys.exit(1)
    click.echo(f"All of {layout.root} is as it was written, and so is what MLflow keeps of it.")


def _not_sound(count: int) -> str:
    return f", {count:,} not" if count else ""
