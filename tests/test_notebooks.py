"""The notebooks at toy size, through the study's commands: what they leave, a kill in the middle, own data."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
import yaml
from small_training import OF_MACHINE

from s2igan import BadInput, speech
from s2igan.config import resolve
from s2igan.data.sources import read_source
from s2igan.data.store import attribute_targets, open_store
from s2igan.data.synthetic.dataset import write_dataset
from s2igan.data.synthetic.sets import SETS
from s2igan.evaluation.finished import open_run
from s2igan.reporting.keep import keep_tables
from s2igan.reporting.one_word import follows, one_word_changed

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
TOY = {
    **OF_MACHINE,
    "data_classes": 20,
    "data_images_per_class": 4,
    "data_unseen_images": 4,
    "data_captions": 1,
    "data_backbone_steps": 5,
    "data_backbone_batch": 16,
    "sen_steps": 4,
    "sen_text_steps": 4,
    "sen_batch": 8,
    "sen_gru_size": 8,
    "sen_validate_every": 2,
    "rdg_steps": 24,
    "rdg_batch": 8,
    "rdg_width": 8,
    "rdg_discriminator_width": 4,
    "rdg_log_every": 4,
    "rdg_checkpoint_every": 4,
    "rdg_sample_every": 12,
    "eval_splits": 2,
}


def project(folder: Path) -> Path:
    """A copy of what the commands run in, so that nothing is written into the repository."""
    folder.mkdir(exist_ok=True)
    shutil.copytree(ROOT / "notebooks", folder / "notebooks")
    for name in ("Snakefile", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    (folder / "toy.yaml").write_text(yaml.safe_dump(TOY))
    return folder


def study(folder: Path, *names: str, **options) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "s2igan", "study", "PARAMS=toy.yaml", *names]
    try:
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=500, **options)
    except subprocess.TimeoutExpired as late:
        pytest.fail(f"no end after 500 s:\n{(late.stdout or b'').decode()}\n{(late.stderr or b'').decode()}")


def answer(path: Path) -> str:
    """The Markdown that an executed notebook displays below its heading Answer."""
    cells = nbformat.read(path, as_version=4).cells
    start = next(i for i, cell in enumerate(cells) if cell.source.startswith("## Answer"))
    shown = [output.data for cell in cells[start:] for output in cell.get("outputs", []) if "data" in output]
    return "\n".join(data["text/markdown"] for data in shown if "text/markdown" in data)


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    folder = project(tmp_path_factory.mktemp("toy"))
    ended = study(folder)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return folder, ended


def test_the_default_study_leaves_what_the_readme_promises(toy):
    folder, ended = toy
    results = folder / "results/mini/mini-flowers"
    runs = {path.parent.name for path in results.glob("*/metrics.json")}
    assert runs == {
        "data-store-seed0",
        "sen-sen-seed0",
        "sen-sen-wo-ld-seed0",
        "rdg-s2igan-seed0",
        "rdg-s2igan-wo-ld-seed0",
    }
    for run in runs:
        about = json.loads((results / run / "metrics.json").read_text())
        assert {"commit", "device", "versions", "seed", "system", "dataset", "preset"} <= set(about)
        assert all({"metric", "value", "n", "split"} <= set(row) for row in about["metrics"])
        assert yaml.safe_load((results / run / "params.yaml").read_text())["dataset"] == "mini-flowers"
        (notebook,) = (results / run).glob("*.ipynb")
        cells = nbformat.read(notebook, as_version=4).cells
        assert not any(output.output_type == "error" for cell in cells for output in cell.get("outputs", []))
    table = pd.read_csv(results / "analysis/metrics.csv")
    assert list(table.columns[:7]) == ["dataset", "preset", "system", "seed", "metric", "value", "n"]
    for system in ("S2IGAN", "S2IGAN w/o L_d"):
        assert {"mAP", "FID", "KID", "IS", "IS_std"} <= set(table[table.system == system].metric)
    assert {"mAP", "mAP released", "mAP chance"} <= set(table[table.system == "SEN"].metric)
    for name in ("samples.png", "map.svg", "tsne.svg", "curves_rdg.svg", "curves_sen.svg"):
        assert (results / "analysis" / name).stat().st_size > 1000
    assert "With $L_d$ minus without" in answer(results / "analysis/04_analysis.ipynb")
    assert "S2IGAN w/o L_d" in ended.stdout and "step 24/24" in ended.stdout  # the table at the end, progress before


def test_a_second_call_does_nothing_in_seconds(toy):
    started = time.monotonic()
    ended = study(toy[0])
    assert ended.returncode == 0 and "nothing to do" in ended.stdout
    assert time.monotonic() - started < 30


def test_killed_in_the_middle_and_run_again_equals_uninterrupted(toy):
    folder, _ = toy
    run = folder / "results/mini/mini-flowers/rdg-s2igan-seed0"
    whole = {name: (run / name).read_bytes() for name in ("weights.safetensors", "metrics.json", "log.jsonl")}
    shutil.rmtree(run)
    process = subprocess.Popen(
        [sys.executable, "-m", "s2igan", "study", "PARAMS=toy.yaml"],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 200
    while not list(run.glob("checkpoints/*/step-*.pt")) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(3)  # what the study started notices that it is gone
    assert list(run.glob("checkpoints/*/step-*.pt")) and not (run / "metrics.json").exists()
    ended = study(folder)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "resumes from step" in ended.stdout
    assert {name: (run / name).read_bytes() for name in whole} == whole  # weights, and the same metrics.json twice


def test_the_other_systems_join_the_same_study(toy):
    folder, _ = toy
    ended = study(folder, "SYSTEMS=S2IGAN,S2IGAN end-to-end,StackGAN-v2 (T2IG)", "TABLES=1")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    results = folder / "results/mini/mini-flowers"
    table = pd.read_csv(results / "analysis/metrics.csv")
    assert set(table.system) == {"real", "SEN", "text encoder", "S2IGAN", "S2IGAN end-to-end", "StackGAN-v2 (T2IG)"}
    assert (results / "sen-text-encoder-seed0/02_text_encoder.ipynb").is_file()
    left = {path.name for path in (results / "rdg-s2igan-end-to-end-seed0").iterdir()}
    assert {"speech_encoder.safetensors", "embeddings.safetensors", "weights.safetensors"} <= left
    new_captions_are_embedded_as_old_ones(folder)
    tables = folder / "results/mini/tables"
    for name in ("table1", "table2", "retrieval", "published1", "claims", "asked_mini-flowers"):
        assert all((tables / f"{name}.{ending}").stat().st_size > 20 for ending in ("md", "csv", "tex")), name
    assert (
        "S2IGAN end-to-end" in (tables / "table1.md").read_text() and "one seed" in (tables / "claims.md").read_text()
    )
    assert "2 are inconclusive" in answer(tables / "05_tables.ipynb") and "when one word changes" in answer(
        tables / "05_figures.ipynb"
    )
    for name in ("samples", "systems", "words", "follows", "asked", "snapshots", "tsne", "map", "curves_rdg"):
        assert (tables / f"{name}_mini-flowers.png").stat().st_size > 1000, name
    words = pd.read_csv(tables / "words.csv")
    assert (
        set(words.attribute) == set(SETS["mini-flowers"].attributes)
        and words["S2IGAN end-to-end"].between(0, 100).all()
    )


def test_networks_that_are_ready_take_the_place_of_training(toy):
    folder, _ = toy
    assert (
        study(folder, "SYSTEMS=S2IGAN,S2IGAN end-to-end,StackGAN-v2 (T2IG)", "TABLES=1").returncode == 0
    )  # it is there
    packed = subprocess.run(
        [sys.executable, "-m", "s2igan", "weights", "results/mini/mini-flowers"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert packed.returncode == 0, packed.stdout + packed.stderr
    ended = study(folder, "SYSTEMS=S2IGAN", "WEIGHTS=reference")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    loaded = [line for line in ended.stdout.splitlines() if "nothing is trained here: loaded" in line]
    assert len(loaded) == 4 and not any(
        " step " in line for line in ended.stdout.splitlines()
    )  # two proxies, SEN, S2IGAN
    for run in ("sen-sen-seed0", "rdg-s2igan-seed0"):
        values = {}
        for of in ("mini", "mini-reference"):
            about = json.loads((folder / f"results/{of}/mini-flowers/{run}/metrics.json").read_text())
            values[of] = {row["metric"]: row["value"] for row in about["metrics"]}
            assert about.get("weights", "") == ("reference" if "reference" in of else "")
        assert values["mini"]["mAP"] == pytest.approx(values["mini-reference"]["mAP"], abs=3)
    shutil.copy(ROOT / "results/reference/metrics.csv", folder / "results/reference")
    for name in ("00_start_here", "06_speak"):
        out = folder / "results/read" / f"{name}.ipynb"
        command = [
            sys.executable,
            "-m",
            "s2igan",
            "run",
            f"notebooks/{name}.ipynb",
            "--out",
            str(out),
            "--params",
            "toy.yaml",
        ]
        ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=200)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert (
            "loaded S2IGAN of mini-flowers, seed 0, 24 steps, from results/reference/weights/mini-flowers" in ran.stdout
        )
        assert len(re.findall(r"out-of-distribution score .*: (?:in|out of) distribution", ran.stdout)) == 4


def new_captions_are_embedded_as_old_ones(folder):
    store, of_toy = open_store(folder / "data/mini/mini-flowers"), resolve({})
    some = [0, 3, 5]
    texts, mels = (
        [store.caption_text[i] for i in some],
        [torch.from_numpy(np.array(store.mel(i))).float() for i in some],
    )
    for system in ("s2igan", "s2igan-end-to-end", "stackgan-v2-t2ig"):
        run = folder / f"results/mini/mini-flowers/rdg-{system}-seed0"
        kept = open_run(run).speech_embeddings()[some]
        assert torch.allclose(open_run(run).caption_encoder()(texts, mels), kept, atol=0.02), system
    changed, mels = one_word_changed(store, of_toy)
    assert len(mels) == len(changed)
    values, _ = attribute_targets(store)
    first = changed.iloc[0]
    seen = {
        name: np.full(len(changed), values[name].index(first.value) if name == first.attribute else -1)
        for name in values
    }
    assert list(follows(changed, store, seen)) == list(
        (changed.attribute == first.attribute) & (changed.value == first.value)
    )


def test_the_experiment_on_the_distinctive_loss_reads_its_studies(toy):
    folder, _ = toy
    for kind in ("results", "data"):
        shutil.copytree(folder / kind / "mini/mini-flowers", folder / kind / "distinctive-as-it-is/mini-flowers")
    out = folder / "results/distinctive/tables/05_distinctive_loss.ipynb"
    command = [sys.executable, "-m", "s2igan", "run", "notebooks/05_distinctive_loss.ipynb", "--out", str(out)]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=200)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    gains = pd.read_csv(out.parent / "gains.csv")
    assert list(gains.condition) == ["as it is"] and gains.conclusion[0] == "inconclusive"  # one seed
    assert "1 inconclusive" in answer(out)
    assert (out.parent / "gains.svg").stat().st_size > 1000
    keep_tables(out.parent, folder / "kept")
    assert pd.read_csv(folder / "kept/distinctive/metrics.csv").commit.notna().all()
    assert {"gains.md", "gains.svg", out.name} <= {path.name for path in (folder / "kept/distinctive").iterdir()}
    with pytest.raises(BadInput, match="make distinctive"):
        keep_tables(folder / "elsewhere/distinctive/tables", folder / "kept")


def test_somebodys_own_recordings_and_images(tmp_path):
    folder, mine = project(tmp_path / "project"), tmp_path / "mine"
    write_dataset("mini-birds", mine, 3, 20, 4, 4, 1, workers=1, progress=lambda line: None)
    for item in read_source("folder", mine).items:
        audio = mine / "audio" / f"{item.name}_0.flac"
        audio.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(audio, speech.speak(list(item.texts))[0].numpy(), speech.SAMPLE_RATE)
    shutil.rmtree(mine / "captions")
    (mine / "attributes.csv").unlink()
    ended = study(folder, "DATASET=folder", f"DATA_DIR={mine}", "SYSTEMS=S2IGAN", "RDG_STEPS=8", "STUDY=own")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    table = pd.read_csv(folder / "results/own/folder/analysis/metrics.csv")
    assert set(table.system) == {"real", "SEN", "S2IGAN"}


def test_a_fault_in_the_data_is_one_line(tmp_path):
    folder, mine = project(tmp_path / "project"), tmp_path / "mine"
    write_dataset("mini-birds", mine, 3, 10, 2, 2, 1, workers=1, progress=lambda line: None)
    broken = sorted((mine / "images").rglob("*.png"))[3]
    broken.write_bytes(b"")
    ended = study(folder, "DATASET=folder", f"DATA_DIR={mine}")
    assert ended.returncode != 0
    (line,) = [line for line in ended.stderr.splitlines() if not line.startswith("note: ")]
    assert line.startswith("error: ") and str(broken) in line and "zero bytes" in line
    assert not (folder / "data/mini/folder").exists()


def test_a_dry_run_takes_every_step_of_the_paper_preset(tmp_path):
    """At toy size, but with the networks of the paper: Inception for SEN, FID and IS; in two processes."""
    folder = project(tmp_path)
    ended = study(
        folder,
        "DRY=1",
        "DATA_BACKBONE=inception",
        "SYSTEMS=S2IGAN",
        "RDG_STEPS=2",
        "SEN_STEPS=2",
        "PROCESSES=2",
        "DEVICE=cpu",
        "DATA_CLASSES=10",
        "DATA_IMAGES_PER_CLASS=2",
        "CLASSIFIER_HELD_OUT=2",
        "RDG_SAMPLE_EVERY=9",
        "THREADS=1",
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "WARNING: random weights of Inception" in ended.stdout
    assert re.search(r"peak memory +\d+\.\d GiB", ended.stdout) and "none of its numbers means anything" in ended.stdout
    results = folder / "results/mini-dry/mini-flowers"
    about = {path.parent.name: json.loads(path.read_text()) for path in results.glob("*/metrics.json")}
    assert set(about) == {"data-store-seed0", "classifier-inception-seed0", "sen-sen-seed0", "rdg-s2igan-seed0"}
    assert {run["processes"] for name, run in about.items() if name.startswith(("sen", "rdg"))} == {2}
    for run in (
        "sen-sen-seed0",
        "rdg-s2igan-seed0",
    ):  # trained by the two processes; the notebook took the last checkpoint
        printed = "".join(
            output.text
            for cell in nbformat.read(next((results / run).glob("*.ipynb")), as_version=4).cells
            for output in cell.get("outputs", [])
            if output.output_type == "stream"
        )
        assert "step 2/2" in printed and "resumes from step 2" in printed
    metrics = {row["metric"] for row in about["rdg-s2igan-seed0"]["metrics"]}
    assert {"mAP", "FID", "KID", "IS"} <= metrics
    assert {row["metric"] for row in about["classifier-inception-seed0"]["metrics"]} == {
        "accuracy",
        "IS real",
        "IS_std real",
    }
