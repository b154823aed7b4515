"""Nights after a first run, one after the other: real servers and processes, text that comes."""

import json
import logging
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from prefect import get_client

from corpusmill.flows.command_line import main
from corpusmill.flows.continued import continue_pretraining
from corpusmill.flows.pretrain import pretrain
from corpusmill.model.training.groups import LineMeanConfig
from corpusmill.model.training.job import TrainingJob
from corpusmill.model.training.moments import AHEAD
from corpusmill.storage.aliases import config_of, find_by_alias
from corpusmill.storage.config import read_json
from corpusmill.storage.errors import ConfigError
from corpusmill.storage.layout import Layout, RunLayout
from corpusmill.storage.ledger import Ledger
from corpusmill.storage.manifest import digest_file, digest_json, read_manifest
from corpusmill.storage.memory import KIND, Memory
from corpusmill.storage.settings import Settings, load_settings
from corpusmill.storage.tracking import connect
from corpusmill.storage.versions import CANDIDATE, CHAMPION, MEMORY, PREVIOUS, RegisteredModel
from corpusmill.storage.writing import locked
from corpusmill.tasks.reports.outcome import read_outcome
from tests.corpora import speeches

NAME = "nights"
FIRST = {
    "registration.name": NAME,
    "tokenizer.vocab_size": 300,
    "corpus.validation_fraction": 0.2,
    "model.hidden_size": 32,
    "train.max_steps": 12,
    "train.seed": 3,
    "train.hardware.num_processes": 1,
    "train.hardware.precision": "fp32",
    "evaluation.precision": "fp32",
    "evaluation.sample_tokens": 4,
    "evaluation.samples": 1,
}
# A network that has hardly begun gains from anything at its own rate, on new text and on old.
LEARNS = {
    "night.rate_factor": 1,
    "night.max_steps": 8,
    "night.warmup_steps": 1,
    "night.quarantine.max_unlike": 1,
}


