"""The table of the benchmark, and the file that keeps its rows."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import time
from pathlib import Path
from typing import Any

import torch
from inputs import Sizes
from rows import ROWS

from s2igan.files import replacing, write_json
from s2igan.training.records import commit, device_name


def table(rows: list[dict[str, Any]]) -> str:
    """The results as Markdown: first those with a reference, then single values."""

    def number(value: float | None, form: str) -> str:
        return "" if value is None else format(value, form)

    lines = [
        "| row | reference, s | ours, s | ratio | asked | GFLOP reference, ours | of GEMM peak "
        "| GiB reference, ours | difference |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        if "ratio" in row:
            both = [
                ", ".join(number(row.get(name), form) for name in names if row.get(name))
                for names, form in (
                    (("gflop_reference", "gflop"), ",.1f"),
                    (("memory_reference_gib", "memory_gib"), ".2f"),
                )
            ]
            cells = [
                row["name"],
                f"{row['reference']:.3g}",
                f"{row['ours']:.3g}",
                f"{row['ratio']:.2f}",
                number(row["at_least"], "g"),
                both[0],
                number(row.get("gemm_fraction"), ".0%"),
                both[1],
                number(row.get("difference"), ".0e"),
            ]
            lines.append("| " + " | ".join(cells) + " |")
    single = [row for row in rows if "value" in row]
    if single:
        lines += ["", "| what | measured | at most |", "| --- | ---: | ---: |"]
        lines += [f"| {row['what']} | {row['value']:.3g} | {row['at_most']} |" for row in single]
    return "\n".join(lines)


def machine(device: torch.device, peaks: dict[str, float]) -> dict[str, Any]:
    """Where the numbers were made."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "device": device_name(device),
        "cpu": device_name(torch.device("cpu")),
        "cores": cores,
        "threads": torch.get_num_threads(),
        "gemm_peak_gflops": {name: round(value) for name, value in peaks.items()},
        "python": platform.python_version(),
        "torch": torch.__version__,
        "commit": commit(),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }


def keep(path: Path, rows: list[dict[str, Any]], where: dict[str, Any], sizes: Sizes) -> None:
    """Writes the results and the table of them, each whole or not at all; rows of another name or device stay."""
    before = json.loads(path.read_text()) if path.is_file() else {"machines": {}, "rows": []}
    mine = {(row["name"], row["device"]) for row in rows}
    others = [row for row in before["rows"] if (row["name"], row["device"]) not in mine]
    about = {name: where[name] for name in ("threads", "commit", "date")} | {
        "repeats": sizes.repeats,
        "batch": sizes.batch,
    }
    rows = [{**row, **about} for row in rows]  # a later call may measure other rows otherwise
    machines = {**before["machines"], where["device"]: {**where, "sizes": dataclasses.asdict(sizes)}}
    order = [*(row.name for row in ROWS), "log-mel librosa", "loader", "workers", "study"]
    rows = sorted(
        others + rows,
        key=lambda row: max((i for i, name in enumerate(order) if row["name"].startswith(name)), default=-1),
    )
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
        peak = " and ".join(
            f"{min(v):,.0f} to {max(v):,.0f} GFLOP/s in {name}" for name, v in sorted(peaks.items(), reverse=True)
        )
        said = {
            name: ", ".join(sorted({str(row[name]) for row in here}))
            for name in ("threads", "date", "repeats", "batch")
        }
        parts.append(
            f"{device}, {about['cores']} cores, {said['threads']} threads, torch {about['torch']}; "
            f"measured {said['date']}, "
            f"medians of {said['repeats']}, RDG steps at a batch of {said['batch']}. Best matrix product of the calls: "
            f"{peak}.\n\n{table(here)}\n"
        )
    return "\n".join(parts)
