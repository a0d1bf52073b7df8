"""Log-mel features against their written definition; spoken captions and recordings."""

import functools
import hashlib
import subprocess
import sys
import time
import types
import urllib.error
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psutil
import pytest
import soundfile
import torch
import torchaudio

from s2igan import BadInput, config, speech
from s2igan.data import espeak, tacotron2
from s2igan.data.audio import read_audio, with_noise
from s2igan.data.espeak import espeak_voices
from s2igan.data.text_to_speech import ENGINES, Engine, speak
from s2igan.speech import log_mel

TEXTS = ["a small bird with a red crown", "this flower has five yellow petals"]
VOICES = ("en-us", "en-gb", "en-gb-scotland", "en-us+f3", "en-gb+f4", "en-us+whisper", "en-gb+caleb")


def noise(n: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(n, generator=torch.Generator().manual_seed(seed)) - 0.5


def digest(waveforms: list[torch.Tensor]) -> list[str]:
    return [hashlib.sha256(waveform.numpy().tobytes()).hexdigest() for waveform in waveforms]


def slaney_bank() -> np.ndarray:
    """(40, 276), band by band and bin by bin from the formula."""
    step = np.log(6.4) / 27
    top = 15 + np.log(11025 / 1000) / step
    mels = [top * i / 41 for i in range(42)]
    hertz = [m * 200 / 3 if m < 15 else 1000 * np.exp(step * (m - 15)) for m in mels]
    bank = np.zeros((40, 276))
    for band in range(40):
        low, centre, high = hertz[band : band + 3]
        for k in range(276):
            f = k * 22050 / 551
            if low < f <= centre:
                bank[band, k] = (f - low) / (centre - low)
            elif centre < f < high:
                bank[band, k] = (high - f) / (high - centre)
        bank[band] *= 2 / (high - low)
    return bank


def defined(x: np.ndarray) -> np.ndarray:
    """The definition written out: every frame's DFT as a sum, in double precision."""
    k, m = np.arange(276)[:, None], np.arange(551)
    dft = np.exp(-2j * np.pi * k * m / 551) * (0.5 - 0.5 * np.cos(2 * np.pi * m / 551))
    n = len(x)
    frames = []
    for t in range(1 + n // 220):
        at = np.abs(np.arange(220 * t - 275, 220 * t + 276))  # reflected at the start
        at = np.where(at > n - 1, 2 * (n - 1) - at, at)  # and at the end
        frames.append(np.log(slaney_bank() @ np.abs(dft @ x[at]) ** 2 + 1e-6))
    mel = np.array(frames)
    return (mel - mel.mean(0)) / (mel.std(0) + 1e-16)


def test_noise_lies_as_far_below_the_voice_as_was_asked():
    voice = torch.sin(torch.arange(22_050) * 0.3) * 0.5
    noise = with_noise(voice, 6.0, seed=3) - voice
    assert 10 * torch.log10(voice.square().mean() / noise.square().mean()) == pytest.approx(6.0, abs=0.2)
    assert torch.equal(with_noise(voice, 6.0, seed=3), voice + noise)
    assert not torch.equal(with_noise(voice, 6.0, seed=4), voice + noise)


@pytest.mark.parametrize("n", [3300, 4001, 11000])  # the shortest; any; a multiple of the hop
def test_log_mel_is_the_definition(n):
    x = noise(n) * torch.linspace(0, 1, n) ** 4  # from silence, where ln(mel + 1e-6) matters, to loud
    mel = log_mel(x)
    assert mel.dtype == torch.float32 and mel.shape == (1 + n // 220, 40)
    np.testing.assert_allclose(mel, defined(x.double().numpy()), atol=1e-5)


def test_log_mel_agrees_with_torch_stft_on_speech():
    (x,) = speak(TEXTS[:1])
    assert len(x) % 220  # where it divides, torch.stft makes one frame fewer than the definition
    window = torch.hann_window(551, dtype=torch.float64)
    power = (
        torch.stft(x.double(), 551, 220, 551, window, center=True, pad_mode="reflect", return_complex=True).abs() ** 2
    )
    mel = torch.log(torch.from_numpy(slaney_bank()) @ power + 1e-6)
    mel = (mel - mel.mean(1, keepdim=True)) / (mel.std(1, correction=0, keepdim=True) + 1e-16)
    torch.testing.assert_close(log_mel(x), mel.T.float(), atol=1e-4, rtol=0)


def test_log_mels_of_a_batch_are_those_of_each(monkeypatch):
    waveforms = [noise(n, seed=n) for n in (4000, 9000, 22050, 5000)]
    for threads in (1, 2):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        together = speech.log_mels(waveforms)
        assert all(torch.equal(a, log_mel(b)) for a, b in zip(together, waveforms, strict=True))
        with pytest.raises(BadInput, match="silent"):
            speech.log_mels([*waveforms, torch.zeros(9000)])


def test_other_rates_are_resampled_first():
    x, mel = noise(16_000), log_mel(noise(16_000), 16_000)
    torch.testing.assert_close(mel, log_mel(torchaudio.functional.resample(x, 16_000, 22_050)))
    assert len(mel) == 1 + 22_050 // 220


@pytest.mark.parametrize(
    ("waveform", "line"),
    [
        (torch.zeros(0), "empty"),
        (torch.zeros(22_050), "silent"),
        (torch.full((22_050,), 0.25), "silent"),
        (noise(3299), "too short.*at least 150 ms"),
        (noise(5000).index_fill(0, torch.tensor([7]), float("nan")), "not finite"),
        (torch.zeros(2, 22_050), "one row of floats"),
        (torch.zeros(22_050, dtype=torch.int16), "one row of floats"),
    ],
)
def test_useless_audio_is_refused(waveform, line):
    with pytest.raises(BadInput, match=line):
        log_mel(waveform)


@pytest.mark.parametrize("voice", VOICES)
def test_speech_does_not_depend_on_what_came_before(voice):
    first = digest(speak(TEXTS, voice))
    speak(["something else in between"], "en-us+croak")
    torch.rand(1)
    assert digest(speak(TEXTS[::-1], voice))[::-1] == first
    assert len(set(first)) == 2


def test_speech_is_the_same_in_another_process():
    program = (
        "import sys, hashlib; from s2igan.speech import speak\n"
        "for voice in sys.argv[:1:-1]:\n"
        "    print(hashlib.sha256(speak([sys.argv[1]], voice)[0].numpy().tobytes()).hexdigest())"
    )
    command = [sys.executable, "-c", program, TEXTS[0], *VOICES]
    there = subprocess.run(
        command, capture_output=True, text=True, check=True
    ).stdout.split()  # the voices last to first
    assert there[::-1] == [d for voice in VOICES for d in digest(speak(TEXTS[:1], voice))]


def run(program: str) -> list[str]:
    """The lines that a program prints."""
    command = [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.split()


def test_a_forked_process_speaks_as_its_parent_does():
    lines = run(
        f"""if 1:
        import hashlib, os
        from s2igan.speech import speak

        def digest(text):
            return hashlib.sha256(speak([text])[0].numpy().tobytes()).hexdigest()

        digest("the process of this voice runs before the fork")
        child = os.fork()
        for _ in range(20):  # both at a time
            os.write(1, (digest({TEXTS[0]!r}) + "\\n").encode())
        if child:
            os.waitpid(child, 0)
        """
    )
    assert lines == digest(speak(TEXTS[:1])) * 40


def test_espeak_ends_with_the_process_that_asked():
    for end in ("sys.exit()", "os._exit(0)", "os.kill(os.getpid(), signal.SIGKILL)"):
        command = [sys.executable, "-c", f"""if 1:
            import os, signal, sys
            from s2igan.data.espeak import _voice, speak
            speak(["a bird"], "en-us", 230)
            print(_voice("gmw/en-US").process.pid, flush=True)
            {end}"""]  # fmt: skip
        pid = int(subprocess.run(command, capture_output=True, text=True, timeout=60).stdout)
        deadline = time.monotonic() + 20
        while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < deadline, end
            time.sleep(0.02)


def test_an_interrupted_sentence_does_not_reach_the_next_one(monkeypatch):
    expected = digest(speak(TEXTS))

    def interrupt(pipe, size):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(espeak, "_read", interrupt)
        with pytest.raises(KeyboardInterrupt):
            speak(["something else"])
    assert digest(speak(TEXTS)) == expected
    espeak._voice("gmw/en-US").process.kill()
    with pytest.raises(RuntimeError, match="espeak-ng's process ended while it spoke 'a bird'"):
        speak(["a bird"])
    assert digest(speak(TEXTS)) == expected


def test_many_voices_leave_few_processes():
    variants = espeak_voices()[1][: espeak.MOST_PROCESSES + 3]
    for variant in variants:
        speak(["a bird"], f"en-us+{variant}")
    mine = [process.cmdline() for process in psutil.Process().children()]
    assert sum(any(part.endswith("espeak_process.py") for part in line) for line in mine) == espeak.MOST_PROCESSES


def test_threads_speak_one_after_the_other():
    texts = [f"{text}, number {k}" for k in range(8) for text in TEXTS]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda text: speak([text])[0], texts))
    assert digest(together) == digest(speak(texts))


def test_config_knows_every_engine_and_a_voice_of_each():
    assert set(config.ENGINE_VOICES) == set(ENGINES)
    for engine, voices in config.ENGINE_VOICES.items():
        for voice in voices:
            ENGINES[engine].check_voice(voice)


def test_another_engine_is_one_row(monkeypatch):
    def tone(texts: list[str], voice: str, words_per_minute: int) -> list[torch.Tensor]:
        return [torch.sin(torch.arange(9000) * 0.01 * len(text)) for text in texts]

    monkeypatch.setitem(ENGINES, "tone", Engine(tone, lambda voice: None, at_once=False))
    assert torch.equal(speak(TEXTS, "any", "tone")[1], tone(TEXTS, "", 0)[1])


def test_speech_is_speech():
    waveforms = [speak(TEXTS[:1], voice)[0] for voice in VOICES]
    for waveform in waveforms:
        assert waveform.dtype == torch.float32 and waveform.ndim == 1
        assert 1 < len(waveform) / 22_050 < 4  # six words
        assert 0.1 < waveform.abs().max() <= 1
    assert len(set(digest(waveforms))) == len(VOICES)
    slow, fast = (speak(TEXTS[:1], words_per_minute=rate)[0] for rate in (120, 300))
    assert len(slow) > 1.5 * len(fast)
    assert speak([]) == []


def test_language_codes_find_their_voice():
    languages, variants = espeak_voices()
    assert languages["en-gb"] == languages["en"] == "gmw/en" and "f3" in variants
    assert digest(speak(TEXTS[:1], "EN-GB")) == digest(speak(TEXTS[:1], "en"))


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({"texts": ["a"], "engine": "festival"}, "'festival' does not exist.*espeak, tacotron2"),
        ({"texts": ["a"], "voice": "en-uk"}, "'en-uk' does not exist.*en-gb, "),
        ({"texts": ["a"], "voice": "en-us+f9"}, "'en-us\\+f9' does not exist.*f1, f2, "),
        ({"texts": ["a"], "voice": "en-gb", "engine": "tacotron2"}, "tacotron2 has en-us"),
        ({"texts": ["a"], "words_per_minute": 20}, "between 80 and 450"),
        ({"texts": ["good", " ...\0\x01\x1b "]}, "nothing to speak"),
        ({"texts": ["a \udcff bird"]}, "is not UTF-8"),
        ({"texts": ["bird " * 2000]}, "'bird .*'\\.\\.\\. has 9,999 characters: give a sentence, 5,000 at most"),
    ],
)
def test_speak_refuses(arguments, line):
    with pytest.raises(BadInput, match=line):
        speak(**arguments)


