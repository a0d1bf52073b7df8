"""Seeds, threads, devices and precision."""

from __future__ import annotations

import contextlib
import functools
import os
import random
import sys
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from s2igan import BadInput
from s2igan.config import CPU_PRESETS, Settings
from s2igan.training import gpus

DRIVER = Path("/proc/driver/nvidia/version")  # there while NVIDIA's driver is loaded


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
    """The device of `settings`: with 'auto', the GPU if there is one that computes.

    Raises BadInput without such a GPU for 'cuda', and for 'auto' at a preset that no CPU trains in hours.
    """
    device = best_device(settings)
    if device.type == "cpu" and settings.device == "auto" and settings.preset not in CPU_PRESETS:
        raise BadInput(
            f"preset {settings.preset!r} takes very long on a CPU: {gpu_fault()}; "
            "give DEVICE=cpu to run it there all the same"
        )
    return device


def best_device(settings: Settings) -> torch.device:
    """As `pick_device`, but with 'auto' the CPU at any preset: for what takes minutes there too."""
    if settings.device == "cpu":
        return torch.device("cpu")
    if not (fault := gpu_fault()):
        return torch.device("cuda")
    if settings.device == "cuda":
        raise BadInput(f"parameter 'device' is 'cuda': {fault}")
    if gpus.visible_gpus():
        _say_once(f"note: the CPU is used: {fault}")
    return torch.device("cpu")


@functools.cache
def gpu_fault() -> str:
    """Why torch cannot compute on a GPU here, in words; '' where it can. One small product, once a process."""
    if not torch.backends.cuda.is_built():
        return "the installed torch has no CUDA"
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    if hidden is not None and not gpus.chosen(hidden):
        return f"torch sees no GPU here: CUDA_VISIBLE_DEVICES is {hidden!r}"
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        available = torch.cuda.is_available()
    if not available:
        driver = "the driver shows none" if DRIVER.exists() else "no NVIDIA driver is loaded"
        return f"torch sees no GPU here ({_first_sentence(said[-1].message) if said else driver})"
    try:
        ones = torch.ones(64, 64, device="cuda")
        product = float((ones @ ones).sum())
    except (RuntimeError, AssertionError) as error:  # busy, full, too old for the driver or for this torch
        return f"the GPU does not compute ({_first_sentence(error)}{_other_architecture()})"
    return "" if product == 64.0**3 else f"the GPU computes wrongly: a sum of ones is {product}, it should be {64**3}"


def _first_sentence(said: object) -> str:
    line = next(iter(str(said).strip().splitlines()), type(said).__name__)
    return line.split(". ")[0].removeprefix("CUDA initialization: ").rstrip(".")


def _other_architecture() -> str:
    """That torch is not built for the GPU at hand, where that is so."""
    with contextlib.suppress(RuntimeError, AssertionError):
        major, minor = torch.cuda.get_device_capability()
        built = torch.cuda.get_arch_list()
        if not any(name.startswith((f"sm_{major}", f"compute_{major}")) for name in built):
            return f"; it is sm_{major}{minor}, this torch is built for {', '.join(built)}"
    return ""


@functools.cache
def _say_once(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@contextlib.contextmanager
def within_memory(name: str, value: int) -> Iterator[None]:
    """Turns a full GPU into BadInput that says which parameter, now `value`, makes its batches smaller."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        smaller = f", such as {name.upper()}={max(2, value // 2)}" if value > 2 else ""
        raise BadInput(
            f"the GPU's memory is full ({_first_sentence(error)}): parameter {name!r} is {value}, give less{smaller}"
        ) from error


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
