"""Training of SEN (paper, section 2.1)."""

from __future__ import annotations

import copy
import functools
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from s2igan import BadInput
from s2igan.config import SEN_SYSTEMS, Settings, identity
from s2igan.data.batches import prefetch, random_crops, to_float
from s2igan.data.store import Store, training_targets
from s2igan.metrics import mean_average_precision
from s2igan.sen import SEN, sen_losses
from s2igan.training import processes
from s2igan.training.batches import caption_batch, epoch_batches
from s2igan.training.checkpoints import fingerprint, load_checkpoint, save_checkpoint
from s2igan.training.devices import pick_device, seed_everything
from s2igan.training.embeddings import embed_captions
from s2igan.training.logs import Log
from s2igan.training.loop import training_steps
from s2igan.training.source_code import source_digest


def fresh_sen(settings: Settings, store: Store, backbone: nn.Module) -> SEN:
    """An untrained SEN, its weights seeded by the run's seed alone, so that with and without L_d start alike."""
    seed_everything(settings.seed, "sen")
    return SEN(settings, backbone, int(training_targets(store).max()) + 1)


def retrieval_map(speech: Tensor, speech_labels: np.ndarray, images: Tensor, image_labels: np.ndarray) -> float:
    """SEN's figure: spoken captions retrieve the real images of their class; mAP in percent."""
    return 100 * mean_average_precision(speech, speech_labels, images, image_labels)


def sen_training_step(
    net: SEN, optimiser: torch.optim.Optimizer, seen: Tensor, heard: Tensor, lengths: Tensor, labels: Tensor, settings: Settings
) -> dict[str, Tensor]:  # fmt: skip
    """One training step of SEN (paper, section 2.1) on this process's rows of a batch.

    Args:
        seen: pixels [b, s, s, 3] uint8, or the backbone's features of them [b, feature_size].
        heard, lengths: captions as the encoder takes them. labels: their classes' numbers, [b].
    Returns: both losses, detached scalars.
    """
    v = net.image_encoder.project(seen) if seen.is_floating_point() else net.image_encoder(to_float(seen))  # (b, D)
    a = net.caption_encoder(heard, lengths)  # (b, D)
    v, a, labels = map(processes.gather, (v, a, labels))  # the losses compare the rows of all processes
    matching, l_d = sen_losses(net, v, a, labels, settings)
    # L_SEN = L_match + L_d; without L_d it is still measured, never followed.
    loss = matching + l_d if SEN_SYSTEMS[settings.system]["distinctive"] else matching
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    processes.all_reduce_mean(p.grad for p in net.parameters() if p.grad is not None)
    optimiser.step()
    return {"matching": matching.detach(), "L_d": l_d.detach()}


@torch.no_grad()
def crop_features(backbone: nn.Module, store: Store, images: np.ndarray, settings: Settings, batch: int = 200) -> Tensor:
    """Features of `sen_crops` fixed random crops of each image, [N, sen_crops, feature_size], on the CPU; from the run's seed.

    The frozen backbone says the same of the same crop at every step: asked once for each of a few crops, it costs a training of 150
    epochs no more than `sen_crops` of them. The price is less variety in what is seen.
    """
    device = next(backbone.parameters()).device
    result = torch.empty(len(images), settings.sen_crops, backbone.feature_size)
    for crop in range(settings.sen_crops):
        for start in range(0, len(images), batch):
            rng = np.random.default_rng([settings.seed, 6, crop, start])
            pixels = random_crops(store.images, images[start : start + batch], settings.data_image_size, rng, settings.data_flip)
            result[start : start + batch, crop] = backbone(to_float(pixels.to(device))).float().cpu()
    return result


