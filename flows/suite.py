"""The flow `suite`: one pretrained model on a list of tasks, beside what it has to beat."""

import re
from typing import Any

from prefect import flow

from corpusmill.flows.config import resolve
from corpusmill.flows.recipes.suites import SUITES
from corpusmill.flows.run_names import name_suite
from corpusmill.flows.suite_config import SuiteConfig, task_of
from corpusmill.flows.task_config import FinetuneConfig, folder_of, on_this_hardware, with_steps
from corpusmill.storage.artifacts import Ref
from corpusmill.storage.errors import CorpusError
from corpusmill.storage.manifest import read_manifest
from corpusmill.tasks.finetuning import bring_start
from corpusmill.tasks.stages.suites import TaskSet
from corpusmill.tasks.suites import fill_cells, read_task, report_suite
from corpusmill.tasks.tracking import begin_flow, tracked_run


@flow(name="suite", flow_run_name=name_suite)
def suite(
    start: str = "models:/bert-tiny@champion",
    recipe: str = "en",
    overrides: dict[str, Any] | None = None,
) -> None:
    """Teaches every task of a suite to a pretrained model, over several seeds, and compares.

    Args:
        start: a registered model, `models:/NAME@ALIAS` or `models:/NAME/VERSION`, or a folder in
            the Hugging Face format with its tokenizer; a relative one lies below the checkout.
        recipe: en or zh, or `package.module:name` of one's own.
        overrides: dotted fields, such as {"suite.folder": "/data", "suite.seeds": 5}.
    """
    settings = begin_flow()
    config = resolve(SUITES, recipe, overrides or {})
    tasks = {name: task_of(config, name) for name in config.tasks}
    folder = folder_of(start)
    name = folder.name if folder else re.split("[@/]", start.removeprefix("models:/"))[0]
    with tracked_run(settings, name, f"suite {recipe}", config) as context:
        begins = bring_start(context, start, folder)
        read = {
            name: read_task(context, name, task.task, list(begins.corpora))
            for name, task in tasks.items()
        }
        sets = _sets(config, tasks, read)
        cells = fill_cells(context, begins.model, sets, config.method, config.suite.seeds)
        report_suite(context, recipe, begins, read, cells)


def _sets(
    config: SuiteConfig, tasks: dict[str, FinetuneConfig], read: dict[str, Ref | str]
) -> list[TaskSet]:
    """The tasks that could be read, with the steps of each.

    Raises:
        CorpusError: none could.
    """
    there = {name: made for name, made in read.items() if isinstance(made, Ref)}
    if not there:
        raise CorpusError(f"No task of the suite could be read: {next(iter(read.values()))}")
    hardware = on_this_hardware(config.train).hardware
    sets = []
    for name, made in there.items():
        counts = read_manifest(made.path)["counts"]
        given = tasks[name], counts["train"]["kept"], counts["validation"]["kept"]
        train = with_steps(*given).model_copy(update={"hardware": hardware})
        sets.append(TaskSet(name, made, train))
    return sets
