"""Tacotron 2, torchaudio's pipeline, as the paper's authors used: one American speaker (LJSpeech)."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from s2igan import BadInput
from s2igan.data.audio import at_22050

# Two ways from its spectrogram to a waveform.
VOICES = {"en-us": "TACOTRON2_WAVERNN_CHAR_LJSPEECH", "en-us-griffinlim": "TACOTRON2_GRIFFINLIM_CHAR_LJSPEECH"}


def check_voice(voice: str) -> None:
    """Raises BadInput, listing the voices that there are, if Tacotron 2 has no `voice`."""
    if voice not in VOICES:
        raise BadInput(f"voice {voice!r} does not exist: tacotron2 has {', '.join(VOICES)}")


@functools.cache
def _networks(voice: str) -> tuple:
    """Text processor, Tacotron 2 and vocoder of a voice, on the GPU if there is one."""
    import torchaudio  # costs a second: only where it is needed

    bundle = getattr(torchaudio.pipelines, VOICES[voice])
    device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        tacotron2, vocoder = bundle.get_tacotron2().to(device).eval(), bundle.get_vocoder().to(device).eval()
    except (OSError, RuntimeError) as error:  # no network, or half a download
        raise BadInput(
            "the weights of speech engine 'tacotron2' could not be downloaded from download.pytorch.org into "
            f"{torch.hub.get_dir()}/checkpoints ({error}): connect once, copy that folder from another machine, "
            "or choose the engine 'espeak'"
        ) from None
    return bundle.get_text_processor(), tacotron2, vocoder, device


def speak(texts: list[str], voice: str, words_per_minute: int) -> list[Tensor]:
    """All texts spoken at once, a list of (n,) float32 in [-1, 1] at 22,050 Hz; its rate of speech is fixed.

    The same list gives the same samples on one device. A text among other texts gives other samples: dropout stays on.
    Raises BadInput for an unknown voice, weights that cannot be downloaded, and a text that is spoken too short or
    silent.
    """
    check_voice(voice)
    process, tacotron2, vocoder, device = _networks(voice)
    tokens, lengths = process(texts)
    order = lengths.argsort(descending=True, stable=True)  # Tacotron 2 wants the longest first
    with torch.inference_mode(), torch.random.fork_rng():
        torch.manual_seed(0)  # Tacotron 2 keeps dropout on, WaveRNN samples
        spectrograms, lengths, _ = tacotron2.infer(tokens[order].to(device), lengths[order].to(device))
        audio, _ = vocoder(spectrograms, lengths)
    # In samples; Griffin-Lim's vocoder gives them in frames.
    ends = (lengths * audio.shape[1] / spectrograms.shape[2]).round().int()
    waveforms: list[Tensor] = [torch.empty(0)] * len(texts)
    for row, place in enumerate(order.tolist()):
        name = f"tacotron2's reading of {texts[place]!r}"
        waveforms[place] = at_22050(audio[row, : int(ends[row])], vocoder.sample_rate, name).clamp(-1, 1)
    return waveforms
