"""Probes: what is asked, what is right, and which falls are more than chance."""

import gzip
import json
import math
import os
import tempfile
import tracemalloc
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.model.config import EvaluationConfig, ProbeConfig, ProbeKind
from corpusmill.model.evaluation.intervals import mcnemar, paired, wilson
from corpusmill.model.evaluation.memorisation import choose_windows, find_memorised
from corpusmill.model.evaluation.probe_items import Item, probe_identity, read_items
from corpusmill.model.evaluation.probes import Request, ask, encode_requests, score_requests
from corpusmill.model.hf.folder import export_model
from corpusmill.model.inference.continuation import Writer
from corpusmill.model.inference.loading import load_for_use
from corpusmill.model.network.decoder import CausalNetwork
from corpusmill.model.tokenizer.config import TokenizerConfig
from corpusmill.model.tokenizer.control import end_of_text_id
from corpusmill.model.tokenizer.training import train_tokenizer
from corpusmill.storage.config import parse
from corpusmill.storage.corpus.documents import Document
from corpusmill.storage.errors import ConfigError, CorpusError
from tests.networks import random_decoder

SEQUENCE_LENGTH = 16
ITEMS: dict[ProbeKind, list[dict[str, Any]]] = {
    "minimal_pairs": [
        {
            "sentence_good": f"the river stood {n}",
            "sentence_bad": f"the stood river {n}",
            "UID": "x",
        }
        for n in range(9)
    ],
    "last_word": [
        {"context": "the old rain  ", "continuation": "stood"},
        {"text": "老房子 rain the river stood"},
        {"text": "the river the old rain the river stood the old rain the river stood the rain"},
    ],
    "multiple_choice": [
        {"query": f"the river {n}:\n", "choices": ["the rain", "老房子", "e"], "gold": n % 3}
        for n in range(6)
    ]
    + [{"question": "the old", "choices": ["rain", "river"], "answer": 1}],
}


def write_probe(folder: Path, kind: ProbeKind, **fields: Any) -> ProbeConfig:
    path = folder / f"{kind}.jsonl"
    path.write_text("\n".join(map(json.dumps, ITEMS[kind])), encoding="utf-8")
    return ProbeConfig(name=kind, files=str(path), kind=kind, **fields)


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


@pytest.mark.parametrize("kind", ITEMS)
def test_continuations_are_scored_as_a_plain_computation_does(
    writer: Writer, tmp_path: Path, kind: ProbeKind
) -> None:
    items = read_items(write_probe(tmp_path, kind))
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


def items_of(folder: Path, kind: ProbeKind, *lines: Any, **fields: Any) -> list[Item]:
    path = folder / "items.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return read_items(ProbeConfig(name="p", files=str(path), kind=kind, **fields))


@pytest.mark.parametrize("answer", [{"answer": 1}, {"answerKey": "B"}])
def test_choices_are_read_as_hugging_face_has_them(tmp_path: Path, answer: dict[str, Any]) -> None:
    choices = {"text": ["rain", "river"], "label": ["A", "B"]}
    (theirs,) = items_of(
        tmp_path, "multiple_choice", {"question": "old", "choices": choices} | answer
    )
    (ours,) = items_of(
        tmp_path, "multiple_choice", {"query": "old", "choices": choices["text"], "gold": 1}
    )
    assert theirs == ours and ours.options == (("old", " rain"), ("old", " river"))


def test_an_item_whose_answer_is_also_a_wrong_one_is_left_out(tmp_path: Path) -> None:
    pair = {"sentence_good": "the rain fell", "sentence_bad": "the rain fell "}
    with pytest.raises(CorpusError, match="has no item"):
        items_of(tmp_path, "minimal_pairs", pair)
    choices = {"question": "a", "choices": ["b", "c", "c"]}
    items = items_of(tmp_path, "multiple_choice", *(choices | {"answer": n} for n in range(3)))
    assert [item.gold for item in items] == [0]


def test_what_stands_before_a_continuation_is_said_by_the_probe(tmp_path: Path) -> None:
    word = {"context": "我们在这里等他", "continuation": "回来"}
    (item,) = items_of(tmp_path, "last_word", word, delimiter="")
    assert (item.options, item.sizes) == ((("我们在这里等他", "回来"),), (6,))
    pair = {"sentence_good": "雨下了", "sentence_bad": "下雨了了"}
    (item,) = items_of(tmp_path, "minimal_pairs", pair, delimiter="")
    assert (item.options, item.sizes) == ((("", "雨下了"), ("", "下雨了了")), (9, 12))
    choices = {"question": "雨", "choices": [" 下", "了"], "answer": 0}
    (item,) = items_of(tmp_path, "multiple_choice", choices, delimiter="\n")
    assert (item.options, item.sizes) == ((("雨", "\n 下"), ("雨", "\n了")), (4, 3))


