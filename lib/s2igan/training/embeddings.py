"""Speech embeddings of a store's captions."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from s2igan.data.store import Store
from s2igan.sen import SpeechEncoder, TextEncoder
from s2igan.training.batches import caption_batch


@torch.no_grad()
def embed_captions(
    encoder: SpeechEncoder | TextEncoder, store: Store, caption_ids: np.ndarray, batch: int = 64
) -> Tensor:
    """Embeddings of captions by `encoder` in eval mode, [N, D], on the CPU, in the order of `caption_ids`.

    They are made in batches of similar length.
    """
    was_training = encoder.training
    encoder.eval()
    device = next(encoder.parameters()).device
    order = np.argsort(store.mel_lengths[caption_ids], kind="stable")
    rows = []
    for start in range(0, len(order), batch):
        captions, lengths = caption_batch(encoder, store, caption_ids[order[start : start + batch]])
        rows.append(encoder(captions.to(device), lengths).float().cpu())
    encoder.train(was_training)
    result = torch.empty(len(caption_ids), rows[0].shape[1])
    result[torch.as_tensor(order)] = torch.cat(rows)
    return result


def standardised(speech_embeddings: Tensor, store: Store) -> tuple[Tensor, Tensor, Tensor]:
    """Embeddings [M, D] with zero mean and unit variance over the training captions, in each dimension.

    Ours: a unit vector of 256 dimensions has values of 0.06, less than the noise of the conditioning augmentation.

    Args: speech_embeddings: of all of the store's captions, [M, D].
    Returns: the embeddings, their mean and their standard deviation before, [M, D], [D], [D].
    """
    training = speech_embeddings[store.caption_ids_of("train")]
    mean, std = training.mean(0), training.std(0).clamp_min(1e-6)
    return (speech_embeddings - mean) / std, mean, std
