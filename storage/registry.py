"""The MLflow model registry: versions without pickle, the aliases `candidate` and `champion`."""

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode
from mlflow.types.schema import AnyType, ColSpec, ParamSchema, ParamSpec, Schema

from storage.artifacts import Ref, Spec, obtain
from storage.errors import ConfigError
from storage.layout import Layout
from storage.manifest import MANIFEST, verify
from storage.settings import CHECKOUT, Settings
from storage.tracking import connect, refusal

CANDIDATE, CHAMPION = "candidate", "champion"
_WEIGHTS = "model"
_REQUIREMENTS = ("torch", "accelerate", "tokenizers", "safetensors", "numpy", "pyarrow", "pydantic")


@dataclass(frozen=True)
class RegisteredModel:
    """One version in the registry."""

    name: str
    version: str
    run_id: str
    tags: Mapping[str, str]

    @property
    def uri(self) -> str:
        return f"models:/{self.name}/{self.version}"


def register(
    settings: Settings, run_id: str, name: str, model: Ref, tags: Mapping[str, str], example: str
) -> RegisteredModel:
    """Logs a model folder to a run and makes it a version, under the alias `candidate`.

    A model that is registered already, by a try before this one or another flow run, is not
    registered again: the alias moves to its version.

    Args:
        example: a prompt, to show how the model is asked.
    """
    client = connect(settings)
    for version in _versions(client, name):
        if version.tags.get("model_digest") == model.digest:
            client.set_registered_model_alias(name, CANDIDATE, version.version)
            return _view(version)
    with mlflow.start_run(run_id=run_id), tempfile.TemporaryDirectory() as scratch:
        info = mlflow.pyfunc.log_model(
            name=_WEIGHTS,
            python_model=str(CHECKOUT / "model" / "serving.py"),
            artifacts={_WEIGHTS: str(model.path)},
            code_paths=_copy_code(Path(scratch)),
            signature=served_signature(),
            input_example=({"prompt": [example]}, {"max_new_tokens": 40}),
            pip_requirements=_requirements(),
            registered_model_name=name,
        )
    number = str(info.registered_model_version)
    for key, value in {"model_digest": model.digest, **tags}.items():
        client.set_model_version_tag(name, number, key, value)
    client.set_registered_model_alias(name, CANDIDATE, number)
    return _view(client.get_model_version(name, number))


def promote(settings: Settings, model: RegisteredModel) -> None:
    """Gives a version the alias `champion`."""
    connect(settings).set_registered_model_alias(model.name, CHAMPION, model.version)


def describe(settings: Settings, name: str, version: str, text: str) -> None:
    """Sets the description of a version (markdown)."""
    connect(settings).update_model_version(name, version, text)


def find_by_alias(settings: Settings, name: str, alias: str) -> RegisteredModel | None:
    """The version under an alias, or None where there is none."""
    client = connect(settings)
    try:
        return _view(client.get_model_version_by_alias(name, alias))
    except MlflowException as error:
        if error.error_code in (
            ErrorCode.Name(RESOURCE_DOES_NOT_EXIST),
            "INVALID_PARAMETER_VALUE",  # what the SQL store answers for an unknown alias
        ):
            return None
        raise


def champion_or_refuse(settings: Settings, name: str) -> RegisteredModel:
    """The version under `champion`.

    Raises:
        ConfigError: there is none yet.
        StackError: the MLflow server does not answer.
    """
    try:
        champion = find_by_alias(settings, name, CHAMPION)
    except MlflowException as error:
        raise refusal(settings, error) from error
    if champion is None:
        raise ConfigError(
            f"models:/{name}@champion does not exist; train one first with `make run` or "
            "`prefect deployment run pretrain/full`, or name another registered model."
        )
    return champion


def fetch(settings: Settings, layout: Layout, model: RegisteredModel) -> Ref:
    """The version's model folder in the Hugging Face format, kept in the store once fetched.

    Raises:
        ArtifactError: what MLflow gives back is not what was registered.
    """
    inputs = {"model": model.tags["model_digest"]}
    config = {"name": model.name, "version": model.version, "run": model.run_id}

    def write(directory: Path) -> None:
        connect(settings)
        with tempfile.TemporaryDirectory() as scratch:
            mlflow.artifacts.download_artifacts(f"{model.uri}/artifacts", dst_path=scratch)
            [manifest] = Path(scratch).rglob(MANIFEST)
            verify(manifest.parent)
            manifest.unlink()
            shutil.copytree(manifest.parent, directory, dirs_exist_ok=True)

    ref, _ = obtain(layout, Spec("registered", 1, inputs, config), write)
    return ref


def _versions(client: MlflowClient, name: str) -> list[ModelVersion]:
    return list(client.search_model_versions(f"name='{name}'"))


def _view(version: ModelVersion) -> RegisteredModel:
    run_id = str(version.run_id)
    return RegisteredModel(version.name, str(version.version), run_id, dict(version.tags))


def _copy_code(scratch: Path) -> list[str]:
    """The packages that the served model needs, without what Python caches beside them."""
    return [
        str(
            shutil.copytree(
                CHECKOUT / name, scratch / name, ignore=shutil.ignore_patterns("__pycache__")
            )
        )
        for name in ("model", "storage")
    ]


def served_signature() -> ModelSignature:
    """What a served model takes and gives, as MLflow shows it; the defaults of `AnswerRequest`."""
    params = [
        ParamSpec("max_new_tokens", "long", 80),
        ParamSpec("temperature", "double", 0.8),
        ParamSpec("top_k", "long", 50),
        ParamSpec("top_p", "double", 1.0),
        ParamSpec("seed", "long", 0),
    ]
    return ModelSignature(
        # Of a column of strings MLflow would make "None" of null, and "['a']" of a list.
        inputs=Schema([ColSpec(AnyType(), "prompt")]),
        outputs=Schema([ColSpec("string")]),
        params=ParamSchema(params),
    )


def _requirements() -> list[str]:
    from importlib.metadata import version

    # Without a local build's suffix, which no index serves.
    return [f"{name}=={version(name).split('+')[0]}" for name in (*_REQUIREMENTS, "mlflow")]
