"""Other families through the flow, on real servers, to the registry and back."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    BertForPreTraining,
    GPT2Config,
    GPT2LMHeadModel,
)

from corpusmill.flows.continued import continue_pretraining
from corpusmill.flows.evaluate import evaluate
from corpusmill.flows.pretrain import pretrain
from corpusmill.model.hf.folder import load_model
from corpusmill.model.tokenizer.config import TokenizerConfig
from corpusmill.model.tokenizer.training import train_tokenizer
from corpusmill.storage import aliases
from corpusmill.storage.aliases import find_by_alias
from corpusmill.storage.errors import ConfigError
from corpusmill.storage.layout import Layout
from corpusmill.storage.registry import fetch
from corpusmill.storage.settings import Settings, load_settings
from corpusmill.storage.tracking import FLOW_RUN_TAG, connect, file_of_run
from corpusmill.storage.versions import CHAMPION
from tests.corpora import speeches

pytestmark = pytest.mark.long

ACCURACY = ", masked accuracy"
SHORT = {
    "train.hardware.num_processes": 1,
    "train.max_steps": 6,
    "train.schedule.warmup_steps": 2,
    "train.log_every": 2,
    "train.sequence_length": 32,
    "train.global_batch_size": 8,
    "train.hardware.micro_batch_size": 4,
    "train.hardware.precision": "fp32",
    "evaluation.precision": "fp32",
    "evaluation.sample_tokens": 8,
}
TINY = {
    "tokenizer.vocab_size": 400,
    "model.hidden_size": 32,
    "model.intermediate_size": 48,
    "model.num_hidden_layers": 1,
    "model.max_position_embeddings": 32,
}


@dataclass(frozen=True)
class Mill:
    settings: Settings
    text: Path

    def run(self, recipe: str, **overrides: Any) -> Path:
        """Pretrains; returns the champion's folder as the registry gives it back."""
        name = f"families-{recipe}"
        sources = [{"files": str(self.text / "*.txt"), "name": "speeches"}]
        fixed = {**SHORT, "corpus.sources": sources, "registration.name": name}
        pretrain(recipe, fixed | overrides)
        champion = find_by_alias(self.settings, name, CHAMPION)
        assert champion
        return fetch(self.settings, Layout(self.settings.home), champion).path

    def night(self, recipe: str) -> Any:
        """The state of a night that learns as fast as the first run, and what it was judged by."""
        fast = {"night.rate_factor": 1.0, "night.max_steps": 6, "night.tolerance": 0.5}
        return continue_pretraining(f"families-{recipe}", fast, return_state=True)

    def outcome(self) -> Any:
        """What the newest flow run has come to."""
        return self._written("outcome.json")

    def scores(self) -> Any:
        """What the newest evaluation by itself has found."""
        return self._written("scores.json")

    def _written(self, path: str) -> Any:
        client = connect(self.settings)
        experiment = client.get_experiment_by_name(self.settings.experiment)
        assert experiment
        [run] = client.search_runs([experiment.experiment_id], max_results=1)
        flow_run = run.data.tags[FLOW_RUN_TAG]
        return json.loads(file_of_run(self.settings, flow_run, path) or "")


