"""Recordings as they come: headers that do not fit the file, odd rates, channels that cancel, other formats."""

import itertools
import struct
import tracemalloc

import numpy as np
import pytest
import soundfile
import torch
import torchaudio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from s2igan import BadInput
from s2igan.data.audio import LONGEST, RATES, SAMPLE_RATE, at_22050, read_audio
from s2igan.data.audio_header import read_header


def tone(seconds: float, rate: int, hertz: float = 440, amplitude: float = 0.4) -> np.ndarray:
    return amplitude * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)


def wav(path, seconds=1.0, rate=SAMPLE_RATE, **options):
    soundfile.write(path, tone(seconds, rate), rate, **options)
    return path


def replaced(path, at: int, number: int):
    content = bytearray(path.read_bytes())
    struct.pack_into("<I", content, at, number)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("ending", "encoding"),
    [("wav", "PCM_16"), ("wav", "PCM_24"), ("wav", "FLOAT"), ("wav", "ULAW"), ("wav", "IMA_ADPCM"), ("flac", "PCM_16"),
     ("ogg", "VORBIS"), ("ogg", "OPUS")],
)  # fmt: skip
@pytest.mark.parametrize("part", [0.5, 0.9])
def test_a_recording_that_is_cut_is_refused(tmp_path, ending, encoding, part):
    rate = 16_000 if encoding == "OPUS" else SAMPLE_RATE
    path = wav(tmp_path / f"a.{ending}", 2, rate, subtype=encoding)
    whole = read_audio(path)
    assert abs(len(whole) / SAMPLE_RATE - 2) < 0.05  # ADPCM fills its last block
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    with pytest.raises(BadInput, match=rf"audio file .*a\.{ending} .*(is cut|flac decoder lost sync)"):
        read_audio(path)


@pytest.mark.parametrize("size", [0, 0xFFFF_FFFF, 0x8000_0000, 0x7FFF_F000 - 36])
def test_a_wav_written_to_a_pipe_is_read_to_its_end(tmp_path, size):
    whole = read_audio(wav(tmp_path / "a.wav"))
    path = replaced(replaced(tmp_path / "a.wav", 4, min(size + 36, 0xFFFF_FFFF)), 40, size)  # ffmpeg, arecord, sox
    assert torch.equal(read_audio(path), whole)
    assert read_header(path).seconds == 1


def test_a_wav_may_have_chunks_and_padding_around_its_samples(tmp_path):
    content = wav(tmp_path / "a.wav").read_bytes()
    whole = read_audio(tmp_path / "a.wav")
    for before, after in (
        (b"LIST" + struct.pack("<I", 6) + b"INFOxy", b""), (b"", b"LIST" + struct.pack("<I", 4000) + bytes(4000)),
        (b"", bytes(4096)), (b"", b"ID3" + b"x" * 4000), (b"JUNK" + struct.pack("<I", 3) + b"abc\0", b""),
    ):  # fmt: skip
        (tmp_path / "b.wav").write_bytes(content[:12] + before + content[12:] + after)
        assert torch.equal(read_audio(tmp_path / "b.wav"), whole)


def test_sound_behind_the_end_that_a_wav_states_is_refused(tmp_path):
    content = wav(tmp_path / "a.wav").read_bytes()
    (tmp_path / "two.wav").write_bytes(content + content)
    with pytest.raises(BadInput, match=r"two.wav holds two recordings, one after the other"):
        read_audio(tmp_path / "two.wav")
    replaced(tmp_path / "a.wav", 40, 22_050)  # the first half second: a program that died while it recorded
    with pytest.raises(BadInput, match=r"a.wav has 0.50 s more sound than its header states"):
        read_audio(tmp_path / "a.wav")


@pytest.mark.parametrize("rate", [0, 1, 3999, 192_001, 2**31 - 1])
def test_odd_rates_are_refused(tmp_path, rate):
    path = replaced(wav(tmp_path / "a.wav"), 24, rate)
    with pytest.raises(BadInput, match=r"a.wav (has a sample rate of \d+ Hz: it must be from 4000 to|is damaged)"):
        read_audio(path)


