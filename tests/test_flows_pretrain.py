"""The flows from text to a registered model, with real servers and real processes."""

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from mlflow import MlflowClient
from prefect import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId

from corpusmill.flows.continued import continue_pretraining
from corpusmill.flows.pretrain import pretrain
from corpusmill.storage.aliases import find_by_alias
from corpusmill.storage.errors import ConfigError, CorpusError
from corpusmill.storage.layout import Layout
from corpusmill.storage.registry import fetch
from corpusmill.storage.settings import Settings, load_settings
from corpusmill.storage.tracking import FLOW_RUN_TAG, file_of_run
from corpusmill.storage.versions import CANDIDATE, CHAMPION
from tests.corpora import speeches
from tests.registered import add_foreign

# One that no filter, formula or font takes without care.
NAME = 'Bob\'s "小" $model_1$'

SMALL = {
    "registration.name": NAME,
    "tokenizer.vocab_size": 300,
    "train.hardware.num_processes": 1,
    "train.max_steps": 12,
    "train.validation.every": 6,
    "train.checkpoint_every": 6,
    "train.profile_steps": 2,
    "train.hardware.precision": "fp32",
    "evaluation.precision": "fp32",
    "evaluation.sample_tokens": 4,
}


@dataclass
class Mill:
    """One store with a folder of text, in which `run` runs the flows."""

    settings: Settings
    text: Path
    log: pytest.LogCaptureFixture | None = None

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(self.settings.mlflow_url)

    def pretrain(self, **overrides: Any) -> None:
        source = {"files": f"{self.text}/*.txt", "name": "speeches", "licence": "CC0-1.0"}
        items = self.text.parent / "order.jsonl"
        good, bad = "We have peace", "Have peace we"
        rest = "with all of the nations of this world."
        item = {"sentence_good": f"{good} {rest}", "sentence_bad": f"{bad} {rest}"}
        items.write_text(json.dumps(item))
        probe = {"name": "order", "files": str(items), "kind": "minimal_pairs"}
        sources = {"corpus.sources": [source], "evaluation.probes": [probe]}
        dotted = {name.replace("__", "."): value for name, value in overrides.items()}
        pretrain("gpt-smoke", SMALL | sources | dotted)

    def newest_run(self) -> Any:
        experiment = self.client.get_experiment_by_name(self.settings.experiment)
        assert experiment
        return self.client.search_runs(
            [experiment.experiment_id], order_by=["attributes.start_time DESC"]
        )[0]

    def prefect_artifacts(self) -> dict[str | None, Any]:
        """What Prefect shows of the newest run, by key; other flows use the same server."""
        flow_run = UUID(self.newest_run().data.tags["prefect.flow_run_id"])
        wanted = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[flow_run]))
        with get_client(sync_client=True) as client:
            return {a.key: a for a in client.read_artifacts(artifact_filter=wanted)}

    def versions(self) -> list[str]:
        found = self.client.search_model_versions()
        return sorted(version.version for version in found if version.name == NAME)


