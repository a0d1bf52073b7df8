"""Training of RDG (paper, section 2.2)."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from s2igan.config import RDG_SYSTEMS, Settings, identity
from s2igan.data.batches import to_float
from s2igan.data.store import Store, training_targets
from s2igan.rdg import Generator
from s2igan.sen import SEN, sen_losses
from s2igan.training import processes
from s2igan.training.batches import RDGBatch, caption_batch, rdg_batches
from s2igan.training.checkpoints import Checkpoints, fingerprint
from s2igan.training.devices import pick_device, use_bf16, within_memory
from s2igan.training.embeddings import embed_captions
from s2igan.training.logs import Log
from s2igan.training.loop import Schedule, train, training_steps
from s2igan.training.rdg_networks import Networks, build_networks, frozen_image_encoder, make_optimisers
from s2igan.training.rdg_step import ema_decay, rdg_training_step, update_ema
from s2igan.training.source_code import source_digest


def train_rdg(
    settings: Settings,
    store: Store,
    net: SEN,
    speech_embeddings: Tensor | None,
    folder: Path,
    upstream: str,
    validate: Callable[[Generator, Tensor, int], dict[str, float]] | None = None,
    nets: Networks | None = None,
) -> Networks:
    """Train RDG on the training classes (paper, section 2.2). Resumes from its checkpoint if there is one.

    Every random number follows from seed and step, so a resumed run equals an uninterrupted one, bit for bit on a CPU.

    Args:
        net: SEN, frozen if `speech_embeddings` are given; its image encoder serves the relation supervisor.
        speech_embeddings: of all of the store's captions, as the generator takes them, [M, D]. None: `net`'s speech
            encoder learns here, from the generator's loss, and where the system says `matching` from SEN's losses too.
        folder: the run's directory, for log.jsonl and checkpoints/.
        upstream: fingerprint of data and SEN.
        validate: called every `rdg_sample_every` steps with the EMA of the generator, speech embeddings of the captions
            (of the validation classes alone where the encoder learns) and the step; what it returns is logged.
        nets: fresh ones of `build_networks` where they are built already.
    Returns: the networks; their EMAs in eval mode.
    Raises: RuntimeError naming the last good checkpoint when a loss is not finite; BadInput when a GPU is full.
    """
    image_ids = store.image_ids_of("train")
    steps = training_steps(settings.rdg_steps, settings.rdg_epochs, len(image_ids), settings.rdg_batch)
    training = RDGTraining(settings, store, net, speech_embeddings, validate, nets)
    key = fingerprint(identity(settings, "rdg"), training.bf16, steps, upstream, source_digest([__name__]))
    checkpoints = Checkpoints(folder, key, training.parts(), training.device)
    start = training.nets.trained_steps = checkpoints.load()
    if not start:
        shutil.rmtree(folder / "snapshots", ignore_errors=True)  # of an earlier run's validation
    on_gpu = training.device.type == "cuda"
    with within_memory("rdg_batch", settings.rdg_batch):
        train(
            Schedule(steps, settings.rdg_log_every, settings.rdg_sample_every, settings.rdg_checkpoint_every),
            rdg_batches(settings, store, image_ids, net.caption_encoder if training.joint else None, pin=on_gpu),
            training.step,
            Log(folder / "log.jsonl", steps, settings.rdg_batch, start),
            start=start,
            validate=None if validate is None else training.validation,
            checkpoints=checkpoints,
            in_thread=on_gpu,
        )
    if training.recalibrated_at != steps:
        training.recalibrate(steps)
    return training.nets


class RDGTraining:
    """What a training of RDG is made of: networks, optimisers, and its step. Arguments as of `train_rdg`."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        net: SEN,
        speech_embeddings: Tensor | None,
        validate: Callable[[Generator, Tensor, int], dict[str, float]] | None = None,
        nets: Networks | None = None,
    ) -> None:
        self.settings, self.store, self.validate = settings, store, validate
        self.device = pick_device(settings)
        self.bf16 = use_bf16(settings, self.device)
        self.joint = speech_embeddings is None  # the speech encoder learns here too
        self.net = net.to(self.device)
        self.embeddings = None if self.joint else speech_embeddings.to(self.device)
        learning = net if self.joint else None
        if nets is None or nets.trained_steps:  # a training starts with fresh networks
            nets = build_networks(settings, net.image_encoder.linear.out_features, learning)
        self.nets = nets
        self.optimisers = make_optimisers(settings, nets, learning)
        self.embed_image = frozen_image_encoder(net.image_encoder, self.bf16)
        self.targets = training_targets(store)
        self.recalibrated_at = -1

    def parts(self) -> dict[str, Any]:
        """All that a resumed training needs, by name. The frozen backbone is a file of its own."""
        parts: dict[str, Any] = {**self.nets.trained(), "EMA": self.nets.ema}
        if self.joint:
            parts |= {"speech encoder": self.nets.speech_encoder, "speech encoder EMA": self.nets.speech_encoder_ema}
            parts |= {"IED": self.net.image_encoder.linear, "classifier": self.net.classifier}
        return parts | {f"{name} optimiser": optimiser for name, optimiser in self.optimisers.items()}

    def autocast(self) -> torch.autocast:
        """A context of bf16 products, where the run trains in bf16."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16)

    def noise(self, size: int, dtype: torch.dtype | None = None) -> Tensor:
        """Normal noise for this process's rows of the batch, [b, size]."""
        batch = self.settings.rdg_batch
        return torch.randn(batch, size, device=self.device, dtype=dtype)[processes.local_shard()]

    def step(self, step: int, batch: RDGBatch) -> dict[str, Tensor]:
        """One step of all networks, then of the moving averages. Returns the losses by name, detached."""
        settings, nets = self.settings, self.nets
        torch.manual_seed(batch.seed)
        noise = self.noise(settings.rdg_noise_size)
        eps = self.noise(settings.rdg_condition_size, torch.bfloat16 if self.bf16 else None)
        real, same_class, mismatched = map(to_float, batch.pixels.to(self.device, non_blocking=True))
        if self.joint:
            embedding, sen_loss = self.learnt_embedding(batch, real)
        else:
            embedding, sen_loss = self.embeddings[torch.as_tensor(batch.caption_ids)], None
        report = rdg_training_step(
            nets,
            self.optimisers,
            real,
            same_class,
            mismatched,
            embedding,
            noise,
            self.embed_image,
            settings,
            self.autocast,
            sen_loss,
            eps,
        )
        nets.trained_steps = step + 1
        update_ema(nets.ema, nets.generator, ema_decay(settings, step))
        if self.joint:
            update_ema(nets.speech_encoder_ema, nets.speech_encoder, ema_decay(settings, step))
        return report if sen_loss is None else report | {"SEN": sen_loss.detach()}

    def learnt_embedding(self, batch: RDGBatch, real: Tensor) -> tuple[Tensor, Tensor | None]:
        """Where the speech encoder learns too: the speech embedding with its graph, [b, D], and SEN's loss.

        SEN's loss is None where the system does not learn from it. The backbone sees `real` here and once more for the
        relation supervisor, which may run in bf16: SEN learns in single precision.
        """
        self.net.train()
        mels, lengths = batch.captions
        a = self.net.caption_encoder(mels.to(self.device), lengths)  # (b, D)
        embedding = self.nets.speech_encoder.norm(a)
        if not RDG_SYSTEMS[self.settings.system]["matching"]:
            return embedding, None
        labels = self.targets[torch.as_tensor(self.store.image_class[batch.image_ids])].to(self.device)
        v, a, labels = map(processes.gather, (self.net.image_encoder(real), a, labels))
        return embedding, sum(sen_losses(self.net, v, a, labels, self.settings))

    def recalibrate(self, done: int) -> None:
        """BatchNorm statistics of the moving averages as they are after `done` steps."""
        recalibrate_batchnorm(self.nets, self.store, self.embeddings, self.settings.rdg_recalibration_images)
        self.recalibrated_at = done

    def validation(self, done: int) -> dict[str, float]:
        """What `validate` says of the moving average after `done` steps."""
        self.recalibrate(done)
        embeddings = joint_embeddings(self.nets, self.store, "val") if self.joint else self.embeddings
        return self.validate(self.nets.ema, embeddings, done)


