"""A store and a registry that the commit before the packages moved has made, opened by today's.

before_the_move.tar.xz is the home of `corpusmill run --param recipe=gpt-smoke`, of a network 16
wide, with what a night and a sample need: of the registered version all but its copy of the code.
"""

import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from corpusmill.flows.continued import continue_pretraining
from corpusmill.model.inference.answering import load_answerer
from corpusmill.model.inference.request import Sampling
from corpusmill.storage.aliases import find_by_alias
from corpusmill.storage.layout import Layout
from corpusmill.storage.registry import fetch
from corpusmill.storage.settings import Settings, load_settings
from corpusmill.storage.versions import CHAMPION, RegisteredModel
from tests.servers import MlflowServer

pytestmark = pytest.mark.long

NAME = "before"


@pytest.fixture(scope="module")
def home(prefect_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """The home as it was left, its MLflow server started by today's MLflow."""
    folder = tmp_path_factory.mktemp("before")
    with tarfile.open(Path(__file__).with_name("before_the_move.tar.xz")) as archive:
        archive.extractall(folder / "home", filter="data")
    server = MlflowServer(folder / "home" / "stack" / "mlflow")
    server.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CORPUSMILL_HOME", str(folder / "home"))
        patch.setenv("MLFLOW_TRACKING_URI", server.url)
        patch.chdir(folder)
        yield load_settings()
    server.stop()


def _champion(settings: Settings) -> RegisteredModel:
    champion = find_by_alias(settings, NAME, CHAMPION)
    assert champion
    return champion


def test_a_champion_of_before_goes_on_with_a_prompt(home: Settings) -> None:
    model = load_answerer(fetch(home, Layout(home.home), _champion(home)).path)
    (answer,) = model.answers(["The people"], max_new_tokens=8, sampling=Sampling(seed=1))
    assert answer and model.continues


def test_a_night_continues_a_champion_of_before(home: Settings, tmp_path: Path) -> None:
    before = _champion(home)
    for number in range(6):
        text = f"In spring the harbours of state {number} were filled with grain and people. " * 9
        (tmp_path / f"{number}.txt").write_text(text + str(number))
    overrides = {
        "corpus.sources": [f"{tmp_path}/*.txt"],
        "night.max_steps": 3,
        "night.warmup_steps": 1,
        # It has hardly learned, and would not pass.
        "night.rate_factor": 1,
        "evaluation.sample_tokens": 4,
    }
    assert continue_pretraining(NAME, overrides, return_state=True).is_completed()
    after = _champion(home)
    assert (before.version, after.version) == ("1", "2")
