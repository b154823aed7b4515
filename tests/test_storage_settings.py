"""What the environment says, and what it must not."""

from pathlib import Path

import pytest
import requests

from corpusmill.storage import settings
from corpusmill.storage.settings import USER, go_around_proxies, load_settings


def test_a_home_has_one_name_whatever_leads_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "home")
    homes = set()
    for name in ("home", "link", "link/../home"):
        monkeypatch.setenv("CORPUSMILL_HOME", str(tmp_path / name))
        homes.add(load_settings().home)
    assert homes == {(tmp_path / "home").resolve()}


def test_an_installed_wheel_keeps_nothing_beside_its_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CORPUSMILL_HOME", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr(settings, "CHECKOUT", tmp_path)
    assert load_settings().home == tmp_path / "data" / "corpusmill"
    (tmp_path / "prefect.yaml").touch()
    assert load_settings().home == tmp_path / "var"


@pytest.mark.parametrize("value", ["auto", "0", "-1", ""])
def test_what_no_launcher_writes_is_one_process(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_WORLD_SIZE", value)
    monkeypatch.setenv("RANK", value)
    assert (load_settings().local_processes, load_settings().rank) == (1, 0)


def test_a_netrc_for_every_host_does_not_replace_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".netrc").write_text("default login somebody password secret\n")
    (tmp_path / ".netrc").chmod(0o600)
    for name in ("NETRC", "NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, str(tmp_path / ".netrc") if name == "NETRC" else "")
    go_around_proxies()
    header = {"Authorization": f"Basic {USER}"}
    with requests.Session() as session:
        request = requests.Request("GET", "http://127.0.0.1:1/", headers=header)
        assert session.prepare_request(request).headers["Authorization"] == header["Authorization"]
