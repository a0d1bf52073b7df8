"""The rows of the benchmark: what each side of each does once. `plain` is the writing in plain.py, every other side is the library."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
import types
import unittest.mock
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import plain
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from s2igan import metrics, sen, speech
from s2igan.config import Settings, resolve
from s2igan.data.batches import pad_mels, to_float
from s2igan.evaluation.fast_generator import FastGenerator
from s2igan.evaluation.feature_networks import InceptionV3, ProxyNetwork, extract, fold_norms, freeze
from s2igan.training.batches import caption_batch, epoch_batches
from s2igan.training.devices import use_bf16
from s2igan.training.embeddings import embed_captions
from s2igan.training.rdg import rdg_training_step, update_ema
from s2igan.training.rdg_networks import Networks, build_networks, image_sizes, make_generator
from s2igan.training.sen import sen_training_step

Repetition = Callable[[], dict[str, Any]]  # does the work once; returns what must be equal


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How large everything is; the defaults are the paper's sizes, and the issue's for the metrics."""

    image: int = 256  # pixels of the largest scale
    width: int = 64  # of G and of the discriminators
    embedding: int = 1024
    network: str = "inception"  # or standin, in tests
    batch: int = 8  # of the RDG step: on a CPU a third of the paper's 24, see Sizes.of
    drawn: int = 16  # images in one forward of G
    gru: int = 512
    sen_batch: int = 128
    captions: int = 256
    frames: int = 450  # mean length of a caption
    pictures: int = 32  # for the image network
    queries: int = 3000
    gallery: int = 30_000
    features: int = 2048
    scored: tuple[int, int] = (5000, 1000)  # images and classes of the Inception Score
    clips: int = 64  # of 4 s
    gemm: int = 2048
    repeats: int = 5
    seconds: float = 15.0  # that two workers are watched

    @classmethod
    def of(cls, quick: bool, device: torch.device) -> Sizes:
        """The sizes of a whole or a quick run on a device."""
        if quick:
            return cls(
                image=128, batch=4, drawn=4, sen_batch=16, captions=24, pictures=4, queries=600, gallery=3000, features=512,
                scored=(1000, 1000), clips=8, gemm=1024, repeats=3, seconds=4.0,
            )  # fmt: skip
        return cls() if device.type == "cpu" else cls(batch=24, drawn=64, pictures=256, captions=1024, gemm=8192)


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the table. `build`: (side, sizes, device) -> a repetition; sides are plain and those of `least`, each with the ratio
    asked of it (None: nothing is asked). Sides named bf16 are compared, not held equal."""

    name: str
    what: str
    build: Callable[[str, Sizes, torch.device], Repetition]
    least: dict[str, float | None]
    at_most_gib: float | None = None  # memory asked of our side


# --- inputs ---


def pictures(count: int, size: int, seed: int) -> np.ndarray:
    """Blurred coloured noise that differs from picture to picture, (count, size, size, 3) uint8."""
    coarse = torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
    smooth = F.interpolate(coarse, (size, size), mode="bilinear", align_corners=False).mul(255)
    return smooth.permute(0, 2, 3, 1).contiguous().to(torch.uint8).numpy()


def normal(*shape: int, seed: int) -> Tensor:
    """Standard normal values that follow from the seed."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@contextlib.contextmanager
def quick_initialisation() -> Iterator[None]:
    """Normal weights of the same scale in place of orthogonal ones, which take minutes at paper size and do not change a step's time."""
    def initialise(weight: Tensor) -> Tensor:
        return nn.init.normal_(weight, 0.0, max(weight.shape[0], weight[0].numel()) ** -0.5)

    with unittest.mock.patch.object(nn.init, "orthogonal_", initialise):
        yield


