"""Models as small as can be in a real registry, with figures that are given."""

import uuid
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from corpusmill.model.config import EvaluationConfig, EvaluationResult
from corpusmill.storage.artifacts import Ref, Spec, content_digest, obtain
from corpusmill.storage.config import write_json_value
from corpusmill.storage.layout import Layout
from corpusmill.storage.registry import register
from corpusmill.storage.served import text_generation
from corpusmill.storage.settings import Settings, load_settings
from corpusmill.storage.tracking import Tracker, open_run
from corpusmill.storage.versions import CONTENT, DIGEST, RegisteredModel
from corpusmill.tasks.stages.evaluation import evaluation_spec

EVALUATION = EvaluationConfig(precision="fp32")
TAGS = {"corpus": "some", "licences": "CC0-1.0"}


@dataclass(frozen=True)
class Shop:
    """A store and a run, from which models are registered.

    Attributes:
        corpus: on which every model has been evaluated.
        sources: where MLflow has the files of models, by digest.
    """

    settings: Settings
    layout: Layout
    tracker: Tracker
    corpus: Ref
    sources: dict[str, str] = field(default_factory=dict)

    @property
    def client(self) -> MlflowClient:
        return self.tracker.client

    def model(self, bits: float, text: str = "weights") -> tuple[Ref, EvaluationResult]:
        """A model, evaluated with so many bits per byte."""
        spec = Spec("model", 1, config={"bits": bits})
        ref, _ = obtain(self.layout, spec, lambda folder: _write(folder, f"{text} {bits}"))
        figures = EvaluationResult(
            family="causal_lm",
            documents=1,
            bytes=1,
            predictions=1,
            figures={"bits_per_byte": bits},
            decides="bits_per_byte",
            precision="fp32",
            seconds=0.0,
        )
        obtain(
            self.layout,
            evaluation_spec(ref, self.corpus, EVALUATION),
            lambda folder: write_json_value(folder / "result.json", figures),
        )
        return ref, figures

    def register(self, name: str, model: Ref) -> RegisteredModel:
        return register(self.layout, self.tracker, name, model, TAGS, text_generation("Once"))

    def version(self, name: str, bits: float) -> RegisteredModel:
        """A version of `shop.model(bits)`, whose files are sent to MLflow once for all names."""
        model, _ = self.model(bits)
        if model.digest not in self.sources:
            first = self.register(self.settings.experiment, model)
            found = self.client.get_model_version(first.name, first.version)
            self.sources[model.digest] = str(found.source)
        with suppress(MlflowException):
            self.client.create_registered_model(name)
        made = self.client.create_model_version(
            name,
            source := self.sources[model.digest],
            tags={DIGEST: model.digest, CONTENT: content_digest(model)},
            model_id=source.removeprefix("models:/"),
        )
        return RegisteredModel(name, str(made.version), str(made.run_id), dict(made.tags))

    def versions(self, name: str) -> list[str]:
        found = self.client.search_model_versions()
        return sorted(version.version for version in found if version.name == name)

    def files(self, artifacts: Path, version: RegisteredModel) -> Path:
        """Where MLflow keeps the files of a version."""
        source = self.client.get_model_version_download_uri(version.name, version.version)
        return artifacts / source.removeprefix("mlflow-artifacts:/")

    def foreign(self, name: str) -> RegisteredModel:
        """A version that another tool registered."""
        if not self.versions(name):
            self.client.create_registered_model(name)
        return add_foreign(self.client, self.tracker.run_id, name)


def add_foreign(client: MlflowClient, run_id: str, name: str) -> RegisteredModel:
    """A version that another tool made of a file of a run."""
    source = f"{client.get_run(run_id).info.artifact_uri}/theirs"
    made = client.create_model_version(name, source, run_id)
    return RegisteredModel(name, str(made.version), run_id, {})


def open_shop(folder: Path, mlflow_url: str) -> Shop:
    """A shop with a store in this folder."""
    experiment = f"shop-{uuid.uuid4().hex[:8]}"
    settings = replace(load_settings(), home=folder, mlflow_url=mlflow_url, experiment=experiment)
    tracker = open_run(settings, uuid.uuid4().hex, "shop", {"flow": "pretrain"})
    layout = Layout(folder)
    corpus, _ = obtain(layout, Spec("corpus", 1), lambda directory: _write(directory, ""))
    return Shop(settings, layout, tracker, corpus)


def _write(folder: Path, text: str) -> None:
    (folder / "model.safetensors").write_text(text, encoding="utf-8")
    (folder / "config.json").write_text('{"model_type": "qwen3"}', encoding="utf-8")
