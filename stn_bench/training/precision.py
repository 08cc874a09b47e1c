"""In what precision classifiers and optimisers multiply, and what a device is good at."""

from collections.abc import Mapping
from typing import Any

import torch

PRECISIONS = ("fp32", "bf16", "auto")


def resolved(precision: str, device: torch.device) -> str:
    """What a recipe's precision means on a device: "fp32" or "bf16"; "auto" is bf16 where the device multiplies it."""
    if precision != "auto":
        return precision
    return "bf16" if multiplies_bfloat16(device) else "fp32"


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """The context in which a classifier runs in `precision`, one of PRECISIONS."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=resolved(precision, device) == "bf16")


def compute_exactly() -> None:
    """Have a GPU compute the same twice, and "fp32" be float32: not tf32, which has bfloat16's 8 bits and 3 more."""
    torch.backends.cudnn.benchmark = False  # chooses by time, another way each time
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False  # sums stay in float32


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether the device has instructions for products in bfloat16, and torch the library (oneDNN) that uses them.

    Most processors of laptops have none: torch then takes one number at a time, 200 times as slow as float32.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if not torch.backends.mkldnn.is_available():
        return False
    if not hasattr(torch.cpu, "get_capabilities"):  # of an older torch
        return bool(torch.cpu._is_avx512_bf16_supported())
    has: Mapping[str, Any] = torch.cpu.get_capabilities()
    return any(has.get(name, False) for name in ("avx512_bf16", "amx_bf16", "sve_bf16", "bf16"))
