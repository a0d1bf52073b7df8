"""Times of files: content decides what is run again, and a clock that is ahead deletes no result."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

from s2igan import BadInput
from s2igan.files import file_sha256, read_json, write_atomic

KNOWN = Path("results/.digests.json")  # checksums of files by path, with the size and time for which they hold


def end_future_times(study: str, root: str | Path = ".") -> None:
    """Sets files of a study that are from the future, by a network disk's clock or a touch, to now.

    Snakemake would take a run whose input is newer than what it just wrote for failed, and delete that.
    """
    root, now = Path(root), time.time()
    places = [root.glob(f"data/{study}/*/*"), root.glob(f"results/{study}/**/*"), root.glob("notebooks/*.ipynb")]
    for path in (path for found in places for path in found):
        with contextlib.suppress(OSError):  # gone, or another user's
            if path.stat().st_mtime > now:
                os.utime(path)


def folder_digest(folder: str, known: Path = KNOWN) -> str:
    """Changes when a file below `folder` is added, removed, renamed or gets another content; '' for no folder.

    Hidden files do not count. Only files that are new or have another size or time than in `known` are read.
    """
    if not folder:
        return ""
    top, digest = os.path.expanduser(folder), hashlib.sha256()
    before = _known(known)
    rows = dict(before)
    for where, folders, names in os.walk(top):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(name for name in names if not name.startswith(".")):
            path = os.path.join(where, name)
            digest.update(os.fsencode(f"{os.path.relpath(path, top)} {_checksum(path, rows)}\n"))
    if rows != before:
        with contextlib.suppress(BadInput):  # read again next time
            write_atomic(known, json.dumps(rows))
    return digest.hexdigest()


def _known(path: Path) -> dict[str, Any]:
    with contextlib.suppress(BadInput):
        rows = read_json(path)
        return rows if isinstance(rows, dict) else {}
    return {}


def _checksum(path: str, rows: dict[str, Any]) -> str:
    """The checksum of a file, from `rows` where it holds, else read and put there."""
    key = os.path.abspath(path)
    try:
        state = os.stat(path)
        row = rows.get(key)
        if isinstance(row, list) and row[:2] == [state.st_size, state.st_mtime_ns] and len(row) == 3:
            return str(row[2])
        rows[key] = [state.st_size, state.st_mtime_ns, file_sha256(path)]
    except OSError as error:  # a link to nothing, no right to read
        return str(error.strerror)
    return rows[key][2]
