"""Runs the numeric tests as other processors would: python tests/machines.py (make test-machines).

No number may decide whether they pass that another processor rounds otherwise.
"""

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parent
AVX2 = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}
MACHINES = {"AVX2 alone": AVX2, "single precision": {"PRECISION": "fp32"}, "bf16": {"PRECISION": "bf16"}}
NUMERIC = (
    "test_sen.py", "test_rdg.py", "test_training.py", "test_training_steps.py", "test_losses_metrics.py",
    "test_generated_images.py", "test_packed_weights.py", "test_demo.py", "test_solutions.py", "test_speech.py",
    "test_feature_networks.py",
)  # fmt: skip


def run(machine: str, *arguments: str) -> subprocess.CompletedProcess:
    """pytest with `arguments` in a process that takes the processor for `machine`, a row of MACHINES."""
    kept = {name: value for name, value in os.environ.items() if name not in {*AVX2, "PRECISION"}}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *arguments]
    environment = {**kept, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", **MACHINES[machine]}
    return subprocess.run(command, cwd=TESTS.parent, env=environment)


if __name__ == "__main__":
    failed = [machine for machine in MACHINES if run(machine, *(str(TESTS / name) for name in NUMERIC)).returncode]
    sys.exit(f"failed on: {', '.join(failed)}" if failed else 0)
