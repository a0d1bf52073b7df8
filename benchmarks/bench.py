"""Times the library against the plain writing of the same steps (plain.py), after showing that both give the same. Medians, in turn.

    python benchmarks/bench.py                     every row; a table, and results/reference/benchmarks.json and .md
    python benchmarks/bench.py QUICK=1             smaller sizes, two minutes, printed only
    python benchmarks/bench.py rdg-step mAP        these rows alone; a row of the file is replaced by a row of the same name and device
    python benchmarks/bench.py generation cuda     on the GPU
    python benchmarks/bench.py SCALING=1            how times grow: figures in results/reference/ (scaling.py)

THREADS, BATCH (of the RDG step) and REPEATS are further NAME=value words; a NAME alone takes its value from the environment.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as in the study; threads that spin would slow their neighbours down

import contextlib
import dataclasses
import datetime
import json
import math
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from rows import ROWS, Repetition, Row, Sizes, has_librosa, mel, mini_step, normal, pictures
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from s2igan.data.batches import random_crops
from s2igan.data.files import replacing, write_json
from s2igan.training.batches import draw_image_ids
from s2igan.training.records import commit, device_name
from s2igan.workflow import study

ROOT = Path(__file__).resolve().parents[1]
BOUND = 1e-4  # largest relative difference allowed in fp32

# --- measuring ---


def difference(a: Any, b: Any) -> float:
    """Largest absolute difference of two results relative to the largest absolute value of `a`; numbers, arrays or tensors."""
    a, b = (torch.as_tensor(x).detach().cpu().double() for x in (a, b))
    return float((a - b).abs().max() / a.abs().max().clamp_min(1e-30))


def compare(expected: dict[str, Any], found: dict[str, Any]) -> tuple[float, str]:
    """The largest difference of two repetitions' results, and in which of them."""
    if expected.keys() != found.keys():
        raise SystemExit(f"error: the results have other names: {sorted(expected)} and {sorted(found)}")
    pairs = [(difference(expected[name], found[name]), name) for name in expected]
    return max(pairs, key=lambda pair: (math.isnan(pair[0]), pair[0]))  # NaN is larger than any number


def check(row: Row, sizes: Sizes, device: torch.device, sides: dict[str, Repetition]) -> tuple[dict[str, float], dict[str, float]]:
    """Runs every side once: its largest relative difference from plain, and its GFLOP. Stops where fp32 differs by more than BOUND."""
    results, gflop, differences = {}, {}, {}
    for side, repetition in sides.items():
        with FlopCounterMode(display=False) as counter:
            results[side] = repetition()
        gflop[side] = counter.get_total_flops() / 1e9
    for side in list(sides)[1:]:
        differences[side], where = compare(results["plain"], results[side])
        held = "" if side == "bf16" else f" (at most {BOUND:g})"
        print(f"{row.name}, {side} against plain: largest relative difference {differences[side]:.1e}, in {where}{held}", flush=True)
        if side != "bf16" and not differences[side] <= BOUND:
            raise SystemExit(f"error: {row.name}: {side} and plain are not equal: {where} differs by {differences[side]:.1e}")
    return differences, gflop


