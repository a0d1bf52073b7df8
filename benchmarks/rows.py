"""The rows of the benchmark: what each side of each does once.

`reference` is benchmarks/reference/, the others the library.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from inputs import Sizes, image_network, new_size, normal, pictures, quick_initialisation, settings_of, utterances
from reference import metrics as reference_metrics
from reference import rdg as reference_rdg
from reference import sen as reference_sen
from reference import speech as reference_speech
from torch import nn

from s2igan import metrics, sen, speech
from s2igan.config import Settings
from s2igan.data.batches import pad_mels, to_float
from s2igan.evaluation.fast_generator import FastGenerator
from s2igan.evaluation.feature_networks import extract
from s2igan.training.batches import caption_batch, epoch_batches
from s2igan.training.embeddings import embed_captions
from s2igan.training.rdg import rdg_training_step, update_ema
from s2igan.training.rdg_networks import Networks, build_networks, image_sizes, make_generator, make_optimisers
from s2igan.training.sen import sen_training_step

Repetition = Callable[[], dict[str, Any]]  # does the work once; returns what must be equal


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the table. `build`: (side, sizes, device) -> a repetition; sides are `reference` and those of
    `least`, each with the ratio asked of it (None: nothing is asked). Sides named bf16 are compared, not held equal.
    """

    name: str
    what: str
    build: Callable[[str, Sizes, torch.device], Repetition]
    least: dict[str, float | None]
    at_most_gib: float | None = None  # memory asked of our side


def rdg_step(side: str, sizes: Sizes, device: torch.device, **more: Any) -> Repetition:
    """A whole training step of RDG with the relation supervisor, with the moving average.

    Compared: every loss of the first step.
    """
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
    network = image_network(sizes.network, device, folded=side != "reference")

    if side == "reference":
        reference = reference_networks(nets, settings, sizes.embedding, device)
        del nets
        optimisers = {
            name: reference_rdg.adam(part.parameters(), settings.rdg_lr, settings.rdg_betas)
            for name, part in reference.trained().items()
        }
        floats = [to_float(part).contiguous().to(device) for part in pixels]

        def repetition() -> dict[str, Any]:
            report = reference_rdg.training_step(
                reference,
                optimisers,
                *floats,
                embedding,
                noise,
                eps,
                lambda images: F.normalize(linear(network(images)), dim=1),
                settings.rdg_kl_weight,
                settings.rdg_relation_weight,
                settings.rdg_ema,
            )
            return {name: loss.item() for name, loss in report.items()}

        return repetition

    encoder = sen.ImageEncoder(network, sizes.embedding).to(device)
    encoder.linear.load_state_dict(linear.state_dict())
    # As train_rdg: fused Adam, pixels that become floats where they are used, autocast a phase.
    optimisers = make_optimisers(settings, nets, None)

    def autocast() -> torch.autocast:
        return torch.autocast(device.type, torch.bfloat16, enabled=bf16)

    def repetition() -> dict[str, Any]:
        images = map(to_float, pixels.to(device))  # real, of the same class, mismatched
        report = rdg_training_step(
            nets, optimisers, *images, embedding, noise, encoder.frozen, settings, autocast, None, eps
        )
        update_ema(nets.ema, nets.generator, settings.rdg_ema)
        return {name: loss.item() for name, loss in report.items()}

    return repetition


def reference_networks(
    nets: Networks, settings: Settings, embedding: int, device: torch.device
) -> reference_rdg.Networks:
    """The reference networks with the library's weights, in train mode."""
    sizes = image_sizes(settings)
    generators = [
        reference_rdg.Generator(
            embedding,
            settings.rdg_condition_size,
            settings.rdg_noise_size,
            settings.rdg_width,
            settings.rdg_stages,
            sizes[0],
        )
        for _ in range(2)
    ]
    discriminators = [
        reference_rdg.Discriminator(size, settings.rdg_discriminator_width, settings.rdg_condition_size)
        for size in sizes
    ]
    supervisor = reference_rdg.RelationSupervisor(embedding, settings.rdg_relation_size)
    pairs = zip(
        [*generators, *discriminators, supervisor],
        [nets.generator, nets.ema, *nets.discriminators, nets.supervisor],
        strict=True,
    )
    for mine, theirs in pairs:
        mine.to(device).load_state_dict(theirs.state_dict())
    return reference_rdg.Networks(generators[0], generators[1].requires_grad_(False), discriminators, supervisor)


