"""Files of public data sets: downloaded, checked and unpacked.

`complete` is all that the data stage calls: afterwards a folder holds a data set in its official layout, made from
folders or archives that lie there, and on request from the network.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import platform
import shutil
import tarfile
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from s2igan import BadInput
from s2igan.config import quoted


@dataclass(frozen=True)
class Remote:
    """A file to download."""

    name: str
    urls: tuple[str, ...]  # mirrors, tried in order
    md5: str | None  # None where its publisher gives none
    megabytes: int  # about
    makes: str  # what must be in the data folder afterwards; an archive is unpacked
    keep: tuple[str, ...] = ()  # endings of the files that are unpacked
    page: str = ""  # where a person finds it


def captions_of_reed(makes: str, file_id: str, megabytes: int) -> Remote:
    """The captions of Reed et al. for one data set."""
    url = f"https://drive.usercontent.google.com/download?id={file_id}&export=download&confirm=t"
    page = "https://github.com/reedscot/cvpr2016"
    return Remote(f"{makes}.tar.gz", (url,), None, megabytes, makes, (".txt",), page)


_WRONG = "wrong checksum"


def complete(
    remotes: tuple[Remote, ...], folder: Path, downloads: bool = False, progress: Callable[[str], None] = print
) -> None:
    """Makes `folder` hold what each of `remotes` becomes.

    What is there already is left as it is; an archive that lies there is unpacked beside itself; what is missing then
    is downloaded, if `downloads`. A second call resumes where the first was stopped: with part of a download, or an
    archive that was not unpacked to its end.
    Raises BadInput when a file cannot be downloaded (what to get, where from, where to put it), has a wrong checksum,
        or is damaged; for an archive that would write outside the folder or holds links; for a full disk.
    """
    for remote in remotes:
        if (folder / remote.makes).exists():
            continue
        file = folder / remote.name
        if not file.is_file():
            if not downloads:
                continue  # the layout's reader names what is missing
            fetch(remote, folder, progress)
        elif remote.md5 and _md5(file) != remote.md5:
            raise BadInput(
                f"archive {file} is not the published one (its MD5 is not {remote.md5}): "
                "delete it and download it again"
            )
        if remote.makes != remote.name:
            progress(f"unpacking {file}")
            unpack(file, folder, remote.makes, remote.keep)


def fetch(remote: Remote, folder: Path, progress: Callable[[str], None] = print) -> None:
    """Downloads `remote` into `folder`, whole or as `<name>.part`, from which the next call resumes.

    Raises BadInput as `complete`.
    """
    part, reasons = folder / f"{remote.name}.part", []
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"cannot make the data folder {folder}: {error.strerror}") from None
    have = part.stat().st_size if part.exists() else 0
    if shutil.disk_usage(folder).free < remote.megabytes * 1e6 - have:
        raise BadInput(f"not enough disk for {folder / remote.name}: it needs about {remote.megabytes} MB")
    for url in remote.urls:
        for _ in range(2):  # a wrong checksum may come of the start of another version: once more, all of it
            failed = _failure(remote, url, part, progress)
            if failed is None:
                part.replace(folder / remote.name)
                return
            reasons.append(f"{url.split('/')[2]}: {failed}")
            if failed != _WRONG:
                break
    raise BadInput(
        f"{remote.name} could not be downloaded ({'; '.join(reasons)}): get it by hand ({remote.megabytes} MB, "
        f"{remote.page}) and put it into {folder}"
    )


def _failure(remote: Remote, url: str, part: Path, progress: Callable[[str], None]) -> str | None:
    """Downloads `url` to `part`; None if that is the file, else why not. What is wrong in content is deleted."""
    import requests  # here, since every process of a study imports this module

    try:
        _stream(url, part, remote.name, progress)
    except requests.RequestException as error:
        return type(error).__name__
    except OSError as error:
        raise BadInput(f"cannot write {part}: {os.strerror(error.errno or 0)}") from None
    if remote.md5 is None:
        failed = None if _is_archive(part) else "sent a page in place of the file"
    else:
        failed = None if _md5(part) == remote.md5 else _WRONG
    if failed:
        part.unlink()
    return failed


def _stream(url: str, part: Path, name: str, progress: Callable[[str], None]) -> None:
    """Appends what `part` lacks of `url`, with a bar on a terminal, elsewhere a line of progress every 10 seconds."""
    import requests
    from tqdm import tqdm

    have = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with requests.get(url, headers=headers, stream=True, timeout=30) as response:
        if have and response.status_code == 416:  # nothing is left to send
            return
        response.raise_for_status()
        if response.headers.get("Content-Type", "").startswith("text/html"):
            raise requests.RequestException(f"{url} sent a page in place of the file")
        if response.status_code != 206:  # this server does not send parts
            have = 0
        total = have + int(response.headers.get("Content-Length", 0))
        started = last = time.monotonic()
        begun_at = have
        bar = tqdm(total=total or None, initial=have, unit="B", unit_scale=True, desc=name, disable=None)
        with bar, open(part, "ab" if have else "wb") as file:
            for block in response.iter_content(1 << 16):
                file.write(block)
                bar.update(len(block))
                have += len(block)
                if bar.disable and (now := time.monotonic()) - last > 10:
                    last = now
                    progress(_line_of_progress(name, have, total, (have - begun_at) / (now - started)))
    if total and have < total:
        raise requests.ConnectionError(f"{url} sent {have} of {total} bytes")


def _line_of_progress(name: str, have: int, total: int, rate: float) -> str:
    left = f", ~{(total - have) / rate / 60:.0f} min left" if total > have else ""
    return f"{name}: {have / 1e6:.0f} of {total / 1e6:.0f} MB, {rate / 1e6:.1f} MB/s{left}"


def unpack(archive: Path, folder: Path, makes: str, keep: tuple[str, ...]) -> None:
    """Unpacks what lies below `makes` in a tar archive to `folder/makes`, whole or not at all.

    Of the files those that end in one of `keep`.

    Raises BadInput for a Python without tarfile's data filter, a path that leaves the folder, a link or a device, a
        damaged archive, one without `makes`, a full disk.
    """
    if not hasattr(tarfile, "data_filter"):  # as Python 3.11.2 of Debian 12
        version = platform.python_version()
        raise BadInput(
            f"Python {version} cannot unpack {archive} safely: use 3.11.4 or newer, or unpack it yourself"
        )
    building = folder / f"{makes}.unpacking"
    shutil.rmtree(building, ignore_errors=True)
    try:
        with gzip.open(archive) as packed, tarfile.open(fileobj=_Ending(packed), mode="r|") as tar:
            found = [_unpack_one(tar, member, building, makes, keep) for member in tar]
            while packed.read(1 << 20):  # to the end, where the checksum stands: damage may look like an early end
                pass
        if not any(found):
            raise BadInput(f"it has no folder {makes}")
        building.rename(folder / makes)
    except BadInput as error:
        raise BadInput(f"archive {archive} is not the published one: {error}") from None
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, ValueError, OverflowError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0][:200]  # tarfile lets those of int() through
        raise BadInput(f"archive {archive} is damaged ({reason}): delete it and download it again") from None
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else error
        raise BadInput(f"cannot unpack {archive} into {folder}: {reason}") from None
    finally:
        shutil.rmtree(building, ignore_errors=True)


class _Ending:
    """A file that refuses to be read beyond its end for ever, as tarfile would where a header states an absurd size."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.empty = file, 0

    def read(self, size: int) -> bytes:
        content = self.file.read(size)
        self.empty += not content
        if self.empty > 100:
            raise EOFError("a header states more than there is")
        return content


def _unpack_one(
    tar: tarfile.TarFile, member: tarfile.TarInfo, building: Path, makes: str, keep: tuple[str, ...]
) -> bool:
    """Writes one member into `building`, if it is one of those wanted."""
    path = PurePosixPath(member.name)
    wanted = makes in path.parts[:-1] and path.name.endswith(keep) and not path.name.startswith("._")
    if member.isdir() or not wanted:
        return False
    if not member.isfile():  # the filter below would let links within the folder pass
        raise BadInput(f"it holds a link or a device ({quoted(member.name)})")
    below = PurePosixPath(*path.parts[path.parts.index(makes) + 1 :])
    try:
        tar.extract(member.replace(name=str(below), deep=False), building, filter="data")
    except tarfile.FilterError:
        raise BadInput(f"it would write outside its folder ({quoted(member.name)})") from None
    return True


def _md5(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _is_archive(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(2) == b"\x1f\x8b"  # gzip
