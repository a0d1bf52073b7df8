"""`make verify`: a toy study against a toy reference."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from s2igan import BadInput
from s2igan.config import resolve
from s2igan.reporting.verify import report, verdict_of, verify
from s2igan.training.records import write_metrics
from s2igan.workflow.commands import main


def run(folder, system, seed, values, **more):
    """A finished run with weights that follow from its values."""
    folder.mkdir(parents=True)
    save_file({"w": torch.tensor(list(values.values()))}, folder / "weights.safetensors")
    settings = resolve({"system": system, "seed": seed, "device": "cpu", **more})
    rows = [{"metric": name, "value": value, "n": 5, "split": "test"} for name, value in values.items()]
    stage = folder.name.split("-")[0]
    write_metrics(folder, rows, settings, stage, "real" if stage == "data" else "")


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A project with a reference of three seeds, and a finished study that equals its first seed."""
    reference = tmp_path / "results/reference/runs/mini-flowers"
    for seed, value in enumerate((90.0, 91.0, 92.0)):
        run(reference / f"rdg-s2igan-seed{seed}", "S2IGAN", seed, {"mAP": value, "FID": 20.0})
    run(reference / "data-store-seed0", "S2IGAN", 0, {"mAP chance": 5.744, "mAP real": 99.0})
    for name in ("rdg-s2igan-seed0", "data-store-seed0"):
        shutil.copytree(reference / name, tmp_path / "results/mini/mini-flowers" / name)
    (tmp_path / "Snakefile").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def change(folder, **values):
    """Other values in a run's record."""
    record = json.loads((folder / "metrics.json").read_text())
    for row in record["metrics"]:
        row["value"] = values.get(row["metric"].replace(" ", "_"), row["value"])
    (folder / "metrics.json").write_text(json.dumps(record))


def verdicts(root):
    found = verify(root / "results/mini/mini-flowers", root / "results/reference/runs/mini-flowers")
    return found, dict(zip(found.figures.metric, found.figures.verdict, strict=True))


def test_a_study_that_equals_the_reference(root, capsys):
    found, each = verdicts(root)
    assert found.agrees and set(each.values()) == {"equal"} and set(found.runs.files) == {"those of the reference"}
    assert main(["verify"]) == 0
    out = capsys.readouterr().out
    assert "mini, mini-flowers" in out and "4 figures: 4 equal" in out and "not equal" not in out
    assert main(["verify", "STUDY=mini", "DATASET=mini-flowers"]) == 0


def test_a_changed_weight_file_is_found_though_every_figure_is_equal(root, capsys):
    path = root / "results/mini/mini-flowers/rdg-s2igan-seed0/weights.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    found, each = verdicts(root)
    assert set(each.values()) == {"equal"} and not found.agrees
    assert dict(zip(found.runs.run, found.runs.files, strict=True)) == {
        "rdg-s2igan-seed0": "changed: weights.safetensors",
        "data-store-seed0": "those of the reference",
    }
    assert main(["verify"]) == 1 and "rdg-s2igan-seed0: changed: weights.safetensors" in capsys.readouterr().out
    path.unlink()
    assert main(["verify"]) == 1 and "missing: weights.safetensors" in capsys.readouterr().out


def test_within_and_outside_the_spread_over_the_seeds(root, capsys):
    study = root / "results/mini/mini-flowers"
    # Seeds 90, 91, 92: mean 91, std 1; t(0.995, 2) = 9.925, times sqrt(4 / 3): 11.46 on either side.
    for value, verdict in ((79.6, "within"), (79.5, "outside"), (102.4, "within"), (102.5, "outside")):
        change(study / "rdg-s2igan-seed0", mAP=value)
        assert verdicts(root)[1]["mAP"] == verdict and main(["verify"]) == (verdict == "outside")
        assert f"1 {verdict}" in capsys.readouterr().out
    change(study / "rdg-s2igan-seed0", mAP=90.00001, FID=20.01)  # FID has no spread: to a thousandth
    assert verdicts(root)[1] | {"mAP": ""} == {"mAP": "", "FID": "within", "mAP chance": "equal", "mAP real": "equal"}
    change(study / "rdg-s2igan-seed0", FID=20.03)
    assert verdicts(root)[1]["FID"] == "outside"


def test_one_seed_has_no_spread_and_chance_must_be_equal(root):
    study = root / "results/mini/mini-flowers"
    change(study / "data-store-seed0", mAP_real=98.0)
    found, each = verdicts(root)
    assert each["mAP real"] == "no spread" and found.agrees
    change(study / "data-store-seed0", mAP_chance=5.8)
    found, each = verdicts(root)
    assert each["mAP chance"] == "outside" and not found.agrees
    assert "5.8" in report(found, "title")
    assert verdict_of("R@1", 3.0, None, np.array([])) == "not in the reference"


def test_what_the_reference_lacks_is_said_and_other_settings_are_refused(root, capsys):
    study = root / "results/mini/mini-flowers"
    run(study / "rdg-s2igan-wo-rs-seed7", "S2IGAN w/o RS", 7, {"mAP": 80.0})
    run(study / "rdg-s2igan-seed7", "S2IGAN", 7, {"mAP": 91.5, "R@1": 5.0})
    found, _ = verdicts(root)
    each = {(row.run, row.metric): row.verdict for row in found.figures.itertuples()}
    assert each["rdg-s2igan-wo-rs-seed7", "mAP"] == each["rdg-s2igan-seed7", "R@1"] == "not in the reference"
    assert each["rdg-s2igan-seed7", "mAP"] == "within" and found.agrees
    run(study / "rdg-s2igan-seed8", "S2IGAN", 8, {"mAP": 91.5}, rdg_steps=50)
    with pytest.raises(BadInput, match=r"rdg-s2igan-seed8.*rdg_steps = 50.*2000"):
        verdicts(root)
    faults = {"": "rdg_steps", "STUDY=none": "make study", "SEED=1": "'seeds'", "DATASET=cub": "cub"}
    for word, said in faults.items():
        assert main(["verify", *word.split()]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and said in error


def test_records_of_earlier_versions_have_no_checksums(root):
    path = root / "results/mini/mini-flowers/rdg-s2igan-seed0/metrics.json"
    record = json.loads(path.read_text())
    del record["checksums"]
    path.write_text(json.dumps(record))
    found, _ = verdicts(root)
    assert found.agrees and set(found.runs.files) == {"not recorded", "those of the reference"}
