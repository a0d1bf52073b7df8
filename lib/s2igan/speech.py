"""Speech: log-mel features, spoken captions (espeak-ng, Tacotron 2) and recordings read from files.

Every waveform is mono, 22,050 Hz, float32 in [-1, 1]; every feature is a log-mel of 40 bands, one frame each 10 ms.
"""

from __future__ import annotations

import _ctypes
import ctypes
import difflib
import functools
import math
import multiprocessing.util
import shutil
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import scipy.fft
import scipy.sparse
import torch
from torch import Tensor

from s2igan import BadInput

SAMPLE_RATE = 22_050  # Hz
N_FFT = 551  # samples: 25 ms, also the length of the window
HOP = 220  # samples: 10 ms
BANDS = 40
MIN_FRAMES = 16  # the speech encoder's two convolutions (kernel 6, stride 2) need that many
MIN_SAMPLES = (MIN_FRAMES - 1) * HOP
SILENCE = 1e-4  # peak-to-peak amplitude (-80 dB) below which audio counts as silent

ENGINES = ("espeak", "tacotron2")
# Tacotron 2 has one American speaker (LJSpeech) and two ways from its spectrogram to a waveform.
TACOTRON2_VOICES = {"en-us": "TACOTRON2_WAVERNN_CHAR_LJSPEECH", "en-us-griffinlim": "TACOTRON2_GRIFFINLIM_CHAR_LJSPEECH"}


# --- features ---


def _hz_to_mel(hz: np.ndarray) -> np.ndarray:
    """Slaney's scale: linear below 1,000 Hz (200/3 Hz a mel), above it 27 mels for each factor of 6.4."""
    return np.where(hz < 1000, hz * 3 / 200, 15 + 27 * np.log(np.maximum(hz, 1000) / 1000) / np.log(6.4))


def _mel_to_hz(mel: np.ndarray) -> np.ndarray:
    return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp((mel - 15) * np.log(6.4) / 27))


