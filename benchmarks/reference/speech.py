"""Log-mel, frame by frame."""

from __future__ import annotations

import math

import numpy as np


def mel_bank(bands: int = 40, n_fft: int = 551, rate: int = 22_050) -> np.ndarray:
    """(bands, n_fft // 2 + 1) triangles of area one on Slaney's scale, 0 to rate / 2."""

    def to_mel(hz: float) -> float:
        return 3 * hz / 200 if hz < 1000 else 15 + 27 * math.log(hz / 1000) / math.log(6.4)

    def to_hz(mel: float) -> float:
        return 200 * mel / 3 if mel < 15 else 1000 * math.exp((mel - 15) * math.log(6.4) / 27)

    edges = [to_hz(to_mel(rate / 2) * i / (bands + 1)) for i in range(bands + 2)]
    bank = np.zeros((bands, n_fft // 2 + 1))
    for band, (low, centre, high) in enumerate(zip(edges, edges[1:], edges[2:], strict=False)):
        for k in range(bank.shape[1]):
            hz = k * rate / n_fft
            bank[band, k] = max(0.0, min((hz - low) / (centre - low), (high - hz) / (high - centre))) * 2 / (high - low)
    return bank


def log_mel(samples: np.ndarray, bank: np.ndarray) -> np.ndarray:
    """(n,) samples at 22,050 Hz -> (T, 40), frame by frame: power spectrum of 551 samples under a Hann window each 220,
    reflected at the ends; mel bands; ln(. + 1e-6); zero mean and unit standard deviation a band.
    """
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(551) / 551)
    around = np.pad(samples.astype(np.float64), 276, mode="reflect")[1:]  # 275 samples before, 276 behind
    frames = []
    for t in range(1 + len(samples) // 220):
        spectrum = np.fft.rfft(window * around[220 * t : 220 * t + 551])
        frames.append(np.log(bank @ np.abs(spectrum) ** 2 + 1e-6))
    mel = np.stack(frames)
    return (mel - mel.mean(0)) / (mel.std(0) + 1e-16)
