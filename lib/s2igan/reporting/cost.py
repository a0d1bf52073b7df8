"""What a study costs: FLOPs counted on the networks, seconds measured where they run, and the GPU hours of both.

A stage is one step of the library's own code on made-up inputs. On the `meta` device, which computes shapes and nothing
else, its FLOPs are counted; on a real device it is timed.
"""

from __future__ import annotations

import contextlib
import copy
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from s2igan import speech
from s2igan.config import PAPER_SYSTEMS, RDG_SYSTEMS, SEN_SYSTEMS, Settings
from s2igan.data.synthetic.captions import describe
from s2igan.data.synthetic.classes import choose_classes
from s2igan.data.text_to_speech import speak
from s2igan.evaluation.feature_networks import InceptionV3, ProxyNetwork, fold_norms, freeze
from s2igan.sen import SEN, characters, sen_losses
from s2igan.training.devices import use_bf16
from s2igan.training.rdg_networks import JointSpeechEncoder, frozen_image_encoder, make_generator, make_networks
from s2igan.training.rdg_step import rdg_training_step, update

# Images of the training and of the unseen classes of the official zero-shot splits; Reed et al.'s captions of an image.
PUBLIC = {"cub": (8855, 2933), "oxford": (7034, 1155)}
CLASSES = {"cub": (150, 50), "oxford": (82, 20)}
CAPTIONS = 10
FRAMES = 326  # of a log-mel: the mean of 11,804 captions of CUB, spoken by espeak-ng at 230 words a minute
# Forwards of feature networks on each generated image. Inception-v3: for mAP, for the released code's mAP, for FID and
# KID, for IS. The proxy serves them all at once.
EVALUATION_FORWARDS = {"inception": 4, "proxy": 1}


@dataclass(frozen=True)
class Stage:
    """A part of a study: `prepare(device, batch)` gives one step of it, and `images` pass through such steps in all."""

    name: str
    images: int
    prepare: Callable[[torch.device, int], Callable[[], object]]


