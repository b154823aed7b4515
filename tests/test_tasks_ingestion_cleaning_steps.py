"""All cleaning steps together: their order, their inputs, and that blocks make no difference."""

from pathlib import Path

import pytest

from corpusmill.storage.errors import CorpusError
from corpusmill.tasks.ingestion.batches import make_batch
from corpusmill.tasks.ingestion.cleaning.steps import cleaning_steps, digest_inputs
from corpusmill.tasks.ingestion.config import CleaningConfig
from corpusmill.tasks.ingestion.stats import Stats
from tests.corpora import speeches


def _everything(tmp_path: Path, **fields: object) -> CleaningConfig:
    (tmp_path / "list.txt").write_text("gold standard\n", encoding="utf-8")
    (tmp_path / "questions.txt").write_text(
        "the state of the union is stronger than it has been in many a long year", encoding="utf-8"
    )
    on = dict.fromkeys(
        ("gopher_quality", "gopher_repetition", "c4_quality", "fineweb_quality", "mask_pii"), True
    )
    files = {
        "blocklist": str(tmp_path / "list.txt"),
        "decontaminate": (str(tmp_path / "*questions.txt"),),
    }
    return CleaningConfig.model_validate({**on, **files, **fields})


def _speeches() -> list[str]:
    texts = speeches()[::20]
    parts = [text[i : i + 3000] for text in texts for i in range(0, len(text), 3000)]
    return [*parts[:150], "", "a\x01b", "e\u0301" * 3, "mail me@example.com " * 30]


def test_all_steps_are_named_in_their_order(tmp_path: Path) -> None:
    names = [step.name for step in cleaning_steps(_everything(tmp_path), 1)]
    assert names == [
        "normalise",
        "length",
        "identify languages",
        "quality rules",
        "c4",
        "quality rules",
        "blocklist",
        "contamination",
        "mask personal data",
    ]


def test_rules_share_one_pass_where_nothing_changes_the_text_between_them(tmp_path: Path) -> None:
    config = _everything(tmp_path, c4_quality=False)
    assert [step.name for step in cleaning_steps(config, 1)].count("quality rules") == 1


def test_little_is_done_by_default() -> None:
    names = [step.name for step in cleaning_steps(CleaningConfig(), 1)]
    assert names == ["normalise", "length", "identify languages"]


@pytest.mark.parametrize("c4_quality", [False, True])
def test_the_result_does_not_depend_on_the_blocks(tmp_path: Path, c4_quality: bool) -> None:
    steps = cleaning_steps(_everything(tmp_path, c4_quality=c4_quality), 5)
    texts = _speeches()
    results = []
    for size in (1, 7, len(texts)):
        stats = Stats()
        kept: list[tuple[int, str]] = []
        for i in range(0, len(texts), size):
            batch = make_batch(
                "s", "f", texts[i : i + size], "row", range(i, i + size)[: len(texts) - i]
            )
            stats.take_in(batch)
            for step in steps:
                batch = step(batch, stats)
            kept += zip(batch.numbers.tolist(), batch.texts.to_pylist(), strict=True)
        assert stats.read["s", "documents"] == len(kept) + sum(stats.dropped_by_reason().values())
        results.append((kept, stats.dropped, stats.edits))
    assert results[0] == results[1] == results[2]
    assert len(results[0][0]) > 20


def test_the_digest_follows_the_bytes_of_the_files(tmp_path: Path) -> None:
    config = _everything(tmp_path)
    before = digest_inputs(config)
    assert before == digest_inputs(config)
    (tmp_path / "more questions.txt").write_text("one more", encoding="utf-8")
    after = digest_inputs(config)
    (tmp_path / "list.txt").write_text("other", encoding="utf-8")
    assert len({before, after, digest_inputs(config), digest_inputs(CleaningConfig())}) == 4


def test_missing_inputs_are_refused_in_a_sentence(tmp_path: Path) -> None:
    config = CleaningConfig(blocklist=str(tmp_path / "no.txt"))
    with pytest.raises(CorpusError, match=r"no\.txt cannot be read"):
        digest_inputs(config)
    with pytest.raises(CorpusError, match=r"no\.txt cannot be read"):
        cleaning_steps(config, 1)
