"""What every run leaves: metrics.json with where each number comes from, timing.json, params.yaml."""

from __future__ import annotations

import contextlib
import math
import os
import platform
import subprocess
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
import yaml
from pydantic import BaseModel, FiniteFloat, TypeAdapter

from s2igan import BadInput
from s2igan.config import Settings, from_yaml, notebook_parameters, resolve
from s2igan.files import check_form, file_sha256, read_json, write_atomic, write_json
from s2igan.training.devices import pick_device, use_bf16

# Packages whose version can change a number.
VERSIONS_OF = ("torch", "torchvision", "torchaudio", "numpy", "scipy", "pillow", "scikit-learn")
VERSIONS_OF += ("espeakng-loader", "pytorch-fid")
AGAIN = "delete it and `make study` makes it again"


class Metric(BaseModel):
    """A row of `metrics` in metrics.json; per_split: images in a split of the Inception Score."""

    metric: str
    value: FiniteFloat
    n: int
    split: str
    per_split: int = 1


class Record(BaseModel):
    """What metrics.json holds at least."""

    stage: str
    system: str
    study: str
    dataset: str
    preset: str
    seed: int
    device: str
    precision: str
    threads: int
    processes: int = 1  # older records lack it
    commit: str
    versions: dict[str, str]
    fingerprint: str = ""
    checksums: dict[str, str] = {}  # of the run's weights, by file
    metrics: list[Metric]


class Timing(BaseModel):
    """What timing.json holds."""

    finished: str = ""
    seconds: FiniteFloat = 0.0


RECORD, TIMING = TypeAdapter(Record), TypeAdapter(Timing)


