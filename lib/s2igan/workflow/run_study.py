"""A study, run with Snakemake."""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import logging
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import yaml

from s2igan import BadInput, config
from s2igan.data.download import complete
from s2igan.data.files import project_root
from s2igan.workflow import study
from s2igan.workflow.interrupts import stoppable
from s2igan.workflow.notebook import peak_memory


def run_study(words: list[str], full: bool) -> int:
    """Checks what was given, runs Snakemake, and shows the tables and where everything is."""
    given = read_words(words)
    cores, listing, dry = given.pop("cores", None), is_on(given.pop("list", 0)), is_on(given.pop("dry", 0))
    if cores is not None and not (cores.isdecimal() and int(cores)):
        raise BadInput(f"parameter 'cores' is {cores!r}: it must be a whole number from 1 on")
    if "params" in given:
        given = {**study.in_plural(config.from_yaml(given.pop("params"))), **given}
    given = {**(study.DEFAULTS_FULL if full else study.DEFAULTS), **(study.DRY if dry else {}), **given}
    if dry:  # in a folder of its own, beside the real study
        given["study"] = f"{given.get('study') or given.get('preset') or 'mini'}-dry"
    chosen = study.plan(given)
    study.check_folders(chosen)
    root = project_root()
    os.chdir(root)
    plan_file = root / "results" / chosen.name / "study.yaml"  # what Snakemake reads, and a record of the last call
    plan_file.parent.mkdir(parents=True, exist_ok=True)
    with alone(root / "results" / ".lock"):
        plan_file.write_text(yaml.safe_dump(given, sort_keys=False))
        # Before Snakemake looks at the folders. LIST=1 DOWNLOAD=1 does nothing else.
        fetching = {name: values for name, values in chosen.of.items() if name in config.DOWNLOADABLE and (values.download or not listing)}
        if fetching and (status := stoppable(lambda: fetch_all(fetching))):
            return status
        if not listing:
            # Snakemake knows the settings of the runs that it made, not of those made by hand.
            for folder in study.runs_with_other_settings(chosen, root):
                (folder / "metrics.json").unlink()
        arguments = ["--snakefile", "Snakefile", "--configfile", str(plan_file), "--cores", cores or str(usable_cores())]
        arguments += ["--rerun-incomplete", "--nolock", "--scheduler", "greedy"]
        if any(Path("/dev").glob("nvidia[0-9]*")):  # one run after the other on the GPUs, which all would share otherwise
            arguments += ["--resources", f"gpu={next(iter(chosen.of.values())).processes}"]
        arguments += ["--dry-run"] if listing else ["--quiet", "all"]
        events, memory = Events(), Memory()
        status = stoppable(lambda: snakemake(arguments, events))
        if status == 0 and events.jobs and not listing:
            took = {"runs": len(events.jobs), "seconds": round(time.time() - psutil.Process().create_time(), 1),
                    "peak_memory_gib": round(memory.peak / 2**30, 2)}  # fmt: skip
            (plan_file.parent / "timing.json").write_text(json.dumps(took, indent=1) + "\n")
    if listing:
        print("".join(f"would run {job}\n" for job in events.jobs), end="")
    if status == 0 and not events.jobs:
        print("nothing to do: every run is up to date")
    if status == 0 and not listing:
        print_summary(chosen)
        if events.jobs:
            print(f"peak memory         {peak_memory():.1f} GiB, of one run")
    if dry and not listing:
        print("a dry run: of its figures none means anything")
    return status


def fetch_all(of: dict[str, config.Settings]) -> int:
    """Completes the folders of public data sets; returns the exit status."""
    try:
        for dataset, values in of.items():
            complete(dataset, Path(values.data_dir).expanduser(), values.download)
    except BadInput as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def is_on(value: Any) -> bool:
    """Whether a switch such as DRY is on: 1, yes and true are; 0, no, false and nothing are not."""
    return str(value).lower() not in ("", "0", "no", "false")


def read_words(words: list[str]) -> dict[str, Any]:
    """NAME=value, or NAME whose value the environment holds."""
    given = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            if name not in os.environ:
                raise BadInput(f"{word!r} is no NAME=value")
            value = os.environ[name]
        given[name] = value
    return study.in_plural(given)


def usable_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Events(logging.Handler):
    """Keeps which jobs Snakemake starts and why, what it reports as errors, and how many jobs failed."""

    def __init__(self) -> None:
        super().__init__()
        self.jobs: list[str] = []
        self.errors: list[str] = []
        self.failed = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Called for each of Snakemake's messages."""
        event = str(getattr(record, "event", "")).lower()
        if event.endswith("job_info") and record.rule_name != "all":
            self.jobs.append(f"{record.rule_name} {' '.join(record.wildcards.values())} ({record.reason.split(':')[0]})")
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
            print("error: " + "\n".join(events.errors), file=sys.stderr)
        return int(end.code or 0)
    return 0


class Memory(threading.Thread):
    """Looks each second how many bytes this process and all below it hold together, and keeps the most.

    What they share, such as torch's code, is counted once (Linux: proportional set size); elsewhere it counts for each of them.
    """

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak = 0
        self.start()

    def run(self) -> None:
        """Until the process ends."""
        while True:
            total = 0
            for process in (psutil.Process(), *psutil.Process().children(recursive=True)):
                with contextlib.suppress(psutil.NoSuchProcess):
                    total += held_by(process)
            self.peak = max(self.peak, total)
            time.sleep(1)


def held_by(process: psutil.Process) -> int:
    """Bytes of one process: its proportional share where the system says it, else all that it has in memory."""
    try:
        held = process.memory_full_info()
    except psutil.AccessDenied:
        held = process.memory_info()
    return getattr(held, "pss", held.rss)


def print_summary(chosen: study.Study) -> None:
    """The table of each data set, and where figures and executed notebooks are."""
    for dataset, values in chosen.of.items():
        folder = config.run_dir(values, "analysis")
        print(f"\n{dataset}\n{(folder / 'table.md').read_text().strip()}\n")
        figures = sorted(path.name for path in folder.iterdir() if path.suffix in (".png", ".svg", ".pdf"))
        print(f"figures             {folder}/" + (f"  ({', '.join(figures)})" if figures else ""))
        print(f"executed notebooks  {folder.parent}/*/*.ipynb")
    if chosen.tables:
        print(f"\ntables of the paper {config.run_dir(values, 'tables')}/")


@contextlib.contextmanager
def alone(path: Path):
    """Holds a lock on `path`, which ends with this process however that ends. Raises BadInput if another study holds it."""
    with open(path, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise BadInput("another study is running in this folder: wait for it or stop it") from None
        yield
