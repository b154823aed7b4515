"""`prefect.yaml` on the local server: what changed is deployed, what was set in the page stays."""

import hashlib
import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

from storage.errors import StackError
from storage.layout import Layout
from tasks.prefect_server import PrefectServer
from tasks.supervision import SCRIPTS, last_words


def deploy(
    server: PrefectServer, layout: Layout, checkout: Path, environment: Mapping[str, str]
) -> None:
    """Deploys `prefect.yaml` of the checkout if that, or a flow of it, changed, or one is missing.

    A parameter, a schedule, a pause, … that was set in the page since the file was deployed last
    wins over the file and stays.

    Raises:
        StackError: there is no such file, or Prefect refuses it.
    """
    if not (checkout / "prefect.yaml").is_file():
        raise StackError(f"{checkout} has no prefect.yaml; run this in a checkout of corpusmill.")
    record = layout.stack / "deployed.json"
    known = json.loads(record.read_text()) if record.exists() else {"sources": {}, "set": {}}
    before = server.deployments()
    entrypoints = [each["entrypoint"] for each in before.values()]
    same = known["sources"] == _sources(checkout, entrypoints)
    if same and known["set"].keys() <= before.keys():
        return
    _run(layout, checkout, environment)
    after = server.deployments()
    for number in before.keys() & after.keys():
        deployed = known["set"].get(number, {})
        # Of what an earlier version has deployed nobody knows what was set since: all is kept.
        chosen = {
            name: value
            for name, value in before[number].items()
            if name != "entrypoint"
            and after[number][name] != value
            and deployed.get(name, ...) != value
        }
        if chosen:
            server.set_deployment(number, chosen)
    entrypoints = [each["entrypoint"] for each in after.values()]
    # What the file says, not what stays against it: else that would count as the file's next time.
    new = {"sources": _sources(checkout, entrypoints), "set": after}
    record.write_text(json.dumps(new), encoding="utf-8")


def _sources(checkout: Path, entrypoints: list[str]) -> dict[str, str]:
    """Digests of `prefect.yaml` and of the flows' files: their parameters are deployed too."""
    files = {"prefect.yaml"}
    for entrypoint in entrypoints:
        file, colon, _ = entrypoint.partition(":")
        files.add(file if colon else f"{entrypoint.rpartition('.')[0].replace('.', '/')}.py")
    paths = {file: checkout / file for file in sorted(files)}
    return {
        file: hashlib.sha256(path.read_bytes()).hexdigest()
        for file, path in paths.items()
        if path.is_file()
    }


def _run(layout: Layout, checkout: Path, environment: Mapping[str, str]) -> None:
    done = subprocess.run(
        [SCRIPTS / "prefect", "--no-prompt", "deploy", "--all"],
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
            f"{checkout / 'prefect.yaml'} was not deployed ({last_words(done.stdout)}); "
            f"see {log}, mend that and run `make up` again."
        )
