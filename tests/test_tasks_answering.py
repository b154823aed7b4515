"""A file is answered row by row, in order, through a real process with the model."""

import csv
import json
import random
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from click.testing import CliRunner

from corpusmill.flows.predict import predict
from corpusmill.model.tasks.config import HeadConfig
from corpusmill.model.tasks.folder import export_labeller
from corpusmill.model.tasks.network import Labeller
from corpusmill.model.tokenizer.config import TokenizerConfig
from corpusmill.model.tokenizer.training import train_tokenizer
from tests.corpora import speeches
from tests.networks import DECODER, random_network

ROWS = 5_000  # more than are answered at once


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("labeller")
    (root / "tokenizer").mkdir()
    train_tokenizer(speeches(1), TokenizerConfig(vocab_size=400), root / "tokenizer")
    head = HeadConfig(kind="classification", labels=("bad", "good"), pooling="last")
    network = Labeller(random_network(DECODER, 400), head)
    network.init_head(0, keep_pooler=False)
    torch.nn.init.normal_(network.classifier.weight, generator=torch.Generator().manual_seed(0))
    export_labeller(network, root / "tokenizer", 64, root / "model")
    return root / "model"


@pytest.fixture(scope="module")
def answered(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the same texts answered in each form."""
    root, draw = tmp_path_factory.mktemp("answered"), random.Random(0)
    texts = [f'{number} {draw.choice("abcde")}, "quoted"' for number in range(ROWS)]
    with (root / "given.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("review", "stars"), *((text, "1") for text in texts)])
    for suffix in ("csv", "jsonl", "parquet"):
        out = str(root / f"out.{suffix}")
        given = [str(model), str(root / "given.csv"), "--out", out, "--text", "review"]
        found = CliRunner().invoke(predict, given)
        assert found.exit_code == 0, found.output
        assert f"{ROWS:,} texts" in found.output
    return root


def test_every_row_is_answered_in_order_whatever_the_form(answered: Path) -> None:
    with (answered / "out.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    lines = (answered / "out.jsonl").read_text(encoding="utf-8").splitlines()
    table = pq.read_table(answered / "out.parquet").to_pylist()
    assert [int(row["text"].split()[0]) for row in rows] == list(range(ROWS))
    for row, line, cells in zip(rows, map(json.loads, lines), table, strict=True):
        assert row["text"] == line["text"] == cells["text"]
        assert row["label"] == line["label"] == cells["label"]
        assert float(row["score of good"]) == line["scores"]["good"] == cells["scores"]["good"]


def test_a_column_that_is_missing_is_answered_with_those_there_are(
    model: Path, answered: Path
) -> None:
    given = [str(model), str(answered / "given.csv"), "--out", str(answered / "no.csv")]
    found = CliRunner().invoke(predict, given)
    assert "no column 'text'; expected one of 'review', 'stars'" in str(found.exception)
    assert not (answered / "no.csv").exists()


def test_a_folder_without_such_a_model_is_refused_in_a_sentence(
    answered: Path, tmp_path: Path
) -> None:
    given = [str(tmp_path), str(answered / "given.csv"), "--out", str(answered / "no.csv")]
    found = CliRunner().invoke(predict, [*given, "--text", "review"])
    assert "has no head.json" in str(found.exception)


def test_another_form_is_refused_before_anything_is_read(model: Path, answered: Path) -> None:
    given = [str(model), str(answered / "given.csv"), "--out", str(answered / "no.xls")]
    found = CliRunner().invoke(predict, given)
    assert "expected one of .jsonl, .csv, .tsv, .parquet" in str(found.exception)


def _share_of(rows: Path, label: str) -> float:
    lines = rows.read_text(encoding="utf-8").splitlines()
    shares: list[float] = [json.loads(line)["scores"][label] for line in lines]
    return sum(shares) / len(shares)


@pytest.mark.parametrize(("above", "status"), [(-0.01, 3), (0.01, 0)])
def test_a_share_above_the_threshold_is_told_by_the_status(
    model: Path, answered: Path, tmp_path: Path, above: float, status: int
) -> None:
    share = _share_of(answered / "out.jsonl", "good")
    out = tmp_path / "out.csv"
    given = [str(model), str(answered / "given.csv"), "--out", str(out), "--text", "review"]
    found = CliRunner().invoke(predict, [*given, "--alert", "good", f"{share + above:.4f}"])
    assert found.exit_code == status
    assert (f"{share:.1%} of the texts are good" in found.output) == (status == 3)
    assert len(out.read_text(encoding="utf-8").splitlines()) == ROWS + 1


def test_an_alert_for_a_label_that_is_unknown_is_refused_before_anything_is_written(
    model: Path, answered: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.csv"
    given = [str(model), str(answered / "given.csv"), "--out", str(out), "--text", "review"]
    found = CliRunner().invoke(predict, [*given, "--alert", "fine", "0.5"])
    assert "knows no label 'fine'; expected one of 'bad', 'good'" in str(found.exception)
    assert not out.exists()
