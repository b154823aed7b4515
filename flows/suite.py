"""The flow `suite`: one pretrained model on a list of tasks, beside all that it has to beat."""

from typing import Any

from prefect import flow, get_run_logger

from corpusmill.flows.config import resolve
from corpusmill.flows.recipes.suites import SUITES
from corpusmill.flows.run_names import model_named, name_suite
from corpusmill.flows.suite_config import SuiteConfig, fitted_to, folder_of_suite, on_this_machine
from corpusmill.flows.task_config import folder_of
from corpusmill.storage.errors import ArtifactError, CorpusError, InputError
from corpusmill.storage.manifest import read_manifest
from corpusmill.tasks.examples import make_examples
from corpusmill.tasks.finetuning import Start, bring_start
from corpusmill.tasks.stages.suites import Exam, cells_of
from corpusmill.tasks.suites import make_table, measure, report_suite
from corpusmill.tasks.tracking import FlowContext, begin_flow, tracked_run


@flow(name="suite", flow_run_name=name_suite)
def suite(
    start: str = "models:/bert-tiny@champion",
    recipe: str = "en",
    overrides: dict[str, Any] | None = None,
) -> None:
    """Puts a pretrained model to each task of a suite, several times, and makes one table of it.

    A task whose files are missing, or a cell that fails, is told in the table, and the others go
    on; the flow fails where no task could be scored. What was measured before is reused.

    Args:
        start: a registered model, `models:/NAME@ALIAS` or `models:/NAME/VERSION`, or a folder in
            the Hugging Face format with its tokenizer; a relative one lies below the checkout.
        recipe: en or zh, or `package.module:name` of one's own.
        overrides: dotted fields, such as {"suite.folder": "/data", "suite.seeds": 5}.
    """
    config = resolve(SUITES, recipe, overrides or {})
    folder_of_suite(config)
    with tracked_run(begin_flow(), model_named(start), recipe, config) as context:
        begins = bring_start(context, start, folder_of(start))
        exams, unread = _exams(context, on_this_machine(config), begins)
        cells = cells_of(exams, config.suite.seeds, config.suite.embeddings)
        answered, failed = measure(context, begins.model, exams, config.method, cells)
        table = make_table(context, exams, config.method, answered, failed, unread)
        if not table.rows:
            first = next(iter(table.missing.values()))
            raise InputError(
                f"None of the {len(config.suite.tasks)} tasks could be scored; the first reason: "
                f"{first}"
            )
        report_suite(context, recipe, begins, exams, answered, table)


def _exams(
    context: FlowContext, config: SuiteConfig, begins: Start
) -> tuple[list[Exam], dict[str, str]]:
    """The tasks that can be read, and of the others why they cannot."""
    exams, unread = list[Exam](), dict[str, str]()
    folder = folder_of_suite(config)
    for task in config.suite.tasks:
        try:
            wanted = task.examples_in(folder, config.suite.limit)
            examples = make_examples(context.layout, wanted, list(begins.corpora))
            counts = read_manifest(examples.path)["counts"]
            if not counts["test"]["kept"]:
                raise CorpusError("there is no test example; expected some to score on.")
        except (InputError, ArtifactError) as error:
            unread[task.name] = str(error).split("\n")[0]
            get_run_logger().warning("the task %s is left out: %s", task.name, unread[task.name])
            continue
        train = fitted_to(config, wanted, counts["train"]["kept"])
        exams.append(Exam(task.name, examples, task.metric, train))
    return exams, unread
