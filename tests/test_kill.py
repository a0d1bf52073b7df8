"""What is killed at any moment, or stopped by a full disk, and run again ends with the files of an uninterrupted run.

`make kill-test` does the same twenty times for every stage, and for whole notebooks and studies.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SKIPPED = 77


def run(script: str, stage: str, folder: Path, times: int) -> subprocess.CompletedProcess:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    command = [sys.executable, str(HERE / script), stage, str(folder), str(times)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)


@pytest.mark.parametrize(("stage", "times"), [("data", 1), ("sen", 4), ("rdg", 4), ("evaluation", 1)])
def test_kills_at_random_moments_change_no_bit_of_any_file(tmp_path, stage, times):
    ran = run("kill_at_random.py", stage, tmp_path, times)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    killed, _, same, _, left = map(int, re.findall(r"\d+", ran.stdout.split(f"{stage}: ")[-1]))
    assert same == times and left == 0
    assert killed >= times // 2  # the others had ended before


def test_a_full_disk_at_random_moments_is_one_line_and_then_changes_no_bit_of_any_file(tmp_path):
    ran = run("full_disk_at_random.py", "sen", tmp_path / "disk", 2)
    if ran.returncode == SKIPPED:
        pytest.skip(ran.stderr.strip())
    assert ran.returncode == 0, ran.stdout + ran.stderr
    stopped, right, _ = map(int, re.findall(r"\d+", ran.stdout.split("sen: ")[-1]))
    assert right == 2 and stopped >= 1
