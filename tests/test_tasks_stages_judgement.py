"""The judgement of a night: what is promoted, what is harm, and what its intervals are worth."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.model.config import EvaluationResult, ProbeResult
from corpusmill.storage.blocks import Blocks, write_blocks
from corpusmill.storage.config import write_json_value
from corpusmill.storage.errors import ModelError
from corpusmill.storage.probes import Answers, write_answers
from corpusmill.tasks.stages.judgement import Judgement, compare
from corpusmill.tasks.stages.resampling import resampled_sums

NEW, OLD = [f"new{n}" for n in range(10)], [f"old{n}" for n in range(20)]


class Night:
    """Evaluations of a candidate and a champion on ten new and twenty old documents.

    Attributes:
        champion: bits of each block.
    """

    def __init__(self, folder: Path, seed: int, blocks: int = 5) -> None:
        self._folder = folder
        self._documents = np.repeat([*NEW, *OLD], blocks).tolist()
        self._blocks = blocks
        self.is_new = np.char.startswith(self._documents, "new")
        # Of two sources, of which the second has every other document.
        self.is_second = np.arange(len(self._documents)) // blocks % 2 == 1
        generator = np.random.default_rng(seed)
        self.champion = generator.gamma(20, 100, len(self._documents))
        self.noise = generator.normal(0, 0.01, len(self._documents))

    def judge(
        self,
        candidate: np.ndarray,
        champion: np.ndarray,
        tolerance: float,
        right: Mapping[str, np.ndarray] | None = None,
    ) -> Judgement:
        """Judges blocks, and what of a probe each has right."""
        fields = {}
        if right:
            probe = ProbeResult(
                name="grammar",
                kind="minimal_pairs",
                accuracy=0.0,
                low=0.0,
                high=0.0,
                items=100,
                beside={},
            )
            fields["probes"] = (probe,)
        ours, theirs = (
            self.write("ours", candidate[:, None], **fields),
            self.write("theirs", champion[:, None], **fields),
        )
        for name, each in (right or {}).items():
            answers = Answers(tuple(map(str, range(len(each)))), each)
            write_answers(self._folder / name, {"grammar": answers})
        return compare(ours, theirs, NEW, tolerance, resamples=400)

    def write(self, name: str, statistics: np.ndarray, **fields: Any) -> Path:
        rows, folder = len(self._documents), self._folder / name
        folder.mkdir(exist_ok=True)
        blocks = Blocks(
            documents=self._documents,
            sources=np.where(self.is_second, "second", "first").tolist(),
            numbers=(np.arange(rows) % self._blocks).astype(np.int32),
            bytes=np.full(rows, 2048),
            predictions=np.full(rows, 500),
            statistics=statistics,
        )
        write_blocks(folder, blocks)
        result = EvaluationResult(
            family="causal_lm",
            documents=30,
            bytes=rows * 2048,
            predictions=rows * 500,
            figures={},
            decides="bits_per_byte",
            precision="fp32",
            seconds=1.0,
        )
        write_json_value(folder / "result.json", result.model_copy(update=fields))
        return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("nights")


@settings(max_examples=30)
@given(seed=st.integers(0, 999), new=st.floats(-0.1, 0.1), old=st.floats(-0.1, 0.1))
def test_exchanging_the_models_exchanges_the_signs(
    folder: Path, seed: int, new: float, old: float
) -> None:
    night = Night(folder, seed)
    candidate = night.champion * (1 - np.where(night.is_new, new, old) - night.noise)
    one = night.judge(candidate, night.champion, 0.01)
    other = night.judge(night.champion, candidate, 0.01)
    for mine, its in zip(one.comparisons, other.comparisons, strict=True):
        assert (mine.candidate, mine.champion) == pytest.approx((its.champion, its.candidate))
        # Of other figures, the same ratio.
        expected = [1 - 1 / (1 - gain) for gain in (its.gain, its.high, its.low)]
        assert [mine.gain, mine.low, mine.high] == pytest.approx(expected, abs=1e-4)
        assert mine.low <= mine.gain <= mine.high
    assert not (one.promoted and other.promoted)


@settings(max_examples=20)
@given(seed=st.integers(0, 999))
def test_the_same_model_gains_nothing_and_is_not_promoted(folder: Path, seed: int) -> None:
    night = Night(folder, seed)
    judged = night.judge(night.champion, night.champion, 0.0)
    assert judged.verdict == "unproven"
    assert {(each.gain, each.low, each.high) for each in judged.comparisons} == {(0, 0, 0)}


@settings(max_examples=20)
@given(seed=st.integers(0, 999), blocks=st.integers(1, 5))
def test_who_is_better_everywhere_is_promoted(folder: Path, seed: int, blocks: int) -> None:
    night = Night(folder, seed, blocks)
    judged = night.judge(night.champion * (0.99 - np.abs(night.noise)), night.champion, 0.0)
    assert judged.promoted
    for each in judged.comparisons:
        assert each.gain > 0.01 and each.low > 0.01
        assert each.few == (each.blocks < 30)


@pytest.mark.parametrize(
    ("gain", "verdict", "reason"),
    [
        ({"new": 0.02}, "promoted", r"new text is better: \+1\.\d\d% \(95 % between \+1\."),
        ({"new": 0.0}, "unproven", "new text is not shown to be better"),
        ({"new": -0.02}, "harm", "new text is worse"),
        ({"new": 0.02, "old": -0.02}, "harm", "old text loses more than the 1.00% that"),
        ({"new": 0.02, "old": -0.01}, "harm", "old text .*more than the 1.00% that"),
        ({"new": 0.02, "old": -0.005}, "promoted", "new text is better"),
        # What one source gains makes up for what the other loses, in the mixture alone.
        ({"new": 0.02, "old": 0.04, "second": -0.06}, "harm", "old text of second loses more"),
    ],
    ids=str,
)
def test_new_and_old_text_are_judged_apart_and_every_old_source(
    folder: Path, gain: dict[str, float], verdict: str, reason: str
) -> None:
    night = Night(folder, 0)
    gains = np.where(night.is_new, gain["new"], gain.get("old", 0.0))
    gains += np.where(night.is_second & ~night.is_new, gain.get("second", 0.0), 0.0)
    candidate = night.champion * (1 - gains - (night.noise - night.noise.mean()))
    judged = night.judge(candidate, night.champion, 0.01)
    assert judged.verdict == verdict
    assert re.search(reason, judged.reasons[0]), judged.reasons
    assert len(judged.comparisons) == 6
    assert json.loads(json.dumps(asdict(judged)))["comparisons"][0]["blocks"] == 50


def test_of_few_blocks_the_mean_decides_and_the_reason_says_so(folder: Path) -> None:
    night = Night(folder, 0, blocks=2)
    candidate = night.champion.copy()
    candidate[0] *= 0.5
    judged = night.judge(candidate, night.champion, 0.0)
    new = judged.whole("new")
    assert new is not None and new.few and new.low == 0 < new.gain
    assert judged.promoted
    assert "few: 20 blocks, so the mean decides" in judged.reasons[0]


def test_where_no_new_text_is_held_out_nothing_is_shown(folder: Path) -> None:
    night = Night(folder, 0)
    better = night.write("better", 0.9 * night.champion[:, None])
    champion = night.write("champion", night.champion[:, None])
    judged = compare(better, champion, ["of another corpus"], 0.0, resamples=50)
    assert judged.verdict == "unproven" and judged.whole("new") is None
    assert "no new text is held out" in judged.reasons[0]
    judged = compare(better, champion, [*NEW, *OLD], 0.0, resamples=50)
    assert judged.verdict == "unproven" and judged.whole("old") is None
    assert "no old text is held out" in judged.reasons[0]


@pytest.mark.parametrize(
    ("decides", "figure"),
    [("masked_accuracy", "loss"), ("span_perplexity", "span_perplexity")],
)
def test_encoders_are_compared_by_loss_and_denoisers_by_perplexity(
    folder: Path, decides: str, figure: str
) -> None:
    night = Night(folder, 0)
    statistics = np.tile([500.0, 250.0], (len(night.champion), 1))
    told = {"decides": decides, "higher_is_better": decides == "masked_accuracy"}
    ours = night.write("ours", statistics - [100.0, 50.0], **told)
    theirs = night.write("theirs", statistics, **told)
    judged = compare(ours, theirs, NEW, 0.0, resamples=50)
    assert judged.figure == figure and judged.promoted
    first = judged.comparisons[0]
    expected = [0.8, 1.0] if figure == "loss" else [np.exp(0.8), np.e]
    assert [first.candidate, first.champion] == pytest.approx(expected)
    assert [(each.candidate, each.champion) for each in first.beside] == [(0.4, 0.5)]


def test_translations_are_compared_by_bleu_and_chrf_is_told(folder: Path) -> None:
    night = Night(folder, 0, blocks=1)
    # Words written and wanted, n-grams of 1 to 4 words right and written; then of characters.
    right = np.array([10, 10, 6, 4, 2, 1, 10, 9, 8, 7, *[50, 50, 30] * 6], float)
    wrong = np.array([10, 10, 5, 3, 1, 0, 10, 9, 8, 7, *[50, 50, 20] * 6], float)
    told = {"decides": "bleu", "higher_is_better": True}
    ours, theirs = (
        night.write(name, np.tile(each, (len(night.champion), 1)), **told)
        for name, each in (("ours", right), ("theirs", wrong))
    )
    judged = compare(ours, theirs, NEW, 0.0, resamples=50)
    assert judged.promoted and judged.figure == "bleu"
    assert judged.comparisons[0].candidate > judged.comparisons[0].champion > 0
    [chrf] = judged.comparisons[0].beside
    assert (chrf.figure, chrf.candidate, chrf.champion) == pytest.approx(("chrf", 60.0, 40.0))
    assert [chrf.low, chrf.gain, chrf.high] == pytest.approx([0.5] * 3)  # all blocks are alike
    assert compare(theirs, ours, NEW, 0.0, resamples=50).verdict == "harm"
    nothing = np.zeros_like(wrong)
    nothing[:2] = 10
    zero = night.write("zero", np.tile(nothing, (len(night.champion), 1)), **told)
    assert compare(ours, zero, NEW, 0.0, resamples=50).comparisons[0].gain == 1
    assert compare(zero, ours, NEW, 0.0, resamples=50).comparisons[0].gain == -1


def test_figures_of_two_kinds_or_of_other_text_are_refused(folder: Path) -> None:
    night = Night(folder, 0)
    statistics = night.champion[:, None]
    ours, theirs = (night.write(name, statistics) for name in ("ours", "theirs"))
    other = Night(folder, 0, blocks=4)
    night.write("signed", statistics, signature="tokenizer:1")
    with pytest.raises(ModelError, match="by bits_per_byte tokenizer:1 and the champion by bits"):
        compare(folder / "signed", theirs, NEW, 0.0)
    with pytest.raises(ModelError, match="other documents; expected the same corpus"):
        compare(ours, other.write("other", other.champion[:, None]), NEW, 0.0)


@pytest.mark.parametrize(("documents", "blocks"), [(1, 40), (5, 12), (60, 3)])
def test_an_interval_holds_the_true_change_as_often_as_it_says(documents: int, blocks: int) -> None:
    generator, held, draws, true = np.random.default_rng(1), 0, 200, 0.03
    of = np.repeat(np.arange(documents), blocks)
    for draw in range(draws):
        champion = generator.gamma(20, 100, len(of))
        own = np.repeat(generator.normal(0, 0.02, documents), blocks) if documents > 1 else 0
        gains = true + own + generator.normal(0, 0.1, len(of))
        sums = resampled_sums(np.stack([champion * (1 - gains), champion], 1), of, 300, draw)
        low, high = np.percentile(1 - sums[:, 0] / sums[:, 1], [2.5, 97.5])
        held += low <= true <= high
    assert 0.86 * draws <= held <= 0.99 * draws


def test_documents_and_their_blocks_are_drawn_with_replacement() -> None:
    of = np.repeat(np.arange(4), [1, 2, 3, 4])
    # A column a block: how often it was drawn.
    sums = resampled_sums(np.eye(10), of, 2000, 0)
    assert np.array_equal(sums, sums.round()) and (sums >= 0).all()
    assert sums.mean(0) == pytest.approx(np.ones(10), abs=0.1)
    # As many documents as there are: of each its blocks, in whatever mixture.
    sizes = np.array([1, 2, 3, 4])
    documents = np.add.reduceat(sums, [0, 1, 3, 6], axis=1) / sizes
    assert np.array_equal(documents, documents.round())
    assert (documents.sum(1) == 4).all()
    assert len({tuple(row) for row in sums.tolist()}) > 500


@pytest.mark.parametrize(
    ("won", "lost", "verdict"),
    [(2, 30, "harm"), (0, 6, "harm"), (0, 5, "promoted"), (30, 2, "promoted")],
)
def test_a_probe_is_harm_where_it_falls_beyond_chance(
    tmp_path: Path, won: int, lost: int, verdict: str
) -> None:
    night = Night(tmp_path, seed=1)
    better = night.champion * 0.95
    right = np.zeros(100, bool)
    right[: lost + 10] = True
    candidate = right.copy()
    candidate[:lost], candidate[50 : 50 + won] = False, True
    judgement = night.judge(better, night.champion, 0.005, {"ours": candidate, "theirs": right})
    (probe,) = judgement.probes
    assert (probe.won, probe.lost, probe.items) == (won, lost, 100)
    assert probe.gain == pytest.approx((won - lost) / 100)
    assert probe.low <= probe.gain <= probe.high
    assert probe.fell == (verdict == "harm")
    assert judgement.verdict == verdict
    assert ("probe grammar falls" in judgement.reasons[0]) == (verdict == "harm")
