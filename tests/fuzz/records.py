"""What a run leaves: metrics.json, timing.json, params.yaml, log.jsonl; and tables of several."""

import contextlib
import json
import shutil

import yaml
from mutations import changed, damaged, damaged_text

from s2igan import config
from s2igan.evaluation.finished import open_run
from s2igan.reporting.collect import collect, finished, parameters_of, read_table, run_provenance
from s2igan.training.logs import Log, read_log
from s2igan.training.records import write_metrics

RUNS = ("rdg-s2igan-seed0", "data-store-seed0")
# Files, each as often as it is damaged, and what reads them. Most of an attempt's time goes to params.yaml.
NAMES = ["metrics.json"] * 3 + ["timing.json", "params.yaml", "params.yaml", "log.jsonl", "runs.csv"]
FEW = {"dataset": "mini-flowers", "study": "mini", "threads": 1}  # parameters beside another damaged file


def originals(folder):
    run = folder / RUNS[0]
    settings = config.resolve({"device": "cpu", "system": "S2IGAN"})
    rows = [{"metric": name, "value": 1.5, "n": 10, "split": "test"} for name in ("mAP", "FID")]
    write_metrics(run, [*rows, {**rows[0], "metric": "IS", "per_split": 5}], settings, "rdg", started=0.0)
    with contextlib.redirect_stdout(None):
        log = Log(run / "log.jsonl", 30)
        for step in (10, 20, 30):
            log(step, loss=1 / step, val_mAP=0.5)
    (run / "runs.csv").write_text("run,value\nrdg-s2igan-seed0,1.5\nsen-sen-seed0,2\n")
    shutil.copytree(run, folder / RUNS[1])
    files = {f"{name}/{path.name}": path.read_text() for name in RUNS for path in (folder / name).iterdir()}
    for name in RUNS:
        (folder / name / "params.yaml").write_text(yaml.safe_dump(FEW))
    return folder, files


def attempt(made, random, folder):
    originals, files = made
    run, other = random.sample(RUNS, k=2)
    name = random.choice(NAMES)
    (folder / run).mkdir()
    (folder / other).symlink_to(originals / other)
    for beside in {*NAMES} - {name}:
        (folder / run / beside).symlink_to(originals / run / beside)
    path, text = folder / run / name, files[f"{run}/{name}"]
    if random.random() < 0.02:
        path.mkdir()
    elif name == "metrics.json" and random.random() < 0.4:
        path.write_text(json.dumps(changed(json.loads(text), random)))
    else:
        path.write_bytes(damaged_text(text, random) if random.random() < 0.7 else damaged(text.encode(), random))
    if name == "log.jsonl":
        read_log(path)
    elif name == "runs.csv":
        read_table(path, "run")
    elif name == "params.yaml" and random.random() < 0.5:
        parameters_of(folder / run)
    else:
        folders = finished(folder)
        collect(folders)
        run_provenance(folders)
        open_run(folder / run)
