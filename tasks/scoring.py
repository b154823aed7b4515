"""The tasks of the flow that evaluates: which version, on what text, and its figures."""

from collections.abc import Mapping
from typing import Any

from corpusmill.model.config import EvaluationConfig
from corpusmill.model.evaluation.probe_items import probe_identity
from corpusmill.storage import aliases
from corpusmill.storage.artifacts import Ref
from corpusmill.storage.layout import Layout
from corpusmill.storage.manifest import digest_json, read_manifest
from corpusmill.storage.settings import Settings
from corpusmill.storage.versions import RegisteredModel, check_language_model
from corpusmill.tasks.ingestion.config import CorpusConfig
from corpusmill.tasks.reports.scores import Scores
from corpusmill.tasks.retries import stage
from corpusmill.tasks.stages import evaluation, scored_text
from corpusmill.tasks.stages.by_source import figures_by_source
from corpusmill.tasks.stages.held_out import Choice, choose_documents
from corpusmill.tasks.stages.past import held_out_of, memory_of


@stage("find-version")
def find_version(settings: Settings, address: str) -> tuple[RegisteredModel, Mapping[str, Any]]:
    """The version at an address, and the config that it was made by.

    Raises:
        ConfigError: there is none, its config is gone, another tool registered it, or it answers
            with labels.
        ServerError: the MLflow server does not answer.
    """
    version = aliases.version_at(settings, address)
    check_language_model(version)
    return version, aliases.config_of(settings, version)


@stage("take-text")
def take_text(layout: Layout, config: CorpusConfig) -> Ref:
    """Every document of some sources, as it is."""
    return scored_text.take_text(layout, config)


@stage("collect-held-out")
def collect_held_out(layout: Layout, version: RegisteredModel) -> Ref:
    """All text that was ever held out of the line of a version.

    Raises:
        StackError: some of it is gone.
    """
    all_of_it = Choice("held out", held_out_of(layout, memory_of(layout, version)), "validation")
    return choose_documents(layout, [all_of_it])


@stage("score")
def score(
    layout: Layout, model: Ref, text: Ref | None, config: EvaluationConfig, name: str
) -> Scores:
    """The figures of a model on a text, and that by which models are compared source by source.

    Args:
        text: None where probes alone are asked.

    Raises:
        CorpusError: files of a probe are gone.
    """
    scored, result = evaluation.make_evaluation(layout, model, text, config, name)
    asked = {each.name for each in result.probes}
    digests = {
        each.name: digest_json(probe_identity(each)) for each in config.probes if each.name in asked
    }
    if text is None:
        return Scores(name, "", result, "", (), probe_digests=digests)
    figure, rows = figures_by_source(scored.path)
    sources = read_manifest(text.path)["counts"].get("sources", ["held out"])
    return Scores(
        name,
        ", ".join(sources),
        result,
        figure,
        rows,
        text_digest=text.digest,
        probe_digests=digests,
        dropped=scored_text.dropped_of(text),
    )
