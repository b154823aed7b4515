"""Every family trains in real processes: the same losses today, tomorrow, and in two processes."""

import pytest

from corpusmill.flows.overrides import override
from corpusmill.model.hf.folder import load_model
from corpusmill.model.network.config import (
    BertConfig,
    EncoderDecoderConfig,
    GPT2Config,
    ModelConfig,
)
from corpusmill.model.objectives.config import MaskedTokens, SpanCorruption, Translation
from corpusmill.model.tokenizer.config import TokenizerConfig
from corpusmill.model.training.config import TrainConfig
from corpusmill.storage.layout import RunLayout
from tests.corpora import speeches
from tests.training_runs import SHORT, Workshop, finish_all, losses, open_workshop, weights

SIZES = {"hidden_size": 32, "intermediate_size": 48, "max_position_embeddings": 32}
GPT2 = GPT2Config(num_hidden_layers=1, **SIZES)
BERT = BertConfig(num_hidden_layers=1, **SIZES)
TRANSFORMER = EncoderDecoderConfig(
    num_encoder_layers=1, num_decoder_layers=1, **SIZES | {"max_position_embeddings": 64}
)
BOTH_HEADS = BERT.model_copy(update={"next_sentence": True})
WHOLE_WORDS = SHORT.model_copy(update={"objectives": (MaskedTokens(whole_words=True),)})
TRANSLATION = override(
    SHORT, {"objectives": (Translation(),), "label_smoothing": 0.1, "schedule.name": "inverse_sqrt"}
)
BOTH_TASKS = SHORT.model_copy(update={"objectives": (Translation(), SpanCorruption(weight=0.5))})
SMOOTHED = override(SHORT, {"label_smoothing": 0.1, "schedule.name": "inverse_sqrt"})
PAIR = override(SHORT, {"hardware.num_processes": 2, "hardware.micro_batch_size": 2})
RUNS: dict[str, tuple[ModelConfig, TrainConfig]] = {
    "gpt2": (GPT2, SHORT),
    "bert": (BERT, SHORT),
    "bert, two processes": (BERT, PAIR),
    "bert, documents apart": (BERT, override(SHORT, {"packing.document_mask": True})),
    "bert, whole words": (BERT, WHOLE_WORDS),
    "both heads": (BOTH_HEADS, SHORT),
    "both heads, two processes": (BOTH_HEADS, PAIR),
    "transformer": (TRANSFORMER, SMOOTHED),
    "transformer, two processes": (
        TRANSFORMER,
        override(SMOOTHED, {"hardware.num_processes": 2, "hardware.micro_batch_size": 2}),
    ),
    "translation": (TRANSFORMER, TRANSLATION),
    "translation, two processes": (
        TRANSFORMER,
        override(TRANSLATION, {"hardware.num_processes": 2, "hardware.micro_batch_size": 2}),
    ),
    "translation and gaps": (TRANSFORMER, BOTH_TASKS),
    "both heads, sharded": (BOTH_HEADS, override(PAIR, {"hardware.parallelism": "fsdp"})),
}
# Every seventh of twenty losses, in fp32 by one thread, uncompiled; by AVX2 or less 3e-6 away.
GOLDEN = {
    "gpt2": [5.909918, 3.023848, 2.571398, 2.161052],
    "bert": [6.075114, 4.199329, 3.890570, 4.092128],
    "both heads": [6.925877, 5.389743, 5.224403, 5.271058],
    "transformer": [6.013021, 3.478076, 3.926052, 3.164191],
}


@pytest.fixture(scope="module")
def runs(workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunLayout]:
    config = TokenizerConfig(algorithm="wordpiece", family="masked_lm", vocab_size=300)
    pieces = open_workshop(tmp_path_factory.mktemp("pieces"), config, speeches(1))
    sentinels = TokenizerConfig(family="encoder_decoder", vocab_size=400)
    gaps = open_workshop(tmp_path_factory.mktemp("gaps"), sentinels)
    pairs = open_workshop(tmp_path_factory.mktemp("pairs"), sentinels, pairs=True)
    places = {"causal_lm": workshop, "masked_lm": pieces, "encoder_decoder": gaps}
    layouts = {}
    for name, (model, train) in RUNS.items():
        place = pairs if name.startswith("translation") else places[model.family]
        layouts[name] = place.prepare(name, train, model=model)
    finish_all(list(layouts.values()))
    return layouts


@pytest.mark.parametrize("name", GOLDEN)
def test_the_first_twenty_losses_do_not_move(runs: dict[str, RunLayout], name: str) -> None:
    assert losses(runs[name])[::6] == pytest.approx(GOLDEN[name], abs=1e-5)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("bert", "bert, two processes"),
        ("both heads", "both heads, two processes"),
        ("transformer", "transformer, two processes"),
        ("translation", "translation, two processes"),
        ("both heads", "both heads, sharded"),
    ],
)
def test_two_processes_learn_what_one_learns(
    runs: dict[str, RunLayout], one: str, other: str
) -> None:
    assert losses(runs[other]) == pytest.approx(losses(runs[one]), abs=2e-4)
    for key in ("validation/loss", "train/tokens_seen"):
        assert losses(runs[other], key) == pytest.approx(losses(runs[one], key), abs=2e-4)


def test_translation_and_span_corruption_are_learned_together(
    runs: dict[str, RunLayout],
) -> None:
    both, one = (losses(runs[name]) for name in ("translation and gaps", "translation"))
    assert both[-1] < both[0] - 1
    tokens = (losses(runs[n], "train/tokens_seen") for n in ("translation and gaps", "translation"))
    assert next(tokens) != next(tokens)
    assert both != one


def test_each_head_has_a_loss_of_its_own(runs: dict[str, RunLayout]) -> None:
    for split in ("train", "validation"):
        found = (losses(runs["both heads"], f"{split}/{key}") for key in ("loss", *NAMES))
        for total, masked, judged in zip(*found, strict=True):
            assert total == pytest.approx(masked + judged)
    assert not losses(runs["bert"], "train/masked_lm_loss")


NAMES = ("masked_lm_loss", "next_sentence_loss")


def test_what_is_masked_and_where_attention_goes_changes_the_run(
    runs: dict[str, RunLayout],
) -> None:
    names = ("bert", "bert, documents apart", "bert, whole words")
    assert len({weights(runs[name]) for name in names}) == 3


def test_the_exported_bert_has_the_heads_it_was_trained_with(runs: dict[str, RunLayout]) -> None:
    for name, heads in (("bert", False), ("both heads", True)):
        _, config, _ = load_model(runs[name].model)
        assert isinstance(config, BertConfig) and config.next_sentence is heads


def test_the_exported_model_says_how_long_it_was_trained(runs: dict[str, RunLayout]) -> None:
    assert TRANSFORMER.max_position_embeddings == 2 * SMOOTHED.sequence_length
    assert load_model(runs["transformer"].model)[2] == SMOOTHED.sequence_length
    # No side of a pair has as many tokens as it may have.
    assert 8 < load_model(runs["translation"].model)[2] < TRANSLATION.sequence_length
