"""`prefect.yaml` on the local server: what changed is deployed, what was set in the page stays."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from corpusmill.storage.errors import StackError
from corpusmill.storage.layout import Layout
from corpusmill.storage.manifest import digest_file, write_json
from corpusmill.tasks.stack.prefect_server import PrefectServer
from corpusmill.tasks.stack.supervision import SCRIPTS, last_words

_OF_THE_FILE = ("name", "entrypoint", "takes")
# Until nights took a model's name, the nightly deployment had a limit: one run, whatever the model.
# A run that died without a word held it for ever.
_LIMIT = ("concurrency_limit", "concurrency_options")


def deploy(
    server: PrefectServer, layout: Layout, checkout: Path, environment: Mapping[str, str]
) -> None:
    """Deploys `prefect.yaml` of the checkout if that, or a flow of it, changed, or one is missing.

    A parameter, a schedule, a pause, … that was set in the page since the file was deployed last
    wins over the file and stays, if the flow still takes it.

    Raises:
        StackError: there is no such file, or Prefect refuses it.
    """
    file = _file(checkout)
    record = layout.stack / "deployed.json"
    known: dict[str, Any] = {"sources": {}, "set": {}, "kept": {}}
    known |= json.loads(record.read_text()) if record.exists() else {}
    before = server.deployments()
    entrypoints = [each["entrypoint"] for each in before.values()]
    same = known["sources"] == _sources(checkout, file, entrypoints)
    if same and known["set"].keys() <= before.keys():
        return
    chosen = {
        number: _chosen(each, known["set"].get(number, {})) for number, each in before.items()
    }
    # What an earlier call had overwritten when it was cut off, and this one may be.
    interrupted = known["kept"]
    kept = {**chosen, **interrupted}
    write_json(record, {"sources": {}, "set": known["set"], "kept": kept})
    _run(layout, checkout, file, environment)
    # What the file says, not what stays against it: else that would count as the file's next time.
    after = server.deployments()
    write_json(record, {"sources": {}, "set": after, "kept": kept})
    for number in before.keys() & after.keys():
        stays: dict[str, Any] = {}
        for values in (interrupted.get(number, {}), chosen[number]):
            fitting = _fitting(values, after[number])
            stays |= {name: each for name, each in fitting.items() if after[number][name] != each}
        if stays:
            server.set_deployment(number, stays)
    entrypoints = [each["entrypoint"] for each in after.values()]
    write_json(record, {"sources": _sources(checkout, file, entrypoints), "set": after, "kept": {}})


def _file(checkout: Path) -> Path:
    """`prefect.yaml` of a checkout; an installed wheel has it beside this module."""
    for file in (checkout / "prefect.yaml", checkout / "tasks" / "stack" / "prefect.yaml"):
        if file.is_file():
            return file
    raise StackError(
        f"{checkout} has no prefect.yaml; run this in a checkout of corpusmill, or install its "
        "wheel again."
    )


def _chosen(deployment: Mapping[str, Any], deployed: Mapping[str, Any]) -> dict[str, Any]:
    """What was set in the page since the file was deployed last.

    Of what an earlier version has deployed nobody knows that: all is kept.
    """
    # What a person set of a limit that the file had was set against that limit.
    past = _LIMIT if deployment["name"] == "nightly" and "recipe" in deployment["takes"] else ()
    return {
        name: value
        for name, value in deployment.items()
        if name not in (*_OF_THE_FILE, *past) and deployed.get(name, ...) != value
    }


def _fitting(values: Mapping[str, Any], deployed: Mapping[str, Any]) -> dict[str, Any]:
    """What was set in the page, its parameters as the flow takes them that is now deployed."""
    if "parameters" not in values:
        return dict(values)
    known = {name: each for name, each in values["parameters"].items() if name in deployed["takes"]}
    return {**values, "parameters": {**deployed["parameters"], **known}}


def _sources(checkout: Path, file: Path, entrypoints: list[str]) -> dict[str, str]:
    """Digests of `prefect.yaml` and of the flows' files: their parameters are deployed too."""
    files = {str(file.relative_to(checkout))}
    for entrypoint in entrypoints:
        named, colon, _ = entrypoint.partition(":")
        files.add(named if colon else f"{entrypoint.rpartition('.')[0].replace('.', '/')}.py")
    paths = {name: checkout / name for name in sorted(files)}
    return {name: digest_file(path) for name, path in paths.items() if path.is_file()}


def _run(layout: Layout, checkout: Path, file: Path, environment: Mapping[str, str]) -> None:
    done = subprocess.run(
        [SCRIPTS / "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", file],
        cwd=checkout,
        # Or the log is wrapped like a terminal's text, in mid-sentence.
        env={**environment, "COLUMNS": "200"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    log = layout.stack / "logs" / "deploy.log"
    log.write_text(done.stdout, encoding="utf-8")
    if done.returncode != 0:
        raise StackError(
            f"{file} was not deployed ({last_words(done.stdout)}); "
            f"see {log}, mend that and run `make up` again."
        )
