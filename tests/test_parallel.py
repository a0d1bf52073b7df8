"""Two processes train as one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from s2igan import BadInput
from s2igan.config import resolve
from s2igan.training import processes

SCRIPT = Path(__file__).with_name("train_with_frozen_norms.py")
VALUES = {
    "data_classes": 20,
    "data_captions": 1,
    "sen_gru_size": 8,
    "sen_steps": 20,
    "sen_batch": 8,
    "sen_validate_every": 10,
    "rdg_width": 8,
    "rdg_discriminator_width": 4,
    "rdg_steps": 4,  # few: each step enlarges what sums in another order round otherwise
    "rdg_batch": 8,
    "rdg_log_every": 2,
    "rdg_condition_size": 8,
    "device": "cpu",
    "precision": "fp32",
}


def train(folder, stage, system, processes):
    values = json.dumps({**VALUES, "system": system})
    start = (
        [sys.executable]
        if processes == 1
        else [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    subprocess.run([*start, str(SCRIPT), stage, str(folder), values], check=True, env=environment, timeout=300)
    name = f"{stage}-{system.replace(' ', '-').replace('/', '')}-{processes}"
    return torch.load(folder / f"{name}.pt", weights_only=True), (folder / name / "log.jsonl").read_text().splitlines()


@pytest.mark.parametrize(("stage", "system"), [("sen", "SEN"), ("rdg", "S2IGAN end-to-end")])
def test_two_processes_train_as_one_where_batchnorm_is_frozen(drawn, stage, system):
    (one, log_of_one), (two, log_of_two) = (train(drawn, stage, system, processes) for processes in (1, 2))
    assert one.keys() == two.keys()
    for name in one:
        assert torch.allclose(one[name].float(), two[name].float(), rtol=0, atol=1e-5), (
            name,
            (one[name] - two[name]).abs().max(),
        )
    # One writer, and what it logs is the mean over both.
    assert len(log_of_one) == len(log_of_two) == 2
    for a, b in zip(map(json.loads, log_of_one), map(json.loads, log_of_two), strict=True):
        assert a == pytest.approx(b, rel=1e-4)


def test_one_process_is_alone(tmp_path):
    assert (processes.world(), processes.rank(), processes.local_shard()) == (1, 0, slice(0, None, 1))
    x = torch.ones(2)
    processes.all_reduce_mean([x])
    assert torch.equal(x, torch.ones(2)) and processes.gather(x) is x
    processes.train_apart(resolve({"system": "SEN"}), "sen", tmp_path)  # nothing to do


def test_rows_of_several_processes(monkeypatch):
    monkeypatch.setattr(processes, "world", lambda: 3)
    monkeypatch.setattr(processes, "rank", lambda: 1)
    assert list(range(9))[processes.local_shard()] == [1, 4, 7]
    for count in (3, 6, 8):  # 8 rows among 3 or 6 processes, or one row each, which BatchNorm cannot do with
        with pytest.raises(BadInput, match=r"'processes' is .: rdg_batch, 8, cannot be split evenly"):
            resolve({"processes": count, "sen_batch": 48, "rdg_batch": 8})
