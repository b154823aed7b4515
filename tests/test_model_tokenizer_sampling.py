"""The sample: its size and shares, the same in any order, cut to the memory there is."""

import pytest

from corpusmill.model.tokenizer.config import TokenizerConfig
from corpusmill.model.tokenizer.memory import cut_to_memory, predict_memory
from corpusmill.model.tokenizer.sampling import Piece, Stratum, bytes_by_stratum, draw_sample

EN, ZH = ("books", "en"), ("poems", "zh")
Documents = list[tuple[Stratum, str, str]]


def _documents(stratum: Stratum, number: int, text: str) -> Documents:
    return [(stratum, f"{stratum[1]}{i}", f"{text} {i}.") for i in range(number)]


@pytest.fixture(scope="module")
def documents() -> Documents:
    return _documents(EN, 9000, "A sentence of some words") + _documents(ZH, 1000, "雨下了三天三夜")


@pytest.fixture(scope="module")
def totals(documents: Documents) -> dict[Stratum, int]:
    return bytes_by_stratum(Piece(0, stratum, text) for stratum, _, text in documents)


def test_the_sample_has_the_size_asked_for(
    documents: Documents, totals: dict[Stratum, int]
) -> None:
    sample = draw_sample(documents, totals, 50_000, 1.0)
    assert sum(bytes_by_stratum(sample).values()) == pytest.approx(50_000, rel=0.1)


@pytest.mark.parametrize(("exponent", "share"), [(1.0, 0.09), (0.5, 0.24), (0.0, 0.5)])
def test_a_small_language_gets_its_share(
    documents: Documents, totals: dict[Stratum, int], exponent: float, share: float
) -> None:
    sizes = bytes_by_stratum(draw_sample(documents, totals, 40_000, exponent))
    assert sizes[ZH] / sum(sizes.values()) == pytest.approx(share, abs=0.03)


def test_what_one_stratum_cannot_give_the_others_do(
    documents: Documents, totals: dict[Stratum, int]
) -> None:
    sizes = bytes_by_stratum(draw_sample(documents, totals, 150_000, 0.0))
    assert sizes[ZH] == totals[ZH]
    assert sum(sizes.values()) == pytest.approx(150_000, rel=0.1)


def test_a_budget_beyond_the_corpus_takes_it_whole(
    documents: Documents, totals: dict[Stratum, int]
) -> None:
    sample = draw_sample(documents, totals, 10**9, 0.7)
    assert sorted(piece.text for piece in sample) == sorted(text for _, _, text in documents)


def test_the_order_of_documents_does_not_matter(
    documents: Documents, totals: dict[Stratum, int]
) -> None:
    sample = draw_sample(documents, totals, 20_000, 0.7)
    assert draw_sample(documents[::-1], totals, 20_000, 0.7) == sample


def test_one_huge_document_gives_pieces_from_all_over() -> None:
    text = "".join(f"{number:07d} " for number in range(250_000))
    sample = draw_sample([(EN, "huge", text)], {EN: len(text)}, 400_000, 0.7)
    assert sum(len(piece.text) for piece in sample) == pytest.approx(400_000, rel=0.3)
    places = [int(piece.text.split()[1]) for piece in sample]
    assert min(places) < 50_000
    assert max(places) > 200_000


def _sample(number: int) -> list[Piece]:
    return [
        Piece(i / number, EN, " ".join(f"word{i * j % 9973}" for j in range(200)))
        for i in range(number)
    ]


def test_the_sample_is_cut_to_the_memory_and_a_sentence_says_so() -> None:
    sample = _sample(3000)
    whole, said = cut_to_memory(sample, TokenizerConfig())
    assert whole == sample
    assert "predicted to take 0.1 GB." in said
    need = int(predict_memory(sample, "rustbpe")(1.0))
    tight = TokenizerConfig.model_construct(memory_bytes=(need + (64 << 20)) // 2)
    kept, said = cut_to_memory(sample, tight)
    assert kept == sample[: len(kept)]
    assert 0.3 < len(kept) / len(sample) < 0.7
    assert "of the sample, as all of it would take" in said


@pytest.mark.parametrize("learner", ["rustbpe", "bpe", "wordpiece", "unigram"])
def test_more_text_is_predicted_to_take_more(learner: str) -> None:
    need = predict_memory(_sample(200), learner)
    assert need(0.1) < need(0.5) < need(1.0)


def test_no_sample_needs_nothing_to_speak_of() -> None:
    assert cut_to_memory([], TokenizerConfig())[0] == []
