"""Speech features (paper, section 3.1; released code): the log-mel of 40 bands, one frame each 10 ms."""

from __future__ import annotations

import functools
import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import scipy.fft
import scipy.sparse
import torch
from torch import Tensor

from s2igan.data.audio import HOP, MIN_FRAMES, MIN_SAMPLES, SAMPLE_RATE, SILENCE, at_22050, read_audio
from s2igan.data.text_to_speech import speak

__all__ = [
    "BANDS",
    "HOP",
    "MIN_FRAMES",
    "MIN_SAMPLES",
    "N_FFT",
    "SAMPLE_RATE",
    "SILENCE",
    "log_mel",
    "log_mels",
    "read_audio",
    "speak",
]

N_FFT = 551  # samples: 25 ms, also the length of the window
BANDS = 40


def _hz_to_mel(hz: np.ndarray) -> np.ndarray:
    """Slaney's scale: linear below 1,000 Hz (200/3 Hz a mel), above it 27 mels for each factor of 6.4."""
    return np.where(hz < 1000, hz * 3 / 200, 15 + 27 * np.log(np.maximum(hz, 1000) / 1000) / np.log(6.4))


def _mel_to_hz(mel: np.ndarray) -> np.ndarray:
    return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp((mel - 15) * np.log(6.4) / 27))


@functools.cache
def _mel_bank() -> scipy.sparse.csr_array:
    """(40, 276) triangles from 0 to 11,025 Hz, each of area one (Slaney). Bin k lies at k * 22050 / 551 Hz, so the last
    at 11,005 Hz."""
    bins = np.arange(N_FFT // 2 + 1) * SAMPLE_RATE / N_FFT
    edges = _mel_to_hz(np.linspace(0, _hz_to_mel(np.array(SAMPLE_RATE / 2)), BANDS + 2))[:, None]
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    triangles = np.minimum((bins - low) / (centre - low), (high - bins) / (high - centre)).clip(min=0)
    # Sparse: a bin lies in two bands at most; and unlike a BLAS product the sum is in one order whatever the number of
    # threads.
    return scipy.sparse.csr_array(triangles * 2 / (high - low))


@functools.cache
def _hann() -> np.ndarray:
    return np.sin(np.pi * np.arange(N_FFT) / N_FFT) ** 2  # periodic


def log_mel(waveform: Tensor, sample_rate: int = SAMPLE_RATE) -> Tensor:
    """Log-mel features of one utterance, (T, 40), T = 1 + floor(n / 220).

    `waveform` (n,) is mono in [-1, 1]; a rate other than 22,050 Hz is
    resampled first. Computed in double precision: power STFT (551-sample
    periodic Hann window, hop 220, centred, reflect padding), 40 Slaney bands,
    ln(mel + 1e-6), then (x - mean) / (std + 1e-16) over time; float32.

    Source: released code, which calls librosa with the same filters. One
    difference (docs/differences.md): librosa pads 275 samples on either side
    of a window of 551, which gives 1 + floor((n - 1) / 220) frames, one fewer
    than here where 220 divides n.

    Raises BadInput for audio that is empty, not finite, silent, or shorter
    than the 16 frames (150 ms) that the encoder needs.
    """
    samples = at_22050(waveform, sample_rate, "the audio").numpy()
    # One sample more on the right than on the left: the last frame is
    # centred on sample 220 * floor(n / 220), which is n where 220 divides n.
    ends = (N_FFT // 2, N_FFT // 2 + 1)
    padded = np.pad(samples.astype(np.float64), ends, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[::HOP]
    bands = []
    # At most 256 frames at a time, which stay in the cache; with many small
    # parts the threads of `log_mels` would wait for one another.
    for part in np.array_split(frames, math.ceil(len(frames) / 256)):
        # At this odd length scipy's is faster than torch.stft.
        spectrum = scipy.fft.rfft(part * _hann())  # (256, 276)
        power = spectrum.real**2 + spectrum.imag**2
        bands.append(_mel_bank() @ power.T)
    mel = np.log(np.concatenate(bands, axis=1) + 1e-6)  # (40, T)
    mean, std = mel.mean(1, keepdims=True), mel.std(1, keepdims=True)
    mel = (mel - mean) / (std + 1e-16)
    return torch.from_numpy(mel.T.astype(np.float32, order="C"))


def log_mels(waveforms: list[Tensor], sample_rate: int = SAMPLE_RATE) -> list[Tensor]:
    """`log_mel` of each waveform (n_i,), on as many threads as torch may use: bit-equal to one call after the other.

    Returns (T_i, 40) float32 of each. Raises BadInput as `log_mel`. Where processes share the work already, as in
    `data.build.build_store`, it gains nothing.
    """
    if torch.get_num_threads() == 1:
        return [log_mel(waveform, sample_rate) for waveform in waveforms]
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:  # FFTs and sums run without the interpreter's lock
        return list(pool.map(functools.partial(log_mel, sample_rate=sample_rate), waveforms))
