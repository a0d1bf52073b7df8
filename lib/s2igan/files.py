"""Files: the one place that reads text, JSON, YAML and arrays, that writes whole or not at all, and the project's root.

Whatever is wrong with a file is one line that names it.
"""

from __future__ import annotations

import codecs
import contextlib
import errno
import hashlib
import json
import math
import os
import re
import shutil
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError

from s2igan import BadInput

MOST_TEXT = 64 * 2**20  # bytes: no list, table or record of a study comes near
# What a full, protected or failing disk says; every other OSError while writing is a fault of the code.
UNWRITABLE = (
    errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.EFBIG, errno.ENAMETOOLONG,
    errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOENT, errno.ELOOP, errno.EINVAL, errno.ESTALE,
)  # fmt: skip
BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16",
}  # fmt: skip


def project_root(start: str | Path = ".") -> Path:
    """The folder with the Snakefile, at or above `start`.

    Notebooks opened by hand run in notebooks/, rules in the root. Raises BadInput where there is none.
    """
    start = Path(start).resolve()
    for folder in (start, *start.parents):
        if (folder / "Snakefile").is_file():
            return folder
    raise BadInput(f"no Snakefile in {start} or above: call this in the project's folder")


def read_bytes(path: str | Path, most: int = MOST_TEXT) -> bytes:
    """What the file `path` holds. Raises BadInput where it is missing, no file, not readable, or over `most` bytes."""
    path = Path(path)
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would be waited for
            raise BadInput(f"file {path} cannot be read: it is {'a folder' if path.is_dir() else 'no regular file'}")
        with open(path, "rb") as file:
            content = file.read(most + 1)
    except FileNotFoundError:
        raise BadInput(f"file {path} does not exist") from None
    except ValueError as error:  # a zero byte in its name
        raise BadInput(f"file {str(path)!r} cannot be read: {error}") from None
    except OSError as error:
        raise BadInput(f"file {path} cannot be read: {error.strerror or error}") from None
    if len(content) > most:
        raise BadInput(f"file {path} is too large: it has more than {most / 2**20:.0f} MiB")
    return content


def read_text(path: str | Path, most: int = MOST_TEXT) -> str:
    """The text of file `path`, in UTF-8, or in UTF-16 or UTF-32 with a byte-order mark; newlines become \\n.

    Raises BadInput as `read_bytes`, and for text in another encoding, with the line: a guess could be a wrong word.
    """
    return decoded(read_bytes(path, most), path)


def decoded(content: bytes, path: str | Path) -> str:
    """The text that `content` of file `path` is. Raises BadInput as `read_text`."""
    encoding = next((name for start, name in BYTE_ORDER_MARKS.items() if content.startswith(start)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise BadInput(
            f"file {path}, line {line} is not {encoding.removesuffix('-sig').upper()} "
            f"(byte 0x{content[error.start]:02x}): save it as UTF-8"
        ) from None
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise BadInput(f"file {path}, line {line} has a zero byte: it is no text")
    return text


def read_json(path: str | Path, most: int = MOST_TEXT) -> Any:
    """The value in JSON file `path`. Raises BadInput as `read_text`, and for a file that is no JSON."""
    return parse_json(read_text(path, most), f"file {path}")


def parse_json(text: str, what: str) -> Any:
    """The value of JSON `text`. Raises BadInput where it is none, which `what` names, or a name stands twice."""
    try:
        return json.loads(text, object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{what} is no JSON: {str(error).splitlines()[0][:200]}") from None


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)[:60]!r} stands there twice")
    return values


class _PlainLoader(yaml.SafeLoader):
    """YAML's plain values, lists and mappings, of bounded size.

    Refused: a name that stands twice in a mapping, and an alias of what has aliases itself, which can stand for more
    than fits into memory. Dates stay text, and so does 1:30, which YAML 1.1 takes for ninety.
    """

    aliases = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """As yaml.SafeLoader."""
        event, before = self.peek_event(), self.aliases
        if isinstance(event, yaml.AliasEvent):
            self.aliases += 1
        node = super().compose_node(parent, index)
        if self.aliases > 1000 or (event.anchor and not isinstance(event, yaml.AliasEvent) and self.aliases > before):
            raise yaml.MarkedYAMLError(problem="too many aliases, or aliases of aliases", problem_mark=event.start_mark)
        return node

    def compose_mapping_node(self, anchor: Any) -> Any:
        """As yaml.SafeLoader."""
        node, seen = super().compose_mapping_node(anchor), set()
        for key, _ in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else None
            if name is not None and name in seen:
                raise yaml.MarkedYAMLError(problem=f"{name[:60]!r} stands there twice", problem_mark=key.start_mark)
            seen.add(name)
        return node


_PlainLoader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE|yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF", "tTfFyYnNoO"),
    ("int", r"[-+]?(0|[1-9][0-9]*)|0x[0-9a-fA-F]+", "-+0123456789"),
    ("float", r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf)|\.(nan|NaN)", "-+0123456789."),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("merge", r"<<", "<"),
):
    _PlainLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), list(_first))


def read_yaml(path: str | Path) -> Any:
    """The value in YAML file `path`. Raises BadInput as `read_text`, and for a file that is no YAML or holds more than
    numbers, texts, lists and mappings."""
    text = read_text(path)
    try:
        return yaml.load(text, _PlainLoader)
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise BadInput(f"file {path}{line} is no YAML: {' '.join(str(error.problem).split())[:200]}") from None
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, RecursionError, MemoryError) as error:
        raise BadInput(f"file {path} is no YAML: {str(error).splitlines()[0][:200]}") from None


