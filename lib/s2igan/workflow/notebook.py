"""One notebook, run with papermill in a process of its own."""

from __future__ import annotations

import contextlib
import logging
import os
import resource
import shutil
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import yaml

from s2igan import BadInput, config
from s2igan.files import read_bytes, read_json, write_atomic
from s2igan.reporting.text import one_line
from s2igan.workflow.environment import kernel_environment, own_folder, replace_environment, temporary_folder
from s2igan.workflow.gpu_slots import gpus_of_its_own
from s2igan.workflow.interrupts import stop_after, stoppable
from s2igan.workflow.timestamps import end_future_times

# A kernel keeps no history, whose data base network disks may refuse to lock, and does not import what lies beside it.
KERNEL = ["--log-level=CRITICAL", "--HistoryManager.enabled=False", "--InteractiveShellApp.ignore_cwd=True"]
START = 300  # seconds that a kernel may take to start, on a machine that is busy


class Lines:
    """A text file that shows what is written to it as whole lines with a label before each."""

    def __init__(self, label: str) -> None:
        self.label, self.rest = "".join(sign if sign.isprintable() else "?" for sign in label), ""

    def write(self, text: str) -> None:
        """Prints the lines that `text` completes."""
        *lines, self.rest = (self.rest + text).split("\n")
        for line in lines:
            print(f"[{self.label}] {one_line(line)}", flush=True)

    def flush(self) -> None:
        """Lines are printed as they come."""


def run_notebook(
    notebook: Path, out: Path, parameters: dict[str, Any], label: str = "", parent: int | None = None, gpus: int = 0
) -> int:
    """Executes a notebook with papermill; its error, if any, is one line on stderr. Returns the exit status.

    Args:
        out: the executed notebook; params.yaml is written beside it.
        label: stands before each printed line; by default the name of the folder of `out`.
        parent: id of a process; when that ends, this one stops too.
        gpus: how many GPUs it takes for itself where there are more.
    Raises: BadInput for a missing or damaged notebook, an `out` that cannot be written, or wrong parameters, before a
        kernel starts.
    """
    check_notebook(notebook)
    check_out(out, notebook)
    settings = config.resolve(parameters)
    write_atomic(out.parent / "params.yaml", yaml.safe_dump(parameters, sort_keys=False))
    if parent:
        threading.Thread(target=stop_after, args=[parent], daemon=True).start()

    def work() -> int:
        with gpus_of_its_own(gpus):
            replace_environment(kernel_environment(settings.threads))
            return execute(notebook, out, parameters, label or out.parent.name)

    status = stoppable(work)
    end_future_times(settings.study)  # Snakemake compares them now
    return status


def check_notebook(path: Path) -> None:
    """Raises BadInput unless `path` is a notebook of Python that papermill can run."""
    if not path.exists():
        raise BadInput(f"notebook {path} does not exist")
    content = read_json(path)
    if not isinstance(content, dict) or not {"cells", "nbformat"} & content.keys():
        raise BadInput(f"file {path} is no notebook: it has no cells")
    if not read_bytes(path).lstrip().startswith(b"{"):
        raise BadInput(f"notebook {path} is not in UTF-8 alone: open it in Jupyter and save it")
    version, minor = content.get("nbformat"), content.get("nbformat_minor", 0)
    if type(version) is not int or version != 4:
        version = config.quoted(version)
        raise BadInput(f"notebook {path} is of nbformat {version}: open it in Jupyter and save it, as nbformat 4")
    if type(minor) is not int or not 0 <= minor < 1000:
        raise BadInput(f"file {path} is no whole notebook: its nbformat_minor is {config.quoted(minor)}")
    from nbformat import ValidationError, validate

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a cell without an id
            validate(content)
    except (ValidationError, ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise BadInput(f"file {path} is no whole notebook: {' '.join(str(error).split())[:200]}") from None
    for part in (content, *content["cells"]):
        if not isinstance(part["metadata"].get("papermill", {}), dict):  # papermill writes into it
            raise BadInput(f"file {path} is no whole notebook: metadata named 'papermill' is no mapping")
    kernel, language = (content["metadata"].get(name, {}) for name in ("kernelspec", "language_info"))
    spoken = str(kernel.get("language") or language.get("name") or "python")
    if spoken.lower() not in ("python", "ipython", "python3"):
        raise BadInput(f"notebook {path} is written in {config.quoted(spoken)}: only Python is run here")


def check_out(out: Path, notebook: Path) -> None:
    """Raises BadInput if `out` cannot be the executed notebook."""
    try:
        if out.is_dir() or out.suffix != ".ipynb":
            raise BadInput(f"--out is {out}: it must be the name of an .ipynb file")
        if len(os.fsencode(out.name)) > 200:
            raise BadInput(f"--out is {config.quoted(out.name)}: that is too long a name")
        if out.exists() and out.samefile(notebook):
            raise BadInput(f"--out is {out}: that is the notebook itself")
    except (OSError, ValueError) as error:
        raise BadInput(f"--out is {config.quoted(str(out))}: {getattr(error, 'strerror', None) or error}") from None


def execute(notebook: Path, out: Path, parameters: dict[str, Any], label: str) -> int:
    """papermill.execute_notebook with plain lines. Returns the exit status."""
    warnings.simplefilter("ignore")
    import papermill  # slow to import
    from nbclient.exceptions import DeadKernelError
    from traitlets.config import Config

    for name in ("papermill", "traitlets"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    papermill.iorw.LocalHandler.write = lambda _, text, path: write_atomic(path, text)  # its own would leave a half
    started = time.monotonic()
    lines = Lines(label)
    lines.write("started\n")
    # In files: two kernels that start at once may pick the same TCP port.
    with sockets_folder(temporary_folder(os.environ)) as sockets:
        transport = Config(KernelManager={"transport": "ipc", "ip": f"{sockets}/kernel"})
        try:
            papermill.execute_notebook(
                verbatim(notebook), verbatim(out), parameters=parameters, kernel_name="python3", language="python",
                progress_bar=False, stdout_file=lines, extra_arguments=KERNEL, start_timeout=START, config=transport,
            )  # fmt: skip
        except papermill.PapermillExecutionError as error:
            if error.ename == "BadInput":
                print(f"error: {one_line(str(error.evalue))}", file=sys.stderr)
            else:
                said = one_line(" ".join(str(error.evalue).split()))[:500]
                print(f"error: {error.ename}: {said} ({label}: see {out})", file=sys.stderr)
            return 1
        except DeadKernelError:
            print(f"error: the process of {label} was killed, perhaps for lack of memory; see {out}", file=sys.stderr)
            return 1
        except (BadInput, OSError, RuntimeError) as error:  # the disk is full, a file is gone, no kernel starts
            print(f"error: {one_line(str(error))} ({label})", file=sys.stderr)
            return 1
    lines.write(f"done in {time.monotonic() - started:.0f} s, at most {children_memory():.1f} GiB of memory\n")
    return 0


@contextlib.contextmanager
def sockets_folder(temporary: str) -> Iterator[Path]:
    """A folder below `temporary` for the sockets of this process's kernel; those that killed processes left go."""
    folder = own_folder(temporary) / "kernels"
    for left in folder.glob("*"):
        if left.name.isdecimal() and not psutil.pid_exists(int(left.name)):
            shutil.rmtree(left, ignore_errors=True)
    made = folder / str(os.getpid())
    made.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def verbatim(path: Path) -> str:
    """`path` as papermill takes it, which puts parameters in place of {names}."""
    return str(path).replace("{", "{{").replace("}", "}}")


def children_memory() -> float:
    """GiB that the largest finished child process had at most."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
