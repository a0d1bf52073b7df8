"""What test_kill.py runs: a training killed with SIGKILL at random moments, and resumed.

    python tests/kill_at_random.py STAGE FOLDER TIMES

One whole training, then TIMES ones that are killed at a random moment and run again: prints how often the weights were
the same, to the bit. Trainings are forks of this process, which has imported torch once and trains nothing itself.
"""

import hashlib
import os
import random
import signal
import sys
import time
from pathlib import Path

import torch

from s2igan.config import resolve
from s2igan.data.store import open_store
from s2igan.evaluation.feature_networks import extract, load_network
from s2igan.training.rdg import train_rdg
from s2igan.training.sen import fresh_sen, train_sen

VALUES = {
    "data_classes": 20,
    "data_captions": 1,
    "sen_gru_size": 8,
    "sen_steps": 12,
    "sen_batch": 8,
    "sen_validate_every": 3,
    "rdg_width": 8,
    "rdg_discriminator_width": 4,
    "rdg_steps": 9,
    "rdg_batch": 8,
    "rdg_log_every": 3,
    "rdg_condition_size": 8,
    "rdg_checkpoint_every": 2,
    "device": "cpu",
}


def train(stage: str, folder: Path, out: Path) -> None:
    """A stage's training into `out`; `weights` there holds a digest of what came of it."""
    settings = resolve({**VALUES, "system": "SEN" if stage == "sen" else "S2IGAN end-to-end"})
    store, network = open_store(folder / "store"), load_network(folder / "backbone.safetensors")
    if stage == "sen":
        state = train_sen(
            settings, store, network, extract(network, store.images, 32), out, "upstream"
        ).state_without_backbone()
    else:
        nets = train_rdg(settings, store, fresh_sen(settings, store, network), None, out, "upstream")
        state = {
            f"{k}.{name}": t
            for k, part in enumerate((nets.ema, nets.speech_encoder_ema))
            for name, t in part.state_dict().items()
        }
    digest = hashlib.sha256(
        b"".join(name.encode() + tensor.contiguous().numpy().tobytes() for name, tensor in state.items())
    )
    (out / "weights").write_text(digest.hexdigest())


def forked(*arguments) -> int:
    """The process that trains."""
    if (child := os.fork()) == 0:
        code = 1
        try:
            arguments[2].mkdir(exist_ok=True)
            os.dup2(os.open(arguments[2] / "said", os.O_WRONLY | os.O_CREAT | os.O_APPEND), 1)
            train(*arguments)
            code = 0
        finally:
            os._exit(code)
    return child


def main(stage: str, folder: Path, times: int) -> None:
    torch.set_num_threads(1)
    for name in ("first", "whole"):  # the first one has files to read and pages to touch, and takes longer
        started = time.monotonic()
        assert os.waitpid(forked(stage, folder, folder / f"{stage}-{name}"), 0)[1] == 0
    whole, same, killed, resumed = time.monotonic() - started, 0, 0, 0
    moments = random.Random(0)
    for k in range(times):
        out = folder / f"{stage}-{k}"
        child = forked(stage, folder, out)
        time.sleep(moments.uniform(0.05, 0.95) * whole)
        os.kill(child, signal.SIGKILL)
        killed += os.waitpid(child, 0)[1] == signal.SIGKILL
        assert os.waitpid(forked(stage, folder, out), 0)[1] == 0
        resumed += "resumes from step" in (out / "said").read_text()
        same += (out / "weights").read_text() == (folder / f"{stage}-whole" / "weights").read_text()
    print(f"{killed} killed, {resumed} resumed from a checkpoint, {same} of {times} the same")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
