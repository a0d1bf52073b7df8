"""Worker processes of the data stage, which end when the process that started them does."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

# torch is imported where it is used: processes that draw do without, and start at once.


@contextmanager
def worker_pool(workers: int) -> Iterator[ProcessPoolExecutor | None]:
    """A pool of processes; for one worker None, and the work is done in this process."""
    import torch

    threads, pool = torch.get_num_threads(), None
    if workers == 1:
        torch.set_num_threads(1)
    else:
        # Forked from a server that has imported torch once and runs no threads: safer than a fork of a notebook, and
        # quicker than an import in each.
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["s2igan.data.build", "s2igan.speech"])
        pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_begin)
    try:
        yield pool
    except BrokenProcessPool:
        raise RuntimeError(
            'worker processes died: out of memory, or build_store was called outside `if __name__ == "__main__":`'
        ) from None
    finally:
        torch.set_num_threads(threads)
        if pool is not None:
            pool.shutdown(cancel_futures=True)


def _begin() -> None:
    import torch

    torch.set_num_threads(1)  # as many processes as cores; and one order of summation
    end_with_parent()


def end_with_parent() -> None:
    """Ends this worker process as soon as the one that started it is no more; by itself it would wait for work for
    ever, since every worker holds both ends of the pipe that work comes by."""

    def wait() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