@pytest.mark.parametrize("space", [" ", "  ", "\n", "\u3000"])
def test_the_last_word_of_a_text_keeps_the_space_that_stands_there(
    tmp_path: Path, space: str
) -> None:
    text = {"text": f"the old rain{space}rain\n"}
    (item,) = items_of(tmp_path, "last_word", text)
    assert (item.options, item.sizes) == ((("the old rain", f"{space}rain"),), (4,))


def test_a_text_without_spaces_is_refused_with_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="context and continuation, or text with a space before"):
        items_of(tmp_path, "last_word", {"text": "我们在这里等他回来"})


def test_items_are_chosen_by_their_texts_alone(tmp_path: Path) -> None:
    probe = write_probe(tmp_path, "minimal_pairs", items=4)
    chosen = read_items(probe)
    lines = [json.dumps(each | {"UID": "y"}) for each in reversed(ITEMS["minimal_pairs"])]
    with gzip.open(tmp_path / "other.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write("\n\n".join([*lines, lines[0]]))
    other = probe.model_copy(update={"files": str(tmp_path / "o*.gz")})
    assert read_items(other) == chosen and len(chosen) == 4
    assert len(read_items(other.model_copy(update={"items": 100}))) == 9


def test_the_identity_is_of_what_is_asked_wherever_it_lies(tmp_path: Path) -> None:
    probe = write_probe(tmp_path, "minimal_pairs", items=4)
    lines = [json.dumps(each) for each in ITEMS["minimal_pairs"]]
    # In two files, whose names say nothing, and with fields that are not read.
    for folder, parts in [("a", (lines[:5], lines[5:])), ("b", (lines[5:], lines[:5]))]:
        (tmp_path / folder).mkdir()
        for name, part in zip("12", parts, strict=True):
            (tmp_path / folder / f"{name}.jsonl").write_text("\n\n".join(part) + "\n")
    for folder in "ab":
        moved = probe.model_copy(update={"files": str(tmp_path / folder / "*.jsonl")})
        assert probe_identity(moved) == probe_identity(probe)
    for change in ({"items": 5}, {"name": "other"}, {"delimiter": ""}):
        assert probe_identity(probe.model_copy(update=change)) != probe_identity(probe)
    before = probe_identity(probe)
    Path(probe.files).write_text("\n".join(lines[:4]))
    assert probe_identity(probe) != before


def test_files_that_have_not_changed_are_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    probe, parsed = write_probe(tmp_path, "last_word"), list[str]()
    loads = json.loads
    monkeypatch.setattr(json, "loads", lambda line: parsed.append(line) or loads(line))
    assert read_items(probe) == read_items(probe) and len(parsed) == len(ITEMS["last_word"])
    assert probe_identity(probe) and len(parsed) == len(ITEMS["last_word"])


def test_a_file_of_many_items_is_read_in_the_memory_of_those_asked(tmp_path: Path) -> None:
    path = tmp_path / "many.jsonl"
    with path.open("w") as file:
        for number in range(20_000):
            pair = {"sentence_good": f"{number} {'a ' * 100}", "sentence_bad": f"{number} b"}
            file.write(json.dumps(pair) + "\n")
    probe = ProbeConfig(name="p", files=str(path), kind="minimal_pairs", items=10)
    tracemalloc.start()
    try:
        chosen = read_items(probe)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < path.stat().st_size / 10
    every = read_items(probe.model_copy(update={"items": 30_000}))
    assert len(every) == 20_000 and chosen == every[:10]


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("minimal_pairs", {"sentence_good": "a"}),
        ("minimal_pairs", {"sentence_good": "a", "sentence_bad": " "}),
        ("minimal_pairs", ["a", "b"]),
        ("minimal_pairs", {"sentence_good": "a", "sentence_bad": "\ud800"}),
        ("last_word", {"text": "one"}),
        ("last_word", {"context": "a", "continuation": 3}),
        ("multiple_choice", {"question": "a", "choices": ["b"], "answer": 0}),
        ("multiple_choice", {"question": "a", "choices": ["b", "c"], "answer": 2}),
        ("multiple_choice", {"question": "a", "choices": ["b", "c"], "answer": True}),
        ("multiple_choice", {"question": "a", "choices": 3, "answer": 0}),
        ("multiple_choice", {"question": "a", "choices": "bc", "answer": 0}),
        ("multiple_choice", {"question": "a", "choices": {"text": "bc"}, "answer": 0}),
        ("multiple_choice", {"question": "a", "choices": {"b": 1, "c": 2}, "answer": 0}),
        ("multiple_choice", {"question": "a", "choices": ["b", "c"], "answerKey": "B"}),
        (
            "multiple_choice",
            {"question": "a", "choices": {"text": ["b", "c"], "label": ["A", "B"]}, "answer": "B"},
        ),
        (
            "multiple_choice",
            {"question": "a", "choices": {"text": ["b", "c"], "label": ["A", "A"]}, "answer": 0},
        ),
        (
            "multiple_choice",
            {"question": "a", "choices": {"text": ["b", "c"], "label": ["A", "B"]}, "answerKey": 1},
        ),
    ],
)
def test_what_is_no_item_is_told_with_its_line(tmp_path: Path, kind: ProbeKind, line: Any) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(f"{json.dumps(ITEMS[kind][0])}\n{json.dumps(line)}\n")
    with pytest.raises(CorpusError, match=rf"Line 2 of .*bad.jsonl is no item of {kind}; expected"):
        read_items(ProbeConfig(name="p", files=str(path), kind=kind))


