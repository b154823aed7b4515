"""Replay: new shards with a share of what the line was trained on before."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.storage.artifacts import Ref, Spec, content_digest, obtain
from corpusmill.storage.layout import Layout
from corpusmill.storage.shards.reading import TokenStream, read_document_ends, read_pairs
from corpusmill.storage.shards.schema import DOCUMENTS, documents_path
from corpusmill.storage.shards.writing import ShardWriter
from corpusmill.storage.splits import SPLITS
from corpusmill.tasks.stages.replay import PIECE_TOKENS, mix_with_old
from tests.corpora import counts_of

VOCAB = 1 << 14


class Shards:
    """Shards of documents whose tokens are all the number of their document.

    Attributes:
        number_of: of each document.
    """

    def __init__(self, root: Path) -> None:
        self.layout = Layout(root)
        self.number_of: dict[str, int] = {}

    def make(
        self, name: str, lengths: Sequence[int], source: str = "text", pair: bool = False
    ) -> Ref:
        """Documents of so many tokens each; the two texts of a pair have one id."""

        def write(folder: Path) -> dict[str, object]:
            with ShardWriter(folder, "train", VOCAB) as writer:
                self._write(writer, name, lengths, source, pair)
            with ShardWriter(folder, "validation", VOCAB) as other:
                other.append_ids(np.zeros(3, np.int64))
            count = len(lengths)
            train = {"documents": count, "tokens": writer.tokens, "bytes": 4 * writer.tokens}
            return {"train": {**train, "sources": {}}, "validation": {"tokens": 3}}

        spec = Spec("shards", 1, {"tokenizer": "t"}, {"name": name, "lengths": list(lengths)})
        return obtain(self.layout, spec, write)[0]

    def _write(
        self, writer: ShardWriter, name: str, lengths: Sequence[int], source: str, pair: bool
    ) -> None:
        ids, ends = [], []
        for row, length in enumerate(lengths):
            ids.append(f"{name}-{row // 2 if pair else row}")
            number = self.number_of.setdefault(ids[-1], len(self.number_of) + 1)
            writer.append_ids(np.full(length, number))
            ends.append(writer.tokens)
        rows = len(ids)
        columns = {"id": ids, "source": [source] * rows, "language": ["en"] * rows, "end": ends}
        writer.append_documents(pa.table(columns, DOCUMENTS))

    def mix(
        self,
        new: Ref,
        old: Sequence[Ref],
        replay: float,
        seed: int = 1,
        without: Sequence[str] = (),
    ) -> Ref:
        return mix_with_old(
            self.layout,
            new,
            old,
            vocab_size=VOCAB,
            replay=replay,
            seed=seed,
            without=without,
        )


@pytest.fixture
def shards(tmp_path: Path) -> Shards:
    return Shards(tmp_path)


def _rows(mixed: Ref) -> list[Mapping[str, object]]:
    path = documents_path(mixed.path, "train")
    rows: list[Mapping[str, object]] = pa.ipc.open_file(path).read_all().to_pylist()
    return rows


def _tokens(mixed: Ref) -> Counter[str]:
    """Tokens by the name of the shards that they are of."""
    found = Counter[str]()
    ends = np.diff(read_document_ends(mixed.path, "train"), prepend=0)
    for row, size in zip(_rows(mixed), ends.tolist(), strict=True):
        found[str(row["id"]).partition("-")[0]] += size
    return found


def _check(shards: Shards, mixed: Ref) -> None:
    """Tokens are those of their document, and the counts add up."""
    stream = TokenStream(mixed.path, "train")
    tokens = stream.read(0, len(stream))
    ends = read_document_ends(mixed.path, "train")
    assert ends[-1] == len(stream)
    numbers = [shards.number_of[str(row["id"])] for row in _rows(mixed)]
    assert np.array_equal(tokens, np.repeat(numbers, np.diff(ends, prepend=0)))
    train = counts_of(mixed)["train"]
    assert train["tokens"] == len(stream) and train["documents"] == len(ends)
    for key in ("documents", "tokens", "bytes"):
        assert train[key] == sum(each[key] for each in train["sources"].values())
    first = 0
    for each in train["sources"].values():
        assert each["first_token"] == first
        first += each["tokens"]


@settings(max_examples=25)
@given(
    new=st.lists(st.integers(1, 900), min_size=1, max_size=5),
    base=st.lists(st.integers(1, 5000), min_size=1, max_size=8),
    nights=st.lists(st.lists(st.integers(1, 3000), min_size=1, max_size=3), max_size=3),
    replay=st.sampled_from([0.0, 0.1, 0.5, 0.75, 0.9]),
)
def test_old_text_makes_up_its_share_as_far_as_there_is_some(
    tmp_path_factory: pytest.TempPathFactory,
    new: list[int],
    base: list[int],
    nights: list[list[int]],
    replay: float,
) -> None:
    shards = Shards(tmp_path_factory.mktemp("shards"))
    old = [shards.make(f"old{n}", each) for n, each in enumerate([base, *nights])]
    mixed = shards.mix(shards.make("new", new), old, replay)
    _check(shards, mixed)
    wanted = round(sum(new) * replay / (1 - replay))
    there = sum(map(sum, [base, *nights]))
    found = counts_of(mixed)["replayed_tokens"]
    # A piece more of either half at most.
    assert min(wanted, there) <= found <= min(wanted + 2 * PIECE_TOKENS, there)
    assert _tokens(mixed)["new"] == sum(new)


def test_half_of_it_is_of_the_first_shards_and_half_of_all_later_ones(shards: Shards) -> None:
    old = [shards.make(f"old{n}", [100] * 400) for n in range(3)]
    found = _tokens(shards.mix(shards.make("new", [100] * 100), old, 0.75))
    assert found["new"] == 10_000
    assert found["old0"] == pytest.approx(15_000, abs=100)
    assert found["old1"] + found["old2"] == pytest.approx(15_000, abs=100)
    assert found["old1"] == pytest.approx(7_500, rel=0.3)


@pytest.mark.parametrize("sizes", [(10, 400), (400, 10)])
def test_what_one_half_has_not_the_other_gives(shards: Shards, sizes: tuple[int, int]) -> None:
    old = [shards.make(f"old{n}", [100] * size) for n, size in enumerate(sizes)]
    found = _tokens(shards.mix(shards.make("new", [100] * 100), old, 0.75))
    assert found["old0"] + found["old1"] == pytest.approx(30_000, abs=200)
    assert min(found["old0"], found["old1"]) == 1_000


def test_a_year_of_small_nights_does_not_add_to_the_share(shards: Shards) -> None:
    old = [shards.make(f"old{n}", [PIECE_TOKENS]) for n in range(100)]
    mixed = shards.mix(shards.make("new", [PIECE_TOKENS] * 2), old, 0.75)
    assert counts_of(mixed)["replayed_tokens"] <= 8 * PIECE_TOKENS


def test_long_texts_come_in_pieces_of_many(shards: Shards) -> None:
    old = [shards.make("old", [10 * PIECE_TOKENS] * 10)]
    mixed = shards.mix(shards.make("new", [1000]), old, 0.95)
    _check(shards, mixed)
    pieces = [row["id"] for row in _rows(mixed)][1:]
    assert len(pieces) == 10 and len(set(pieces)) > 3


def test_the_texts_of_a_pair_stay_together(shards: Shards) -> None:
    old = [
        shards.make("pairs", [20] * 100, "pairs", pair=True),
        shards.make("long", [9 * PIECE_TOKENS], "text"),
    ]
    new = shards.make("new", [20] * 20, "pairs", pair=True)
    mixed = shards.mix(new, old, 0.75)
    _check(shards, mixed)
    rows = Counter(str(row["id"]) for row in _rows(mixed) if row["source"] == "pairs")
    assert set(rows.values()) == {2} and len(rows) > 20
    # And nothing else is taken for a pair.
    assert read_pairs(mixed.path, "train").shape[1] == len(rows)


def test_what_is_to_be_forgotten_is_never_drawn(shards: Shards) -> None:
    old = [shards.make(f"old{n}", [50] * 20) for n in range(2)]
    without = [f"old{n}-{row}" for n in range(2) for row in range(0, 20, 2)]
    mixed = shards.mix(shards.make("new", [1000] * 5), old, 0.9, without=without)
    _check(shards, mixed)
    found = {str(row["id"]) for row in _rows(mixed)}
    assert not found & set(without)
    assert len(found) == 5 + 20


def test_the_same_is_drawn_again_and_other_text_with_another_seed(
    shards: Shards, tmp_path: Path
) -> None:
    def mixed(root: Path, seed: int) -> str:
        there = Shards(root)
        old = [there.make(f"old{n}", [100] * 50) for n in range(2)]
        return content_digest(there.mix(there.make("new", [100] * 5), old, 0.75, seed))

    assert mixed(tmp_path / "one", 1) == mixed(tmp_path / "two", 1)
    assert mixed(tmp_path / "one", 1) != mixed(tmp_path / "one", 2)


def test_sources_lie_next_to_each_other_and_what_is_held_out_is_that_of_the_night(
    shards: Shards,
) -> None:
    old = [shards.make("one", [100] * 30, "first"), shards.make("two", [100] * 30, "second")]
    new = shards.make("new", [100] * 10, "second")
    mixed = shards.mix(new, old, 0.75)
    _check(shards, mixed)
    sources = [str(row["source"]) for row in _rows(mixed)]
    assert sources == sorted(sources, reverse=True) and set(sources) == {"first", "second"}
    assert len(TokenStream(mixed.path, SPLITS[1])) == 3
    assert counts_of(mixed)["validation"] == {"tokens": 3}