def timed(repetition: Callable[[], Any], device: torch.device) -> float:
    """Seconds of one repetition."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    started = time.perf_counter()
    repetition()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started


def in_turn(sides: dict[str, Repetition], repeats: int, device: torch.device) -> dict[str, float]:
    """Median seconds of each side; one repetition of each after the other, so that what the machine does besides meets all alike.

    Threads of the side before (numpy's BLAS) look for more work a while, on a core of their own: a pause lets them fall asleep. From it
    the machine wakes slowly, so that a side of less than a second is run once more, uncounted, before each repetition.
    """
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(repeats):
        for side, repetition in sides.items():
            time.sleep(0.2)
            if (took := timed(repetition, device)) < 1:
                took = timed(repetition, device)
            seconds[side].append(took)
    return {side: statistics.median(values) for side, values in seconds.items()}


def gemm_peak(size: int, dtype: torch.dtype, device: torch.device) -> float:
    """GFLOP a second of the best of ten products of square matrices: what the machine can do at most in practice."""
    a, b = (normal(size, size, seed=seed).to(device, dtype) for seed in (0, 1))
    return 2 * size**3 / 1e9 / min(timed(lambda: a @ b, device) for _ in range(10))


def peak_memory(name: str, side: str, words: list[str]) -> float | None:
    """GiB that a process of its own needs for one repetition of one side: all of it, or on a GPU what torch allocated there."""
    command = [sys.executable, __file__, "--memory", name, side, *words]
    ran = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONWARNINGS": "ignore"})
    if ran.returncode:
        print(f"{name}, {side}: its memory could not be measured: {ran.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
        return None
    return float(ran.stdout.split()[-1])


def print_memory(row: Row, side: str, sizes: Sizes, device: torch.device) -> None:
    """What `peak_memory` asks a child process for."""
    row.build(side, sizes, device)()
    if device.type == "cuda":
        print(torch.cuda.max_memory_allocated(device) / 2**30)
        return
    # Not getrusage, whose figure a child inherits from its parent.
    kilobytes = next(line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    print(int(kilobytes) / 2**20)


def measure(row: Row, sizes: Sizes, device: torch.device, peaks: dict[str, float], words: list[str] | None) -> list[dict[str, Any]]:
    """The row's results, one for each side but plain. `words`: of the command line, for the memory's processes; None leaves memory out."""
    sides = {side: row.build(side, sizes, device) for side in ("plain", *row.least)}
    differences, gflop = check(row, sizes, device, sides)
    seconds = in_turn(sides, sizes.repeats, device)
    sides.clear()
    memory = {side: peak_memory(row.name, side, words) if words is not None else None for side in ("plain", *row.least)}
    found = []
    for side, least in row.least.items():
        speed, peak = gflop[side] / seconds[side], peaks["bf16" if side == "bf16" else "fp32"]
        found.append({
            "name": f"{row.name} {side}" if len(row.least) > 1 else row.name, "what": row.what, "plain": seconds["plain"],
            "ours": seconds[side], "ratio": seconds["plain"] / seconds[side], "at_least": least, "difference": differences[side],
            "gflop_plain": gflop["plain"], "gflop": gflop[side],
            "gemm_peak": peak if gflop[side] else None, "gemm_fraction": speed / peak if gflop[side] else None,
            "memory_plain_gib": memory["plain"], "memory_gib": memory[side], "at_most_gib": row.at_most_gib,
            "device": device_name(device),
        })  # fmt: skip
    return found


# --- the study: workers, data, wall time ---


def print_pace(threads: int, seconds: float) -> None:
    """What `pace` asks a child process for: ready, then after a line on the input, the images of so many seconds of training."""
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
    command = [sys.executable, __file__, "--pace", str(threads), str(seconds)]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    with contextlib.ExitStack() as stack:
        children = [
            stack.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment))
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
    return {"name": "workers", "what": "two one-thread workers against one two-thread: seconds for 1,000 images", "plain": 1000 / one,
            "ours": 1000 / two, "ratio": two / one, "at_least": 1.3, "device": device_name(torch.device("cpu"))}  # fmt: skip


def loader(sizes: Sizes, step: float, device: torch.device) -> dict[str, Any]:
    """Seconds of making a batch (three crops a row from a memory-mapped store) against those of the step that it feeds."""
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
    return {"name": "loader", "what": "a batch made, against the fastest step that it feeds", "plain": step, "ours": made,
            "ratio": step / made, "at_least": 2.0, "device": device_name(device)}  # fmt: skip


def default_study(folder: Path) -> list[dict[str, Any]]:
    """What the last whole `make study` left: wall time, the share of it in which no run was past its imports, memory.

    A run works from the end of its notebook's first cell that imports to the end of its last cell, by papermill's times; what of the
    study's wall time no run works in is overhead. Returns nothing, and says why, where that cannot be told.
    """
    if not (folder / "timing.json").is_file():
        print("default study: not measured, run `make study` in a folder without results/mini", file=sys.stderr)
        return []
    took = json.loads((folder / "timing.json").read_text())
    notebooks = sorted(folder.glob("*/*/0*.ipynb"))
    if yaml.safe_load((folder / "study.yaml").read_text()) != study.DEFAULTS or took["runs"] != len(notebooks):
        print(f"default study: not measured, {folder} holds a study of other settings or of several calls", file=sys.stderr)
        return []
    spans = sorted(working(json.loads(path.read_text())) for path in notebooks)
    worked, until = 0.0, 0.0
    for start, end in spans:
        worked += max(0.0, end - max(start, until))
        until = max(until, end)
    name = device_name(torch.device("cpu"))
    return [
        {"name": "study-seconds", "what": "default study, wall time in seconds", "value": took["seconds"], "at_most": 600, "device": name},
        {"name": "study-overhead", "what": "of it, outside of every run: imports, kernels, Snakemake, in percent",
         "value": 100 * (1 - worked / took["seconds"]), "at_most": 10, "device": name},
        {"name": "study-memory", "what": "of it, the most memory that one run held, with all its processes, in GiB",
         "value": took["peak_memory_gib"], "at_most": 3, "device": name},
    ]  # fmt: skip


def working(notebook: dict[str, Any]) -> tuple[float, float]:
    """When an executed notebook was done with its imports, and when with its last cell; seconds since 1970."""
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    imports = next(cell for cell in cells if "import " in "".join(cell["source"]))
    times = [cell["metadata"]["papermill"]["end_time"] for cell in (imports, cells[-1])]
    start, end = (datetime.datetime.fromisoformat(when).timestamp() for when in times)
    return start, end


# --- the table, the file, the command ---


def table(rows: list[dict[str, Any]]) -> str:
    """The results as Markdown: first those with a plain side, then single figures."""
    def number(value: float | None, form: str) -> str:
        return "" if value is None else format(value, form)

    lines = ["| row | plain, s | ours, s | ratio | asked | GFLOP plain, ours | of GEMM peak | GiB plain, ours | difference |",
             "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"]  # fmt: skip
    for row in rows:
        if "ratio" in row:
            both = [", ".join(number(row.get(name), form) for name in names if row.get(name)) for names, form in
                    ((("gflop_plain", "gflop"), ",.1f"), (("memory_plain_gib", "memory_gib"), ".2f"))]  # fmt: skip
            cells = [row["name"], f"{row['plain']:.3g}", f"{row['ours']:.3g}", f"{row['ratio']:.2f}", number(row["at_least"], "g"), both[0],
                     number(row.get("gemm_fraction"), ".0%"), both[1], number(row.get("difference"), ".0e")]  # fmt: skip
            lines.append("| " + " | ".join(cells) + " |")
    single = [row for row in rows if "value" in row]
    if single:
        lines += ["", "| what | measured | at most |", "| --- | ---: | ---: |"]
        lines += [f"| {row['what']} | {row['value']:.3g} | {row['at_most']} |" for row in single]
    return "\n".join(lines)


def machine(device: torch.device, peaks: dict[str, float]) -> dict[str, Any]:
    """Where the figures were made."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"device": device_name(device), "cpu": device_name(torch.device("cpu")), "cores": cores,
            "threads": torch.get_num_threads(), "gemm_peak_gflops": {name: round(value) for name, value in peaks.items()},
            "python": platform.python_version(), "torch": torch.__version__, "commit": commit(),
            "date": time.strftime("%Y-%m-%d", time.gmtime())}  # fmt: skip


