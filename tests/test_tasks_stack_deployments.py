"""`prefect.yaml` on a server that an earlier release has deployed to: what stays, what goes."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from corpusmill.storage.layout import Layout
from corpusmill.storage.settings import CHECKOUT, load_settings
from corpusmill.tasks.stack.deployments import deploy
from corpusmill.tasks.stack.prefect_server import PrefectServer

FLOW = """
from prefect import flow

pytestmark = pytest.mark.long

@flow(name="continue-pretraining")
def continue_pretraining({parameters}):
    pass
"""
BEFORE = "recipe: str = 'nightly', overrides: dict | None = None"
NOW = "name: str = 'gpt-tiny', overrides: dict | None = None, allow: list[str] | None = None"


@dataclass(frozen=True)
class Site:
    """A checkout with one flow and one deployment, and a server."""

    server: PrefectServer
    layout: Layout
    checkout: Path
    environment: dict[str, str]

    def deploy(self, parameters: str, deployment: dict[str, Any]) -> None:
        (self.checkout / "nights.py").write_text(FLOW.format(parameters=parameters))
        entry = {**deployment, "entrypoint": "nights.py:continue_pretraining"}
        text = yaml.safe_dump({"pull": [], "deployments": [entry]})
        (self.checkout / "prefect.yaml").write_text(text)
        deploy(self.server, self.layout, self.checkout, self.environment)

    @property
    def nightly(self) -> tuple[str, dict[str, Any]]:
        [found] = [
            (number, each)
            for number, each in self.server.deployments().items()
            if each["name"] == "nightly"
        ]
        return found


@pytest.fixture
def site(prefect_server: str, tmp_path: Path) -> Iterator[Site]:
    settings = replace(load_settings(), prefect_api_url=prefect_server, key=None)
    server, layout = PrefectServer(settings), Layout(tmp_path / "home")
    (layout.stack / "logs").mkdir(parents=True)
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    server.ensure_pool()
    site = Site(server, layout, checkout, {**os.environ, "PREFECT_API_URL": prefect_server})
    yield site
    server.remove_deployment(site.nightly[0])


def shipped() -> dict[str, Any]:
    """`nightly` as the file of this release has it."""
    file = yaml.safe_load((CHECKOUT / "prefect.yaml").read_text())
    [found] = [each for each in file["deployments"] if each["name"] == "nightly"]
    return dict(found)


def earlier() -> dict[str, Any]:
    """`nightly` as earlier releases had it."""
    limit = {"limit": 1, "collision_strategy": "CANCEL_NEW"}
    parameters = {"recipe": "nightly", "overrides": {}}
    return {**shipped(), "parameters": parameters, "concurrency_limit": limit}


@pytest.mark.parametrize("recorded", [True, False], ids=["recorded", "of an older release"])
@pytest.mark.parametrize("limit", [1, 3])
def test_the_limit_and_the_recipe_of_earlier_releases_go_and_the_persons_schedule_stays(
    site: Site, recorded: bool, limit: int
) -> None:
    site.deploy(BEFORE, earlier())
    number, before = site.nightly
    assert (before["concurrency_limit"], before["takes"]) == (1, ["overrides", "recipe"])
    cron = {"schedule": {"cron": "5 3 * * *", "timezone": "Asia/Shanghai"}, "active": True}
    overrides = {"train.max_steps": 7}
    chosen = {"schedules": [cron], "parameters": {"recipe": "nightly", "overrides": overrides}}
    site.server.set_deployment(number, {**chosen, "concurrency_limit": limit})
    if not recorded:
        (site.layout.stack / "deployed.json").unlink()

    site.deploy(NOW, shipped())

    _, after = site.nightly
    assert after["concurrency_limit"] is None
    assert after["parameters"] == {"name": "gpt-tiny", "overrides": overrides}
    assert after["takes"] == ["allow", "name", "overrides"]
    [schedule] = after["schedules"]
    assert schedule["schedule"]["cron"] == "5 3 * * *"
    assert schedule["schedule"]["timezone"] == "Asia/Shanghai"


def test_a_limit_that_a_person_sets_now_stays(site: Site) -> None:
    site.deploy(NOW, shipped())
    number, _ = site.nightly
    site.server.set_deployment(number, {"concurrency_limit": 2})
    site.deploy(NOW, {**shipped(), "description": "changed"})
    _, after = site.nightly
    assert (after["concurrency_limit"], after["description"]) == (2, "changed")


def test_what_was_cut_off_amid_the_change_of_release_brings_back_no_limit(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.deploy(BEFORE, earlier())
    number, _ = site.nightly
    site.server.set_deployment(number, {"concurrency_limit": 3, "paused": True})
    with monkeypatch.context() as power, pytest.raises(KeyboardInterrupt):
        power.setattr(PrefectServer, "set_deployment", _cut)
        site.deploy(NOW, shipped())
    site.deploy(NOW, shipped())
    _, after = site.nightly
    assert (after["concurrency_limit"], after["paused"]) == (None, True)


def _cut(*_: object) -> None:
    raise KeyboardInterrupt
