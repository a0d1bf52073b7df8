"""What SEN's training starts from, and a trained SEN. Nothing here imports the generator: SEN's runs do not use it."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from s2igan.config import Settings, run_dir, store_dir
from s2igan.data.store import Store, open_store
from s2igan.evaluation.feature_networks import load_network, real_features
from s2igan.files import file_sha256
from s2igan.sen import SEN
from s2igan.training.checkpoints import fingerprint
from s2igan.training.sen import fresh_sen
from s2igan.training.weights import read_weights


def load_sen(settings: Settings, store: Store, backbone: nn.Module, path: str | Path) -> SEN:
    """A trained SEN in eval mode from its run's weights.safetensors.

    Raises: BadInput when the file is missing, damaged or from other settings.
    """
    state, _ = read_weights(path, made_by="run 02_sen (or 02_text_encoder) with this system and seed first")
    net = fresh_sen(settings, store, backbone)
    net.load_state_without_backbone(state, str(path))
    return net.eval()


def sen_inputs(settings: Settings, root: str | Path) -> tuple[Store, nn.Module, Tensor, str]:
    """What `train_sen` learns from, as 01_data left it.

    Returns: the store; the frozen backbone; its features of all images, [N, feature_size]; the fingerprint of it all.
    Raises: BadInput when 01_data has not run, or what it left is damaged.
    """
    folder = run_dir(settings, "data", root=root)
    store, backbone = open_store(store_dir(settings, root)), load_network(folder / "backbone.safetensors")
    store.verify()
    features = real_features(folder, store, "backbone")["backbone"]
    return store, backbone, features, fingerprint(store.fingerprint, file_sha256(folder / "backbone.safetensors"))
