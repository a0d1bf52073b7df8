"""What every run leaves behind, and how it is taken up again: files that are whole or absent, metrics, log, checkpoints.

A run is one directory (`settings.run_dir`). It holds the executed notebook, `params.yaml`, and what the notebook writes
through this module: `metrics.json` (equal for equal runs on one machine), `timing.json` (what differs even then), `log.jsonl`
and, while training lasts, `checkpoints/`.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import platform
import random
import shutil
import subprocess
import time
import zlib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from s2igan import BadInput
from s2igan.settings import Settings
from s2igan.study import notebook_parameters

# Packages whose version can change a number.
VERSIONS_OF = ("torch", "torchvision", "torchaudio", "numpy", "scipy", "pillow", "scikit-learn", "espeakng-loader", "pytorch-fid")


# ---- files -----------------------------------------------------------------------------------------------------------------------


def project_root(start: str | Path = ".") -> Path:
    """The folder with pyproject.toml, at or above `start`: notebooks opened by hand run in notebooks/, rules run in the root."""
    start = Path(start).resolve()
    for folder in (start, *start.parents):
        if (folder / "pyproject.toml").is_file():
            return folder
    raise BadInput(f"no pyproject.toml in {start} or above: start Jupyter in the project's folder")


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`, renamed to it when the block ends well and deleted when it does not.

    The temporary name keeps the suffix, since numpy, Pillow and matplotlib choose their format by it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
            raise BadInput(f"cannot write {path}: {os.strerror(error.errno)}") from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_atomic(path: str | Path, content: str | bytes) -> None:
    """Writes `content` to `path`, which afterwards holds all of it or what it held before."""
    with replacing(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def write_json(path: str | Path, value: Any) -> None:
    """Writes `value` as indented JSON, whole or not at all."""
    write_atomic(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def file_sha256(path: str | Path) -> str:
    """Checksum of a file's content: part of a fingerprint when a run depends on what another run wrote."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# ---- metrics and where they come from --------------------------------------------------------------------------------------------


def commit() -> str:
    """The commit of this code, with '-dirty' when lib/ or notebooks/ differ from it; 'unknown' outside a git checkout of the project."""
    root = Path(__file__).resolve().parents[2]

    def git(*arguments: str) -> str:
        return subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True, timeout=20).stdout.strip()

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
        "precision": "bf16" if stage in ("classifier", "rdg") and use_bf16(settings, device) else "fp32",  # the others never autocast
        "threads": settings.threads,
        "processes": settings.processes if stage in ("sen", "rdg") else 1,
        "commit": commit(),
        "versions": versions,
        **({"weights": settings.weights} if settings.weights else {}),  # loaded, not trained here
    }


