"""Several processes that train as one: torchrun starts them, each takes its rows of a batch, gradients are averaged.

One thing differs from one process with the same global batch: BatchNorm sees the rows of its own process alone. Every
process draws the same random numbers for the whole batch and uses those of its own rows, and every loss is a mean over
rows (SEN's matching loss, which compares rows, gathers all of them first).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import torch.distributed as dist
import torch.distributed.nn.functional
from torch import Tensor

from s2igan import BadInput
from s2igan.config import Settings, notebook_parameters
from s2igan.training.devices import pick_device


def start(device: torch.device) -> None:
    """Join the other processes where torchrun started this one; on GPUs, each process takes one."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not dist.is_initialized():
        if device.type == "cuda":
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        # Long, since the others wait while the first one validates.
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=timedelta(hours=2))


def end() -> None:
    """Leave the other processes once all are done."""
    if dist.is_initialized():
        dist.barrier()
        dist.destroy_process_group()


def world() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """The number of this process; number 0 writes what a run leaves."""
    return dist.get_rank() if dist.is_initialized() else 0


def local_shard() -> slice:
    """This process's rows of a global batch, whose size the number of processes divides (`config.resolve`)."""
    return slice(rank(), None, world())


def all_reduce_mean(tensors: Iterable[Tensor]) -> None:
    """Replace each tensor by its mean over all processes, in one message."""
    if world() > 1 and (tensors := list(tensors)):
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        dist.all_reduce(flat)
        parts = (flat / world()).split([tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.copy_(part.view_as(tensor))


def gather(x: Tensor) -> Tensor:
    """The rows of all processes, those of process 0 first; gradients flow back to the process whose row it is.

    Every process then computes the loss of the whole batch. The gradient that comes back to a row is the sum over all
    processes, `world()` times its own; `all_reduce_mean` divides by that.
    """
    if world() == 1:
        return x
    return torch.cat(dist.nn.functional.all_gather(x)) if x.requires_grad else torch.cat(_gather_plain(x))


def _gather_plain(x: Tensor) -> list[Tensor]:
    parts = [torch.empty_like(x) for _ in range(world())]
    dist.all_gather(parts, x.contiguous())
    return parts


def train_apart(settings: Settings, stage: str, root: Path) -> None:
    """Train a stage ('sen' or 'rdg') in `settings.processes` processes under torchrun on this machine.

    They leave the finished checkpoint. The caller's own training function takes the networks from it, with no step left
    to do. So it does where torchrun was called by hand, on several machines that share the folder
    (docs/paper_scale.md). Nothing happens for one process.

    Raises: BadInput for more processes than GPUs; RuntimeError when they fail.
    """
    if settings.processes == 1:
        return
    if pick_device(settings).type == "cuda" and settings.processes > torch.cuda.device_count():
        raise BadInput(
            f"parameter 'processes' is {settings.processes}: torch sees {torch.cuda.device_count()} GPUs here"
        )
    values = notebook_parameters(settings, stage, settings.threads)
    command = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={settings.processes}"]
    command += [
        "--standalone",
        "-m",
        "s2igan",
        "train",
        stage,
        "--values",
        json.dumps(values),
        "--parent",
        str(os.getpid()),
    ]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            lines = []
            for line in process.stdout or ():  # printed here, so that they appear in the notebook
                lines.append(line.rstrip())
                print(lines[-1], flush=True)
        finally:
            process.terminate()
    if process.returncode:
        said = next(
            (line for line in reversed(lines) if line.startswith("error: ")),
            f"torchrun ended with {process.returncode}",
        )
        raise RuntimeError(f"{settings.processes} processes could not train {stage}: {said}")
