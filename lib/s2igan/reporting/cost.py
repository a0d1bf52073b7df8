"""What a study costs: FLOPs counted on the networks themselves, seconds measured where they run, and the GPU hours that both mean.

A stage is one step of the library's own code on random inputs: on the `meta` device, which computes shapes and nothing else, its FLOPs
are counted; on a real device it is timed.
"""

from __future__ import annotations

import contextlib
import copy
import statistics
import time
import unittest.mock
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from s2igan import speech
from s2igan.config import RDG_SYSTEMS, SEN_SYSTEMS, Settings
from s2igan.data.synthetic.captions import describe
from s2igan.data.synthetic.classes import choose_classes
from s2igan.data.text_to_speech import speak
from s2igan.evaluation.feature_networks import InceptionV3, ProxyNetwork, fold_norms, freeze
from s2igan.rdg import Generator
from s2igan.sen import SEN, characters, sen_losses
from s2igan.training.devices import use_bf16
from s2igan.training.rdg import rdg_training_step
from s2igan.training.rdg_networks import build_networks, make_generator

# Images of the training and of the unseen classes of the official zero-shot splits, and Reed et al.'s captions of each image.
PUBLIC = {"cub": (8855, 2933), "oxford": (7034, 1155)}
CLASSES = {"cub": (150, 50), "oxford": (82, 20)}
CAPTIONS = 10
FRAMES = 326  # of a log-mel: the mean of 11,804 captions of CUB, spoken by espeak-ng at 230 words a minute


@dataclass(frozen=True)
class Stage:
    """A part of a study: `prepare(device, batch)` gives one step of it, and `images` pass through such steps in all."""

    name: str
    images: int
    prepare: Callable[[torch.device, int], Callable[[], object]]


