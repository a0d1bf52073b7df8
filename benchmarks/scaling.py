"""How times scale with the size of the work, and where they stop being linear: `python benchmarks/bench.py SCALING=1`.

Step time at the widths of preset mini against batch, image size (two stages) and length of captions; time of a study's
runs, a process each without their notebooks, against their number and the workers. Writes a figure of each and
scaling.json to results/reference/.
"""

from __future__ import annotations

import itertools
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import matplotlib
import torch
from inputs import Sizes
from rows import Repetition, sen_step
from study_rows import mini_step

matplotlib.use("Agg")

import matplotlib.pyplot as plt

from s2igan.files import replacing, write_json
from s2igan.training.records import commit, device_name

Points = list[tuple[float, float]]  # size of the work, seconds


def seconds(repetition: Repetition, repeats: int = 5) -> float:
    """Median time of a repetition, after one that is not counted."""
    repetition()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        repetition()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def along(sizes: list[int], make: Callable[[int], Repetition]) -> Points:
    """Seconds of a repetition at each size."""
    points = []
    for size in sizes:
        points.append((size, seconds(make(size))))
        print(f"  {size}: {points[-1][1]:.4g} s", flush=True)
    return points


def study_seconds(count: int, workers: int, steps: int) -> float:
    """Seconds of so many one-thread runs of RDG, a process each from its start on, so many of them at a time."""
    command = [sys.executable, str(Path(__file__).with_name("bench.py")), "--steps", str(steps)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    started = time.perf_counter()
    with ThreadPoolExecutor(workers) as pool:
        list(
            pool.map(lambda _: subprocess.run(command, env=environment, check=True, capture_output=True), range(count))
        )
    return time.perf_counter() - started


def linear_stretch(points: Points, tolerance: float = 0.2) -> tuple[float, float] | None:
    """The longest stretch of three or more sizes along which time is linear in it: t = a + b n, with a share `a` that
    every step costs.

    There each stretch between neighbours costs as much for each further unit of size as the whole one, give or take the
    tolerance.
    """

    def slope(i: int, j: int) -> float:
        return (points[j][1] - points[i][1]) / (points[j][0] - points[i][0])

    best = None
    for i, j in itertools.combinations(range(len(points)), 2):
        linear = slope(i, j) > 0 and all(abs(slope(k, k + 1) / slope(i, j) - 1) <= tolerance for k in range(i, j))
        if j - i > 1 and linear and (best is None or points[j][0] / points[i][0] > best[1] / best[0]):
            best = points[i][0], points[j][0]
    return best


def draw(path: Path, label: str, curves: dict[str, Points]) -> None:
    """Time against size, both logarithmic; dashed: in proportion to the largest size; shaded: where a single curve is
    linear.
    """
    figure, axis = plt.subplots(figsize=(5, 3.6))
    for (name, points), marker in zip(curves.items(), "os^v", strict=False):
        n, t = zip(*points, strict=True)
        (line,) = axis.loglog(n, t, marker=marker, label=name)
        axis.loglog(n, [t[-1] * size / n[-1] for size in n], linestyle="--", linewidth=1, color=line.get_color())
    stretch = linear_stretch(points) if len(curves) == 1 else None
    if stretch:
        axis.axvspan(*stretch, color="0.9", zorder=0)
    ticks = sorted({size for points in curves.values() for size, _ in points})
    axis.set_xticks(ticks, [f"{size:g}" for size in ticks])
    axis.minorticks_off()
    axis.set(
        xlabel=label, ylabel="seconds", title="dashed: in proportion to size" + ("; shaded: linear" if stretch else "")
    )
    if len(curves) > 1:
        axis.legend()
    with replacing(path) as temporary:
        figure.savefig(temporary, bbox_inches="tight", metadata={"Date": None})
    plt.close(figure)


def main(
    folder: Path,
    batches: tuple[int, ...] = (2, 4, 8, 16, 32, 64, 128, 256, 512),
    images: tuple[int, ...] = (16, 32, 64, 128, 256),
    frames: tuple[int, ...] = (50, 100, 200, 400, 800, 1600),
    counts: tuple[int, ...] = (1, 2, 4),
    steps: int = 40,
) -> int:
    """Measures, draws and writes everything; returns the exit status 0."""
    cpu, cores = (
        torch.device("cpu"),
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
    )
    curves: dict[str, tuple[str, dict[str, Points]]] = {}
    print("RDG step against batch", flush=True)
    curves["batch"] = "batch of the RDG step", {"RDG step": along(list(batches), lambda n: mini_step(rdg_batch=n)[0])}
    print("RDG step against image size", flush=True)
    by_size = along(
        list(images), lambda n: mini_step(data_image_size=n, data_crop_from=n, rdg_batch=8, rdg_stages=2)[0]
    )
    curves["pixels"] = (
        "pixels of an image (a side, squared)",
        {"RDG step, batch of 8": [(n * n, t) for n, t in by_size]},
    )
    print("SEN step against length of captions", flush=True)
    small = {"network": "proxy", "image": 32, "gru": 128, "sen_batch": 16}
    curves["frames"] = (
        "mean frames of a caption",
        {"SEN step, batch of 16": along(list(frames), lambda n: sen_step("fp32", Sizes(frames=n, **small), cpu))},
    )
    print("study against runs and workers", flush=True)
    many = {}
    for workers in sorted({1, cores}):
        name = f"{workers} at a time"
        many[name] = [(n, study_seconds(n, workers, steps)) for n in counts]
        print(f"  {name}: " + ", ".join(f"{n} in {t:.3g} s" for n, t in many[name]), flush=True)
    curves["runs"] = f"runs of {steps} RDG steps", many

    found = {"device": device_name(cpu), "threads": torch.get_num_threads(), "commit": commit(), "curves": {}}
    for name, (label, of) in curves.items():
        draw(folder / f"scaling-{name}.svg", label, of)
        for curve, points in of.items():
            stretch = linear_stretch(points)
            found["curves"][f"{name}: {curve}"] = {"against": label, "points": points, "linear": stretch}
            said = f"linear from {stretch[0]:g} to {stretch[1]:g}" if stretch else "linear along no three sizes"
            print(f"{label}, {curve}: {said}, measured from {points[0][0]:g} to {points[-1][0]:g}")
    write_json(folder / "scaling.json", found)
    return 0
