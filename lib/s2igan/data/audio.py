"""Recordings as waveforms: mono, 22,050 Hz, float32 in [-1, 1]."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import Tensor

from s2igan import BadInput
from s2igan.data.audio_header import SLACK, AudioHeader, read_header

SAMPLE_RATE = 22_050  # Hz
HOP = 220  # samples: 10 ms
MIN_FRAMES = 16  # the speech encoder's two convolutions (kernel 6, stride 2) need that many
MIN_SAMPLES = (MIN_FRAMES - 1) * HOP
SILENCE = 1e-4  # amplitude (-80 dB), the root of the mean square around the mean, below which audio counts as silent
LOUDEST = 16.0  # of floats, whose full scale is 1 and which some programs exceed: larger ones count in another scale
RATES = (4_000, 192_000)  # Hz, of a recording
MOST_CHANNELS = 8
LONGEST = 60  # seconds of a recording; a caption takes about three
UNSTATED = 2**40  # samples: libsndfile says more for a FLAC that does not state how many it has
PART = 1 << 16  # samples that are read at once
LARGEST_KERNEL = 2**20  # numbers; torchaudio's grows with the product of the rates over their common divisor


def check_rate(sample_rate: int, name: str) -> None:
    """Raises BadInput, a line that starts with `name`, for a rate in Hz outside of `RATES`."""
    if not RATES[0] <= sample_rate <= RATES[1]:
        raise BadInput(f"{name} has a sample rate of {sample_rate} Hz: it must be from {RATES[0]} to {RATES[1]} Hz")


def check_length(seconds: float, name: str) -> None:
    """Raises BadInput, a line that starts with `name`, for more than `LONGEST` seconds."""
    if seconds > LONGEST:
        raise BadInput(f"{name} lasts {seconds:.0f} s: use one of a few seconds, {LONGEST} at most")


def at_22050(waveform: Tensor, sample_rate: int, name: str) -> Tensor:
    """`waveform` (n,), floats in [-1, 1] at any rate in Hz, as float32 at 22,050 Hz.

    Raises BadInput, a line that starts with `name`, for audio that is empty, silent, not finite, louder than `LOUDEST`,
    or too short (150 ms), and for a rate outside of `RATES`.
    """
    waveform = torch.as_tensor(waveform).detach().cpu()
    if waveform.ndim != 1 or not waveform.is_floating_point():
        raise BadInput(
            f"{name} must be one row of floats in [-1, 1], not {waveform.dtype} of shape {tuple(waveform.shape)}"
        )
    check_rate(sample_rate, name)
    if waveform.numel() == 0:
        raise BadInput(f"{name} is empty: it has no samples")
    waveform = waveform.float()
    # numpy's isfinite: `log_mels` calls this on several threads, and torch would start more in each.
    if not np.isfinite(waveform.numpy()).all():
        raise BadInput(f"{name} has samples that are not finite numbers")
    if waveform.numel() * SAMPLE_RATE <= (MIN_SAMPLES - 1) * sample_rate:
        milliseconds, shortest = waveform.numel() * 1000 / sample_rate, math.ceil(MIN_SAMPLES * 1000 / SAMPLE_RATE)
        raise BadInput(
            f"{name} is too short: {milliseconds:.0f} ms, and the speech encoder needs at least {shortest} ms"
        )
    if (loudest := float(np.abs(waveform.numpy()).max())) > LOUDEST:
        raise BadInput(
            f"{name} has samples of up to {loudest:.0f}, where floats lie in [-1, 1]: divide them by their full scale, "
            "32768 for 16 bits, or save it with 16 bits"
        )
    _check_sound(waveform, name)  # before resampling, which turns the ends of a constant into sound
    if sample_rate != SAMPLE_RATE:
        waveform = _resampled(waveform, sample_rate)
        _check_sound(waveform, name)  # again: what was above half of the new rate is gone
    return waveform


def _check_sound(waveform: Tensor, name: str) -> None:
    """Raises BadInput, a line that starts with `name`, for a constant and for the noise of a microphone that is off."""
    if waveform.numpy().std(dtype=np.float64) < SILENCE:
        raise BadInput(f"{name} is silent: was the microphone off? Around its mean its samples are below {SILENCE}")


def _resampled(waveform: Tensor, sample_rate: int) -> Tensor:
    """`waveform` (n,) at 22,050 Hz, ceil(n * 22050 / sample_rate) samples."""
    common = math.gcd(sample_rate, SAMPLE_RATE)
    up, down = SAMPLE_RATE // common, sample_rate // common
    if up * down <= LARGEST_KERNEL:
        import torchaudio  # costs a second: only where it is needed

        return torchaudio.functional.resample(waveform, sample_rate, SAMPLE_RATE)
    import scipy.signal  # its filter has 20 * max(up, down) numbers: such as 44,056 Hz needs a gigabyte there

    return torch.from_numpy(scipy.signal.resample_poly(waveform.numpy(), up, down))


def checked_header(path: str | Path) -> AudioHeader:
    """The header of a recording. Raises BadInput as `read_header`, and for a rate outside of `RATES`, more channels
    than `MOST_CHANNELS`, and a length that it states above `LONGEST` or below 150 ms."""
    name, header = f"audio file {path}", read_header(path)
    check_rate(header.sample_rate, name)
    if header.channels > MOST_CHANNELS:
        raise BadInput(f"{name} has {header.channels} channels: it must have {MOST_CHANNELS} at most")
    if header.seconds == 0:
        raise BadInput(f"{name} is empty: it has no samples")
    if header.seconds is not None:
        check_length(header.seconds, name)
    return header


def read_audio(path: str | Path) -> Tensor:
    """A recording (wav, flac or ogg) as (n,) float32 in [-1, 1] at 22,050 Hz, its channels averaged.

    Raises BadInput naming the file where it is missing, unreadable, cut, longer than `LONGEST`, of a rate outside of
    `RATES`, of more than `MOST_CHANNELS`, whose channels cancel, and as `at_22050`.
    """
    name, header = f"audio file {path}", checked_header(path)
    try:
        with _opened(path, header.zero_at) as file:
            samples, rate, stated = _mixed(file, name), file.samplerate, file.frames
    except BadInput:
        raise
    except (soundfile.SoundFileError, OSError, ValueError, RuntimeError) as error:
        reason = str(getattr(error, "error_string", error)).splitlines()[0]
        raise BadInput(f"{name} cannot be read as wav, flac or ogg: {reason}") from None
    if SLACK * rate < stated - len(samples) < UNSTATED:
        seconds, there = stated / rate, len(samples) / rate
        raise BadInput(f"{name} is cut or damaged: its header states {seconds:.2f} s of sound, {there:.2f} s are there")
    return at_22050(torch.from_numpy(samples), rate, name)


@contextmanager
def _opened(path: str | Path, zero_at: int | None) -> Iterator[soundfile.SoundFile]:
    """A recording for libsndfile; `zero_at` as in `AudioHeader`."""
    with open(path, "rb") as file:
        source: int | io.BytesIO = file.fileno()  # not the name, whose ending libsndfile would believe
        if zero_at:  # libsndfile takes zero literally, but reads to the end where the size is the largest number
            source = io.BytesIO(file.read(zero_at) + b"\xff" * 4 + file.read()[4:])
        with soundfile.SoundFile(source, closefd=False) as sound:
            yield sound


def _mixed(file: soundfile.SoundFile, name: str) -> np.ndarray:
    """(n,) float32, the mean of the channels, read in parts: the memory is that of one channel.

    Raises BadInput, a line that starts with `name`, for more than `LONGEST` seconds and channels that cancel.
    """
    parts, power, most = [], np.zeros(1), LONGEST * file.samplerate + 1
    with np.errstate(all="ignore"):  # of samples that are not finite; `at_22050` refuses them
        while most and len(part := file.read(min(PART, most), "float32", always_2d=True)):
            parts.append(part.mean(1))
            power = power + np.square(part, dtype=np.float64).sum(0)
            most -= len(part)
        check_length(0 if most else LONGEST + 1, name)
        samples = np.concatenate(parts) if parts else np.zeros(0, np.float32)
        # Of eight channels of which one sounds, the mean has an eighth of its amplitude; here not a tenth is left.
        left, loudest = np.sqrt([np.square(samples, dtype=np.float64).sum(), power.max()]) / max(1, len(samples)) ** 0.5
    if file.channels > 1 and np.isfinite(loudest) and loudest > SILENCE and left < loudest / 10:
        raise BadInput(
            f"{name} has channels that cancel when they are averaged: keep one of them, such as with: "
            "ffmpeg -i in.wav -af pan='mono|c0=c0' out.wav"
        )
    return samples


def with_noise(waveform: Tensor, decibels: float, seed: int) -> Tensor:
    """`waveform` (n,) plus white noise whose power is `decibels` below its power; the noise follows from `seed`."""
    noise = torch.randn(len(waveform), generator=torch.Generator().manual_seed(seed))
    return waveform + noise * waveform.square().mean().sqrt() * 10 ** (-decibels / 20)
