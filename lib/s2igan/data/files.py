"""Files that are whole or absent, and the project's root."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from s2igan import BadInput


def project_root(start: str | Path = ".") -> Path:
    """The folder with the Snakefile, at or above `start`.

    Notebooks opened by hand run in notebooks/, rules in the root. Raises BadInput where there is none.
    """
    start = Path(start).resolve()
    for folder in (start, *start.parents):
        if (folder / "Snakefile").is_file():
            return folder
    raise BadInput(f"no Snakefile in {start} or above: call this in the project's folder")


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`, renamed to it when the block ends well and deleted when it does not.

    The temporary name keeps the suffix, since numpy, Pillow and matplotlib choose their format by it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
            raise BadInput(f"cannot write {path}: {os.strerror(error.errno)}") from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_atomic(path: str | Path, content: str | bytes) -> None:
    """Writes `content` to `path`, which afterwards holds all of it or what it held before."""
    with replacing(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def write_json(path: str | Path, value: Any) -> None:
    """Writes `value` as indented JSON, whole or not at all."""
    write_atomic(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def file_sha256(path: str | Path) -> str:
    """Checksum of a file's content: part of a fingerprint when a run depends on what another run wrote."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
