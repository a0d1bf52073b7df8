"""Networks that turn an image into features: Inception-v3 where ImageNet weights can be had, a small proxy where not.

All map images [B, 3, s, s] in [-1, 1] to features [B, feature_size], frozen and in eval mode once made.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytorch_fid.inception as fid
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision.models import Inception_V3_Weights, inception_v3

from s2igan import BadInput
from s2igan.data.batches import centre_crop
from s2igan.data.store import Store, attribute_targets
from s2igan.training.weights import AGAIN, load_into, not_finite, read_weights, save_weights


class ProxyNetwork(nn.Module):
    """Five convolutions for 32-pixel images, in place of Inception at preset `mini`: features [B, 128].

    Trained on classes and, where the data set knows them, on the visible attributes of the classes. Features are the
    spatial mean of the last layer, at least 0, as Inception's are. Metrics made with it are never put beside published
    ones.
    """

    feature_size = 128

    def __init__(self, class_count: int, attribute_sizes: dict[str, int]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after, stride in ((3, 32, 2), (32, 64, 2), (64, 96, 1), (96, 128, 2), (128, 128, 1)):
            layers += [nn.Conv2d(before, after, 3, stride, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        self.trunk = nn.Sequential(*layers)
        self.classify = nn.Linear(self.feature_size, class_count)
        self.attributes = nn.ModuleDict(
            {name: nn.Linear(self.feature_size, size) for name, size in attribute_sizes.items()}
        )

    def forward(self, images: Tensor) -> Tensor:
        """Images [B, 3, s, s] in [-1, 1] -> features [B, 128]; resized to the 32 pixels that the filters know."""
        if (size := images.shape[-1]) != 32:  # in fp32: there is no such resizing in bf16 on a CPU
            images = F.interpolate(images.float(), (32, 32), mode="bilinear", align_corners=False, antialias=size > 32)
        return self.trunk(images).mean((2, 3))


def to_299(images: Tensor) -> Tensor:
    """Images [B, 3, s, s] at the 299x299 pixels that Inception was trained on: bilinear, align_corners False."""
    if images.shape[-1] == 299:
        return images
    return F.interpolate(images, size=(299, 299), mode="bilinear", align_corners=False)


class InceptionV3(nn.Module):
    """Inception-v3 to its last pooling (Mixed_7c, mean over 8x8), the paper's image network: features [B, 2048]."""

    feature_size = 2048

    def __init__(self, weights: str | None) -> None:
        """An untrained network, or one with ImageNet's weights.

        Args: weights: 'imagenet' (torchvision's IMAGENET1K_V1, downloaded once), a path to that file, or 'random' for a
            dry run.
        Raises: BadInput when the weights cannot be had.
        """
        super().__init__()
        # transform_input would undo an ImageNet normalisation that our inputs, already in [-1, 1], never had.
        self.net = inception_v3(weights=None, aux_logits=True, transform_input=False, init_weights=False)
        if weights == "random":
            warnings.warn("Inception-v3 has random weights: every metric made with it is meaningless", stacklevel=2)
        elif weights in (None, "", "imagenet"):
            source = Inception_V3_Weights.IMAGENET1K_V1
            fetch = partial(source.get_state_dict, progress=False, check_hash=True)
            self.net.load_state_dict(_fetched(fetch, source.url, "Inception-v3 weights", "data_backbone_weights"))
        else:
            _load_file(self.net, weights, "torchvision's", "data_backbone_weights")
        self.classify = self.net.fc  # ImageNet's 1,000 classes
        self.net.fc = nn.Identity()
        self.net.AuxLogits, self.net.aux_logits = None, False

    def forward(self, images: Tensor) -> Tensor:
        """Images [B, 3, s, s] in [-1, 1] -> features [B, 2048]."""
        return self.net(to_299(images))


def fid_network() -> nn.Module:
    """The network of `pytorch_fid.inception.fid_inception_v3` without its weights, which it always downloads.

    It is torchvision's Inception-v3 with the blocks in which TensorFlow's of 2015 differs.
    """
    net = inception_v3(weights=None, num_classes=1008, aux_logits=False, init_weights=False)
    net.Mixed_5b = fid.FIDInceptionA(192, pool_features=32)
    net.Mixed_5c = fid.FIDInceptionA(256, pool_features=64)
    net.Mixed_5d = fid.FIDInceptionA(288, pool_features=64)
    net.Mixed_6b = fid.FIDInceptionC(768, channels_7x7=128)
    net.Mixed_6c = fid.FIDInceptionC(768, channels_7x7=160)
    net.Mixed_6d = fid.FIDInceptionC(768, channels_7x7=160)
    net.Mixed_6e = fid.FIDInceptionC(768, channels_7x7=192)
    net.Mixed_7b = fid.FIDInceptionE_1(1280)
    net.Mixed_7c = fid.FIDInceptionE_2(2048)
    return net


class FIDInception(nn.Module):
    """The Inception of published FIDs to its last pooling, with TensorFlow's weights of 2015: features [B, 2048]."""

    feature_size = 2048

    def __init__(self, weights: str) -> None:
        """`weights`: 'pytorch-fid' (downloaded once), a path to that file, or 'random' for a dry run.

        Raises: BadInput when the weights cannot be had.
        """
        super().__init__()
        self.net = fid_network()
        if weights == "pytorch-fid":
            url = fid.FID_WEIGHTS_URL
            fetch = partial(torch.hub.load_state_dict_from_url, url, progress=False, check_hash=True, weights_only=True)
            self.net.load_state_dict(_fetched(fetch, url, "the weights of FID's Inception", "data_fid_weights"))
        elif weights != "random":
            _load_file(self.net, weights, "pytorch-fid's", "data_fid_weights")
        self.net.fc = nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        """Images [B, 3, s, s] in [-1, 1] -> features [B, 2048]."""
        return self.net(to_299(images))


