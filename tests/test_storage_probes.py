"""The file of answers: what is written is read, and what is no such file is refused."""

from pathlib import Path

import numpy as np
import pytest

from corpusmill.storage.errors import ArtifactError
from corpusmill.storage.probes import Answers, probes_path, read_answers, write_answers


def test_what_is_written_is_read(tmp_path: Path) -> None:
    written = {
        "b": Answers(("1", "2"), np.array([True, False])),
        "a": Answers(("2",), np.array([True])),
    }
    write_answers(tmp_path, written)
    read = read_answers(tmp_path)
    assert list(read) == ["b", "a"]
    for name, each in written.items():
        assert read[name].items == each.items
        assert np.array_equal(read[name].right, each.right)


@pytest.mark.parametrize("data", [None, b"", b"no Arrow file"])
def test_what_holds_no_answers_is_refused_in_a_sentence(tmp_path: Path, data: bytes | None) -> None:
    if data is not None:
        probes_path(tmp_path).write_bytes(data)
    with pytest.raises(ArtifactError, match=r"expected an Arrow file of answers; remove"):
        read_answers(tmp_path)