def write_metrics(
    run_dir: str | Path, metrics: list[dict[str, Any]], settings: Settings, stage: str, system: str = "", started: float | None = None,
    **more: str,
) -> None:  # fmt: skip
    """Writes metrics.json (provenance and `metrics`, each {metric, value, n, split, ...}), timing.json and params.yaml.

    `started` is the time.time() at which the run began. Seconds differ between equal runs, so they have a file of their own and
    metrics.json can be compared byte for byte. `more` is kept beside the provenance. Write everything else first: a run with
    metrics.json counts as finished.
    """
    for row in metrics:
        missing = {"metric", "value", "n", "split"} - row.keys()
        if missing:
            raise ValueError(f"metric {row} lacks {', '.join(sorted(missing))}")
    parameters = notebook_parameters(settings, stage, settings.threads)  # a notebook run by hand has no params.yaml yet
    write_atomic(Path(run_dir) / "params.yaml", yaml.safe_dump(parameters, sort_keys=False))
    now = time.time()
    timing = {"finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))}
    if started is not None:
        timing["seconds"] = round(now - started, 1)
    write_json(Path(run_dir) / "timing.json", timing)
    write_json(Path(run_dir) / "metrics.json", {**provenance(settings, stage, system), **more, "metrics": metrics})


def read_metrics(run_dir: str | Path) -> dict[str, Any]:
    """What write_metrics wrote: provenance, `metrics`, and `timing`. Raises BadInput if the run has not finished."""
    path = Path(run_dir) / "metrics.json"
    if not path.is_file():
        raise BadInput(f"{path} does not exist: the run has not finished, `make study` runs what is missing")
    timing = Path(run_dir) / "timing.json"
    return {**json.loads(path.read_text()), "timing": json.loads(timing.read_text()) if timing.is_file() else {}}


# ---- progress --------------------------------------------------------------------------------------------------------------------


class Log:
    """Appends a line of numbers to log.jsonl and prints it with the speed and the time left.

    A run that goes on from step `start` drops the lines after it, since those steps are made again.

        log = Log(run_dir / "log.jsonl", total=3000, batch=32, start=step)
        log(500, loss_g=1.23, loss_d=0.7)       # step 500/3000  loss_g 1.23  loss_d 0.7  142 img/s  ~3 min left
    """

    def __init__(self, path: str | Path, total: int, batch: int = 0, start: int = 0) -> None:
        self.path, self.total, self.batch = Path(path), total, batch
        write_atomic(self.path, "".join(json.dumps(record) + "\n" for record in read_log(self.path) if record["step"] <= start))
        self._step, self._time = start, time.monotonic()

    def __call__(self, step: int, **values: float) -> None:
        """Logs `values` of `step`; speed is that since the last call."""
        now = time.monotonic()
        steps_per_second = max(step - self._step, 0) / max(now - self._time, 1e-9)
        self._step, self._time = step, now
        with open(self.path, "a") as file:
            file.write(json.dumps({"step": step, **{name: float(value) for name, value in values.items()}}) + "\n")
        parts = [f"step {step}/{self.total}", *(f"{name} {value:.4g}" for name, value in values.items())]
        if steps_per_second > 0:
            parts += [f"{steps_per_second * self.batch:.0f} img/s"] if self.batch else []
            parts += [f"~{duration((self.total - step) / steps_per_second)} left"] if step < self.total else []
        print("  ".join(parts), flush=True)


def read_log(path: str | Path) -> list[dict[str, float]]:
    """The records of log.jsonl; a last line cut off by a kill is passed over."""
    records = []
    if Path(path).is_file():
        for line in Path(path).read_text().splitlines():
            with contextlib.suppress(json.JSONDecodeError):
                records.append(json.loads(line))
    return records


def duration(seconds: float) -> str:
    """A length of time as people say it: '40 s', '3 min', '2.5 h'."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"


# ---- checkpoints -----------------------------------------------------------------------------------------------------------------


def fingerprint(*parts: Any) -> str:
    """SHA-256 of the JSON of `parts`: the settings of a stage, checksums of what it reads."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def save_checkpoint(folder: str | Path, step: int, state: dict[str, Any], fingerprint: str, keep: int = 2) -> None:
    """Writes `step-<step>.pt`, whole or not at all, and deletes all but the last `keep`.

    `state` holds tensors, numbers, strings, and dicts, lists and tuples of them (state_dict()s, torch.get_rng_state()).
    """
    folder = Path(folder)
    path = folder / f"step-{step:08d}.pt"
    with replacing(path) as temporary:
        try:
            torch.save({"step": step, "fingerprint": fingerprint, "state": state}, temporary)
        except RuntimeError as error:  # how torch reports a full disk
            if shutil.disk_usage(folder).free > 2**20:
                raise
            raise BadInput(f"cannot write {path}: {os.strerror(errno.ENOSPC)}") from error
    for old in [*sorted(folder.glob("step-*.pt"))[:-keep], *folder.glob(".step-*.pt")]:  # the latter: cut off by a kill
        old.unlink()


def load_checkpoint(folder: str | Path, fingerprint: str, map_location: str | torch.device = "cpu") -> tuple[int, dict[str, Any]] | None:
    """The newest checkpoint as (step, state), or None. A damaged file is passed over for the one before it.

    Raises BadInput if the checkpoint was made with another fingerprint.
    """
    for path in sorted(Path(folder).glob("step-*.pt"), reverse=True):
        try:
            saved = torch.load(path, map_location=map_location, weights_only=True)
            step, found, state = saved["step"], saved["fingerprint"], saved["state"]
        except Exception as error:  # torch.load raises five unrelated kinds of error on a damaged file
            print(f"{path} is damaged ({type(error).__name__}), going back to the one before it", flush=True)
            continue
        if found != fingerprint:
            raise BadInput(f"{path} is a checkpoint from other settings or other data: go back to those, or delete {folder} to start anew")
        return step, state
    return None


# ---- the machine -----------------------------------------------------------------------------------------------------------------


def seed_everything(seed: int, *more: int | str) -> int:
    """Seeds Python, NumPy and torch from `seed` and what tells this use of it from others (a stage's name); returns the mixed seed."""
    words = [zlib.crc32(part.encode()) if isinstance(part, str) else part for part in more]
    mixed = int(np.random.SeedSequence([seed, *words]).generate_state(1)[0])
    random.seed(mixed)
    np.random.seed(mixed)
    torch.manual_seed(mixed)
    return mixed


def set_threads(threads: int) -> None:
    """Lets torch use `threads` cores; sums are rounded in another order with another number of them."""
    torch.set_num_threads(threads)


def pick_device(settings: Settings) -> torch.device:
    """The device of `settings`: with 'auto', the GPU if there is one."""
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise BadInput("parameter 'device' is 'cuda': torch sees no GPU here")
    if settings.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(settings.device)


def use_bf16(settings: Settings, device: torch.device) -> bool:
    """Whether to train under bf16 autocast: with 'auto', where the device multiplies it natively."""
    if settings.precision != "auto":
        return settings.precision == "bf16"
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