def stages(settings: Settings, dataset: str) -> list[Stage]:
    """All parts of one seed of a study of `dataset` (cub, oxford): features, classifier, SEN and RDG, evaluation.

    Of RDG the systems in `settings.cost_systems`, or those of the paper.
    """
    train, test = PUBLIC[dataset]
    train_classes, test_classes = CLASSES[dataset]
    learnt = round(train * (1 - settings.data_validation))  # the rest are validation classes' images
    classes = round(train_classes * (1 - settings.data_validation))

    def trained(steps: int | None, epochs: int, batch: int) -> int:
        return batch * (steps if steps is not None else epochs * (learnt // batch))

    found = [Stage("features of all images", 2 * (train + test), lambda d, b: feature_step(settings, d, b))]
    if settings.data_backbone == "inception":
        kept = test - test // settings.classifier_held_out
        images = settings.classifier_epochs * kept
        found.append(Stage("classifier", images, lambda d, b: classifier_step(settings, test_classes, d, b)))
    for system in SEN_SYSTEMS:
        values = settings.model_copy(update={"system": system})
        steps = settings.sen_text_steps if SEN_SYSTEMS[system]["text"] else settings.sen_steps
        images = trained(steps, settings.sen_epochs, settings.sen_batch)
        found.append(Stage(system, images, lambda d, b, values=values: sen_step(values, classes, d, b)))
    systems = settings.cost_systems or PAPER_SYSTEMS
    for system in systems:
        values = settings.model_copy(update={"system": system})
        images = trained(settings.rdg_steps, settings.rdg_epochs, settings.rdg_batch)
        found.append(Stage(system, images, lambda d, b, values=values: rdg_step(values, classes, d, b)))
    images = len(systems) * test * settings.data_captions
    found.append(Stage("evaluation of all systems", images, lambda d, b: evaluation_step(settings, d, b)))
    return found


def feature_step(settings: Settings, device: torch.device, batch: int) -> Callable[[], Tensor]:
    """The image network on a batch, as in 01_data."""
    network = _backbone(settings, device)
    images = _images(settings, device, batch)

    def step() -> Tensor:
        with torch.no_grad():
            return network(images)

    return step


def classifier_step(settings: Settings, classes: int, device: torch.device, batch: int) -> Callable[[], None]:
    """A training step of 02_classifier: all of Inception-v3 learns."""
    network = _random_inception()
    network.classify = nn.Linear(network.feature_size, classes)
    network.to(device, memory_format=torch.channels_last).train()
    optimiser, autocast = _optimiser(network, device), _autocast(settings, device)
    images, labels = _images(settings, device, batch), torch.zeros(batch, dtype=torch.long, device=device)

    def step() -> None:
        with autocast():
            loss = nn.functional.cross_entropy(network.classify(network(images)).float(), labels)
        update([optimiser], loss)

    return step


def sen_step(settings: Settings, classes: int, device: torch.device, batch: int) -> Callable[[], None]:
    """A training step of SEN, or of the text encoder."""
    net = SEN(settings, _backbone(settings, device), classes)
    encode = _caption_encoder(net, settings, device, batch)
    net.train()
    optimiser = _optimiser(net, device)
    images, labels = _images(settings, device, batch), _labels(batch, classes, device)

    def step() -> None:
        matching, l_d = sen_losses(net, net.image_encoder(images), encode(), labels, settings)
        update([optimiser], matching + l_d if SEN_SYSTEMS[settings.system]["distinctive"] else matching)

    return step


def rdg_step(settings: Settings, classes: int, device: torch.device, batch: int) -> Callable[[], dict[str, Tensor]]:
    """A training step of RDG; of a system whose speech encoder learns with it, that too."""
    net = SEN(settings, _backbone(settings, device), classes)
    learns = RDG_SYSTEMS[settings.system]["sen"] is None
    size = net.image_encoder.linear.out_features
    with torch.device("meta"):  # without weights: an orthogonal start takes long, and no value matters here
        nets = make_networks(settings, size)
    optimisers = {name: _optimiser(_with_weights(part, device), device) for name, part in nets.trained().items()}
    if learns:
        encode = _caption_encoder(net, settings, device, batch)
        nets.speech_encoder = JointSpeechEncoder(net.caption_encoder, size, settings.rdg_standardise).to(device).train()
    net.to(device).train()
    if learns:
        optimisers["SEN"] = _optimiser(net, device)
    real, same_class, mismatched = (_images(settings, device, batch) for _ in range(3))
    labels = _labels(batch, classes, device)
    noise = torch.zeros(batch, settings.rdg_noise_size, device=device)
    autocast = _autocast(settings, device)
    embed_image = frozen_image_encoder(net.image_encoder, device.type != "meta" and use_bf16(settings, device))

    def step() -> dict[str, Tensor]:
        speech_embedding, sen_loss = torch.zeros(batch, size, device=device), None
        if learns:
            a = encode()
            speech_embedding = nets.speech_encoder.norm(a)
            if RDG_SYSTEMS[settings.system]["matching"]:
                sen_loss = sum(sen_losses(net, net.image_encoder(real), a, labels, settings))
        images = (real, same_class, mismatched)
        return rdg_training_step(
            nets, optimisers, *images, speech_embedding, noise, embed_image, settings, autocast, sen_loss
        )

    return step


def evaluation_step(settings: Settings, device: torch.device, batch: int) -> Callable[[], Tensor]:
    """Images of a batch of captions, and the feature networks on them: `EVALUATION_FORWARDS`."""
    with torch.device("meta"):
        generator = make_generator(settings.model_copy(update={"system": "S2IGAN"}), 2 * settings.sen_gru_size)
    generator = _with_weights(generator, device).eval()
    network = _backbone(settings, device)
    embedding, noise = (
        torch.zeros(batch, n, device=device) for n in (2 * settings.sen_gru_size, settings.rdg_noise_size)
    )

    def step() -> Tensor:
        with torch.no_grad():
            features = images = generator(noise, embedding)[0][-1]
            for _ in range(EVALUATION_FORWARDS[settings.data_backbone]):
                features = network(images)
            return features

    return step


def _with_weights(network: nn.Module, device: torch.device) -> nn.Module:
    """A network that was made on `meta`, on a device: small random weights, statistics of one, in training mode."""
    network.to_empty(device=device)
    if device.type != "meta":
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.normal_(0, 0.02)
            for buffer in network.buffers():
                buffer.fill_(1)
    return network.to(memory_format=torch.channels_last).train()


def _random_inception() -> InceptionV3:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of random weights: no value matters here
        return InceptionV3("random")


def _backbone(settings: Settings, device: torch.device) -> nn.Module:
    network = _random_inception() if settings.data_backbone == "inception" else ProxyNetwork(100, {})
    return fold_norms(freeze(network)).to(device)


def _images(settings: Settings, device: torch.device, batch: int) -> Tensor:
    size = settings.data_image_size
    return torch.zeros(batch, 3, size, size, device=device).contiguous(memory_format=torch.channels_last)


def _labels(batch: int, classes: int, device: torch.device) -> Tensor:
    return torch.arange(batch, device=device) % classes


def _caption_encoder(net: SEN, settings: Settings, device: torch.device, batch: int) -> Callable[[], Tensor]:
    """Moves `net` to a device; gives what embeds captions of mean length, [batch, D], with their graph."""
    if SEN_SYSTEMS.get(settings.system, {}).get("text"):
        captions, lengths = characters(["a small bird with a red head"] * batch)
    else:
        captions, lengths = torch.zeros(batch, FRAMES, 40), torch.full((batch,), FRAMES)
    # `meta` knows no lengths, and SED reads them: there it runs on the CPU, and an empty tensor takes its place.
    counted = device.type == "meta"
    encoder = copy.deepcopy(net.caption_encoder).train() if counted else net.caption_encoder
    net.to(device)
    captions = captions if counted else captions.to(device)

    def encode() -> Tensor:
        a = encoder(captions, lengths)
        if not counted:
            return a
        a.sum().backward()
        return torch.zeros(a.shape, device=device, requires_grad=True)

    return encode


def _optimiser(network: nn.Module, device: torch.device) -> torch.optim.Optimizer:
    learning = [p for p in network.parameters() if p.requires_grad]
    if device.type == "meta":
        return torch.optim.SGD(learning, 0.0)  # an update's FLOPs are not counted
    return torch.optim.Adam(learning, 1e-9, fused=True)


def _autocast(settings: Settings, device: torch.device) -> Callable[[], contextlib.AbstractContextManager]:
    if device.type == "meta":
        return contextlib.nullcontext
    return lambda: torch.autocast(device.type, torch.bfloat16, enabled=use_bf16(settings, device))


def gflop(stage: Stage, batch: int = 4) -> float:
    """GFLOP an image of a stage's step. Convolutions and matrix products count; a multiply-add is two."""
    step = stage.prepare(torch.device("meta"), batch)
    with FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops() / batch / 1e9


def images_per_second(stage: Stage, device: torch.device, batch: int, repeats: int = 5) -> tuple[float, float]:
    """Images a second of a stage's step, and the GiB that it takes of a GPU's memory.

    The median of `repeats` steps, after two that warm up.
    """
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
    """How fast one core speaks captions of the synthetic flowers with espeak-ng and makes log-mels of them."""
    rng = np.random.default_rng(0)
    texts = [describe("mini-flowers", attributes, rng) for attributes in choose_classes("mini-flowers", count, rng)]
    started = time.perf_counter()
    for waveform in speak(texts):
        speech.log_mel(waveform)
    return count / (time.perf_counter() - started)


def plan(work: pd.DataFrame, seconds: pd.Series, price: float, seeds: int) -> pd.DataFrame:
    """Hours and money of every stage.

    Args:
        work: columns `dataset`, `stage`, `images`, as of one seed.
        seconds: seconds an image, by stage.
        price: of an hour.
        seeds: of SEN and RDG; features and the classifier are made once.
    Returns: `work` with `runs`, `hours` and `money` of all its runs.
    """
    once = work.stage.isin(["features of all images", "classifier"])
    table = work.assign(runs=once.map({True: 1, False: seeds}))
    table["hours"] = table.images * table.stage.map(seconds) * table.runs / 3600
    table["money"] = table.hours * price
    return table
