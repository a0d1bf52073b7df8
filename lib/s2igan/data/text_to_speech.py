"""Text-to-speech: captions spoken by one of several engines."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from s2igan import BadInput
from s2igan.data.audio import at_22050
from s2igan.data.espeak import check_espeak_voice, speak_espeak

ENGINES = ("espeak", "tacotron2")
# Tacotron 2 has one American speaker (LJSpeech) and two ways from its spectrogram to a waveform.
TACOTRON2_VOICES = {"en-us": "TACOTRON2_WAVERNN_CHAR_LJSPEECH", "en-us-griffinlim": "TACOTRON2_GRIFFINLIM_CHAR_LJSPEECH"}


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
    return _tacotron2(texts, voice) if engine == "tacotron2" else speak_espeak(texts, voice, words_per_minute)


def check_voice(voice: str, engine: str = "espeak") -> None:
    """Raises BadInput, listing the voices that there are, if `engine` has no `voice`."""
    if engine == "tacotron2":
        if voice not in TACOTRON2_VOICES:
            raise BadInput(f"voice {voice!r} does not exist: tacotron2 has {', '.join(TACOTRON2_VOICES)}")
        return
    check_espeak_voice(voice)


@functools.cache
def _tacotron2_networks(voice: str) -> tuple:
    """Text processor, Tacotron 2 and vocoder of a voice, on the GPU if there is one."""

    import torchaudio  # costs a second: only where it is needed

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
        waveforms[place] = at_22050(audio[row, : int(ends[row])], vocoder.sample_rate, name).clamp(-1, 1)
    return waveforms
