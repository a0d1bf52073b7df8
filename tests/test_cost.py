"""What a study costs: counted against closed forms, and the notebook itself at toy size."""

import subprocess
import sys

import pandas as pd
import pytest
import torch
from test_notebooks import TOY, project

from s2igan.config import resolve
from s2igan.reporting import cost

SMALL = resolve({"rdg_width": 8, "rdg_discriminator_width": 4, "sen_gru_size": 8})


def test_features_are_counted_as_their_convolutions():
    # A convolution takes 2 * 9 * channels in * channels out * pixels out; the proxy's halve 32 pixels three times.
    layers = ((3, 32, 16), (32, 64, 8), (64, 96, 8), (96, 128, 4), (128, 128, 4))
    expected = sum(2 * 9 * before * after * pixels**2 for before, after, pixels in layers) / 1e9
    assert cost.gflop(cost.stages(SMALL, "cub")[0]) == pytest.approx(expected, rel=1e-6)


def test_what_each_part_adds():
    counted = {stage.name: cost.gflop(stage, 2) for stage in cost.stages(SMALL, "oxford")}
    s2igan = counted["S2IGAN"]
    without = min(counted["S2IGAN w/o Dense"], counted["S2IGAN w/o RS"])
    assert max(counted["S2IGAN w/o Dense"], counted["S2IGAN w/o RS"]) < s2igan  # each leaves something out
    assert counted["S2IGAN w/o L_d"] == s2igan  # that is a matter of SEN
    assert counted["StackGAN-v2 (S2IG)"] == counted["StackGAN-v2 (T2IG)"] < without
    # A speech encoder learns too, and SEN's image encoder.
    assert counted["S2IGAN end-to-end"] > counted["S2IGAN w/o SEN"] > s2igan


def test_images_that_pass_through_a_training():
    of = {stage.name: stage.images for stage in cost.stages(resolve({"preset": "paper", "dataset": "cub"}), "cub")}
    learnt = round(8855 * 0.9)  # a tenth is for validation
    assert of["SEN"] == 150 * (learnt // 128) * 128 and of["S2IGAN"] == 600 * (learnt // 24) * 24
    assert of["evaluation of all systems"] == 8 * 29_330  # images of the paper's systems


def test_other_systems_than_the_papers():
    chosen = resolve(
        {"rdg_width": 8, "rdg_discriminator_width": 4, "sen_gru_size": 8, "cost_systems": ["S2IGAN hinge"]}
    )
    counted = {stage.name: cost.gflop(stage, 2) for stage in cost.stages(chosen, "oxford")[-2:]}
    assert list(counted) == ["S2IGAN hinge", "evaluation of all systems"]
    assert counted["S2IGAN hinge"] == cost.gflop(next(s for s in cost.stages(SMALL, "oxford") if s.name == "S2IGAN"), 2)


def test_hours_and_money():
    work = pd.DataFrame({"dataset": "cub", "stage": ["classifier", "SEN"], "images": [3600, 7200]})
    table = cost.plan(work, pd.Series({"classifier": 2.0, "SEN": 0.5}), price=3.0, seeds=3)
    assert list(table.hours) == [2.0, 3.0] and list(table.money) == [6.0, 9.0] and list(table.runs) == [1, 3]


def test_steps_are_timed():
    stage = cost.stages(SMALL, "cub")[-1]
    rate, memory = cost.images_per_second(stage, torch.device("cpu"), 2, repeats=1)
    assert rate > 0 and memory == 0
    assert cost.captions_per_second(5) > 0


def test_the_notebook(tmp_path):
    folder = project(tmp_path / "project")
    values = [f"{name}={value}" for name, value in TOY.items() if name.startswith(("sen_", "rdg_"))]
    command = [sys.executable, "-m", "s2igan", "cost", "preset=mini", "cost_batch=2", "cost_gpu_hour=2", *values]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=200)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    table = pd.read_csv(folder / "results/mini/cost/cost.csv")
    assert len(table) == 2 * len(cost.stages(SMALL, "cub"))
    of_gpu = table["hours, H100 SXM (estimated)"]
    assert (table["money, H100 SXM"] - 2 * of_gpu).abs().max() < 1e-9
    tflop = table["GFLOP an image"] * table.images * table.runs / 1e3
    assert (of_gpu * 3600 * 989 * 0.1).to_numpy() == pytest.approx(tflop.to_numpy())