@functools.cache
def network_state(kind: str) -> dict[str, Tensor]:
    """A random image network whose BatchNorm statistics are those of some pictures, so that its features tell pictures apart."""
    torch.manual_seed(0)
    net = new_network(kind)
    norms = [layer for layer in net.modules() if isinstance(layer, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None  # the plain mean
    with torch.no_grad():
        net.train()(to_float(torch.from_numpy(pictures(8, 64, 1))))
    return net.state_dict()


def new_network(kind: str) -> nn.Module:
    """An image network with random weights: inception or standin."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return InceptionV3("random") if kind == "inception" else ProxyNetwork(4, {})


def image_network(kind: str, device: torch.device, folded: bool) -> nn.Module:
    """The frozen image network; `folded` as the library loads it, otherwise as it is written."""
    net = new_network(kind)
    net.load_state_dict(network_state(kind))
    return (fold_norms(freeze(net)) if folded else freeze(net)).to(device)


def utterances(count: int, frames: int) -> types.SimpleNamespace:
    """What of a store the speech encoder's functions read: random log-mels of normally distributed length, one caption an image."""
    rng = np.random.default_rng(0)
    lengths = np.clip(rng.normal(frames, 0.27 * frames, count), 16, 2 * frames).astype(int)
    stored = [rng.standard_normal((length, speech.BANDS)).astype(np.float16) for length in lengths]
    mels = [mel.astype(np.float32) for mel in stored]
    return types.SimpleNamespace(
        mel=mels.__getitem__, mels=mels, stored_mel=stored.__getitem__, mel_lengths=lengths, caption_ids_by_image=np.arange(count)[:, None],
    )  # fmt: skip


def settings_of(sizes: Sizes, device: torch.device, **more: Any) -> Settings:
    """The paper's settings at these sizes."""
    return resolve({
        "preset": "paper", "dataset": "cub", "device": device.type, "data_image_size": sizes.image, "data_crop_from": sizes.image,
        "rdg_width": sizes.width, "rdg_discriminator_width": sizes.width, "rdg_batch": sizes.batch, "sen_gru_size": sizes.gru,
        "sen_batch": sizes.sen_batch, **more,
    })  # fmt: skip


# --- the rows ---


def rdg_step(side: str, sizes: Sizes, device: torch.device, **more: Any) -> Repetition:
    """A whole training step of RDG with the relation supervisor, with the moving average. Compared: every loss of the first step."""
    settings = settings_of(sizes, device, system="S2IGAN", precision="bf16" if side == "bf16" else "fp32", **more)
    with quick_initialisation():
        nets = build_networks(settings, sizes.embedding)
    torch.manual_seed(0)
    linear = nn.Linear(new_size(sizes.network), sizes.embedding).requires_grad_(False).to(device)
    batch, bf16 = settings.rdg_batch, side == "bf16"
    pixels = torch.stack([torch.from_numpy(pictures(batch, settings.data_image_size, seed)) for seed in (2, 3, 4)])
    embedding = F.normalize(normal(batch, sizes.embedding, seed=5), dim=1).to(device)
    noise = normal(batch, settings.rdg_noise_size, seed=6).to(device)
    eps = normal(batch, settings.rdg_condition_size, seed=7).to(device, torch.bfloat16 if bf16 else torch.float32)
    network = image_network(sizes.network, device, folded=side != "plain")

    if side == "plain":
        written = as_written(nets, settings, sizes.embedding, device)
        del nets
        optimisers = {name: plain.adam(part.parameters(), settings.rdg_lr, settings.rdg_betas) for name, part in written.trained().items()}
        floats = [to_float(part).contiguous().to(device) for part in pixels]

        def repetition() -> dict[str, Any]:
            report = plain.train_step(
                written, optimisers, *floats, embedding, noise, eps, lambda images: F.normalize(linear(network(images)), dim=1),
                settings.rdg_kl_weight, settings.rdg_relation_weight, settings.rdg_ema,
            )  # fmt: skip
            return {name: loss.item() for name, loss in report.items()}

        return repetition

    encoder = sen.ImageEncoder(network, sizes.embedding).to(device)
    encoder.linear.load_state_dict(linear.state_dict())
    # As train_rdg: fused Adam, pixels that become floats where they are used, autocast a phase.
    optimisers = {
        name: torch.optim.Adam(
            part.parameters(), settings.rdg_lr if name == "generator" else settings.rdg_discriminator_lr, settings.rdg_betas, fused=True
        )
        for name, part in nets.trained().items()
    }

    def autocast() -> torch.autocast:
        return torch.autocast(device.type, torch.bfloat16, enabled=bf16)

    def repetition() -> dict[str, Any]:
        real, similar, wrong = map(to_float, pixels.to(device))
        report = rdg_training_step(
            nets, optimisers, real, similar, wrong, embedding, noise, encoder.frozen, settings, autocast, None, eps
        )  # fmt: skip
        update_ema(nets.ema, nets.generator, settings.rdg_ema)
        return {name: loss.item() for name, loss in report.items()}

    return repetition


def new_size(kind: str) -> int:
    """Features of an image network."""
    return (InceptionV3 if kind == "inception" else ProxyNetwork).feature_size


def as_written(nets: Networks, settings: Settings, embedding: int, device: torch.device) -> plain.Nets:
    """The plain networks with the library's weights, in train mode."""
    sizes = image_sizes(settings)
    generators = [
        plain.Generator(embedding, settings.rdg_condition_size, settings.rdg_noise_size, settings.rdg_width, settings.rdg_stages, sizes[0])
        for _ in range(2)
    ]
    discriminators = [plain.Discriminator(size, settings.rdg_discriminator_width, settings.rdg_condition_size) for size in sizes]
    supervisor = plain.RelationSupervisor(embedding, settings.rdg_relation_size)
    pairs = zip(
        [*generators, *discriminators, supervisor], [nets.generator, nets.ema, *nets.discriminators, nets.supervisor], strict=True
    )  # fmt: skip
    for mine, theirs in pairs:
        mine.to(device).load_state_dict(theirs.state_dict())
    return plain.Nets(generators[0], generators[1].requires_grad_(False), discriminators, supervisor)


def generate(side: str, sizes: Sizes, device: torch.device) -> Repetition:
    """One forward of G in eval mode; plain with a graph, as released. Compared: the images at every scale."""
    settings = settings_of(sizes, device, system="S2IGAN")
    with quick_initialisation():
        torch.manual_seed(0)
        generator = make_generator(settings, sizes.embedding).to(device)
    given = [normal(sizes.drawn, n, seed=n).to(device) for n in (generator.noise_size, sizes.embedding, generator.condition_size)]
    with torch.no_grad():
        generator.train()(*given)  # for BatchNorm statistics other than 0 and 1
    generator.eval()
    if side == "plain":
        net: nn.Module = plain.Generator(
            sizes.embedding, settings.rdg_condition_size, settings.rdg_noise_size, settings.rdg_width, settings.rdg_stages,
            image_sizes(settings)[0],
        ).to(device).eval()  # fmt: skip
        net.load_state_dict(generator.state_dict())
    else:
        net = FastGenerator(generator, torch.bfloat16 if side == "bf16" else torch.float32)
    del generator
    return lambda: {f"{image.shape[-1]} px": image.detach() for image in net(*given)[0]}


def sen_step(side: str, sizes: Sizes, device: torch.device) -> Repetition:
    """A training step of SEN with L_d. Plain: the image network sees the batch, captions in random company. Ours: features kept, captions
    of similar length. Compared: both losses of a first step on the same batch."""
    settings = settings_of(sizes, device, system="SEN")
    batch, classes = sizes.sen_batch, 150
    store = utterances(8 * batch, sizes.frames)
    labels = torch.from_numpy(np.random.default_rng(1).integers(0, classes, batch)).to(device)
    torch.manual_seed(0)
    network = image_network(sizes.network, device, folded=side != "plain")
    net = sen.SEN(settings, network, classes).to(device).train()
    pixels = torch.from_numpy(pictures(batch, sizes.image, 8))
    optimised = [p for p in net.parameters() if p.requires_grad]
    random = list(np.random.default_rng(2).permutation(8 * batch).reshape(8, batch))

    if side == "plain":
        encoder = plain.SpeechEncoder(gru_size=sizes.gru).to(device)
        encoder.load_state_dict(net.caption_encoder.state_dict())
        optimised = [*encoder.parameters(), *net.image_encoder.linear.parameters(), *net.classifier.parameters()]
        optimiser = plain.adam(optimised, settings.sen_lr, settings.sen_betas, settings.sen_weight_decay)
        images = to_float(pixels).contiguous().to(device)
        batches = itertools.cycle(random)

        def repetition() -> dict[str, Any]:
            mel, lengths = plain.padded([store.mel(i) for i in next(batches)])
            report = plain.sen_step(encoder, net.image_encoder, net.classifier, optimiser, images, mel.to(device), lengths, labels)
            return {name: loss.item() for name, loss in report.items()}

        return repetition

    optimiser = torch.optim.Adam(optimised, settings.sen_lr, settings.sen_betas, weight_decay=settings.sen_weight_decay)
    with torch.no_grad():
        kept = torch.cat([network(to_float(part.to(device))) for part in pixels.split(32)])
    epoch = epoch_batches(np.arange(8 * batch), store, batch, np.random.default_rng(3))
    batches = itertools.chain([random[0]], itertools.cycle([captions for _, captions in epoch]))

    def repetition() -> dict[str, Any]:
        heard, lengths = caption_batch(net.caption_encoder, store, next(batches))
        report = sen_training_step(net, optimiser, kept, heard.to(device), lengths, labels, settings)
        return {name: loss.item() for name, loss in report.items()}

    return repetition


def embed(side: str, sizes: Sizes, device: torch.device) -> Repetition:
    """Embeddings of captions. Plain: one at a time, each with a graph. Compared: the embeddings."""
    store = utterances(sizes.captions, sizes.frames)
    torch.manual_seed(0)
    encoder: nn.Module = sen.SpeechEncoder(gru_size=sizes.gru)
    with torch.no_grad():
        encoder.train()(*pad_mels(store.mels[:8]))  # for BatchNorm statistics other than 0 and 1
    encoder.to(device).eval()
    if side == "plain":
        written = plain.SpeechEncoder(gru_size=sizes.gru).to(device).eval()
        written.load_state_dict(encoder.state_dict())
        return lambda: {"embeddings": plain.embed_captions(written, store.mels, device)}
    return lambda: {"embeddings": embed_captions(encoder, store, np.arange(sizes.captions))}


def inception_features(side: str, sizes: Sizes, device: torch.device) -> Repetition:
    """Inception features of pictures. Compared: the features."""
    network = image_network(sizes.network, device, folded=side != "plain")
    images = pictures(sizes.pictures, sizes.image, 9)
    if side == "plain":
        floats = to_float(torch.from_numpy(images)).contiguous()
        return lambda: {"features": plain.features(network, floats, device)}

    def repetition() -> dict[str, Any]:
        with torch.autocast(device.type, torch.bfloat16, enabled=side == "bf16"):
            return {"features": extract(network, images, sizes.image).float()}

    return repetition


def retrieve(side: str, sizes: Sizes, device: torch.device) -> Repetition:
    """mAP of a full ranking. Compared: the figure."""
    queries, gallery = normal(sizes.queries, sizes.features, seed=10), normal(sizes.gallery, sizes.features, seed=11)
    labels = np.arange(sizes.queries) % 50, np.arange(sizes.gallery) % 50
    function = plain.mean_average_precision if side == "plain" else metrics.mean_average_precision
    return lambda: {"mAP": function(queries, labels[0], gallery, labels[1])}


def score(side: str, sizes: Sizes, device: torch.device) -> Repetition:
    """Inception Score. Compared: mean and deviation."""
    probabilities = normal(*sizes.scored, seed=12).mul(2).softmax(1)
    function = plain.inception_score if side == "plain" else metrics.inception_score
    given = probabilities.numpy() if side == "plain" else probabilities
    return lambda: dict(zip(("mean", "std"), function(given), strict=True))


def mel(side: str, sizes: Sizes, device: torch.device) -> Repetition:
    """Log-mels of clips of 4 s, which sweep and fade. Compared: all values. `librosa`, where it is installed, stands for plain too."""
    seconds = torch.arange(4 * speech.SAMPLE_RATE) / speech.SAMPLE_RATE
    sweep = torch.sin(2 * torch.pi * 400 * seconds * (1 + seconds)) * torch.exp(-seconds)
    clips = [0.3 * sweep.roll(1000 * i) + 0.01 * normal(len(seconds), seed=i) for i in range(sizes.clips)]
    if side == "plain":
        bank = plain.mel_bank()
        return lambda: {"log-mel": np.stack([plain.log_mel(clip.numpy(), bank) for clip in clips])}
    if side == "librosa":
        return lambda: {"log-mel": np.stack([librosa_mel(clip.numpy()) for clip in clips])}
    return lambda: {"log-mel": torch.stack(speech.log_mels(clips))}


def librosa_mel(samples: np.ndarray) -> np.ndarray:
    """(T, 40) log-mel by librosa, normalised like ours."""
    import librosa

    power = librosa.feature.melspectrogram(
        y=samples, sr=speech.SAMPLE_RATE, n_fft=speech.N_FFT, win_length=speech.N_FFT, hop_length=speech.HOP, window="hann", center=True,
        pad_mode="reflect", power=2.0, n_mels=speech.BANDS, fmin=0.0, fmax=speech.SAMPLE_RATE / 2,
    )  # fmt: skip
    log = np.log(power + 1e-6).T
    return (log - log.mean(0)) / (log.std(0) + 1e-16)


def has_librosa() -> bool:
    """Whether librosa can be imported; it is no dependency of this project."""
    try:
        import librosa  # noqa: F401
    except ImportError:
        return False
    return True


def mini_step(**more: Any) -> tuple[Repetition, int]:
    """The default study's RDG step in the precision it trains in, and its batch."""
    device = torch.device("cpu")
    values = resolve({"device": "cpu", "system": "S2IGAN", **more})
    side = "bf16" if use_bf16(values, device) else "fp32"
    sizes = Sizes(embedding=2 * values.sen_gru_size, network="proxy")
    given = {name: value for name, value in values.model_dump().items() if name.startswith(("data_image", "data_crop", "rdg_"))}
    return rdg_step(side, sizes, device, **given), values.rdg_batch


ROWS = [
    Row("rdg-step", "RDG training step", rdg_step, {"fp32": 1.5, "bf16": 2.8}),
    Row("generation", "G forward for generation", generate, {"fp32": 2.1, "bf16": 4.5}),
    Row("sen-step", "SEN step, backbone features kept", sen_step, {"fp32": 3.0}),
    Row("embeddings", "speech embeddings, by length, without a graph", embed, {"fp32": 5.0}),
    Row("inception", "Inception features, BatchNorm folded, channels-last", inception_features, {"fp32": None, "bf16": 3.0}),
    Row("mAP", "mean average precision", retrieve, {"fp32": 2.0}, at_most_gib=1.0),
    Row("inception-score", "Inception Score", score, {"fp32": 50.0}),
    Row("log-mel", "log-mel of 4 s clips", mel, {"fp32": None}),
]
