"""The workflow: dependency lists, the study's plan, what reruns when, stopping, and what a run leaves. Notebooks here are stubs."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import nbformat
import psutil
import pytest
import torch
import yaml
from packaging.markers import Marker
from packaging.requirements import Requirement

from s2igan import BadInput, config
from s2igan.data.files import project_root, replacing, write_atomic
from s2igan.training import source_code
from s2igan.training.checkpoints import fingerprint, load_checkpoint, save_checkpoint
from s2igan.training.devices import pick_device, seed_everything, use_bf16
from s2igan.training.logs import Log, read_log
from s2igan.training.records import read_metrics, write_metrics
from s2igan.training.source_code import source_digest
from s2igan.workflow import commands, study
from s2igan.workflow.commands import main
from s2igan.workflow.run_study import peak_memory

ROOT = Path(__file__).resolve().parents[1]


# ---- the dependency lists --------------------------------------------------------------------------------------------------------


def locked() -> list[Requirement]:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    return [Requirement(line) for line in lines if line.strip() and not line.lstrip().startswith("#")]


def test_lock_holds_exact_versions_and_no_addresses():
    assert "://" not in (ROOT / "requirements.lock").read_text()
    for requirement in locked():
        assert re.fullmatch(r"==[^*,]+", str(requirement.specifier)), requirement
        assert requirement.url is None


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_lock_has_every_dependency_in_range(python):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    where = {"python_version": python, "python_full_version": f"{python}.5", "sys_platform": "linux", "platform_machine": "x86_64"}
    versions = {}
    for requirement in locked():
        if requirement.marker is None or Marker(str(requirement.marker)).evaluate(where):
            assert requirement.name not in versions, f"{requirement.name} is locked twice for Python {python}"
            versions[requirement.name] = str(requirement.specifier).removeprefix("==")
    for line in [*project["dependencies"], *project["optional-dependencies"]["dev"]]:
        wanted = Requirement(line)
        assert wanted.specifier.contains(versions[wanted.name]), f"{line}, but {versions[wanted.name]} is locked for Python {python}"


def test_conda_installs_the_lock_and_nothing_else():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    python, pip, section = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    assert python.removeprefix("python ") == project["requires-python"]
    assert pip == "pip"
    assert section == {"pip": ["-r requirements.lock", "-e ."]}


# ---- the plan of a study ---------------------------------------------------------------------------------------------------------


def test_plan():
    default = study.plan({})
    assert (list(default.of), default.seeds) == (["mini-flowers"], (0,))
    assert (default.sen, default.rdg) == (("SEN", "SEN w/o L_d"), ("S2IGAN", "S2IGAN w/o L_d"))
    full = study.plan(study.DEFAULTS_FULL)
    assert (full.sen, full.rdg) == (tuple(config.SEN_SYSTEMS), config.PAPER_SYSTEMS) and len(full.rdg) == 8
    more = study.plan({**study.DEFAULTS_FULL, "systems": "S2IGAN,S2IGAN hinge"})  # one that is not the paper's
    assert (more.sen, more.rdg) == (("SEN",), ("S2IGAN", "S2IGAN hinge"))
    alone = study.plan({"systems": "S2IGAN end-to-end,StackGAN-v2 (T2IG)"})
    assert alone.sen == ("text encoder",)  # end-to-end needs no finished SEN
    some = study.plan({"DATASETS": "mini-birds, mini-flowers", "SEED": 3, "systems": "s2igan WO l_d", "RDG_Steps": "5"})
    assert (list(some.of), some.seeds, some.sen, some.rdg) == (["mini-birds", "mini-flowers"], (3,), ("SEN w/o L_d",), ("S2IGAN w/o L_d",))
    assert {values.rdg_steps for values in some.of.values()} == {5}


def test_the_folder_of_one_data_set_is_not_a_parameter_of_another():
    of = study.plan({"datasets": "mini-birds,cub", "data_dir": "/photographs"}).of
    assert (of["mini-birds"].data_dir, of["cub"].data_dir) == ("", "/photographs")


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
        (["DATASET=cub"], "data folder data/cub does not exist: give DATA_DIR=path if you have it, or DOWNLOAD=1 to download it"),
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


# ---- what reruns when ------------------------------------------------------------------------------------------------------------

SETUP = """
import os, sys, time
from pathlib import Path
import s2igan
from s2igan import config as names
settings = names.from_notebook(globals())
if False:  # what the digest of this stage's code sees
    import s2igan.data.store
def leave(folder, *files):
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        (folder / file).write_text(f"{file}\\n")
"""
STUBS = {
    "01_data": """
