"""Recordings as waveforms: mono, 22,050 Hz, float32 in [-1, 1]."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import Tensor

from s2igan import BadInput

SAMPLE_RATE = 22_050  # Hz
HOP = 220  # samples: 10 ms
MIN_FRAMES = 16  # the speech encoder's two convolutions (kernel 6, stride 2) need that many
MIN_SAMPLES = (MIN_FRAMES - 1) * HOP
SILENCE = 1e-4  # peak-to-peak amplitude (-80 dB) below which audio counts as silent


def at_22050(waveform: Tensor, sample_rate: int, name: str) -> Tensor:
    """`waveform` (n,), floats in [-1, 1] at any rate in Hz, as float32 at 22,050 Hz.

    Raises BadInput, a line that starts with `name`, for audio that is empty, silent, not finite, or too short
    (150 ms).
    """
    waveform = torch.as_tensor(waveform).detach().cpu()
    if waveform.ndim != 1 or not waveform.is_floating_point():
        raise BadInput(
            f"{name} must be one row of floats in [-1, 1], not {waveform.dtype} of shape {tuple(waveform.shape)}"
        )
    if sample_rate < 1:
        raise BadInput(f"{name} has a sample rate of {sample_rate} Hz: it must be positive")
    if waveform.numel() == 0:
        raise BadInput(f"{name} is empty: it has no samples")
    waveform = waveform.float()
    # numpy's isfinite: `log_mels` calls this on several threads, and torch would start more in each.
    if not np.isfinite(waveform.numpy()).all():
        raise BadInput(f"{name} has samples that are not finite numbers")
    milliseconds = waveform.numel() * 1000 / sample_rate
    shortest = math.ceil(MIN_SAMPLES * 1000 / SAMPLE_RATE)
    if sample_rate != SAMPLE_RATE:
        import torchaudio  # costs a second: only where it is needed

        waveform = torchaudio.functional.resample(waveform, sample_rate, SAMPLE_RATE)
    if waveform.numel() < MIN_SAMPLES:
        raise BadInput(
            f"{name} is too short: {milliseconds:.0f} ms, and the speech encoder needs at least {shortest} ms"
        )
    if np.ptp(waveform.numpy()) < SILENCE:
        raise BadInput(f"{name} is silent: its loudest sample differs from its quietest by less than {SILENCE}")
    return waveform


def read_audio(path: str | Path) -> Tensor:
    """A recording (wav, flac, ogg or whatever else libsndfile reads) as (n,) float32 in [-1, 1] at 22,050 Hz.

    Its channels are averaged.

    Raises BadInput naming the file where it is missing, unreadable, empty, silent, not finite, or shorter than 150 ms.
    """
    if not Path(path).is_file():
        raise BadInput(f"audio file {path} does not exist")
    if Path(path).stat().st_size == 0:
        raise BadInput(f"audio file {path} is empty: it has zero bytes")
    try:
        samples, rate = soundfile.read(str(path), dtype="float32", always_2d=True)  # (n, channels)
    except (soundfile.SoundFileError, OSError) as error:
        raise BadInput(f"audio file {path} cannot be read as wav, flac or ogg: {str(error).splitlines()[0]}") from None
    return at_22050(torch.from_numpy(samples.mean(1)), rate, f"audio file {path}")


def with_noise(waveform: Tensor, decibels: float, seed: int) -> Tensor:
    """`waveform` (n,) plus white noise whose power is `decibels` below its power; the noise follows from `seed`."""
    noise = torch.randn(len(waveform), generator=torch.Generator().manual_seed(seed))
    return waveform + noise * waveform.square().mean().sqrt() * 10 ** (-decibels / 20)
