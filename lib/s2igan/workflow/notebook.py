"""One notebook, run with papermill in a process of its own."""

from __future__ import annotations

import logging
import resource
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import yaml

from s2igan import BadInput, config
from s2igan.files import write_atomic
from s2igan.workflow.environment import kernel_environment, replace_environment
from s2igan.workflow.interrupts import stop_after, stoppable


class Lines:
    """A text file that shows what is written to it as whole lines with a label before each."""

    def __init__(self, label: str) -> None:
        self.label, self.rest = label, ""

    def write(self, text: str) -> None:
        """Prints the lines that `text` completes."""
        *lines, self.rest = (self.rest + text).split("\n")
        for line in lines:
            print(f"[{self.label}] {line}", flush=True)

    def flush(self) -> None:
        """Lines are printed as they come."""


def run_notebook(
    notebook: Path, out: Path, parameters: dict[str, Any], label: str = "", parent: int | None = None
) -> int:
    """Executes a notebook with papermill; its error, if any, is one line on stderr. Returns the exit status.

    Args:
        out: the executed notebook; params.yaml is written beside it.
        label: stands before each printed line; by default the name of the folder of `out`.
        parent: id of a process; when that ends, this one stops too.
    Raises: BadInput for a missing notebook or wrong parameters, before a kernel starts.
    """
    if not notebook.is_file():
        raise BadInput(f"notebook {notebook} does not exist")
    settings = config.resolve(parameters)
    write_atomic(out.parent / "params.yaml", yaml.safe_dump(parameters, sort_keys=False))
    replace_environment(kernel_environment(settings.threads))
    if parent:
        threading.Thread(target=stop_after, args=[parent], daemon=True).start()
    return stoppable(lambda: execute(notebook, out, parameters, label or out.parent.name))


def execute(notebook: Path, out: Path, parameters: dict[str, Any], label: str) -> int:
    """papermill.execute_notebook with plain lines. Returns the exit status."""
    warnings.simplefilter("ignore")
    import papermill  # slow to import
    from nbclient.exceptions import DeadKernelError

    for name in ("papermill", "traitlets"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    papermill.iorw.LocalHandler.write = lambda _, text, path: write_atomic(path, text)  # its own would leave a half
    started = time.monotonic()
    lines = Lines(label)
    lines.write("started\n")
    for attempt in (1, 2, 3):
        try:
            papermill.execute_notebook(
                str(notebook), str(out), parameters=parameters, kernel_name="python3", language="python",
                progress_bar=False, stdout_file=lines,
                # A history of what ran is kept nowhere: it would fill, and wait for, a file in the user's home.
                extra_arguments=["--log-level=CRITICAL", "--HistoryManager.enabled=False"],
            )  # fmt: skip
        except papermill.PapermillExecutionError as error:
            if error.ename == "BadInput":
                print(f"error: {error.evalue}", file=sys.stderr)
            else:
                print(f"error: {error.ename}: {str(error.evalue).strip()} ({label}: see {out})", file=sys.stderr)
            return 1
        except DeadKernelError:
            print(f"error: the process of {label} was killed, perhaps for lack of memory; see {out}", file=sys.stderr)
            return 1
        except (BadInput, OSError) as error:  # the disk is full, or a file is gone
            print(f"error: {error} ({label})", file=sys.stderr)
            return 1
        except RuntimeError as error:  # two kernels that start at once may pick the same port
            if "before replying to kernel_info" not in str(error) or attempt == 3:
                raise
        else:
            break
    lines.write(f"done in {time.monotonic() - started:.0f} s, at most {children_memory():.1f} GiB of memory\n")
    return 0


def children_memory() -> float:
    """GiB that the largest finished child process had at most."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