@pytest.mark.parametrize("rate", [4001, 22_051, 44_056, 191_999])
def test_a_rate_without_a_common_divisor_takes_little_memory(tmp_path, rate, monkeypatch):
    monkeypatch.setattr(torchaudio.functional, "resample", None)  # takes gigabytes, which tracemalloc does not see
    tracemalloc.start()
    waveform = read_audio(wav(tmp_path / "a.wav", 2, rate))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200 * 2**20
    assert abs(len(waveform) - 2 * SAMPLE_RATE) <= 1
    expected = torch.from_numpy(tone(2, SAMPLE_RATE)).float()
    assert (waveform[1000:40_000] - expected[1000:40_000]).abs().max() < 2e-3


def test_a_long_recording_is_refused_before_it_is_read(tmp_path):
    with soundfile.SoundFile(tmp_path / "hour.wav", "w", 8000, 1, "PCM_U8") as file:
        for _ in range(60):
            file.write(np.zeros(60 * 8000))
    with pytest.raises(BadInput, match=rf"hour.wav lasts 3600 s: use one of a few seconds, {LONGEST} at most"):
        read_audio(tmp_path / "hour.wav")
    content = bytearray(wav(tmp_path / "a.flac", 61, 8000).read_bytes())
    content[21] &= 0xF0  # the length, in samples: 36 bits, here 0, which stands for unknown
    content[22:26] = bytes(4)
    (tmp_path / "a.flac").write_bytes(content)
    assert read_header(tmp_path / "a.flac").seconds is None
    with pytest.raises(BadInput, match=r"a.flac lasts 61 s"):
        read_audio(tmp_path / "a.flac")


def test_channels(tmp_path):
    left, noise = tone(1, SAMPLE_RATE), np.random.default_rng(0).normal(0, 0.001, SAMPLE_RATE)
    soundfile.write(tmp_path / "a.wav", np.stack([left, noise - left], 1), SAMPLE_RATE, "FLOAT")
    with pytest.raises(BadInput, match=r"a.wav has channels that cancel when they are averaged: keep one of them"):
        read_audio(tmp_path / "a.wav")
    one_of_eight = np.stack([left, *np.zeros((7, SAMPLE_RATE))], 1)
    soundfile.write(tmp_path / "b.wav", one_of_eight, SAMPLE_RATE, "FLOAT")
    assert np.allclose(read_audio(tmp_path / "b.wav"), left / 8, atol=1e-6)
    soundfile.write(tmp_path / "c.wav", np.zeros((SAMPLE_RATE, 9)), SAMPLE_RATE)
    with pytest.raises(BadInput, match=r"c.wav has 9 channels: it must have 8 at most"):
        read_audio(tmp_path / "c.wav")
    soundfile.write(tmp_path / "d.wav", np.zeros((SAMPLE_RATE, 2)), SAMPLE_RATE)
    with pytest.raises(BadInput, match=r"d.wav is silent"):
        read_audio(tmp_path / "d.wav")


@pytest.mark.parametrize(
    ("start", "line"),
    [
        (b"ID3\3", "is an MP3 recording, not WAV, FLAC or Ogg: convert it with: ffmpeg -i a.wav a-converted.wav"),
        (b"\xff\xfb\x90", "is an MP3 recording"),
        (b"\0\0\0\x1cftypM4A ", "is an M4A recording"),
        (b"\n <!DOCTYPE html>", "is an HTML page, not WAV, FLAC or Ogg: download it again"),
        (b"version https://git-lfs.github.com/spec/v1", "Git LFS pointer.*git lfs pull"),
        (b"\x1a\x45\xdf\xa3", "WebM"),
        (b"\0" * 50, "starts with zeros only"),
        (b"hello", "no WAV, FLAC or Ogg file, or damaged"),
        (b"RIFF....WAVE", "is cut or damaged"),
        (b"RIFF....AVI ", "is an AVI video"),
        (b"OggS", "is cut"),
        (b"fLaC", "is cut"),
    ],
)
def test_other_files_are_named(tmp_path, start, line):
    (tmp_path / "a.wav").write_bytes(start + (bytes(600) if not start.endswith(b"WAVE") and len(start) > 4 else b""))
    with pytest.raises(BadInput, match=line):
        read_audio(tmp_path / "a.wav")


def test_samples_that_are_no_numbers_are_refused(tmp_path):
    for number in (np.nan, np.inf):
        samples = np.where(np.arange(9000) == 4000, number, tone(1, 9000))
        soundfile.write(tmp_path / "a.wav", np.stack([samples, samples], 1), SAMPLE_RATE, "FLOAT")
        with pytest.raises(BadInput, match=r"a.wav has samples that are not finite"):
            read_audio(tmp_path / "a.wav")


