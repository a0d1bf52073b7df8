"""What a run leaves: metrics.json, timing.json, params.yaml, log.jsonl; and tables of several."""

import contextlib
import json
import shutil

from mutations import damaged, damaged_text

from s2igan import config
from s2igan.evaluation.finished import open_run
from s2igan.reporting.collect import collect, finished, parameters_of, read_table, run_provenance
from s2igan.training.logs import Log, read_log
from s2igan.training.records import write_metrics


def originals(folder):
    run = folder / "results/mini/mini-flowers/rdg-s2igan-seed0"
    settings = config.resolve({"device": "cpu", "system": "S2IGAN"})
    rows = [{"metric": name, "value": 1.5, "n": 10, "split": "test"} for name in ("mAP", "FID")]
    run.mkdir(parents=True)
    write_metrics(run, [*rows, {**rows[0], "metric": "IS", "per_split": 5}], settings, "rdg", started=0.0)
    with contextlib.redirect_stdout(None):
        log = Log(run / "log.jsonl", 30)
        for step in (10, 20, 30):
            log(step, loss=1 / step, val_mAP=0.5)
    (run / "runs.csv").write_text("run,value\nrdg-s2igan-seed0,1.5\nsen-sen-seed0,2\n")
    shutil.copytree(run, run.parent / "data-store-seed0")
    return folder


def attempt(originals, random, folder):
    shutil.copytree(originals, folder, dirs_exist_ok=True)
    study = folder / "results/mini/mini-flowers"
    run = study / random.choice(["rdg-s2igan-seed0", "data-store-seed0"])
    name = random.choice(["metrics.json"] * 3 + ["timing.json", "params.yaml", "params.yaml", "log.jsonl", "runs.csv"])
    path = run / name
    if random.random() < 0.02:
        path.unlink()
        path.mkdir()
    elif name == "metrics.json" and random.random() < 0.4:
        path.write_text(json.dumps(_changed(json.loads(path.read_text()), random)))
    else:
        text = path.read_text()
        path.write_bytes(damaged_text(text, random) if random.random() < 0.7 else damaged(text.encode(), random))
    read_log(run / "log.jsonl")
    read_table(run / "runs.csv", "run")
    folders = finished(study)
    collect(folders)
    run_provenance(folders)
    parameters_of(run)
    open_run(run)


OTHERS = [None, True, -1, 0, 10**400, 1.5, float("nan"), float("inf"), "", "nan", "\n", [], {}, [[]], {"a": 1}]
OTHERS += ["x" * 3000]


def _changed(value, random):
    """`value` with one of its parts removed, renamed or of another kind."""
    if isinstance(value, dict) and value and random.random() < 0.9:
        key = random.choice(list(value))
        if random.random() < 0.2:
            return {name: part for name, part in value.items() if name != key}
        return {name: _changed(part, random) if name == key else part for name, part in value.items()}
    if isinstance(value, list) and value and random.random() < 0.9:
        k = random.randrange(len(value))
        return [*value[:k], _changed(value[k], random), *value[k + 1 :]]
    return random.choice(OTHERS)
