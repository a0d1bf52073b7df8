"""A GPU for each run: which one, while runs share a machine; and whether a study that needs one can start."""

from __future__ import annotations

import contextlib
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import filelock

from s2igan import BadInput
from s2igan.config import CPU_PRESETS, Settings
from s2igan.training.gpus import visible_gpus
from s2igan.workflow.environment import own_folder


@contextlib.contextmanager
def gpus_of_its_own(count: int, among: list[str] | None = None) -> Iterator[list[str]]:
    """Holds `count` GPUs that no other run of this user holds, and makes them the only ones that CUDA sees.

    Waits until so many are free, and says so. A lock is freed when its process ends, however it ends. Where there are
    no more GPUs than asked for, as in a job of a cluster, all of them are taken without a lock.

    Args: among: by default the visible ones.
    """
    among = visible_gpus() if among is None else among
    if not count or len(among) <= count:
        yield among
        return
    folder = own_folder(tempfile.gettempdir()) / "gpus"
    folder.mkdir(exist_ok=True)
    waiting = False
    while len(held := _free(among, count, folder)) < count:
        if not waiting:
            print(f"waiting for {count} of {len(among)} GPUs", flush=True)
        waiting = True
        time.sleep(random.uniform(0.2, 0.8))  # two runs that wait do not try at the same moments for ever
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(held)
    try:
        yield list(held)
    finally:
        for lock in held.values():
            lock.release()


def _free(among: list[str], count: int, folder: Path) -> dict[str, filelock.FileLock]:
    """Locks of `count` free GPUs, by name; {} where fewer are free, so that two runs never wait for each other's."""
    held: dict[str, filelock.FileLock] = {}
    for name in among:
        lock = filelock.FileLock(folder / re.sub(r"\W", "-", name), blocking=False)
        with contextlib.suppress(filelock.Timeout):
            lock.acquire()
            held[name] = lock
        if len(held) == count:
            return held
    for lock in held.values():
        lock.release()
    return {}


def check_gpu(settings: Settings) -> None:
    """Raises BadInput where a study's settings need a GPU and torch cannot compute on one, before anything is run."""
    if settings.device == "cuda" or (settings.device == "auto" and settings.preset not in CPU_PRESETS):
        code = "import sys; from s2igan.workflow.gpu_slots import say_fault; say_fault(sys.argv[1])"
        # In a process of its own: torch takes seconds and, once it has seen a GPU, some of its memory.
        ran = subprocess.run([sys.executable, "-c", code, settings.model_dump_json()], capture_output=True, text=True)
        if ran.stdout.strip():
            raise BadInput(ran.stdout.strip().splitlines()[-1])


def say_fault(settings: str) -> None:
    """Prints why `settings`, in JSON, cannot run here, if so."""
    from s2igan.training.devices import pick_device

    try:
        pick_device(Settings.model_validate_json(settings))
    except BadInput as error:
        print(error)
