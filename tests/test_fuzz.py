"""A few hundred damaged files for every reader; `make fuzz` gives ten thousand to each."""

import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).parent / "fuzz"
sys.path.insert(0, str(FUZZ))
import run  # noqa: E402


@pytest.mark.parametrize("reader", run.READERS)
def test_damaged_files_are_read_or_refused_in_one_line(reader):
    assert run.fuzz(reader, inputs=300, seed=1) == {}


def test_what_goes_wrong_is_found(monkeypatch, tmp_path):
    class Bad:
        __name__ = "bad"

        @staticmethod
        def originals(folder):
            return None

        @staticmethod
        def attempt(made, random, folder):
            kind = random.randrange(40)
            if kind == 0:
                raise KeyError("x")
            if kind == 1:
                import os

                os.kill(os.getpid(), 11)

    monkeypatch.setitem(sys.modules, "bad", Bad)
    wrong = run.fuzz("bad", inputs=100, seed=0)
    assert any("KeyError" in what for what in wrong.values()) and any("signal 11" in what for what in wrong.values())
