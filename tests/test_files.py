"""What writes: whole or not at all, one line where the disk takes no more, and nothing left of what was killed."""

import contextlib
import errno
import os
import pickle
import resource
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from s2igan import BadInput
from s2igan.demo import packed_weights
from s2igan.files import UNWRITABLE, read_array, replacing, replacing_folder, write_array, write_atomic
from s2igan.training.checkpoints import load_checkpoint, save_checkpoint
from s2igan.training.logs import Log

NOISE = np.random.default_rng(0).integers(0, 256, (400, 400, 3), np.uint8)  # 480 kB, and no PNG makes it much smaller


def write_png(path):
    with replacing(path) as temporary:
        Image.fromarray(NOISE).save(temporary)


def write_figure(path):
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=(4, 4), dpi=100)
    figure.figimage(NOISE)
    with replacing(path) as temporary:
        figure.savefig(temporary)
    plt.close(figure)


def write_tensors(path):
    with replacing(path) as temporary:
        save_file({"noise": torch.from_numpy(NOISE)}, temporary)


def write_table(path):
    with replacing(path) as temporary:
        pd.DataFrame(NOISE.reshape(-1, 3)).to_csv(temporary)


def write_saved(path):
    with replacing(path) as temporary:
        np.save(temporary, NOISE)


WRITERS = {
    "a.txt": lambda path: write_atomic(path, NOISE.tobytes()),
    "a.npy": lambda path: write_array(path, NOISE.shape, np.uint8, [NOISE]),
    "b.npy": write_saved,
    "a.png": write_png,
    "b.png": write_figure,
    "a.safetensors": write_tensors,
    "step-00000001.pt": lambda path: save_checkpoint(path.parent, 1, {"noise": torch.from_numpy(NOISE)}, "x"),
    "a.csv": write_table,
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_disk_that_takes_no_more_is_one_line_and_leaves_what_was_there(tmp_path, name):
    """In place of a full disk, which needs rights: the system lets a file of this process grow to 100 kB only."""
    path, before = tmp_path / name, resource.getrlimit(resource.RLIMIT_FSIZE)
    path.write_text("old")
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(BadInput) as error:
            WRITERS[name](path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert str(error.value) == f"cannot write {path}: {os.strerror(errno.EFBIG)}"
    assert [left.name for left in tmp_path.iterdir()] == [name] and path.read_text() == "old"
    WRITERS[name](path)  # when there is room again
    assert [left.name for left in tmp_path.iterdir()] == [name] and path.stat().st_size > 100_000


@pytest.mark.parametrize("number", UNWRITABLE)
def test_every_fault_of_a_disk_is_one_line(tmp_path, monkeypatch, number):
    def fault(*_):
        raise OSError(number, "in the words of another system")

    monkeypatch.setattr(os, "fsync", fault)
    with pytest.raises(BadInput, match=f"^cannot write .*/a: {os.strerror(number)}$"):
        write_atomic(tmp_path / "a", "new")
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr("builtins.open", fault)
    with pytest.raises(BadInput, match=f"^cannot write .*log.jsonl: {os.strerror(number)}$"):
        Log(tmp_path / "log.jsonl", 3)


def test_an_error_of_the_code_stays_what_it_is(tmp_path):
    with pytest.raises(RuntimeError, match="not of the disk"), replacing(tmp_path / "a") as temporary:
        temporary.write_text("half")
        raise RuntimeError("not of the disk")
    assert list(tmp_path.iterdir()) == []


def test_what_killed_processes_left_is_deleted_by_the_next_one_that_writes_the_same(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    gone, alive = f".a.{ended.pid}.txt", f".a.{other.pid}.txt"
    for name in (gone, alive, ".a.notes.txt", f".b.{ended.pid}.txt"):
        (tmp_path / name).write_text("half")
    write_atomic(tmp_path / "a.txt", "whole")
    assert {path.name for path in tmp_path.iterdir()} == {"a.txt", alive, ".a.notes.txt", f".b.{ended.pid}.txt"}
    os.utime(tmp_path / alive, times=(time.time() - 1000,) * 2)  # older than that process: its number was another's
    write_atomic(tmp_path / "a.txt", "whole")
    assert not (tmp_path / alive).exists()
    other.communicate()

    (tmp_path / f".c.{ended.pid}.drawn" / "images").mkdir(parents=True)
    (tmp_path / f".c.old.{ended.pid}.drawn").mkdir()
    for text in ("first", "second"):
        with replacing_folder(tmp_path / "c.drawn") as temporary:
            (temporary / text).write_text(text)
        assert [path.name for path in (tmp_path / "c.drawn").iterdir()] == [text]
    with pytest.raises(KeyError), replacing_folder(tmp_path / "c.drawn") as temporary:
        (temporary / "third").write_text("third")
        raise KeyError
    assert [path.name for path in (tmp_path / "c.drawn").iterdir()] == ["second"]
    assert [path.name for path in tmp_path.glob("*c.*")] == ["c.drawn"]


def test_an_array_written_in_parts_is_the_array_that_numpy_writes(tmp_path):
    for array in (NOISE, np.arange(7), np.zeros((0, 40), np.float16)):
        write_array(tmp_path / "a.npy", array.shape, array.dtype, np.array_split(array, 3))
        np.save(tmp_path / "b.npy", array)
        assert (tmp_path / "a.npy").read_bytes() == (tmp_path / "b.npy").read_bytes()
    with pytest.raises(ValueError, match="not an array of shape"):
        write_array(tmp_path / "a.npy", (8,), np.int64, [np.arange(7)])


class Runs:
    """What a pickle can hold: a command that is run when it is read."""

    def __init__(self, made):
        self.made = made

    def __reduce__(self):
        return os.mkdir, (str(self.made),)


def test_a_pickle_is_never_run(tmp_path, capsys):
    made = tmp_path / "made"
    pickled = pickle.dumps(Runs(made))
    (tmp_path / "network.safetensors").write_bytes(pickled)
    np.save(tmp_path / "features.npy", np.array([Runs(made)], dtype=object), allow_pickle=True)
    torch.save({"step": 1, "fingerprint": "a", "state": Runs(made)}, tmp_path / "step-00000001.pt")
    for read, name in ((packed_weights.read, "network.safetensors"), (read_array, "features.npy")):
        with pytest.raises(BadInput):
            read(tmp_path / name)
    with contextlib.suppress(BadInput):
        assert load_checkpoint(tmp_path, "a") is None
    assert not made.exists()
    pickle.loads(pickled)
    assert made.exists()
