"""The registry against a real server: whole versions or none, one champion, files that are gone."""

import os
import re
import shutil
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from mlflow.exceptions import MlflowException

from corpusmill.storage.aliases import champion_or_refuse, find_by_alias, promote, roll_back
from corpusmill.storage.artifacts import content_digest, discard
from corpusmill.storage.errors import ArtifactError, ConfigError
from corpusmill.storage.layout import Layout
from corpusmill.storage.registry import check_files, copy_code, describe, fetch, register
from corpusmill.storage.served import text_generation
from corpusmill.storage.settings import CHECKOUT
from corpusmill.storage.versions import CANDIDATE, CHAMPION
from tests.registered import TAGS, Shop, open_shop


@pytest.fixture(scope="module")
def shop(mlflow_server: str, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return open_shop(tmp_path_factory.mktemp("shop"), mlflow_server)


@pytest.fixture
def name() -> str:
    """One that an MLflow filter cannot quote, and that no other test has."""
    return f'bob\'s "小" model {uuid.uuid4().hex[:6]}'


def test_a_model_is_registered_once_with_all_its_tags(shop: Shop, name: str) -> None:
    model, _ = shop.model(1.0)
    first, second = shop.register(name, model), shop.register(name, model)
    assert first == second == find_by_alias(shop.settings, name, CANDIDATE)
    content = content_digest(model)
    made = {"model_digest": model.digest, "model_content": content, "run_id": shop.tracker.run_id}
    assert first.tags == {**made, **TAGS}
    assert shop.versions(name) == ["1"]
    assert shop.client.get_run(shop.tracker.run_id).info.status == "RUNNING"
    describe(shop.settings, name, first.version, "said")
    copy = fetch(shop.settings, Layout(shop.settings.home / "elsewhere"), first)
    assert (copy.path / "model.safetensors").read_text() == "weights 1.0"


def test_a_model_that_is_judged_anew_has_the_tags_of_that(shop: Shop, name: str) -> None:
    model, _ = shop.model(1.0)
    shop.register(name, model)
    again = register(
        shop.layout, shop.tracker, name, model, {**TAGS, "corpus": "another"}, text_generation("")
    )
    assert (again.version, again.tags["corpus"]) == ("1", "another")


def test_a_version_that_cannot_have_its_tags_is_not_made(shop: Shop, name: str) -> None:
    model, _ = shop.model(1.0)
    with pytest.raises(MlflowException):
        register(
            shop.layout,
            shop.tracker,
            name,
            model,
            {"corpus": "x" * 100_001},
            text_generation("Once"),
        )
    assert shop.versions(name) == []


def test_a_version_that_lacks_tags_gets_them_when_it_is_registered_again(
    shop: Shop, name: str
) -> None:
    model, _ = shop.model(1.0)
    shop.version(name, 1.0)
    assert shop.register(name, model).tag("corpus") == "some"
    assert shop.versions(name) == ["1"]


def test_of_two_flows_that_would_replace_one_champion_one_does(shop: Shop, name: str) -> None:
    candidates = [shop.version(name, 1.0), shop.version(name, 1.0)]
    for _ in range(5):
        shop.client.delete_registered_model_alias(name, CHAMPION)
        together = Barrier(2)

        def run(number: int, together: Barrier = together) -> str:
            together.wait()
            return promote(shop.settings, shop.layout, candidates[number], None).version

        with ThreadPoolExecutor(2) as threads:
            said = list(threads.map(run, range(2)))
        champion = find_by_alias(shop.settings, name, CHAMPION)
        assert champion and said == [champion.version] * 2


@pytest.mark.parametrize("cut", [False, True])
def test_a_rollback_finds_the_previous_champion_even_if_its_promotion_was_cut(
    shop: Shop, name: str, cut: bool
) -> None:
    first, second, third = (shop.version(name, value) for value in (1.0, 2.0, 3.0))
    for before, version in ((None, first), (first, second), (second, third)):
        promote(shop.settings, shop.layout, version, before)
    if cut:
        shop.client.set_registered_model_alias(name, CHAMPION, second.version)
    was, now = roll_back(shop.settings, shop.layout, name)
    assert (was.version, now.version) == (("2", "1") if cut else ("3", "2"))


def test_files_that_mlflow_has_lost_are_taken_from_the_store_they_were_trained_in(
    shop: Shop, mlflow_artifacts: Path, name: str
) -> None:
    model, _ = shop.model(3.0)
    version = shop.register(name, model)
    shutil.rmtree(shop.files(mlflow_artifacts, version))
    assert fetch(shop.settings, shop.layout, version) == model
    elsewhere = Layout(shop.settings.home / "elsewhere")
    with pytest.raises(ArtifactError, match=r"not what was registered \(they are gone\); restore"):
        fetch(shop.settings, elsewhere, version)
    assert shop.register(name, model).version == "2"


def test_a_model_that_was_trained_in_this_store_is_not_fetched_once_more(
    shop: Shop, name: str
) -> None:
    model, _ = shop.model(7.0)
    version = shop.register(name, model)
    assert fetch(shop.settings, shop.layout, version) == model
    (model.path / "model.safetensors").write_text("damaged")
    fetched = fetch(shop.settings, shop.layout, version)
    assert fetched.kind == "registered"
    assert (fetched.path / "model.safetensors").read_text() == "weights 7.0"


def test_weights_are_on_disk_once_where_mlflow_keeps_its_files_beside_the_store(
    shop: Shop, mlflow_artifacts: Path, name: str
) -> None:
    shop.layout.tracked_files.parent.mkdir(parents=True)
    shop.layout.tracked_files.symlink_to(mlflow_artifacts)
    model, _ = shop.model(7.0)
    version = shop.register(name, model)
    shop.layout.tracked_files.unlink()
    [ours] = model.path.glob("*.safetensors")
    [logged] = shop.files(mlflow_artifacts, version).rglob(ours.name)
    assert ours.samefile(logged)
    check_files(shop.settings, version)


def test_a_model_trained_again_with_other_bytes_is_another_one(
    shop: Shop, mlflow_artifacts: Path, name: str
) -> None:
    model, _ = shop.model(6.0)
    version = shop.register(name, model)
    discard(model)
    again, _ = shop.model(6.0, "other weights")
    assert again.digest == model.digest
    other = shop.register(name, again)
    assert shop.register(name, again) == other
    assert other.version == "2"
    shutil.rmtree(shop.files(mlflow_artifacts, version))
    with pytest.raises(ArtifactError, match=r"not what was registered \(they are gone\)"):
        fetch(shop.settings, shop.layout, version)


def test_files_that_were_damaged_in_mlflow_are_refused(
    shop: Shop, mlflow_artifacts: Path, name: str
) -> None:
    model, _ = shop.model(4.0)
    version = shop.register(name, model)
    [weights] = shop.files(mlflow_artifacts, version).rglob("model.safetensors")
    weights.write_bytes(b"x" * weights.stat().st_size)
    discard(model)
    with pytest.raises(ArtifactError, match="does not have the SHA-256"):
        fetch(shop.settings, shop.layout, version)


def test_a_champion_that_another_tool_registered_is_refused_in_a_sentence(
    shop: Shop, name: str
) -> None:
    theirs = shop.foreign(name)
    shop.client.set_registered_model_alias(name, CHAMPION, theirs.version)
    champion = champion_or_refuse(shop.settings, name)
    with pytest.raises(ConfigError, match="has no tag 'model_digest', so it is not one that corp"):
        fetch(shop.settings, shop.layout, champion)


def test_beside_the_code_of_a_version_all_else_is_what_is_installed(tmp_path: Path) -> None:
    copy_code(tmp_path)
    program = "import corpusmill.model, corpusmill.flows; print(corpusmill.model, corpusmill.flows)"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-P", "-c", program]
    shown = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    model, flows = re.findall(r"from '(.*?)'", shown.stdout)
    assert model == str(tmp_path / "corpusmill" / "model" / "__init__.py")
    assert Path(flows).resolve() == CHECKOUT / "flows" / "__init__.py"
