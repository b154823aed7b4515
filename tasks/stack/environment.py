"""The environment in which processes and shells speak to the local stack."""

import json
import os
import shlex
from collections.abc import Mapping
from pathlib import Path

from corpusmill.storage.layout import Layout
from corpusmill.storage.settings import LOCAL, USER, Settings, around_proxies
from corpusmill.tasks.stack.authentication import authorization, write_private
from corpusmill.tasks.stack.supervision import SCRIPTS

_PROXY_NONE = ("NO_PROXY", "no_proxy")
_PROXIES = tuple(f"{kind}_PROXY" for kind in ("ALL", "HTTP", "HTTPS"))
_PROXIES += tuple(map(str.lower, _PROXIES))
# What Prefect's HTTP client can speak; anything else in one of these ends it at once.
_PROXY_SCHEMES = ("http", "https", "socks5", "socks5h")


def environment_file(layout: Layout) -> Path:
    """The file that a shell sources to talk to the stack; written by `up`, kept by `down`."""
    return layout.stack / "environment.sh"


def process_environment(settings: Settings, layout: Layout) -> dict[str, str]:
    """The environment of every process that belongs to the stack or talks to it.

    Variables of Prefect and MLflow that this shell has for other servers are left out.
    """
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PREFECT_", "MLFLOW_", "SUPERVISOR_"))
    }
    for name in _PROXIES:
        scheme, marked, rest = inherited.get(name, "").partition("://")
        if scheme == "socks":
            # As desktops write it; httpx knows SOCKS by its version only.
            inherited[name] = f"socks5://{rest}"
        elif marked and scheme not in _PROXY_SCHEMES:
            del inherited[name]
    # Code of one's own is found there; the stack runs in a folder of its own.
    if path := inherited.get("PYTHONPATH"):
        folders = (str(Path(each).absolute()) for each in path.split(os.pathsep) if each)
        inherited["PYTHONPATH"] = os.pathsep.join(folders)
    ours = {**_addresses(settings, layout), "MLFLOW_EXPERIMENT_NAME": settings.experiment}
    for name in _PROXY_NONE:
        ours[name] = around_proxies(inherited.get(name))
    return {**inherited, **ours, "PATH": f"{SCRIPTS}{os.pathsep}{inherited.get('PATH', '')}"}


def write_environment(settings: Settings, layout: Layout) -> None:
    """Writes `environment.sh`, readable by its owner only: the key is in it."""
    lines = [
        f"export {name}={shlex.quote(value)}"
        for name, value in _addresses(settings, layout).items()
    ]
    lines += [
        f'case ",${{{name}:-}}," in *,127.0.0.1,*) ;; '
        f'*) export {name}="{",".join(LOCAL)}${{{name}:+,${name}}}";; esac'
        for name in _PROXY_NONE
    ]
    lines += [
        f'case "${{{name}:-}}" in socks://*) export {name}="socks5://${{{name}#socks://}}";; esac'
        for name in _PROXIES
    ]
    text = "\n".join(["# Written by `make up`, sourced by .venv/bin/activate.", *lines, ""])
    write_private(environment_file(layout), text)


def _addresses(settings: Settings, layout: Layout) -> Mapping[str, str]:
    assert settings.key is not None, "a stack that runs has a key"
    return {
        "CORPUSMILL_HOME": str(settings.home),
        "PREFECT_PORT": str(settings.prefect_port),
        "MLFLOW_PORT": str(settings.mlflow_port),
        # Not ~/.prefect, which belongs to the user's other work with Prefect.
        "PREFECT_HOME": str(layout.stack / "prefect"),
        "PREFECT_API_URL": settings.prefect_api_url,
        "PREFECT_CLIENT_CUSTOM_HEADERS": json.dumps({"Authorization": authorization(settings.key)}),
        "MLFLOW_TRACKING_URI": settings.mlflow_url,
        # Not a token: a name and password in the user's ~/.mlflow/credentials would win over it.
        "MLFLOW_TRACKING_USERNAME": USER,
        "MLFLOW_TRACKING_PASSWORD": settings.key,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "DO_NOT_TRACK": "true",
    }
