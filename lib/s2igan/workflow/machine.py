"""The cores and the memory that this process may use: of the machine, of a container's quota, of an affinity mask."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

import psutil

CGROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")
# GiB that a run takes at most, by preset. mini: measured, the largest run of a default study (its timing.json); the
# others are estimates from the sizes of their images and networks.
MEMORY_OF_A_RUN = {"mini": 1.5, "small": 4.0, "paper": 16.0}


def usable_cores(cgroups: Path = CGROUPS, membership: Path = MEMBERSHIP) -> int:
    """The cores that this process may use: those of its affinity mask, and of the CPU quota of its container."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([cores, *map(math.ceil, _quotas(cgroups, membership))]))


def usable_memory(cgroups: Path = CGROUPS, membership: Path = MEMBERSHIP) -> int:
    """Bytes of memory that this process may use: those of the machine, or of the limit of its container."""
    limits = [
        int(said)
        for name, controller in (("memory.max", ""), ("memory.limit_in_bytes", "memory"))
        for folder in _folders(controller, cgroups, membership)
        if (said := _said(folder / name)).isdecimal() and int(said)
    ]
    return min([psutil.virtual_memory().total, *limits])


def cores_for(preset: str, each: int, cores: int, memory: int) -> int:
    """The cores of a study whose runs take `each` cores and the memory of `preset`, where there are `cores` cores and
    `memory` bytes: so many that the runs side by side fit, and one run at least."""
    side_by_side = max(1, int(memory / 2**30 / MEMORY_OF_A_RUN[preset]))
    return min(cores, side_by_side * each)


def _quotas(cgroups: Path, membership: Path) -> Iterator[float]:
    """CPUs that cgroups of version 2 (cpu.max) and 1 (cpu.cfs_quota_us) grant this process or a parent of it."""
    for folder in _folders("", cgroups, membership):
        words = _said(folder / "cpu.max").split()
        if len(words) == 2 and all(word.isdecimal() for word in words) and int(words[1]):
            yield int(words[0]) / int(words[1])
    for folder in _folders("cpu", cgroups, membership):
        quota, period = _said(folder / "cpu.cfs_quota_us"), _said(folder / "cpu.cfs_period_us")
        if quota.isdecimal() and int(quota) and period.isdecimal() and int(period):
            yield int(quota) / int(period)


def _folders(controller: str, cgroups: Path, membership: Path) -> Iterator[Path]:
    """The folders of this process's group and of its parents; `controller` of version 1, '' for version 2.

    In a container the path that the process is told may not be there: its group is then the root of what is mounted.
    """
    for line in _said(membership).splitlines():
        _, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        if controller not in names.split(","):
            continue
        for mounted in {cgroups / names, cgroups / controller}:
            inside = mounted / path.lstrip("/")
            yield mounted
            for folder in (inside, *inside.parents):
                if folder == mounted or not folder.is_relative_to(mounted):
                    break
                yield folder


def _said(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""
