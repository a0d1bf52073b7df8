# The study as a graph of notebooks: data -> SEN -> RDG -> analysis. `make study` runs it here;
# on a cluster: snakemake --profile profiles/slurm --config datasets=mini-birds,mini-flowers seeds=0,1,2
# Any parameter of lib/s2igan/config/settings.py can stand after --config.
#
# Declared outputs are deleted before a job starts, so log.jsonl and checkpoints/, from which a stopped run resumes, are
# not declared. Executed notebooks are `log:`, which stays when a job fails. benchmark.tsv has a run's time and memory.
import json
import os
import sys
from pathlib import Path

from s2igan import BadInput
from s2igan.config import RDG_SYSTEMS, SEN_SYSTEMS, definition, notebook_parameters, of_stage, slug
from s2igan.training.source_code import source_digest
from s2igan.workflow import study as studies
from s2igan.workflow.timestamps import folder_digest

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
    """The settings of one run. Tables over all data sets have the settings of the first, with the names of all."""
    if "dataset" not in wildcards.keys():
        return next(iter(study.of.values())).model_copy(update={"analysis_datasets": tuple(study.of)})
    values = study.of[wildcards.dataset]
    if "system" in wildcards.keys():
        values = values.model_copy(update={"system": BY_SLUG[wildcards.system], "seed": int(wildcards.seed)})
    return values


def cores_of(wildcards):
    """Cores that the processes of a training use together."""
    values = settings_of(wildcards)
    return values.threads * values.processes


def read_by(stage):
    """A rule's `settings`: what it reads and what its system is made of, so that a change of these alone reruns it."""
    def settings(wildcards):
        values = settings_of(wildcards)
        return {**of_stage(values, stage), "definition": definition(values, stage)}
    return settings


def parameters(stage):
    """A rule's `values`: its notebook's parameters. Snakemake does not look for changes in functions of `threads`."""
    def values(wildcards, threads):
        settings = settings_of(wildcards)
        of_each = threads // settings.processes if stage in ("sen", "rdg") else threads
        return json.dumps(notebook_parameters(settings, stage, max(1, of_each)))
    return values


def gpus(wildcards):
    """How many GPUs a run needs, where there are any. `make study` limits them to those of the machine, of which each
    run takes its own; on a cluster a job gets as many as it needs."""
    values = settings_of(wildcards)
    return 0 if values.device == "cpu" else values.processes


def source(stage, notebook):
    """A rule's `source`: a digest of its notebook's code and of all modules that it uses. Before the analysis, plots
    change no number and do not count."""
    without = () if stage in ("analysis", "tables") else ("s2igan.reporting",)
    return source_digest(notebook=Path(notebook), without=without)


def label(stage):
    """What stands before a run's progress lines."""
    def of_run(wildcards, threads):
        dataset = [wildcards.dataset] if len(study.of) > 1 and "dataset" in wildcards.keys() else []
        system = [wildcards.system, f"seed{wildcards.seed}"] if "system" in wildcards.keys() else []
        return " ".join([*dataset, stage, *system])
    return of_run


def runs(dataset):
    """What every SEN and RDG run on a data set ends with."""
    both = dict(dataset=dataset, seed=study.seeds, file=["metrics.json", "weights.safetensors"])
    sen = expand(SEN + "/{file}", system=map(slug, study.sen), **both)
    return sen + expand(RDG + "/{file}", system=map(slug, study.rdg), **both)


def classifier_of(wildcards):
    """The classifier of the unseen classes, where the Inception Score needs one."""
    if study.of[wildcards.dataset].data_backbone != "inception":
        return []
    return expand(CLASSIFIER + "/{name}", name=["metrics.json", "weights.safetensors"], **wildcards)


def speech_of(wildcards):
    """The speech embedding that a system's generator starts from."""
    sen = RDG_SYSTEMS[BY_SLUG[wildcards.system]]["sen"]
    folder = f"{RESULTS}/sen-{slug(sen)}-seed{{seed}}" if sen in SEN_SYSTEMS else None
    return expand(folder + "/{name}.safetensors", name=["weights", "embeddings"], **wildcards) if folder else []


RUN = (
    "exec {PYTHON:q} -m s2igan run {params.notebook} --values {params.values:q} "
    "--out {log} --label {params.label:q} --parent {PROCESS}"
)
RUN_ON_GPU = RUN + " --gpus {resources.gpu}"


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
    benchmark:
        RESULTS + f"/data-store-seed{DATA_SEED}/benchmark.tsv"
    threads: workflow.cores or 1
    resources:
        gpu=lambda wildcards: min(1, gpus(wildcards)),
    params:
        notebook="notebooks/01_data.ipynb",
        source=source("data", "notebooks/01_data.ipynb"),
        settings=read_by("data"),
        files=lambda wildcards: folder_digest(study.of[wildcards.dataset].data_dir),
        values=parameters("data"),
        label=label("data"),
    shell:
        RUN_ON_GPU


rule classifier:  # for the Inception Score of public data sets
    input:
        rules.data.output,
    output:
        CLASSIFIER + "/metrics.json",
        CLASSIFIER + "/weights.safetensors",
    log:
        CLASSIFIER + "/02_classifier.ipynb",
    benchmark:
        CLASSIFIER + "/benchmark.tsv"
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
        RUN_ON_GPU


rule sen:
    input:
        rules.data.output,
    output:
        SEN + "/metrics.json",
        SEN + "/weights.safetensors",
        SEN + "/embeddings.safetensors",
    log:
        SEN + "/02_sen.ipynb",
    benchmark:
        SEN + "/benchmark.tsv"
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
        RUN_ON_GPU


rule text_encoder:  # as SEN, with a notebook of its own
    input:
        rules.data.output,
    output:
        TEXT + "/metrics.json",
        TEXT + "/weights.safetensors",
        TEXT + "/embeddings.safetensors",
    log:
        TEXT + "/02_text_encoder.ipynb",
    benchmark:
        TEXT + "/benchmark.tsv"
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
        RUN_ON_GPU


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
    benchmark:
        RDG + "/benchmark.tsv"
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
        RUN_ON_GPU


rule analysis:
    input:
        rules.data.output,
        lambda wildcards: runs(wildcards.dataset),
        notebook="notebooks/04_analysis.ipynb",  # a result itself, so a change of its text counts too
    output:
        RESULTS + "/analysis/metrics.csv",
        RESULTS + "/analysis/table.md",
    log:
        RESULTS + "/analysis/04_analysis.ipynb",
    benchmark:
        RESULTS + "/analysis/benchmark.tsv"
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
    benchmark:
        TABLES + "/benchmark.tsv"
    threads: 1
    params:
        notebook="notebooks/05_tables.ipynb",
        source=source("tables", "notebooks/05_tables.ipynb"),
        settings=read_by("tables"),
        files=lambda wildcards: folder_digest(next(iter(study.of.values())).analysis_kept),
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
    benchmark:
        TABLES + "/benchmark_figures.tsv"
    threads: 1
    params:
        notebook="notebooks/05_figures.ipynb",
        source=source("tables", "notebooks/05_figures.ipynb"),
        settings=read_by("tables"),
        values=parameters("tables"),
        label=label("figures"),
    shell:
        RUN