def check_form(form: TypeAdapter[Any], value: Any, path: str | Path, again: str) -> None:
    """Raises BadInput unless `value`, of file `path`, has the keys and types of `form`; `again`: what to do then."""
    try:
        form.validate_python(value, strict=True)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        where = " ".join(repr(part)[:60] for part in fault["loc"])
        said = fault["msg"].splitlines()[0].lower()
        raise BadInput(f"file {path} is damaged ({where or 'all of it'}: {said}): {again}") from None


def read_array(path: str | Path, mapped: bool = False) -> np.ndarray:
    """The array in .npy file `path`; `mapped`: read only where it is used. Raises BadInput for a file that is none."""
    if not Path(path).is_file():
        raise BadInput(f"file {path} does not exist")
    try:
        return np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
    except PermissionError as error:
        raise BadInput(f"file {path} cannot be read: {error.strerror}") from None
    except Exception as error:  # numpy parses the header as Python, and lets through whatever that raises
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise BadInput(f"file {path} is no whole .npy array: {reason}") from None


@contextlib.contextmanager
def writing(path: str | Path) -> Iterator[None]:
    """Turns what a full, protected or failing disk says while `path` is written into BadInput, one line."""
    try:
        yield
    except OSError as error:
        if error.errno in UNWRITABLE:
            raise BadInput(f"cannot write {path}: {os.strerror(error.errno)}") from error
        raise


def make_folder(path: str | Path) -> Path:
    """Folder `path`, made with its parents where it is not there. Raises BadInput where it cannot be made."""
    path = Path(path)
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)
    return path


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`, renamed to it when the block ends well and deleted when it does not.

    The temporary name keeps the suffix, since numpy, Pillow and matplotlib choose their format by it. What a process
    that was killed left of writing `path` is deleted. Raises BadInput where the disk is full or cannot be written.
    """
    path = Path(path)
    temporary = _temporary(path)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_left(path)
        try:
            yield temporary
            with open(temporary, "rb") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except (OSError, RuntimeError, SafetensorError) as error:
            if getattr(error, "errno", None) is None:
                _ask_disk(temporary)
            raise
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing_folder(path: str | Path) -> Iterator[Path]:
    """As `replacing`, for a folder: yields an empty one beside `path`, which takes its place when the block ends well.

    Raises BadInput where the disk is full or cannot be written.
    """
    path = Path(path)
    temporary, old = _temporary(path), path.with_name(f"{path.stem}.old{path.suffix}")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_left(path)
        _remove_left(old)
        try:
            temporary.mkdir()
            yield temporary
            if path.exists():
                path.rename(_temporary(old))
            temporary.rename(path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
            shutil.rmtree(_temporary(old), ignore_errors=True)


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")


def _remove_left(path: Path) -> None:
    """Deletes what processes that are no more left of writing `path`."""
    of_path = re.compile(re.escape(f".{path.stem}.") + r"(\d+)" + re.escape(path.suffix))
    for left in os.listdir(path.parent):
        if (found := of_path.fullmatch(left)) and not _writes(int(found[1]), path.with_name(left)):
            if path.with_name(left).is_dir():
                shutil.rmtree(path.with_name(left), ignore_errors=True)
            else:
                path.with_name(left).unlink(missing_ok=True)


def _writes(process: int, path: Path) -> bool:
    """Whether `process` may be the one that writes `path`: it lives, and is not a later one with the same number."""
    import psutil  # here, since few files are ever left behind

    try:
        return psutil.Process(process).create_time() <= path.stat().st_mtime + 1
    except (psutil.Error, OSError, OverflowError):
        return False


def _ask_disk(path: Path) -> None:
    """Raises the OSError of a disk that takes no more of file `path`.

    torch, safetensors, numpy and Pillow may say in words of their own that a write has failed, without its number.
    """
    with open(path, "ab") as file:
        file.write(bytes(2**20))
        file.flush()
        os.fsync(file.fileno())


def write_atomic(path: str | Path, content: str | bytes) -> None:
    """Writes `content` to `path`, which afterwards holds all of it or what it held before."""
    with replacing(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def copy_file(source: str | Path, target: str | Path) -> None:
    """Copies a file, whole or not at all. Raises BadInput as `replacing`, and where `source` cannot be read."""
    if not os.access(source, os.R_OK):
        raise BadInput(f"file {source} does not exist or may not be read")
    with replacing(target) as temporary:
        shutil.copyfile(source, temporary)


def write_json(path: str | Path, value: Any) -> None:
    """Writes `value` as indented JSON, whole or not at all."""
    write_atomic(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def write_array(path: str | Path, shape: tuple[int, ...], dtype: type, parts: Iterable[np.ndarray]) -> str:
    """Writes `parts`, end to end along the first axis, as one .npy file, whole or not at all.

    Through `write`, since a full disk kills a process that writes to mapped memory, and np.save does not name it.
    Returns: the SHA-256 of the data. Raises: BadInput as `replacing`; ValueError where the parts are not of `shape`.
    """
    digest, size = hashlib.sha256(), 0
    with replacing(path) as temporary:
        with open(temporary, "wb") as file:
            description = np.lib.format.dtype_to_descr(np.dtype(dtype))
            about = {"descr": description, "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, about)
            for part in parts:
                data = np.ascontiguousarray(part, dtype).tobytes()
                file.write(data)
                digest.update(data)
                size += len(data)
        if size != math.prod(shape) * np.dtype(dtype).itemsize:
            raise ValueError(f"{path}: {size} bytes are not an array of shape {shape}")
    return digest.hexdigest()


def file_sha256(path: str | Path) -> str:
    """Checksum of a file's content: part of a fingerprint when a run depends on what another run wrote."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
