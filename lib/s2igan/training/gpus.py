"""The GPUs that this process may use, found without torch, whose import takes seconds."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

DEVICES = Path("/dev")


def visible_gpus(environment: Mapping[str, str] | None = None, devices: Path = DEVICES) -> list[str]:
    """The GPUs that this process may use, each as CUDA_VISIBLE_DEVICES names it; [] without any.

    Without that variable they are all of the machine; of a GPU that is divided (MIG), its parts.
    """
    environment = os.environ if environment is None else environment
    names = _names(devices)
    count = sum(bool(re.fullmatch(r"nvidia\d+", name)) for name in names)
    listed = nvidia_smi() if count or "dxg" in names else ""  # dxg: Windows' subsystem for Linux
    count = count or len(re.findall(r"^GPU \d+:", listed, re.MULTILINE))
    if "CUDA_VISIBLE_DEVICES" in environment:
        # A number counts the GPUs from 0, whatever their files are called: a container has perhaps nvidia3 alone.
        named = chosen(environment["CUDA_VISIBLE_DEVICES"])
        return [gpu for gpu in named if count and (not gpu.isdecimal() or int(gpu) < count)]
    return parts(listed) or [str(k) for k in range(count)]


def chosen(value: str) -> list[str]:
    """The entries of a CUDA_VISIBLE_DEVICES, as CUDA reads it: numbers, GPU-<uuid> or MIG-<uuid>.

    The first entry that is none of these, or that is named before, ends the list.
    """
    found: list[str] = []
    for entry in map(str.strip, value.split(",")):
        if not re.fullmatch(r"\d+|(GPU|MIG)-[0-9A-Za-z/-]+", entry) or entry in found:
            break
        found.append(entry)
    return found


def parts(listed: str) -> list[str]:
    """The devices of a machine that has divided GPUs: their parts and the whole ones. [] where none is divided.

    Args: listed: what `nvidia-smi -L` prints, the parts of a GPU below it.
    """
    of_gpu: list[tuple[str, list[str]]] = []
    for kind, uuid in re.findall(r"\(UUID: ((?:GPU|MIG)-)([^)\s]+)\)", listed):
        if kind == "GPU-":
            of_gpu.append((kind + uuid, []))
        elif of_gpu:
            of_gpu[-1][1].append(kind + uuid)
    if not any(inside for _, inside in of_gpu):
        return []
    return [name for whole, inside in of_gpu for name in (inside or [whole])]


def nvidia_smi() -> str:
    """What `nvidia-smi -L` prints, a line for each GPU and for each part of one; '' where it does not run."""
    try:
        return subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=20).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []
