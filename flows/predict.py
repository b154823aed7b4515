"""The command `predict`: the texts of a file are answered by a model that fine-tuning has made."""

import sys
from pathlib import Path

import click

from corpusmill.flows.home import here, tracked
from corpusmill.flows.task_config import folder_of
from corpusmill.storage.markup import as_line
from corpusmill.storage.versions import check_labeller

ALERT = 3


@click.command()
@click.argument("model")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="A .csv, .tsv, .jsonl or .parquet to be written.",
)
@click.option("--text", default="text", show_default=True, help="Column of the texts.")
@click.option("--text-pair", help="Column of the second texts, for a model of pairs.")
@click.option(
    "--alert",
    nargs=2,
    type=(str, click.FloatRange(0, 1)),
    metavar="LABEL SHARE",
    help="End with status 3 if the label's mean probability is above this share.",
)
def predict(
    model: str,
    file: Path,
    out: Path,
    text: str,
    text_pair: str | None,
    alert: tuple[str, float] | None,
) -> None:
    """Answer the texts of FILE with MODEL, in order.

    MODEL is models:/NAME@ALIAS or models:/NAME/VERSION, or a folder that fine-tuning has made.
    """
    settings, layout = here()
    # Here: pyarrow takes half a second to import, MLflow two.
    from corpusmill.tasks.answering import answer_file

    folder = Path(model) if Path(model).is_dir() else folder_of(model)
    if folder is None:
        settings = tracked(settings, layout)
        from corpusmill.storage.aliases import version_at
        from corpusmill.storage.registry import fetch

        version = version_at(settings, model)
        check_labeller(version)
        folder = fetch(settings, layout, version).path
    with click.progressbar(
        length=file.stat().st_size,
        label="Answering",
        file=sys.stderr,
        hidden=not sys.stderr.isatty(),
    ) as bar:
        done = answer_file(
            layout,
            folder,
            file,
            out,
            text=text,
            text_pair=text_pair,
            labels=[alert[0]] if alert else [],
            shown=bar.update,
        )
    click.echo(f"{done.answered:,} texts of {file} are answered in {out}.")
    if done.flaws:
        click.echo(
            as_line(f"{done.flaws:,} rows could not be read; the first is {done.first_flaw}."),
            err=True,
        )
    if alert and done.shares.get(alert[0], 0.0) > alert[1]:
        label, share = alert
        said = f"{done.shares[label]:.1%} of the texts are {label}, which is above {share:.1%}."
        click.echo(as_line(said), err=True)
        sys.exit(ALERT)
