"""The MLflow model registry: versions without pickle, registered once and fetched again."""

import os
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.entities import LoggedModelOutput
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode

from corpusmill.storage.aliases import only_one, view
from corpusmill.storage.artifacts import Ref, Spec, content_digest, find, folder_digest, obtain
from corpusmill.storage.errors import ArtifactError
from corpusmill.storage.layout import Layout
from corpusmill.storage.manifest import MANIFEST, digest_file, verify
from corpusmill.storage.served import Served
from corpusmill.storage.settings import CHECKOUT, Settings
from corpusmill.storage.tracking import Tracker, connect, refusal
from corpusmill.storage.versions import CANDIDATE, CONTENT, DIGEST, RUN, RegisteredModel

_WEIGHTS = "model"
_REQUIREMENTS = ("torch", "accelerate", "tokenizers", "safetensors", "numpy", "pyarrow", "pydantic")


def register(
    layout: Layout,
    tracker: Tracker,
    name: str,
    model: Ref,
    tags: Mapping[str, str],
    served: Served,
) -> RegisteredModel:
    """Logs a model folder to a run and makes it a version, under the alias `candidate`.

    A version is there with all its tags or not at all. A model that is registered already, by a try
    before this one or another flow run, is not registered again, unless its files are gone: the
    alias moves to its version. One that was trained again and has other bytes is another model.

    Args:
        served: what answers with it.
    """
    client = tracker.client
    tags = {DIGEST: model.digest, CONTENT: content_digest(model), RUN: tracker.run_id, **tags}
    with only_one(layout, name):
        version = _find(client, name, tags)
        if version is None:
            model_id = _log(tracker, model, served)
            _keep_once(layout, model, model_id)
            with suppress(MlflowException):  # it is there, or the next call says what is wrong
                client.create_registered_model(name)
            version = client.create_model_version(
                name,
                f"models:/{model_id}",
                run_id=tracker.run_id,
                tags=tags,
                model_id=model_id,
            )
        # A model that was judged anew has other tags than those it was registered with; and an
        # older release gave a version its tags one by one, and may have been stopped at it.
        for key, value in tags.items():
            if version.tags.get(key) != value:
                client.set_model_version_tag(name, version.version, key, value)
        client.set_registered_model_alias(name, CANDIDATE, version.version)
        return view(client.get_model_version(name, version.version))


def check_files(settings: Settings, model: RegisteredModel) -> None:
    """Reads all files of a version in MLflow.

    Raises:
        ArtifactError: they are not what was registered.
        ServerError: the MLflow server does not answer.
    """
    connect(settings)
    try:
        with tempfile.TemporaryDirectory() as scratch:
            _download(model, Path(scratch))
    except ArtifactError as error:
        raise _not_registered(model, error) from error
    except MlflowException as error:
        raise refusal(settings, error) from error


def describe(settings: Settings, name: str, version: str, text: str) -> None:
    """Sets the description of a version (markdown)."""
    connect(settings).update_model_version(name, version, text)


def amend(settings: Settings, model: RegisteredModel, begins: str, line: str) -> None:
    """Puts a paragraph into the description of a version, in place of the one that begins so.

    Args:
        begins: words that `line` begins with.
    """
    client = connect(settings)
    there = client.get_model_version(model.name, model.version).description or ""
    kept = [each for each in there.rstrip().split("\n\n") if each and not each.startswith(begins)]
    client.update_model_version(model.name, model.version, "\n\n".join([*kept, line]) + "\n")


def fetch(settings: Settings, layout: Layout, model: RegisteredModel) -> Ref:
    """The version's model folder in the Hugging Face format, kept in the store once fetched.

    The model as it was trained in this store needs no copy, if it has the version's bytes. Of a
    version of before, whose digest of them is not known, it serves where MLflow's files are lost.

    Raises:
        ArtifactError: what MLflow gives back is not what was registered.
        ConfigError: another tool registered this version.
    """
    trained = _trained(layout, model)
    if trained and model.content:
        return trained
    inputs = {"model": model.digest}
    config = {"name": model.name, "version": model.version, "run": model.run_id}

    def write(directory: Path) -> None:
        connect(settings)
        with tempfile.TemporaryDirectory() as scratch:
            shutil.copytree(_download(model, Path(scratch)), directory, dirs_exist_ok=True)

    try:
        ref, _ = obtain(layout, Spec("registered", 1, inputs, config), write)
    except ArtifactError as error:
        if trained:
            return trained
        raise _not_registered(model, error) from error
    return ref


