# The study as a graph of notebooks: data -> SEN -> RDG -> analysis. `make study` runs it here;
# on a cluster: snakemake --profile profiles/slurm --config datasets=mini-birds,mini-flowers seeds=0,1,2
# Any parameter of lib/s2igan/config/settings.py can stand after --config.
#
# Declared outputs are deleted before a job starts, so log.jsonl and checkpoints/, from which a stopped run goes on, are not
# declared; executed notebooks are `log:`, which stays when a job fails.
import json
import os
import sys
from pathlib import Path

from s2igan import BadInput
from s2igan.config import RDG_SYSTEMS, SEN_SYSTEMS, definition, notebook_parameters, of_stage, slug
from s2igan.training.source_code import source_digest
from s2igan.workflow import study as studies

try:
    study = studies.plan(config)
except BadInput as error:
    raise WorkflowError(str(error)) from None

RESULTS = f"results/{study.name}/{{dataset}}"
STORE = f"data/{study.name}/{{dataset}}"
DATA_SEED = next(iter(study.of.values())).data_seed
SEN = RESULTS + "/sen-{system}-seed{seed}"
RDG = RESULTS + "/rdg-{system}-seed{seed}"
TABLES = f"results/{study.name}/tables"
CLASSIFIER = RESULTS + f"/classifier-inception-seed{DATA_SEED}"
TEXT = RESULTS + "/sen-{system,text-encoder}-seed{seed}"
BY_SLUG = {slug(system): system for system in [*SEN_SYSTEMS, *RDG_SYSTEMS]}
PYTHON, PROCESS = sys.executable, os.getpid()


def settings_of(wildcards):
    """The settings of one run; of the tables, those of the first data set with the names of all of them."""
    if "dataset" not in wildcards.keys():
        return next(iter(study.of.values())).model_copy(update={"analysis_datasets": tuple(study.of)})
    values = study.of[wildcards.dataset]
    if "system" in wildcards.keys():
        values = values.model_copy(update={"system": BY_SLUG[wildcards.system], "seed": int(wildcards.seed)})
    return values


def cores_of(wildcards):
    """All that the processes of a training use."""
    values = settings_of(wildcards)
    return values.threads * values.processes


def read_by(stage):
    """A rule's `settings`: what it reads, so that a change of any of them, and of no other, reruns it."""
    def settings(wildcards):
        values = settings_of(wildcards)
        return {**of_stage(values, stage), "definition": definition(values, stage)}
    return settings