def test_marks_of_byte_order_and_names_of_packed_files_do_not_matter(tmp_path: Path) -> None:
    data = b"\xef\xbb\xbf" + json.dumps(ITEMS["last_word"][1]).encode() + b"\r\n"
    for name, written in [
        ("bom.jsonl", data),
        ("packed.JSONL.GZ", gzip.compress(data)),
        ("packed.jsonl", gzip.compress(data)),
        ("plain.gz", data),
    ]:
        (tmp_path / name).write_bytes(written)
        probe = ProbeConfig(name="p", files=str(tmp_path / name), kind="last_word")
        assert len(read_items(probe)) == 1


@pytest.mark.parametrize("read", [read_items, probe_identity])
@pytest.mark.parametrize(
    ("files", "said"),
    [
        ("a" * 300 + ".jsonl", "cannot be looked up"),
        ("**x/*.jsonl", "cannot be looked up|there is no such file"),  # from Python 3.13 on
        ("a\0b.jsonl", "cannot be looked up|there is no such file"),
        ("closed/a.jsonl", "cannot be looked up"),
        ("locked.jsonl", "cannot be read"),
    ],
)
def test_files_that_cannot_be_reached_are_told_in_a_sentence(
    read: Callable[[ProbeConfig], Any], files: str, said: str
) -> None:
    user = os.geteuid()
    # Not in a folder of pytest, which nobody else may enter.
    with tempfile.TemporaryDirectory() as folder:
        locked, closed = Path(folder, "locked.jsonl"), Path(folder, "closed")
        closed.mkdir()
        for path in (locked, closed / "a.jsonl"):
            path.write_text(json.dumps(ITEMS["last_word"][1]))
        probe = ProbeConfig(name="p", files=f"{folder}/{files}", kind="last_word")
        Path(folder).chmod(0o755)
        locked.chmod(0)
        closed.chmod(0)
        try:
            if user == 0:
                os.seteuid(65534)  # whom modes bind
            with pytest.raises(CorpusError, match=said):
                read(probe)
        finally:
            os.seteuid(user)
            closed.chmod(0o755)


def test_files_that_are_none_are_told_in_a_sentence(tmp_path: Path) -> None:
    for name, data, said in [
        ("broken.jsonl.gz", b"\x1f\x8b\x08no", "cannot be read"),
        ("latin.jsonl", b'{"text": "caf\xe9 au lait"}', "cannot be read"),
        ("empty.jsonl", b"\n", "has no item"),
    ]:
        (tmp_path / name).write_bytes(data)
        probe = ProbeConfig(name="p", files=str(tmp_path / name), kind="last_word")
        with pytest.raises(CorpusError, match=said):
            read_items(probe)
    with pytest.raises(CorpusError, match="there is no such file"):
        read_items(ProbeConfig(name="p", files=str(tmp_path / "*.json"), kind="last_word"))
    with pytest.raises(ConfigError, match="no absolute path"):
        parse(ProbeConfig, {"name": "p", "files": "text.jsonl", "kind": "last_word"})
    same = {"name": "p", "files": "/text.jsonl", "kind": "last_word"}
    with pytest.raises(ConfigError, match="expected each name once"):
        parse(EvaluationConfig, {"probes": [same, same]})


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
    for row in drawn[:, :3].tolist():
        low, high = paired(*row, items)
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
    chosen = list(choose_windows(documents, 5))
    assert chosen == list(choose_windows(reversed(documents), 5)) and len(set(chosen)) == 5
    several = list(choose_windows(documents[:2], 9))
    assert len(several) == 9 and len(set(several)) > 2
    assert list(choose_windows([Document("0", "s", "f", "und", "short")], 5)) == []
    found = find_memorised(writer, documents, 5)
    assert (found.passages, found.tokens) == (5, SEQUENCE_LENGTH // 2)
    assert found.low <= found.share <= found.high
    assert find_memorised(writer, [], 5).passages == 0