def keep(path: Path, rows: list[dict[str, Any]], where: dict[str, Any], sizes: Sizes) -> None:
    """Writes the results and the table of them, each whole or not at all; rows of another name or device stay."""
    before = json.loads(path.read_text()) if path.is_file() else {"machines": {}, "rows": []}
    mine = {(row["name"], row["device"]) for row in rows}
    others = [row for row in before["rows"] if (row["name"], row["device"]) not in mine]
    about = {name: where[name] for name in ("threads", "commit", "date")} | {"repeats": sizes.repeats, "batch": sizes.batch}
    rows = [{**row, **about} for row in rows]  # a later call may measure other rows otherwise
    machines = {**before["machines"], where["device"]: {**where, "sizes": dataclasses.asdict(sizes)}}
    order = [*(row.name for row in ROWS), "log-mel librosa", "loader", "workers", "study"]
    rows = sorted(others + rows, key=lambda row: max((i for i, name in enumerate(order) if row["name"].startswith(name)), default=-1))
    write_json(path, {"machines": machines, "rows": rows})
    with replacing(path.with_suffix(".md")) as temporary:
        temporary.write_text(page(machines, rows))


def page(machines: dict[str, dict[str, Any]], rows: list[dict[str, Any]]) -> str:
    """The table of each device, under lines that say what it is and how it was measured."""
    parts = []
    for device, about in machines.items():
        here = [row for row in rows if row["device"] == device]
        peaks: dict[str, list[float]] = {}
        for row in here:
            if row.get("gemm_peak"):
                peaks.setdefault("bf16" if row["name"].endswith("bf16") else "fp32", []).append(row["gemm_peak"])
        peak = " and ".join(f"{min(v):,.0f} to {max(v):,.0f} GFLOP/s in {name}" for name, v in sorted(peaks.items(), reverse=True))
        said = {name: ", ".join(sorted({str(row[name]) for row in here})) for name in ("threads", "date", "repeats", "batch")}
        parts.append(
            f"{device}, {about['cores']} cores, {said['threads']} threads, torch {about['torch']}; measured {said['date']}, medians of "
            f"{said['repeats']}, RDG steps at a batch of {said['batch']}. Best matrix product of the calls: {peak}.\n\n{table(here)}\n"
        )
    return "\n".join(parts)


def read_words(words: list[str]) -> tuple[dict[str, str], list[str]]:
    """NAME=value words and NAMEs of the environment as {name: value}; the other words, names of rows or a device."""
    given, rest = {}, []
    for word in words:
        name, equals, value = word.partition("=")
        if equals or (name.isupper() and name in os.environ):
            given[name.upper()] = value if equals else os.environ[name]
        else:
            rest.append(word)
    if unknown := sorted(given.keys() - {"QUICK", "SCALING", "THREADS", "BATCH", "REPEATS", "ROWS", "DEVICE"}):
        raise SystemExit(f"error: parameter {unknown[0]!r} does not exist: QUICK, SCALING, THREADS, BATCH, REPEATS, ROWS, DEVICE")
    rest += [name.strip() for name in given.pop("ROWS", "").split(",") if name.strip()]
    return given, rest


