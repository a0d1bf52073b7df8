"""GPUs without one: which are visible, what is said of one that does not compute, a GPU for each run."""

import json
import os
import signal
import subprocess
import sys
import time
import types

import pytest
import torch

from s2igan import BadInput
from s2igan.config import CPU_PRESETS, PRESETS, resolve
from s2igan.training import devices, gpus
from s2igan.training.devices import best_device, gpu_fault, pick_device, within_memory
from s2igan.workflow import run_study
from s2igan.workflow.commands import main
from s2igan.workflow.gpu_slots import gpus_of_its_own

LISTED = """GPU 0: NVIDIA A100 (UUID: GPU-11)
  MIG 3g.20gb Device 0: (UUID: MIG-aa)
  MIG 3g.20gb Device 1: (UUID: MIG-bb)
GPU 1: NVIDIA A100 (UUID: GPU-22)
"""


@pytest.fixture(autouse=True)
def fresh():
    gpu_fault.cache_clear()
    yield
    gpu_fault.cache_clear()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, ["0", "1"]),
        ("", []),
        ("-1", []),
        ("1", ["1"]),
        (" 1, 0 ", ["1", "0"]),
        ("0,-1,1", ["0"]),
        ("0,0", ["0"]),
        ("0,7", ["0"]),
        ("none", []),
        ("MIG-aa,GPU-22", ["MIG-aa", "GPU-22"]),
    ],
)
def test_visible_gpus(tmp_path, monkeypatch, value, expected):
    for name in ("nvidia0", "nvidia3", "nvidiactl", "nvidia-uvm"):  # a container's GPUs need not be 0 and 1
        (tmp_path / name).touch()
    monkeypatch.setattr(gpus, "nvidia_smi", str)
    environment = {} if value is None else {"CUDA_VISIBLE_DEVICES": value}
    assert gpus.visible_gpus(environment, tmp_path) == expected
    assert gpus.visible_gpus(environment, tmp_path / "no such folder") == []


def test_parts_of_gpus(tmp_path, monkeypatch):
    (tmp_path / "nvidia0").touch()
    monkeypatch.setattr(gpus, "nvidia_smi", lambda: LISTED)
    assert gpus.visible_gpus({}, tmp_path) == ["MIG-aa", "MIG-bb", "GPU-22"]
    assert gpus.parts("GPU 0: NVIDIA A100 (UUID: GPU-11)\n") == []  # counted by their files


def gpu(monkeypatch, product):
    """In place of a GPU, a function that computes the sum of a product of ones."""
    for name, value in (("is_available", True), ("get_device_capability", (3, 7)), ("get_arch_list", ["sm_75"])):
        monkeypatch.setattr(torch.cuda, name, lambda value=value: value)
    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: True)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    ones = type("Ones", (), {"__matmul__": lambda self, other: types.SimpleNamespace(sum=product)})()
    monkeypatch.setattr(torch, "ones", lambda *size, device: ones)


def test_a_gpu_that_computes_is_used(monkeypatch):
    gpu(monkeypatch, lambda: 64.0**3)
    assert pick_device(resolve({"preset": "paper"})).type == "cuda"
    assert pick_device(resolve({"preset": "paper", "device": "cpu"})).type == "cpu"


def test_a_gpu_that_does_not_compute(monkeypatch, capsys):
    def fail():
        raise RuntimeError("CUDA error: no kernel image is available. Compile with\nmore lines")

    gpu(monkeypatch, fail)
    with pytest.raises(BadInput) as caught:
        pick_device(resolve({"preset": "paper"}))
    said = str(caught.value)
    assert "\n" not in said and "no kernel image is available; it is sm_37, this torch is built for sm_75" in said
    assert "DEVICE=cpu" in said
    monkeypatch.setattr(gpus, "visible_gpus", lambda: ["0"])
    devices._say_once.cache_clear()
    for _ in range(2):
        assert best_device(resolve({})).type == "cpu"  # at mini, with one line
    assert capsys.readouterr().err.count("note: the CPU is used: the GPU does not compute") == 1
    gpu_fault.cache_clear()
    gpu(monkeypatch, lambda: 17.0)
    assert "computes wrongly" in gpu_fault()


