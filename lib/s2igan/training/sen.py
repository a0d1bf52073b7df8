"""Training of SEN (paper, section 2.1)."""

from __future__ import annotations

import copy
import functools
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from s2igan import BadInput
from s2igan.config import SEN_SYSTEMS, Settings, identity
from s2igan.data.batches import random_crops, to_float
from s2igan.data.store import Store, training_targets
from s2igan.metrics import mean_average_precision
from s2igan.sen import SEN, sen_losses
from s2igan.training import processes
from s2igan.training.batches import SENBatch, sen_batches
from s2igan.training.checkpoints import Checkpoints, fingerprint
from s2igan.training.devices import pick_device, seed_everything, within_memory
from s2igan.training.embeddings import embed_captions
from s2igan.training.logs import Log
from s2igan.training.loop import Schedule, train, training_steps
from s2igan.training.source_code import source_digest


def fresh_sen(settings: Settings, store: Store, backbone: nn.Module) -> SEN:
    """An untrained SEN. Its weights follow from the run's seed alone, so that with and without L_d start alike."""
    seed_everything(settings.seed, "sen")
    return SEN(settings, backbone, int(training_targets(store).max()) + 1)


def sen_training_step(
    net: SEN,
    optimiser: torch.optim.Optimizer,
    images: Tensor,
    captions: Tensor,
    lengths: Tensor,
    labels: Tensor,
    settings: Settings,
) -> dict[str, Tensor]:
    """One training step of SEN (paper, section 2.1) on this process's rows of a batch.

    Args:
        images: pixels [b, s, s, 3] uint8, or the backbone's features of them [b, feature_size].
        captions, lengths: as the caption encoder takes them.
        labels: numbers of the training classes, [b].
    Returns: both losses, detached scalars.
    """
    if not images.is_floating_point():
        images = net.image_encoder.backbone(to_float(images))
    v = net.image_encoder.project(images)  # (b, D)
    a = net.caption_encoder(captions, lengths)  # (b, D)
    # The losses compare the rows of all processes.
    v, a, labels = map(processes.gather, (v, a, labels))  # (B, D), (B, D), (B)
    matching, l_d = sen_losses(net, v, a, labels, settings)
    # L_SEN = L_match + L_d. Without L_d it is measured, but not learned from.
    distinctive = SEN_SYSTEMS[settings.system]["distinctive"]
    loss = matching + l_d if distinctive else matching
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    gradients = (p.grad for p in net.parameters() if p.grad is not None)
    processes.all_reduce_mean(gradients)
    optimiser.step()
    return {"matching": matching.detach(), "L_d": l_d.detach()}


@torch.no_grad()
def crop_features(
    backbone: nn.Module, store: Store, image_ids: np.ndarray, settings: Settings, batch: int = 200
) -> Tensor:
    """Features of `sen_crops` fixed random crops of each image, from the run's seed, on the CPU.

    The frozen backbone gives the same features of the same crop at every step. So a training of 150 epochs costs it no
    more than `sen_crops` epochs. The price is less variety of crops.

    Returns: [N, sen_crops, feature_size].
    """
    device = next(backbone.parameters()).device
    result = torch.empty(len(image_ids), settings.sen_crops, backbone.feature_size)
    for crop in range(settings.sen_crops):
        for start in range(0, len(image_ids), batch):
            rng = np.random.default_rng([settings.seed, 6, crop, start])
            chosen = image_ids[start : start + batch]
            pixels = random_crops(store.images, chosen, settings.data_image_size, rng, settings.data_flip)
            result[start : start + batch, crop] = backbone(to_float(pixels.to(device))).float().cpu()
    return result


