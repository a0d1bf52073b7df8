"""Small files of trained networks, kept in results/reference/weights: how they are packed, and what loads them in place of a training.

A folder `<weights>/<dataset>/` holds a safetensors file for each name of `NETWORKS`, with its card (`<name>.md`) and the log of its
training (`<name>.jsonl`); `cards.py` writes them. They hold what is needed to hear, read, look and paint, and nothing that only a training
needs: not the classifier of L_d, no discriminator, no caption's embedding.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from s2igan import BadInput
from s2igan.config import Settings, identity, resolve, slug
from s2igan.data.files import replacing
from s2igan.evaluation.feature_networks import ProxyNetwork, freeze

# The networks by the names of their files: stage, and system ("" for the two stand-ins of the data stage).
NETWORKS = {
    "sen": ("sen", "SEN"), "sen-wo-ld": ("sen", "SEN w/o L_d"), "text-encoder": ("sen", "text encoder"), "s2igan": ("rdg", "S2IGAN"),
    "backbone": ("data", ""), "evaluator": ("data", ""),
}  # fmt: skip
LICENCE = "MIT, as this code; the pictures and the speech that it learned from are made by this code too"
LARGE = 40_000  # values from which on a matrix is kept as whole numbers, where that is asked for
SCALE = ".scale"  # ends the name of the factors of such a matrix's rows


def pack(state: dict[str, Tensor], whole: bool) -> dict[str, Tensor]:
    """A network's state in fewer bytes.

    Biases and BatchNorm's statistics, which are few and of a wide range, stay as they are; matrices and kernels become half precision. With
    `whole` those of `LARGE` values or more become eight-bit whole numbers q with a factor s for each row (output channel), w = s q, an
    error of at most s / 2, where s = max |w| / 127.
    """
    small = {}
    for name, tensor in state.items():
        if tensor.ndim < 2 or not tensor.is_floating_point():
            small[name] = tensor.contiguous()
        elif whole and tensor.numel() >= LARGE:
            rows = tensor.float().flatten(1)
            # Not below the smallest number that half precision keeps with all its digits; the factor is rounded first, then w by it.
            scale = (rows.abs().amax(1) / 127).clamp_min(2.0**-14).half()
            numbers = (rows / scale.float()[:, None]).round().clamp(-127, 127)
            small[name], small[name + SCALE] = numbers.to(torch.int8).view_as(tensor).contiguous(), scale
        else:
            small[name] = tensor.half().contiguous()
    return small


def unpack(small: dict[str, Tensor]) -> dict[str, Tensor]:
    """What `packed` made, as single precision again; anything else of floating point too."""
    state = {}
    for name, tensor in small.items():
        if name.endswith(SCALE):
            continue
        if tensor.dtype == torch.int8:
            tensor = (tensor.float().flatten(1) * small[name + SCALE].float()[:, None]).view_as(tensor)
        state[name] = tensor.float() if tensor.is_floating_point() else tensor
    return state


def write(path: Path, small: dict[str, Tensor], about: dict[str, Any]) -> None:
    """A file of packed tensors and what they are, whole or not at all."""
    with replacing(path) as temporary:
        save_file(small, temporary, {"about": json.dumps(about, ensure_ascii=False)})


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors of a file of `write`, in single precision, and what it says of them (`settings`, `steps`, `metrics`, ...).

    Raises: BadInput where it is missing, damaged or another kind of file.
    """
    if not path.is_file():
        raise BadInput(f"there are no weights {path}: `python -m s2igan weights results/<study>/<dataset>` makes them of a finished study")
    try:
        with safe_open(path, "pt") as file:
            about = json.loads(file.metadata()["about"])
            return unpack({name: file.get_tensor(name) for name in file.keys()}), about  # noqa: SIM118 - it is no dict
    except (SafetensorError, KeyError, TypeError, ValueError, OSError) as error:
        raise BadInput(f"{path} is damaged, or no weights of `python -m s2igan weights` ({type(error).__name__})") from None


def proxy_of(state: dict[str, Tensor]) -> ProxyNetwork:
    """The frozen stand-in network of a state."""
    heads = {name.split(".")[1]: len(t) for name, t in state.items() if name.startswith("attributes.") and name.endswith(".weight")}
    net = ProxyNetwork(len(state["classify.weight"]), heads)
    net.load_state_dict(state)
    return freeze(net)


def describe(about: dict[str, Any]) -> str:
    """Which network a file holds, in words: for what is printed when it is loaded."""
    steps = f", {about['steps']:,} steps" if about.get("steps") else ""
    return f"{about['network']} of {about['dataset']}, seed {about['seed']}{steps}"


def folder_of(settings: Settings, root: Path) -> Path:
    """Where the networks of a data set lie: the reference weights, or where none are asked for the study's own runs."""
    own = root / "results" / settings.study / settings.dataset
    return root / "results" / "reference" / "weights" / settings.dataset if settings.weights else own


def load_reference(network: nn.Module, settings: Settings, stage: str, folder: Path, root: Path) -> nn.Module:
    """Loads the reference weights of a run's system into `network` in place of a training, and says so; the log of the training that made
    them becomes the run's. Of an SEN the classifier of L_d stays as it is: nothing that comes after the training asks it.

    Args: network: SEN, or the generator (as `parts` of a training make them). folder: the run's.
    Returns: the network, in eval mode. Raises: BadInput where there are no such weights, or they were made with other settings.
    """
    name = slug(settings.system)
    if NETWORKS.get(name) != (stage, settings.system):
        there = ", ".join(repr(system) for of, system in NETWORKS.values() if of == stage)
        raise BadInput(f"there are no reference weights of {settings.system!r}, only of {there}: with weights = '' it is trained")
    state = _fitting(settings, name, stage, root)
    own = network.state_dict()
    state = {key: tensor for key, tensor in state.items() if key in own}  # without the statistics that lie in the same file
    lacking = [key for key in own if key not in state and not key.startswith(("classifier.", "image_encoder.backbone."))]
    if lacking or any(own[key].shape != tensor.shape for key, tensor in state.items()):
        raise BadInput(f"{folder_of(settings, root)}/{name}.safetensors does not fit this network: make the weights anew")
    network.load_state_dict(state, strict=False)
    log = folder_of(settings, root) / f"{name}.jsonl"
    if log.is_file():
        with replacing(folder / "log.jsonl") as temporary:
            shutil.copyfile(log, temporary)
    return network.eval()


def load_reference_proxies(settings: Settings, root: Path) -> dict[str, ProxyNetwork]:
    """Backbone and evaluator of the reference weights, {name: network}, frozen, in place of their training. Raises: BadInput as `take`."""
    return {name: proxy_of(_fitting(settings, name, "data", root)) for name in ("backbone", "evaluator")}


def _fitting(settings: Settings, name: str, stage: str, root: Path) -> dict[str, Tensor]:
    """A file of the reference weights, if it was made with these settings of `stage`; says what was loaded."""
    path = folder_of(settings, root) / f"{name}.safetensors"
    state, about = read(path)
    made = identity(resolve(about["settings"]), stage)
    given = identity(settings, stage)
    for key, value in made.items():
        if key in given and given[key] != value:
            raise BadInput(f"the reference weights {name} were made with {key} = {value!r}, not {given[key]!r}: leave it so, or train "
                           "with weights = ''")  # fmt: skip
    print(f"nothing is trained here: loaded {describe(about)}, from {path.relative_to(root)}", flush=True)
    return state
