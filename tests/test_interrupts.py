"""Ctrl-C, once and twice; and failures that leave something running."""

import signal
import subprocess
import sys

import psutil
import pytest

from s2igan import BadInput
from s2igan.workflow.interrupts import stoppable

WORK = """
import signal, subprocess, sys, time
from s2igan.workflow.interrupts import stoppable

signal.signal(signal.SIGINT, signal.default_int_handler)  # these tests may run in the background, which ignores it

def work():
    ignores = "import signal, time; signal.signal(2, signal.SIG_IGN); time.sleep(99)"
    child = subprocess.Popen([sys.executable, "-c", ignores])
    print(child.pid, flush=True)
    time.sleep(99)

stoppable(work)
"""


def test_what_the_work_raises_is_raised():
    def work():
        raise BadInput("one line")

    with pytest.raises(BadInput, match="one line"):
        stoppable(work)
    assert stoppable(lambda: 7) == 7


@pytest.mark.parametrize("times", [1, 2, 5])
def test_interrupts_end_the_work_and_all_that_it_started(times):
    process = subprocess.Popen([sys.executable, "-c", WORK], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    child = psutil.Process(int(process.stdout.readline()))
    for _ in range(times):
        process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=30)
    assert process.returncode == 130 and said == ("", "")
    psutil.wait_procs([child], timeout=10)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize(("main", "status", "said"), [("lambda: 2", 2, ""), ("lambda: [][0]", 1, "IndexError")])
def test_a_failure_ends_at_once_whatever_is_left(main, status, said):
    left = "import threading, time; threading.Thread(target=time.sleep, args=[99]).start()"
    code = f"{left}; from s2igan.workflow.interrupts import end_with; end_with({main})"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert ended.returncode == status and said in ended.stderr and bool(said) == bool(ended.stderr)