def generate(side: str, sizes: Sizes, device: torch.device) -> Repetition:
    """One forward of G in eval mode; the reference with a graph, as released. Compared: the images at every scale."""
    settings = settings_of(sizes, device, system="S2IGAN")
    with quick_initialisation():
        torch.manual_seed(0)
        generator = make_generator(settings, sizes.embedding).to(device)
    given = [
        normal(sizes.generated, n, seed=n).to(device)
        for n in (generator.noise_size, sizes.embedding, generator.condition_size)
    ]
    with torch.no_grad():
        generator.train()(*given)  # for BatchNorm statistics other than 0 and 1
    generator.eval()
    if side == "reference":
        net: nn.Module = (
            reference_rdg.Generator(
                sizes.embedding,
                settings.rdg_condition_size,
                settings.rdg_noise_size,
                settings.rdg_width,
                settings.rdg_stages,
                image_sizes(settings)[0],
            )
            .to(device)
            .eval()
        )
        net.load_state_dict(generator.state_dict())
    else:
        net = FastGenerator(generator, torch.bfloat16 if side == "bf16" else torch.float32)
    del generator
    return lambda: {f"{image.shape[-1]} px": image.detach() for image in net(*given)[0]}


def sen_step(side: str, sizes: Sizes, device: torch.device) -> Repetition:
    """A training step of SEN with L_d. Reference: the image network sees the batch, captions of any length. Library:
    stored features, captions of similar length. Compared: both losses of a first step on the same batch.
    """
    settings = settings_of(sizes, device, system="SEN")
    batch, classes = sizes.sen_batch, 150
    store = utterances(8 * batch, sizes.frames)
    labels = torch.from_numpy(np.random.default_rng(1).integers(0, classes, batch)).to(device)
    torch.manual_seed(0)
    network = image_network(sizes.network, device, folded=side != "reference")
    net = sen.SEN(settings, network, classes).to(device).train()
    pixels = torch.from_numpy(pictures(batch, sizes.image, 8))
    optimised = [p for p in net.parameters() if p.requires_grad]
    random = list(np.random.default_rng(2).permutation(8 * batch).reshape(8, batch))

    if side == "reference":
        encoder = reference_sen.SpeechEncoder(gru_size=sizes.gru).to(device)
        encoder.load_state_dict(net.caption_encoder.state_dict())
        optimised = [*encoder.parameters(), *net.image_encoder.linear.parameters(), *net.classifier.parameters()]
        optimiser = reference_rdg.adam(optimised, settings.sen_lr, settings.sen_betas, settings.sen_weight_decay)
        images = to_float(pixels).contiguous().to(device)
        batches = itertools.cycle(random)

        def repetition() -> dict[str, Any]:
            mel, lengths = reference_sen.padded([store.mel(i) for i in next(batches)])
            report = reference_sen.training_step(
                encoder, net.image_encoder, net.classifier, optimiser, images, mel.to(device), lengths, labels
            )
            return {name: loss.item() for name, loss in report.items()}

        return repetition

    optimiser = torch.optim.Adam(optimised, settings.sen_lr, settings.sen_betas, weight_decay=settings.sen_weight_decay)
    with torch.no_grad():
        kept = torch.cat([network(to_float(part.to(device))) for part in pixels.split(32)])
    epoch = epoch_batches(np.arange(8 * batch), store, batch, np.random.default_rng(3))
    batches = itertools.chain([random[0]], itertools.cycle([captions for _, captions in epoch]))

    def repetition() -> dict[str, Any]:
        mels, lengths = caption_batch(net.caption_encoder, store, next(batches))
        report = sen_training_step(net, optimiser, kept, mels.to(device), lengths, labels, settings)
        return {name: loss.item() for name, loss in report.items()}

    return repetition


def embed(side: str, sizes: Sizes, device: torch.device) -> Repetition:
    """Embeddings of captions. Reference: one at a time, each with a graph. Compared: the embeddings."""
    store = utterances(sizes.captions, sizes.frames)
    torch.manual_seed(0)
    encoder: nn.Module = sen.SpeechEncoder(gru_size=sizes.gru)
    with torch.no_grad():
        encoder.train()(*pad_mels(store.mels[:8]))  # for BatchNorm statistics other than 0 and 1
    encoder.to(device).eval()
    if side == "reference":
        reference = reference_sen.SpeechEncoder(gru_size=sizes.gru).to(device).eval()
        reference.load_state_dict(encoder.state_dict())
        return lambda: {"embeddings": reference_sen.embed_captions(reference, store.mels, device)}
    return lambda: {"embeddings": embed_captions(encoder, store, np.arange(sizes.captions))}