def test_a_text_is_read_as_text_and_not_as_commands():
    assert len({x.numpy().tobytes() for x in speak(["a red bird", "a \x01 red\0\n\tbird", "a\x85red bird"])}) == 1
    bird, spelled, tagged, waited = map(len, speak(["bird", "[[b'3:d]]", "<b>bird</b>", 'a <break time="9s"/> bird']))
    assert bird < spelled / 1.5 and bird < tagged / 1.5 and waited < 5 * speech.SAMPLE_RATE


def test_tacotron2_without_its_weights_says_where_they_go(monkeypatch):
    def offline():
        raise urllib.error.URLError("no route to host")

    bundle = types.SimpleNamespace(get_tacotron2=offline)
    monkeypatch.setattr(torchaudio.pipelines, "TACOTRON2_WAVERNN_CHAR_LJSPEECH", bundle)
    with pytest.raises(BadInput, match=r"download\.pytorch\.org.*checkpoints.*no route to host.*espeak"):
        speak(["a bird"], engine="tacotron2")


@pytest.mark.filterwarnings("ignore:Reached max decoder steps")
def test_tacotron2_speaks_a_list_at_once(monkeypatch):
    real = torchaudio.pipelines.TACOTRON2_GRIFFINLIM_CHAR_LJSPEECH

    def untrained():  # the true network but for its weights: it never says that it has ended
        torch.manual_seed(1)
        network = torchaudio.models.Tacotron2(n_symbol=38, decoder_max_step=40)
        torch.nn.init.constant_(network.decoder.gate_layer.bias, -9)
        return network

    bundle = types.SimpleNamespace(
        get_tacotron2=untrained, get_vocoder=real.get_vocoder, get_text_processor=real.get_text_processor
    )
    monkeypatch.setattr(torchaudio.pipelines, "TACOTRON2_GRIFFINLIM_CHAR_LJSPEECH", bundle)
    monkeypatch.setattr(tacotron2, "_networks", functools.cache(tacotron2._networks.__wrapped__))
    short, long = speak(["a bird", "a blue bird with a long tail"], "en-us-griffinlim", "tacotron2")
    assert short.shape == long.shape and len(long) > 9000 and long.abs().max() <= 1  # 40 frames each
    assert not torch.equal(short, long)
    again = speak(["a bird", "a blue bird with a long tail"], "en-us-griffinlim", "tacotron2")
    assert torch.equal(again[0], short) and torch.equal(again[1], long)
    turned = speak(
        ["a blue bird with a long tail", "a bird"], "en-us-griffinlim", "tacotron2"
    )  # the longest goes first anyway
    assert torch.equal(turned[0], long) and torch.equal(turned[1], short)


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg"])
def test_recordings_become_mono_22050(tmp_path, ending):
    time = np.arange(44_100) / 44_100
    left, right = 0.4 * np.sin(2 * np.pi * 440 * time), 0.2 * np.sin(2 * np.pi * 440 * time)
    soundfile.write(tmp_path / f"a.{ending}", np.stack([left, right], 1), 44_100)
    waveform = read_audio(tmp_path / f"a.{ending}")
    assert waveform.dtype == torch.float32 and waveform.shape == (22_050,)
    mixed = 0.3 * torch.sin(2 * torch.pi * 440 * torch.arange(22_050) / 22_050)
    error = (waveform - mixed)[1000:-1000].abs().max()
    assert error < (0.05 if ending == "ogg" else 1e-3)


def test_a_wav_at_22050_is_read_as_it_is(tmp_path):
    x = (noise(5000) * 32768).round() / 32768
    soundfile.write(tmp_path / "a.wav", x.numpy(), 22_050)
    torch.testing.assert_close(read_audio(tmp_path / "a.wav"), x, atol=0, rtol=0)


def test_useless_recordings_are_named(tmp_path):
    for name, samples in {"empty": np.zeros(0), "silent": np.zeros(9000), "too short": np.ones(1000)}.items():
        soundfile.write(tmp_path / f"{name}.wav", samples, 22_050)
        with pytest.raises(BadInput, match=f"{name}.wav is {name}"):
            read_audio(tmp_path / f"{name}.wav")
    (tmp_path / "zero.wav").touch()
    (tmp_path / "text.flac").write_text("no audio")
    with pytest.raises(BadInput, match=r"zero.wav is empty: it has zero bytes"):
        read_audio(tmp_path / "zero.wav")
    with pytest.raises(BadInput, match=r"text.flac cannot be read"):
        read_audio(tmp_path / "text.flac")
    with pytest.raises(BadInput, match=r"none.wav does not exist"):
        read_audio(tmp_path / "none.wav")