def _not_registered(model: RegisteredModel, error: ArtifactError) -> ArtifactError:
    return ArtifactError(
        f"The files of {model.uri} in MLflow are not what was registered ({error}); restore "
        "them, or give its alias to another version on the model's page in MLflow."
    )


def _trained(layout: Layout, model: RegisteredModel) -> Ref | None:
    """The version's model where it was trained in this store and is sound."""
    with suppress(ArtifactError):
        trained = find(layout, "model", model.digest)
        _check_content(model, trained.path)
        return trained
    return None


def _download(model: RegisteredModel, scratch: Path) -> Path:
    """The folder of the model in a copy of the version's files, without its manifest."""
    if not _has_files(model.uri):
        raise ArtifactError("they are gone")
    mlflow.artifacts.download_artifacts(f"{model.uri}/artifacts", dst_path=str(scratch))
    manifests = list(scratch.rglob(MANIFEST))
    if len(manifests) != 1:
        raise ArtifactError(f"found {len(manifests)} files called {MANIFEST}, expected one")
    verify(manifests[0].parent)
    _check_content(model, manifests[0].parent)
    manifests[0].unlink()
    return manifests[0].parent


def _check_content(model: RegisteredModel, folder: Path) -> None:
    if model.content and folder_digest(folder) != model.content:
        raise ArtifactError("they are those of another model")


def _has_files(uri: str) -> bool:
    try:
        return bool(mlflow.artifacts.list_artifacts(f"{uri}/artifacts"))
    except MlflowException as error:
        if error.error_code == ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
            return False
        raise


def _find(client: MlflowClient, name: str, tags: Mapping[str, str]) -> ModelVersion | None:
    """The version that holds a model of these bytes, where MLflow still has its files."""
    # By digest alone: a filter cannot quote every name.
    found = client.search_model_versions(f"tags.{DIGEST} = '{tags[DIGEST]}'")
    same = (each for each in found if (each.name, each.tags.get(CONTENT)) == (name, tags[CONTENT]))
    return next((each for each in same if _has_files(view(each).uri)), None)


def _log(tracker: Tracker, model: Ref, served: Served) -> str:
    """Logs a model folder to a run; the id under which MLflow keeps it.

    `mlflow.pyfunc.log_model` would load the model into this process, to try the example, and call
    the run finished.
    """
    client = tracker.client
    logged = client.create_logged_model(
        tracker.experiment_id, name=_WEIGHTS, source_run_id=tracker.run_id
    )
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / _WEIGHTS
        mlflow.pyfunc.save_model(
            path=str(folder),
            python_model=str(served.code),
            artifacts={_WEIGHTS: str(model.path)},
            code_paths=copy_code(Path(scratch) / "code"),
            signature=served.signature,
            input_example=served.example,
            pip_requirements=_requirements(),
            mlflow_model=Model(run_id=tracker.run_id, model_id=logged.model_id),
        )
        client.log_model_artifacts(logged.model_id, str(folder))
    client.finalize_logged_model(logged.model_id, "READY")
    client.log_outputs(tracker.run_id, [LoggedModelOutput(logged.model_id, step=0)])
    return str(logged.model_id)


def _keep_once(layout: Layout, model: Ref, model_id: str) -> None:
    """Has the weights that were logged and those in the store be one file by two names.

    Where MLflow keeps its files elsewhere, or on another disk, they stay two.
    """
    for logged in layout.tracked_files.glob(f"*/models/{model_id}/**/*.safetensors"):
        ours, link = model.path / logged.name, logged.with_suffix(".link")
        if ours.is_file() and digest_file(ours) == digest_file(logged):
            with suppress(OSError):
                os.link(ours, link)
                link.replace(logged)


def copy_code(scratch: Path) -> list[str]:
    """The packages that the served model needs, without what Python caches beside them."""
    package, cached = scratch / "corpusmill", shutil.ignore_patterns("__pycache__")
    for name in ("model", "storage"):
        shutil.copytree(CHECKOUT / name, package / name, ignore=cached)
    # What else is imported of us after it comes from where we are installed.
    extend = "from pkgutil import extend_path\n\n__path__ = extend_path(__path__, __name__)\n"
    (package / "__init__.py").write_text(extend)
    return [str(package)]


def _requirements() -> list[str]:
    from importlib.metadata import version

    # Without a local build's suffix, which no index serves.
    return [f"{name}=={version(name).split('+')[0]}" for name in (*_REQUIREMENTS, "mlflow")]
