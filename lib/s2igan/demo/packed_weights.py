"""Small files of trained networks in results/reference/weights: how they are packed, and loaded in place of a training.

A folder `<weights>/<dataset>/` holds a safetensors file for each name of `NETWORKS`, with its card (`<name>.md`) and
the log of its training (`<name>.jsonl`); `cards.py` writes them. The files hold what encoding and generating need, and
nothing that only a training needs: no classifier of L_d, no discriminator, no embeddings of captions.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, TypeAdapter
from torch import Tensor, nn

from s2igan import BadInput
from s2igan.config import Settings, identity, resolve, slug
from s2igan.evaluation.feature_networks import ProxyNetwork, freeze, proxy_with
from s2igan.files import check_form, copy_file
from s2igan.training.weights import read_weights, save_weights

# {name of the file: (stage, system)}; the system is "" for the two proxy feature networks of the data stage.
NETWORKS = {
    "sen": ("sen", "SEN"),
    "sen-wo-ld": ("sen", "SEN w/o L_d"),
    "text-encoder": ("sen", "text encoder"),
    "s2igan": ("rdg", "S2IGAN"),
    "backbone": ("data", ""),
    "evaluator": ("data", ""),
}
LICENCE = "MIT, like this code, which also made the images and the speech that it was trained on"
LARGE = 40_000  # values: a matrix of this size or larger can be packed as eight-bit numbers
SCALE = ".scale"  # suffix of the tensor with the factors of the rows of such a matrix


class About(BaseModel):
    """What a file of weights says of itself."""

    network: str
    dataset: str
    seed: int
    settings: dict[str, Any]
    steps: int
    commit: str
    device: str
    precision: str
    versions: dict[str, str]
    metrics: list[dict[str, Any]]
    values: dict[str, list[str]] = {}  # of each attribute, in the evaluator's file


ABOUT = TypeAdapter(About)


def pack(state: dict[str, Tensor], whole: bool) -> dict[str, Tensor]:
    """A network's state in fewer bytes.

    Biases and BatchNorm statistics are few and have a wide range: they stay as they are. Matrices and kernels become
    half precision. With `whole`, those of `LARGE` values or more become eight-bit numbers q with a factor s per row
    (output channel): w = s q with s = max |w| / 127, an error of at most s / 2.
    """
    small = {}
    for name, tensor in state.items():
        if tensor.ndim < 2 or not tensor.is_floating_point():
            small[name] = tensor.contiguous()
        elif whole and tensor.numel() >= LARGE:
            rows = tensor.float().flatten(1)
            # At least the smallest normal number of half precision. The factor is rounded before w is divided by it.
            scale = (rows.abs().amax(1) / 127).clamp_min(2.0**-14).half()
            numbers = (rows / scale.float()[:, None]).round().clamp(-127, 127)
            small[name], small[name + SCALE] = numbers.to(torch.int8).view_as(tensor).contiguous(), scale
        else:
            small[name] = tensor.half().contiguous()
    return small


def unpack(small: dict[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of `pack`, in single precision."""
    state = {}
    for name, tensor in small.items():
        if name.endswith(SCALE):
            continue
        if tensor.dtype == torch.int8:
            tensor = (tensor.float().flatten(1) * small[name + SCALE].float()[:, None]).view_as(tensor)
        state[name] = tensor.float() if tensor.is_floating_point() else tensor
    return state


def write(path: Path, small: dict[str, Tensor], about: dict[str, Any]) -> None:
    """Writes packed tensors and their description, atomically."""
    save_weights(small, path, about)


