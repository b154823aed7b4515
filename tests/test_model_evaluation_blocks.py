"""Sums over blocks: every token in one block of its text, and figures from sums as from texts."""

import random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from sacrebleu import BLEU, CHRF

from corpusmill.model.evaluation.blocks import BlockSums
from corpusmill.model.evaluation.figures import BLEU_STATISTICS, Sums, bleu, chrf
from corpusmill.storage.corpus.documents import Document, document_id

# Bytes of a text and its tokens.
TEXTS = st.lists(st.tuples(st.integers(0, 9000), st.integers(0, 3000)), min_size=1, max_size=9)


def _documents(sizes: list[int]) -> list[Document]:
    """Two in a row are the sides of a pair; the last one may be alone."""
    texts = ["x" * size for size in sizes]
    ids = [
        document_id("\u2029".join(texts[row - row % 2 : row - row % 2 + 2]).encode())
        for row in range(len(texts))
    ]
    return [
        Document(name, "ab"[number // 4 % 2], "file", "und", text)
        for number, (name, text) in enumerate(zip(ids, texts, strict=True))
    ]


def test_equal_documents_are_several() -> None:
    same = Document(document_id(b"x" * 5000), "a", "file", "und", "x" * 5000)
    blocks = (sums := BlockSums([same] * 3, [1] * 3, values=1)).blocks(sums.values)
    assert blocks.numbers.tolist() == [0, 1] * 3


@given(TEXTS)
def test_every_token_is_in_one_block_of_its_text(texts: list[tuple[int, int]]) -> None:
    documents, counts = _documents([size for size, _ in texts]), [count for _, count in texts]
    sums = BlockSums(documents, counts, values=2)
    text_of = np.repeat(np.arange(len(texts)), counts)
    order = np.random.default_rng(0).permutation(len(text_of))
    sums.add(order, text_of[order], np.ones(len(order), bool))
    blocks = sums.blocks(sums.values)
    assert blocks.predictions.tolist() == sums.values[:, 1].tolist()
    # Pairs of one size are equal, and stand apart.
    document_of = np.cumsum(blocks.numbers == 0) - 1
    for number in range(len(documents[::2])):
        some = slice(2 * number, 2 * number + 2)
        here = document_of == number
        assert blocks.numbers[here].tolist() == list(range(here.sum()))
        assert blocks.bytes[here].sum() == sum(size for size, _ in texts[some])
        assert blocks.predictions[here].sum() == sum(counts[some])
        own = sum(place * counts[place] for place in range(len(texts))[some])
        assert sums.values[here, 0].sum() == own


@given(TEXTS, st.integers(1, 5))
def test_blocks_are_even_and_the_same_whatever_the_tokens(
    texts: list[tuple[int, int]], times: int
) -> None:
    documents, counts = _documents([size for size, _ in texts]), [count for _, count in texts]
    one, other = (
        BlockSums(documents, [factor * count for count in counts], values=1)
        for factor in (1, times)
    )
    blocks = one.blocks(one.values)
    assert blocks.same_text(other.blocks(other.values))
    assert len(blocks) == sum(max(1, round(size / 2048)) for size, _ in texts)
    assert blocks.bytes.max() <= 2048 * 3 / 2
    one.add(np.arange(sum(counts)), np.ones(sum(counts)))
    sizes = np.array([len(each.text) for each in documents])
    spread = one.spread(sizes)
    assert np.isclose(spread.sum(), sizes.sum())
    assert (np.abs(spread - blocks.bytes) <= 1).all()


@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(0, 8))
def test_bleu_and_chrf_of_sums_are_those_of_sacrebleu(seed: int, pairs: int, longest: int) -> None:
    draw = random.Random(seed)
    written, references = (
        [
            " ".join(draw.choices(["a", "bc", "d.", "eee"], k=draw.randint(0, longest)))
            for _ in "x" * pairs
        ]
        for _ in range(2)
    )
    metrics = BLEU(tokenize="13a"), CHRF()
    statistics = [
        np.array(each._extract_corpus_statistics(written, [references]), np.float64)
        for each in metrics
    ]
    assert statistics[0].shape[1] == BLEU_STATISTICS
    # Twice, since figures of many draws are worked out at once.
    total = np.tile(np.concatenate(statistics, axis=1).sum(0), (2, 1))
    sums = Sums(total, predictions=np.ones(2), bytes=np.ones(2))
    for metric, of in zip(metrics, (bleu, chrf), strict=True):
        expected = metric.corpus_score(written, [references]).score
        assert np.allclose(of(sums), expected, atol=1e-9)
