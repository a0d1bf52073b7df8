"""Content decides what is run again, not times; parameters that nothing reads are said."""

import os
import time

import pytest

from s2igan.workflow import study
from s2igan.workflow.timestamps import end_future_times, folder_digest


def test_a_folders_digest_is_of_names_and_contents(tmp_path):
    known, folder = tmp_path / "known.json", tmp_path / "data"
    (folder / "a").mkdir(parents=True)
    (folder / "a/x.txt").write_text("one")
    first = folder_digest(str(folder), known)
    os.utime(folder / "a/x.txt", (1, 1))
    (folder / ".hidden").write_text("x")
    (folder / "a/._x.txt").write_text("x")
    assert folder_digest(str(folder), known) == first
    known.write_text("damaged")
    assert folder_digest(str(folder), known) == first
    (folder / "a/x.txt").write_text("two")
    changed = folder_digest(str(folder), known)
    (folder / "a/x.txt").rename(folder / "a/y.txt")
    renamed = folder_digest(str(folder), known)
    (folder / "a/z").symlink_to("nowhere")
    assert len({first, changed, renamed, folder_digest(str(folder), known)}) == 4
    assert folder_digest("", known) == ""


def test_a_known_file_is_not_read_again(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/x").write_text("one")
    first = folder_digest(str(tmp_path / "data"), tmp_path / "known.json")
    monkeypatch.setattr("s2igan.workflow.timestamps.file_sha256", lambda path: 1 / 0)
    assert folder_digest(str(tmp_path / "data"), tmp_path / "known.json") == first


def test_times_from_the_future_end(tmp_path):
    paths = [tmp_path / "data/mini/birds/index.json", tmp_path / "results/mini/birds/run/weights", tmp_path / "mine"]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        os.utime(path, (time.time() + 7200,) * 2)
    end_future_times("mini", tmp_path)
    assert [path.stat().st_mtime <= time.time() for path in paths] == [True, True, False]


@pytest.mark.parametrize(
    ("given", "unread"),
    [
        ({"sen_text_steps": 5, "sen_lr": 1}, ["sen_text_steps"]),
        ({"sen_text_steps": 5, "systems": "text encoder"}, []),
        ({"systems": "SEN", "rdg_discriminator_lr": 0.1, "rdg_steps": 9}, ["rdg_discriminator_lr", "rdg_steps"]),
        ({"classifier_epochs": 3, "data_fid_weights": "random"}, ["classifier_epochs", "data_fid_weights"]),
        ({"classifier_epochs": 3, "preset": "paper", "data_backbone_steps": 9}, ["data_backbone_steps"]),
        ({"data_images": 3, "data_dir": "x", "download": 1}, ["data_dir", "data_images", "download"]),
        ({"datasets": "cub", "data_images": 3, "data_dir": "x", "download": 1, "data_classes": 9}, ["data_classes"]),
        ({"datasets": "cub,mini-birds", "data_dir": "x", "data_classes": 9}, []),  # one of them reads each
        ({"systems": "S2IGAN w/o SEN", "sen_lr": 0.1, "sen_batch": 8}, ["sen_batch"]),
        ({"systems": "StackGAN-v2 (S2IG)", "rdg_relation_weight": 2}, ["rdg_relation_weight"]),
        ({"sen_epochs": 3, "rdg_epochs": 4}, ["rdg_epochs", "sen_epochs"]),
        ({"sen_epochs": 3, "rdg_epochs": 4, "preset": "paper"}, []),
        ({"weights": "reference", "systems": "S2IGAN", "rdg_lr": 0.1}, ["rdg_lr"]),
        ({"cost_gpu_hour": 1, "analysis_kept": "x"}, ["analysis_kept", "cost_gpu_hour"]),
        ({"tables": 1, "analysis_kept": "x"}, []),
        ({"datasets": "cub", "data_dir": "x", "data_unseen_distance": 2}, ["data_unseen_distance"]),
        ({"preset": "paper", "data_backbone_targets": "none"}, ["data_backbone_targets"]),
        ({"threads": 2, "device": "cpu", "study": "mine", "precision": "fp32", "seeds": "3"}, []),
    ],
)
def test_a_parameter_that_nothing_reads_is_said(given, unread):
    lines = study.not_read(study.plan(given), given.keys())
    assert [line.split("'")[1] for line in lines] == unread
    assert all("\n" not in line for line in lines)