def stages(settings: Settings, dataset: str) -> list[Stage]:
    """All parts of one seed of a study of `dataset` (cub, oxford): features, classifier, SEN and RDG of every system, evaluation."""
    train, test = PUBLIC[dataset]
    train_classes, test_classes = CLASSES[dataset]
    learnt = round(train * (1 - settings.data_validation))  # the rest are validation classes' images

    def trained(steps: int | None, epochs: int, batch: int) -> int:
        return batch * (steps if steps is not None else epochs * (learnt // batch))

    found = [Stage("features of all images", 2 * (train + test), lambda d, b: feature_step(settings, d, b))]
    if settings.data_backbone == "inception":
        kept = test - test // settings.classifier_held_out
        found.append(Stage("classifier", settings.classifier_epochs * kept, lambda d, b: classifier_step(settings, test_classes, d, b)))
    classes = round(train_classes * (1 - settings.data_validation))
    for system in SEN_SYSTEMS:
        own = settings.model_copy(update={"system": system})
        steps = settings.sen_text_steps if SEN_SYSTEMS[system]["text"] else settings.sen_steps
        images = trained(steps, settings.sen_epochs, settings.sen_batch)
        found.append(Stage(system, images, lambda d, b, own=own: sen_step(own, classes, d, b)))
    for system in RDG_SYSTEMS:
        own = settings.model_copy(update={"system": system})
        images = trained(settings.rdg_steps, settings.rdg_epochs, settings.rdg_batch)
        found.append(Stage(system, images, lambda d, b, own=own: rdg_step(own, classes, d, b)))
    made = len(RDG_SYSTEMS) * test * settings.data_captions
    found.append(Stage("evaluation of all systems", made, lambda d, b: evaluation_step(settings, d, b)))
    return found


def feature_step(settings: Settings, device: torch.device, batch: int) -> Callable[[], Tensor]:
    """The image network on a batch, as 01_data asks it."""
    network = _backbone(settings, device)
    images = _images(settings, device, batch)

    def step() -> Tensor:
        with torch.no_grad():
            return network(images)

    return step


def classifier_step(settings: Settings, classes: int, device: torch.device, batch: int) -> Callable[[], Tensor]:
    """A training step of 02_classifier: all of Inception-v3 learns."""
    network = _random_inception()
    network.classify = nn.Linear(network.feature_size, classes)
    network.to(device, memory_format=torch.channels_last).train()
    optimiser, autocast = _optimiser(network, device), _autocast(settings, device)
    images, labels = _images(settings, device, batch), torch.zeros(batch, dtype=torch.long, device=device)

    def step() -> Tensor:
        with autocast():
            loss = nn.functional.cross_entropy(network.classify(network(images)).float(), labels)
        return _update(optimiser, loss)

    return step


def sen_step(settings: Settings, classes: int, device: torch.device, batch: int) -> Callable[[], Tensor]:
    """A training step of SEN, or of the text encoder."""
    net = SEN(settings, _backbone(settings, device), classes)
    listen = _listener(net, settings, device, batch)
    net.train()
    optimiser = _optimiser(net, device)
    images, labels = _images(settings, device, batch), _labels(batch, classes, device)

    def step() -> Tensor:
        matching, l_d = sen_losses(net, net.image_encoder(images), listen(), labels, settings)
        return _update(optimiser, matching + l_d if SEN_SYSTEMS[settings.system]["distinctive"] else matching)

    return step


def rdg_step(settings: Settings, classes: int, device: torch.device, batch: int) -> Callable[[], dict[str, Tensor]]:
    """A training step of RDG; of a system whose speech encoder learns with it, that too."""
    of_cpu = settings.model_copy(update={"device": "cpu"})
    net = SEN(settings, _backbone(settings, device), classes)
    learns = RDG_SYSTEMS[settings.system]["sen"] is None
    size = net.image_encoder.linear.out_features
    with unittest.mock.patch.object(nn.init, "orthogonal_", lambda tensor, **_: tensor):  # takes long, and no value matters here
        nets = build_networks(of_cpu, size, net if learns else None)
    listen = _listener(net, settings, device, batch) if learns else None
    net.to(device).train()
    for part in (*nets.trained().values(), *([nets.speech_encoder] if learns else [])):
        part.to(device)
    optimisers = {name: _optimiser(part, device) for name, part in nets.trained().items()}
    if learns:
        optimisers["SEN"] = _optimiser(net, device)
    real, similar, wrong = (_images(settings, device, batch) for _ in range(3))
    labels = _labels(batch, classes, device)
    noise = torch.zeros(batch, settings.rdg_noise_size, device=device)
    autocast = _autocast(settings, device)

    def step() -> dict[str, Tensor]:
        embedding, sen_loss = torch.zeros(batch, size, device=device), None
        if learns:
            a = listen()
            embedding = nets.speech_encoder.norm(a)
            if RDG_SYSTEMS[settings.system]["matching"]:
                sen_loss = sum(sen_losses(net, net.image_encoder(real), a, labels, settings))
        return rdg_training_step(
            nets, optimisers, real, similar, wrong, embedding, noise, net.image_encoder.frozen, settings, autocast, sen_loss
        )  # fmt: skip

    return step


def evaluation_step(settings: Settings, device: torch.device, batch: int) -> Callable[[], Tensor]:
    """Images of a batch of captions, and the image networks on them: at preset `paper` three, else one."""
    generator: Generator = make_generator(settings.model_copy(update={"system": "S2IGAN"}), 2 * settings.sen_gru_size)
    generator.to(device, memory_format=torch.channels_last).eval()
    network, judges = _backbone(settings, device), 3 if settings.data_backbone == "inception" else 1
    embedding, noise = (torch.zeros(batch, n, device=device) for n in (2 * settings.sen_gru_size, settings.rdg_noise_size))

    def step() -> Tensor:
        with torch.no_grad():
            features = images = generator(noise, embedding)[0][-1]
            for _ in range(judges):
                features = network(images)
            return features

    return step


def _random_inception() -> InceptionV3:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of random weights: nothing here looks at a value
        return InceptionV3("random")


def _backbone(settings: Settings, device: torch.device) -> nn.Module:
    network = _random_inception() if settings.data_backbone == "inception" else ProxyNetwork(100, {})
    return fold_norms(freeze(network)).to(device)


def _images(settings: Settings, device: torch.device, batch: int) -> Tensor:
    size = settings.data_image_size
    return torch.zeros(batch, 3, size, size, device=device).contiguous(memory_format=torch.channels_last)


def _labels(batch: int, classes: int, device: torch.device) -> Tensor:
    return torch.arange(batch, device=device) % classes


def _listener(net: SEN, settings: Settings, device: torch.device, batch: int) -> Callable[[], Tensor]:
    """Moves `net` to a device; what gives the embeddings [batch, D] of captions of mean length, with their graph."""
    if SEN_SYSTEMS.get(settings.system, {}).get("text"):
        heard, lengths = characters(["a small bird with a red head"] * batch)
    else:
        heard, lengths = torch.zeros(batch, FRAMES, 40), torch.full((batch,), FRAMES)
    counted = device.type == "meta"  # which knows no lengths, and SED looks at them: it runs on the CPU and hands on a shape
    encoder = copy.deepcopy(net.caption_encoder).train() if counted else net.caption_encoder
    net.to(device)
    heard = heard if counted else heard.to(device)

    def listen() -> Tensor:
        a = encoder(heard, lengths)
        if not counted:
            return a
        a.sum().backward()
        return torch.zeros(a.shape, device=device, requires_grad=True)

    return listen


def _optimiser(network: nn.Module, device: torch.device) -> torch.optim.Optimizer:
    learning = [p for p in network.parameters() if p.requires_grad]
    if device.type == "meta":
        return torch.optim.SGD(learning, 0.0)  # an update's FLOPs are not counted
    return torch.optim.Adam(learning, 1e-9, fused=True)


def _autocast(settings: Settings, device: torch.device) -> Callable[[], contextlib.AbstractContextManager]:
    if device.type == "meta":
        return contextlib.nullcontext
    return lambda: torch.autocast(device.type, torch.bfloat16, enabled=use_bf16(settings, device))


def _update(optimiser: torch.optim.Optimizer, loss: Tensor) -> Tensor:
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()
    return loss.detach()


def gflop(stage: Stage, batch: int = 4) -> float:
    """GFLOP an image of a stage's step: a multiplication and an addition are two; convolutions and matrix products alone are counted."""
    step = stage.prepare(torch.device("meta"), batch)
    with FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops() / batch / 1e9


def images_per_second(stage: Stage, device: torch.device, batch: int, repeats: int = 5) -> tuple[float, float]:
    """Images a second of a stage's step, the median of `repeats` after two that warm up; and the GiB that it takes of a GPU's memory."""
    step = stage.prepare(device, batch)
    cuda = device.type == "cuda"
    if cuda:
        torch.cuda.reset_peak_memory_stats(device)
    taken = []
    for _ in range(2 + repeats):
        started = time.perf_counter()
        step()
        if cuda:
            torch.cuda.synchronize(device)
        taken.append(time.perf_counter() - started)
    memory = torch.cuda.max_memory_allocated(device) / 2**30 if cuda else 0.0
    return batch / statistics.median(taken[2:]), memory


def gemm_peak(device: torch.device, bf16: bool, size: int = 4096) -> float:
    """TFLOP/s of a large square matrix product on a device: what nothing here can be faster than."""
    dtype = torch.bfloat16 if bf16 else torch.float32
    size = size if device.type == "cuda" else size // 2
    a, b = (torch.ones(size, size, device=device, dtype=dtype) for _ in range(2))
    taken = []
    for _ in range(8):
        started = time.perf_counter()
        a @ b
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        taken.append(time.perf_counter() - started)
    return 2 * size**3 / min(taken) / 1e12


def captions_per_second(count: int = 100) -> float:
    """How fast one core speaks descriptions of the drawn flowers with espeak-ng and makes log-mels of them."""
    rng = np.random.default_rng(0)
    texts = [describe("mini-flowers", attributes, rng) for attributes in choose_classes("mini-flowers", count, rng)]
    started = time.perf_counter()
    for waveform in speak(texts):
        speech.log_mel(waveform)
    return count / (time.perf_counter() - started)


def plan(work: pd.DataFrame, seconds: pd.Series, price: float, seeds: int) -> pd.DataFrame:
    """Hours and money of every stage.

    Args: work: columns `dataset`, `stage`, `images`, as of one seed. seconds: seconds an image, by stage. price: of an hour. seeds: of SEN
        and RDG; features and the classifier are made once.
    Returns: `work` with `runs`, `hours` and `money` of all its runs.
    """
    once = work.stage.isin(["features of all images", "classifier"])
    table = work.assign(runs=once.map({True: 1, False: seeds}))
    table["hours"] = table.images * table.stage.map(seconds) * table.runs / 3600
    table["money"] = table.hours * price
    return table
