"""What of probes is in the digests of configs, and when their files are read."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from corpusmill.flows.config import (
    ContinueConfig,
    EvaluateConfig,
    PretrainConfig,
    digest_config,
    digest_night,
    evaluated_on_this_machine,
    on_this_machine,
)
from corpusmill.flows.overrides import override
from corpusmill.storage.errors import CorpusError


def fields(path: Path, **options: Any) -> dict[str, Any]:
    probe = {"name": "words", "files": str(path), "kind": "last_word"}
    return {"evaluation.probes": [probe | options]}


@pytest.mark.parametrize(
    "digest",
    [
        lambda given: digest_night(override(ContinueConfig(), given)),
        lambda given: digest_config(override(PretrainConfig(), given)),
    ],
    ids=["night", "pretraining"],
)
def test_a_digest_is_of_what_probes_ask_wherever_it_lies(
    tmp_path: Path, digest: Callable[[dict[str, Any]], str]
) -> None:
    path, other = tmp_path / "words.jsonl", tmp_path / "others.jsonl"
    path.write_text(json.dumps({"text": "the river stood"}))
    before = digest(fields(path))
    other.write_bytes(path.read_bytes())
    assert digest(fields(other)) == before
    assert digest(fields(path, delimiter="")) != before
    path.write_text(json.dumps({"text": "the old river stood"}))
    assert digest(fields(path)) != before
    # A recorded config outlives the files that it names.
    path.unlink()
    assert digest(fields(path)) == digest(fields(path)) != before


@pytest.mark.parametrize("precision", ["fp32", "auto"])
@pytest.mark.parametrize(
    "begin",
    [
        lambda given: evaluated_on_this_machine(override(EvaluateConfig(), given)),
        lambda given: on_this_machine(override(ContinueConfig(), given)),
    ],
    ids=["evaluation", "night"],
)
def test_probes_are_read_before_anything_else(
    tmp_path: Path, begin: Callable[[dict[str, Any]], Any], precision: str
) -> None:
    path = tmp_path / "words.jsonl"
    path.write_text(json.dumps({"no": 1}))
    with pytest.raises(CorpusError, match=r"Line 1 of .*words.jsonl is no item of last_word"):
        begin(fields(path) | {"evaluation.precision": precision})
