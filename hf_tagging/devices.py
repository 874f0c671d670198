"""Devices to compute on: finding one, and what it computes with."""

from __future__ import annotations

import torch

from hf_tagging.errors import ConfigError


def find_device(device: str | torch.device | None) -> torch.device:
    """Return a device that can be used: the one given, or else the accelerator if there is one, or else the CPU.

    Raises:
        ConfigError: PyTorch does not know the device or cannot use it on this machine.
    """
    if device is None:
        return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as error:  # PyTorch asserts that it was built for the device
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigError(f"device: {str(device)!r} cannot be used ({reason}). Leave it out, or give cpu.") from error


def computes_bfloat16(on_cpu: bool) -> bool:
    """Return whether the hardware multiplies bfloat16 matrices natively.

    Args:
        on_cpu: Ask about the CPU, even if there is an accelerator.
    """
    if not on_cpu and torch.accelerator.is_available():
        return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    able = torch.cpu.get_capabilities()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))
