"""A stage's training in one of the processes that torchrun started."""

from __future__ import annotations

import contextlib
import io
import sys
import threading
from typing import Any

from s2igan import config
from s2igan.evaluation.evaluator import load_feature_networks
from s2igan.evaluation.finished import rdg_inputs
from s2igan.evaluation.images import validation_callback
from s2igan.evaluation.inputs import sen_inputs
from s2igan.training import processes
from s2igan.training.devices import pick_device, set_threads
from s2igan.training.rdg import train_rdg
from s2igan.training.sen import train_sen
from s2igan.workflow.interrupts import stop_after


def run_training(stage: str, parameters: dict[str, Any], parent: int | None) -> int:
    """A stage's training as its notebook does it, up to the last checkpoint. Process 0 alone prints and writes.

    Returns the exit status.
    """
    values = config.resolve(parameters)
    if parent:
        threading.Thread(target=stop_after, args=[parent], daemon=True).start()
    processes.start(pick_device(values))
    set_threads(values.threads)
    folder = config.run_dir(values, stage)
    try:
        with contextlib.nullcontext() if processes.rank() == 0 else contextlib.redirect_stdout(io.StringIO()):
            if stage == "sen":
                store, network, features, upstream = sen_inputs(values, ".")
                train_sen(values, store, network, features, folder, upstream)
            else:
                store, net, embeddings, upstream = rdg_inputs(values, ".")
                validate = validation_callback(store, load_feature_networks(values, "."), values, folder)
                train_rdg(values, store, net, embeddings, folder, upstream, validate)
    except RuntimeError as error:  # such as a loss that is not finite
        print(f"error: {error}", file=sys.stderr)
        return 1
    processes.end()
    return 0
