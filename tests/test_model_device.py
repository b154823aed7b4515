"""What a precision of auto means."""

import pytest
import torch

from corpusmill.model.device import resolve_precision
from corpusmill.model.hardware import find_hardware
from corpusmill.storage.errors import ConfigError
from corpusmill.storage.settings import ComputePrecision


def test_the_environment_says_what_auto_means(precision: ComputePrecision) -> None:
    assert resolve_precision("auto") == find_hardware().precision == precision


def test_a_precision_that_a_config_names_is_taken_as_it_is(precision: ComputePrecision) -> None:
    assert [resolve_precision("bf16"), resolve_precision("fp32")] == ["bf16", "fp32"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="of a CPU")
@pytest.mark.parametrize(
    ("avx512_bf16", "amx", "expected"),
    [(False, False, "fp32"), (True, False, "bf16"), (False, True, "bf16")],
)
def test_without_a_word_a_cpu_that_multiplies_bf16_natively_does(
    monkeypatch: pytest.MonkeyPatch, avx512_bf16: bool, amx: bool, expected: str
) -> None:
    monkeypatch.delenv("CORPUSMILL_PRECISION", raising=False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512_bf16)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    assert resolve_precision("auto") == expected


def test_a_precision_that_there_is_not_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORPUSMILL_PRECISION", "fp16")
    with pytest.raises(ConfigError, match="CORPUSMILL_PRECISION is 'fp16'; expected auto, bf16"):
        resolve_precision("auto")
