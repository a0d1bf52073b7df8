"""Equality of two sides first, then time and memory."""

from __future__ import annotations

import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from inputs import Sizes
from rows import Repetition, Row
from torch.utils.flop_counter import FlopCounterMode

from s2igan.training.records import device_name

BENCH = str(Path(__file__).with_name("bench.py"))  # which measures memory in a process of its own
BOUND = 1e-4  # largest relative difference allowed in fp32


def difference(a: Any, b: Any) -> float:
    """Largest absolute difference of two results relative to the largest absolute value of `a`; numbers, arrays or
    tensors.
    """
    a, b = (torch.as_tensor(x).detach().cpu().double() for x in (a, b))
    return float((a - b).abs().max() / a.abs().max().clamp_min(1e-30))


def compare(expected: dict[str, Any], found: dict[str, Any]) -> tuple[float, str]:
    """The largest difference of two repetitions' results, and in which of them."""
    if expected.keys() != found.keys():
        raise SystemExit(f"error: the results have other names: {sorted(expected)} and {sorted(found)}")
    pairs = [(difference(expected[name], found[name]), name) for name in expected]
    return max(pairs, key=lambda pair: (math.isnan(pair[0]), pair[0]))  # NaN is larger than any number


def check(
    row: Row, sizes: Sizes, device: torch.device, sides: dict[str, Repetition]
) -> tuple[dict[str, float], dict[str, float]]:
    """Runs every side once: its largest relative difference from the reference, and its GFLOP.

    Stops where fp32 differs by more than BOUND.
    """
    results, gflop, differences = {}, {}, {}
    for side, repetition in sides.items():
        with FlopCounterMode(display=False) as counter:
            results[side] = repetition()
        gflop[side] = counter.get_total_flops() / 1e9
    for side in list(sides)[1:]:
        differences[side], where = compare(results["reference"], results[side])
        held = "" if side == "bf16" else f" (at most {BOUND:g})"
        print(
            f"{row.name}, {side} against the reference: largest relative difference {differences[side]:.1e}, "
            f"in {where}{held}",
            flush=True,
        )
        if side != "bf16" and not differences[side] <= BOUND:
            raise SystemExit(
                f"error: {row.name}: {side} and the reference are not equal: {where} differs by {differences[side]:.1e}"
            )
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
    """Median seconds of each side; one repetition of each after the other, so that what the machine does besides meets
    all alike.

    Threads of the side before (numpy's BLAS) look for more work a while, on a core of their own: a pause lets them fall
    asleep. From it the machine wakes slowly, so that a side of less than a second is run once more, uncounted, before
    each repetition.
    """
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(repeats):
        for side, repetition in sides.items():
            time.sleep(0.2)
            if (took := timed(repetition, device)) < 1:
                took = timed(repetition, device)
            seconds[side].append(took)
    return {side: statistics.median(values) for side, values in seconds.items()}


def peak_memory(name: str, side: str, words: list[str]) -> float | None:
    """GiB that a process of its own needs for one repetition of one side: all of it, or on a GPU what torch allocated
    there.
    """
    command = [sys.executable, BENCH, "--memory", name, side, *words]
    ran = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONWARNINGS": "ignore"})
    if ran.returncode:
        print(
            f"{name}, {side}: its memory could not be measured: {ran.stderr.strip().splitlines()[-1:]}", file=sys.stderr
        )
        return None
    return float(ran.stdout.split()[-1])


def print_memory(row: Row, side: str, sizes: Sizes, device: torch.device) -> None:
    """What `peak_memory` asks a child process for."""
    row.build(side, sizes, device)()
    if device.type == "cuda":
        print(torch.cuda.max_memory_allocated(device) / 2**30)
        return
    # Not getrusage, whose value a child inherits from its parent.
    kilobytes = next(
        line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")
    )
    print(int(kilobytes) / 2**20)


def measure(
    row: Row, sizes: Sizes, device: torch.device, peaks: dict[str, float], words: list[str] | None
) -> list[dict[str, Any]]:
    """The row's results, one for each side but the reference.

    `words`: of the command line, for the memory's processes; None leaves memory out.
    """
    sides = {side: row.build(side, sizes, device) for side in ("reference", *row.least)}
    differences, gflop = check(row, sizes, device, sides)
    seconds = in_turn(sides, sizes.repeats, device)
    sides.clear()
    memory = {
        side: peak_memory(row.name, side, words) if words is not None else None for side in ("reference", *row.least)
    }
    found = []
    for side, least in row.least.items():
        speed, peak = gflop[side] / seconds[side], peaks["bf16" if side == "bf16" else "fp32"]
        found.append(
            {
                "name": f"{row.name} {side}" if len(row.least) > 1 else row.name,
                "what": row.what,
                "reference": seconds["reference"],
                "ours": seconds[side],
                "ratio": seconds["reference"] / seconds[side],
                "at_least": least,
                "difference": differences[side],
                "gflop_reference": gflop["reference"],
                "gflop": gflop[side],
                "gemm_peak": peak if gflop[side] else None,
                "gemm_fraction": speed / peak if gflop[side] else None,
                "memory_reference_gib": memory["reference"],
                "memory_gib": memory[side],
                "at_most_gib": row.at_most_gib,
                "device": device_name(device),
            }
        )
    return found
