"""What the hardware at hand does best."""

from collections.abc import Mapping

import torch

from corpusmill.storage.settings import ComputePrecision, Precision, load_settings

# Of everything between the embeddings and the logits, and of Muon's iteration.
COMPUTE_DTYPES: Mapping[ComputePrecision, torch.dtype] = {
    "bf16": torch.bfloat16,
    "fp32": torch.float32,
}


def best_device() -> torch.device:
    """The GPU if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def resolve_precision(precision: Precision) -> ComputePrecision:
    """What computes: `precision`, or for auto what CORPUSMILL_PRECISION names.

    Where that is auto too it is bf16 if the best device multiplies it natively, else fp32.

    Raises:
        ConfigError: CORPUSMILL_PRECISION names none.
    """
    wanted = load_settings().precision if precision == "auto" else precision
    if wanted != "auto":
        return wanted
    if best_device().type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bf16" if native else "fp32"


def use_threads() -> None:
    """Shares the cores between the ranks of this machine."""
    settings = load_settings()
    torch.set_num_threads(max(1, settings.processors // settings.local_processes))