@torch.no_grad()
def recalibrate_batchnorm(nets: Networks, store: Store, speech_embeddings: Tensor | None, images: int = 1280) -> None:
    """Measure the BatchNorm statistics of the moving averages on generated images of training captions.

    The statistics of the live networks do not fit: averaged weights vary less, and would generate dull images. (The
    released code generates in train mode, with the statistics of each batch.) It has random numbers of its own, so that
    a training is the same with and without it. torch's `update_bn` serves networks of one input.

    Args:
        speech_embeddings: of all captions, [M, D]; None where the speech encoder learns here.
        images: how many, in whole batches of at most 64.
    """
    parts = [nets.ema] if nets.speech_encoder_ema is None else [nets.ema, nets.speech_encoder_ema]
    modules = [module for part in parts for module in part.modules()]
    norms = [module for module in modules if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over the batches
        norm.train()
    device = next(nets.ema.parameters()).device
    caption_ids, rng = store.caption_ids_of("train"), np.random.default_rng(0)
    random = torch.Generator().manual_seed(0)
    size = min(64, images)
    for _ in range(images // size):
        chosen = rng.choice(caption_ids, size)
        if speech_embeddings is None:
            mels, lengths = caption_batch(nets.speech_encoder_ema.encoder, store, chosen)
            embedding = nets.speech_encoder_ema(mels.to(device), lengths)
        else:
            embedding = speech_embeddings[torch.as_tensor(chosen)]
        noise = torch.randn(size, nets.ema.noise_size, generator=random).to(device)
        eps = torch.randn(size, nets.ema.condition_size, generator=random).to(device)
        nets.ema(noise, embedding, eps)
    for norm in norms:
        norm.eval()


def joint_embeddings(nets: Networks, store: Store, split: str = "") -> Tensor:
    """Speech embeddings of the store's captions by an encoder that learned here, [M, D].

    `split`: of the captions of one split alone; the rows of the others are zeros.
    """
    caption_ids = store.caption_ids_of(split) if split else np.arange(len(store.caption_image))
    table = torch.zeros(len(store.caption_image), nets.ema.augment.linear.in_features)
    if len(caption_ids):
        table[torch.as_tensor(caption_ids)] = embed_captions(nets.speech_encoder_ema, store, caption_ids)
    return table
