"""SEN, the speech embedding network (paper, section 2.1): a speech encoder (SED) and an image encoder (IED) that share a space.

B batch, T frames of log-mel, T' frames after the convolutions, D embedding size. Sizes and schedule: the paper where it states them,
else the released code.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from s2igan import BadInput, parallel, runs
from s2igan.backbone import load_network
from s2igan.data import Store, ahead, open_store, pad_mels, random_crops, to_float
from s2igan.losses import distinctive_loss, matching_loss
from s2igan.metrics import mean_average_precision
from s2igan.settings import SEN_SYSTEMS, Settings, identity, run_dir, store_dir
from s2igan.speech import MIN_FRAMES
from s2igan.study import TRAINING, source_digest
from s2igan.text import TextEncoder, characters


class SpeechEncoder(nn.Module):
    """SED: two strided convolutions, a two-layer bidirectional GRU, self-attention pooling, L2 (paper, section 2.1; released code)."""

    def __init__(
        self, bands: int = 40, conv_channels: tuple[int, int] = (64, 128), gru_size: int = 512, attention_size: int = 128,
        mask_padding: bool = True,
    ) -> None:  # fmt: skip
        """`gru_size` is of one direction: an embedding has 2 * gru_size values. `mask_padding=False` is the released attention, in
        which padded frames take part, so that an embedding depends on the batch it is computed in."""
        super().__init__()
        self.mask_padding = mask_padding
        first, second = conv_channels
        # No non-linearity between the convolutions (released code).
        self.conv1 = nn.Conv1d(bands, first, kernel_size=6, stride=2)
        self.norm1 = nn.BatchNorm1d(first)
        self.conv2 = nn.Conv1d(first, second, kernel_size=6, stride=2)
        self.norm2 = nn.BatchNorm1d(second)
        self.gru = nn.GRU(second, gru_size, num_layers=2, batch_first=True, bidirectional=True)
        self.attend1 = nn.Linear(2 * gru_size, attention_size)
        self.attend2 = nn.Linear(attention_size, 2 * gru_size)
        nn.init.orthogonal_(self.attend1.weight)

    def attention(self, mel: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Weights A and states h of the pooling, both [B, T', 2 * gru_size]: A is a softmax over time for each feature."""
        if int(lengths.min()) < MIN_FRAMES:
            raise BadInput(f"a log-mel has {int(lengths.min())} frames: the speech encoder needs at least {MIN_FRAMES} (0.15 s)")
        lengths = lengths.to("cpu")
        mel = mel[:, : int(lengths.max())]
        x = self.norm1(self.conv1(mel.transpose(1, 2)))
        x = self.norm2(self.conv2(x)).transpose(1, 2)  # (B, T', channels)
        for _ in range(2):
            lengths = (lengths - 6) // 2 + 1
        h = padded_gru(self.gru, x, lengths)  # (B, T', 2 * gru_size), 0 where padded
        scores = self.attend2(torch.tanh(self.attend1(h)))  # W2 tanh(W1 h + b1) + b2
        if self.mask_padding:
            padded = torch.arange(h.shape[1])[None] >= lengths[:, None]  # (B, T')
            scores = scores.masked_fill(padded.to(scores.device)[..., None], float("-inf"))
        return scores.softmax(dim=1), h

    def forward(self, mel: Tensor, lengths: Tensor) -> Tensor:
        """Log-mels [B, T, bands], zero-padded, with their lengths [B] in frames (any order, at least 16) -> unit vectors [B, 2 * gru_size].

        Raises: BadInput for a log-mel shorter than 16 frames.
        """
        weights, h = self.attention(mel, lengths)
        return F.normalize((weights * h).sum(1), dim=1)  # sum over t of A_t * h_t


