"""Names of classes and files: in one Unicode form, without what the file system or another program adds."""

from __future__ import annotations

import os
import re
import stat
import unicodedata
from pathlib import Path

from s2igan import BadInput
from s2igan.files import read_text

MOST_LIST = 2**22  # bytes of a list of classes
LONGEST_NAME = 240  # bytes: file systems take 255, and endings are added
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
# What desktops and archives leave in folders, beside files whose name begins with a dot.
LEFT_BEHIND = {"thumbs.db", "ehthumbs.db", "desktop.ini", "@eadir", "__macosx", "icon\r", "$recycle.bin"}


def plain(name: str) -> str:
    """`name` in Unicode NFC, without blanks at its ends."""
    return unicodedata.normalize("NFC", name).strip("\ufeff \t\r\n\u00a0")


def class_name(text: str, where: str) -> str:
    """The name of a class as a list gives it: `oak` for ' ./oak/'. `where` names the list and line for messages.

    Raises BadInput for a name that no folder can have, or that leads out of the data's folder.
    """
    name = plain(text)
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or len(parts) != 1 or parts[0].startswith("."):
        raise BadInput(f"{where} names the class {text[:60]!r}: it must be the name of one folder, without / or dots")
    if CONTROL.search(parts[0]) or any("\ud800" <= letter <= "\udfff" for letter in parts[0]):
        raise BadInput(f"{where} names the class {text[:60]!r}: a name has no control characters")
    if len(parts[0].encode()) > LONGEST_NAME:
        raise BadInput(f"{where} names a class {text[:30]!r}...: a name has {LONGEST_NAME} bytes at most")
    return plain(parts[0])


def read_split(train: Path, test: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Sorted classes of both lists, and 'train' or 'test' for each.

    Raises BadInput for an empty list, a name that is none, a class twice or in both, and two names that differ in case
    only: many file systems take them for one.
    """
    lines: dict[str, tuple[Path, int]] = {}
    folded: dict[str, str] = {}
    for path in (train, test):
        count = len(lines)
        for number, line in enumerate(read_text(path, MOST_LIST).split("\n"), 1):
            if not plain(line):
                continue
            name = class_name(line, f"class list {path}, line {number}")
            if name in lines and lines[name][0] != path:
                raise BadInput(f"class {name!r} is in both {train} and {test}: training and test classes must differ")
            if name in lines:
                raise BadInput(f"class {name!r} is twice in {path}, in lines {lines[name][1]} and {number}: remove one")
            if (other := folded.setdefault(name.casefold(), name)) != name:
                raise BadInput(
                    f"class list {path}, line {number} names the class {name!r}, and {other!r} is one too: "
                    "many file systems take names that differ in case only for one"
                )
            lines[name] = path, number
        if len(lines) == count:
            raise BadInput(f"class list {path} is empty: it needs one class a line")
    classes = tuple(sorted(lines))
    return classes, tuple("train" if lines[name][0] == train else "test" for name in classes)


def entries(folder: Path) -> dict[str, Path]:
    """{name in NFC: path} of what lies in `folder`, sorted by name, without hidden files; {} where there is no such
    folder.

    Raises BadInput where it is no folder or cannot be read, and for names that are not UTF-8, have control characters,
    or are the same in NFC.
    """
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return {}
    except NotADirectoryError:
        raise BadInput(f"{folder} must be a folder") from None
    except OSError as error:
        raise BadInput(f"folder {folder} cannot be read: {error.strerror or error}") from None
    found: dict[str, Path] = {}
    for name in sorted(names):
        if name.startswith(".") or name.lower() in LEFT_BEHIND:
            continue
        if any("\ud800" <= letter <= "\udfff" for letter in name):
            raise BadInput(f"folder {folder} has a file whose name is not UTF-8, {os.fsencode(name)!r}: rename it")
        if CONTROL.search(name):
            raise BadInput(f"folder {folder} has a file with a control character in its name, {name!r}: rename it")
        key = unicodedata.normalize("NFC", name)
        if key in found:
            raise BadInput(f"folder {folder} has two files named {key!r}, in two forms of Unicode: remove one")
        found[key] = folder / name
    return dict(sorted(found.items()))


def is_there(path: Path) -> bool:
    """Whether there is something of this name. Raises BadInput where that cannot be known."""
    return _mode(path) != 0


def is_folder(path: Path) -> bool:
    """Whether `path` is a folder. Raises BadInput where that cannot be known."""
    return stat.S_ISDIR(_mode(path))


def is_file(path: Path) -> bool:
    """Whether `path` is a file, and neither a folder nor a pipe. Raises BadInput where that cannot be known."""
    return stat.S_ISREG(_mode(path))


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return 0
    except (OSError, ValueError) as error:
        raise BadInput(f"{str(path)[:300]!r} cannot be read: {getattr(error, 'strerror', None) or error}") from None


def check_file(path: Path, what: str) -> None:
    """Raises BadInput, a line that begins with `what`, unless `path` is a file with something in it."""
    if not is_file(path):
        if is_folder(path) or path.exists():
            raise BadInput(f"{what} {path} is no file")
        raise BadInput(f"{what} {path} does not exist" + (": it is a broken link" if path.is_symlink() else ""))
    if path.stat().st_size == 0:
        raise BadInput(f"{what} {path} is empty: it has zero bytes")


def split_ending(name: str) -> tuple[str, str]:
    """('a.b', '.wav') for 'a.b.WAV'."""
    path = Path(name)
    return path.stem, path.suffix.lower()
