"""A study, run with Snakemake."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import io
import logging
import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psutil
import yaml

from s2igan import BadInput, config
from s2igan.files import make_folder, project_root, read_text, write_atomic, write_json
from s2igan.reporting.text import one_line
from s2igan.training.gpus import visible_gpus
from s2igan.workflow import study
from s2igan.workflow.access import check_access
from s2igan.workflow.gpu_slots import check_gpu
from s2igan.workflow.interrupts import stoppable
from s2igan.workflow.lock import alone
from s2igan.workflow.machine import cores_for, usable_cores, usable_memory
from s2igan.workflow.timestamps import end_future_times
from s2igan.workflow.words import is_on, read_words, whole_number, with_file


@dataclasses.dataclass(frozen=True)
class Call:
    """What one call of `python -m s2igan study` asks for."""

    given: dict[str, Any]  # what study.plan reads
    named: frozenset[str]  # the names in it that the user gave, not a default or DRY=1
    cores: int | None  # runs side by side; None: as many as fit this machine
    listing: bool  # only list what would run
    dry: bool
    check: bool  # only look at the data
    full: bool  # decode all of them for that


def read_call(words: Iterable[str], full: bool) -> Call:
    """Reads NAME=value words. Raises BadInput."""
    given = read_words(words)
    cores = whole_number("cores", given.pop("cores")) if "cores" in given else None
    full_check = str(given.get("check")).strip().lower() == "full"
    check = bool(full_check and given.pop("check")) or is_on("check", given.pop("check", 0))
    listing, dry = (is_on(name, given.pop(name, 0)) for name in ("list", "dry"))
    defaults = study.DEFAULTS_FULL if full else study.DEFAULTS
    given = with_file(given)
    named = frozenset(given)
    given = {**defaults, **(study.DRY if dry else {}), **given}
    if dry:  # in a folder of its own, beside the real study
        given["study"] = f"{given.get('study') or given.get('preset') or 'mini'}-dry"
    return Call(given, named, cores, listing, dry, check, full_check)


def run_study(words: Iterable[str], full: bool) -> int:
    """Checks what was given, runs Snakemake, and shows the tables and where everything is. Returns the exit status."""
    call = read_call(words, full)
    chosen = study.plan(call.given)
    study.check_folders(chosen)
    for line in study.not_read(chosen, call.named):
        note(line)
    if not (call.listing or call.check):
        call, chosen = with_device(call, chosen)
    root = project_root()
    os.chdir(root)
    if call.check:
        return report_data(chosen, call.check, call.full)
    leave_out_profiles()
    make_folder(root / "results")
    folder = root / "results" / chosen.name
    asked = root / ".snakemake" / "listed.yaml" if call.listing else folder / "study.yaml"
    with alone(root / "results" / ".lock"):
        check_access([folder, *(config.store_dir(values).parent for values in chosen.of.values())], not call.listing)
        write_atomic(asked, yaml.safe_dump(call.given, sort_keys=False))
        if status := download_missing(chosen, call.listing):  # before Snakemake looks at the folders
            return status
        if not call.listing:
            if status := report_data(chosen):
                return status
            # Snakemake does not know the settings of runs that were made by hand.
            for run in study.runs_with_other_settings(chosen, root):
                (run / "metrics.json").unlink()
            end_future_times(chosen.name)
        events = Events()
        arguments = snakemake_arguments(call, chosen, asked)
        status = stoppable(lambda: snakemake(arguments, events))
        timing = measured(events) if status == 0 and events.jobs and not call.listing else {}
        if timing:
            write_json(folder / "timing.json", timing)
    tell(call, chosen, events, status, timing)
    return status


def with_device(call: Call, chosen: study.Study) -> tuple[Call, study.Study]:
    """Call and study as they are, where the device that they ask for computes. A dry run goes to the CPU without a GPU.

    Raises BadInput.
    """
    try:
        check_gpu(next(iter(chosen.of.values())))
    except BadInput as error:
        if not call.dry or call.given.get("device", "auto") != "auto":
            raise
        note(f"the dry run is on the CPU: {error}")
        call = dataclasses.replace(call, given={**call.given, "device": "cpu"})
        return call, study.plan(call.given)
    return call, chosen


def report_data(chosen: study.Study, check: bool = False, full: bool = False) -> int:
    """Says what is in the folders of data that are not synthetic, and what is wrong; returns the exit status."""

    def work() -> int:
        from s2igan.data import report  # imports torch

        status = 0
        for dataset, values in chosen.of.items():
            if dataset in config.SYNTHETIC:
                print(f"{dataset} is synthetic: drawn when it is needed\n" if check else "", end="")
                continue
            print(f"{dataset}, in {values.data_dir}")
            found = report.examine(values, full=full)
            print("".join(f"  {line}\n" for line in found.found), end="", flush=True)
            for line in report.listed(found.faults):
                print(f"error: {line}", file=sys.stderr)
                status = 2
        return status

    return stoppable(work) if check or any(name not in config.SYNTHETIC for name in chosen.of) else 0


def snakemake_arguments(call: Call, chosen: study.Study, plan_file: Path) -> list[str]:
    """The command line of Snakemake. No profile: one of the user's would make another study of it.

    An input counts as changed by its content, however large it is, not by its time.
    """
    arguments = ["--snakefile", "Snakefile", "--configfile", str(plan_file), "--cores", str(cores_of(call, chosen))]
    arguments += ["--rerun-incomplete", "--nolock", "--scheduler", "greedy", "--max-checksum-file-size", "100TB"]
    arguments += ["--profile", "none", "--workflow-profile", "none"]
    if gpus := visible_gpus():  # each run has its own (gpu_slots.py); what is more than there are, it says itself
        arguments += ["--resources", f"gpu={max(len(gpus), next(iter(chosen.of.values())).processes)}"]
    return arguments + (["--dry-run"] if call.listing else ["--quiet", "all"])


def tell(call: Call, chosen: study.Study, events: Events, status: int, timing: dict[str, Any]) -> None:
    """Prints what was or would be run, the tables, and where everything is."""
    if call.listing:
        print("".join(f"would run {job}\n" for job in events.jobs), end="")
    if status == 0 and not events.jobs:
        print("nothing to do: every run is up to date")
    if status == 0 and not call.listing:
        print_summary(chosen)
    if timing:
        print(f"peak memory         {timing['peak_memory_gib']:.1f} GiB, of one run ({timing['peak_memory_of']})")
    if call.dry and not call.listing:
        print("a dry run: none of its numbers means anything")


def download_missing(chosen: study.Study, listing: bool) -> int:
    """Completes the folders of public data sets; returns the exit status. LIST=1 DOWNLOAD=1 does nothing else."""
    of = {
        name: values for name, values in chosen.of.items()
        if name in config.DOWNLOADABLE and (values.download or not listing)
    }  # fmt: skip

    def work() -> int:
        from s2igan.data.sources import complete  # imports torch

        try:
            for dataset, values in of.items():
                complete(dataset, Path(values.data_dir).expanduser(), values.download)
        except BadInput as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        return 0

    return stoppable(work) if of else 0


def cores_of(call: Call, chosen: study.Study) -> int:
    """The cores of a study: as asked, else as many as this process may use and as the memory allows, which is said."""
    if call.cores:
        return call.cores
    values, cores, memory = next(iter(chosen.of.values())), usable_cores(), usable_memory()
    fitting = cores_for(values.preset, values.threads * values.processes, cores, memory)
    if fitting < cores:
        note(f"{memory / 2**30:.1f} GiB of memory: {fitting} of {cores} cores are used; CORES={cores} uses all")
    return fitting


def leave_out_profiles() -> None:
    """Takes Snakemake's variables out of this process's environment, and says so."""
    if names := sorted(name for name in os.environ if name.startswith("SNAKEMAKE_")):
        note(f"not used: {', '.join(names)}; a study has settings of its own")
        for name in names:
            del os.environ[name]


def note(line: str) -> None:
    """Says something that is no error, on stderr."""
    print(f"note: {line}", file=sys.stderr, flush=True)


class Events(logging.Handler):
    """Keeps which jobs Snakemake starts and why, where it measures them, its errors, and how many jobs failed."""

    def __init__(self) -> None:
        super().__init__()
        self.jobs: list[str] = []
        self.benchmarks: list[Path] = []
        self.errors: list[str] = []
        self.failed = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Called for each of Snakemake's messages."""
        event = str(getattr(record, "event", "")).lower()
        if event.endswith("job_info") and record.rule_name != "all":
            self.jobs.append(
                f"{record.rule_name} {' '.join(record.wildcards.values())} ({record.reason.split(':')[0]})"
            )
            if record.benchmark:
                self.benchmarks.append(Path(record.benchmark))
        self.failed += event.endswith("job_error")
        if record.levelno >= logging.ERROR:
            self.errors.append(record.getMessage())


