"""The environment of the stack's processes, whatever the shell holds that started it."""

from dataclasses import replace
from pathlib import Path

import pytest

from corpusmill.storage.layout import Layout
from corpusmill.storage.settings import load_settings
from corpusmill.tasks.stack.environment import process_environment


def made(tmp_path: Path) -> dict[str, str]:
    return process_environment(replace(load_settings(), home=tmp_path, key="k"), Layout(tmp_path))


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("socks://127.0.0.1:7890/", "socks5://127.0.0.1:7890/"),
        ("socks5h://proxy:1080", "socks5h://proxy:1080"),
        ("http://proxy:3128", "http://proxy:3128"),
        ("proxy:3128", "proxy:3128"),
        ("socks4://proxy:1080", None),
    ],
)
@pytest.mark.parametrize("name", ["ALL_PROXY", "all_proxy", "HTTP_PROXY", "https_proxy"])
def test_a_proxy_is_kept_as_far_as_a_client_can_speak_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, given: str, kept: str | None
) -> None:
    monkeypatch.setenv(name, given)
    assert made(tmp_path).get(name) == kept


@pytest.mark.parametrize(
    ("given", "made_of_it"),
    [
        ("", "127.0.0.1,localhost"),
        ("intranet", "127.0.0.1,localhost,intranet"),
        ("localhost,127.0.0.1", "localhost,127.0.0.1"),
    ],
)
def test_no_proxy_stands_between_this_machine_and_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, made_of_it: str
) -> None:
    monkeypatch.setenv("NO_PROXY", given)
    monkeypatch.setenv("no_proxy", given)
    environment = made(tmp_path)
    assert (environment["NO_PROXY"], environment["no_proxy"]) == (made_of_it, made_of_it)


def test_servers_that_the_shell_names_are_not_those_of_the_stack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PREFECT_API_KEY", "MLFLOW_TRACKING_TOKEN", "MLFLOW_S3_ENDPOINT_URL"):
        monkeypatch.setenv(name, "of another server")
    assert "of another server" not in made(tmp_path).values()


def test_folders_of_ones_own_code_are_those_of_the_shell_wherever_the_stack_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    # An empty entry would be whatever folder a process runs in.
    monkeypatch.setenv("PYTHONPATH", ".::ours:/elsewhere")
    assert made(tmp_path)["PYTHONPATH"] == f"{tmp_path}:{tmp_path}/ours:/elsewhere"