@pytest.fixture(scope="module")
def mill(
    prefect_server: str, mlflow_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mill]:
    folder = tmp_path_factory.mktemp("families")
    (folder / "text").mkdir()
    for number, speech in enumerate(speeches(8)):
        (folder / "text" / f"{number}.txt").write_text(speech, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CORPUSMILL_HOME", str(folder / "home"))
        patch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
        patch.setenv("MLFLOW_EXPERIMENT_NAME", "families")
        patch.chdir(folder)
        yield Mill(load_settings(), folder / "text")


def test_a_bert_is_registered_and_loads_with_transformers(mill: Mill) -> None:
    folder = mill.run("bert-tiny", **TINY, **{"model.next_sentence": True})
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = BertForPreTraining.from_pretrained(folder)
    given = tokenizer("Fellow [MASK]", "and citizens", return_tensors="pt")
    with torch.no_grad():
        answer = model(**given)
    assert answer.prediction_logits.shape[-1] == model.config.vocab_size
    assert answer.seq_relationship_logits.shape == (1, 2)


def test_a_night_of_an_encoder_is_judged_by_its_masked_loss_on_new_and_old_text(mill: Mill) -> None:
    mill.run("bert-tiny", **TINY, **{"model.next_sentence": True})
    for number, speech in enumerate(speeches(12)[8:], 8):
        (mill.text / f"{number}.txt").write_text(speech, encoding="utf-8")
    state = mill.night("bert-tiny")
    for number in range(8, 12):
        (mill.text / f"{number}.txt").unlink()
    outcome = mill.outcome()
    assert state.name in ("Completed", "Refused"), state
    losses = {each["text"]: each["candidate"] for each in outcome["compared"]}
    assert losses.keys() == {f"{age}{of}" for age in ("new", "old") for of in ("", ACCURACY)}
    assert all(0 < losses[age] < 2 * outcome["figures"]["loss"] for age in ("new", "old"))


def test_an_encoder_decoder_is_registered_and_loads_with_transformers(mill: Mill) -> None:
    layers = {"model.num_encoder_layers": 1, "model.num_decoder_layers": 1}
    shape = {name: value for name, value in TINY.items() if name != "model.num_hidden_layers"}
    folder = mill.run("denoise-tiny", **shape, **layers)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSeq2SeqLM.from_pretrained(folder)
    given = tokenizer("Fellow <extra_id_0> of the Senate", return_tensors="pt")
    assert given["input_ids"][0, -1] == model.config.eos_token_id
    written = model.generate(input_ids=given["input_ids"], max_new_tokens=5, do_sample=False)
    assert written[0, 0] == model.config.decoder_start_token_id


def test_a_translator_is_judged_by_bleu_registered_and_loads_with_transformers(mill: Mill) -> None:
    folder = _translator(mill)
    outcome = mill.outcome()
    assert outcome["decides"] == "bleu" and "tok:zh" in outcome["signature"]
    assert outcome["held_out_documents"] == 8
    assert {"bleu", "chrf", "perplexity"} <= outcome["figures"].keys()
    assert outcome["baselines"].keys() == {"the source as it is"}
    assert all("只狗" in sample["reference"] for sample in outcome["samples"])
    model = AutoModelForSeq2SeqLM.from_pretrained(folder)
    given = AutoTokenizer.from_pretrained(folder)("one men", return_tensors="pt")
    assert model.generate(**given, max_new_tokens=5, num_beams=2).shape[0] == 1


def test_a_night_of_a_translator_is_judged_by_bleu_and_chrf(mill: Mill) -> None:
    _translator(mill)
    new = mill.text.parent / "train-2.jsonl"
    new.write_text("".join(_pairs("cats", "猫")), encoding="utf-8")
    state = mill.night("translate-tiny")
    assert state.name in ("Completed", "Refused"), state
    compared = [each["text"] for each in mill.outcome()["compared"]]
    assert compared == ["new", "new, chrF", "old", "old, chrF"]


def _translator(mill: Mill) -> Path:
    lines, sources = _pairs("dogs", "狗"), []
    for name, some in (("train", lines[8:]), ("test", [*lines[:8], '{"en": "", "zh": "三"}\n'])):
        path = mill.text.parent / f"{name}.jsonl"
        path.write_text("".join(some), encoding="utf-8")
        files = f"{mill.text.parent}/{name}*.jsonl"
        source = {"files": files, "pair": ["en", "zh"], "held_out": name == "test"}
        sources.append({**source, "name": name})
    layers = {"model.num_encoder_layers": 1, "model.num_decoder_layers": 1}
    shape = {name: value for name, value in TINY.items() if name != "model.num_hidden_layers"}
    more = {"corpus.sources": sources, "corpus.cleaning.near_duplicates": "off"}
    return mill.run("translate-tiny", **shape, **layers, **more)


def _pairs(animals: str, in_chinese: str) -> list[str]:
    english = ["one", "two", "three", "four", "five", "six", "seven", "eight"]
    numbers = list(zip(english, "一二三四五六七八", strict=True))
    return [
        json.dumps({"en": f"{a} men and {b} {animals}", "zh": f"{c}个人和{d}只{in_chinese}"}) + "\n"
        for a, c in numbers
        for b, d in numbers
    ]


def test_a_model_made_by_transformers_goes_on_learning_with_its_own_tokenizer(
    mill: Mill, tmp_path: Path
) -> None:
    start = tmp_path / "theirs"
    start.mkdir()
    text = next(mill.text.glob("*.txt")).read_text(encoding="utf-8")
    train_tokenizer([text], TokenizerConfig(vocab_size=300), start)
    torch.manual_seed(0)
    sizes: dict[str, Any] = {
        "n_embd": 32,
        "n_head": 2,
        "n_layer": 1,
        "n_positions": 64,
        "vocab_size": 310,
    }
    theirs: Any = GPT2LMHeadModel(GPT2Config(**sizes, bos_token_id=0, eos_token_id=0))
    theirs.save_pretrained(start)
    folder = mill.run("adopt", initialize_from=str(start))
    back: Any = AutoModelForCausalLM.from_pretrained(folder)
    assert back.config.n_positions == 64
    # What it could read it still can, though it went on learning from half as long texts.
    assert load_model(folder)[2] == 64
    before, after = theirs.transformer.wpe.weight, back.transformer.wpe.weight
    # It began where theirs was: six steps at a ten-thousandth, three of them while warming up.
    assert 0 < (before - after).abs().max() < 2e-3
    torch.testing.assert_close(before[32:], after[32:], atol=1e-5, rtol=1e-4)
    ids = AutoTokenizer.from_pretrained(folder)(text[:200])["input_ids"]
    assert ids == AutoTokenizer.from_pretrained(start)(text[:200])["input_ids"]


def test_a_version_and_its_folder_are_scored_alike_and_the_version_says_so(
    mill: Mill, tmp_path: Path
) -> None:
    folder = mill.run("bert-tiny", **TINY, **{"model.next_sentence": True})
    text = speeches(13)[12]
    (tmp_path / "mine.txt").write_text(text, encoding="utf-8")
    on_mine = {"corpus.sources": [f"{tmp_path}/mine.txt"], "evaluation.precision": "fp32"}
    evaluate("families-bert-tiny@champion", on_mine)
    champion = aliases.version_at(mill.settings, "families-bert-tiny")
    said = champion.tags["evaluated.text.mine.txt"]
    assert f"1 documents, {len(text.encode()):,} bytes; text " in said, said
    first = mill.scores()
    evaluate(str(folder), on_mine)
    assert mill.scores()["result"]["figures"] == first["result"]["figures"]
    evaluate(f"families-bert-tiny/{champion.version}")
    tags = aliases.version_at(mill.settings, "families-bert-tiny").tags
    assert [key for key in tags if key.startswith("evaluated.text.held_out.")]
    with pytest.raises(ConfigError, match="There is no families-bert-tiny/99 in the registry"):
        evaluate("families-bert-tiny/99")
    with pytest.raises(ConfigError, match="neither text nor a probe"):
        evaluate(str(folder))