def parameters(stage):
    """A rule's `values`: its notebook's parameters. Functions of `threads` do not count when Snakemake looks for changes."""
    def values(wildcards, threads):
        own = settings_of(wildcards)
        return json.dumps(notebook_parameters(own, stage, max(1, threads // own.processes if stage in ("sen", "rdg") else threads)))
    return values


def gpus(wildcards):
    """How many GPUs a run needs, where there are any: --resources gpu=1 runs one after the other, a cluster gives each its own."""
    values = settings_of(wildcards)
    return 0 if values.device == "cpu" else values.processes


def source(stage, notebook):
    """A rule's `source`: a digest of its notebook's code and of all modules that it uses. Before the analysis, plots decide no number."""
    return source_digest(notebook=Path(notebook), without=() if stage in ("analysis", "tables") else ("s2igan.reporting",))


def label(stage):
    """What stands before a run's progress lines."""
    def of_run(wildcards, threads):
        parts = [wildcards.dataset] if len(study.of) > 1 and "dataset" in wildcards.keys() else []
        return " ".join(parts + [stage] + ([wildcards.system, f"seed{wildcards.seed}"] if "system" in wildcards.keys() else []))
    return of_run


def runs(dataset):
    """What every SEN and RDG run on a data set ends with."""
    files = ["metrics.json", "weights.safetensors"]
    return expand(SEN + "/{file}", dataset=dataset, system=map(slug, study.sen), seed=study.seeds, file=files) + expand(
        RDG + "/{file}", dataset=dataset, system=map(slug, study.rdg), seed=study.seeds, file=files
    )


def classifier_of(wildcards):
    """The classifier of the unseen classes, where the Inception Score needs one."""
    inception = study.of[wildcards.dataset].data_backbone == "inception"
    return expand(CLASSIFIER + "/{name}", name=["metrics.json", "weights.safetensors"], **wildcards) if inception else []


def speech_of(wildcards):
    """The speech embedding that a system's generator starts from."""
    sen = RDG_SYSTEMS[BY_SLUG[wildcards.system]]["sen"]
    folder = f"{RESULTS}/sen-{slug(sen)}-seed{{seed}}" if sen in SEN_SYSTEMS else None
    return expand(folder + "/{name}.safetensors", name=["weights", "embeddings"], **wildcards) if folder else []


RUN = "exec {PYTHON:q} -m s2igan run {params.notebook} --values {params.values:q} --out {log} --label {params.label:q} --parent {PROCESS}"


wildcard_constraints:
    dataset="|".join(study.of),
    system="[a-z0-9-]+",
    seed="[0-9]+",


localrules: all


rule all:
    input:
        [runs(dataset) for dataset in study.of],
        expand(RESULTS + "/data-store-seed{seed}/metrics.json", dataset=study.of, seed=DATA_SEED),
        expand(RESULTS + "/analysis/{name}", dataset=study.of, name=["metrics.csv", "table.md"]),
        TABLES + "/table1.md" if study.tables else [],
        expand(TABLES + "/samples_{dataset}.png", dataset=study.of) if study.tables else [],


rule data:
    output:
        index=STORE + "/index.json",
        images=STORE + "/images.npy",
        mels=STORE + "/mels.npy",
        offsets=STORE + "/mel_offsets.npy",
        metrics=RESULTS + f"/data-store-seed{DATA_SEED}/metrics.json",
        backbone=RESULTS + f"/data-store-seed{DATA_SEED}/backbone.safetensors",
        evaluator=RESULTS + f"/data-store-seed{DATA_SEED}/evaluator.safetensors",
        features=RESULTS + f"/data-store-seed{DATA_SEED}/features.safetensors",
    log:
        RESULTS + f"/data-store-seed{DATA_SEED}/01_data.ipynb",
    threads: workflow.cores or 1
    resources:
        gpu=lambda wildcards: min(1, gpus(wildcards)),
    params:
        notebook="notebooks/01_data.ipynb",
        source=source("data", "notebooks/01_data.ipynb"),
        settings=read_by("data"),
        files=lambda wildcards: studies.folder_digest(study.of[wildcards.dataset].data_dir),
        values=parameters("data"),
        label=label("data"),
    shell:
        RUN


rule classifier:  # for the Inception Score, where the stand-in evaluator does not serve
    input:
        rules.data.output,
    output:
        CLASSIFIER + "/metrics.json",
        CLASSIFIER + "/weights.safetensors",
    log:
        CLASSIFIER + "/02_classifier.ipynb",
    threads: lambda wildcards: settings_of(wildcards).threads
    resources:
        gpu=lambda wildcards: min(1, gpus(wildcards)),
    params:
        notebook="notebooks/02_classifier.ipynb",
        source=source("classifier", "notebooks/02_classifier.ipynb"),
        settings=read_by("classifier"),
        values=parameters("classifier"),
        label=label("classifier"),
    shell:
        RUN


rule sen:
    input:
        rules.data.output,
    output:
        SEN + "/metrics.json",
        SEN + "/weights.safetensors",
        SEN + "/embeddings.safetensors",
    log:
        SEN + "/02_sen.ipynb",
    threads: cores_of
    resources:
        gpu=gpus,
    params:
        notebook="notebooks/02_sen.ipynb",
        source=source("sen", "notebooks/02_sen.ipynb"),
        settings=read_by("sen"),
        values=parameters("sen"),
        label=label("sen"),
    shell:
        RUN


rule text_encoder:  # as SEN, by a notebook of its own
    input:
        rules.data.output,
    output:
        TEXT + "/metrics.json",
        TEXT + "/weights.safetensors",
        TEXT + "/embeddings.safetensors",
    log:
        TEXT + "/02_text_encoder.ipynb",
    threads: cores_of
    resources:
        gpu=gpus,
    params:
        notebook="notebooks/02_text_encoder.ipynb",
        source=source("sen", "notebooks/02_text_encoder.ipynb"),
        settings=read_by("sen"),
        values=parameters("sen"),
        label=label("sen"),
    shell:
        RUN


ruleorder: text_encoder > sen


rule rdg:
    input:
        rules.data.output,
        speech_of,
        classifier_of,
    output:
        RDG + "/metrics.json",
        RDG + "/weights.safetensors",
        RDG + "/samples.png",
    log:
        RDG + "/03_rdg.ipynb",
    threads: cores_of
    resources:
        gpu=gpus,
    params:
        notebook="notebooks/03_rdg.ipynb",
        source=source("rdg", "notebooks/03_rdg.ipynb"),
        settings=read_by("rdg"),
        values=parameters("rdg"),
        label=label("rdg"),
    shell:
        RUN


rule analysis:
    input:
        rules.data.output,
        lambda wildcards: runs(wildcards.dataset),
        notebook="notebooks/04_analysis.ipynb",  # itself a result: a change in its prose counts too
    output:
        RESULTS + "/analysis/metrics.csv",
        RESULTS + "/analysis/table.md",
    log:
        RESULTS + "/analysis/04_analysis.ipynb",
    threads: 1
    params:
        notebook="notebooks/04_analysis.ipynb",
        source=source("analysis", "notebooks/04_analysis.ipynb"),
        settings=read_by("analysis"),
        values=parameters("analysis"),
        label=label("analysis"),
    shell:
        RUN


rule tables:
    input:
        [runs(dataset) for dataset in study.of],
        expand(RESULTS + "/data-store-seed{seed}/metrics.json", dataset=study.of, seed=DATA_SEED),
        notebook="notebooks/05_tables.ipynb",
    output:
        TABLES + "/table1.md",
        TABLES + "/table2.md",
        TABLES + "/metrics.csv",
    log:
        TABLES + "/05_tables.ipynb",
    threads: 1
    params:
        notebook="notebooks/05_tables.ipynb",
        source=source("tables", "notebooks/05_tables.ipynb"),
        settings=read_by("tables"),
        files=lambda wildcards: studies.folder_digest(next(iter(study.of.values())).analysis_kept),
        values=parameters("tables"),
        label=label("tables"),
    shell:
        RUN


rule figures:  # after the tables, which clear the folder of older files
    input:
        rules.tables.output,
        notebook="notebooks/05_figures.ipynb",
    output:
        expand(TABLES + "/samples_{dataset}.png", dataset=study.of),
    log:
        TABLES + "/05_figures.ipynb",
    threads: 1
    params:
        notebook="notebooks/05_figures.ipynb",
        source=source("tables", "notebooks/05_figures.ipynb"),
        settings=read_by("tables"),
        values=parameters("tables"),
        label=label("figures"),
    shell:
        RUN