@pytest.fixture(scope="module")
def mill(
    prefect_server: str, mlflow_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mill]:
    """A mill after its first run; the tests below go on from there in order."""
    folder = tmp_path_factory.mktemp("mill")
    (folder / "text").mkdir()
    for number, speech in enumerate(speeches(12)):
        (folder / "text" / f"{number:02}.txt").write_text(speech, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CORPUSMILL_HOME", str(folder / "home"))
        patch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
        patch.setenv("MLFLOW_EXPERIMENT_NAME", "flows")
        patch.chdir(folder)
        mill = Mill(load_settings(), folder / "text")
        mill.pretrain()
        yield mill


def test_the_first_model_is_candidate_and_champion(mill: Mill) -> None:
    for alias in (CANDIDATE, CHAMPION):
        version = find_by_alias(mill.settings, NAME, alias)
        assert version and version.version == "1"
        assert float(version.tags["bits_per_byte"]) > 1


def test_the_registered_model_loads_with_transformers(mill: Mill) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    champion = find_by_alias(mill.settings, NAME, CHAMPION)
    assert champion
    folder = fetch(mill.settings, Layout(mill.settings.home), champion).path
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    ids = tokenizer("Fellow citizens", return_tensors="pt").input_ids
    assert model.generate(ids, max_new_tokens=3, do_sample=False).shape[1] == ids.shape[1] + 3


def test_the_run_holds_parameters_datasets_and_links(mill: Mill) -> None:
    run = mill.newest_run()
    assert run.info.status == "FINISHED"
    assert run.data.params["train.max_steps"] == "12"
    assert run.data.tags["prefect.flow_run_id"] in run.data.tags["prefect.flow_run_url"]
    assert len(run.data.tags["mlflow.source.git.commit"]) == 40
    datasets = {entry.dataset.name: entry.dataset.digest for entry in run.inputs.dataset_inputs}
    assert set(datasets) == {"corpus", "tokenizer", "shards"}
    files = {file.path for file in mill.client.list_artifacts(run.info.run_id)}
    assert {"config.json", "outcome.json", "report", "corpus.html"} <= files


def test_the_model_card_names_the_licences_of_the_text(mill: Mill, tmp_path: Path) -> None:
    path = mill.client.download_artifacts(
        mill.newest_run().info.run_id, "report/model_card.md", str(tmp_path)
    )
    card = Path(path).read_text(encoding="utf-8")
    assert card.startswith('---\nlicense: "CC0-1.0"')
    assert "| speeches | CC0-1.0 |" in card
    champion = find_by_alias(mill.settings, NAME, CHAMPION)
    assert champion and champion.tags["licences"] == "CC0-1.0"


def test_the_run_holds_the_metrics_of_every_step_logged(mill: Mill) -> None:
    run = mill.newest_run()
    steps = [p.step for p in mill.client.get_metric_history(run.info.run_id, "train/loss")]
    assert steps == [5, 6, 10, 12]
    assert run.data.metrics["train/tokens_seen"] > 0
    assert {
        "train/learning_rate",
        "train/gradient_norm",
        "performance/tokens_per_second",
        "performance/mfu",
        "performance/memory_gb",
        "validation/loss",
        "validation/perplexity",
        "validation/bits_per_byte",
        "evaluation/bits_per_byte",
        "evaluation/memorised",
        "evaluation/contamination/held_out_text",
        "evaluation/contamination/order",
        "evaluation/probe/order/accuracy",
        "baseline/PPMd_of_order_16_after_reading_the_training_text",
        "baseline/xz_9e_alone",
    } <= set(run.data.metrics)
    assert any(name.startswith("system/") for name in run.data.metrics)


def test_a_profile_that_was_asked_for_is_in_mlflow_and_in_prefect(mill: Mill) -> None:
    run = mill.newest_run()
    files = {file.path for file in mill.client.list_artifacts(run.info.run_id, "profile")}
    assert files == {"profile/trace.json.gz", "profile/table.txt"}
    assert "aten::mm" in str(mill.prefect_artifacts()["profile"].data)


def test_the_model_holds_no_pickle_and_has_a_signature(mill: Mill, tmp_path: Path) -> None:
    import mlflow

    mlflow.set_tracking_uri(mill.settings.mlflow_url)
    folder = mlflow.artifacts.download_artifacts(f"models:/{NAME}@champion", dst_path=str(tmp_path))
    assert not [p for p in Path(folder).rglob("*") if p.suffix in (".pkl", ".pickle", ".bin")]
    signature = mlflow.models.get_model_info(f"models:/{NAME}@champion").signature
    assert signature is not None
    assert signature.inputs.input_names() == ["prompt"]


def test_the_registered_model_answers_side_by_side_and_in_pieces(
    mill: Mill, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow
    import pandas  # type: ignore[import-untyped]

    mlflow.set_tracking_uri(mill.settings.mlflow_url)
    # bf16 rounds by what stands side by side.
    monkeypatch.setenv("CORPUSMILL_PRECISION", "fp32")
    model = mlflow.pyfunc.load_model(f"models:/{NAME}@champion")
    options = {"temperature": 0.0, "max_new_tokens": 8}
    prompts = pandas.DataFrame({"prompt": ["Fellow", "The people of the"]})
    answers = model.predict(prompts, params=options)
    alone = [model.predict(prompts[row : row + 1], params=options)[0] for row in range(2)]
    assert answers == alone
    pieces = list(model.predict_stream(prompts[:1], params=options))
    assert "".join(pieces) == alone[0]
    assert len(pieces) > 1


def test_prefect_shows_progress_table_report_and_link(mill: Mill) -> None:
    artifacts = mill.prefect_artifacts()
    assert artifacts["training"].type == "progress"
    assert artifacts["training"].data == 100
    assert artifacts["corpus"].type == "table"
    assert json.loads(str(artifacts["corpus"].data))[0] == {
        "documents": "in",
        "count": 12,
        "bytes": sum(path.stat().st_size for path in mill.text.iterdir()),
        "examples": "",
    }
    assert "xz -9e after reading the training text" in str(artifacts["report"].data)
    assert mill.newest_run().info.run_id in str(artifacts["mlflow-run"].data)


def test_a_second_run_reuses_every_stage_and_registers_nothing_new(
    mill: Mill, caplog: pytest.LogCaptureFixture
) -> None:
    mill.pretrain()
    reused = [line.split()[0] for line in caplog.messages if line.endswith(" - reused")]
    stages = ["corpus", "tokenizer", "shards", "model", "candidate:", "xz", "contamination:"]
    assert reused == stages
    assert mill.versions() == ["1"]
    assert not [line for line in caplog.messages if line.startswith("step ")]


def test_a_worse_model_scored_in_another_precision_is_candidate_but_not_champion(
    mill: Mill, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        shorter = {
            "train__max_steps": 3,
            "train__schedule__warmup_steps": 1,
            "train__profile_steps": 0,
        }
        mill.pretrain(**shorter, evaluation__precision="bf16")
    scored = [line for line in caplog.messages if line.startswith("champion:")]
    theirs = next(line for line in scored if "bits per byte" in line)
    assert not theirs.endswith("- reused"), "the champion is scored in the same precision"
    candidate = find_by_alias(mill.settings, NAME, CANDIDATE)
    champion = find_by_alias(mill.settings, NAME, CHAMPION)
    assert candidate and champion
    assert (candidate.version, champion.version) == ("2", "1")
    outcome = json.loads(
        file_of_run(mill.settings, mill.newest_run().data.tags[FLOW_RUN_TAG], "outcome.json") or ""
    )
    assert outcome["standing"].startswith("candidate; version 1, the champion, is better: ")


def test_a_champion_that_another_tool_registered_ends_the_night_in_a_sentence(mill: Mill) -> None:
    theirs = add_foreign(mill.client, mill.newest_run().info.run_id, NAME)
    mill.client.set_registered_model_alias(NAME, CHAMPION, theirs.version)
    with pytest.raises(ConfigError, match="has no tag 'model_digest'"):
        continue_pretraining(NAME, return_state=True).result()


def test_a_bad_corpus_fails_the_run_with_its_sentence_at_once(mill: Mill) -> None:
    with pytest.raises(CorpusError, match="nothing-here"):
        mill.pretrain(corpus__sources=["/nothing-here/*.txt"])
    run = mill.newest_run()
    assert run.info.status == "FAILED"
