"""Masked tokens and sentence pairs: what is read, what is predicted, and what is never touched."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.model.data.batches import MaskedBatch
from corpusmill.model.data.draws import uniforms
from corpusmill.model.network.config import IGNORED
from corpusmill.model.objectives.config import MaskedTokens
from corpusmill.model.objectives.masked import MaskedRows
from corpusmill.model.objectives.masking import Masking
from corpusmill.model.objectives.pairs import SentencePairs
from corpusmill.model.objectives.vocabulary import Vocabulary, read_vocabulary
from corpusmill.model.objectives.words import word_numbers
from corpusmill.model.tokenizer.config import TokenizerConfig
from corpusmill.model.tokenizer.encoding import encode_documents
from corpusmill.model.tokenizer.folder import load_tokenizer
from corpusmill.model.tokenizer.training import train_tokenizer
from corpusmill.storage.errors import ConfigError
from corpusmill.storage.shards.reading import ArrayStream
from tests.corpora import speeches

PAD, UNKNOWN, CLS, SEP, MASK = range(5)
# 4 control tokens, words, what goes on with words, the end of a sentence, Chinese characters.
TOKENS = (
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
    *(f"w{number}" for number in range(40)),
    *(f"##c{number}" for number in range(40)),
    *(".", "北", "京", "大", "学", "的", "书"),
)
FULL_STOP = TOKENS.index(".")
VOCABULARY = Vocabulary(
    tokens=TOKENS,
    opening=CLS,
    closing=SEP,
    pad=PAD,
    mask=MASK,
    ordinary=np.arange(5, len(TOKENS)),
    continues=np.array([token.startswith("##") for token in TOKENS]),
    ends_sentence=np.array([token == "." for token in TOKENS]),
)
LENGTHS = [3, 0, 1, 40, 9, 2, 17, 120, 5]


def _masking(share: float = 0.15, *, whole_words: bool = False) -> Masking:
    return Masking(MaskedTokens(share=share, whole_words=whole_words), VOCABULARY, seed=7)


def _documents(lengths: list[int]) -> tuple[ArrayStream, np.ndarray]:
    """Framed documents of made-up tokens, of which no two are alike in one place."""
    generator = np.random.default_rng(0)
    framed = [[CLS, *generator.integers(5, len(TOKENS), n).tolist(), SEP] for n in lengths]
    ids = np.array([token for each in framed for token in each], np.uint16)
    return ArrayStream(ids), np.cumsum([len(each) for each in framed])


def _restored(batch: MaskedBatch) -> np.ndarray:
    ids, used = batch.ids_BT.copy(), batch.targets_BM != IGNORED
    ids[np.nonzero(used)[0], batch.places_BM[used]] = batch.targets_BM[used]
    return ids


def _rows(length: int = 16, *, document_mask: bool = False) -> MaskedRows:
    stream, ends = _documents(LENGTHS)
    sections = [(0, len(stream))]
    return MaskedRows(stream, ends, length, _masking(), sections, document_mask=document_mask)


def _all(samples: MaskedRows | SentencePairs, epoch: int = 0) -> MaskedBatch:
    numbers = np.arange(sum(samples.sizes))
    return samples.read(numbers, numbers + epoch * len(numbers))


@given(seed=st.integers(0, 2**31), draw=st.integers(0, 2**40))
def test_random_numbers_belong_to_seed_draw_and_purpose_alone(seed: int, draw: int) -> None:
    alone = uniforms(seed, np.array([draw]), 1, 5)
    among = uniforms(seed, np.array([draw + 1, draw, 3]), 1, 9)
    assert np.array_equal(alone[0], among[1, :5])
    assert ((among >= 0) & (among < 1)).all()
    for other in (
        uniforms(seed + 1, np.array([draw]), 1, 5),
        uniforms(seed, np.array([draw]), 2, 5),
    ):
        assert (alone != other).any()


def test_random_numbers_are_spread_evenly_and_independent() -> None:
    numbers = uniforms(0, np.arange(2000), 0, 50)
    assert np.abs(np.histogram(numbers, 10, (0, 1))[0] / numbers.size - 0.1).max() < 0.005
    assert abs(np.corrcoef(numbers[:-1, 0], numbers[1:, 0])[0, 1]) < 0.08
    assert abs(np.corrcoef(numbers[:, 0], numbers[:, 1])[0, 1]) < 0.08


@pytest.mark.parametrize("length", [3, 7, 16, 300])
def test_a_target_is_the_token_at_its_place_in_the_stream(length: int) -> None:
    rows, (stream, _) = _rows(length), _documents(LENGTHS)
    batch = _all(rows)
    used = batch.targets_BM != IGNORED
    places = rows.in_stream(np.arange(sum(rows.sizes)), batch.places_BM)[used]
    assert stream.read(0, len(stream))[places].tolist() == batch.targets_BM[used].tolist()


@pytest.mark.parametrize("length", [3, 7, 16, 300])
def test_rows_give_every_token_back_once_and_in_order(length: int) -> None:
    rows = _rows(length)
    batch, (stream, _) = _all(rows), _documents(LENGTHS)
    assert batch.ids_BT.shape[1] == length
    text = [
        row[1 : end - 1]
        for row, end in zip(_restored(batch), batch.lengths_B.tolist(), strict=True)
    ]
    assert np.concatenate(text).tolist() == stream.read(0, len(stream)).tolist()
    ends = batch.lengths_B - 1
    assert (batch.ids_BT[:, 0] == CLS).all()
    assert (batch.ids_BT[np.arange(len(ends)), ends] == SEP).all()
    assert rows.tokens(np.arange(len(ends))).sum() == len(stream)


@pytest.mark.parametrize("length", [3, 7, 16, 300])
def test_predictions_are_counted_without_reading(length: int) -> None:
    rows = _rows(length)
    batch = _all(rows)
    counted = rows.num_targets(np.arange(sum(rows.sizes)))
    assert (batch.targets_BM != IGNORED).sum(1).tolist() == counted.tolist()


def test_what_frames_a_text_is_never_predicted() -> None:
    for samples in (_rows(), _pairs()):
        batch = _all(samples)
        used = batch.targets_BM != IGNORED
        assert not np.isin(batch.targets_BM[used], (PAD, CLS, SEP, MASK)).any()
        assert (np.diff(np.where(used, batch.places_BM, 10**6), axis=1)[used[:, 1:]] > 0).all()


def test_a_row_that_comes_again_is_masked_anew() -> None:
    first, again, second = _all(_rows()), _all(_rows()), _all(_rows(), epoch=1)
    assert np.array_equal(first.ids_BT, again.ids_BT)
    assert np.array_equal(_restored(first), _restored(second))
    assert (first.places_BM != second.places_BM).any(1).mean() > 0.5


def test_of_what_is_predicted_80_percent_is_masked_and_10_replaced() -> None:
    ids = np.full((400, 100), 50)
    candidates = np.ones(ids.shape, bool)
    masked, places, targets = _masking().apply(ids, candidates, np.arange(400), 15)
    assert (targets == 50).all()
    read = np.take_along_axis(masked, places, 1)
    assert (read == MASK).mean() == pytest.approx(0.8, abs=0.02)
    assert (read == 50).mean() == pytest.approx(0.1 + 0.1 / len(VOCABULARY.ordinary), abs=0.015)
    assert set(np.unique(read)) <= {MASK, *VOCABULARY.ordinary.tolist()}
    untouched = np.ones(ids.shape, bool)
    np.put_along_axis(untouched, places, False, 1)
    assert (masked[untouched] == 50).all()


def test_every_place_is_predicted_as_often() -> None:
    ids, draws = np.full((4000, 20), 50), np.arange(4000)
    _, places, _ = _masking().apply(ids, np.ones(ids.shape, bool), draws, 3)
    often = np.bincount(places.ravel(), minlength=20) / 4000
    assert np.abs(often - 0.15).max() < 0.03


def test_words_are_masked_whole_or_not_at_all() -> None:
    generator = np.random.default_rng(1)
    word = [[5 + n, *(45 + generator.integers(0, 40, n % 3))] for n in range(30)]
    ids = np.array([[token for each in word for token in each]])
    numbers = word_numbers(ids[0], np.arange(ids.shape[1]), VOCABULARY)
    masking = _masking(whole_words=True)
    count = int(masking.counts(np.array([ids.shape[1]]))[0])
    cut = 0
    for draw in range(200):
        _, places, targets = masking.apply(ids, np.ones(ids.shape, bool), np.array([draw]), count)
        assert (targets != IGNORED).all()
        touched = np.bincount(numbers[places[0]], minlength=numbers.max() + 1)
        whole = np.bincount(numbers)
        cut += int(((touched > 0) & (touched != whole)).sum())
    # There is a word of one token, so that the rest always fits.
    assert cut == 0


def test_a_chinese_word_is_one_word_and_a_gap_ends_it() -> None:
    ids = np.array(
        [TOKENS.index(token) for token in ("北", "京", "大", "学", "的", "书", "w1", "##c2")]
    )
    assert word_numbers(ids, np.arange(8), VOCABULARY).tolist() == [0, 0, 0, 0, 1, 2, 3, 3]
    apart = np.array([0, 1, 5, 6, 7, 8, 9, 20])
    assert word_numbers(ids, apart, VOCABULARY).tolist() == [0, 0, 1, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("length", [3, 7, 16, 300])
def test_the_longest_is_what_attention_sees_at_once(length: int) -> None:
    rows, apart = (_rows(length, document_mask=masked) for masked in (False, True))
    assert rows.longest == _all(rows).lengths_B.max()
    batch = _all(apart)
    assert batch.positions_BT is not None
    text = np.arange(length) < batch.lengths_B[:, None]
    assert apart.longest == batch.positions_BT[text].max() + 1


def test_positions_begin_again_with_each_document() -> None:
    batch = _all(_rows(document_mask=True))
    assert batch.positions_BT is not None
    for row, (ids, length) in enumerate(zip(_restored(batch), batch.lengths_B, strict=True)):
        expected, place = [], 0
        for column in range(len(ids)):
            # A document that begins with the row shares its first place with the row's own [CLS].
            opens = ids[column] == CLS and 1 < column < length - 1
            place = 0 if opens or column in (0, length) else place + 1
            expected.append(place)
        assert batch.positions_BT[row].tolist() == expected


def _pairs(length: int = 24) -> SentencePairs:
    stream, ends = _documents(LENGTHS)
    return SentencePairs(stream, ends, length, _masking(), [(0, len(stream))], least=2)


@pytest.mark.parametrize("length", [6, 24, 200])
def test_a_pair_is_two_spans_that_follow_each_other_or_are_of_two_documents(length: int) -> None:
    pairs, (stream, _) = _pairs(length), _documents(LENGTHS)
    text = " ".join(map(str, stream.read(0, len(stream)).tolist())) + " "
    labels = []
    for epoch in range(20):
        batch = _all(pairs, epoch)
        assert batch.random_next_B is not None and batch.segments_BT is not None
        labels += batch.random_next_B.tolist()
        for ids, end, segments, label in zip(
            _restored(batch).tolist(),
            batch.lengths_B.tolist(),
            batch.segments_BT.tolist(),
            batch.random_next_B.tolist(),
            strict=True,
        ):
            first, second = ids[1 : ids.index(SEP)], ids[ids.index(SEP) + 1 : end - 1]
            assert first and second and ids[0] == CLS and ids[end - 1] == SEP
            assert segments == [0] * (len(first) + 2) + [1] * (len(second) + 1) + [0] * (
                length - end
            )
            follows = " ".join(map(str, first + second)) + " " in text
            assert follows != bool(label) or len(second) < 3
    assert 0.35 < np.mean(labels) < 0.65


def test_pairs_count_what_is_left_out() -> None:
    pairs = _pairs()
    # The document of one token, and a quarter of each other, of the longer ones 32 tokens.
    assert pairs.dropped == 1 + 10 + 2 + 4 + 30 + 1
    numbers = np.arange(sum(pairs.sizes))
    assert pairs.tokens(numbers).sum() + pairs.dropped == sum(LENGTHS)
    batch = _all(pairs)
    learned = pairs.num_targets(numbers)
    assert learned[:, 0].tolist() == (batch.targets_BM != IGNORED).sum(1).tolist()
    assert (learned[:, 1] == 1).all()


def _parts(batch: MaskedBatch) -> list[tuple[list[int], list[int]]]:
    """A and B of each pair."""
    rows = zip(_restored(batch).tolist(), batch.lengths_B.tolist(), strict=True)
    return [(ids[1 : ids.index(SEP)], ids[ids.index(SEP) + 1 : end - 1]) for ids, end in rows]


def test_both_kinds_of_b_begin_a_sentence() -> None:
    text = [CLS, *[10, 11, 12, 13, 14, FULL_STOP] * 80, SEP]
    stream, ends = ArrayStream(np.array(text * 2, np.uint16)), np.array([482, 964])
    batch = _all(SentencePairs(stream, ends, 27, _masking(), [(0, 964)], least=2))
    begins = np.array([second[0] == 10 for _, second in _parts(batch)])
    for label in (0, 1):
        assert begins[batch.random_next_B == label].mean() > 0.9


def test_half_of_few_documents_pairs_are_drawn_and_short_ones_among_them() -> None:
    stream, ends = _documents([200, 3])
    pairs = SentencePairs(stream, ends, 24, _masking(), [(0, len(stream))], least=2)
    batches = [_all(pairs, epoch) for epoch in range(60)]
    of_the_long_one = [
        batch.random_next_B[:-1] for batch in batches if batch.random_next_B is not None
    ]
    assert np.mean(of_the_long_one) == pytest.approx(0.5, abs=0.06)
    for second in (parts[1] for batch in batches for parts in _parts(batch)[:-1]):
        assert 1 <= len(second) <= 2  # the other document has no more behind its first token


def test_no_rule_on_a_part_alone_tells_whether_b_was_drawn(tmp_path: Path) -> None:
    config = TokenizerConfig(algorithm="wordpiece", family="masked_lm", vocab_size=800)
    texts = speeches(30)
    train_tokenizer(texts[:3], config, tmp_path)
    vocabulary = read_vocabulary(tmp_path)
    framed = list(encode_documents(load_tokenizer(tmp_path), texts))
    stream, ends = ArrayStream(np.concatenate(framed)), np.cumsum([len(each) for each in framed])
    masking = Masking(MaskedTokens(), vocabulary, seed=0)
    pairs = SentencePairs(stream, ends, 128, masking, [(0, len(stream))], least=2)
    numbers = np.arange(sum(pairs.sizes))
    batch = pairs.read(numbers, numbers)
    assert batch.segments_BT is not None and batch.random_next_B is not None
    ids, random = _restored(batch), batch.random_next_B == 1
    rows, middle = np.arange(len(ids)), batch.segments_BT.argmax(1)
    stops = vocabulary.ends_sentence
    capital = np.array([token[:1].isupper() for token in vocabulary.tokens])
    in_b = (batch.segments_BT == 1) & stops[ids]
    rules = {
        "B begins with a capital": capital[ids[rows, middle]],
        "A ends a sentence": stops[ids[rows, middle - 2]],
        "B ends a sentence": stops[ids[rows, batch.lengths_B - 2]],
        "B begins a document": np.isin(ids[rows, middle], [each[1] for each in framed]),
        "A is short": middle < np.median(middle),
        "the pair is short": batch.lengths_B < np.median(batch.lengths_B),
        "B's first sentence is short": in_b.argmax(1) - middle < 20,
        "no sentence ends in B": ~in_b.any(1),
    }
    for name, rule in rules.items():
        right = float((rule == random).mean())
        assert right == pytest.approx(0.5, abs=0.04), name


def test_pairs_of_one_document_always_follow_each_other_and_teach_nothing() -> None:
    stream, ends = _documents([30])
    parts = stream, ends, 16, _masking(), [(0, len(stream))]
    with pytest.raises(ConfigError, match="1 documents have text for a pair; expected 2 or more"):
        SentencePairs(*parts, least=2)
    batch = _all(SentencePairs(*parts, least=1))
    assert batch.random_next_B is not None and not batch.random_next_B.any()


def test_rows_without_room_for_text_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"sequence_length is 2, .*; set it to 3 or more"):
        _rows(2)
    with pytest.raises(ConfigError, match=r"sequence_length is 5, .*; set it to 6 or more"):
        _pairs(5)


def test_sections_are_numbered_one_after_the_other() -> None:
    stream, ends = _documents(LENGTHS)
    middle = int(ends[3])
    sections = [(middle, len(stream) - middle), (0, middle)]
    rows = MaskedRows(stream, ends, 16, _masking(), sections, document_mask=False)
    pairs = SentencePairs(stream, ends, 24, _masking(), sections, least=2)
    first = _restored(rows.read(np.arange(1), np.arange(1)))[0, 1:15]
    assert first.tolist() == stream.read(middle, middle + 14).tolist()
    assert len(rows.sizes) == len(pairs.sizes) == 2
    everything = _all(pairs)
    assert len(everything.ids_BT) == sum(pairs.sizes)


def test_a_vocabulary_is_read_from_its_folder(tmp_path: Path) -> None:
    config = TokenizerConfig(algorithm="wordpiece", family="masked_lm", vocab_size=300)
    train_tokenizer([*speeches(1), "我们的书。"], config, tmp_path)
    found = read_vocabulary(tmp_path)
    control = [found.tokens[number] for number in (found.opening or 0, found.closing)]
    assert control == ["[CLS]", "[SEP]"]
    assert found.tokens[found.require("mask")] == "[MASK]"
    assert {found.tokens[n] for n in np.flatnonzero(found.ends_sentence)} <= {".", "!", "。", "?"}
    assert all(found.tokens[n].startswith("##") for n in np.flatnonzero(found.continues))
    assert not {"[CLS]", "[MASK]"} & {found.tokens[number] for number in found.ordinary}


def test_a_vocabulary_without_a_mask_is_refused(tmp_path: Path) -> None:
    train_tokenizer(["Some words."], TokenizerConfig(vocab_size=260), tmp_path)
    with pytest.raises(ConfigError, match="names no mask_token, which this objective needs"):
        read_vocabulary(tmp_path).require("mask")