def test_why_there_is_no_gpu(monkeypatch):
    def too_old():
        import warnings

        warnings.warn("CUDA initialization: The NVIDIA driver on your system is too old. Update it.", stacklevel=1)
        return False

    gpu(monkeypatch, float)
    monkeypatch.setattr(torch.cuda, "is_available", too_old)
    assert gpu_fault() == "torch sees no GPU here (The NVIDIA driver on your system is too old)"
    gpu_fault.cache_clear()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert "CUDA_VISIBLE_DEVICES is ''" in gpu_fault()
    gpu_fault.cache_clear()
    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: False)
    assert gpu_fault() == "the installed torch has no CUDA"


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_for_gpus_needs_one(monkeypatch, preset):
    monkeypatch.setattr(devices, "gpu_fault", lambda: "no GPU")
    if preset in CPU_PRESETS:
        assert pick_device(resolve({"preset": preset})).type == "cpu"
    else:
        with pytest.raises(BadInput, match=rf"preset '{preset}' takes very long on a CPU: no GPU; give DEVICE=cpu"):
            pick_device(resolve({"preset": preset}))
    assert best_device(resolve({"preset": preset})).type == "cpu"
    assert pick_device(resolve({"preset": preset, "device": "cpu"})).type == "cpu"
    with pytest.raises(BadInput, match="parameter 'device' is 'cuda': no GPU"):
        pick_device(resolve({"preset": preset, "device": "cuda"}))


def test_a_study_says_so_before_it_starts(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    (tmp_path / "Snakefile").touch()
    for words in (["PRESET=paper", "DATASET=mini-birds"], ["DEVICE=cuda"]):
        assert main(["study", *words]) == 2
        said = capsys.readouterr().err
        assert said.startswith("error: ") and said.count("\n") == 1 and "CUDA_VISIBLE_DEVICES is ''" in said
        assert not (tmp_path / "results").exists()


def test_a_dry_run_without_a_gpu_is_on_the_cpu(monkeypatch, capsys):
    def refuse(settings):
        raise BadInput("no GPU")

    monkeypatch.setattr(run_study, "check_gpu", refuse)
    call = run_study.read_call(["PRESET=paper", "DATASET=mini-birds", "DRY=1"], full=False)
    _, chosen = run_study.with_device(call, run_study.study.plan(call.given))
    assert {values.device for values in chosen.of.values()} == {"cpu"}
    assert capsys.readouterr().err == "note: the dry run is on the CPU: no GPU\n"
    for words in (["PRESET=paper"], ["DRY=1", "DEVICE=cuda"]):
        call = run_study.read_call(words, full=False)
        with pytest.raises(BadInput, match="no GPU"):
            run_study.with_device(call, run_study.study.plan(call.given))


def test_a_full_gpu_names_the_parameter():
    with pytest.raises(BadInput) as caught, within_memory("rdg_batch", 24):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
    said = str(caught.value)
    assert "is full (CUDA out of memory): parameter 'rdg_batch' is 24" in said and "RDG_BATCH=12" in said
    with pytest.raises(RuntimeError, match="other"), within_memory("rdg_batch", 24):
        raise RuntimeError("other")


HOLD = """
import json, os, sys, time
from s2igan.workflow.gpu_slots import gpus_of_its_own
with gpus_of_its_own(int(sys.argv[1]), json.loads(sys.argv[2])) as held:
    print(json.dumps([held, os.environ.get("CUDA_VISIBLE_DEVICES")]), flush=True)
    time.sleep(60)
"""


class Job:
    """A process that holds GPUs until it is killed."""

    def __init__(self, folder, count, among):
        command = [sys.executable, "-c", HOLD, str(count), json.dumps(among)]
        environment = {**os.environ, "TMPDIR": str(folder), "CUDA_VISIBLE_DEVICES": ",".join(among)}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)

    def says(self):
        return self.process.stdout.readline().strip()

    def held(self):
        held, visible = json.loads(self.says())
        assert visible == ",".join(held)
        return held

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def test_each_run_has_a_gpu_of_its_own(tmp_path):
    among, jobs = ["0", "GPU-b/c"], []
    try:
        jobs += [Job(tmp_path, 1, among), Job(tmp_path, 1, among)]
        assert sorted(job.held()[0] for job in jobs) == sorted(among)
        third = Job(tmp_path, 1, among)
        jobs.append(third)
        assert third.says() == "waiting for 1 of 2 GPUs"
        time.sleep(1)
        jobs[0].kill()  # frees the GPU that it held
        assert len(third.held()) == 1
    finally:
        for job in jobs:
            job.kill()


def test_a_run_of_two_processes_has_two_gpus(tmp_path):
    among, jobs = ["0", "1", "2"], []
    try:
        jobs.append(Job(tmp_path, 2, among))
        assert jobs[0].held() == ["0", "1"]
        jobs.append(Job(tmp_path, 2, among))
        assert jobs[1].says() == "waiting for 2 of 3 GPUs"
        jobs.append(Job(tmp_path, 1, among))  # the one that waits holds none
        assert jobs[2].held() == ["2"]
    finally:
        for job in jobs:
            job.kill()


def test_where_there_are_no_more_gpus_than_asked_for(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-of-a-cluster's job")
    for count, among in ((0, ["0", "1"]), (1, []), (1, ["3"]), (2, ["0", "1"]), (4, ["0"])):
        with gpus_of_its_own(count, among):
            assert os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-of-a-cluster's job"