class BestWeights:
    """The weights of the best validation so far; a part of a checkpoint."""

    def __init__(self, weights: dict[str, Tensor]) -> None:
        self.score, self.weights = -1.0, weights

    def update(self, score: float, net: SEN) -> None:
        """Keep the weights of `net` with their score."""
        self.score, self.weights = score, copy.deepcopy(net.state_without_backbone())

    def state_dict(self) -> dict[str, Any]:
        return {"score": self.score, "weights": self.weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.score, self.weights = state["score"], state["weights"]


def sen_steps(settings: Settings, store: Store) -> int:
    """Length of a training of SEN or of the text encoder. Raises BadInput where the latter has nothing to read."""
    text = SEN_SYSTEMS[settings.system]["text"]
    if text and not all(store.caption_text):
        raise BadInput(
            f"dataset {store.dataset!r} has captions without their texts: "
            f"{settings.system!r} has nothing to read there"
        )
    steps = settings.sen_text_steps if text else settings.sen_steps
    return training_steps(steps, settings.sen_epochs, len(store.image_ids_of("train")), settings.sen_batch)


def train_sen(
    settings: Settings, store: Store, backbone: nn.Module, features: Tensor, folder: Path, upstream: str
) -> SEN:
    """Train SEN with the matching loss, and with L_d unless the system says not (paper, section 2.1).

    Adam, on one caption of each image an epoch. Every `sen_validate_every` steps the mAP on the validation classes is
    measured, and the best weights are kept. Resumes from its checkpoint, and then equals an uninterrupted run.

    Args:
        features: the backbone's features of all of the store's images, centre-cropped, [N, feature_size]: for
            validation.
        folder: the run's directory, for log.jsonl and checkpoints/.
        upstream: fingerprint of the data and the backbone.
    Returns: the network with the best validation mAP, in eval mode, on the CPU.
    Raises: BadInput when the text encoder is asked for and a caption has no text, or when a GPU is full; RuntimeError
        naming the last good checkpoint when a loss is not finite.
    """
    device, image_ids, steps = pick_device(settings), store.image_ids_of("train"), sen_steps(settings, store)
    # All systems start from the same weights and see the same batches: they differ in the loss alone.
    net = fresh_sen(settings, store, backbone).to(device)
    trained = [p for p in net.parameters() if p.requires_grad]
    optimiser = torch.optim.Adam(trained, settings.sen_lr, settings.sen_betas, weight_decay=settings.sen_weight_decay)
    per_epoch = len(image_ids) // settings.sen_batch
    factor = functools.partial(lr_factor, settings.sen_lr_decay, steps, per_epoch)
    rate = torch.optim.lr_scheduler.LambdaLR(optimiser, factor)
    best = BestWeights(net.state_without_backbone())
    key = fingerprint(identity(settings, "sen"), steps, upstream, source_digest([__name__]))
    checkpoints = Checkpoints(folder, key, {"net": net, "optimiser": optimiser, "rate": rate, "best": best})
    start = checkpoints.load()
    crops = crop_features(backbone, store, image_ids, settings) if settings.sen_crops and start < steps else None

    def train_step(step: int, batch: SENBatch) -> dict[str, Tensor]:
        net.train()
        images, captions, labels = (part.to(device) for part in (batch.images, batch.captions, batch.labels))
        report = sen_training_step(net, optimiser, images, captions, batch.lengths, labels, settings)
        rate.step()
        return report

    def validate(done: int) -> dict[str, float]:
        score = validation_map(net, store, features, device)
        # Without validation classes the last weights are kept.
        if score > best.score or len(store.caption_ids_of("val")) == 0:
            best.update(score, net)
        return {"val_mAP": score}

    every = settings.sen_validate_every
    with within_memory("sen_batch", settings.sen_batch):
        train(
            Schedule(steps, log_every=every, validate_every=every, checkpoint_every=every),
            sen_batches(settings, store, net.caption_encoder, image_ids, crops),
            train_step,
            Log(folder / "log.jsonl", steps, settings.sen_batch, start),
            start=start,
            validate=validate,
            checkpoints=checkpoints,
            in_thread=device.type == "cuda",
        )
    net.load_state_without_backbone(best.weights, "the best checkpoint")
    return net.cpu().eval()


def retrieval_map(
    speech_embeddings: Tensor, speech_labels: np.ndarray, image_embeddings: Tensor, image_labels: np.ndarray
) -> float:
    """SEN's metric: captions retrieve the real images of their class; mAP in percent.

    Args: speech_embeddings: [M, D] and their classes [M]; image_embeddings: [N, D] and their classes [N].
    """
    return 100 * mean_average_precision(speech_embeddings, speech_labels, image_embeddings, image_labels)


def validation_map(net: SEN, store: Store, features: Tensor, device: torch.device) -> float:
    """Retrieval mAP in percent on the validation classes, unseen in training like the test classes; 0 without any."""
    image_ids, caption_ids = store.image_ids_of("val"), store.caption_ids_of("val")
    if len(image_ids) == 0:
        return 0.0
    with torch.no_grad():
        v = net.image_encoder.project(features[image_ids].to(device)).cpu()
    a = embed_captions(net.caption_encoder, store, caption_ids)
    return retrieval_map(a, store.image_class[store.caption_image[caption_ids]], v, store.image_class[image_ids])


def lr_factor(decay: str, steps: int, per_epoch: int, step: int) -> float:
    """Learning rate at a step as a share of the first one, for a training of `steps` steps.

    "step" (released): x0.1 every 50 epochs of `per_epoch` steps. "linear": falls to zero from half-way.
    """
    if decay == "step":
        return 0.1 ** (step // per_epoch // 50)
    return min(1.0, 2 * (1 - step / steps))
