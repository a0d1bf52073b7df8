"""What a run leaves: whole files, metrics, logs, checkpoints."""

import re
import time
import types
from pathlib import Path

import pytest
import torch

from s2igan import BadInput, config
from s2igan.files import project_root, replacing, write_atomic
from s2igan.training.checkpoints import fingerprint, load_checkpoint, save_checkpoint
from s2igan.training.devices import pick_device, seed_everything, use_bf16
from s2igan.training.logs import Log, read_log
from s2igan.training.records import arithmetic, read_metrics, write_metrics

ROOT = Path(__file__).resolve().parents[1]


def test_a_file_is_whole_or_as_it_was(tmp_path):
    path = tmp_path / "deep" / "a.txt"
    write_atomic(path, "old")
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    write_atomic(path, b"new")
    assert path.read_bytes() == b"new"
    assert [entry.name for entry in path.parent.iterdir()] == ["a.txt"]


def test_metrics_are_equal_twice_and_come_back(tmp_path):
    values = config.resolve({"seed": 5, "device": "cpu"})
    rows = [{"metric": "mAP", "value": 12.5, "n": 400, "split": "unseen"}]
    for folder in ("a", "b"):
        write_metrics(tmp_path / folder, rows, values, "sen", "SEN", started=time.time() - 3)
    assert (tmp_path / "a/metrics.json").read_bytes() == (tmp_path / "b/metrics.json").read_bytes()
    read = read_metrics(tmp_path / "a")
    assert (read["metrics"], read["seed"], read["system"]) == (rows, 5, "SEN")
    assert read["timing"]["seconds"] >= 3
    assert {"commit", "versions", "device"} <= read.keys()
    assert config.resolve(config.from_yaml(tmp_path / "a/params.yaml")) == values
    with pytest.raises(BadInput, match="has not finished"):
        read_metrics(tmp_path)
    with pytest.raises(ValueError, match="lacks n, split"):
        write_metrics(tmp_path, [{"metric": "mAP", "value": 1.0}], values, "sen")


def test_zeros_that_a_power_cut_left_at_the_end_of_a_log_are_dropped(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"step": 100, "loss": 1.0}\n{"step": 200' + bytes(300))
    assert read_log(path) == [{"step": 100, "loss": 1.0}]
    Log(path, total=300, start=100)
    assert path.read_bytes() == b'{"step": 100, "loss": 1.0}\n'
    path.write_bytes(bytes(9) + b'{"step": 100, "loss": 1.0}\n')
    with pytest.raises(BadInput, match="line 1 has a zero byte"):
        read_log(path)


def test_log_drops_what_is_trained_again(tmp_path, capsys):
    path = tmp_path / "log.jsonl"
    log = Log(path, total=300, batch=32)
    for step in (100, 200, 300):
        log(step, loss=step / 100)
    with open(path, "a") as file:
        file.write('{"step": 4')  # cut off by a kill
    Log(path, total=300, start=200)(250, loss=9)
    assert read_log(path) == [{"step": 100, "loss": 1.0}, {"step": 200, "loss": 2.0}, {"step": 250, "loss": 9.0}]
    assert re.match(r"step 100/300  loss 1  \d+ img/s  ~0 s left\n", capsys.readouterr().out)


def test_checkpoints(tmp_path, capsys):
    mark = fingerprint({"rdg_lr": 0.1}, "data")
    assert mark == fingerprint({"rdg_lr": 0.1}, "data") != fingerprint({"rdg_lr": 0.2}, "data")
    assert load_checkpoint(tmp_path / "none", mark) is None
    for step in (10, 20, 30):
        save_checkpoint(
            tmp_path, step, {"net": {"weight": torch.full((3,), float(step))}, "random": torch.get_rng_state()}, mark
        )
    newest, older = (tmp_path / f"step-{step:08d}.pt" for step in (30, 20))
    assert sorted(tmp_path.iterdir()) == [older, newest]
    step, state = load_checkpoint(tmp_path, mark)
    assert (step, state["net"]["weight"].tolist()) == (30, [30.0] * 3)
    with pytest.raises(BadInput, match="other settings"):
        load_checkpoint(tmp_path, fingerprint("other"))
    newest.write_bytes(newest.read_bytes()[:-400])
    assert load_checkpoint(tmp_path, mark)[0] == 20
    assert "damaged" in capsys.readouterr().out
    older.write_bytes(b"")
    assert load_checkpoint(tmp_path, mark) is None


def test_seeds_and_devices(monkeypatch):
    drawn = [
        (seed_everything(*parts), torch.rand(1).item()) for parts in [(1, "sen"), (1, "rdg"), (1, "sen"), (2, "sen")]
    ]
    assert drawn[0] == drawn[2]
    assert len({draw for _, draw in drawn}) == 3
    cpu = torch.device("cpu")
    assert pick_device(config.resolve({"device": "cpu"})) == cpu
    assert use_bf16(config.resolve({"precision": "bf16"}), cpu)
    assert not use_bf16(config.resolve({"precision": "fp32"}), cpu)
    assert isinstance(use_bf16(config.resolve({}), cpu), bool)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")  # a processor that emulates bf16
    assert not use_bf16(config.resolve({}), cpu)


def test_project_root(tmp_path):
    assert project_root(ROOT / "notebooks") == ROOT
    with pytest.raises(BadInput, match="no Snakefile"):
        project_root(tmp_path)


def test_notebook_parameters_are_all_known_settings():
    values = config.resolve({})
    for stage in ("data", "sen", "rdg", "analysis"):
        assert config.resolve(config.notebook_parameters(values, stage)) == values


def test_the_arithmetic_is_recorded(monkeypatch):
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": False, "avx512_bf16": True, "avx2": True})
    for name in ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"):
        monkeypatch.delenv(name, raising=False)
    assert arithmetic(cpu) == {"torch": "AVX2", "bf16": "avx512_bf16"}
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "avx2")
    assert arithmetic(cpu)["oneDNN at most"] == "AVX2"
    convolutions = types.SimpleNamespace(fp32_precision="tf32")
    cudnn = types.SimpleNamespace(conv=convolutions, rnn=torch.backends.cudnn.rnn)
    monkeypatch.setattr(torch.backends, "cudnn", cudnn)
    monkeypatch.setattr(torch.backends.cuda, "matmul", types.SimpleNamespace(fp32_precision="none"))
    found = arithmetic(gpu)
    assert list(found) == ["matmul", "conv", "rnn"] and found["matmul"] == "ieee" and found["conv"] == "tf32"
    convolutions.fp32_precision = "ieee"
    assert arithmetic(gpu)["conv"] == "ieee"