def snakemake(arguments: list[str], events: Events) -> int:
    """Snakemake in this process, silent but for errors of its own: a notebook that fails has said why."""
    from snakemake import cli  # slow to import

    logging.getLogger("snakemake").addHandler(events)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            cli.main(arguments)  # notebooks are other processes and not redirected
    except SystemExit as end:
        if end.code and not events.failed:
            print(f"error: {in_one_line(events.errors)}", file=sys.stderr)
        return int(end.code or 0)
    except OSError as error:  # its own files in .snakemake
        print(f"error: cannot write {error.filename or '.snakemake'}: {error.strerror or error}", file=sys.stderr)
        return 2
    return 0


def in_one_line(errors: list[str]) -> str:
    """What Snakemake says of its errors, without the lines of code that they passed."""
    said = [error.strip().splitlines()[-1] if "Traceback (most" in error else error for error in errors]
    lines = [line.strip() for error in said for line in error.splitlines()]
    return one_line(" ".join(line for line in lines if line and not line.startswith("File ")))[:800]


def measured(events: Events) -> dict[str, Any]:
    """What the runs of this call took: how many there were, seconds since this process started, and the most memory
    that one of them held (with all its processes), by Snakemake's benchmark files."""
    peaks = [(peak_memory(path), path.parent.name) for path in events.benchmarks if path.is_file()]
    peak, largest = max(peaks, default=(0.0, ""))
    seconds = round(time.time() - psutil.Process().create_time(), 1)
    return {
        "runs": len(events.jobs), "seconds": seconds, "peak_memory_gib": round(peak, 2), "peak_memory_of": largest,
    }  # fmt: skip


def peak_memory(benchmark: Path) -> float:
    """GiB that a run and its processes held at most, by its benchmark file; 0 for one too short to be measured.

    Shared memory counts once where the system says how much it is (Linux: max_pss), else once for each process.
    """
    with open(benchmark, newline="", encoding="utf-8") as file:
        row = next(csv.DictReader(file, delimiter="\t"), {})
    sizes = [float(row[name]) for name in ("max_pss", "max_rss") if row.get(name, "").replace(".", "", 1).isdecimal()]
    return next((size for size in sizes if size), 0.0) / 1024


def print_summary(chosen: study.Study) -> None:
    """The table of each data set, and where figures and executed notebooks are."""
    for dataset, values in chosen.of.items():
        folder = config.run_dir(values, "analysis")
        print(f"\n{dataset}\n{read_text(folder / 'table.md').strip()}\n")
        figures = sorted(path.name for path in folder.iterdir() if path.suffix in (".png", ".svg", ".pdf"))
        print(f"figures             {folder}/" + (f"  ({', '.join(figures)})" if figures else ""))
        print(f"executed notebooks  {folder.parent}/*/*.ipynb")
    if chosen.tables:
        print(f"\ntables of the paper {config.run_dir(values, 'tables')}/")
