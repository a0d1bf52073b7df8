"""Times the library against reference implementations of the same steps, after showing that both give the same.

    python benchmarks/bench.py                     every row; a table, and results/reference/benchmarks.json and .md
    python benchmarks/bench.py QUICK=1             smaller sizes, two minutes, printed only python benchmarks/bench.py
    rdg-step mAP        these rows; a row of the file is replaced by one of its name and device python
    benchmarks/bench.py generation cuda     on the GPU python benchmarks/bench.py SCALING=1           how times scale:
    plots in results/reference/ (scaling.py)

THREADS, BATCH (of the RDG step) and REPEATS are further NAME=value words; a NAME alone takes its value from the
environment. Numbers are medians; both sides run in turn.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as in the study; spinning threads would slow the others down

import dataclasses
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from inputs import Sizes
from measuring import measure, print_memory
from report import keep, machine, table
from rows import ROWS, Row, has_librosa, mel
from study_rows import default_study, loader, mini_step, print_pace, workers

from s2igan.reporting.cost import gemm_peak

ROOT = Path(__file__).resolve().parents[1]
NAMES = ("QUICK", "SCALING", "THREADS", "BATCH", "REPEATS", "ROWS", "DEVICE")
OTHERS = ("workers", "loader", "study")  # rows without two sides


@dataclasses.dataclass(frozen=True)
class Request:
    """What the words of the command line ask for."""

    wanted: list[str]  # names of rows; none: all
    device: torch.device
    sizes: Sizes
    quick: bool
    scaling: bool
    threads: int | None


def read_words(words: list[str]) -> tuple[dict[str, str], list[str]]:
    """NAME=value words and NAMEs of the environment as {name: value}; the other words, names of rows or a device."""
    given, rest = {}, []
    for word in words:
        name, equals, value = word.partition("=")
        if equals or (name.isupper() and name in os.environ):
            given[name.upper()] = value if equals else os.environ[name]
        else:
            rest.append(word)
    if unknown := sorted(given.keys() - set(NAMES)):
        raise SystemExit(f"error: parameter {unknown[0]!r} does not exist: {', '.join(NAMES)}")
    rest += [name.strip() for name in given.pop("ROWS", "").split(",") if name.strip()]
    return given, rest


def request_of(words: list[str], rows: list[Row]) -> Request:
    """Checks the words; stops with one line where they make no sense."""
    given, names = read_words(words)
    wanted = [name for name in names if name not in ("cpu", "cuda")]
    device = torch.device(next((name for name in names if name in ("cpu", "cuda")), given.get("DEVICE", "cpu")))
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SystemExit("error: torch sees no GPU here")
    quick = given.get("QUICK", "0") not in ("", "0")
    if not quick and int(given.get("REPEATS", 5)) < 5:
        raise SystemExit("error: parameter 'REPEATS' must be at least 5, or give QUICK=1, which only prints")
    known = [*OTHERS, *(row.name for row in rows)]
    if unknown := [name for name in wanted if name not in known]:
        raise SystemExit(f"error: row {unknown[0]!r} does not exist: choose some of {', '.join(sorted(known))}")
    sizes = Sizes.of(quick, device)
    batch, repeats = int(given.get("BATCH", sizes.batch)), int(given.get("REPEATS", sizes.repeats))
    sizes = dataclasses.replace(sizes, batch=batch, repeats=repeats)
    threads = int(given["THREADS"]) if "THREADS" in given else None
    return Request(wanted, device, sizes, quick, given.get("SCALING", "0") not in ("", "0"), threads)


def run_child(words: list[str], rows: list[Row]) -> bool:
    """Does what a parent process asks for, and says whether it was asked for anything."""
    if words[:1] == ["--pace"]:
        print_pace(int(words[1]), float(words[2]))
    elif words[:1] == ["--steps"]:  # for scaling.py
        repetition, _ = mini_step()
        for _ in range(int(words[1])):
            repetition()
    elif words[:1] == ["--memory"]:
        asked = request_of(words[3:], rows)
        if asked.threads:
            torch.set_num_threads(asked.threads)
        print_memory(next(row for row in rows if row.name == words[1]), words[2], asked.sizes, asked.device)
    else:
        return False
    return True


def measure_all(asked: Request, rows: list[Row], peaks: dict[str, float], words: list[str]) -> list[dict[str, Any]]:
    """The results of every row that is asked for."""
    names = set(asked.wanted or [*OTHERS, *(row.name for row in rows)])
    found: list[dict[str, Any]] = []
    for row in rows:
        if row.name in names:
            found += measure(row, asked.sizes, asked.device, peaks, None if asked.quick else words)
    found = against_librosa(found)
    steps = [row["ours"] for row in found if row["name"].startswith("rdg-step")]
    if "loader" in names and steps:
        found.append(loader(asked.sizes, min(steps), asked.device))
    if asked.device.type == "cpu" and "workers" in names and machine(asked.device, peaks)["cores"] > 1:
        found.append(workers(asked.sizes))
    if asked.device.type == "cpu" and "study" in names:
        found += default_study(ROOT / "results/mini")
    if not has_librosa() and "log-mel" in names:
        print(
            "librosa is not installed: log-mel is timed against the definition only (`pip install librosa` for one run)"
        )
    return found


def missed(row: dict[str, Any]) -> bool:
    """Whether a row does not reach what is asked of it on two cores."""
    slow = (row.get("at_least") or 0) > row.get("ratio", np.inf) or row.get("value", 0) > row.get("at_most", np.inf)
    return slow or (row.get("memory_gib") or 0) > (row.get("at_most_gib") or np.inf)


def against_librosa(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The two sides measured beside librosa as one row: librosa's seconds in the reference's place."""
    both = {row["name"].rpartition(" ")[2]: row for row in rows if row["name"].startswith("log-mel librosa ")}
    rows = [row for row in rows if not row["name"].startswith("log-mel librosa ")]
    if both:
        theirs, ours = both["librosa"], both["fp32"]
        replaced = {"name": "log-mel librosa", "reference": theirs["ours"], "ratio": theirs["ours"] / ours["ours"]}
        rows.append({**ours, **replaced, "at_least": 1.5, "memory_reference_gib": theirs["memory_gib"]})
    return rows


def main(words: list[str]) -> int:
    """Runs what the words ask for; returns the exit status."""
    rows = list(ROWS)
    if has_librosa():
        rows.append(Row("log-mel librosa", "log-mel of 4 s clips, librosa", mel, {"librosa": None, "fp32": None}))
    if run_child(words, rows):
        return 0
    asked = request_of(words, rows)
    if asked.threads:
        torch.set_num_threads(asked.threads)
    if asked.scaling:
        import scaling

        return scaling.main(ROOT / "results/reference")
    peaks = {name: 1000 * gemm_peak(asked.device, name == "bf16") for name in ("fp32", "bf16")}
    where = machine(asked.device, peaks)
    print(f"{where['device']}, {where['cores']} cores, {where['threads']} threads, torch {where['torch']}")
    print(f"best matrix product {peaks['fp32']:,.0f} GFLOP/s in fp32, {peaks['bf16']:,.0f} in bf16\n", flush=True)
    found = measure_all(asked, rows, peaks, words)
    print("\n" + table(found))
    if not asked.quick and found:
        keep(ROOT / "results/reference/benchmarks.json", found, where, asked.sizes)
        if slow := [row["name"] for row in found if missed(row)]:
            print(f"\nmissed: {', '.join(slow)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
