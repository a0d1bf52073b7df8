"""The workflow: a study's plan, what reruns when, stopping. Notebooks here are stubs."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import psutil
import pytest
import yaml

from s2igan import config
from s2igan.training import source_code
from s2igan.training.source_code import source_digest
from s2igan.workflow import study
from s2igan.workflow.run_study import peak_memory

ROOT = Path(__file__).resolve().parents[1]
WITHOUT_PRECISION = {"precision": "auto"}  # `PRECISION=fp32` is of the trainings in this process, not of these studies


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
    assert (list(some.of), some.seeds, some.sen, some.rdg) == (
        ["mini-birds", "mini-flowers"],
        (3,),
        ("SEN w/o L_d",),
        ("S2IGAN w/o L_d",),
    )
    assert {values.rdg_steps for values in some.of.values()} == {5}


def test_the_folder_of_one_data_set_is_not_a_parameter_of_another():
    of = study.plan({"datasets": "mini-birds,cub", "data_dir": "/photographs"}).of
    assert (of["mini-birds"].data_dir, of["cub"].data_dir) == ("", "/photographs")


SETUP = """
import os, sys, time
from pathlib import Path
import s2igan
from s2igan.config import from_notebook, run_dir, store_dir
settings = from_notebook(globals())
if False:  # what the digest of this stage's code sees
    import s2igan.data.store
def leave(folder, *files):
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        (folder / file).write_text(f"{file}\\n")
"""
STUBS = {
    "01_data": """
leave(store_dir(settings), "index.json", "images.npy", "mels.npy", "mel_offsets.npy")
networks = "backbone.safetensors", "evaluator.safetensors", "features.safetensors"
leave(run_dir(settings, "data"), *networks, "metrics.json")
""",
    "02_classifier": 'leave(run_dir(settings, "classifier"), "weights.safetensors", "metrics.json")',
    "02_sen": 'leave(run_dir(settings, "sen"), "weights.safetensors", "embeddings.safetensors", "metrics.json")',
    "03_rdg": """
if False:
    import s2igan.rdg
print("step 1/2", sys.executable, os.environ["PYTHONHASHSEED"], os.environ["OMP_NUM_THREADS"])
if settings.rdg_steps == 13:
    raise s2igan.BadInput("thirteen steps bring bad luck")
if settings.rdg_steps == 60:
    time.sleep(60)