leave(names.store_dir(settings), "index.json", "images.npy", "mels.npy", "mel_offsets.npy")
leave(names.run_dir(settings, "data"), "backbone.safetensors", "evaluator.safetensors", "features.safetensors", "metrics.json")
""",
    "02_classifier": 'leave(names.run_dir(settings, "classifier"), "weights.safetensors", "metrics.json")',
    "02_sen": 'leave(names.run_dir(settings, "sen"), "weights.safetensors", "embeddings.safetensors", "metrics.json")',
    "02_text_encoder": 'leave(names.run_dir(settings, "sen"), "weights.safetensors", "embeddings.safetensors", "metrics.json")',
    "03_rdg": """
if False:
    import s2igan.rdg
print("step 1/2", sys.executable, os.environ["PYTHONHASHSEED"], os.environ["OMP_NUM_THREADS"])
if settings.rdg_steps == 13:
    raise s2igan.BadInput("thirteen steps bring bad luck")
if settings.rdg_steps == 60:
    time.sleep(60)
leave(names.run_dir(settings, "rdg"), "weights.safetensors", "samples.png", "metrics.json")
""",
    "04_analysis": 'leave(names.run_dir(settings, "analysis"), "metrics.csv", "table.md", "curves.png")',
    "05_tables": 'leave(names.run_dir(settings, "tables"), "metrics.csv", "table1.md", "table2.md")',
    "05_figures": 'leave(names.run_dir(settings, "tables"), *(f"samples_{name}.png" for name in settings.analysis_datasets))',
}


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """The real Snakefile and library with stub notebooks, in which the study has been run for one system."""
    root = tmp_path_factory.mktemp("project")
    shutil.copy(ROOT / "Snakefile", root)
    shutil.copytree(ROOT / "lib/s2igan", root / "lib/s2igan", ignore=shutil.ignore_patterns("__pycache__"))
    (root / "notebooks").mkdir()
    for name, code in STUBS.items():
        parameters = nbformat.v4.new_code_cell("seed = 0", metadata={"tags": ["parameters"]})
        cells = [nbformat.v4.new_markdown_cell("# A stub"), parameters, nbformat.v4.new_code_cell(SETUP + code)]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), root / "notebooks" / f"{name}.ipynb")
    ran = call(root)
    assert ran.returncode == 0, ran.stderr
    (root / "first.txt").write_text(ran.stdout)
    return root


def start(root: Path, *words: str) -> subprocess.Popen:
    arguments = [sys.executable, "-m", "s2igan", "study", "SYSTEMS=S2IGAN", "CORES=2", *words]
    environment = os.environ | {"PYTHONPATH": str(root / "lib")}
    return subprocess.Popen(arguments, cwd=root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def call(root: Path, *words: str) -> subprocess.CompletedProcess:
    with start(root, *words) as process:
        out, err = process.communicate(timeout=120)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def would_run(root: Path, *words: str) -> list[str]:
    """The jobs that would run, such as 'rdg mini-flowers s2igan 0'."""
    ran = call(root, "LIST=1", *words)
    assert ran.returncode == 0, ran.stderr
    return sorted(re.findall(r"would run (.*?) \(", ran.stdout))


def rewrite(notebook: Path, kind: str, text: str) -> None:
    """Adds `text` to the last cell of a kind."""
    content = nbformat.read(notebook, 4)
    next(cell for cell in reversed(content.cells) if cell.cell_type == kind).source += text
    nbformat.write(content, notebook)


SEN, RDG, ANALYSIS = "sen mini-flowers sen 0", "rdg mini-flowers s2igan 0", "analysis mini-flowers"
TEXT = "text_encoder mini-flowers text-encoder 0"


@pytest.mark.parametrize(
    ("values", "gib"),
    [
        ({"s": "9.5", "max_rss": "4096.00", "max_pss": "2048.50"}, 2048.5 / 1024),
        ({"s": "9.5", "max_rss": "512.00", "max_pss": "0.00"}, 0.5),  # a system that knows no shares
        ({"s": "0.1", "max_rss": "NA", "max_pss": "NA"}, 0),  # over before it was measured
    ],
)
def test_memory_of_a_run_is_what_its_benchmark_file_says(values, gib, tmp_path):
    path = tmp_path / "benchmark.tsv"
    path.write_text("\t".join(values) + "\n" + "\t".join(values.values()) + "\n")
    assert peak_memory(path) == pytest.approx(gib)


def test_first_run_shows_plain_lines_the_table_and_where_things_are(project):
    shown = (project / "first.txt").read_text()
    assert f"[rdg s2igan seed0] step 1/2 {sys.executable} 0 1\n" in shown
    assert "table.md\n" in shown  # what the stub wrote into it
    assert "results/mini/mini-flowers/analysis/  (curves.png)" in shown
    assert "\r" not in shown
    took = json.loads((project / "results/mini/timing.json").read_text())
    assert took["runs"] == 4 and 0 < took["seconds"] < 120 and took["peak_memory_gib"] > 0.1
    assert f"{took['peak_memory_gib']:.1f} GiB, of one run ({took['peak_memory_of']})" in shown
    run = project / "results/mini/mini-flowers/rdg-s2igan-seed0"
    left = {path.name for path in run.iterdir()}
    assert left == {"03_rdg.ipynb", "benchmark.tsv", "metrics.json", "params.yaml", "samples.png", "weights.safetensors"}
    kept = yaml.safe_load((run / "params.yaml").read_text())
    values = study.plan({}).of["mini-flowers"].model_copy(update={"system": "S2IGAN"})
    read = {**config.of_stage(values, "data"), **config.of_stage(values, "sen"), **config.of_stage(values, "rdg")}
    assert kept == config.read_up_to(values, "rdg") | {"threads": 1, "processes": 1, "device": "auto", "download": False}
    assert read.items() <= kept.items() and "sen_text_channels" in kept  # whatever a system reads is there


def test_second_run_does_nothing_in_seconds(project):
    for path in (project / "notebooks").iterdir():
        path.touch()
    rewrite(project / "notebooks/03_rdg.ipynb", "markdown", "\n\nMore prose.")
    rewrite(project / "notebooks/03_rdg.ipynb", "code", "\n# A comment.")
    started = time.monotonic()
    ran = call(project, "THREADS=2", "DEVICE=cpu")
    assert "nothing to do" in ran.stdout
    assert time.monotonic() - started < 30


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["rdg_lr=0.1"], [ANALYSIS, RDG]),
        (["sen_lr=0.1"], [ANALYSIS, RDG, SEN]),
        (["sen_text_rnn_size=7"], []),  # no text is read here
        (["data_captions=1"], [ANALYSIS, "data mini-flowers", RDG, SEN]),
        (["SEEDS=0,1"], [ANALYSIS, RDG[:-1] + "1", SEN[:-1] + "1"]),
        (["SYSTEMS=S2IGAN,StackGAN-v2 (T2IG)"], [ANALYSIS, RDG.replace("s2igan", "stackgan-v2-t2ig"), TEXT]),
        (["TABLES=1"], ["figures ", "tables "]),
        (["SYSTEMS=S2IGAN,S2IGAN w/o SEN"], [ANALYSIS, "rdg mini-flowers s2igan-wo-sen 0"]),
        (["DATASET=mini-birds"], sorted(job.replace("flowers", "birds") for job in [ANALYSIS, "data mini-flowers", RDG, SEN])),
    ],
)
def test_a_changed_parameter_reruns_only_what_depends_on_it(project, words, expected):
    assert would_run(project, *words) == expected


def test_changed_code_and_a_deleted_run_are_rebuilt(project):
    kept = (project / "notebooks/02_sen.ipynb").read_text()
    rewrite(project / "notebooks/02_sen.ipynb", "code", "\nx = 1")
    assert would_run(project) == [ANALYSIS, RDG, SEN]
    (project / "notebooks/02_sen.ipynb").write_text(kept)
    module = project / "lib/s2igan/rdg.py"
    kept = module.read_text()
    module.write_text(kept + "\nx = 1\n")
    assert would_run(project) == [ANALYSIS, RDG]
    module.write_text(kept + "\n# A comment.\n")
    assert would_run(project) == []
    (project / "results/mini/mini-flowers/rdg-s2igan-seed0").rename(project / "aside")
    assert would_run(project) == [ANALYSIS, RDG]
    (project / "aside").rename(project / "results/mini/mini-flowers/rdg-s2igan-seed0")


def test_a_run_made_by_hand_with_other_settings_does_not_count(project):
    values = study.plan({"systems": "S2IGAN"})
    assert study.runs_with_other_settings(values, project) == []
    params = project / "results/mini/mini-flowers/sen-sen-seed0/params.yaml"
    kept = params.read_text()
    params.write_text(kept.replace("sen_lr: 0.001", "sen_lr: 0.1"))
    assert study.runs_with_other_settings(values, project) == [params.parent]
    params.write_text(kept)


def test_bad_input_in_a_notebook_is_one_line(project):
    ran = call(project, "RDG_STEPS=13")
    assert ran.returncode == 1
    assert ran.stderr == "error: thirteen steps bring bad luck\n"
    assert (project / "results/mini/mini-flowers/rdg-s2igan-seed0/03_rdg.ipynb").is_file()


def test_a_killed_study_leaves_no_process_and_no_lock(project):
    with start(project, "RDG_STEPS=60") as process:
        for line in process.stdout:
            if "step 1/2" in line:
                break
        started = psutil.Process(process.pid).children(recursive=True)
        assert len(started) >= 2  # papermill and its kernel
        again = call(project, "RDG_STEPS=60")
        assert (again.returncode, again.stderr.count("\n")) == (2, 1)
        assert "another study is running" in again.stderr
        process.kill()
    _, alive = psutil.wait_procs(started, timeout=15)
    assert not alive
    assert call(project, "RDG_STEPS=61").returncode == 0


@pytest.mark.parametrize(("module", "notebook"), [("rdg", "03_rdg"), ("losses", "02_sen"), ("metrics", "01_data")])
def test_an_edit_of_a_module_changes_the_digest_of_what_uses_it(module, notebook, monkeypatch):
    def digests():
        return [source_digest(notebook=ROOT / f"notebooks/{name}.ipynb") for name in (notebook, "07_cost")] + [source_digest(["s2igan.losses"])]

    before, parsed, file = digests(), source_code._parsed, source_code._file_of(f"s2igan.{module}")
    monkeypatch.setattr(source_code, "_parsed", lambda path: ast.parse(path.read_text() + "\nedited = 1") if path == file else parsed(path))
    after = digests()
    assert before[0] != after[0]
    assert (before[2] != after[2]) == (module == "losses")  # `losses` uses nothing of ours but itself


def test_a_cluster_gets_a_job_a_run_with_its_gpus(project):
    shutil.copytree(ROOT / "profiles", project / "profiles", dirs_exist_ok=True)
    command = [sys.executable, "-m", "snakemake", "--profile", "profiles/slurm", "--dry-run", "--config"]
    command += ["preset=paper", "datasets=mini-birds", "systems=S2IGAN", "processes=4"]
    ran = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    jobs = {block.split(":")[0]: block for block in ran.stdout.split("\nrule ")[1:]}
    assert set(jobs) == {"data", "classifier", "sen", "rdg", "analysis", "all"}
    assert "gpu=4" in jobs["rdg"] and "gpu=4" in jobs["sen"] and "gpu=" not in jobs["analysis"]
    assert "runtime=1440" in jobs["rdg"]


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_passes_values_as_they_are(tmp_path):
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    python = tmp_path / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\necho "$@"\nprintenv SYSTEMS\nprintenv DATA_DIR\n')
    python.chmod(0o755)
    (tmp_path / ".venv/.installed").touch()
    values = {"SYSTEMS": "S2IGAN,S2IGAN w/o L_d", "DATA_DIR": 'it\'s "mine"; (a)'}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE") and name != "MFLAGS"}
    asked = ["make", "study", *(f"{name}={value}" for name, value in values.items())]
    ran = subprocess.run(asked, cwd=tmp_path, capture_output=True, text=True, env=environment)
    first, *rest = ran.stdout.splitlines()
    assert (first.split()[:3], sorted(first.split()[3:])) == (["-m", "s2igan", "study"], ["DATA_DIR", "SYSTEMS"])
    assert rest == list(values.values())


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_clean_keeps_what_nobody_can_rebuild(tmp_path):
    shutil.copy(ROOT / "Makefile", tmp_path)
    kept = ["data/README.md", "data/mine/images/a.png", "data/mini/own.txt", "results/README.md", "results/reference/metrics.csv"]
    gone = ["data/mini/mini-birds/index.json", "data/mini/mini-birds.drawn/a.png", "results/mini/mini-birds/analysis/table.md"]
    for name in kept + gone:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    subprocess.run(["make", "clean"], cwd=tmp_path, check=True)
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {"Makefile", *kept}


# ---- what a run leaves -----------------------------------------------------------------------------------------------------------


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
        save_checkpoint(tmp_path, step, {"net": {"weight": torch.full((3,), float(step))}, "random": torch.get_rng_state()}, mark)
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


def test_seeds_and_devices():
    drawn = [(seed_everything(*parts), torch.rand(1).item()) for parts in [(1, "sen"), (1, "rdg"), (1, "sen"), (2, "sen")]]
    assert drawn[0] == drawn[2]
    assert len({draw for _, draw in drawn}) == 3
    cpu = torch.device("cpu")
    assert pick_device(config.resolve({"device": "cpu"})) == cpu
    assert use_bf16(config.resolve({"precision": "bf16"}), cpu)
    assert not use_bf16(config.resolve({"precision": "fp32"}), cpu)
    assert isinstance(use_bf16(config.resolve({}), cpu), bool)


def test_project_root(tmp_path):
    assert project_root(ROOT / "notebooks") == ROOT
    with pytest.raises(BadInput, match="no Snakefile"):
        project_root(tmp_path)


def test_notebook_parameters_are_all_known_settings():
    values = config.resolve({})
    for stage in ("data", "sen", "rdg", "analysis"):
        assert config.resolve(config.notebook_parameters(values, stage)) == values