def _fetched(fetch: Callable[[], dict[str, Tensor]], url: str, what: str, parameter: str) -> dict[str, Tensor]:
    try:
        return fetch()
    except Exception as error:  # of the network, the disk or the check of the file
        raise BadInput(
            f"{what} could not be fetched ({type(error).__name__}): download {url} and give its path as {parameter}"
        ) from None


def _load_file(net: nn.Module, path: str, whose: str, parameter: str) -> None:
    """Loads a file of weights, if they are those of a network such as `net`."""
    if not Path(path).is_file():
        raise BadInput(f"{parameter}: {path} does not exist; expected {whose} Inception-v3 weights file")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        net.load_state_dict(state)
    except Exception as error:  # torch.load raises five unrelated kinds of error on a damaged file
        raise BadInput(
            f"{parameter}: {path} is not {whose} Inception-v3 weights file ({type(error).__name__})"
        ) from None
    if name := not_finite(state):
        raise BadInput(f"{parameter}: {path} is damaged, its {name} is not finite")


Network = ProxyNetwork | InceptionV3 | FIDInception


def make_proxy(store: Store, seed: int) -> ProxyNetwork:
    """A fresh proxy network for a store's classes and attributes, its weights from `seed`."""
    torch.manual_seed(seed)
    values, _ = attribute_targets(store)
    return ProxyNetwork(len(store.classes), {name: len(v) for name, v in values.items()})


def make_classifier(weights: str, class_count: int, seed: int) -> InceptionV3:
    """Inception-v3 with a fresh last layer for `class_count` classes, from `seed`; `weights` as of `InceptionV3`."""
    torch.manual_seed(seed)
    network = InceptionV3(weights)
    network.classify = nn.Linear(network.feature_size, class_count)
    return network


def freeze(network: nn.Module) -> nn.Module:
    """Eval mode and no gradients for the parameters; gradients still reach the images."""
    return network.eval().requires_grad_(False)


def fold_norms(network: nn.Module) -> nn.Module:
    """A frozen network without the BatchNorms that follow a convolution. Exact up to rounding.

    In eval mode each is a factor and an offset a channel, which the convolution takes in: BN(W x) = (g W) x + b with
    g = weight / sqrt(var + eps), b = bias - g mean.
    """
    for parent in list(network.modules()):
        for (name, conv), (norm_name, norm) in itertools.pairwise(list(parent.named_children())):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(parent, name, fuse_conv_bn_eval(conv, norm))
                setattr(parent, norm_name, nn.Identity())
    return freeze(network).to(memory_format=torch.channels_last)


def proxy_with(state: dict[str, Tensor], path: str | Path) -> ProxyNetwork:
    """The proxy network of file `path`, which holds this state. Raises BadInput if it is of another network."""
    weights = {name: t for name, t in state.items() if name.startswith("attributes.") and name.endswith(".weight")}
    try:
        heads = {name.split(".")[1]: len(tensor) for name, tensor in weights.items()}
        net = ProxyNetwork(len(state["classify.weight"]), heads)
    except (TypeError, KeyError):
        raise BadInput(f"{path} is of another network than a proxy: {AGAIN}") from None
    load_into(net, state, path)
    return net


def save_network(net: Network, path: str | Path) -> None:
    """Weights of a network as safetensors, whole or not at all."""
    save_weights(net.state_dict(), path, {"kind": type(net).__name__})


def load_network(path: str | Path) -> Network:
    """A frozen backbone from `save_network`'s file, its BatchNorms folded.

    Raises BadInput when the file is missing, damaged or of another kind.
    """
    state, about = read_weights(path, made_by="run 01_data first")
    kind = about.get("kind")
    if kind == "ProxyNetwork":
        return fold_norms(freeze(proxy_with(state, path)))
    if kind == "InceptionV3":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            net: Network = InceptionV3("random")
        net.classify = nn.Linear(net.feature_size, state.get("classify.weight", torch.empty(1, 0)).shape[:1].numel())
    elif kind == "FIDInception":
        net = FIDInception("random")
    else:
        raise BadInput(f"{path} is of no feature network: {AGAIN}")
    load_into(net, state, path)
    return fold_norms(freeze(net))


@torch.no_grad()
def extract(network: nn.Module, images: np.ndarray | Tensor, size: int, batch: int = 200) -> Tensor:
    """Features of images, computed in batches.

    Args: images: a store's uint8 [N, S, S, 3], centre-cropped to `size` first; or float [N, 3, s, s] in [-1, 1], used
        as they are.
    Returns: [N, feature_size], on the CPU.
    """
    device = next(network.parameters()).device
    rows = []
    for start in range(0, len(images), batch):
        part = images[start : start + batch]
        part = centre_crop(part, size) if isinstance(part, np.ndarray) else part
        rows.append(network(part.to(device)).cpu())
    return torch.cat(rows)


def real_features(folder: Path, store: Store, *names: str) -> dict[str, Tensor]:
    """Features of all images of the store by the feature networks `names` of a data run, {name: [N, D]}.

    Raises: BadInput when the file is missing, damaged or of another store.
    """
    path = folder / "features.safetensors"
    features, _ = read_weights(path, *names, made_by="run 01_data first")
    for name in names:
        if features[name].ndim != 2 or len(features[name]) != len(store.images):
            raise BadInput(f"{path} has {name!r} of another store: delete it and run 01_data")
    return features