def train_sen(settings: Settings, store: Store, backbone: nn.Module, features: Tensor, folder: Path, upstream: str) -> SEN:
    """Train SEN with the matching loss, and with L_d unless the system says not (paper, section 2.1).

    Adam, on one caption an image and epoch; every `sen_validate_every` steps the mAP on the validation classes is measured, and
    the best weights are kept. Goes on from its checkpoint if there is one; equal to an uninterrupted run.

    Args:
        features: the backbone's features of all of the store's images, centre-cropped, [N, feature_size]: for validation.
        folder: the run's directory; log.jsonl and checkpoints/ are written there.
        upstream: fingerprint of the data and backbone.
    Returns: the network with the best validation mAP, in eval mode, on the CPU.
    Raises: BadInput when the text encoder is asked for and a caption has no text; RuntimeError naming the last good checkpoint when a loss
        is not finite.
    """
    text = SEN_SYSTEMS[settings.system]["text"]
    if text and not all(store.caption_text):
        raise BadInput(f"dataset {store.dataset!r} has recordings without their texts: {settings.system!r} has nothing to read there")
    device = pick_device(settings)
    own = processes.local_shard(settings.sen_batch)
    train_images = store.image_ids_of("train")
    steps = training_steps(
        settings.sen_text_steps if text else settings.sen_steps, settings.sen_epochs, len(train_images), settings.sen_batch
    )
    per_epoch = len(train_images) // settings.sen_batch
    target = training_targets(store)

    # Both systems start from the same weights and see the same batches: they differ in the loss alone.
    net = fresh_sen(settings, store, backbone).to(device)
    trained = [p for p in net.parameters() if p.requires_grad]
    optimiser = torch.optim.Adam(trained, settings.sen_lr, settings.sen_betas, weight_decay=settings.sen_weight_decay)
    best_map, best = -1.0, net.state_without_backbone()

    mark = fingerprint(identity(settings, "sen"), steps, upstream, source_digest([__name__]))
    checkpoints = folder / "checkpoints" / mark[:12]
    start = 0
    if (saved := load_checkpoint(checkpoints, mark)) is not None:
        start, state = saved
        net.load_state_dict(state["net"])
        optimiser.load_state_dict(state["optimiser"])
        best_map, best = state["best_map"], state["best"]
        print(f"goes on from step {start}", flush=True)
    log = Log(folder / "log.jsonl", steps, settings.sen_batch, start)
    kept = crop_features(net.image_encoder.backbone, store, train_images, settings) if settings.sen_crops and start < steps else None

    @functools.lru_cache(maxsize=2)
    def batches_of(epoch: int) -> list[tuple[np.ndarray, np.ndarray]]:
        return list(epoch_batches(train_images, store, settings.sen_batch, np.random.default_rng([settings.seed, 2, epoch])))

    def batch_of(step: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What a step sees, from seed and step alone, so that a resumed run needs no saved position: this process's rows of the batch as
        pixels [b, s, s, 3] uint8, or kept features of theirs [b, feature_size]; captions as the encoder takes them, with their lengths;
        the numbers of their classes."""
        epoch, position = divmod(step, per_epoch)
        images, captions = batches_of(epoch)[position]
        rng = np.random.default_rng([settings.seed, 3, step])
        if kept is None:
            seen = random_crops(store.images, images, settings.data_image_size, rng, settings.data_flip, own)
        else:
            crops = rng.integers(settings.sen_crops, size=len(images))
            seen = kept[np.searchsorted(train_images, images[own]), crops[own]]
        return seen, *caption_batch(net.caption_encoder, store, captions[own]), target[torch.as_tensor(store.image_class[images[own]])]

    sums: dict[str, Tensor] = {}
    for step, (seen, heard, lengths, labels) in enumerate(prefetch(batch_of, range(start, steps), device.type == "cuda"), start):
        for group in optimiser.param_groups:
            group["lr"] = settings.sen_lr * lr_factor(settings.sen_lr_decay, step, steps, step // per_epoch)

        net.train()
        report = sen_training_step(net, optimiser, seen.to(device), heard.to(device), lengths, labels.to(device), settings)
        for name, value in report.items():
            sums[name] = sums[name] + value if name in sums else value

        done = step + 1
        if done % settings.sen_validate_every == 0 or done == steps:
            count = settings.sen_validate_every if done % settings.sen_validate_every == 0 else done % settings.sen_validate_every
            means = {name: value.item() / count for name, value in sums.items()}
            if not all(np.isfinite(value) for value in means.values()):
                raise RuntimeError(f"a loss is not finite before step {done} ({means}): the last checkpoint in {checkpoints} is good")
            sums = {}
            if processes.rank() != 0:
                continue
            val_map = validation_map(net, store, features, device)
            log(done, **means, val_mAP=val_map)
            if val_map > best_map or len(store.caption_ids_of("val")) == 0:  # without validation classes the last weights are kept
                best_map, best = val_map, copy.deepcopy(net.state_without_backbone())
            state = {"net": net.state_dict(), "optimiser": optimiser.state_dict(), "best_map": best_map, "best": best}
            save_checkpoint(checkpoints, done, state, mark)
    net.load_state_without_backbone(best, "the best checkpoint")
    return net.cpu().eval()


def validation_map(net: SEN, store: Store, features: Tensor, device: torch.device) -> float:
    """Retrieval mAP in percent on the validation classes, unseen in training like the test classes; 0 without any."""
    images, captions = store.image_ids_of("val"), store.caption_ids_of("val")
    if len(images) == 0:
        return 0.0
    with torch.no_grad():
        v = net.image_encoder.project(features[images].to(device)).cpu()
    a = embed_captions(net.caption_encoder, store, captions)
    return retrieval_map(a, store.image_class[store.caption_image[captions]], v, store.image_class[images])


def lr_factor(decay: str, step: int, steps: int, epoch: int) -> float:
    """Learning rate against its start: released ("step"), x0.1 every 50 epochs; linear, falling to zero from half-way."""
    if decay == "step":
        return 0.1 ** (epoch // 50)
    return min(1.0, 2 * (1 - step / steps))
