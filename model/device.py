"""What the hardware at hand does best."""

import torch

from storage.settings import load_settings


def pick_compute_dtype(precision: str, device: torch.device) -> torch.dtype:
    """The dtype of matrix products: `precision`, or for "auto" bf16 where it is native."""
    if precision != "auto":
        return torch.bfloat16 if precision == "bf16" else torch.float32
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.bfloat16 if native else torch.float32


def use_threads() -> None:
    """Shares the cores between the ranks of this machine."""
    settings = load_settings()
    torch.set_num_threads(max(1, settings.processors // settings.local_processes))
