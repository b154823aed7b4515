"""Probes: what is asked, what is right, and which falls are more than chance."""

import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.model.config import ProbeKind
from corpusmill.model.evaluation.intervals import mcnemar, paired, wilson
from corpusmill.model.evaluation.memorisation import choose_passages, find_memorised
from corpusmill.model.evaluation.probe_items import read_items
from corpusmill.model.evaluation.probes import Request, ask, encode_requests, score_requests
from corpusmill.model.hf.folder import export_model
from corpusmill.model.inference.continuation import Writer
from corpusmill.model.inference.loading import load_for_use
from corpusmill.model.network.decoder import CausalNetwork
from corpusmill.model.tokenizer.config import TokenizerConfig
from corpusmill.model.tokenizer.control import end_of_text_id
from corpusmill.model.tokenizer.encoding import encode_texts
from corpusmill.model.tokenizer.training import train_tokenizer
from corpusmill.storage.corpus.documents import Document
from corpusmill.storage.corpus.pairs import join_pair, part_pair
from tests.networks import random_decoder
from tests.probes import ITEMS, write_probe

SEQUENCE_LENGTH = 16


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("model")
    (root / "tokenizer").mkdir()
    texts = ["the river stood old rain 老房子 "] * 20
    train_tokenizer(texts, TokenizerConfig(vocab_size=270), root / "tokenizer")
    network = random_decoder(270)
    export_model(network, network.config, root / "tokenizer", SEQUENCE_LENGTH, root / "model")
    return root / "model"


@pytest.fixture(scope="module")
def writer(model: Path) -> Writer:
    loaded = load_for_use(model, "fp32")
    assert isinstance(loaded.network, CausalNetwork)
    return Writer(loaded.network, loaded.tokenizer, loaded.sequence_length)


def plain(writer: Writer, context: str, continuation: str) -> tuple[float, bool]:
    """Nats and greediness by one token after another."""

    def encode(text: str) -> list[int]:
        return list(writer.tokenizer.encode(text, add_special_tokens=False).ids)

    spaces = context[len(context.rstrip()) :]
    ids, before = encode(context + continuation), encode(context.removesuffix(spaces))
    if not context:
        ids, before = [end_of_text_id(writer.tokenizer), *ids], [0]
    nats, greedy = 0.0, True
    start = max(0, len(ids) - 1 - SEQUENCE_LENGTH)
    for place in range(max(len(before), start + 1), len(ids)):
        read = torch.tensor([ids[start:place]])
        with torch.no_grad():
            logits = writer.model(read)[0, -1].float()
        nats -= float(logits.log_softmax(-1)[ids[place]])
        greedy &= int(logits.argmax()) == ids[place]
    return nats, greedy


@pytest.mark.parametrize("delimiter", [" ", ""])
@pytest.mark.parametrize("kind", ITEMS)
def test_continuations_are_scored_as_a_plain_computation_does(
    writer: Writer, tmp_path: Path, kind: ProbeKind, delimiter: str
) -> None:
    items = read_items(write_probe(tmp_path, kind, delimiter=delimiter))
    options = [option for item in items for option in item.options]
    # What greedy decoding writes is greedy, after a context that is longer than the model reads.
    context = "the river stood old rain" * 5
    ids = writer.tokenizer.encode(context, add_special_tokens=False).ids[-SEQUENCE_LENGTH:]
    with torch.no_grad():
        options.append(
            (
                context,
                writer.tokenizer.decode([int(writer.model(torch.tensor([ids]))[0, -1].argmax())]),
            )
        )
    nats, greedy = score_requests(writer, encode_requests(writer, options))
    expected = [plain(writer, *each) for each in options]
    np.testing.assert_allclose(nats, [each for each, _ in expected], rtol=1e-4, atol=1e-4)
    assert greedy.tolist() == [each for _, each in expected]


def test_results_are_those_of_the_likeliest_options(writer: Writer, tmp_path: Path) -> None:
    probes = [write_probe(tmp_path, kind) for kind in ITEMS]
    results, answers = ask(writer, probes)
    assert [each.name for each in results] == list(ITEMS)
    for probe, result in zip(probes, results, strict=True):
        items = read_items(probe)
        nats = [[plain(writer, *option)[0] for option in item.options] for item in items]
        if probe.kind == "last_word":
            right = [plain(writer, *item.options[0])[1] for item in items]
            mean = sum(each for (each,) in nats) / len(items)
            assert result.beside == {"perplexity": pytest.approx(math.exp(mean), rel=1e-3)}
            assert result.chance is None
        else:
            right = [each.index(min(each)) == i.gold for each, i in zip(nats, items, strict=True)]
            assert result.chance == pytest.approx(
                sum(1 / len(item.options) for item in items) / len(items)
            )
        assert answers[probe.name].right.tolist() == right
        assert result.accuracy == pytest.approx(sum(right) / len(items))
        assert (result.low, result.high) == wilson(sum(right), len(items))
    choice = read_items(probes[2])
    nats = [
        [plain(writer, *o)[0] / len(o[1].strip().encode()) for o in item.options] for item in choice
    ]
    by_byte = [each.index(min(each)) == i.gold for each, i in zip(nats, choice, strict=True)]
    assert results[2].beside == {"accuracy_per_byte": pytest.approx(sum(by_byte) / len(choice))}


