"""One study at a time in a folder, on file systems with and without locks."""

from __future__ import annotations

import contextlib
import errno
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import filelock

from s2igan import BadInput
from s2igan.files import UNWRITABLE, writing

# What flock says on a file system that has no locks: some network disks and containers.
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL, errno.EIO)


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Holds a lock on `path` until this process ends, however it ends. Raises BadInput if another study holds it, or
    if `path` cannot be written.

    Where the file system has no locks, a file beside it with this process's id counts, and is said; one that a process
    of this machine left behind when it was killed does not count.
    """
    with writing(path):
        lock = _locked(filelock.FileLock(path, blocking=False, fallback_to_soft=False))
        if lock is None:
            soft = path.with_name(f"{path.name}-file")
            print(f"note: no locks on the file system of {path.parent}: {soft.name} serves as one", file=sys.stderr)
            lock = _locked(filelock.SoftFileLock(soft, timeout=3))
    try:
        yield
    finally:
        lock.release()


def _locked(lock: filelock.BaseFileLock) -> filelock.BaseFileLock | None:
    """`lock`, held; None where the file system has none of its kind."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            lock.acquire()
        except filelock.Timeout:
            raise BadInput(
                f"another study is running in this folder: wait for it or stop it ({lock.lock_file} says so)"
            ) from None
        except OSError as error:
            if error.errno in NO_LOCKS and isinstance(lock, filelock.UnixFileLock):
                return None
            if error.errno in UNWRITABLE:
                raise
            raise BadInput(f"cannot lock {lock.lock_file}: {error.strerror or error}") from None
    return lock
