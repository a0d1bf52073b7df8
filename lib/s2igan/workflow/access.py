"""Whether this user may read and write what a study reads and writes."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from s2igan import BadInput


def check_access(folders: Iterable[Path], writes: bool = True) -> None:
    """Raises BadInput for the first file in `folders` that may not be read, and for the first folder in which nothing
    may be read or, where the study `writes`, written.

    Snakemake finds that out between two runs. Folders of drawn images are left out: they are made again.
    """
    for folder in folders:
        _check(folder, writes)
        for inside, names, files in os.walk(folder):
            names[:] = [name for name in names if not name.endswith(".drawn")]
            for name in (*names, *files):
                _check(Path(inside, name), writes)


def _check(path: Path, writes: bool) -> None:
    if not os.path.exists(path):
        return
    kind, rights, what = "file", os.R_OK, "read"
    if os.path.isdir(path):
        kind, rights = "folder", os.R_OK | os.X_OK | (os.W_OK if writes else 0)
        what = "read and written" if writes else "read"
    if not os.access(path, rights):
        raise BadInput(f"{kind} {path} may not be {what}: give yourself the right to (chmod u+rwX), or delete it")