@settings(max_examples=60)
@given(st.integers(0, 300), st.integers(0, 300))
def test_p_is_that_of_the_exact_test_of_mcnemar(won: int, lost: int) -> None:
    differ = won + lost
    at_most = Fraction(sum(math.comb(differ, n) for n in range(min(won, lost) + 1)), 2**differ)
    assert mcnemar(won, lost) == pytest.approx(min(1.0, float(2 * at_most)), rel=1e-9)


@settings(max_examples=60)
@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 40), st.sampled_from([0.05, 0.01]))
def test_the_interval_of_a_difference_turns_with_it(
    won: int, lost: int, both: int, level: float
) -> None:
    low, high = paired(won, lost, both, 100, level)
    assert -1 <= low <= (won - lost) / 100 <= high <= 1
    assert low < high
    assert paired(lost, won, both, 100, level) == pytest.approx((-high, -low))


def test_the_interval_of_a_difference_is_newcombes() -> None:
    # Newcombe 1998: 20 both, 12 and 2 alone, 16 neither.
    assert paired(12, 2, 20, 50) == pytest.approx((0.0562, 0.3292), abs=5e-5)
    # Fagerland, Lydersen and Laake 2014: 1 both, 1 and 7 alone, 12 neither.
    assert paired(1, 7, 1, 21) == pytest.approx((-0.507, -0.026), abs=5e-4)


@pytest.mark.parametrize("items", [100, 500])
@pytest.mark.parametrize(
    ("won", "lost", "both"),
    [
        (0.01, 0.0, 0.5),
        (0.02, 0.02, 0.5),
        (0.05, 0.02, 0.3),
        (0.1, 0.02, 0.6),
        (0.3, 0.1, 0.2),
        (0.2, 0.0, 0.3),
        (0.02, 0.05, 0.9),
    ],
)
def test_the_interval_of_a_difference_holds_the_true_one(
    won: float, lost: float, both: float, items: int
) -> None:
    generator = np.random.default_rng(0)
    drawn = generator.multinomial(items, [won, lost, both, 1 - won - lost - both], 4_000)
    held = 0
    for alone, other, together, _ in drawn.tolist():
        low, high = paired(alone, other, together, items)
        held += low <= won - lost <= high
    assert held / len(drawn) > 0.94


def test_wilsons_interval_is_that_of_his_formula() -> None:
    # Wilson 1927; Brown, Cai and DasGupta 2001, Table 5: n = 50, x = 5.
    assert wilson(5, 50) == pytest.approx((0.0435, 0.2136), abs=2e-4)
    assert wilson(0, 10)[0] == 0.0 and wilson(10, 10)[1] == pytest.approx(1.0)


def test_what_the_model_writes_itself_is_known_by_heart(writer: Writer) -> None:
    half = SEQUENCE_LENGTH // 2
    start = writer.tokenizer.encode("the river stood old", add_special_tokens=False).ids[:half]
    ids = list(start)
    with torch.no_grad():
        for _ in range(half):
            ids.append(int(writer.model(torch.tensor([ids]))[0, -1].argmax()))
    altered = [*ids[:-1], (ids[-1] + 1) % 200]
    requests = [Request(each, len(ids) - len(start)) for each in (ids, altered)]
    assert score_requests(writer, requests)[1].tolist() == [True, False]


def test_passages_are_chosen_by_hash_and_several_of_few_documents(writer: Writer) -> None:
    texts = [f"{number} the river stood old rain " * 40 for number in range(12)]
    documents = [Document(f"{n}", "s", "f", "und", text) for n, text in enumerate(texts)]
    found = find_memorised(writer, documents, 5)
    assert (found.passages, found.tokens) == (5, SEQUENCE_LENGTH // 2)
    assert found.share is not None and found.low <= found.share <= found.high
    assert find_memorised(writer, reversed(documents), 5) == found
    nothing = find_memorised(writer, [Document("0", "s", "f", "und", "short")], 5)
    assert (nothing.passages, nothing.share) == (0, None)


def test_passages_are_different_ones_of_texts_as_they_were_learned(writer: Writer) -> None:
    """Chinese of few characters, texts that are too short, and pairs, side by side."""
    tokenizer, length = writer.tokenizer, 16
    chinese = "".join(chr(0x4E00 + n) for n in range(100))
    (learned,) = encode_texts(tokenizer, [chinese])
    passages = choose_passages(tokenizer, [("a", chinese)], length, 50)
    assert len(passages) == len(set(map(tuple, passages))) == 50
    windows = [learned[start : start + length] for start in range(len(learned) - length + 1)]
    assert all(passage in windows for passage in passages)
    # No more than there are: of a text of 18 tokens three, of one that repeats itself two.
    assert len(choose_passages(tokenizer, [("a", "0123456789abcdefgh")], 16, 50)) == 3
    assert len(choose_passages(tokenizer, [("a", "01" * 40)], 16, 50)) == 2
    short = [(f"short {n}", "the river") for n in range(200)]
    assert len(choose_passages(tokenizer, [*short, ("a", chinese)], length, 9)) == 9
    pairs = [
        Document(f"{n}", "p", "f", "und", join_pair(f"{n} {chinese}"[:9], f"{n} {chinese}"[:3]))
        for n in range(20)
    ]
    assert find_memorised(writer, pairs, 50, with_pairs={"p"}).passages > 0
    whole = find_memorised(writer, pairs, 500, with_pairs={"p"})
    sides = [side for pair in pairs for side in part_pair(pair.text)]
    of_sides = {
        tuple(ids[start : start + 16])
        for ids in encode_texts(tokenizer, sides)
        for start in range(len(ids) - 15)
    }
    assert whole.passages == len(of_sides)