leave(run_dir(settings, "rdg"), "weights.safetensors", "samples.png", "metrics.json")
""",
    "04_analysis": 'leave(run_dir(settings, "analysis"), "metrics.csv", "table.md", "curves.png")',
    "05_tables": 'leave(run_dir(settings, "tables"), "metrics.csv", "table1.md", "table2.md")',
    "05_figures": 'leave(run_dir(settings, "tables"), *(f"samples_{name}.png" for name in settings.analysis_datasets))',
}
STUBS["02_text_encoder"] = STUBS["02_sen"]


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


def start(root: Path, *words: str, given: dict[str, str] | None = None) -> subprocess.Popen:
    default = [] if any(word.upper().startswith("SYSTEM") for word in words) else ["SYSTEMS=S2IGAN"]
    arguments = [sys.executable, "-m", "s2igan", "study", *default, "CORES=2", *words]
    environment = os.environ | {"PYTHONPATH": str(root / "lib")} | (given or {})
    return subprocess.Popen(
        arguments, cwd=root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def call(root: Path, *words: str, given: dict[str, str] | None = None) -> subprocess.CompletedProcess:
    with start(root, *words, given=given) as process:
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
    assert took["runs"] == 4 and 0 < took["seconds"] < 120 and took["peak_memory_gib"] > 0
    assert f"{took['peak_memory_gib']:.1f} GiB, of one run ({took['peak_memory_of']})" in shown
    run = project / "results/mini/mini-flowers/rdg-s2igan-seed0"
    left = {path.name for path in run.iterdir()}
    assert left == {
        "03_rdg.ipynb",
        "benchmark.tsv",
        "metrics.json",
        "params.yaml",
        "samples.png",
        "weights.safetensors",
    }
    kept = yaml.safe_load((run / "params.yaml").read_text())
    values = study.plan(WITHOUT_PRECISION).of["mini-flowers"].model_copy(update={"system": "S2IGAN"})
    read = {**config.of_stage(values, "data"), **config.of_stage(values, "sen"), **config.of_stage(values, "rdg")}
    assert kept == config.read_up_to(values, "rdg") | {
        "threads": 1,
        "processes": 1,
        "device": "auto",
        "download": False,
    }
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
        (
            ["DATASET=mini-birds"],
            sorted(job.replace("flowers", "birds") for job in [ANALYSIS, "data mini-flowers", RDG, SEN]),
        ),
    ],
)
def test_a_changed_parameter_reruns_only_what_depends_on_it(project, words, expected):
    assert would_run(project, *words) == expected


def test_a_clock_that_is_ahead_deletes_nothing(project):
    later = time.time() + 7200
    ahead = [project / "data/mini/mini-flowers/index.json", project / "results/mini/mini-flowers/sen-sen-seed0"]
    for path in [ahead[0], *ahead[1].iterdir(), project / "notebooks/04_analysis.ipynb"]:
        os.utime(path, (later, later))
    assert would_run(project) == []
    ran = call(project, "RDG_STEPS=62")
    assert (ran.returncode, ran.stderr) == (0, "") and "[sen" not in ran.stdout
    assert (project / "results/mini/mini-flowers/rdg-s2igan-seed0/metrics.json").is_file()
    ahead[0].write_text("another store")  # by hand, or by a run that was stopped before what depends on it
    assert would_run(project) == [ANALYSIS, RDG, SEN]
    ahead[0].write_text("index.json\n")
    assert would_run(project) == [ANALYSIS, RDG]  # for rdg_steps


def test_a_users_configuration_reaches_no_run(project, tmp_path):
    start_up = tmp_path / "ipython/profile_default/startup"
    profile = project / "profiles/default"
    for folder in (start_up, profile, tmp_path / ("long" * 40), tmp_path / "jupyter/kernels/python3"):
        folder.mkdir(parents=True)
    (start_up / "mine.py").write_text("mine = 'unknown'\n")
    (tmp_path / "start.py").write_text("other = 'unknown'\n")
    (profile / "config.yaml").write_text("dry-run: true\n")
    (tmp_path / "jupyter/kernels/python3/kernel.json").write_text('{"argv": ["false"], "display_name": "x"}')
    given = {
        "SNAKEMAKE_PROFILE": "missing", "MPLBACKEND": "nonsense", "IPYTHONDIR": str(tmp_path / "ipython"),
        "JUPYTER_DATA_DIR": str(tmp_path / "jupyter"), "JUPYTER_PREFER_ENV_PATH": "0", "LC_ALL": "POSIX",
        "PYTHONSTARTUP": str(tmp_path / "start.py"), "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii",
        "PYTHONWARNINGS": "error", "TMPDIR": str(tmp_path / ("long" * 40)), "HOME": str(tmp_path / "none"),
        "XDG_CACHE_HOME": "/proc/none",
    }  # fmt: skip
    ran = call(project, "RDG_STEPS=63", "sen_text_steps=5", given=given)
    shutil.rmtree(project / "profiles")
    notes = ran.stderr.splitlines()
    assert ran.returncode == 0 and "step 1/2" in ran.stdout, ran.stderr
    assert notes[0].startswith("note: parameter 'sen_text_steps' changes nothing here: nothing reads it for mini-flow")
    assert notes[1:] == ["note: not used: SNAKEMAKE_PROFILE; a study has settings of its own"]
    assert not list((tmp_path / ("long" * 40)).iterdir()) and not (tmp_path / "none").exists()
    assert call(project).returncode == 0  # the default's run again, for the tests below


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
    values = study.plan({"systems": "S2IGAN", **WITHOUT_PRECISION})
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


@pytest.mark.parametrize(
    ("module", "reruns"),
    [
        ("metrics", {"01_data", "02_sen", "03_rdg"}),
        ("losses", {"02_sen", "03_rdg"}),
        ("sen", {"02_sen", "03_rdg"}),
        ("training/sen", {"02_sen", "03_rdg"}),
        ("rdg", {"03_rdg"}),
        ("training/rdg", {"03_rdg"}),
        ("reporting/plots", set()),
    ],
)
def test_an_edit_of_a_module_changes_the_digest_of_the_stages_that_use_it(module, reruns, monkeypatch):
    def digests():
        names = ("01_data", "02_sen", "03_rdg")
        reporting = ("s2igan.reporting",)  # as in the Snakefile
        return {name: source_digest(notebook=ROOT / f"notebooks/{name}.ipynb", without=reporting) for name in names}

    before, parsed, file = digests(), source_code._parsed, ROOT / f"lib/s2igan/{module}.py"
    edited = ast.parse(file.read_text() + "\nedited = 1")
    monkeypatch.setattr(source_code, "_parsed", lambda path: edited if path == file else parsed(path))
    after = digests()
    assert {name for name in before if before[name] != after[name]} == reruns


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
