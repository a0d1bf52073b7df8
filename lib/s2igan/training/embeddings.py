"""Speech embeddings of a store's captions."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from s2igan.data.store import Store
from s2igan.sen import SpeechEncoder, TextEncoder
from s2igan.training.batches import caption_batch


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
    training = speech[store.caption_ids_of("train")]
    mean, deviation = training.mean(0), training.std(0).clamp_min(1e-6)
    return (speech - mean) / deviation, mean, deviation
