"""The command line and the Makefile: words, refusals in one line, help."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from s2igan.workflow import commands, run_study
from s2igan.workflow.commands import main

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["STUDY=mine"], "'study' is set by the experiment"),
        (["data_naming=2"], "'data_naming' is set by the experiment"),
        (["DATASETS=cub"], "dataset 'cub'"),
        (["SEN_STEP=5"], "did you mean 'sen_steps'"),
        (["SEEDS=one"], "'seeds' is 'one'"),
    ],
)
def test_bad_input_to_the_experiment_on_the_distinctive_loss(words, said, capsys):
    assert main(["distinctive", *words]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: ") and err.count("\n") == 1 and said in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["DATASET=mini-bird"], "choose one of mini-birds, mini-flowers, cub, oxford, folder"),
        (["RDG_STEP=5"], "did you mean 'rdg_steps'"),
        (["RDG_STEPS=many"], "'rdg_steps' is 'many'"),
        (["RDG_STEPS="], "'rdg_steps' is ''"),
        (["SEEDS=0,one"], "'seeds' is 'one'"),
        (["SEEDS=" + "9" * 5000], "'seeds' is '9999"),
        (["SEEDS="], "'seeds' is empty"),
        (["SYSTEMS=S2IGAN,GAN"], "system 'GAN' does not exist"),
        (["SYSTEMS="], "'systems' is empty"),
        (["CORES=0"], "'cores' is '0'"),
        (["PARAMS=none.yaml"], "none.yaml does not exist"),
        (["DATASET=folder"], "give DATA_DIR"),
        (
            ["DATASET=cub"],
            "data folder data/cub does not exist: give DATA_DIR=path if you have it, or DOWNLOAD=1 to download it",
        ),
        (["ANALYSIS_KEPT=nowhere"], "nowhere/mini-flowers does not exist"),
        (["DATASET=cub", "DATA_DIR=nowhere"], "nowhere does not exist"),
        (["no_such_name_in_the_environment"], "is no NAME=value"),
    ],
)
def test_bad_input_to_a_study_is_one_line_before_anything_is_written(words, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["study", *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert said in err
    assert list(tmp_path.iterdir()) == []


def test_listing_a_study_imports_neither_torch_nor_papermill(tmp_path):
    shutil.copy(ROOT / "Snakefile", tmp_path)
    for name in ("lib", "notebooks"):
        (tmp_path / name).symlink_to(ROOT / name)
    code = "import sys; from s2igan.workflow.commands import main; status = main(['study', '--full', 'LIST=1']); "
    code += "sys.exit(status or sorted({'torch', 'papermill'} & sys.modules.keys()) or 0)"
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    assert "would run tables" in ran.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "missing command (python -m s2igan --help)"),
        (["studi"], "no such command 'studi'"),
        (["study", "--ful"], "no such option '--ful'"),
        (["run", "a.ipynb"], "missing option '--out' (python -m s2igan run --help)"),
        (["run", "a.ipynb", "--out", "b.ipynb"], "notebook a.ipynb does not exist"),
        (["train", "sen", "--values", "null"], "--values is 'null': it must be a JSON object"),
        (["train", "sen", "--values", "{"], "--values is no JSON"),
        (["cost", "SYSTEMS=GAN"], "system 'GAN' does not exist"),
    ],
)
def test_bad_words_are_one_line(words, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: ") and err.count("\n") == 1 and said in err


@pytest.mark.parametrize("command", commands.commands.commands)
def test_every_command_has_help(command, capsys):
    assert main([command, "--help"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"Usage: python -m s2igan {command} ") and max(map(len, shown.splitlines())) <= 100


def test_speak_names_its_file_and_never_one_that_exists(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert commands.default_out("A red rose, please!", "") == Path("a-red-rose-please.png")
    Path("a-red-rose-please.png").touch()
    assert commands.default_out("a red rose please", "") == Path("a-red-rose-please-2.png")
    assert commands.default_out("", "sounds/Mine 1.wav") == Path("mine-1.png")
    assert commands.default_out("花", "") == Path("speech.png")
    assert len(commands.default_out("word " * 1000, "").name) < 70


def project_with_python(folder: Path, script: str) -> None:
    """The Makefile in `folder`, where Python is a shell script."""
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    python = folder / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(f"#!/bin/sh\n{script}")
    python.chmod(0o755)
    (folder / ".venv/.installed").touch()


def made(folder: Path, *targets: str, **values: str) -> list[str]:
    """The lines that `make targets NAME=value ...` prints."""
    environment = {name: os.environ[name] for name in os.environ if not name.startswith("MAKE") and name != "MFLAGS"}
    asked = ["make", *targets, *(f"{name}={value}" for name, value in values.items())]
    return subprocess.run(asked, cwd=folder, capture_output=True, text=True, env=environment).stdout.splitlines()


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_passes_values_as_they_are(tmp_path):
    project_with_python(tmp_path, 'echo "$@"\nprintenv SYSTEMS\nprintenv DATA_DIR\n')
    values = {"SYSTEMS": "S2IGAN,S2IGAN w/o L_d", "DATA_DIR": 'it\'s "mine"; (a) $5 $$x $(HOME) $(shell echo no)'}
    first, *rest = made(tmp_path, "study", **values)
    assert (first.split()[:3], sorted(first.split()[3:])) == (["-m", "s2igan", "study"], ["DATA_DIR", "SYSTEMS"])
    assert rest == list(values.values())


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize("words", [["study", "5"], ["study", "SEEDS", "5"], ["stduy"]])
def test_make_refuses_other_words_before_anything_runs(words, tmp_path):
    project_with_python(tmp_path, 'echo "it ran"\n')
    ended = subprocess.run(["make", *words], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2 and "it ran" not in ended.stdout
    assert f"'{words[min(1, len(words) - 1)]}' is nothing to make: give one of help study" in ended.stderr


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_with_jobs_runs_one_command_and_without_running_shows_it(tmp_path):
    project_with_python(tmp_path, 'echo "$@"\nprintenv LIST\n')
    assert made(tmp_path, "-j4", "study", LIST="1") == ["-m s2igan study LIST", "1"]
    assert made(tmp_path, "-n", "study") == [".venv/bin/python -m s2igan study "]


def test_a_listing_leaves_what_the_study_says_of_itself(tmp_path, monkeypatch, capsys):
    (tmp_path / "Snakefile").touch()
    (tmp_path / "results/mini").mkdir(parents=True)
    (tmp_path / "results/mini/study.yaml").write_text("as it was run")
    monkeypatch.chdir(tmp_path)
    read = []
    monkeypatch.setattr(run_study, "snakemake", lambda words, _: read.append(Path(words[3]).read_text()) or 0)
    for words in (["RDG_STEPS=9"], ["STUDY=other"]):
        assert commands.main(["study", "LIST=1", *words]) == 0
    assert "rdg_steps: '9'" in read[0] and "study: other" in read[1]
    assert [path.name for path in sorted((tmp_path / "results").rglob("*"))] == [".lock", "mini", "study.yaml"]
    assert (tmp_path / "results/mini/study.yaml").read_text() == "as it was run"
    assert commands.main(["study"]) == 2
    assert capsys.readouterr().err == "error: file results/mini/mini-flowers/analysis/table.md does not exist\n"
    assert (tmp_path / "results/mini/study.yaml").read_text().startswith("datasets: mini-flowers\n")


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_clean_keeps_what_nobody_can_rebuild(tmp_path):
    shutil.copy(ROOT / "Makefile", tmp_path)
    kept = [
        "data/README.md",
        "data/mine/images/a.png",
        "data/mini/own.txt",
        "results/README.md",
        "results/reference/metrics.csv",
    ]
    gone = [
        "data/mini/mini-birds/index.json",
        "data/mini/mini-birds.drawn/a.png",
        "results/mini/mini-birds/analysis/table.md",
    ]
    for name in kept + gone:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    subprocess.run(["make", "clean"], cwd=tmp_path, check=True)
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {"Makefile", *kept}


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize("text", ["--help", "a $5 flower", "$(shell touch made) `touch made`", "'\"#\\", "<b> [[x]] |"])
def test_make_speak_passes_any_text_in_any_folder(text, tmp_path):
    tmp_path = tmp_path / "it's \"mine\" $(touch made) `touch made` $HOME"
    tmp_path.mkdir()
    project_with_python(tmp_path, 'for word; do printf "%s\\n" "$word"; done\n')
    words = made(tmp_path, "speak", TEXT=text, OUT=f"{text}.png")
    assert words == ["-m", "s2igan", "speak", "--out", f"{text}.png", "--", text]
    assert not (tmp_path / "made").exists()


def test_errors_of_snakemake_are_one_line():
    traceback = 'Traceback (most recent call last):\n  File "io.py", line 1, in remove\n    rm(file)\nOSError: no'
    errors = ['WorkflowError in file "/a/Snakefile", line 20:\nit is wrong\n  File "/a/Snakefile", line 20', traceback]
    assert run_study.in_one_line(errors) == 'WorkflowError in file "/a/Snakefile", line 20: it is wrong OSError: no'
