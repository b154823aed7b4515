import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.storage.corpus.texts import Texts, buffers_of
from corpusmill.storage.errors import ConfigError
from corpusmill.tasks.ingestion.duplicates import vectorised
from corpusmill.tasks.ingestion.duplicates.components import Components, near_duplicates
from corpusmill.tasks.ingestion.duplicates.exact import exact_duplicates
from corpusmill.tasks.ingestion.duplicates.shingles import symbols
from corpusmill.tasks.ingestion.duplicates.signatures import BANDS, band_hashes, rows_for
from corpusmill.tasks.ingestion.duplicates.verification import similarities
from tests.benchmarks.planted import jaccard, plant, tokens

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
SIMILARITY = 0.8
# Case, marks, characters of 1 to 4 bytes, scripts without spaces, and what lies beyond the table.
MIXED = st.text(st.sampled_from("abB 1_.\n'éßẞΣσҰक्षع한中々ガぁ𠀀ｱ。🎉\U000e0100"), max_size=60)


def arrow(texts: list[str]) -> pa.LargeStringArray:
    return pa.array(texts, pa.large_string())


def search(texts: list[str], similarity: float = SIMILARITY, num_seen: int = 0) -> Components:
    array = arrow(texts)
    bands = band_hashes(array, rows_for(similarity))
    return near_duplicates([bands], Texts([array]), similarity, np.arange(len(texts)), num_seen)


def words(seed: int, number: int) -> list[str]:
    draw = random.Random(seed)
    return [f"word{draw.randrange(10_000)}" for _ in range(number)]


def prose(seed: int, documents: int) -> list[str]:
    return [" ".join(words(seed * 1000 + i, 20 + i % 180)) for i in range(documents)]


@settings(max_examples=60)
@given(st.lists(MIXED, min_size=1, max_size=8))
def test_compiled_and_vectorised_bands_are_the_same(texts: list[str]) -> None:
    kernels = pytest.importorskip("corpusmill.tasks.ingestion.duplicates.kernels")
    arguments = (*buffers_of(arrow(texts)), symbols(), *permutations(), BANDS)
    assert np.array_equal(kernels.band_hashes(*arguments), vectorised.band_hashes(*arguments))


@settings(max_examples=60)
@given(st.lists(MIXED, min_size=2, max_size=6))
def test_both_ways_compute_the_similarity_of_plain_python(texts: list[str]) -> None:
    kernels = pytest.importorskip("corpusmill.tasks.ingestion.duplicates.kernels")
    pairs = [(a, b) for a in range(len(texts)) for b in range(a + 1, len(texts))]
    left, right = np.array(pairs).T.copy()
    for way in (kernels, vectorised):
        sets = way.shingle_sets(*buffers_of(arrow(texts)), symbols())
        found = way.similarities(*sets, left, right)
        assert found.tolist() == [jaccard(texts[a], texts[b]) for a, b in pairs]


def test_a_document_longer_than_the_kernels_chunk_has_the_same_bands_both_ways() -> None:
    kernels = pytest.importorskip("corpusmill.tasks.ingestion.duplicates.kernels")
    texts = [" ".join(f"w{i % 5003}" for i in range(n)) for n in (4093, 4094, 4095, 4098, 20_000)]
    # What follows the last token of a chunk may be no token any more.
    texts += [text + " ..." for text in texts] + ["古" * 4094, "古" * 4094 + "。" * 9]
    arguments = (*buffers_of(arrow(texts)), symbols(), *permutations(), BANDS)
    assert np.array_equal(kernels.band_hashes(*arguments), vectorised.band_hashes(*arguments))
    sets = [way.shingle_sets(*arguments[:3]) for way in (kernels, vectorised)]
    assert np.array_equal(sets[0][1], sets[1][1])
    assert np.array_equal(np.sort(sets[0][0]), np.sort(sets[1][0]))


def test_case_space_and_punctuation_do_not_count_and_characters_without_spaces_do() -> None:
    texts = [
        "Der Große, alte Baum — am Fluß!",
        "der große\nalte BAUM am fluß",
        "床前明月光",
        "床前明月",
    ]
    assert tokens(texts[0]) == ["der", "große", "alte", "baum", "am", "fluß"]
    bands = band_hashes(arrow(texts), 6)
    assert (bands[0] == bands[1]).all()
    assert not (bands[2] == bands[3]).any()


