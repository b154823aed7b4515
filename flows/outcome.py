"""What a terminal shows after a run, and runs that only have a journal."""

import json
import textwrap
from pathlib import Path

from corpusmill.model.training.job import TrainingJob
from corpusmill.storage.config import read_json
from corpusmill.storage.errors import StackError
from corpusmill.storage.layout import RunLayout
from corpusmill.storage.markup import as_line
from corpusmill.storage.settings import Settings
from corpusmill.storage.tracking import file_of_run, open_run
from corpusmill.tasks.reports.corpus.words import counted
from corpusmill.tasks.reports.outcome import SHOWN
from corpusmill.tasks.stack.authentication import link
from corpusmill.tasks.stages.evaluation import in_words
from corpusmill.tasks.training import project_journal


def project_run(settings: Settings, directory: Path) -> str:
    """Sends the journal of a run that Prefect did not start to MLflow; the address of its page.

    Raises:
        ConfigError: the folder holds no job.json.
        ServerError: the MLflow server does not answer.
    """
    run = RunLayout(directory)
    job = read_json(TrainingJob, run.job)
    tracker = open_run(settings, f"journal-{job.digest}", directory.name, {"flow": "train"})
    tracker.log_config(job.model_dump(mode="json"))
    project_journal(tracker, run.journal)
    tracker.finish("FINISHED" if run.result.exists() else "KILLED")
    return tracker.link


def print_outcome(settings: Settings, flow_run_id: str) -> None:
    """Prints links, version, figures and samples of a flow run that has finished.

    Raises:
        StackError: MLflow has nothing of this run.
    """
    text = file_of_run(settings, flow_run_id, "outcome.json")
    if text is None:
        raise StackError(
            f"MLflow at {settings.mlflow_url} has nothing of the flow run {flow_run_id}, expected "
            "its outcome: look at its page in Prefect for what happened."
        )
    outcome = json.loads(text)
    title = f"{outcome['model']} version {outcome['version']} ({outcome['standing']})"
    print(f"\n{as_line(title)}\n")
    figure = in_words(outcome["decides"])
    figure = figure[:1].upper() + figure[1:]
    documents = counted(outcome["held_out_documents"], "held-out document")
    print(f"{figure} of {documents}:")
    score = outcome["figures"][outcome["decides"]]
    for name, value in {"this model": score, **outcome["baselines"]}.items():
        print(as_line(f"  {value:.3f}  {name}"))
    print(f"\n{SHOWN[outcome['decides']]}:")
    for sample in outcome["samples"]:
        continued = f"[{sample['prompt']}] {sample['continuation']}"
        if sample["reference"] is not None:
            continued += f" (reference: {sample['reference']})"
        text = as_line(" ".join(continued.split()))
        print(textwrap.fill(text, 96, initial_indent="  ", subsequent_indent="  "))
        print()
    assert settings.key is not None, "settings in effect"
    print(f"Report   {link(outcome['report_url'], settings.key)}")
    print(f"Prefect  {link(outcome['flow_run_url'], settings.key)}")
    print(f"MLflow   {link(outcome['mlflow_url'], settings.key)}")