@pytest.mark.parametrize("rate", [16_000, 22_050, 48_000])
def test_a_microphone_that_is_off_is_silent(tmp_path, rate):
    """Of a constant, resampling makes sound at both ends; noise of the last bit is louder after it than before."""
    rng = np.random.default_rng(0)
    for samples in (np.full(rate, 0.2), rng.integers(-1, 2, rate) / 2**15, 0.3 + rng.integers(-1, 2, rate) / 2**15):
        soundfile.write(tmp_path / "a.wav", samples, rate)
        with pytest.raises(BadInput, match=r"a.wav is silent"):
            read_audio(tmp_path / "a.wav")
    soundfile.write(tmp_path / "a.wav", 0.001 * np.sin(np.arange(rate)), rate)
    assert len(read_audio(tmp_path / "a.wav")) == SAMPLE_RATE


def test_floats_in_the_scale_of_whole_numbers_are_refused(tmp_path):
    loud = np.sin(np.arange(SAMPLE_RATE))
    soundfile.write(tmp_path / "a.wav", loud * 20_000, SAMPLE_RATE, "FLOAT")
    with pytest.raises(BadInput, match=r"a.wav has samples of up to 20000, .* divide them .* 32768 for 16 bits"):
        read_audio(tmp_path / "a.wav")
    soundfile.write(tmp_path / "a.wav", loud * 4, SAMPLE_RATE, "FLOAT")  # a programme that does not clip
    assert read_audio(tmp_path / "a.wav").max() > 3.9


def test_the_ending_of_the_name_does_not_matter(tmp_path):
    whole = read_audio(wav(tmp_path / "a.wav"))
    for name in ("a.flac", "a.raw", "a.mp3", "ä b", "a"):
        (tmp_path / name).write_bytes((tmp_path / "a.wav").read_bytes())
        assert torch.equal(read_audio(tmp_path / name), whole)


numbers = itertools.count()


@settings(deadline=None, max_examples=60, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seconds=st.floats(0.16, 3), rate=st.sampled_from([*RATES, 8000, 11_025, 16_000, 22_050, 44_056, 44_100, 48_000]),
    encoding=st.sampled_from(["PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"]), channels=st.integers(1, 8),
    amplitude=st.floats(0.01, 1), hertz=st.floats(100, 1200), ending=st.sampled_from(["wav", "flac", "rf64"]),
)  # fmt: skip
def test_any_tone_is_read_with_its_length_and_amplitude(
    tmp_path, seconds, rate, encoding, channels, amplitude, hertz, ending
):
    path = tmp_path / f"{next(numbers)}.{ending}"
    samples = tone(seconds, rate, hertz, amplitude)
    encoding = "PCM_16" if ending == "flac" else encoding
    soundfile.write(path, np.tile(samples[:, None], channels), rate, encoding, format=ending.upper())
    waveform = read_audio(path)
    path.unlink()
    assert abs(len(waveform) - len(samples) * SAMPLE_RATE / rate) <= 1
    inner = waveform[500:-500]  # without the ends, where the tone begins at once
    assert abs(inner.abs().max() - amplitude) < 0.03 * amplitude + 1e-3
    if len(inner) > 1000:
        assert abs(inner.square().mean().sqrt() * 2**0.5 - amplitude) < 0.06 * amplitude + 1e-3


def test_at_22050_refuses_odd_rates():
    for rate in (0, 1, -8000, 10**12):
        with pytest.raises(BadInput, match=r"x has a sample rate of"):
            at_22050(torch.ones(100), rate, "x")


@pytest.mark.parametrize(
    ("encoding", "error"),
    [("PCM_U8", 0.01), ("PCM_16", 1e-4), ("PCM_24", 1e-6), ("PCM_32", 1e-6), ("FLOAT", 1e-6), ("DOUBLE", 1e-6),
     ("ULAW", 0.03), ("ALAW", 0.03)],
)  # fmt: skip
def test_every_encoding_of_wav_is_read(encoding, error, tmp_path):
    found = read_audio(wav(tmp_path / "a.wav", subtype=encoding))
    assert np.abs(found.numpy() - tone(1.0, SAMPLE_RATE)).max() < error