def padded_gru(gru: nn.GRU, x: Tensor, lengths: Tensor) -> Tensor:
    """A bidirectional `gru` over zero-padded rows, as if each were alone: outputs [B, T, 2 * hidden_size], 0 where padded.

    Plainly: pad_packed_sequence(gru(pack_padded_sequence(x, lengths, enforce_sorted=False))[0]). On a CPU the backward pass of a
    packed sequence costs three times the unpacked one, so each direction runs over the padded batch: forwards, padding comes
    after all that counts; backwards, each row is reversed within its own length first and back afterwards. Exact.

    Args: x: [B, T, n], batch first; lengths: [B], on the CPU, 1 .. T.
    """
    if x.is_cuda or not torch.is_grad_enabled():  # cuDNN packs well; and without gradients a CPU does too
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        return pad_packed_sequence(gru(packed)[0], batch_first=True, total_length=x.shape[1])[0]
    time = torch.arange(x.shape[1])[None]  # (1, T)
    padded = time >= lengths[:, None]  # (B, T)
    reverse = torch.where(padded, time, lengths[:, None] - 1 - time)[..., None]  # (B, T, 1)
    start = x.new_zeros(1, len(x), gru.hidden_size)
    for layer in range(gru.num_layers):
        directions = []
        for suffix in ("", "_reverse"):
            weights = [getattr(gru, f"{name}_l{layer}{suffix}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
            rows = x.gather(1, reverse.expand_as(x)) if suffix else x
            out = torch.gru(rows, start, weights, True, 1, 0.0, gru.training, False, True)[0]  # (B, T, hidden_size)
            directions.append(out.gather(1, reverse.expand_as(out)) if suffix else out)
        x = torch.cat(directions, 2)
    return x.masked_fill(padded[..., None], 0.0)


class ImageEncoder(nn.Module):
    """IED: a frozen backbone, one linear layer, L2 (paper, section 2.1)."""

    def __init__(self, backbone: nn.Module, embedding_size: int = 1024) -> None:
        """`backbone`: images [B, 3, s, s] in [-1, 1] -> features [B, backbone.feature_size]; it is kept frozen and in eval mode."""
        super().__init__()
        self.backbone = backbone.eval().requires_grad_(False)
        self.linear = nn.Linear(backbone.feature_size, embedding_size)

    def train(self, mode: bool = True) -> ImageEncoder:
        """Training mode for the linear layer only: the backbone's BatchNorm statistics are those of its own training."""
        super().train(mode)
        self.backbone.eval()
        return self

    def project(self, features: Tensor) -> Tensor:
        """Backbone features [B, feature_size] -> unit vectors [B, embedding_size]."""
        return F.normalize(self.linear(features), dim=1)

    def forward(self, images: Tensor) -> Tensor:
        """Images [B, 3, s, s] in [-1, 1] -> unit vectors [B, embedding_size]."""
        return self.project(self.backbone(images))

    def frozen(self, images: Tensor) -> Tensor:
        """As `forward`, but gradients reach the images alone: what the relation supervisor looks through, also while SEN is learning."""
        return F.normalize(F.linear(self.backbone(images), self.linear.weight.detach(), self.linear.bias.detach()), dim=1)


class SEN(nn.Module):
    """Both encoders and the classifier that L_d shares between them. The captions' encoder is SED, or for the text baseline reads."""

    def __init__(self, settings: Settings, backbone: nn.Module, class_count: int) -> None:
        super().__init__()
        size = 2 * settings.sen_gru_size
        if SEN_SYSTEMS.get(settings.system, {}).get("text"):
            self.caption_encoder: SpeechEncoder | TextEncoder = TextEncoder(settings.sen_text_channels, settings.sen_text_rnn_size, size)
        else:
            self.caption_encoder = SpeechEncoder(40, settings.sen_conv_channels, settings.sen_gru_size, settings.sen_attention_size)
        self.images = ImageEncoder(backbone, size)
        self.classifier = nn.Linear(size, class_count)
        nn.init.xavier_uniform_(self.classifier.weight)

    def own_state(self) -> dict[str, Tensor]:
        """Weights without the backbone, which is a file of its own."""
        return {name: tensor.contiguous() for name, tensor in self.state_dict().items() if not name.startswith("images.backbone.")}

    def load_own_state(self, state: dict[str, Tensor], name: str) -> None:
        """Load `own_state` back. Raises BadInput, naming the file `name`, when it was made with other settings."""
        own = self.own_state()
        wrong = [k for k in own.keys() | state.keys() if k not in own or k not in state or own[k].shape != state[k].shape]
        if wrong:
            raise BadInput(f"{name} is from other settings: {sorted(wrong)[0]} does not fit; run 02_sen again with these settings")
        self.load_state_dict(state, strict=False)


def fresh_sen(settings: Settings, store: Store, backbone: nn.Module) -> SEN:
    """An untrained SEN, its weights seeded by the run's seed alone, so that with and without L_d start alike."""
    runs.seed_everything(settings.seed, "sen")
    return SEN(settings, backbone, int(training_targets(store).max()) + 1)


def training_targets(store: Store) -> Tensor:
    """For each class of the store its number among the training classes, -1 if it is none of them, [classes]."""
    target = torch.full((len(store.classes),), -1)
    train = torch.as_tensor(np.unique(store.image_class[store.images_of("train")]))
    target[train] = torch.arange(len(train))
    return target


def sen_losses(net: SEN, v: Tensor, a: Tensor, labels: Tensor, settings: Settings) -> tuple[Tensor, Tensor]:
    """SEN's two losses of a batch (paper, section 2.1): matching loss and L_d of image vectors v and speech vectors a, [B, D] each."""
    return matching_loss(v, a, labels, settings.sen_scale), distinctive_loss(net.classifier, v, a, labels)


def load_sen(settings: Settings, store: Store, backbone: nn.Module, path: str | Path) -> SEN:
    """A trained SEN in eval mode from its run's weights.safetensors. Raises BadInput when that is missing or from other settings."""
    if not Path(path).is_file():
        raise BadInput(f"{path} does not exist: run 02_sen (or 02_text_encoder) with this system and seed first")
    net = fresh_sen(settings, store, backbone)
    net.load_own_state(load_file(path), str(path))
    return net.eval()


def load_inputs(settings: Settings, root: str | Path) -> tuple[Store, nn.Module, Tensor, str]:
    """What `train_sen` learns from, as 01_data left it: the store, the frozen backbone, its features of all images [N, feature_size], and
    the fingerprint of it all. Raises BadInput when 01_data has not run."""
    folder = run_dir(settings, "data", root=root)
    store, backbone = open_store(store_dir(settings, root)), load_network(folder / "backbone.safetensors")
    features = load_file(folder / "features.safetensors")["backbone"]
    return store, backbone, features, runs.fingerprint(store.fingerprint, runs.file_sha256(folder / "backbone.safetensors"))


def epoch_batches(images: np.ndarray, store: Store, batch: int, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """One epoch: every image once in random order with one of its captions, drawn uniformly; an incomplete batch is dropped.

    Fewer images than a batch make one batch of all of them. Batches hold captions of similar length (sorted within eight
    batches' worth of the shuffled images), which halves the padding; their order is then shuffled.
    Yields (image indices [batch], caption indices [batch]).
    """
    batch = min(batch, len(images))
    order = rng.permutation(images)
    captions = np.array([rng.choice(store.captions_by_image[i]) for i in order])
    lengths = store.mel_lengths[captions]
    pool = 8 * batch
    position = np.concatenate([start + np.argsort(lengths[start : start + pool], kind="stable") for start in range(0, len(order), pool)])
    starts = rng.permutation(np.arange(0, len(order) - batch + 1, batch))
    for start in starts:
        chosen = position[start : start + batch]
        yield order[chosen], captions[chosen]


def caption_batch(encoder: SpeechEncoder | TextEncoder, store: Store, captions: np.ndarray) -> tuple[Tensor, Tensor]:
    """Captions as `encoder` takes them: zero-padded log-mels [B, T, 40], or characters [B, 201]; and their lengths [B]."""
    if isinstance(encoder, TextEncoder):
        return characters([store.caption_text[i] for i in captions])
    return pad_mels([store.stored_mel(i) for i in captions])


@torch.no_grad()
def embed_captions(encoder: SpeechEncoder | TextEncoder, store: Store, captions: np.ndarray, batch: int = 64) -> Tensor:
    """Embeddings [N, D] of captions, in eval mode, in batches of similar length and given back in the order asked for."""
    was_training = encoder.training
    encoder.eval()
    device = next(encoder.parameters()).device
    order = np.argsort(store.mel_lengths[captions], kind="stable")
    rows = []
    for start in range(0, len(order), batch):
        heard, lengths = caption_batch(encoder, store, captions[order[start : start + batch]])
        rows.append(encoder(heard.to(device), lengths).float().cpu())
    encoder.train(was_training)
    result = torch.empty(len(captions), rows[0].shape[1])
    result[torch.as_tensor(order)] = torch.cat(rows)
    return result


def standardised(speech: Tensor, store: Store) -> tuple[Tensor, Tensor, Tensor]:
    """Embeddings [M, D] with zero mean and unit variance a dimension over the training captions; also that mean and deviation, [D].

    Ours: a unit vector of 256 has 0.06 a dimension, which the noise of the conditioning augmentation drowns.
    """
    training = speech[store.captions_of("train")]
    mean, deviation = training.mean(0), training.std(0).clamp_min(1e-6)
    return (speech - mean) / deviation, mean, deviation


def retrieval_map(speech: Tensor, speech_labels: np.ndarray, images: Tensor, image_labels: np.ndarray) -> float:
    """SEN's figure: spoken captions retrieve the real images of their class; mAP in percent."""
    return 100 * mean_average_precision(speech, speech_labels, images, image_labels)


def training_steps(steps: int | None, epochs: int, images: int, batch: int) -> int:
    """Length of a training in steps: `steps`, or `epochs` of images // batch. Raises BadInput when one batch cannot be filled."""
    if images < batch:
        raise BadInput(f"a batch of {batch} needs as many training images, the data set has {images}: make the batch smaller")
    return steps if steps is not None else epochs * (images // batch)


def train_step(
    net: SEN, optimiser: torch.optim.Optimizer, seen: Tensor, heard: Tensor, lengths: Tensor, labels: Tensor, settings: Settings
) -> dict[str, Tensor]:  # fmt: skip
    """One training step of SEN (paper, section 2.1) on this process's rows of a batch.

    Args:
        seen: pixels [b, s, s, 3] uint8, or the backbone's features of them [b, feature_size].
        heard, lengths: captions as the encoder takes them. labels: their classes' numbers, [b].
    Returns: both losses, detached scalars.
    """
    v = net.images.project(seen) if seen.is_floating_point() else net.images(to_float(seen))  # (b, D)
    a = net.caption_encoder(heard, lengths)  # (b, D)
    v, a, labels = map(parallel.gather, (v, a, labels))  # the losses compare the rows of all processes
    matching, l_d = sen_losses(net, v, a, labels, settings)
    # L_SEN = L_match + L_d; without L_d it is still measured, never followed.
    loss = matching + l_d if SEN_SYSTEMS[settings.system]["distinctive"] else matching
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    parallel.average(p.grad for p in net.parameters() if p.grad is not None)
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
    device = runs.pick_device(settings)
    own = parallel.rows(settings.sen_batch)
    train_images = store.images_of("train")
    steps = training_steps(
        settings.sen_text_steps if text else settings.sen_steps, settings.sen_epochs, len(train_images), settings.sen_batch
    )
    per_epoch = len(train_images) // settings.sen_batch
    target = training_targets(store)

    # Both systems start from the same weights and see the same batches: they differ in the loss alone.
    net = fresh_sen(settings, store, backbone).to(device)
    trained = [p for p in net.parameters() if p.requires_grad]
    optimiser = torch.optim.Adam(trained, settings.sen_lr, settings.sen_betas, weight_decay=settings.sen_weight_decay)
    best_map, best = -1.0, net.own_state()

    mark = runs.fingerprint(identity(settings, "sen"), steps, upstream, source_digest(TRAINING["sen"]))
    checkpoints = folder / "checkpoints" / mark[:12]
    start = 0
    if (saved := runs.load_checkpoint(checkpoints, mark)) is not None:
        start, state = saved
        net.load_state_dict(state["net"])
        optimiser.load_state_dict(state["optimiser"])
        best_map, best = state["best_map"], state["best"]
        print(f"goes on from step {start}", flush=True)
    log = runs.Log(folder / "log.jsonl", steps, settings.sen_batch, start)
    kept = crop_features(net.images.backbone, store, train_images, settings) if settings.sen_crops and start < steps else None

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
    for step, (seen, heard, lengths, labels) in enumerate(ahead(batch_of, range(start, steps), device.type == "cuda"), start):
        for group in optimiser.param_groups:
            group["lr"] = settings.sen_lr * lr_factor(settings.sen_lr_decay, step, steps, step // per_epoch)

        net.train()
        report = train_step(net, optimiser, seen.to(device), heard.to(device), lengths, labels.to(device), settings)
        for name, value in report.items():
            sums[name] = sums[name] + value if name in sums else value

        done = step + 1
        if done % settings.sen_validate_every == 0 or done == steps:
            count = settings.sen_validate_every if done % settings.sen_validate_every == 0 else done % settings.sen_validate_every
            means = {name: value.item() / count for name, value in sums.items()}
            if not all(np.isfinite(value) for value in means.values()):
                raise RuntimeError(f"a loss is not finite before step {done} ({means}): the last checkpoint in {checkpoints} is good")
            sums = {}
            if parallel.rank() != 0:
                continue
            val_map = validation_map(net, store, features, device)
            log(done, **means, val_mAP=val_map)
            if val_map > best_map or len(store.captions_of("val")) == 0:  # without validation classes the last weights are kept
                best_map, best = val_map, copy.deepcopy(net.own_state())
            state = {"net": net.state_dict(), "optimiser": optimiser.state_dict(), "best_map": best_map, "best": best}
            runs.save_checkpoint(checkpoints, done, state, mark)
    net.load_own_state(best, "the best checkpoint")
    return net.cpu().eval()


def validation_map(net: SEN, store: Store, features: Tensor, device: torch.device) -> float:
    """Retrieval mAP in percent on the validation classes, unseen in training like the test classes; 0 without any."""
    images, captions = store.images_of("val"), store.captions_of("val")
    if len(images) == 0:
        return 0.0
    with torch.no_grad():
        v = net.images.project(features[images].to(device)).cpu()
    a = embed_captions(net.caption_encoder, store, captions)
    return retrieval_map(a, store.image_class[store.caption_image[captions]], v, store.image_class[images])


def evaluate_sen(net: SEN, store: Store, features: Tensor, speech: Tensor) -> list[dict]:
    """Retrieval on the unseen test classes: every utterance asks (ours), and the first one of each class (released protocol), with chance.

    Args: features: backbone features of all images [N, feature_size]; speech: embeddings of all captions [M, D].
    """
    images, captions = store.images_of("test"), store.captions_of("test")
    with torch.no_grad():
        v = net.images.project(features[images])
    image_labels, labels = store.image_class[images], store.image_class[store.caption_image[captions]]
    first = np.sort(np.unique(labels, return_index=True)[1])
    shuffled = np.random.default_rng(0).permutation(image_labels)
    a = speech[captions]
    validation = validation_map(net, store, features, torch.device("cpu"))
    return [
        {"metric": "mAP", "value": retrieval_map(a, labels, v, image_labels), "n": len(captions), "split": "test"},
        {"metric": "mAP released", "value": retrieval_map(a[first], labels[first], v, image_labels), "n": len(first), "split": "test"},
        {"metric": "mAP chance", "value": retrieval_map(a, labels, v, shuffled), "n": len(captions), "split": "test"},
        *([{"metric": "mAP val", "value": validation, "n": asked, "split": "val"}] if (asked := len(store.captions_of("val"))) else []),
    ]


def lr_factor(decay: str, step: int, steps: int, epoch: int) -> float:
    """Learning rate against its start: released ("step"), x0.1 every 50 epochs; linear, falling to zero from half-way."""
    if decay == "step":
        return 0.1 ** (epoch // 50)
    return min(1.0, 2 * (1 - step / steps))
