"""SEN, the speech embedding network (paper, section 2.1): a speech encoder and an image encoder that share a space.

In this order: the speech encoder SED; the text encoder that takes its place in the text baseline; the image encoder
IED; all of it with its losses. B batch, T frames of log-mel, T' frames after the convolutions, D embedding size. Sizes
are the paper's where it states them, else those of the released code.
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
    """SED (paper, section 2.1): two strided convolutions, a two-layer bidirectional GRU, self-attentive pooling, L2."""

    def __init__(
        self,
        bands: int = 40,
        conv_channels: tuple[int, int] = (64, 128),
        gru_size: int = 512,
        attention_size: int = 128,
        mask_padding: bool = True,
    ) -> None:
        """Layers; D = 2 * gru_size.

        Args:
            gru_size: of one direction.
            mask_padding: False is the released pooling, in which padded frames take part, so that an embedding depends
                on the batch it is computed in.
        """
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
        """Weights A and states h of the self-attentive pooling, [B, T', D] each.

        A = softmax over time of W2 tanh(W1 h + b1) + b2, for each of the D features alone. Arguments as of `forward`.
        """
        _check_lengths(lengths)
        lengths = lengths.to("cpu")
        mel = mel[:, : int(lengths.max())]
        x = self.norm1(self.conv1(mel.transpose(1, 2)))  # (B, channels, T / 2)
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
        """Embed spoken captions: the sum over t of A_t * h_t, as a unit vector.

        Args:
            mel: log-mels, [B, T, bands], zeros after the end of the shorter ones.
            lengths: in frames, [B], at least 16, in any order.
        Returns: speech embeddings, [B, D], of length 1.
        Raises: BadInput for a log-mel shorter than 16 frames.
        """
        weights, h = self.attention(mel, lengths)
        return F.normalize((weights * h).sum(1), dim=1)  # sum over t of A_t h_t


def _check_lengths(lengths: Tensor) -> None:
    if (shortest := int(lengths.min())) < MIN_FRAMES:
        raise BadInput(f"a log-mel has {shortest} frames: the speech encoder needs at least {MIN_FRAMES} (0.15 s)")


def padded_gru(gru: nn.GRU, x: Tensor, lengths: Tensor) -> Tensor:
    """A bidirectional `gru` over zero-padded rows, as if each were alone.

    The plain form: pad_packed_sequence(gru(pack_padded_sequence(x, lengths, enforce_sorted=False))[0]). On a CPU the
    backward pass of a packed sequence costs three times the unpacked one, so each direction runs over the padded batch:
    forwards, padding comes after all that counts; backwards, each row is reversed within its own length first and back
    afterwards. Exact.

    Args: x: [B, T, n], batch first; lengths: [B], on the CPU, 1 .. T.
    Returns: outputs [B, T, 2 * hidden_size], 0 where padded.
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
            weights = [
                getattr(gru, f"{name}_l{layer}{suffix}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            ]
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
    """Captions as numbers of `ALPHABET`, [B, 201] int64, -1 after the end, and their lengths [B].

    What is longer than 201 characters is cut off.
    """
    space = _NUMBER[" "]
    rows = [[_NUMBER.get(character, space) for character in text.lower()[:TEXT_LENGTH]] for text in texts]
    batch = torch.full((len(rows), TEXT_LENGTH), -1)
    for numbers, row in zip(batch, rows, strict=True):
        numbers[: len(row)] = torch.tensor(row)
    return batch, torch.tensor([len(row) for row in rows])


class TextEncoder(nn.Module):
    """The text baseline's char-CNN-RNN (Reed et al. 2016): convolutions of characters, RNN, the mean of its states."""

    def __init__(
        self, channels: tuple[int, int, int] = (384, 512, 256), rnn_size: int = 256, embedding_size: int = 1024
    ) -> None:
        """Layers: `channels` of the three convolutions, `rnn_size` of the recurrent network."""
        super().__init__()
        sizes = [len(ALPHABET), *channels]
        self.convolutions = nn.ModuleList(
            nn.Conv1d(before, after, kernel_size=4) for before, after in itertools.pairwise(sizes)
        )
        self.rnn = nn.RNN(channels[-1], rnn_size, nonlinearity="relu", batch_first=True)
        # A relu network that starts as the identity neither fades nor explodes (Le et al. 2015).
        nn.init.eye_(self.rnn.weight_hh_l0)
        self.linear = nn.Linear(rnn_size, embedding_size)

    def forward(self, numbers: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Characters [B, 201] as `characters` gives them -> unit vectors [B, embedding_size].

        Every caption is read to the full 201 characters, blank after its end (Reed et al.). So `lengths` have no
        effect: they are there because the speech encoder takes them.
        """
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

    def __init__(
        self, backbone: nn.Module, embedding_size: int = 1024
    ) -> None:
        """`backbone`: images [B, 3, s, s] in [-1, 1] -> features [B, feature_size]; stays frozen and in eval mode."""
        super().__init__()
        self.backbone = backbone.eval().requires_grad_(False)
        self.linear = nn.Linear(backbone.feature_size, embedding_size)

    def train(self, mode: bool = True) -> ImageEncoder:
        """Training mode for the linear layer alone: the backbone keeps the BatchNorm statistics of its own training."""
        super().train(mode)
        self.backbone.eval()
        return self

    def project(self, features: Tensor) -> Tensor:
        """Backbone features [B, feature_size] -> unit vectors [B, embedding_size]."""
        return F.normalize(self.linear(features), dim=1)

    def forward(self, images: Tensor) -> Tensor:
        """Images [B, 3, s, s] in [-1, 1] -> unit vectors [B, embedding_size]."""
        return self.project(self.backbone(images))

    def frozen(
        self, images: Tensor, backbone: nn.Module | None = None
    ) -> Tensor:
        """As `forward`, but gradients reach the images alone: for the relation supervisor, also while SEN learns.

        `backbone`: a copy of the encoder's own in another precision, to use in its place.
        """
        features = (self.backbone if backbone is None else backbone)(images)
        weight, bias = self.linear.weight.detach(), self.linear.bias.detach()
        return F.normalize(F.linear(features, weight, bias), dim=1)


class SEN(nn.Module):
    """Both encoders, and the classifier of L_d. `caption_encoder` is SED, in the text baseline the text encoder."""

    def __init__(self, settings: Settings, backbone: nn.Module, class_count: int) -> None:
        super().__init__()
        size = 2 * settings.sen_gru_size
        if SEN_SYSTEMS.get(settings.system, {}).get("text"):
            self.caption_encoder: SpeechEncoder | TextEncoder = TextEncoder(
                settings.sen_text_channels, settings.sen_text_rnn_size, size
            )
        else:
            self.caption_encoder = SpeechEncoder(
                40, settings.sen_conv_channels, settings.sen_gru_size, settings.sen_attention_size
            )
        self.image_encoder = ImageEncoder(backbone, size)
        self.classifier = nn.Linear(size, class_count)
        nn.init.xavier_uniform_(self.classifier.weight)

    def state_without_backbone(self) -> dict[str, Tensor]:
        """Weights without the backbone, which is a file of its own."""
        backbone = "image_encoder.backbone."
        return {name: x.contiguous() for name, x in self.state_dict().items() if not name.startswith(backbone)}

    def load_state_without_backbone(self, state: dict[str, Tensor], name: str) -> None:
        """Load `state_without_backbone` back. Raises BadInput, naming the file `name`, when it has other sizes."""
        expected, found = ({k: x.shape for k, x in s.items()} for s in (self.state_without_backbone(), state))
        misfits = [k for k in expected.keys() | found.keys() if expected.get(k) != found.get(k)]
        if misfits:
            raise BadInput(
                f"{name} is from other settings: {min(misfits)} does not fit; run 02_sen again with these settings"
            )
        self.load_state_dict(state, strict=False)


def sen_losses(net: SEN, v: Tensor, a: Tensor, labels: Tensor, settings: Settings) -> tuple[Tensor, Tensor]:
    """Matching loss and L_d of a batch (paper, section 2.1).

    Args: v, a: image and speech embeddings, [B, D] each; labels: their classes, [B].
    """
    matching = matching_loss(v, a, labels, settings.sen_scale)
    return matching, distinctive_loss(net.classifier, v, a, labels, settings.sen_distinctive_scale)