@dataclass
class Nights:
    """A store with a folder of text and a champion that learned from it."""

    settings: Settings
    text: Path

    @property
    def layout(self) -> Layout:
        return Layout(self.settings.home)

    def night(self, **overrides: Any) -> Any:
        dotted = {name.replace("__", "."): value for name, value in overrides.items()}
        return continue_pretraining(NAME, LEARNS | dotted, return_state=True)

    def version(self, alias: str) -> RegisteredModel:
        found = find_by_alias(self.settings, NAME, alias)
        assert found
        return found

    def numbers(self) -> dict[str, str | None]:
        found = {alias: find_by_alias(self.settings, NAME, alias) for alias in _ALIASES}
        return {alias: each.version if each else None for alias, each in found.items()}

    def met(self, alias: str) -> int:
        memory = self.layout.artifact(KIND, self.version(alias).tags[MEMORY])
        return len(Memory(memory).met)

    def command(self, *words: str) -> str:
        done = CliRunner().invoke(main, words, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output


_ALIASES = (CHAMPION, PREVIOUS, CANDIDATE)


@pytest.fixture(scope="module")
def nights(
    prefect_server: str, mlflow_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Nights]:
    """After a first run; the tests below go on from there in order."""
    folder = tmp_path_factory.mktemp("nights")
    (folder / "text").mkdir()
    for number, speech in enumerate(speeches(10)):
        (folder / "text" / f"{number:02}.txt").write_text(speech, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CORPUSMILL_HOME", str(folder / "home"))
        patch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
        patch.setenv("MLFLOW_EXPERIMENT_NAME", NAME)
        patch.chdir(folder)
        nights = Nights(load_settings(), folder / "text")
        assert nights.night().name == "Sleeping"
        # Of so few items no fall is more than chance.
        lines = [json.dumps({"text": f"we have {word}"}) for word in ("peace", "war", "hope")]
        (folder / "words.jsonl").write_text("\n".join(lines))
        probe = {"name": "words", "files": f"{folder}/words.jsonl", "kind": "last_word"}
        own = {"corpus.sources": [f"{folder}/text/*.txt"], "evaluation.probes": [probe]}
        pretrain("gpt-smoke", FIRST | own)
        yield nights


def _write(folder: Path, numbers: range) -> None:
    every = speeches(numbers.stop)
    for number in numbers:
        (folder / f"{number:02}.txt").write_text(every[number], encoding="utf-8")


def test_with_nothing_new_the_night_ends_at_once_and_leaves_no_run(nights: Nights) -> None:
    state = nights.night()
    assert (state.name, state.message) == ("Skipped", "Nothing is new.")
    assert nights.numbers() == {CHAMPION: "1", PREVIOUS: None, CANDIDATE: "1"}
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(state.state_details.flow_run_id)
    assert run.expected_start_time
    assert run.name == f"{NAME} nightly {run.expected_start_time.astimezone():%Y-%m-%d %H:%M}"


def test_while_another_night_of_the_model_is_at_work_this_one_is_skipped(nights: Nights) -> None:
    with locked(nights.layout.lock(digest_json(["night", NAME]))):
        state = nights.night()
    assert (state.name, state.message) == ("Skipped", f"Another night of {NAME} is at work.")


def test_new_text_makes_a_new_champion_by_the_config_of_the_old_one(
    nights: Nights, caplog: pytest.LogCaptureFixture
) -> None:
    before = nights.met(CHAMPION)
    _write(nights.text, range(10, 14))
    with caplog.at_level(logging.INFO):
        assert nights.night().name == "Completed"
    assert "night.rate_factor is 1.0, not 0.2" in caplog.text
    assert nights.numbers() == {CHAMPION: "2", PREVIOUS: "1", CANDIDATE: "2"}
    assert nights.met(CHAMPION) == before + 4
    run = RunLayout(nights.layout.run(nights.version(CHAMPION).digest))
    assert read_json(TrainingJob, run.job).train.average == LineMeanConfig(share=0.5)
    assert (run.moments / AHEAD).exists()
    config = config_of(nights.settings, nights.version(CHAMPION))
    assert config["train"]["seed"] == 3
    assert config["corpus"]["validation_fraction"] == 0.2
    assert config["night"]["rate_factor"] == 1
    assert config["model"]["hidden_size"] == 32


def test_probes_are_asked_apart_from_text_for_the_next_night_to_find(nights: Nights) -> None:
    made = [
        read_manifest(folder)["config"].get("probes")
        for folder in nights.layout.artifacts("evaluation").iterdir()
        if "corpus" not in read_manifest(folder)["inputs"]
    ]
    # Those of the first run were asked with its text.
    assert len(made) == 2
    assert all(made)


def test_the_runs_of_a_model_stand_together_and_can_be_compared(nights: Nights) -> None:
    client = connect(nights.settings)
    runs = {
        alias: client.get_run(nights.version(alias).tags["run_id"])
        for alias in (PREVIOUS, CHAMPION)
    }
    for alias, recipe in ((PREVIOUS, "gpt-smoke"), (CHAMPION, "nightly")):
        tags = runs[alias].data.tags
        assert (tags["model"], tags["recipe"]) == (NAME, recipe)
        assert runs[alias].info.run_name.startswith(f"{NAME} {recipe} 20")
    first, night = (set(runs[alias].data.params) for alias in (PREVIOUS, CHAMPION))
    assert first <= night and {each.partition(".")[0] for each in night - first} == {
        "night",
        "family",
    }
    first, night = (set(runs[alias].data.metrics) for alias in (PREVIOUS, CHAMPION))
    assert all(each.startswith(("baseline/", "system/")) for each in first ^ night)


def test_the_lineage_of_the_champion_goes_down_to_files(nights: Nights) -> None:
    said = nights.command("lineage", NAME)
    assert said.startswith(f"● {NAME} version 2 (candidate, champion), continued from version 1\n")
    for path in sorted(nights.text.iterdir()):
        assert f"{digest_file(path)}  {path}  {path.stat().st_size:,} bytes" in said
    card = str(connect(nights.settings).get_model_version(NAME, "2").description)
    assert "Continued from version 1." in card
    for alias in (PREVIOUS, CHAMPION):
        assert f"| {nights.version(alias).tags['corpus']} |" in card
    config = re.findall(r"│?   config +([0-9a-f]{32})\n", said)
    assert len(config) == 2
    assert f"the config of models:/{NAME}/2" in nights.command("show", config[0])


def test_the_decision_stands_on_the_version_with_its_figures(nights: Nights) -> None:
    tags = nights.version(CHAMPION).tags
    assert tags["gate"].startswith("promoted: new text is better")
    assert tags["continued_from"] == "1"
    assert {"gate.new", "gate.old", "gate.probe.words", "held_out", "corpus"} <= tags.keys()


def test_a_difference_that_breaks_comparison_is_refused_by_name(nights: Nights) -> None:
    with pytest.raises(ConfigError, match=r'corpus\.text_unit .*allow=\["corpus\.text_unit"\]'):
        nights.night(corpus__text_unit="paragraph").result()


def test_an_edited_file_is_not_learned_twice(nights: Nights) -> None:
    path = nights.text / "12.txt"
    path.write_text(path.read_text(encoding="utf-8").replace(" the ", " that ", 1))
    assert nights.night().message == "Nothing is new."


def test_after_a_rollback_the_same_text_alone_is_not_learned_again(nights: Nights) -> None:
    said = nights.command("rollback", NAME)
    assert said.startswith(f"Version 1 of {NAME} is the champion again, in place of version 2.")
    assert nights.numbers() == {CHAMPION: "1", PREVIOUS: None, CANDIDATE: "2"}
    state = nights.night()
    assert state.name == "Skipped"
    assert state.message.startswith("Version 2 has learned all that is new and is not the champion")


def test_text_that_does_harm_is_set_aside_with_its_version_refused(nights: Nights) -> None:
    _write(nights.text, range(14, 16))
    # Nothing is left of a network after steps of this length.
    state = nights.night(train__optimizer__learning_rate=5.0)
    assert state.name == "Refused"
    assert nights.numbers() == {CHAMPION: "1", PREVIOUS: None, CANDIDATE: "3"}
    assert nights.version(CANDIDATE).tags["gate"].startswith("harm: ")
    aside = Ledger(nights.layout, NAME).read().set_aside
    assert {each.file for each in aside} == {f"text/{number}.txt" for number in range(10, 16)}
    assert nights.night().message == "Nothing is new."


def test_what_was_set_aside_is_let_in_file_by_file_or_all_of_it(nights: Nights) -> None:
    said = nights.command("release", NAME, "--file", "text/15.txt")
    assert said.startswith("text/15.txt: 1 documents; what was learned from this night did harm")
    assert "text/14.txt" in nights.command("release", NAME)
    decisions = Ledger(nights.layout, NAME).read()
    assert (len(decisions.released), decisions.set_aside, decisions.rejected) == (6, [], [])


def test_text_of_another_language_waits_for_a_person(nights: Nights) -> None:
    for path in nights.text.glob("1[0-5].txt"):
        path.unlink()
    drawn = random.Random(1)
    for number in range(4):
        text = "".join(drawn.choices("我们今天讨论国家的经济和教育问题并且希望人民生活幸福", k=900))
        (nights.text / f"zh-{number}.txt").write_text(text, encoding="utf-8")
    state = nights.night(night__quarantine__max_unlike=0.2)
    assert state.name == "Quarantined"
    assert state.message == (
        f"Set aside until `corpusmill release {NAME}`: 4 documents of 4 files (its language, zh, "
        "is none of en). Of the rest: Nothing is new."
    )
    (first, *_) = Ledger(nights.layout, NAME).read().set_aside
    assert (first.file[:8], first.why) == ("text/zh-", "its language, zh, is none of en")


def test_a_file_is_forgotten_and_the_versions_that_met_it_are_named(nights: Nights) -> None:
    path = nights.text / "11.txt"
    _write(nights.text, range(11, 12))
    said = nights.command("forget", str(path), "--model", NAME)
    assert f"{NAME}: 1 documents of {path} are kept out from now on." in said
    assert "version 1" not in said and "version 2" in said and "version 3" in said
    path.write_text(speeches(12)[11] + " One more word.", encoding="utf-8")
    assert nights.night().message == "Nothing is new."


def test_the_outcome_of_a_night_tells_why_part_by_part(nights: Nights) -> None:
    from mlflow.artifacts import load_text

    text = load_text(f"runs:/{nights.version(CANDIDATE).run_id}/outcome.json")
    outcome = read_outcome(text)
    assert outcome.standing.startswith("refused; ")
    assert {row["text"] for row in outcome.compared} >= {"new", "old"}
    assert outcome.before and outcome.before.version == "1"
    asked, before = (
        [each["prompt"] for each in those] for those in (outcome.samples, outcome.before.samples)
    )
    assert asked == before != []
    # Version 2 was rolled back meanwhile.
    assert [(each.version, each.champion) for each in outcome.line] == [("1", True), ("2", False)]
    assert outcome.intake and len(outcome.intake.waiting) == 6
    assert outcome.costs and {"train", "judge"} <= {name for name, _ in outcome.costs.stages}
    assert outcome.costs.written > 0


def test_the_report_of_a_night_is_a_page_in_mlflow(nights: Nights) -> None:
    from mlflow.artifacts import load_text

    page = load_text(f"runs:/{nights.version(CANDIDATE).run_id}/report/report.html")
    assert f"{NAME} version 3 is refused: " in page
    assert f"corpusmill release {NAME} --list" in page
