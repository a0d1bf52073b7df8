"""What test_parallel.py runs, alone and twice under torchrun: a stage's training, a few steps, with BatchNorm frozen.

    python tests/train_with_frozen_norms.py STAGE FOLDER VALUES

FOLDER is conftest.py's `drawn`; the trained weights of process 0 go to FOLDER/STAGE-<system>-<processes>.pt.
"""

import functools
import json
import sys
from pathlib import Path

import torch
from torch import nn

from s2igan.config import resolve
from s2igan.data.store import open_store
from s2igan.evaluation.feature_networks import extract, load_network
from s2igan.training import processes
from s2igan.training.rdg import train_rdg
from s2igan.training.sen import fresh_sen, train_sen


def main(stage: str, folder: Path, values: dict) -> None:
    torch.set_num_threads(1)
    # Statistics of a process's own rows are what may differ: here every BatchNorm keeps those that it starts with.
    for norm in (nn.BatchNorm1d, nn.BatchNorm2d):
        norm.train = lambda self, mode=True: nn.Module.train(self, False)
    # Adam divides a gradient by its size. Where that is rounding noise, which sums in another order change, larger eps
    # keeps it small.
    torch.optim.Adam = functools.partial(torch.optim.Adam, eps=1e-4)
    processes.start(torch.device("cpu"))
    settings, store = resolve(values), open_store(folder / "store")
    network = load_network(folder / "backbone.safetensors")
    out = folder / f"{stage}-{settings.system.replace(' ', '-').replace('/', '')}-{processes.world()}"
    if stage == "sen":
        features = extract(network, store.images, 32)
        trained = train_sen(settings, store, network, features, out, "upstream").state_without_backbone()
    else:
        speech = torch.randn(len(store.caption_image), 16, generator=torch.Generator().manual_seed(0))
        joint = "SEN" in settings.system or "end" in settings.system
        net = fresh_sen(settings, store, network)
        nets = train_rdg(settings, store, net, None if joint else speech, out, "upstream")
        trained = {f"{name}.{k}": v for name, part in nets.trained().items() for k, v in part.state_dict().items()}
        trained |= {f"net.{k}": v for k, v in net.state_without_backbone().items()}
    if processes.rank() == 0:
        torch.save(trained, f"{out}.pt")
    processes.end()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3]))