@functools.cache
def _mel_bank() -> scipy.sparse.csr_array:
    """(40, 276) triangles from 0 to 11,025 Hz, each of area one (Slaney). Bin k lies at k * 22050 / 551 Hz, so the last at 11,005 Hz."""
    bins = np.arange(N_FFT // 2 + 1) * SAMPLE_RATE / N_FFT
    edges = _mel_to_hz(np.linspace(0, _hz_to_mel(np.array(SAMPLE_RATE / 2)), BANDS + 2))[:, None]
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    triangles = np.minimum((bins - low) / (centre - low), (high - bins) / (high - centre)).clip(min=0)
    # Sparse: a bin lies in two bands at most; and unlike a BLAS product the sum is in one order whatever the number of threads.
    return scipy.sparse.csr_array(triangles * 2 / (high - low))


@functools.cache
def _hann() -> np.ndarray:
    return np.sin(np.pi * np.arange(N_FFT) / N_FFT) ** 2  # periodic


def log_mel(waveform: Tensor, sample_rate: int = SAMPLE_RATE) -> Tensor:
    """Log-mel features of one utterance, (T, 40) float32, zero mean and unit variance per band, T = 1 + floor(n / 220).

    `waveform` (n,) is mono in [-1, 1]; a rate other than 22,050 Hz is resampled first. Computed in double precision: power STFT
    (551-sample periodic Hann window, hop 220, centred, reflect padding), 40 Slaney bands, ln(mel + 1e-6), then
    (x - mean) / (std + 1e-16) over time. Source: released code, but for the filters, whose
    bins lie where they belong (README, "What differs from the authors' code").
    Raises BadInput for audio that is empty, not finite, silent, or shorter than the 16 frames (150 ms) that the encoder needs.
    """
    samples = _at_22050(waveform, sample_rate, "the audio").numpy().astype(np.float64)
    # One sample more on the right than on the left: the last frame is centred on sample 220 * floor(n / 220), which is n itself
    # where 220 divides n.
    padded = np.pad(samples, (N_FFT // 2, N_FFT // 2 + 1), mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[::HOP]  # (T, 551)
    bands = []
    # At most 256 at a time, which stay in the cache; with many small parts the threads of `log_mels` would wait for one another.
    for part in np.array_split(frames, math.ceil(len(frames) / 256)):
        spectrum = scipy.fft.rfft(part * _hann())  # (256, 276); at this odd length faster than torch.stft
        bands.append(_mel_bank() @ (spectrum.real**2 + spectrum.imag**2).T)
    mel = np.log(np.concatenate(bands, axis=1) + 1e-6)  # (40, T)
    mel = (mel - mel.mean(1, keepdims=True)) / (mel.std(1, keepdims=True) + 1e-16)
    return torch.from_numpy(mel.T.astype(np.float32, order="C"))


def log_mels(waveforms: list[Tensor], sample_rate: int = SAMPLE_RATE) -> list[Tensor]:
    """`log_mel` of each waveform, [log_mel(w) for w in waveforms], on as many threads as torch may use: equal to the last bit.

    Where processes share the work already, as in `data.build_store`, there is nothing to gain.
    """
    if torch.get_num_threads() == 1:
        return [log_mel(waveform, sample_rate) for waveform in waveforms]
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:  # FFTs and sums run without the interpreter's lock
        return list(pool.map(functools.partial(log_mel, sample_rate=sample_rate), waveforms))


def _at_22050(waveform: Tensor, sample_rate: int, name: str) -> Tensor:
    """`waveform` as float32 at 22,050 Hz, refused with a line that starts with `name` where no features can come of it."""
    waveform = torch.as_tensor(waveform).detach().cpu()
    if waveform.ndim != 1 or not waveform.is_floating_point():
        raise BadInput(f"{name} must be one row of floats in [-1, 1], not {waveform.dtype} of shape {tuple(waveform.shape)}")
    if sample_rate < 1:
        raise BadInput(f"{name} has a sample rate of {sample_rate} Hz: it must be positive")
    if waveform.numel() == 0:
        raise BadInput(f"{name} is empty: it has no samples")
    waveform = waveform.float()
    if not np.isfinite(waveform.numpy()).all():  # numpy's: `log_mels` calls this on several threads, and torch would start its own in each
        raise BadInput(f"{name} has samples that are not finite numbers")
    milliseconds = waveform.numel() * 1000 / sample_rate
    shortest = math.ceil(MIN_SAMPLES * 1000 / SAMPLE_RATE)
    if sample_rate != SAMPLE_RATE:
        import torchaudio  # costs a second: only where it is needed

        waveform = torchaudio.functional.resample(waveform, sample_rate, SAMPLE_RATE)
    if waveform.numel() < MIN_SAMPLES:
        raise BadInput(f"{name} is too short: {milliseconds:.0f} ms, and the speech encoder needs at least {shortest} ms")
    if np.ptp(waveform.numpy()) < SILENCE:
        raise BadInput(f"{name} is silent: its loudest sample differs from its quietest by less than {SILENCE}")
    return waveform


def read_audio(path: str | Path) -> Tensor:
    """A recording (wav, flac, ogg or whatever else libsndfile reads) as (n,) float32 at 22,050 Hz, its channels averaged.

    Raises BadInput naming the file where it is missing, unreadable, empty, silent, not finite, or shorter than 150 ms.
    """
    import soundfile

    if not Path(path).is_file():
        raise BadInput(f"audio file {path} does not exist")
    if Path(path).stat().st_size == 0:
        raise BadInput(f"audio file {path} is empty: it has zero bytes")
    try:
        samples, rate = soundfile.read(str(path), dtype="float32", always_2d=True)  # (n, channels)
    except (soundfile.SoundFileError, OSError) as error:
        raise BadInput(f"audio file {path} cannot be read as wav, flac or ogg: {str(error).splitlines()[0]}") from None
    return _at_22050(torch.from_numpy(samples.mean(1)), rate, f"audio file {path}")


def with_noise(waveform: Tensor, decibels: float, seed: int) -> Tensor:
    """`waveform` (n,) and white noise whose power lies `decibels` below the waveform's own; the noise follows from `seed`."""
    noise = torch.randn(len(waveform), generator=torch.Generator().manual_seed(seed))
    return waveform + noise * waveform.square().mean().sqrt() * 10 ** (-decibels / 20)


# --- speech synthesis ---


def speak(texts: list[str], voice: str = "en-us", engine: str = "espeak", words_per_minute: int = 230) -> list[Tensor]:
    """Each text spoken: a list of (n,) float32 in [-1, 1] at 22,050 Hz.

    `espeak`: espeak-ng, from the pip package espeakng-loader. `voice` is a language code (en-us, en-gb-scotland, fr-fr), or one and a
    variant (en-us+f3). The same text, voice and rate give the same samples, whatever was spoken before.
    `tacotron2`: torchaudio's pipeline, as the paper's authors used; its weights are downloaded at first use. `voice` is en-us (WaveRNN)
    or en-us-griffinlim; its rate of speech is fixed. It speaks all texts at once: the same list gives the same samples on one device, a
    text in other company others, as its dropout stays on.
    Raises BadInput for an engine or a voice that does not exist, a rate outside 80 to 450, and a text with nothing to pronounce.
    """
    if engine not in ENGINES:
        raise BadInput(f"speech engine {engine!r} does not exist: choose one of {', '.join(ENGINES)}")
    if not 80 <= words_per_minute <= 450:
        raise BadInput(f"words_per_minute is {words_per_minute}: it must lie between 80 and 450")
    texts = [" ".join(text.replace("\0", " ").split()) for text in texts]
    for text in texts:
        if not any(character.isalnum() for character in text):
            raise BadInput(f"there is nothing to speak in the text {text!r}")
    return _tacotron2(texts, voice) if engine == "tacotron2" else _espeak(texts, voice, words_per_minute)


@functools.cache
def espeak_voices() -> tuple[dict[str, str], list[str]]:
    """What espeak-ng brings: {language code: voice file below lang/} and the names of the variants."""
    import espeakng_loader

    data = Path(espeakng_loader.get_data_path())
    found: dict[str, tuple[int, str]] = {}
    for path in sorted(data.glob("lang/**/*")):
        for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
            word, *rest = line.split() or [""]
            if word == "language" and rest:  # language <code> [priority: a small number is preferred, 5 by default]
                entry = (int(rest[1]) if len(rest) > 1 else 5, path.relative_to(data / "lang").as_posix())
                found[rest[0].lower()] = min(entry, found.get(rest[0].lower(), entry))
    return {code: file for code, (_, file) in sorted(found.items())}, sorted(path.name for path in data.glob("voices/!v/*"))


def check_voice(voice: str, engine: str = "espeak") -> None:
    """Raises BadInput, listing the voices that there are, if `engine` has no `voice`."""
    if engine == "tacotron2":
        if voice not in TACOTRON2_VOICES:
            raise BadInput(f"voice {voice!r} does not exist: tacotron2 has {', '.join(TACOTRON2_VOICES)}")
        return
    languages, variants = espeak_voices()
    language, plus, variant = voice.partition("+")
    if language.lower() not in languages:
        near = difflib.get_close_matches(language.lower(), languages, n=1)
        hint = f", did you mean {near[0]!r}?" if near else ""
        raise BadInput(f"voice {voice!r} does not exist{hint} espeak-ng speaks {', '.join(languages)}")
    if plus and variant not in variants:
        raise BadInput(f"voice {voice!r} does not exist: the variants after the + are {', '.join(variants)}")


_SYNCHRONOUS, _DONT_EXIT, _UTF8, _RATE = 2, 0x8000, 1, 1  # constants of espeak-ng's speak_lib.h
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)  # samples, their number, events
_lock = threading.Lock()  # the library keeps its state in globals


@functools.cache
def _espeak_data() -> bytes:
    """A folder of links to espeak-ng's data, each voice file under its name in lower case.

    That is how the library looks for it; failing that it reads every voice file it has (3 ms, longer than it speaks). Besides, it cuts
    paths off at 160 characters, and this one is short. The folder goes when the process ends.
    """
    import espeakng_loader

    data, links = Path(espeakng_loader.get_data_path()), Path(tempfile.mkdtemp(prefix="espeak-ng-"))
    multiprocessing.util.Finalize(None, shutil.rmtree, (links, True), exitpriority=0)  # unlike atexit, also in worker processes
    for entry in data.iterdir():
        if entry.name != "lang":
            (links / entry.name).symlink_to(entry)
    for file in espeak_voices()[0].values():
        link = links / "lang" / file.lower()
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.exists():
            link.symlink_to(data / "lang" / file)
    return str(links).encode()


def _espeak(texts: list[str], voice: str, words_per_minute: int) -> list[Tensor]:
    import espeakng_loader

    check_voice(voice)
    language, plus, variant = voice.partition("+")
    name = (espeak_voices()[0][language.lower()] + plus + variant).encode()
    library, data, libc = espeakng_loader.get_library_path(), _espeak_data(), ctypes.CDLL(None)
    pieces: list[bytes] = []

    @_CALLBACK
    def receive(samples: int | None, count: int, _events: int | None) -> int:
        if samples and count > 0:
            pieces.append(ctypes.string_at(samples, 2 * count))
        return 0  # go on

    waveforms = []
    with _lock:
        for text in texts:
            # The pitch flutter, the gain control and the breath noise go on from one utterance to the next, and neither a new voice nor
            # espeak_Initialize resets them. A freshly loaded library starts from nothing, for 1 ms.
            espeak = ctypes.CDLL(library)
            rate = espeak.espeak_Initialize(_SYNCHRONOUS, 0, data, _DONT_EXIT)
            if rate != SAMPLE_RATE:
                raise RuntimeError(f"espeak-ng cannot start: espeak_Initialize returned {rate} instead of {SAMPLE_RATE}")
            espeak.espeak_ng_SetRandSeed(ctypes.c_long(1))  # breath noise; otherwise seeded with the time
            libc.srand(1)  # two of the variants draw from the C library's generator
            espeak.espeak_SetSynthCallback(receive)
            failed = espeak.espeak_SetVoiceByName(name)
            espeak.espeak_SetParameter(_RATE, words_per_minute, 0)
            spoken = text.encode()
            failed = failed or espeak.espeak_Synth(spoken, ctypes.c_size_t(len(spoken) + 1), 0, 0, 0, _UTF8, None, None)
            espeak.espeak_Terminate()
            _ctypes.dlclose(espeak._handle)
            samples = np.frombuffer(b"".join(pieces), np.int16)
            pieces.clear()
            if failed or np.ptp(samples) == 0:
                raise BadInput(f"espeak-ng's voice {voice!r} has nothing to say for the text {text!r}")
            waveforms.append(torch.from_numpy(samples.astype(np.float32) / 32768))
    return waveforms


@functools.cache
def _tacotron2_networks(voice: str) -> tuple:
    """Text processor, Tacotron 2 and vocoder of a voice, on the GPU if there is one."""
    import torchaudio

    bundle = getattr(torchaudio.pipelines, TACOTRON2_VOICES[voice])
    device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        tacotron2, vocoder = bundle.get_tacotron2().to(device).eval(), bundle.get_vocoder().to(device).eval()
    except (OSError, RuntimeError) as error:  # no network, or half a download
        raise BadInput(
            f"the weights of speech engine 'tacotron2' could not be fetched from download.pytorch.org into {torch.hub.get_dir()}"
            f"/checkpoints ({error}): connect once, copy that folder from another machine, or choose the engine 'espeak'"
        ) from None
    return bundle.get_text_processor(), tacotron2, vocoder, device


def _tacotron2(texts: list[str], voice: str) -> list[Tensor]:
    check_voice(voice, "tacotron2")
    process, tacotron2, vocoder, device = _tacotron2_networks(voice)
    tokens, lengths = process(texts)
    order = lengths.argsort(descending=True, stable=True)  # Tacotron 2 wants the longest first
    with torch.inference_mode(), torch.random.fork_rng():
        torch.manual_seed(0)  # Tacotron 2 keeps dropout on, WaveRNN samples
        spectrograms, lengths, _ = tacotron2.infer(tokens[order].to(device), lengths[order].to(device))
        audio, _ = vocoder(spectrograms, lengths)
    ends = (lengths * audio.shape[1] / spectrograms.shape[2]).round().int()  # in samples; Griffin-Lim's vocoder gives them in frames
    waveforms: list[Tensor] = [torch.empty(0)] * len(texts)
    for row, place in enumerate(order.tolist()):
        name = f"tacotron2's reading of {texts[place]!r}"
        waveforms[place] = _at_22050(audio[row, : int(ends[row])], vocoder.sample_rate, name).clamp(-1, 1)
    return waveforms