def commit() -> str:
    """The commit of this code, with '-dirty' when lib/ or notebooks/ differ from it.

    'unknown' outside of a git checkout of the project.
    """
    root = Path(__file__).resolve().parents[3]

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True, timeout=20
        ).stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")).resolve() != root:
            return "unknown"
        return git("rev-parse", "HEAD") + ("-dirty" if git("status", "--porcelain", "--", "lib", "notebooks") else "")
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def device_name(device: torch.device) -> str:
    """The processor's own name, such as 'NVIDIA A100' or 'Intel(R) Xeon(R) ...'."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def arithmetic(device: torch.device) -> dict[str, str]:
    """What decides how products are rounded, beside `precision`. The same for equal runs on the same machine.

    On a GPU: in what format products of single precision are computed, of matrices, convolutions and recurrent
    networks ('tf32' or 'ieee'); PyTorch's own choice is kept. On a CPU: the instructions that torch and oneDNN may use.
    """
    if device.type == "cuda":
        cudnn = torch.backends.cudnn
        asked = {"matmul": torch.backends.cuda.matmul, "conv": cudnn.conv, "rnn": cudnn.rnn}
        return {name: fp32_products(backend.fp32_precision) for name, backend in asked.items()}
    capabilities = torch.cpu.get_capabilities()
    native = [name for name in ("amx_bf16", "avx512_bf16") if capabilities.get(name)]
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA") or os.environ.get("DNNL_MAX_CPU_ISA")
    return {
        "torch": torch.backends.cpu.get_cpu_capability(), "bf16": ", ".join(native) or "none",
        **({"oneDNN at most": limit.upper()} if limit else {}),
    }  # fmt: skip


def fp32_products(said: str) -> str:
    """'none', the setting that nobody has made, is single precision as IEEE 754 has it."""
    return "ieee" if said == "none" else said


def provenance(settings: Settings, stage: str, system: str = "") -> dict[str, Any]:
    """Which run this is and from what: the same for equal runs of the same code on the same machine."""
    device = pick_device(settings)
    versions = {"python": platform.python_version()}
    for package in VERSIONS_OF:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return {
        "stage": stage,
        "system": system or settings.system,
        "study": settings.study,
        "dataset": settings.dataset,
        "preset": settings.preset,
        "seed": settings.data_seed if stage in ("data", "classifier") else settings.seed,
        "device": device_name(device),
        "precision": "bf16"
        if stage in ("classifier", "rdg") and use_bf16(settings, device)
        else "fp32",  # the others never autocast
        "arithmetic": arithmetic(device),
        "threads": settings.threads,
        "processes": settings.processes if stage in ("sen", "rdg") else 1,
        "commit": commit(),
        "versions": versions,
        **({"weights": settings.weights} if settings.weights else {}),  # loaded, not trained here
    }


def write_metrics(
    run_dir: str | Path,
    metrics: list[dict[str, Any]],
    settings: Settings,
    stage: str,
    system: str = "",
    started: float | None = None,
    **more: str,
) -> None:
    """Write metrics.json, timing.json and params.yaml. Write all else first: with metrics.json a run is finished.

    metrics.json holds the checksum of every .safetensors file of the run, so that it can be told later whether they are
    the ones that its figures were measured with (`python -m s2igan verify`). Seconds differ between equal runs, so they
    have a file of their own and metrics.json can be compared byte for byte.

    Args:
        metrics: each {metric, value, n, split, ...}; they stand beside the provenance in metrics.json, as does `more`.
        started: the time.time() at which the run began.
    Raises: ValueError for a metric that lacks a key; BadInput for one that is not finite.
    """
    for row in metrics:
        missing = {"metric", "value", "n", "split"} - row.keys()
        if missing:
            raise ValueError(f"metric {row} lacks {', '.join(sorted(missing))}")
        if not math.isfinite(row["value"]):
            raise BadInput(f"metric {row['metric']} of {run_dir} is {row['value']}: it is not written")
    parameters = notebook_parameters(settings, stage, settings.threads)  # a notebook run by hand has no params.yaml yet
    write_atomic(Path(run_dir) / "params.yaml", yaml.safe_dump(parameters, sort_keys=False))
    now = time.time()
    timing = {"finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))}
    if started is not None:
        timing["seconds"] = round(now - started, 1)
    write_json(Path(run_dir) / "timing.json", timing)
    checksums = {path.name: file_sha256(path) for path in sorted(Path(run_dir).glob("*.safetensors"))}
    about = {**provenance(settings, stage, system), **more, **({"checksums": checksums} if checksums else {})}
    write_json(Path(run_dir) / "metrics.json", {**about, "metrics": metrics})


def read_metrics(run_dir: str | Path) -> dict[str, Any]:
    """What `write_metrics` wrote: provenance, `metrics`, and `timing`.

    Raises BadInput if the run has not finished, or a file is damaged.
    """
    path = Path(run_dir) / "metrics.json"
    if not path.exists():
        raise BadInput(f"{path} does not exist: the run has not finished, `make study` runs what is missing")
    record, timing = read_form(path, RECORD), {}
    if (of_time := Path(run_dir) / "timing.json").exists():
        timing = read_form(of_time, TIMING)
    return {**record, "timing": timing}


def read_form(path: Path, form: TypeAdapter[Any]) -> dict[str, Any]:
    """The value in JSON file `path`, which has the keys and types of `form`. Raises BadInput."""
    try:
        value = read_json(path)
    except BadInput as error:
        raise BadInput(f"{error}; {AGAIN}") from None
    check_form(form, value, path, AGAIN)
    return value


def read_parameters(run_dir: str | Path) -> dict[str, Any]:
    """What params.yaml of a run says. Raises BadInput where it is missing or damaged."""
    path = Path(run_dir) / "params.yaml"
    if not path.exists():
        raise BadInput(f"{path} does not exist: the run cannot be opened without its settings")
    try:
        return from_yaml(path)
    except BadInput as error:
        raise BadInput(f"{error}; {AGAIN}") from None


def read_settings(run_dir: str | Path, **other: Any) -> Settings:
    """The settings of a run, with `other` values in place of some. Raises BadInput where params.yaml is damaged."""
    parameters = read_parameters(run_dir)
    try:
        return resolve({**parameters, **other})
    except BadInput as error:
        raise BadInput(f"{Path(run_dir) / 'params.yaml'}: {error}") from None
