"""Rows about a whole study: workers side by side, the loader, the last `make study`."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import types
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from inputs import Sizes, pictures
from measuring import timed
from rows import Repetition, rdg_step
from torch import Tensor

from s2igan.config import resolve
from s2igan.data.batches import random_crops
from s2igan.training.batches import draw_image_ids
from s2igan.training.devices import use_bf16
from s2igan.training.records import device_name
from s2igan.workflow import study

BENCH = str(Path(__file__).with_name("bench.py"))


def mini_step(**more: Any) -> tuple[Repetition, int]:
    """The default study's RDG step in the precision it trains in, and its batch."""
    device = torch.device("cpu")
    values = resolve({"device": "cpu", "system": "S2IGAN", **more})
    side = "bf16" if use_bf16(values, device) else "fp32"
    sizes = Sizes(embedding=2 * values.sen_gru_size, network="proxy")
    given = {
        name: value
        for name, value in values.model_dump().items()
        if name.startswith(("data_image", "data_crop", "rdg_"))
    }
    return rdg_step(side, sizes, device, **given), values.rdg_batch


def print_pace(threads: int, seconds: float) -> None:
    """What `pace` asks a child process for: ready, then after a line on the input, the images of so many seconds of
    training.
    """
    torch.set_num_threads(threads)
    repetition, batch = mini_step()
    for _ in range(3):
        repetition()
    print("ready", flush=True)
    sys.stdin.readline()
    started, count = time.monotonic(), 0
    while time.monotonic() - started < seconds:
        repetition()
        count += 1
    print(count * batch / (time.monotonic() - started))


def pace(workers: int, threads: int, seconds: float) -> float:
    """Images a second of so many RDG trainings of preset mini side by side."""
    command = [sys.executable, BENCH, "--pace", str(threads), str(seconds)]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    with contextlib.ExitStack() as stack:
        children = [
            stack.enter_context(
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
            )
            for _ in range(workers)
        ]
        for child in children:
            if child.stdout.readline() != "ready\n":
                raise SystemExit("error: a worker could not start")
        for child in children:
            child.stdin.write("go\n")
            child.stdin.flush()
        return sum(float(child.stdout.readline()) for child in children)


def workers(sizes: Sizes) -> dict[str, Any]:
    """Two one-thread workers against one of two threads."""
    one, two = pace(1, 2, sizes.seconds), pace(2, 1, sizes.seconds)
    return {
        "name": "workers",
        "what": "two one-thread workers against one two-thread: seconds for 1,000 images",
        "reference": 1000 / one,
        "ours": 1000 / two,
        "ratio": two / one,
        "at_least": 1.3,
        "device": device_name(torch.device("cpu")),
    }


def loader(sizes: Sizes, step: float, device: torch.device) -> dict[str, Any]:
    """Seconds of making a batch (three crops a row from a memory-mapped store) against the step that it feeds."""
    count, labels = 256, np.arange(256) % 50
    store = types.SimpleNamespace(image_class=labels)
    by_class = {k: np.flatnonzero(labels == k) for k in range(50)}
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        np.save(f"{folder}/images.npy", pictures(count, sizes.image * 19 // 16, 14))
        stored = np.load(f"{folder}/images.npy", mmap_mode="r")

        def repetition() -> Tensor:
            chosen = rng.permutation(count)[: sizes.batch]
            parts = (chosen, *draw_image_ids(store, chosen, rng, by_class))
            pixels = torch.stack([random_crops(stored, part, sizes.image, rng, True) for part in parts])
            return pixels.pin_memory() if device.type == "cuda" else pixels

        repetition()
        made = statistics.median(timed(repetition, device) for _ in range(max(5, sizes.repeats)))
    return {
        "name": "loader",
        "what": "a batch made, against the fastest step that it feeds",
        "reference": step,
        "ours": made,
        "ratio": step / made,
        "at_least": 2.0,
        "device": device_name(device),
    }


def default_study(folder: Path) -> list[dict[str, Any]]:
    """What the last whole `make study` left: wall time, the share of it in which no run was past its imports, memory.

    A run works from the end of its notebook's first cell that imports to the end of its last cell, by papermill's
    times; the wall time in which no run works is overhead. Returns nothing, and says why, where times are missing.
    """
    if not (folder / "timing.json").is_file():
        print("default study: not measured, run `make study` in a folder without results/mini", file=sys.stderr)
        return []
    took = json.loads((folder / "timing.json").read_text())
    notebooks = sorted(folder.glob("*/*/0*.ipynb"))
    if yaml.safe_load((folder / "study.yaml").read_text()) != study.DEFAULTS or took["runs"] != len(notebooks):
        print(
            f"default study: not measured, {folder} holds a study of other settings or of several calls",
            file=sys.stderr,
        )
        return []
    spans = sorted(working(json.loads(path.read_text())) for path in notebooks)
    worked, until = 0.0, 0.0
    for start, end in spans:
        worked += max(0.0, end - max(start, until))
        until = max(until, end)
    name = device_name(torch.device("cpu"))
    return [
        {
            "name": "study-seconds",
            "what": "default study, wall time in seconds",
            "value": took["seconds"],
            "at_most": 600,
            "device": name,
        },
        {
            "name": "study-overhead",
            "what": "of it, outside of every run: imports, kernels, Snakemake, in percent",
            "value": 100 * (1 - worked / took["seconds"]),
            "at_most": 10,
            "device": name,
        },
        {
            "name": "study-memory",
            "what": "of it, the most memory that one run held, with all its processes, in GiB",
            "value": took["peak_memory_gib"],
            "at_most": 3,
            "device": name,
        },
    ]


def working(notebook: dict[str, Any]) -> tuple[float, float]:
    """When an executed notebook was done with its imports, and when with its last cell; seconds since 1970."""
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    imports = next(cell for cell in cells if "import " in "".join(cell["source"]))
    times = [cell["metadata"]["papermill"]["end_time"] for cell in (imports, cells[-1])]
    start, end = (datetime.datetime.fromisoformat(when).timestamp() for when in times)
    return start, end
