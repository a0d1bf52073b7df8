"""Arrays of numbers from MATLAB's files of level 5, with every size checked: a damaged one is an error, not a crash.

https://www.mathworks.com/help/pdf_doc/matlab/matfile_format.pdf describes the format.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from s2igan import BadInput
from s2igan.files import read_bytes

MOST = 2**24  # bytes, of a file and of what a variable holds: a thousand times what Oxford-102 has
HEADER, MATRIX, COMPRESSED = 128, 14, 15
# Types of stored numbers, and the classes of arrays: doubles that are whole numbers are stored in fewer bytes.
STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}


def read_mat(path: str | Path) -> dict[str, np.ndarray]:
    """{name: array} of the real numeric arrays in a MAT file, in MATLAB's shapes; what else it holds is left out.

    Raises BadInput for a file that is missing, of another level, damaged, or larger than `MOST`.
    """
    content = read_bytes(path, MOST)
    order = {b"IM": "<", b"MI": ">"}.get(content[126:HEADER])
    if order is None or content.startswith(b"MATLAB 7.3"):
        raise BadInput(f"file {path} is no MAT file of level 5: save it in MATLAB with -v7")
    found: dict[str, np.ndarray] = {}
    try:
        for kind, data in _elements(content[HEADER:], order):
            if kind == COMPRESSED:
                ((kind, data),) = _elements(_decompressed(data), order)
            if kind != MATRIX:
                raise ValueError(f"it has an element of type {kind} where a variable must be")
            name, array = _variable(data, order)
            if name in found:
                raise ValueError(f"it has two variables {name!r}")
            if array is not None:
                found[name] = array
    except (ValueError, struct.error, zlib.error) as error:
        raise BadInput(f"file {path} is damaged: {str(error).splitlines()[0]}") from None
    return found


def _decompressed(data: bytes) -> bytes:
    reader = zlib.decompressobj()
    content = reader.decompress(data, MOST + 1)
    if len(content) > MOST:
        raise ValueError(f"a variable has more than {MOST / 2**20:.0f} MiB")
    if not reader.eof:
        raise ValueError("a compressed variable is cut")
    return content


def _elements(content: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """(type, data) of the elements that lie one after another in `content`."""
    at = 0
    while at < len(content):
        (kind,) = struct.unpack_from(f"{order}I", content, at)
        if kind >> 16:  # a small element: size and type in four bytes, data in the next four
            kind, size, start = kind & 0xFFFF, kind >> 16, at + 4
            if size > 4:
                raise ValueError(f"a small element states {size} bytes")
        else:
            (size,) = struct.unpack_from(f"{order}I", content, at + 4)
            start = at + 8
        if start + size > len(content):
            raise ValueError(f"an element states {size} bytes, {len(content) - start} are there")
        yield kind, content[start : start + size]
        at = start + max(size, 4) if start == at + 4 else start + size + (0 if kind == COMPRESSED else -size % 8)


def _variable(content: bytes, order: str) -> tuple[str, np.ndarray | None]:
    """The name of a variable, and its array, None where it is none of real numbers."""
    parts = list(_elements(content, order))
    if len(parts) < 3:
        raise ValueError("a variable has no flags, shape or name")
    (_, flags), (_, shape), (_, name) = parts[:3]
    (flag,) = struct.unpack_from(f"{order}I", flags)
    kind, is_complex = flag & 0xFF, flag & 0x800
    if kind not in CLASSES or is_complex:
        return name.decode("latin-1"), None
    dims = struct.unpack(f"{order}{len(shape) // 4}i", shape)
    stored, data = parts[3] if len(parts) > 3 else (2, b"")
    if stored not in STORED:
        raise ValueError(f"an array has numbers of type {stored}")
    array = np.frombuffer(data, np.dtype(STORED[stored]).newbyteorder(order))
    if min(dims, default=-1) < 0 or math.prod(dims) != len(array):
        raise ValueError(f"an array of shape {'x'.join(map(str, dims))[:60]} has {len(array)} numbers")
    if STORED[stored][0] == "f" != CLASSES[kind][0]:
        raise ValueError("an array of whole numbers has fractions")
    return name.decode("latin-1"), array.astype(CLASSES[kind]).reshape(dims, order="F")
