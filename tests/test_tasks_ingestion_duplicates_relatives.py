"""Relatives: documents that share bands with documents whose text is not at hand."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from corpusmill.tasks.ingestion.duplicates.relatives import (
    LEAST_SHARED,
    near_duplicate_bands,
    shared_bands,
)
from corpusmill.tasks.ingestion.duplicates.signatures import BANDS, band_hashes, rows_for
from tests.corpora import speeches

# Of few values, that many are shared, and 0 among them.
FEW = st.integers(0, 3)


def _bands(rows: int, columns: int = 4) -> st.SearchStrategy[np.ndarray]:
    return arrays(np.uint64, (rows, columns), elements=FEW)


@given(bands=_bands(5), met=_bands(7), chosen=arrays(np.bool_, 7))
def test_the_most_that_is_shared_is_found_as_by_looking_at_all_pairs(
    bands: np.ndarray, met: np.ndarray, chosen: np.ndarray
) -> None:
    expected = [
        max([((row == other) & (row != 0)).sum() for other in met[chosen]], default=0)
        for row in bands
    ]
    assert shared_bands(bands, met, chosen).tolist() == expected


@pytest.mark.parametrize(("rows", "others"), [(0, 3), (3, 0), (0, 0)])
def test_where_there_is_nothing_nothing_is_shared(rows: int, others: int) -> None:
    bands, met = np.ones((rows, BANDS), np.uint64), np.ones((others, BANDS), np.uint64)
    assert shared_bands(bands, met, np.ones(others, bool)).tolist() == [0] * rows


def test_bands_that_were_not_looked_for_are_shared_with_nothing() -> None:
    zeros, ones = np.zeros((3, BANDS), np.uint64), np.ones((3, BANDS), np.uint64)
    every = np.ones(3, bool)
    assert not shared_bands(zeros, zeros, every).any()
    assert not shared_bands(ones, np.zeros((3, 0), np.uint64), every).any()


def test_boilerplate_that_thousands_share_hides_no_relative() -> None:
    generator = np.random.default_rng(1)
    met = generator.integers(1, 2**63, (20_000, BANDS), np.uint64)
    # One band is the same in all: the relative is the last of twenty thousand.
    met[:, 0] = 7
    bands = generator.integers(1, 2**63, (50, BANDS), np.uint64)
    bands[:, 0] = 7
    bands[:, 1:4] = met[-1, 1:4]
    assert shared_bands(bands, met, np.ones(len(met), bool)).tolist() == [3] * 50


def test_a_near_duplicate_shares_as_many_bands_as_its_similarity_lets_expect() -> None:
    assert near_duplicate_bands(0.8) == 6
    assert near_duplicate_bands(1.0) == BANDS
    for similarity in (0.25, 0.5, 0.9):
        expected = BANDS * similarity ** rows_for(similarity)
        assert near_duplicate_bands(similarity) == max(LEAST_SHARED, np.ceil(expected))


def test_of_edited_speeches_hardly_one_is_no_relative() -> None:
    # What docs/nights.md measures, on a small scale: similarities about 0.81.
    texts = [text[:8000] for text in speeches(200)]
    edited = []
    for text in texts:
        words = text.split()
        words[::50] = ["otherwise"] * len(words[::50])
        edited.append(" ".join(words))
    rows = rows_for(0.8)
    one, other = (band_hashes(pa.array(some, pa.large_string()), rows) for some in (texts, edited))
    shared = ((one == other) & (one != 0)).sum(1)
    assert (shared >= LEAST_SHARED).mean() >= 0.97
    # And those that have nothing to do with each other are none.
    assert ((one[1:] == other[:-1]).sum(1) < LEAST_SHARED).all()
