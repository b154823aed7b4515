"""`corpusmill prune` and `corpusmill verify`, on a store and a registry of their own."""

import json
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from click.testing import CliRunner, Result

from corpusmill.flows.command_line import main
from corpusmill.storage.aliases import promote, versions
from corpusmill.storage.layout import Layout
from corpusmill.storage.registry import fetch, register
from corpusmill.storage.served import text_generation
from corpusmill.storage.settings import Settings, load_settings
from corpusmill.storage.tracking import open_run
from corpusmill.storage.versions import CANDIDATE, CHAMPION
from tests.registered import add_foreign
from tests.servers import MlflowServer, artifacts_of
from tests.stores import artifacts_in, begin_line, make_older

NAME = 'bob\'s "小" line'


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Settings, Path]]:
    """A home with two versions, of which the second is the champion, and where its files are."""
    folder = tmp_path_factory.mktemp("registry")
    server = MlflowServer(folder)
    server.start()
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("CORPUSMILL_HOME", str(folder / "home"))
            patch.setenv("MLFLOW_TRACKING_URI", server.url)
            settings = load_settings()
            source = _fill(settings)
            yield settings, artifacts_of(folder) / source.removeprefix("mlflow-artifacts:/")
    finally:
        server.stop()


def _fill(settings: Settings) -> str:
    """Registers the versions, and one of another tool; where the files of the first are."""
    layout = Layout(settings.home)
    tracker = open_run(settings, "flow run", "line", {"flow": "pretrain"})
    line, client = begin_line(layout, "line"), tracker.client
    for _ in range(2):
        model, tags = line.night()
        version = register(layout, tracker, NAME, model, tags, text_generation("Once"))
    promote(settings, layout, version, None)
    client.create_registered_model("theirs")
    add_foreign(client, tracker.run_id, "theirs")
    make_older(layout.root, days=8)
    return str(client.get_model_version_download_uri(NAME, "1"))


def _command(*words: str) -> Result:
    return CliRunner().invoke(main, words)


def test_versions_come_with_their_aliases(home: tuple[Settings, Path]) -> None:
    settings, _ = home
    aliases = {each.uri: each.aliases for each in versions(settings)}
    assert aliases == {
        f"models:/{NAME}/1": frozenset(),
        f"models:/{NAME}/2": {CANDIDATE, CHAMPION},
        "models:/theirs/1": frozenset(),
    }
    assert {each.version for each in versions(settings, NAME)} == {"1", "2"}


def test_the_lineage_of_a_version_is_printed_as_a_tree_and_as_json(
    home: tuple[Settings, Path],
) -> None:
    settings, _ = home
    champion = next(each for each in versions(settings, NAME) if CHAMPION in each.aliases)
    said = _command("lineage", NAME).output
    assert said.startswith(f"● {NAME} version 2 (candidate, champion)")
    assert f"{champion.tags['memory']}  memory of" in said and "run                  line," in said
    assert _command("lineage", f"models:/{NAME}@{CANDIDATE}").output == said
    assert _command("lineage", f"models:/{quote(f'{NAME}@{CANDIDATE}')}").output == said
    (first,) = json.loads(_command("lineage", f"{NAME}/1", "--json").output)
    assert (first["version"], first["aliases"], first["run"]["name"]) == ("1", [], "line")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("lineage", f"{NAME}/3"), f"There is no {NAME}/3 in the registry; expected a version"),
        (
            ("lineage", f"{NAME}@best"),
            f"(candidate, champion), such as {shlex.quote(f'{NAME}/2')}.",
        ),
        (("lineage", "nobody"), "There is no nobody@champion in the registry; expected a version"),
        (("lineage", f"{NAME[:-1]}/1"), f"of one of its models: {NAME}, theirs."),
        (("lineage", "theirs/1"), "so it is not one that corpusmill registered"),
        (("show", "abcde"), "is no digest; expected at least 6 of its hexadecimal digits"),
        (("show", "abcdefabcdef"), "and its registry has the digest abcdefabcdef; expected one"),
    ],
)
def test_what_there_is_not_is_said_in_one_sentence(
    home: tuple[Settings, Path], words: tuple[str, ...], sentence: str
) -> None:
    settings, _ = home
    said = _command(*words)
    assert said.exit_code == 1 and settings
    assert sentence in said.output and said.output.count("\n") == 1


def test_a_digest_is_explained(home: tuple[Settings, Path]) -> None:
    settings, _ = home
    version = versions(settings, NAME)[0]
    said = _command("show", version.digest[:8])
    assert said.output.startswith(f"{version.digest}\nan artifact: model\n  folder")
    assert f"the model of models:/{NAME}/{version.version}" in said.output
    run = _command("show", version.tags["run_id"]).output
    assert "the run in MLflow that judged" in run


def test_what_is_shown_goes_only_when_asked_for_and_every_version_stays_whole(
    home: tuple[Settings, Path],
) -> None:
    settings, _ = home
    layout = Layout(settings.home)
    before = artifacts_in(layout)
    shown = _command("prune")
    assert "would be free; nothing is removed yet: `make prune YES=1`" in shown.output
    assert artifacts_in(layout) == before
    assert _command("verify").exit_code == 0
    assert " MB in all" in _command("prune", "--yes").output
    left = {kind for kind, _ in before - artifacts_in(layout)}
    figures = {"evaluation", "compression", "contamination"}
    assert left == {"part", "corpus", "model"} | figures
    verified = _command("verify")
    assert verified.exit_code == 0, verified.output
    assert "versions in MLflow        2 sound\n" in verified.output
    for version in versions(settings, NAME):
        assert (
            (fetch(settings, layout, version).path / "content.bin").read_text().startswith("model")
        )


def test_what_is_damaged_or_lost_is_named_and_the_command_fails(
    home: tuple[Settings, Path],
) -> None:
    settings, files = home
    layout = Layout(settings.home)
    [weights] = files.rglob("content.bin")
    weights.write_bytes(b"x" * weights.stat().st_size)
    shutil.rmtree(layout.artifacts("held_out"))
    said = _command("verify")
    assert said.exit_code == 1
    assert "versions in MLflow        1 sound, 1 not\n" in said.output
    assert f"The files of models:/{NAME}/1 in MLflow are not what was registered" in said.output
    assert said.output.count("needs it to be continued; restore the store from a copy") == 2