def read(path: Path, *names: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors of a file of `write`, in single precision, and its description (`settings`, `steps`, `metrics`, ...).

    Args: names: tensors that it must hold.
    Raises: BadInput if it is missing, damaged or another kind of file.
    """
    made_by = "`python -m s2igan weights results/<study>/<dataset>` packs a study's"
    again = f"take it from the repository again, or {made_by}"
    small, about = read_weights(path, *names, made_by=made_by, again=again)
    check_form(ABOUT, about, path, again)
    try:
        return unpack(small), about
    except (KeyError, RuntimeError, IndexError) as error:
        raise BadInput(f"{path} is damaged ({type(error).__name__}): {again}") from None


def proxy_of(state: dict[str, Tensor], path: Path) -> ProxyNetwork:
    """The frozen proxy feature network of file `path`, which holds this state. Raises: BadInput if it is of another."""
    return freeze(proxy_with(state, path))


def settings_of(about: dict[str, Any], path: Path) -> Settings:
    """The settings that the networks of file `path` were trained with. Raises: BadInput for those of other code."""
    try:
        return resolve(about["settings"])
    except BadInput as error:
        raise BadInput(f"{path} has settings that are unknown here ({error}): pack the weights again") from None


def describe(about: dict[str, Any]) -> str:
    """Name, data set, seed and steps of a network, for the line that is printed when it is loaded."""
    steps = f", {about['steps']:,} steps" if about.get("steps") else ""
    return f"{about['network']} of {about['dataset']}, seed {about['seed']}{steps}"


def folder_of(settings: Settings, root: Path) -> Path:
    """The folder of a data set's networks: the reference weights, or with weights = "" the study's own runs."""
    base = root / "results" / "reference" / "weights" if settings.weights else root / "results" / settings.study
    return base / settings.dataset


def load_reference(network: nn.Module, settings: Settings, stage: str, folder: Path, root: Path) -> nn.Module:
    """Loads the reference weights of a run's system into `network` in place of a training, and prints that it did; the
    log of the training that made them becomes the run's. The classifier of L_d is not among them: `network` keeps its
    own, and nothing after the training uses it.

    Args:
        network: SEN, or the generator, as it is before a training.
        folder: of the run.
    Returns: the network, in eval mode.
    Raises: BadInput if there are no such weights, or they were made with other settings.
    """
    name = slug(settings.system)
    if NETWORKS.get(name) != (stage, settings.system):
        there = ", ".join(repr(system) for of, system in NETWORKS.values() if of == stage)
        raise BadInput(
            f"there are no reference weights of {settings.system!r}, only of {there}: with weights = '' it is trained"
        )
    loaded, state = _fitting(settings, name, stage, root), network.state_dict()
    loaded = {key: tensor for key, tensor in loaded.items() if key in state}  # without the statistics in the same file
    absent = ("classifier.", "image_encoder.backbone.")
    lacking = [key for key in state if key not in loaded and not key.startswith(absent)]
    if lacking or any(state[key].shape != tensor.shape for key, tensor in loaded.items()):
        raise BadInput(
            f"{folder_of(settings, root)}/{name}.safetensors does not fit this network: pack the weights again"
        )
    network.load_state_dict(loaded, strict=False)
    log = folder_of(settings, root) / f"{name}.jsonl"
    if log.is_file():
        copy_file(log, folder / "log.jsonl")
    return network.eval()


def load_reference_proxies(settings: Settings, root: Path) -> dict[str, ProxyNetwork]:
    """Backbone and evaluator of the reference weights, {name: network}, frozen, in place of their training.

    Raises: BadInput as `load_reference`.
    """
    names = ("backbone", "evaluator")
    paths = {name: folder_of(settings, root) / f"{name}.safetensors" for name in names}
    return {name: proxy_of(_fitting(settings, name, "data", root), paths[name]) for name in names}


def _fitting(settings: Settings, name: str, stage: str, root: Path) -> dict[str, Tensor]:
    """Tensors of a file of the reference weights, if it was made with these settings of `stage`; prints what was
    loaded."""
    path = folder_of(settings, root) / f"{name}.safetensors"
    state, about = read(path)
    made = identity(settings_of(about, path), stage)
    given = identity(settings, stage)
    for key, value in made.items():
        if key in given and given[key] != value:
            raise BadInput(
                f"the reference weights {name} were made with {key} = {value!r}, not {given[key]!r}: "
                f"leave {key} as it is, or train with weights = ''"
            )
    print(f"nothing is trained here: loaded {describe(about)}, from {path.relative_to(root)}", flush=True)
    return state