def test_bands_depend_on_the_document_alone() -> None:
    texts = [*prose(1, 60), "", "...", "短", "a", *prose(2, 5)]
    whole = band_hashes(arrow(texts), 6)
    order = random.Random(0).sample(range(len(texts)), len(texts))
    shuffled = arrow([texts[i] for i in order])
    parts = [band_hashes(shuffled.slice(i, 7), 6) for i in range(0, len(texts), 7)]
    assert np.array_equal(np.concatenate(parts), whole[order])


def test_groups_of_documents_may_be_cut_anywhere() -> None:
    texts, _ = plant(prose(3, 300), 60, seed=3)
    array = arrow(texts)
    bands = band_hashes(array, 6)
    cuts = [(0, 0), (0, 100), (100, 101), (101, 360)]
    found = near_duplicates(
        [bands[a:b] for a, b in cuts],
        Texts([array.slice(a, b - a) for a, b in cuts]),
        SIMILARITY,
        np.arange(len(texts)),
    )
    whole = search(texts)
    assert np.array_equal(found.representative, whole.representative)
    assert np.array_equal(found.component, whole.component)
    assert found.similarity.tolist() == whole.similarity.tolist()


def check_planted(texts: list[str]) -> None:
    documents, pairs = plant(texts, len(texts), seed=7)
    found = search(documents)
    similar = [(a, b) for a, b in pairs if jaccard(documents[a], documents[b]) >= SIMILARITY]
    together = sum(found.component[a] == found.component[b] for a, b in similar)
    assert together >= 0.99 * len(similar)
    removed = np.flatnonzero(found.representative != np.arange(len(documents)))
    assert len(removed) >= 0.97 * len(similar)
    for row in removed.tolist():
        kept = int(found.representative[row])
        assert found.representative[kept] == kept < row
        assert jaccard(documents[row], documents[kept]) >= SIMILARITY


def test_planted_edits_are_found_and_nothing_else_is_removed() -> None:
    check_planted(prose(4, 1000))


def test_planted_edits_of_real_text_are_found_and_nothing_else_is_removed() -> None:
    if not SHARED.exists():
        pytest.skip("needs the real text of ../shared/data")
    from tests.benchmarks.text import real_documents

    real = [text for text in real_documents(SHARED) if 100 < len(text) < 4000]
    check_planted(random.Random(0).sample(real, 1000))


@settings(max_examples=30)
@given(st.lists(MIXED.filter(lambda text: bool(tokens(text))), min_size=1, max_size=5), st.data())
def test_identical_documents_with_a_token_are_always_found(
    texts: list[str], data: st.DataObject
) -> None:
    copies = data.draw(st.lists(st.sampled_from(texts), min_size=2, max_size=8))
    found = search(copies)
    firsts = [copies.index(text) for text in copies]
    # Different texts may be equal in all that counts, so the first may be an earlier one still.
    assert (found.representative <= firsts).all()
    assert (found.representative == found.representative[firsts]).all()


def test_documents_without_tokens_are_nobodys_duplicates() -> None:
    assert search(["", "!!!", "→", "", "!!!"]).representative.tolist() == [0, 1, 2, 3, 4]


def test_a_million_equal_documents_are_compared_a_million_times() -> None:
    number = 1_000_000
    texts = pa.DictionaryArray.from_arrays(
        pa.array(np.zeros(number, np.int32)), pa.array(["x"], pa.large_string())
    ).dictionary_decode()
    bands = np.broadcast_to(band_hashes(arrow(["x"]), 6), (number, BANDS))
    found = near_duplicates([bands], Texts([texts]), SIMILARITY, np.arange(number))
    assert not found.representative.any()
    assert found.compared == number - 1


def test_a_crowd_in_one_band_is_not_compared_in_full_and_that_is_counted() -> None:
    texts = arrow(prose(5, 2000))
    bands = band_hashes(texts, 6)
    bands[:, 3] = 77
    found = near_duplicates([bands], Texts([texts]), SIMILARITY, np.arange(2000))
    assert (found.representative == np.arange(2000)).all()
    assert found.compared < 10 * 2000
    assert found.crowded == 2000 - 9


