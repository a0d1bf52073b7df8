"""The public data sets CUB-200-2011 and Oxford-102: where their files are, how they are fetched, checked and unpacked.

`complete` is all that the data stage calls: it makes sure that a folder holds a data set in its official layout, from what lies there,
folders or archives, and on request from the network.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import tarfile
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from s2igan import BadInput


@dataclass(frozen=True)
class Remote:
    """A file to fetch: its mirrors in order, its MD5 (None where its publisher gives none), about how large it is, and what it becomes.

    `makes`: what must be in the data folder afterwards; an archive is unpacked, of it the files that end in one of `keep`.
    """

    name: str
    urls: tuple[str, ...]
    md5: str | None
    megabytes: int
    makes: str
    keep: tuple[str, ...] = ()
    page: str = ""  # where a person finds it


def _drive(file_id: str) -> str:
    return f"https://drive.usercontent.google.com/download?id={file_id}&export=download&confirm=t"


_CALTECH = "https://data.caltech.edu/records/65de6-vp158"
_VGG = "https://www.robots.ox.ac.uk/~vgg/data/flowers/102"
_REED = "https://github.com/reedscot/cvpr2016"
REMOTES: dict[str, tuple[Remote, ...]] = {
    "cub": (
        Remote(
            "CUB_200_2011.tgz", (f"{_CALTECH}/files/CUB_200_2011.tgz?download=1", f"{_CALTECH}/files/CUB_200_2011.tgz"),
            "97eceeb196236b17998738112f37df78", 1150, "CUB_200_2011", (".jpg", ".txt"), _CALTECH,
        ),
        Remote(
            "cvpr2016_cub.tar.gz", (_drive("0B0ywwgffWnLLZW9uVHNjb2JmNlE"),), None, 900, "cvpr2016_cub", (".txt",), _REED,
        ),
    ),
    "oxford": (
        Remote("102flowers.tgz", (f"{_VGG}/102flowers.tgz",), "52808999861908f626f3c1f4e79d11fa", 345, "jpg", (".jpg",), _VGG),
        Remote("imagelabels.mat", (f"{_VGG}/imagelabels.mat",), "e0620be6f572b9609742df49c70aed4d", 1, "imagelabels.mat", (), _VGG),
        Remote("setid.mat", (f"{_VGG}/setid.mat",), "a5357ecc9cb78c4bef273ce3793fc85c", 1, "setid.mat", (), _VGG),
        Remote(
            "cvpr2016_flowers.tar.gz", (_drive("0B0ywwgffWnLLcms2WWJQRFNSWXM"),), None, 600, "cvpr2016_flowers", (".txt",), _REED,
        ),
    ),
}  # fmt: skip


def complete(dataset: str, folder: str | Path, download: bool = False, progress: Callable[[str], None] = print) -> None:
    """Makes `folder` hold `dataset` in its official layout. What is there already is left as it is; an archive that lies there is
    unpacked beside itself; what is missing then is fetched, if `download`. Other data sets than cub and oxford are left alone.

    A second call goes on where the first was stopped: with half a download, or an archive that was not unpacked to its end.
    Raises: BadInput when a file cannot be fetched (what to get, where from, where to put it), has a wrong checksum, or is damaged; for an
        archive that would write outside the folder or holds links; for a full disk.
    """
    folder = Path(folder)
    for remote in REMOTES.get(dataset, ()):
        if (folder / remote.makes).exists():
            continue
        file = folder / remote.name
        if not file.is_file():
            if not download:
                continue  # the layout's reader names what is missing
            fetch(remote, folder, progress)
        elif remote.md5 and _md5(file) != remote.md5:
            raise BadInput(
                f"archive {file} is not the published one (its MD5 is not {remote.md5}): delete it and fetch it anew"
            )
        if remote.makes != remote.name:
            progress(f"unpacking {file}")
            unpack(file, folder, remote.makes, remote.keep)


def fetch(remote: Remote, folder: Path, progress: Callable[[str], None] = print) -> None:
    """Downloads `remote` into `folder`, whole or as `<name>.part`, from which the next call resumes. Raises BadInput as `complete`."""
    import requests  # here, since every process of a study imports this module

    part, reasons = folder / f"{remote.name}.part", []
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"cannot make the data folder {folder}: {error.strerror}") from None
    if shutil.disk_usage(folder).free < remote.megabytes * 1e6 - (part.stat().st_size if part.exists() else 0):
        raise BadInput(f"not enough disk for {folder / remote.name}: it needs about {remote.megabytes} MB")
    for url in remote.urls:
        for _ in range(2):  # a wrong checksum may be an old half of another version: once more from the start
            try:
                _stream(url, part, remote.name, progress)
            except requests.RequestException as error:
                reasons.append(f"{url.split('/')[2]}: {type(error).__name__}")
                break
            except OSError as error:
                raise BadInput(f"cannot write {part}: {os.strerror(error.errno or 0)}") from None
            if remote.md5 is None or _md5(part) == remote.md5:
                if remote.md5 is None and not _is_archive(part):
                    reasons.append(f"{url.split('/')[2]}: sent a page in place of the file")
                    part.unlink()
                    break
                part.replace(folder / remote.name)
                return
            part.unlink()
            reasons.append(f"{url.split('/')[2]}: wrong checksum")
    raise BadInput(f"{remote.name} could not be fetched ({'; '.join(reasons)}): get it by hand ({remote.megabytes} MB, {remote.page}) "
                   f"and put it into {folder}")  # fmt: skip


def _stream(url: str, part: Path, name: str, progress: Callable[[str], None]) -> None:
    """Appends what `part` lacks of `url`, with a line of progress every 10 seconds."""
    import requests

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
        with open(part, "ab" if have else "wb") as file:
            for block in response.iter_content(1 << 16):
                file.write(block)
                have += len(block)
                if (now := time.monotonic()) - last > 10:
                    last = now
                    rate = (have - begun_at) / (now - started)
                    left = f", ~{(total - have) / rate / 60:.0f} min left" if total > have else ""
                    progress(f"{name}: {have / 1e6:.0f} of {total / 1e6:.0f} MB, {rate / 1e6:.1f} MB/s{left}")
    if total and have < total:
        raise requests.ConnectionError(f"{url} sent {have} of {total} bytes")


def unpack(archive: Path, folder: Path, makes: str, keep: tuple[str, ...]) -> None:
    """Unpacks what lies below `makes` in a tar archive to `folder/makes`, files that end in one of `keep` alone; whole or not at all.

    Only plain files are written, each to where its checked path says: nothing of an archive can land outside the folder.
    Raises: BadInput for a path that leaves the folder, a link or a device, a damaged archive, one without `makes`, a full disk.
    """
    building = folder / f"{makes}.unpacking"
    shutil.rmtree(building, ignore_errors=True)
    found = False
    try:
        with gzip.open(archive) as packed, tarfile.open(fileobj=packed, mode="r|") as tar:
            for member in tar:
                path = PurePosixPath(member.name)
                if path.is_absolute() or ".." in path.parts:
                    raise BadInput(
                        f"archive {archive} would write outside its folder ({member.name}): it is not the published one"
                    )
                if (
                    member.isdir()
                    or makes not in path.parts[:-1]
                    or not path.name.endswith(keep)
                    or path.name.startswith("._")
                ):
                    continue
                if not member.isfile():
                    raise BadInput(
                        f"archive {archive} holds a link or a device ({member.name}): it is not the published one"
                    )
                target = building.joinpath(*path.parts[path.parts.index(makes) + 1 :])
                target.parent.mkdir(parents=True, exist_ok=True)
                with open(target, "wb") as file:
                    shutil.copyfileobj(tar.extractfile(member), file)  # type: ignore[arg-type]  # a file has content
                found = True
            while packed.read(
                1 << 20
            ):  # to the end, where the checksum of it all stands: damage may look like an early end
                pass
        if not found:
            raise BadInput(f"archive {archive} has no folder {makes}: it is not the published one")
        building.rename(folder / makes)
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BadInput(
            f"archive {archive} is damaged ({str(error) or type(error).__name__}): delete it and fetch it anew"
        ) from None
    except OSError as error:
        raise BadInput(
            f"cannot unpack {archive} into {folder}: {os.strerror(error.errno) if error.errno else error}"
        ) from None
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _md5(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _is_archive(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(2) == b"\x1f\x8b"  # gzip