def inception_features(side: str, sizes: Sizes, device: torch.device) -> Repetition:
    """Inception features of pictures. Compared: the features."""
    network = image_network(sizes.network, device, folded=side != "reference")
    images = pictures(sizes.pictures, sizes.image, 9)
    if side == "reference":
        floats = to_float(torch.from_numpy(images)).contiguous()
        return lambda: {"features": reference_sen.features(network, floats, device)}

    def repetition() -> dict[str, Any]:
        with torch.autocast(device.type, torch.bfloat16, enabled=side == "bf16"):
            return {"features": extract(network, images, sizes.image).float()}

    return repetition


def retrieve(side: str, sizes: Sizes, device: torch.device) -> Repetition:
    """mAP of a full ranking. Compared: the value."""
    queries, gallery = normal(sizes.queries, sizes.features, seed=10), normal(sizes.gallery, sizes.features, seed=11)
    labels = np.arange(sizes.queries) % 50, np.arange(sizes.gallery) % 50
    function = reference_metrics.mean_average_precision if side == "reference" else metrics.mean_average_precision
    return lambda: {"mAP": function(queries, labels[0], gallery, labels[1])}


def score(side: str, sizes: Sizes, device: torch.device) -> Repetition:
    """Inception Score. Compared: mean and standard deviation."""
    probabilities = normal(*sizes.scored, seed=12).mul(2).softmax(1)
    function = reference_metrics.inception_score if side == "reference" else metrics.inception_score
    given = probabilities.numpy() if side == "reference" else probabilities
    return lambda: dict(zip(("mean", "std"), function(given), strict=True))


def mel(side: str, sizes: Sizes, device: torch.device) -> Repetition:
    """Log-mels of clips of 4 s, which sweep and fade.

    Compared: all values. `librosa`, where it is installed, is a second reference.
    """
    seconds = torch.arange(4 * speech.SAMPLE_RATE) / speech.SAMPLE_RATE
    sweep = torch.sin(2 * torch.pi * 400 * seconds * (1 + seconds)) * torch.exp(-seconds)
    clips = [0.3 * sweep.roll(1000 * i) + 0.01 * normal(len(seconds), seed=i) for i in range(sizes.clips)]
    if side == "reference":
        bank = reference_speech.mel_bank()
        return lambda: {"log-mel": np.stack([reference_speech.log_mel(clip.numpy(), bank) for clip in clips])}
    if side == "librosa":
        return lambda: {"log-mel": np.stack([librosa_mel(clip.numpy()) for clip in clips])}
    return lambda: {"log-mel": torch.stack(speech.log_mels(clips))}


def librosa_mel(samples: np.ndarray) -> np.ndarray:
    """(T, 40) log-mel by librosa, normalised like ours."""
    import librosa

    power = librosa.feature.melspectrogram(
        y=samples,
        sr=speech.SAMPLE_RATE,
        n_fft=speech.N_FFT,
        win_length=speech.N_FFT,
        hop_length=speech.HOP,
        window="hann",
        center=True,
        pad_mode="reflect",
        power=2.0,
        n_mels=speech.BANDS,
        fmin=0.0,
        fmax=speech.SAMPLE_RATE / 2,
    )
    log = np.log(power + 1e-6).T
    return (log - log.mean(0)) / (log.std(0) + 1e-16)


def has_librosa() -> bool:
    """Whether librosa can be imported; it is no dependency of this project."""
    try:
        import librosa  # noqa: F401
    except ImportError:
        return False
    return True


ROWS = [
    Row("rdg-step", "RDG training step", rdg_step, {"fp32": 1.5, "bf16": 2.8}),
    Row("generation", "G forward for generation", generate, {"fp32": 2.1, "bf16": 4.5}),
    Row("sen-step", "SEN step, backbone features kept", sen_step, {"fp32": 3.0}),
    Row("embeddings", "speech embeddings, by length, without a graph", embed, {"fp32": 5.0}),
    Row(
        "inception",
        "Inception features, BatchNorm folded, channels-last",
        inception_features,
        {"fp32": None, "bf16": 3.0},
    ),
    Row("mAP", "mean average precision", retrieve, {"fp32": 2.0}, at_most_gib=1.0),
    Row("inception-score", "Inception Score", score, {"fp32": 50.0}),
    Row("log-mel", "log-mel of 4 s clips", mel, {"fp32": None}),
]
