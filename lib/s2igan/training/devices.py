"""Seeds, threads, devices and precision."""

from __future__ import annotations

import random
import zlib

import numpy as np
import torch

from s2igan import BadInput
from s2igan.config import Settings


def seed_everything(seed: int, *more: int | str) -> int:
    """Seed Python, NumPy and torch from `seed` and from `more`, which tells its uses apart (a stage's name).

    Returns: the mixed seed.
    """
    words = [zlib.crc32(part.encode()) if isinstance(part, str) else part for part in more]
    mixed = int(np.random.SeedSequence([seed, *words]).generate_state(1)[0])
    random.seed(mixed)
    np.random.seed(mixed)
    torch.manual_seed(mixed)
    return mixed


def set_threads(threads: int) -> None:
    """Let torch use `threads` cores. With another number of them, sums are rounded in another order."""
    torch.set_num_threads(threads)


def pick_device(settings: Settings) -> torch.device:
    """The device of `settings`: with 'auto', the GPU if there is one. Raises BadInput for 'cuda' without a GPU."""
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise BadInput("parameter 'device' is 'cuda': torch sees no GPU here")
    if settings.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(settings.device)


def use_bf16(settings: Settings, device: torch.device) -> bool:
    """Whether to train under bf16 autocast: with 'auto', where the device multiplies it natively."""
    if settings.precision != "auto":
        return settings.precision == "bf16"
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if not torch.backends.cpu.get_cpu_capability().startswith("AVX512"):  # or ATEN_CPU_CAPABILITY holds torch to less
        return False
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
