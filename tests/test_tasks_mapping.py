"""Groups of documents on this machine's processes, on Ray and on Dask: the same bytes, whatever."""

import json
import os
import signal
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from prefect import flow, task

from corpusmill.storage.artifacts import Ref, content_digest
from corpusmill.storage.errors import ConfigError, CorpusError
from corpusmill.storage.layout import Layout
from corpusmill.storage.settings import load_settings
from corpusmill.tasks.corpus import clean
from corpusmill.tasks.ingestion.building import build_corpus, plan_corpus
from corpusmill.tasks.ingestion.config import CleaningConfig, CorpusConfig
from corpusmill.tasks.ingestion.partitions import plan_partitions
from corpusmill.tasks.ingestion.parts import make_part
from corpusmill.tasks.ingestion.readers.reading import cut
from corpusmill.tasks.mapping import map_partitions, task_runner
from tests.extending import write_examples

# What the tests claim of their small partitions, so that they are not worked on in this process.
BIG = 64 << 20


def _map(runner: str, work: Any, calls: list[dict[str, Any]], processes: int = 2) -> list[Any]:
    settings = replace(load_settings(), task_runner=runner, processes=processes)

    @flow(name="map")
    def mapped() -> list[Any]:
        return map_partitions(settings, work, calls, [BIG] * len(calls), "work")

    return mapped()


def _text(folder: Path) -> Path:
    folder.mkdir()
    for number in range(6):
        lines = [
            {"text": f"Page\n{row}\nreport {number * row} was read, and {row} more 报告。"}
            for row in range(300)
        ]
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        (folder / f"{number}.jsonl").write_text(text, encoding="utf-8")
    return folder


def _corpus(root: Path, text: Path, runner: str | None) -> Ref:
    """The corpus of a folder, worked on by what a runner starts, or here."""
    layout = Layout(root)
    config = CorpusConfig(
        sources=(str(text),), cleaning=CleaningConfig(own_steps=("ours.steps:DropForms",))
    )
    sources = plan_corpus(layout, config).sources
    pieces = [piece for source in sources for file in source.files for piece in cut(file)]
    partitions = plan_partitions(pieces, partition_bytes=1)
    assert len(partitions) == 6
    calls: list[dict[str, Any]] = [
        {"layout": layout, "partition": partition, "config": config} for partition in partitions
    ]
    parts = _map(runner, clean, calls) if runner else [make_part(**call) for call in calls]
    return build_corpus(layout, sources, config, parts)


@dataclass(frozen=True)
class Made:
    """What this process makes of a folder of text."""

    text: Path
    digest: str


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory, prefect_server: str) -> Iterator[Made]:
    root = tmp_path_factory.mktemp("here")
    text = _text(root / "text")
    write_examples(root)
    with pytest.MonkeyPatch.context() as patch:
        # A step of one's own, which every process has to find.
        patch.setenv("PYTHONPATH", str(root))
        patch.syspath_prepend(root)
        yield Made(text, content_digest(_corpus(root / "home", text, None)))


@pytest.fixture(scope="module")
def ray_cluster(here: Made) -> Iterator[str]:
    """The address of a Ray cluster of two nodes, each with a core, on this machine."""
    pytest.importorskip("ray", reason="the extra ray is not installed")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    cluster.add_node(num_cpus=1)
    yield cluster.address
    cluster.shutdown()


@task
def node() -> str:
    import time

    import ray

    time.sleep(0.5)
    return str(ray.get_runtime_context().get_node_id())


@task
def die_once(mark: Path) -> int:
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return 7


@task
def refuse() -> None:
    raise CorpusError("one sentence")


def test_two_processes_make_the_same_corpus(tmp_path: Path, here: Made) -> None:
    assert content_digest(_corpus(tmp_path, here.text, "local")) == here.digest


@pytest.mark.long
def test_two_ray_nodes_make_the_same_corpus(tmp_path: Path, here: Made, ray_cluster: str) -> None:
    assert len(set(_map(f"ray={ray_cluster}", node, [{}] * 4))) == 2
    there = _corpus(tmp_path, here.text, f"ray={ray_cluster}")
    assert content_digest(there) == here.digest


@pytest.mark.long
def test_dask_makes_the_same_corpus(tmp_path: Path, here: Made) -> None:
    pytest.importorskip("prefect_dask", reason="the extra dask is not installed")
    assert content_digest(_corpus(tmp_path, here.text, "dask")) == here.digest


def test_a_cluster_of_dask_obeys_nobody_without_its_certificate() -> None:
    pytest.importorskip("prefect_dask", reason="the extra dask is not installed")
    from distributed import LocalCluster

    runner: Any = task_runner(replace(load_settings(), task_runner="dask", processes=0))
    stranger = ssl.create_default_context()
    stranger.check_hostname, stranger.verify_mode = False, ssl.CERT_NONE
    with LocalCluster(**runner.cluster_kwargs) as cluster:
        scheme, host, port = cluster.scheduler_address.split(":")
        assert (scheme, host) == ("tls", "//127.0.0.1")
        with (
            socket.create_connection(("127.0.0.1", int(port))) as line,
            pytest.raises(ssl.SSLError, match="certificate required"),
            stranger.wrap_socket(line) as caller,
        ):
            caller.recv(1)


def test_a_killed_process_is_replaced(tmp_path: Path, prefect_server: str) -> None:
    assert _map("local", die_once, [{"mark": tmp_path / "mark"}] * 3) == [7, 7, 7]


def test_an_error_of_a_group_is_the_error_of_the_stage(prefect_server: str) -> None:
    with pytest.raises(CorpusError, match="one sentence"):
        _map("local", refuse, [{}, {}], processes=1)


@pytest.mark.parametrize("runner", ["spark", "local=host"])
def test_an_unknown_runner_is_a_sentence(runner: str) -> None:
    with pytest.raises(ConfigError, match="expected local, ray, dask"):
        task_runner(replace(load_settings(), task_runner=runner))