def main(words: list[str]) -> int:
    """Runs what the words ask for; returns the exit status."""
    if words[:1] == ["--pace"]:
        print_pace(int(words[1]), float(words[2]))
        return 0
    if words[:1] == ["--steps"]:  # for scaling.py
        repetition, _ = mini_step()
        for _ in range(int(words[1])):
            repetition()
        return 0
    child = words[1:3] if words[:1] == ["--memory"] else None
    words = words[3:] if child else words
    given, names = read_words(words)
    wanted = [name for name in names if name not in ("cpu", "cuda")]
    device = torch.device(next((name for name in names if name in ("cpu", "cuda")), given.get("DEVICE", "cpu")))
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SystemExit("error: torch sees no GPU here")
    quick = given.get("QUICK", "0") not in ("", "0")
    if not quick and int(given.get("REPEATS", 5)) < 5:
        raise SystemExit("error: parameter 'REPEATS' must be at least 5: fewer make no median worth keeping (QUICK=1 only prints)")
    if "THREADS" in given:
        torch.set_num_threads(int(given["THREADS"]))
    sizes = Sizes.of(quick, device)
    sizes = dataclasses.replace(
        sizes, batch=int(given.get("BATCH", sizes.batch)), repeats=int(given.get("REPEATS", sizes.repeats))
    )  # fmt: skip
    rows = list(ROWS)
    if has_librosa():
        rows.append(Row("log-mel librosa", "log-mel of 4 s clips, librosa", mel, {"librosa": None, "fp32": None}))
    if child:
        print_memory(next(row for row in rows if row.name == child[0]), child[1], sizes, device)
        return 0
    if given.get("SCALING", "0") not in ("", "0"):
        import scaling

        return scaling.main(ROOT / "results/reference")
    others = ["workers", "loader", "study"]
    if unknown := [name for name in wanted if name not in [*others, *(row.name for row in rows)]]:
        raise SystemExit(f"error: row {unknown[0]!r} does not exist: choose some of {', '.join([*(row.name for row in rows), *others])}")
    asked = set(wanted or [*others, *(row.name for row in rows)])

    peaks = {name: gemm_peak(sizes.gemm, dtype, device) for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16))}
    where = machine(device, peaks)
    print(f"{where['device']}, {where['cores']} cores, {where['threads']} threads, torch {where['torch']}; best matrix product "
          f"{peaks['fp32']:,.0f} GFLOP/s in fp32, {peaks['bf16']:,.0f} in bf16\n", flush=True)  # fmt: skip
    found: list[dict[str, Any]] = []
    for row in rows:
        if row.name in asked:
            found += measure(row, sizes, device, peaks, None if quick else words)
    found = against_librosa(found)
    steps = [row["ours"] for row in found if row["name"].startswith("rdg-step")]
    if "loader" in asked and steps:
        found.append(loader(sizes, min(steps), device))
    if device.type == "cpu" and "workers" in asked and where["cores"] > 1:
        found.append(workers(sizes))
    if device.type == "cpu" and "study" in asked:
        found += default_study(ROOT / "results/mini")
    print("\n" + table(found))
    if not has_librosa() and "log-mel" in asked:
        print("\nlibrosa is not installed: log-mel stands against the definition alone (`pip install librosa` for one run)")
    if not quick and found:
        keep(ROOT / "results/reference/benchmarks.json", found, where, sizes)
    missed = [
        row["name"] for row in found
        if (row.get("at_least") or 0) > row.get("ratio", np.inf) or row.get("value", 0) > row.get("at_most", np.inf)
        or (row.get("memory_gib") or 0) > (row.get("at_most_gib") or np.inf)
    ]  # fmt: skip
    if missed and not quick:  # the ratios are asked of the full sizes
        print(f"\nmissed: {', '.join(missed)}")
    return 0


def against_librosa(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The two sides measured beside librosa as one row: librosa's seconds in plain's place."""
    both = {row["name"].rpartition(" ")[2]: row for row in rows if row["name"].startswith("log-mel librosa ")}
    rows = [row for row in rows if not row["name"].startswith("log-mel librosa ")]
    if both:
        theirs, ours = both["librosa"], both["fp32"]
        rows.append({**ours, "name": "log-mel librosa", "plain": theirs["ours"], "ratio": theirs["ours"] / ours["ours"], "at_least": 1.5,
                     "memory_plain_gib": theirs["memory_gib"]})  # fmt: skip
    return rows


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
