"""The benchmark: reference implementation and library are equal, and a difference is noticed; files and words."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from s2igan import rdg
from s2igan.workflow import study

sys.path.append(str(Path(__file__).resolve().parents[1] / "benchmarks"))

import bench
import inputs
import measuring
import report
import rows
import scaling
import study_rows

CPU = torch.device("cpu")
TINY = inputs.Sizes(
    image=64,
    width=8,
    embedding=16,
    network="proxy",
    batch=4,
    generated=3,
    gru=8,
    sen_batch=6,
    captions=5,
    frames=60,
    pictures=3,
    queries=30,
    gallery=90,
    features=8,
    scored=(40, 7),
    clips=2,
    repeats=1,
)


def built(row):
    return {side: row.build(side, TINY, CPU) for side in ("reference", *row.least)}


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.mark.parametrize("row", rows.ROWS, ids=lambda row: row.name)
def test_reference_and_library_are_equal(row, capsys, monkeypatch):
    sides = built(row)
    differences, gflop = measuring.check(row, TINY, CPU, sides)
    assert all(found <= measuring.BOUND for side, found in differences.items() if side != "bf16")
    assert row.name in capsys.readouterr().out
    if row.name in ("rdg-step", "generation", "inception"):
        assert 0 < differences["bf16"] < 0.5
    if row.name in ("rdg-step", "generation"):
        assert gflop["fp32"] < gflop["reference"]  # the same with fewer products
    if row.name.endswith("step"):  # the updates were the same too
        if row.name == "sen-step":  # its sides resume with other batches, of any length and by length
            second_batch = np.random.default_rng(2).permutation(8 * TINY.sen_batch)[TINY.sen_batch : 2 * TINY.sen_batch]
            monkeypatch.setattr(rows, "epoch_batches", lambda *_: iter([(second_batch, second_batch)]))
            sides = built(row)
            measuring.check(row, TINY, CPU, sides)
        second = {side: sides[side]() for side in ("reference", "fp32")}
        assert measuring.compare(second["reference"], second["fp32"])[0] < 1e-3


def test_what_is_not_equal_stops_before_anything_is_timed(monkeypatch):
    row = next(row for row in rows.ROWS if row.name == "rdg-step")
    upsample = rdg.upsample_conv
    monkeypatch.setattr(rdg, "upsample_conv", lambda conv, x: 1.01 * upsample(conv, x).roll(1, -1))
    with pytest.raises(SystemExit, match="rdg-step: fp32 and the reference are not equal"):
        measuring.check(row, TINY, CPU, built(row))
    with pytest.raises(SystemExit, match="other names"):
        measuring.compare({"a": 1.0}, {"b": 1.0})
    assert measuring.compare({"a": torch.tensor([1.0, -2.0])}, {"a": torch.tensor([1.0, -2.1])})[0] == pytest.approx(
        0.05, rel=1e-4
    )
    with pytest.raises(SystemExit, match="not equal"):
        measuring.check(
            row, TINY, CPU, {"reference": lambda: {"a": 1.0, "b": 1.0}, "fp32": lambda: {"a": 1.0, "b": float("nan")}}
        )


def test_the_step_of_the_default_study_is_its_own():
    repetition, batch = study_rows.mini_step(rdg_batch=4, rdg_width=8, rdg_discriminator_width=4)
    assert batch == 4 and set(repetition()) == {"D8", "D16", "D32", "RS", "G_RS", "G", "KL"}


def executed(folder, name, imports_end, end):
    def cell(source, when):
        return {
            "cell_type": "code",
            "source": [source],
            "metadata": {"papermill": {"end_time": f"2026-01-01T00:{when}+00:00"}},
        }

    (folder / name).mkdir(parents=True)
    prose = {"cell_type": "markdown", "source": ["import me"]}
    cells = [prose, cell("seed = 0", imports_end), cell("import time\n", imports_end), cell("1", end)]
    (folder / name / "01_data.ipynb").write_text(json.dumps({"cells": cells}))


def test_overhead_is_the_time_in_which_no_run_works(tmp_path, capsys):
    assert study_rows.default_study(tmp_path) == [] and "not measured" in capsys.readouterr().err
    executed(tmp_path, "flowers/data", "00:10", "01:00")  # 50 s
    executed(tmp_path, "flowers/a", "01:05", "02:00")  # 55 s, and side by side
    executed(tmp_path, "flowers/b", "01:10", "02:15")  # 15 s more
    (tmp_path / "study.yaml").write_text(json.dumps(study.DEFAULTS))
    (tmp_path / "timing.json").write_text(json.dumps({"runs": 3, "seconds": 150.0, "peak_memory_gib": 1.5}))
    values = {row["name"]: row["value"] for row in study_rows.default_study(tmp_path)}
    assert values == {"study-seconds": 150.0, "study-overhead": pytest.approx(20.0), "study-memory": 1.5}
    (tmp_path / "timing.json").write_text(json.dumps({"runs": 2, "seconds": 150.0, "peak_memory_gib": 1.5}))
    assert study_rows.default_study(tmp_path) == []


def test_the_file_keeps_rows_of_other_names_and_devices(tmp_path):
    path = tmp_path / "benchmarks.json"
    row = {
        "name": "mAP",
        "what": "",
        "reference": 2.0,
        "ours": 1.0,
        "ratio": 2.0,
        "at_least": 2.0,
        "device": "a CPU",
        "gemm_peak": 1234.0,
    }
    about = {"threads": 2, "cores": 2, "torch": "2.11", "commit": "c", "date": "2026-01-01"}
    report.keep(path, [row, {**row, "name": "other"}], {"device": "a CPU", **about}, TINY)
    report.keep(path, [{**row, "device": "a GPU"}], {"device": "a GPU", **about}, TINY)
    report.keep(path, [{**row, "ratio": 3.0}], {"device": "a CPU", **about}, TINY)
    found = json.loads(path.read_text())
    assert all(r["threads"] == 2 and r["commit"] == "c" and r["batch"] == 4 for r in found["rows"])
    assert set(found["machines"]) == {"a CPU", "a GPU"}
    assert {(r["name"], r["device"], r["ratio"]) for r in found["rows"]} == {
        ("mAP", "a CPU", 3.0),
        ("other", "a CPU", 2.0),
        ("mAP", "a GPU", 2.0),
    }
    assert "| mAP | 2 | 1 | 2.00 | 2 |" in report.table([row])
    cpu, gpu = (
        path.with_suffix(".md").read_text().split("a GPU, ")
    )  # the page: each device's line, and its rows below it
    assert cpu.startswith(
        "a CPU, 2 cores, 2 threads, torch 2.11; measured 2026-01-01, medians of 1, RDG steps at a batch of 4. "
    )
    assert (
        "Best matrix product of the calls: 1,234 to 1,234 GFLOP/s in fp32.\n" in cpu and "| mAP | 2 | 1 | 3.00 |" in cpu
    )
    assert cpu.index("| other |") < cpu.index("| mAP |") and "| mAP | 2 | 1 | 2.00 |" in gpu and "| other |" not in gpu


def test_short_sides_are_run_once_more_uncounted(monkeypatch):
    calls, took = (
        {"reference": 0, "fp32": 0},
        {"reference": iter([2.0, 4.0, 3.0]), "fp32": iter([0.9, 0.1, 0.9, 0.3, 0.9, 0.2])},
    )

    def side(name):
        def repetition():
            calls[name] += 1
            return next(took[name])

        return repetition

    monkeypatch.setattr(measuring, "timed", lambda repetition, device: repetition())
    monkeypatch.setattr(measuring.time, "sleep", lambda seconds: None)
    assert measuring.in_turn({name: side(name) for name in calls}, 3, torch.device("cpu")) == {
        "reference": 3.0,
        "fp32": 0.2,
    }
    assert calls == {"reference": 3, "fp32": 6}


def test_words(monkeypatch):
    monkeypatch.setenv("QUICK", "1")
    assert bench.read_words(["QUICK", "BATCH=3", "ROWS=mAP, log-mel", "cpu"]) == (
        {"QUICK": "1", "BATCH": "3"},
        ["cpu", "mAP", "log-mel"],
    )
    with pytest.raises(SystemExit, match="'SPEED' does not exist"):
        bench.read_words(["SPEED=1"])
    with pytest.raises(SystemExit, match="row 'fast' does not exist"):
        bench.main(["fast"])
    monkeypatch.delenv("QUICK")
    with pytest.raises(SystemExit, match="'REPEATS' must be at least 5"):
        bench.main(["REPEATS=1"])


def test_where_time_grows_linearly():
    points = [
        (1, 10.0),
        (2, 10.1),
        (4, 20.0),
        (8, 41.0),
        (16, 80.0),
        (32, 300.0),
    ]  # about 5 for each further one from 2 to 16
    assert scaling.linear_stretch(points) == (2, 16)
    assert scaling.linear_stretch([(n, 100.0 + 3 * n) for n in (1, 2, 4, 8)]) == (
        1,
        8,
    )  # the share of every step counts for nothing
    assert scaling.linear_stretch([(1, 1.0), (2, 2.0)]) is None  # two sizes are always on a line
    assert scaling.linear_stretch([(1, 1.0), (2, 1.0), (4, 1.0)]) is None