def test_of_a_chain_only_what_is_like_a_kept_document_goes_and_all_is_one_component() -> None:
    running = words(6, 260)
    texts = [" ".join(running[shift : shift + 200]) for shift in range(0, 60, 5)]
    found = search(texts)
    assert set(found.component.tolist()) == {0}
    kept = np.flatnonzero(found.representative == np.arange(len(texts))).tolist()
    assert 1 < len(kept) < len(texts)
    for row, other in enumerate(found.representative.tolist()):
        before = [k for k in kept if k < row and jaccard(texts[k], texts[row]) >= SIMILARITY]
        assert other == (before[0] if before else row)


def test_documents_met_before_stay_and_new_ones_like_them_go() -> None:
    old, new = prose(7, 20), prose(8, 20)
    texts = [*old, old[3] + " more", *new, old[5] + " again", new[2] + " again"]
    found = search(texts, num_seen=21)
    assert found.representative[:21].tolist() == list(range(21))
    assert found.representative[21:].tolist() == [*range(21, 41), 5, 23]


def test_exact_duplicates_follow_their_first_to_its_representative() -> None:
    one, other = prose(9, 200)[150:152]
    texts = [one, one + " more", other, one + " more", one]
    array = arrow(texts)
    exact = np.array([texts.index(text) for text in texts])
    found = near_duplicates([band_hashes(array, 6)], Texts([array]), SIMILARITY, exact)
    assert found.representative.tolist() == [0, 0, 2, 0, 0]
    assert found.component.tolist() == [0, 0, 2, 0, 0]
    assert found.compared == 1


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), max_size=30))
def test_exact_duplicates_are_the_first_of_their_id(words: list[tuple[int, int]]) -> None:
    # The leading words differ in the bits that sorting looks at, or not at all.
    ids = np.array([(a << 62, b) for a, b in words], np.uint64).reshape(-1, 2)
    first = [words.index(word) for word in words]
    assert exact_duplicates(ids).tolist() == first
    as_void = np.frombuffer(ids.tobytes(), "V16") if len(words) else np.empty(0, "V16")
    assert exact_duplicates(as_void).tolist() == first


def test_verification_in_batches_is_that_of_single_pairs() -> None:
    texts = [" ".join(words(seed, 200_000)) for seed in range(3)]
    texts += [texts[0] + " end", texts[1][:1_500_000]]
    earlier, later = np.array([0, 0, 0, 1, 1]), np.array([1, 2, 3, 2, 4])
    found = similarities(earlier, later, Texts([arrow(texts[:2]), arrow(texts[2:])]))
    expected = [jaccard(texts[a], texts[b]) for a, b in zip(earlier, later, strict=True)]
    assert found.tolist() == expected


def test_the_rows_of_a_band_follow_from_the_similarity() -> None:
    for similarity in (0.25, 0.5, 0.7, 0.8, 0.9, 1.0):
        missed = (1 - similarity ** rows_for(similarity)) ** BANDS
        assert missed <= 0.005
    assert rows_for(0.8) == 6
    with pytest.raises(ConfigError, match=r"similarity is 0.1, expected 0.25 to 1"):
        rows_for(0.1)


def test_without_numba_it_says_so_and_finds_the_same() -> None:
    script = (
        "import sys; sys.modules['numba'] = None\n"
        "import numpy as np, pyarrow as pa\n"
        "from corpusmill.tasks.ingestion.duplicates.signatures import band_hashes\n"
        "texts = pa.array(['one two three', '床前明月光，疑是地上霜'], pa.large_string())\n"
        "print(band_hashes(texts, 6).tolist())"
    )
    root = Path(__file__).resolve().parents[1]
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True
    )
    texts = arrow(["one two three", "床前明月光，疑是地上霜"])
    assert run.stdout.strip() == str(band_hashes(texts, 6).tolist())
    assert "numba does not work here" in run.stderr


def permutations() -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(0)
    factors, terms = draw.integers(1 << 32, size=(2, BANDS * 6), dtype=np.uint32)
    return factors | np.uint32(1), terms
