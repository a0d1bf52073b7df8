"""SEN: sizes, attention, independence of padding and batch, batches of an epoch."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from s2igan import BadInput
from s2igan.sen import ImageEncoder, SpeechEncoder, padded_gru
from s2igan.training.batches import epoch_batches
from s2igan.training.loop import training_steps
from s2igan.training.sen import lr_factor


def small(**options):
    torch.manual_seed(0)
    return SpeechEncoder(gru_size=8, conv_channels=(6, 10), attention_size=5, **options).eval()


def test_speech_encoder_has_the_paper_size():
    assert sum(p.numel() for p in SpeechEncoder().parameters()) == pytest.approx(7.03e6, rel=1e-3)


def test_embeddings_depend_neither_on_padding_nor_on_the_batch():
    encoder, rng = small(), torch.Generator().manual_seed(1)
    lengths = torch.tensor([40, 16, 97, 55])
    mel = torch.zeros(4, 120, 40)
    for row, length in zip(mel, lengths, strict=True):
        row[:length] = torch.randn(int(length), 40, generator=rng)
    together = encoder(mel, lengths)
    assert torch.allclose(together.norm(dim=1), torch.ones(4), atol=1e-6)
    for i, length in enumerate(lengths):
        alone = encoder(mel[i : i + 1, :length], lengths[i : i + 1])
        assert torch.allclose(alone[0], together[i], atol=1e-6)
    noisy = mel.clone()
    for row, length in zip(noisy, lengths, strict=True):
        row[length:] = 9.0  # what stands in the padding is of no matter either
    assert torch.allclose(encoder(noisy, lengths), together, atol=1e-6)


def test_released_pooling_sees_the_padding():
    masked, released = small(), small(mask_padding=False)
    mel, lengths = torch.randn(2, 80, 40), torch.tensor([80, 30])
    # The longest of a batch has no padding, so both agree on it; on the shorter one they must not.
    assert torch.allclose(masked(mel, lengths)[0], released(mel, lengths)[0], atol=1e-6)
    assert not torch.allclose(masked(mel, lengths)[1], released(mel, lengths)[1], atol=1e-4)
    # Released: padded GRU outputs are 0 and take part with the score of h = 0.
    _, h = released.attention(mel, lengths)
    assert (h[1, (30 - 6) // 2 // 2 :] == 0).all()


def test_attention_is_a_softmax_over_time_for_each_feature():
    encoder = small()
    weights, h = encoder.attention(torch.randn(2, 60, 40), torch.tensor([60, 20]))
    assert weights.shape == h.shape == (2, 12, 16)  # (60 - 6) // 2 + 1 = 28, (28 - 6) // 2 + 1 = 12
    assert torch.allclose(weights.sum(1), torch.ones(2, 16), atol=1e-6)
    assert (weights[1, 2:] == 0).all()  # 20 frames leave 2


def test_padded_gru_equals_packed_sequences_with_gradients():
    torch.manual_seed(0)
    gru = nn.GRU(5, 7, num_layers=2, batch_first=True, bidirectional=True)
    x, lengths = torch.randn(4, 9, 5, requires_grad=True), torch.tensor([4, 9, 1, 7])
    packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    expected = pad_packed_sequence(gru(packed)[0], batch_first=True)[0]
    found = padded_gru(gru, x, lengths)
    assert torch.allclose(found, expected, atol=1e-6)
    weights = torch.randn_like(expected)
    sources = [x, *gru.parameters()]
    for a, b in zip(*(torch.autograd.grad((h * weights).sum(), sources) for h in (found, expected)), strict=True):
        assert torch.allclose(a, b, atol=1e-5)


def test_too_short_speech_is_refused():
    encoder = small()
    assert encoder(torch.randn(1, 16, 40), torch.tensor([16])).shape == (1, 16)
    with pytest.raises(BadInput, match=r"15 frames.*at least 16"):
        encoder(torch.randn(1, 15, 40), torch.tensor([15]))


class Mean(nn.Module):
    feature_size = 3

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(3)

    def forward(self, images):
        return self.norm(images).mean((2, 3))


def test_image_encoder_keeps_its_backbone_frozen():
    encoder = ImageEncoder(Mean(), 4).train()
    before = encoder.backbone.norm.running_mean.clone()
    out = encoder(torch.randn(5, 3, 8, 8) + 3)
    out.sum().backward()
    assert torch.equal(encoder.backbone.norm.running_mean, before)
    assert encoder.backbone.norm.weight.grad is None and encoder.linear.weight.grad is not None
    assert torch.allclose(out.norm(dim=1), torch.ones(5), atol=1e-6)


def test_lengths_and_learning_rates():
    assert training_steps(None, 150, 1000, 128) == 150 * 7  # incomplete batches are dropped
    assert training_steps(300, 150, 1000, 128) == 300
    with pytest.raises(BadInput, match=r"128.*100"):
        training_steps(None, 150, 100, 128)
    assert lr_factor("step", 2000, 10, 499) == 1.0 and lr_factor("step", 2000, 10, 500) == pytest.approx(0.1)
    assert [lr_factor("linear", 100, 10, s) for s in (0, 50, 75)] == [1.0, 1.0, 0.5]


def test_an_epoch_holds_every_image_once_with_its_own_caption():
    rng = np.random.default_rng(0)
    store = SimpleNamespace(
        caption_ids_by_image=[np.arange(2 * i, 2 * i + 2) for i in range(50)], mel_lengths=rng.integers(20, 90, 100)
    )
    image_ids = np.arange(50)[::-2]
    batches = list(epoch_batches(image_ids, store, 8, np.random.default_rng(1)))
    assert len(batches) == 3
    chosen = np.concatenate([b[0] for b in batches])
    assert len(set(chosen)) == 24 and set(chosen) <= set(image_ids)
    assert all((caption_ids // 2 == of_images).all() for of_images, caption_ids in batches)


def test_captions_of_every_length_are_drawn_equally_often():
    """20 images in batches of 8 leave 4 out of each epoch: each image is drawn with probability 16 / 20."""
    captions = {"caption_ids_by_image": [np.arange(i, i + 1) for i in range(20)], "mel_lengths": np.arange(20) + 20}
    counts, epochs = np.zeros(20), 2000
    for epoch in range(epochs):
        batches = epoch_batches(np.arange(20), SimpleNamespace(**captions), 8, np.random.default_rng([0, epoch]))
        for _, caption_ids in batches:
            counts[caption_ids] += 1
    expected, spread = 0.8 * epochs, np.sqrt(0.8 * 0.2 * epochs)
    assert abs(counts[-5:].sum() - 5 * expected) < 4 * spread * np.sqrt(5)  # the longest quarter
    assert (abs(counts - expected) < 4 * spread).all()
