"""Finished runs, loaded: SEN, generators, and what a training starts from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
import yaml
from safetensors.torch import load_file
from torch import Tensor, nn

from s2igan import BadInput
from s2igan.config import RDG_SYSTEMS, Settings, resolve, run_dir, store_dir
from s2igan.data.batches import pad_mels
from s2igan.data.files import file_sha256
from s2igan.data.store import Store, open_store
from s2igan.evaluation.feature_networks import load_network
from s2igan.rdg import Generator
from s2igan.sen import SEN, TextEncoder, characters
from s2igan.training.checkpoints import fingerprint
from s2igan.training.embeddings import standardised
from s2igan.training.rdg_networks import JointSpeechEncoder, make_generator
from s2igan.training.records import read_metrics
from s2igan.training.sen import fresh_sen


def load_sen(settings: Settings, store: Store, backbone: nn.Module, path: str | Path) -> SEN:
    """A trained SEN in eval mode from its run's weights.safetensors. Raises BadInput when that is missing or from other settings."""
    if not Path(path).is_file():
        raise BadInput(f"{path} does not exist: run 02_sen (or 02_text_encoder) with this system and seed first")
    net = fresh_sen(settings, store, backbone)
    net.load_state_without_backbone(load_file(path), str(path))
    return net.eval()


def sen_inputs(settings: Settings, root: str | Path) -> tuple[Store, nn.Module, Tensor, str]:
    """What `train_sen` learns from, as 01_data left it: the store, the frozen backbone, its features of all images [N, feature_size], and
    the fingerprint of it all. Raises BadInput when 01_data has not run."""
    folder = run_dir(settings, "data", root=root)
    store, backbone = open_store(store_dir(settings, root)), load_network(folder / "backbone.safetensors")
    features = load_file(folder / "features.safetensors")["backbone"]
    return store, backbone, features, fingerprint(store.fingerprint, file_sha256(folder / "backbone.safetensors"))


def rdg_inputs(settings: Settings, root: str | Path) -> tuple[Store, SEN, Tensor | None, str]:
    """What `train_rdg` learns from, as the stages before left it.

    Returns: the store; SEN, finished, or fresh where its speech encoder learns here; the embeddings of all captions as the generator should
        see them, [M, D], None where the encoder learns here; the fingerprint of it all.
    Raises: BadInput when a stage before has not run, or ran with other settings.
    """
    store, backbone, _, upstream = sen_inputs(settings, root)
    system = RDG_SYSTEMS[settings.system]["sen"]
    if system is None:
        return store, fresh_sen(settings, store, backbone), None, upstream
    folder = run_dir(settings, "sen", system, root=root)
    net = load_sen(settings.model_copy(update={"system": system}), store, backbone, folder / "weights.safetensors")
    speech = load_file(folder / "embeddings.safetensors")["speech"]
    read = [file_sha256(folder / f"{name}.safetensors") for name in ("weights", "embeddings")]
    speech = standardised(speech, store)[0] if settings.rdg_standardise else speech
    return store, net, speech, fingerprint(store.fingerprint, *read)


def load_generator(settings: Settings, run: Path, store: Store, root: Path) -> tuple[Generator, Tensor]:
    """The generator that an RDG run left, and all captions' embeddings as it wants them, [M, speech_size]."""
    path = run / "params.yaml"
    own = resolve(yaml.safe_load(path.read_text())) if path.is_file() else settings
    about = read_metrics(run)
    if of_sen := RDG_SYSTEMS[about["system"]]["sen"]:
        heard = load_file(run_dir(own, "sen", of_sen, about["seed"], root) / "embeddings.safetensors")["speech"]
        heard = standardised(heard, store)[0] if own.rdg_standardise else heard
    else:  # the encoder learned in this run, and left its embeddings as the generator wants them
        heard = load_file(run / "embeddings.safetensors")["speech"]
    generator = make_generator(own.model_copy(update={"system": about["system"]}), heard.shape[1])
    generator.load_state_dict(load_file(run / "weights.safetensors"))
    return generator.eval(), heard


def load_caption_encoder(run: Path, store: Store, root: Path) -> Callable[[list[str], list[Tensor]], Tensor]:
    """What embeds new captions for an RDG run's generator: (texts, their log-mels [T_i, 40]) -> [N, speech_size].

    The text baseline reads the texts, every other system hears the log-mels.
    """
    own = resolve(yaml.safe_load((run / "params.yaml").read_text()))
    about = read_metrics(run)
    backbone = load_network(run_dir(own, "data", root=root) / "backbone.safetensors")
    if of_sen := RDG_SYSTEMS[about["system"]]["sen"]:
        folder = run_dir(own, "sen", of_sen, about["seed"], root)
        of_run = own.model_copy(update={"system": of_sen, "seed": about["seed"]})
        encoder = load_sen(of_run, store, backbone, folder / "weights.safetensors").caption_encoder
        kept = load_file(folder / "embeddings.safetensors")
        mean, deviation = (kept["mean"], kept["std"]) if own.rdg_standardise else (0.0, 1.0)
    else:
        net = fresh_sen(own, store, backbone)
        encoder = JointSpeechEncoder(net.caption_encoder, net.image_encoder.linear.out_features, own.rdg_standardise)
        encoder.load_state_dict(load_file(run / "speech_encoder.safetensors"))
        mean, deviation = 0.0, 1.0
    encoder.eval()

    @torch.no_grad()
    def listen(texts: list[str], mels: list[Tensor]) -> Tensor:
        rows = []
        for start in range(0, len(texts), 64):
            part = slice(start, start + 64)
            given = characters(texts[part]) if isinstance(encoder, TextEncoder) else pad_mels([mel.numpy() for mel in mels[part]])
            rows.append(encoder(*given))
        return (torch.cat(rows) - mean) / deviation

    return listen
