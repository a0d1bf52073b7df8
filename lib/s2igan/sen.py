"""SEN, the speech embedding network (paper, section 2.1): a speech encoder (SED) and an image encoder (IED) that share a space.

B batch, T frames of log-mel, T' frames after the convolutions, D embedding size. Sizes and schedule: the paper where it states them,
else the released code.
"""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from s2igan import BadInput
from s2igan.config import SEN_SYSTEMS, Settings
from s2igan.data.audio import MIN_FRAMES
from s2igan.losses import distinctive_loss, matching_loss


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
        _check_lengths(lengths)
        lengths = lengths.to("cpu")
        mel = mel[:, : int(lengths.max())]
        x = self.norm1(self.conv1(mel.transpose(1, 2)))
        x = self.norm2(self.conv2(x)).transpose(1, 2)  # (B, T', channels)
        for _ in range(2):
            lengths = (lengths - 6) // 2 + 1
        h = padded_gru(self.gru, x, lengths)  # (B, T', D), 0 where padded
        # W2 tanh(W1 h + b1) + b2: a score for each moment and each feature
        scores = self.attend2(torch.tanh(self.attend1(h)))  # (B, T', D)
        if self.mask_padding:
            time = torch.arange(h.shape[1])
            padded = (time >= lengths[:, None]).to(h.device)  # (B, T')
            scores = scores.masked_fill(padded[..., None], float("-inf"))
        return scores.softmax(dim=1), h

    def forward(self, mel: Tensor, lengths: Tensor) -> Tensor:
        """Log-mels [B, T, bands], zero-padded, with their lengths [B] in frames (any order, at least 16) -> unit vectors [B, 2 * gru_size].

        Raises: BadInput for a log-mel shorter than 16 frames.
        """
        weights, h = self.attention(mel, lengths)
        return F.normalize((weights * h).sum(1), dim=1)  # sum over t of A_t * h_t


def _check_lengths(lengths: Tensor) -> None:
    if (shortest := int(lengths.min())) < MIN_FRAMES:
        raise BadInput(f"a log-mel has {shortest} frames: the speech encoder needs at least {MIN_FRAMES} (0.15 s)")


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


# The 70 characters of Reed et al. (and of Zhang et al. 2015); any other counts as a space, upper case as lower case.
ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789-,;.!?:'\"/\\|_@#$%^&*~`+=<>()[]{}\n "
TEXT_LENGTH = 201  # characters of a caption that are read (Reed et al.)
_NUMBER = {character: number for number, character in enumerate(ALPHABET)}


def characters(texts: list[str]) -> tuple[Tensor, Tensor]:
    """Captions as numbers of `ALPHABET`, [B, 201] int64, -1 after the end of the shorter ones, and lengths [B]; longer ones are cut off."""
    space = _NUMBER[" "]
    rows = [[_NUMBER.get(character, space) for character in text.lower()[:TEXT_LENGTH]] for text in texts]
    batch = torch.full((len(rows), TEXT_LENGTH), -1)
    for numbers, row in zip(batch, rows, strict=True):
        numbers[: len(row)] = torch.tensor(row)
    return batch, torch.tensor([len(row) for row in rows])


class TextEncoder(nn.Module):
    """char-CNN-RNN: convolutions over characters, a recurrent network over what they find, the mean of its states (Reed et al. 2016)."""

    def __init__(self, channels: tuple[int, int, int] = (384, 512, 256), rnn_size: int = 256, embedding_size: int = 1024) -> None:
        """`channels` of the three convolutions; `rnn_size` of the recurrent network."""
        super().__init__()
        sizes = [len(ALPHABET), *channels]
        self.convolutions = nn.ModuleList(nn.Conv1d(before, after, kernel_size=4) for before, after in itertools.pairwise(sizes))
        self.rnn = nn.RNN(channels[-1], rnn_size, nonlinearity="relu", batch_first=True)
        nn.init.eye_(self.rnn.weight_hh_l0)  # a relu network that starts as the identity neither fades nor explodes (Le et al. 2015)
        self.linear = nn.Linear(rnn_size, embedding_size)

    def forward(self, numbers: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Characters [B, 201] as `characters` gives them -> unit vectors [B, embedding_size]. Every caption is read to the full 201
        characters, blank after its end (Reed et al.), so `lengths` are not looked at: they are there as for the speech encoder."""
        known = numbers >= 0
        x = F.one_hot(numbers.clamp_min(0), len(ALPHABET)).float()
        x = x * known[..., None]  # (B, 201, 70), zeros after the end
        x = x.transpose(1, 2)
        strides = (3, 3, 2)
        for convolution, stride in zip(self.convolutions, strides, strict=True):
            x = F.max_pool1d(F.relu(convolution(x)), 3, stride)  # 66, 21, 8
        states, _ = self.rnn(x.transpose(1, 2))  # (B, 8, rnn_size)
        return F.normalize(self.linear(states.mean(1)), dim=1)


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
        self.image_encoder = ImageEncoder(backbone, size)
        self.classifier = nn.Linear(size, class_count)
        nn.init.xavier_uniform_(self.classifier.weight)

    def state_without_backbone(self) -> dict[str, Tensor]:
        """Weights without the backbone, which is a file of its own."""
        return {name: tensor.contiguous() for name, tensor in self.state_dict().items() if not name.startswith("image_encoder.backbone.")}

    def load_state_without_backbone(self, state: dict[str, Tensor], name: str) -> None:
        """Load `state_without_backbone` back. Raises BadInput, naming the file `name`, when it was made with other settings."""
        own = self.state_without_backbone()
        wrong = [k for k in own.keys() | state.keys() if k not in own or k not in state or own[k].shape != state[k].shape]
        if wrong:
            raise BadInput(f"{name} is from other settings: {sorted(wrong)[0]} does not fit; run 02_sen again with these settings")
        self.load_state_dict(state, strict=False)


def sen_losses(net: SEN, v: Tensor, a: Tensor, labels: Tensor, settings: Settings) -> tuple[Tensor, Tensor]:
    """SEN's two losses of a batch (paper, section 2.1): matching loss and L_d of image vectors v and speech vectors a, [B, D] each."""
    return matching_loss(v, a, labels, settings.sen_scale), distinctive_loss(net.classifier, v, a, labels)
