"""Training of RDG: one step in the paper's order, and the loop that can be stopped anywhere and taken up again."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from s2igan import losses
from s2igan.config import RDG_SYSTEMS, Settings, identity
from s2igan.data.batches import prefetch, pyramid, random_crops, to_float
from s2igan.data.store import Store, training_targets
from s2igan.rdg import Generator
from s2igan.sen import SEN, sen_losses
from s2igan.training import processes
from s2igan.training.batches import caption_batch, draw_image_ids, plan_epoch
from s2igan.training.checkpoints import fingerprint, load_checkpoint, save_checkpoint
from s2igan.training.devices import pick_device, use_bf16
from s2igan.training.embeddings import embed_captions
from s2igan.training.logs import Log
from s2igan.training.loop import training_steps
from s2igan.training.rdg_networks import Networks, build_networks, image_sizes
from s2igan.training.source_code import source_digest


def rdg_training_step(
    nets: Networks, optimisers: dict[str, torch.optim.Optimizer], real: Tensor, similar: Tensor, wrong: Tensor, speech: Tensor,
    noise: Tensor, embed_image: Callable[[Tensor], Tensor], settings: Settings, autocast: Callable, sen_loss: Tensor | None = None,
    eps: Tensor | None = None,
) -> dict[str, Tensor]:  # fmt: skip
    """One training step (paper, section 2.2; order of the released code).

    Args:
        real, similar, wrong: images at the largest scale, [B, 3, s, s]: of the caption, of its class, of another class.
        speech: embeddings of the captions, [B, speech_size]; with their graph where the speech encoder learns. noise: z, [B, noise_size].
        embed_image: frozen IED, images -> unit embeddings [B, D].
        autocast: makes the context of each forward. One a phase: a context keeps cast weights, which the next update makes stale.
        sen_loss: SEN's loss of this batch, followed in the generator's update ("end-to-end").
        eps: noise of the conditioning augmentation, [B, condition_size]; drawn when None.
    Returns: the losses, detached scalars.
    """
    sizes = image_sizes(settings)
    reals, wrongs = pyramid(real, sizes), pyramid(wrong, sizes)
    report = {}

    # 1. One forward of G serves every phase below.
    with autocast():
        fakes, mu, logvar = nets.generator(noise, speech, eps)

    # 2. D of each scale: maximise log D(real, c) + log(1 - D(wrong, c)) + log(1 - D(fake, c)), and the same without c.
    with autocast():
        of_scale = {
            f"D{sizes[i]}": losses.discriminator_loss(discriminator, reals[i], wrongs[i], fakes[i].detach(), mu.detach())
            for i, discriminator in enumerate(nets.discriminators)
        }
    update([optimisers[f"discriminator{i}"] for i in range(len(sizes))], sum(of_scale.values()))
    report |= {name: loss.detach() for name, loss in of_scale.items()}

    # 3. RS: tell (real, real), (real, similar), (real, fake) and (real, wrong) apart. The IED sees each image once here;
    #    the fake's embedding keeps its graph for phase 4.
    if nets.supervisor is not None:
        with torch.no_grad(), autocast():
            f_real, f_similar, f_wrong = embed_image(torch.cat([real, similar, wrong])).float().chunk(3)
        with autocast():
            f_fake = embed_image(fakes[-1]).float()
            loss = losses.relation_loss(nets.supervisor, f_real, f_similar, f_wrong, f_fake.detach())
        update([optimisers["supervisor"]], loss)
        report["RS"] = loss.detach()

    # 4. G: sum over scales of -log D(fake, c) - log D(fake), with the updated D; RS should find (real, fake) positive; KL.
    critics = [*nets.discriminators, *([nets.supervisor] if nets.supervisor is not None else [])]
    for critic in critics:
        critic.requires_grad_(False)  # their gradients would be computed and thrown away
    with autocast():
        adversarial = 0.0
        for fake, discriminator in zip(fakes, nets.discriminators, strict=True):
            conditional, unconditional = discriminator(fake, mu)
            adversarial = adversarial + losses.adversarial(conditional, 1.0) + losses.adversarial(unconditional, 1.0)
        kl = losses.kl_loss(mu, logvar)
        loss = adversarial + settings.rdg_kl_weight * kl
        if nets.supervisor is not None:
            logits = nets.supervisor(f_real, f_fake).float()
            relation = F.cross_entropy(logits, torch.full((len(real),), losses.POSITIVE, device=real.device))
            loss = loss + settings.rdg_relation_weight * relation
            report["G_RS"] = relation.detach()
    # Where the speech encoder learns, the same gradients reach it through the embedding.
    learners = [optimisers[name] for name in ("generator", "SEN") if name in optimisers]
    update(learners, loss if sen_loss is None else loss + sen_loss)
    for critic in critics:
        critic.requires_grad_(True)
    return report | {"G": adversarial.detach(), "KL": kl.detach()}


def update(optimisers: list[torch.optim.Optimizer], loss: Tensor) -> None:
    """One step of each optimiser down the gradient of `loss`, averaged over the processes that train together."""
    for optimiser in optimisers:
        optimiser.zero_grad(set_to_none=True)
    loss.backward()
    processes.all_reduce_mean(p.grad for optimiser in optimisers for group in optimiser.param_groups for p in group["params"] if p.grad is not None)
    for optimiser in optimisers:
        optimiser.step()


@torch.no_grad()
def update_ema(average: nn.Module, live: nn.Module, decay: float) -> None:
    """5. Moving average of G's parameters. The average's BatchNorm statistics are its own: see `settle`."""
    torch._foreach_lerp_(list(average.parameters()), list(live.parameters()), 1 - decay)


@torch.no_grad()
def recalibrate_batchnorm(nets: Networks, store: Store, speech: Tensor | None, images: int = 1280) -> None:
    """Measure the BatchNorm statistics of the moving averages, over so many images of training captions, in whole batches of at most 64.

    Those of the live networks do not fit: averaged weights vary less, and would draw dull images. (The released code draws in train mode,
    with the statistics of each batch.) It has random numbers of its own, so that training goes on as if it had not been called.

    Args: speech: embeddings of all captions, [M, D]; None where the speech encoder learns here.
    """
    parts = [nets.ema] if nets.speech_encoder_ema is None else [nets.ema, nets.speech_encoder_ema]
    norms = [module for part in parts for module in part.modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over the batches
        norm.train()
    device = next(nets.ema.parameters()).device
    captions, rng = store.caption_ids_of("train"), np.random.default_rng(0)
    random = torch.Generator().manual_seed(0)
    size = min(64, images)
    for _ in range(images // size):
        chosen = rng.choice(captions, size)
        if speech is None:
            heard, lengths = caption_batch(nets.speech_encoder_ema.encoder, store, chosen)
            embedding = nets.speech_encoder_ema(heard.to(device), lengths)
        else:
            embedding = speech[torch.as_tensor(chosen)]
        noise, eps = (torch.randn(size, n, generator=random).to(device) for n in (nets.ema.noise_size, nets.ema.condition_size))
        nets.ema(noise, embedding, eps)
    for norm in norms:
        norm.eval()


def train_rdg(
    settings: Settings, store: Store, net: SEN, speech: Tensor | None, folder: Path, upstream: str,
    watch: Callable[[Generator, Tensor, int], dict[str, float]] | None = None,
) -> Networks:  # fmt: skip
    """Train RDG on the training classes (paper, section 2.2), going on from a checkpoint if there is one.

    Every random number follows from seed and step, so a resumed run equals an uninterrupted one, bit for bit on a CPU.

    Args:
        net: SEN, frozen if `speech` is given; its image encoder serves the relation supervisor.
        speech: embeddings of all of the store's captions, as the generator should see them, [M, D]. None: `net`'s speech encoder learns
            here, from the generator's loss, and where the system says `matching` from SEN's losses too.
        folder: the run's directory, for log.jsonl and checkpoints/.
        upstream: fingerprint of data and SEN.
        watch: called every `rdg_sample_every` steps with the averaged generator, embeddings of the captions (those of the validation
            classes alone where the encoder learns) and the step; what it returns is logged.
    Returns: the networks; their moving averages in eval mode.
    Raises: RuntimeError naming the last good checkpoint when a loss is not finite.
    """
    device = pick_device(settings)
    own = processes.local_shard(settings.rdg_batch)
    train_images = store.image_ids_of("train")
    steps = training_steps(settings.rdg_steps, settings.rdg_epochs, len(train_images), settings.rdg_batch)
    per_epoch = len(train_images) // settings.rdg_batch
    by_class = {k: train_images[store.image_class[train_images] == k] for k in np.unique(store.image_class[train_images])}
    learns, targets = speech is None, training_targets(store)
    net = net.to(device)
    nets = build_networks(settings, net.image_encoder.linear.out_features, net if learns else None)
    speech = None if learns else speech.to(device)
    # At constant rates (paper): towards a rate of zero a short training ends mottled, while its average over a steady one is clean.
    optimisers: dict[str, torch.optim.Optimizer] = {
        name: torch.optim.Adam(
            part.parameters(), settings.rdg_lr if name == "generator" else settings.rdg_discriminator_lr, settings.rdg_betas, fused=True
        )
        for name, part in nets.trained().items()
    }
    parts = {**nets.trained(), "EMA": nets.ema}
    if learns:  # Adam as in 02_sen, at a constant rate
        learning = [p for p in net.parameters() if p.requires_grad]
        optimisers["SEN"] = torch.optim.Adam(learning, settings.sen_lr, settings.sen_betas, weight_decay=settings.sen_weight_decay)
        parts |= {"speech encoder": nets.speech_encoder, "speech encoder EMA": nets.speech_encoder_ema, "IED": net.image_encoder.linear, "classifier": net.classifier}
    parts |= {f"{name} optimiser": optimiser for name, optimiser in optimisers.items()}
    bf16 = use_bf16(settings, device)

    def autocast() -> torch.autocast:
        return torch.autocast(device.type, torch.bfloat16, enabled=bf16)

    mark = fingerprint(identity(settings, "rdg"), bf16, steps, upstream, source_digest([__name__]))
    checkpoints = folder / "checkpoints" / mark[:12]
    start = 0
    if (saved := load_checkpoint(checkpoints, mark, device)) is not None:
        start, state = saved
        for name, part in parts.items():
            part.load_state_dict(state[name])
        print(f"goes on from step {start}", flush=True)
    else:
        shutil.rmtree(folder / "snapshots", ignore_errors=True)  # what an earlier run's watch left
    log = Log(folder / "log.jsonl", steps, settings.rdg_batch, start)

    @functools.lru_cache(maxsize=2)
    def batches_of(epoch: int) -> list[tuple[np.ndarray, np.ndarray]]:
        return plan_epoch(settings, store, train_images, epoch, by_length=learns)

    def batch_of(step: int) -> tuple[int, np.ndarray, np.ndarray, Tensor, tuple[Tensor, Tensor] | None]:
        """What a step sees, from seed and step alone: a seed for torch; this process's images, captions, and pixels of real, similar and
        wrong images, [3, b, s, s, 3] uint8; where the encoder learns, the captions as it takes them."""
        epoch, position = divmod(step, per_epoch)
        chosen, captions = batches_of(epoch)[position]
        rng = np.random.default_rng([settings.seed, 5, step])
        seed = int(rng.integers(2**63))
        pixels = torch.stack([
            random_crops(store.images, images, settings.data_image_size, rng, settings.data_flip, own)
            for images in (chosen, *draw_image_ids(store, chosen, rng, by_class))
        ])  # fmt: skip
        heard = caption_batch(net.caption_encoder, store, captions[own]) if learns else None
        return seed, chosen[own], captions[own], pixels.pin_memory() if device.type == "cuda" else pixels, heard

    sums: dict[str, Tensor] = {}
    logged = start
    for step, (seed, chosen, captions, pixels, heard) in enumerate(prefetch(batch_of, range(start, steps), device.type == "cuda"), start):
        torch.manual_seed(seed)
        noise = torch.randn(settings.rdg_batch, settings.rdg_noise_size, device=device)[own]
        eps = torch.randn(settings.rdg_batch, settings.rdg_condition_size, device=device, dtype=torch.bfloat16 if bf16 else None)[own]
        real, similar, wrong = map(to_float, pixels.to(device, non_blocking=True))
        sen_loss = None
        if learns:
            net.train()
            a = net.caption_encoder(heard[0].to(device), heard[1])  # (B, D)
            embedding = nets.speech_encoder.norm(a)
            if RDG_SYSTEMS[settings.system]["matching"]:
                labels = targets[torch.as_tensor(store.image_class[chosen])].to(device)
                v, a, labels = map(processes.gather, (net.image_encoder(real), a, labels))
                sen_loss = sum(sen_losses(net, v, a, labels, settings))
        else:
            embedding = speech[torch.as_tensor(captions)]
        report = rdg_training_step(
            nets, optimisers, real, similar, wrong, embedding, noise, net.image_encoder.frozen, settings, autocast, sen_loss, eps
        )  # fmt: skip
        if sen_loss is not None:
            report["SEN"] = sen_loss.detach()
        decay = min(settings.rdg_ema, (1 + step) / (10 + step)) if settings.rdg_ema_warmup else settings.rdg_ema
        update_ema(nets.ema, nets.generator, decay)
        if learns:
            update_ema(nets.speech_encoder_ema, nets.speech_encoder, decay)
        for name, value in report.items():
            sums[name] = sums[name] + value if name in sums else value

        done = step + 1
        last = done == steps
        saving = done % settings.rdg_checkpoint_every == 0 or last
        # A checkpoint starts a new sum, so that the log of a resumed run equals that of an uninterrupted one.
        if done % settings.rdg_log_every == 0 or saving:
            processes.all_reduce_mean(sums.values())
            means = {name: value.item() / (done - logged) for name, value in sums.items()}
            if not all(np.isfinite(value) for value in means.values()):
                raise RuntimeError(f"a loss is not finite before step {done} ({means}): the last checkpoint in {checkpoints} is good")
            if watch is not None and (done % settings.rdg_sample_every == 0 or last) and processes.rank() == 0:
                recalibrate_batchnorm(nets, store, speech, settings.rdg_recalibration_images)
                means |= watch(nets.ema, joint_embeddings(nets, store, "val") if learns else speech, done)
            if processes.rank() == 0:
                log(done, **means)
            sums, logged = {}, done
        if saving and processes.rank() == 0:
            save_checkpoint(checkpoints, done, {name: part.state_dict() for name, part in parts.items()}, mark)
    recalibrate_batchnorm(nets, store, speech, settings.rdg_recalibration_images)
    return nets


def joint_embeddings(nets: Networks, store: Store, split: str = "") -> Tensor:
    """What a speech encoder that learned here makes of the store's captions, [M, D]; zeros for those that are not of `split`, if given."""
    captions = store.caption_ids_of(split) if split else np.arange(len(store.caption_image))
    table = torch.zeros(len(store.caption_image), nets.ema.augment.linear.in_features)
    if len(captions):
        table[torch.as_tensor(captions)] = embed_captions(nets.speech_encoder_ema, store, captions)
    return table
