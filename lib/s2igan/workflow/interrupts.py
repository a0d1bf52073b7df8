"""Ctrl-C and kill end a study and all that it started at once."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable

import psutil


def stoppable(work: Callable[[], int]) -> int:
    """Runs `work` in a thread, so that Ctrl-C and kill end this process and all that it started at once.

    Snakemake would let running jobs finish, and nbclient would wait for its kernel. What is cut off resumes from its
    checkpoint. Returns and raises what `work` does.
    """
    status: list[int] = []
    raised: list[BaseException] = []

    def attempt() -> None:
        try:
            status.append(work())
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=attempt, daemon=True)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # as nohup sets it
            signal.signal(number, lambda number, _: stop(128 + number, "stopped: the next call resumes from here"))
    thread.start()
    thread.join()
    if raised:
        raise raised[0]
    return status[0]


def end_with(main: Callable[[], int]) -> None:
    """Ends this process with the exit status that `main` returns, or 1 where it raises an error.

    A failure ends it at once: threads and sockets that are left could keep it waiting, and all that waits for it.
    """
    try:
        status = main()
    except Exception:
        traceback.print_exc()
        status = 1
    if status:
        sys.stdout.flush()
        sys.stderr.flush()
        stop(status)
    sys.exit(0)


def stop(status: int, message: str = "") -> None:
    """Ends this process and all that it started."""
    if message and sys.stderr.isatty():
        print(message, file=sys.stderr, flush=True)
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
    os._exit(status)


def stop_after(parent: int) -> None:
    """Waits for a process to end, then stops. A study that is killed would otherwise leave its notebooks running."""
    with contextlib.suppress(psutil.NoSuchProcess):
        while psutil.Process(parent).status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.5)
    stop(1)
