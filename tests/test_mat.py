"""The reader of MATLAB's files against scipy's."""

import struct
import zlib

import numpy as np
import pytest
import scipy.io
from hypothesis import given, settings
from hypothesis import strategies as st

from s2igan import BadInput
from s2igan.data.mat import read_mat

TYPES = ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8")


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (3, 2), (2, 3, 4), (0, 0), (1, 3000)])
def test_arrays_of_all_types_are_as_scipy_reads_them(tmp_path, compressed, shape):
    random = np.random.default_rng(0)
    arrays = {f"of_{kind}": (random.random(shape) * 100).astype(kind) for kind in TYPES}
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {**arrays, "text": "no numbers", "cells": {"a": 1}, "z": np.ones(2) * 1j}, True, "5",
                     do_compression=compressed)  # fmt: skip
    found, expected = read_mat(path), scipy.io.loadmat(path)
    assert found.keys() == arrays.keys()
    for name, array in found.items():
        assert array.dtype == expected[name].dtype and array.shape == shape
        np.testing.assert_array_equal(array, expected[name])


@settings(deadline=None, max_examples=50, derandomize=True)
@given(st.lists(st.integers(0, 255), min_size=1, max_size=40))
def test_doubles_stored_in_bytes_and_the_other_byte_order(tmp_path_factory, values):
    """As MATLAB stores the labels of Oxford-102; scipy writes neither."""
    path = tmp_path_factory.mktemp("mat") / "a.mat"
    for order, mark in (("<", b"IM"), (">", b"MI")):
        small = struct.pack(f"{order}HH", *((1, 4) if order == "<" else (4, 1))) + b"labs"
        parts = [struct.pack(f"{order}IIII", 6, 8, 6, 0), struct.pack(f"{order}IIii", 5, 8, 1, len(values)), small]
        data = bytes(values) + bytes(-len(values) % 8)
        body = b"".join(parts) + struct.pack(f"{order}II", 2, len(values)) + data
        matrix = struct.pack(f"{order}II", 14, len(body)) + body
        packed = zlib.compress(matrix)
        path.write_bytes(
            b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack(f"{order}H", 256) + mark
            + struct.pack(f"{order}II", 15, len(packed)) + packed
        )  # fmt: skip
        (array,) = read_mat(path).values()
        assert array.dtype == np.float64 and array.tolist() == [values]
        np.testing.assert_array_equal(scipy.io.loadmat(path)["labs"], array)


def test_what_is_no_such_file_is_one_line(tmp_path):
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"a": np.arange(1000.0)}, do_compression=True)
    whole = path.read_bytes()
    for content, line in [
        (b"", "no MAT file of level 5"),
        (whole[:100], "no MAT file of level 5"),
        (b"MATLAB 7.3" + whole[10:], "save it in MATLAB with -v7"),
        (whole[:-20], "damaged: an element states"),
        (whole[:132] + struct.pack("<I", 20) + whole[136:156], "damaged: a compressed variable is cut"),
        (whole[:128] + struct.pack("<II", 14, 8) + bytes(8), "damaged: a variable has no flags"),
        (whole[:128] + _compressed(bytes(2**24 + 9)), "damaged: a variable has more than 16 MiB"),
        (whole + whole[128:], "damaged: it has two variables 'a'"),
    ]:
        path.write_bytes(content)
        with pytest.raises(BadInput, match=line):
            read_mat(path)


def _compressed(content: bytes) -> bytes:
    packed = zlib.compress(content)
    return struct.pack("<II", 15, len(packed)) + packed


def test_a_shape_of_billions_allocates_nothing(tmp_path):
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"a": np.arange(7, dtype=np.uint8)})
    path.write_bytes(path.read_bytes().replace(struct.pack("<ii", 1, 7), struct.pack("<ii", 2**31 - 1, 2**31 - 1)))
    with pytest.raises(BadInput, match="2147483647x2147483647 has 7 numbers"):
        read_mat(path)
