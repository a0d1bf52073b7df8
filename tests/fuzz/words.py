"""Words NAME=value of the command line, and variables of the environment whose names stand there alone."""

import contextlib
import os

import click
import yaml
from mutations import WORDS

import s2igan.reporting.verify  # noqa: F401  here once, not in each process
from s2igan import config
from s2igan.config import Settings
from s2igan.workflow import commands, distinctive, study
from s2igan.workflow.run_study import read_call

GOOD = ["DATASET=mini-birds", "SEEDS=0,1", "SYSTEMS=S2IGAN, SEN w/o L_d", "CORES=2", "DRY=1", "LIST=1", "CHECK=full"]
GOOD += ["TABLES=1", "STUDY=mine", "PRESET=small", "sen_steps=100", "RDG_LR=2e-4", "sen_betas=0.5,0.9", "DATA_FLIP=no"]
GOOD += ["DATASETS=cub,oxford", "DATA_DIR=.", "DOWNLOAD=1", "WEIGHTS=reference", "data_voices=en-us,en-gb", "SEED=3"]
GOOD += ["RDG_STEPS=none", "DATA_IMAGE_SIZE=64", "processes=2", "DEVICE=cpu", "DATA_NOISE_DB=-5", "PARAMS=mine.yaml"]
GOOD += ["DATA_BACKBONE=inception", "data_engine=tacotron2", "ANALYSIS_KEPT=results", "STUDY", "SEEDS", "COST_BATCH=2"]
ODD = ["=", "==", "", "=5", "-1", "seed==1", "--full", "SEED = 1", "٣", "1_000", "0x10", "+5", "1e3", "1,,2", ",", "~"]
ODD += ["\udcff", "\n", "a\nb", "~nobody-of-this-name/x", "x" * 300, "None", "True", "\u212a", "\u0131"]
ODD += ["\u2028", "1 2", "/etc/passwd", "{}", "%s"]
ODD += [word.replace("\0", "") for word in WORDS]  # no command line holds a zero byte
NAMES = [name.upper() for name in Settings.model_fields] + ["DATASETS", "SEEDS", "SYSTEMS", "CORES", "DRY", "PARAMS"]


def originals(folder):
    distinctive.run_conditions = distinctive.compare_conditions = lambda *_: 0
    commands.run_notebook = lambda *_, **more: 0
    (folder / "Snakefile").touch()
    for place in ("reference/runs", "mini", "mine"):
        (folder / "results" / place / "mini-birds").mkdir(parents=True)
    (folder / "mine.yaml").write_text("seeds: [0, 1]\nrdg_steps: 5\n")
    return folder


def attempt(made, random, folder):
    os.chdir(made)
    os.environ.update(STUDY=random.choice(["mine", *ODD]), SEEDS=random.choice(["1,2", *ODD]))
    words = random.sample(GOOD, k=random.choice([1, 2, 3, 5]))
    for _ in range(random.choice([1, 1, 2])):
        words[random.randrange(len(words))] = changed_word(random.choice(words), random)
    of = random.choice(["study"] * 6 + ["distinctive", "cost", "verify"])
    if of == "study":
        of_study(words, random)
    else:
        if of == "verify":
            words = [word for word in words if word[:5].upper() in ("STUDY", "DATAS")] or ["STUDY"]
        with contextlib.suppress(click.UsageError):  # --words are options
            commands.commands.main([of, *words], standalone_mode=False)


def changed_word(word, random):
    name, equals, value = word.partition("=")
    kind = random.randrange(6)
    if kind == 0:
        at = random.randrange(len(word) + 1)
        return word[:at] + random.choice(ODD) + word[at:]
    if kind == 1:
        return random.choice(ODD)
    if kind == 2:
        return random.choice([name.title(), name + "S", name[:-1], f" {name}"]) + equals + value
    values = [*ODD, value, value + ",", random.choice(GOOD).partition("=")[2]]
    if kind == 3:
        return f"{random.choice(NAMES)}={random.choice(values)}"
    if kind == 4:
        return f"{name}={random.choice(values)},{random.choice(values)}"
    return f"{name}={random.choice(values)}"


def of_study(words, random):
    call = read_call(words, full=random.random() < 0.2)
    chosen = study.plan(call.given)
    again = yaml.safe_load(yaml.safe_dump(call.given, sort_keys=False))  # as the Snakefile gets it
    if study.plan(again) != chosen:
        raise RuntimeError(f"{call.given} becomes {again}")
    for stage, values in chosen.runs():
        os.fsencode(config.run_dir(values, stage))
        yaml.safe_dump(config.notebook_parameters(values, stage)).encode()
    study.check_folders(chosen)
    for line in study.not_read(chosen, call.named):
        if "\n" in line:
            raise RuntimeError(line)
