"""Promotion against real servers: the better one, whatever happens meanwhile, and in one sentence
where nothing can be compared."""

import itertools
import logging
import re
import shutil
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import mlflow
import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from corpusmill.model.config import EvaluationResult
from corpusmill.storage.aliases import find_by_alias, only_one
from corpusmill.storage.artifacts import discard
from corpusmill.storage.ledger import Ledger
from corpusmill.storage.tracking import connect
from corpusmill.storage.versions import CHAMPION, RegisteredModel
from corpusmill.tasks.progress import ProgressBar
from corpusmill.tasks.registration import (
    Promotion,
    fetch_champion,
    look_at_champion,
    promote_by_judgement,
    promote_if_better,
)
from corpusmill.tasks.reports.gathering import read_line
from corpusmill.tasks.reports.outcome import to_json
from corpusmill.tasks.stages.judgement import Judgement
from corpusmill.tasks.tracking import FlowContext
from tests.outcomes import night
from tests.registered import EVALUATION, Shop, open_shop
from tests.servers import free_port, wait_for

pytestmark = pytest.mark.usefixtures("prefect_server")
BETTER = "version 1, the champion, is better: 2.000 against 3.000"
STAYS = "candidate; version 1, the champion, cannot be compared: .*; to let version 2 take"


@pytest.fixture(scope="module")
def shop(mlflow_server: str, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return open_shop(tmp_path_factory.mktemp("shop"), mlflow_server)


@pytest.fixture
def name() -> str:
    return f"model {uuid.uuid4().hex[:6]}"


def judge(shop: Shop, candidate: RegisteredModel, figures: EvaluationResult) -> Promotion:
    context = FlowContext(shop.settings, shop.layout, shop.tracker)
    return promote_if_better(context, candidate, figures, shop.corpus, EVALUATION)


def champion_of(shop: Shop, name: str) -> str:
    champion = find_by_alias(shop.settings, name, CHAMPION)
    assert champion
    return champion.version


def crowned(shop: Shop, name: str, bits: float) -> RegisteredModel:
    """The first version of a model, as its champion."""
    version = shop.version(name, bits)
    shop.client.set_registered_model_alias(name, CHAMPION, version.version)
    return version


def test_the_better_one_is_champion_and_another_try_changes_nothing(shop: Shop, name: str) -> None:
    for bits, promotion, champion in (
        (2.0, Promotion("promoted", "champion", "1"), "1"),
        (3.0, Promotion("worse", f"candidate; {BETTER}", "1", 2.0), "1"),
        (1.0, Promotion("promoted", "champion", "3"), "3"),
    ):
        candidate, figures = shop.version(name, bits), shop.model(bits)[1]
        for _ in range(2):
            assert judge(shop, candidate, figures) == promotion
            assert champion_of(shop, name) == champion


def test_a_model_promoted_while_another_is_judged_is_its_measure(
    shop: Shop, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    crowned(shop, name, 3.0)
    better, worse = (shop.version(name, bits) for bits in (1.0, 2.0))
    figures = shop.model(2.0)[1]
    with ThreadPoolExecutor() as threads, caplog.at_level(logging.INFO):
        with only_one(shop.layout, name):
            # Which Prefect server is asked is known to this context.
            judged = threads.submit(copy_context().run, judge, shop, worse, figures)
            wait_for(lambda: "champion: 3.000 bits per byte" in caplog.text, 30)
            shop.client.set_registered_model_alias(name, CHAMPION, better.version)
        assert not judged.result().champion
    assert champion_of(shop, name) == better.version


def test_a_night_that_another_flow_overtakes_names_its_champion_and_rejects_nothing(
    shop: Shop, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    before = crowned(shop, name, 3.0)
    mine, theirs = (shop.version(name, bits) for bits in (2.0, 1.0))
    shop.client.set_registered_model_alias(name, CHAMPION, theirs.version)
    better = Judgement("promoted", ("new text is better",), "bits_per_byte", False, 0.003, ())
    context = FlowContext(shop.settings, shop.layout, shop.tracker)
    with caplog.at_level(logging.WARNING):
        promotion = promote_by_judgement(context, mine, before, better, "how")
    assert promotion == Promotion(
        "overtaken", "refused; version 3 became the champion meanwhile", "3"
    )
    assert "stays the champion" not in caplog.text and "tried again by the next" in caplog.text
    assert not Ledger(shop.layout, name).read().rejected
    assert champion_of(shop, name) == "3"


def test_a_version_that_was_rolled_back_is_none_of_the_champions_of_the_line(
    shop: Shop, name: str
) -> None:
    version = crowned(shop, name, 3.0)
    told = replace(night("ours"), model=name, version=version.version)
    mlflow.MlflowClient(shop.settings.mlflow_url).log_text(
        version.run_id, to_json(told), "outcome.json"
    )
    later = replace(told, version="7")
    assert [each.champion for each in read_line(shop.settings, later, ())] == [True]
    (gone,) = read_line(shop.settings, later, {told.version})
    assert (gone.champion, gone.rolled_back) == (False, True)


@pytest.mark.parametrize(
    "fault", ["gone", "damaged", "foreign", "judged otherwise", "another tokenizer"]
)
def test_a_champion_that_cannot_be_compared_stays_and_the_run_goes_on(
    shop: Shop,
    mlflow_artifacts: Path,
    name: str,
    fault: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    bits = {"gone": 14.0, "damaged": 15.0}.get(fault, 3.0)
    if fault == "foreign":
        theirs = shop.foreign(name)
        shop.client.set_registered_model_alias(name, CHAMPION, theirs.version)
    else:
        champion = crowned(shop, name, bits)
        files = shop.files(mlflow_artifacts, champion)
        if fault == "gone":
            shutil.rmtree(files)
        elif fault == "damaged":
            [weights] = files.rglob("model.safetensors")
            weights.write_bytes(b"")
        discard(shop.model(bits)[0])
    figures = shop.model(1.0)[1]
    if fault == "judged otherwise":
        figures = figures.model_copy(update={"figures": {"bleu": 9.0}, "decides": "bleu"})
    elif fault == "another tokenizer":
        figures = figures.model_copy(update={"signature": "tokenizer:other"})
    context = FlowContext(shop.settings, shop.layout, shop.tracker)
    with caplog.at_level(logging.WARNING):
        look_at_champion(context, name)
    if fault in ("gone", "damaged", "foreign"):
        assert "version 1, the champion, cannot be compared with what is trained" in caplog.text
    candidate = shop.version(name, 1.0)
    promotion = judge(shop, candidate, figures)
    assert not promotion.champion
    assert re.match(STAYS, promotion.words)
    assert champion_of(shop, name) == "1"


def test_a_champion_whose_files_are_gone_gives_way_to_the_same_model_registered_anew(
    shop: Shop, mlflow_artifacts: Path, name: str
) -> None:
    champion = crowned(shop, name, 5.0)
    shutil.rmtree(shop.files(mlflow_artifacts, champion))
    model, figures = shop.model(5.0)
    again = shop.register(name, model)  # version 1 has no files
    assert judge(shop, again, figures).champion
    assert champion_of(shop, name) == again.version == "2"


@pytest.fixture
def shaky(shop: Shop, mlflow_server: str) -> Iterator[str]:
    """An address at which MLflow is away for three requests and answers then."""
    calls = itertools.count(1)

    class Away(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(503 if next(calls) <= 3 else 307)
            self.send_header("Location", mlflow_server + self.path)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Away) as server:
        Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
    connect(shop.settings)


def test_a_server_that_is_away_for_a_moment_ends_no_night(
    shop: Shop, name: str, shaky: str
) -> None:
    crowned(shop, name, 7.0)
    champion = find_by_alias(shop.settings, name, CHAMPION)
    assert champion
    shutil.rmtree(shop.layout.artifact("model", champion.digest))
    patient = fetch_champion.with_options(retry_delay_seconds=0)
    base = patient(replace(shop.settings, mlflow_url=shaky), shop.layout, champion)
    assert (base.path / "model.safetensors").read_text() == "weights 7.0"


@pytest.mark.filterwarnings("ignore:Artifact creation outside of a flow")
def test_a_prefect_server_that_is_away_costs_no_work() -> None:
    with temporary_settings({PREFECT_API_URL: f"http://127.0.0.1:{free_port()}/api"}):
        ProgressBar("training").show(50.0, "half way")
