"""Solutions to the exercises of 01_data."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from s2igan import metrics, speech
from s2igan.data.audio import with_noise
from s2igan.data.store import Store
from s2igan.data.synthetic.captions import named_attributes
from s2igan.data.synthetic.sets import SETS


def what_is_named(store: Store) -> pd.Series:
    """1. In what share of the captions of unseen classes is each attribute named? What no sentence says, no image can follow."""
    named = [named_attributes(store.dataset, store.caption_text[i]) for i in store.caption_ids_of("test")]
    return pd.Series({name: np.mean([name in said for said in named]) for name in SETS[store.dataset].attributes}, name="named")


def effect_of_volume(waveform: Tensor) -> tuple[float, float]:
    """2. Half the volume: by how much do features move (their median), as they are, and without mean and deviation over time?

    Half the amplitude is a quarter of the power: every logarithm moves by ln 4 = 1.386, which the mean over time takes out again. What is
    left comes from the 1e-6 in the logarithm, where a band is all but silent.
    """
    def plain(x: Tensor) -> Tensor:
        power = torch.stft(x, speech.N_FFT, speech.HOP, window=torch.hann_window(speech.N_FFT), return_complex=True).abs() ** 2
        return torch.log(power.sum(0) + 1e-6)  # [T], all bands together: enough to see the shift

    as_they_are = (speech.log_mel(waveform) - speech.log_mel(waveform / 2)).abs().median()
    return float(as_they_are), float((plain(waveform) - plain(waveform / 2)).abs().median())


def chance_by_classes(store: Store, features: Tensor) -> pd.Series:
    """3. How does chance depend on the number of classes? mAP with shuffled labels falls like one in their number, and stays a little above
    it: where few images are right, an early lucky hit counts for much."""
    images = store.image_ids_of("test")
    classes, found = np.unique(store.image_class[images]), {}
    for count in sorted({max(2, len(classes) // 4), max(2, len(classes) // 2), len(classes)}):
        some = images[np.isin(store.image_class[images], classes[:count])]
        labels = store.image_class[some]
        value = metrics.mean_average_precision(features[some], labels, features[some], np.random.default_rng(0).permutation(labels))
        found[count] = 100 * value
    return pd.Series(found, name="mAP, shuffled labels, percent")


def speech_in_noise(waveform: Tensor, decibels: tuple[float, ...] = (30.0, 20.0, 10.0, 0.0)) -> pd.Series:
    """4. How much of the log-mel is left in noise? Its correlation with that of the clean voice."""
    clean = speech.log_mel(waveform).flatten()
    heard = {level: speech.log_mel(with_noise(waveform, level, seed=0)).flatten() for level in decibels}
    return pd.Series({level: float(torch.corrcoef(torch.stack([clean, mel]))[0, 1]) for level, mel in heard.items()}, name="correlation")


def masked(mel: Tensor, seed: tuple[int, ...], frames: int = 40, bands: int = 8) -> Tensor:
    """5. (a change in the code) A log-mel [T, 40] with up to `frames` frames and up to `bands` bands blanked, each a single stretch.

    The mean of every band is 0, so 0 is the blank that tells least. The stretches follow from `seed`, such as (the run's seed, the step,
    the row), and from nothing that a resumed training would not know: a generator that lives on from step to step would be lost with it.
    """
    rng, result = np.random.default_rng(seed), mel.clone()
    for axis, most in enumerate((frames, bands)):
        length = int(rng.integers(0, min(most, mel.shape[axis] - 1) + 1))
        result.narrow(axis, int(rng.integers(0, mel.shape[axis] - length + 1)), length).zero_()
    return result


if __name__ == "__main__":
    from finished import open_study

    study = open_study()
    waveform = speech.speak(["a flower with five rounded blue petals and a yellow centre"])[0]
    print(what_is_named(study.store).round(2), end="\n\n")
    print("features move by {:.3f} as they are, by {:.3f} without mean and deviation\n".format(*effect_of_volume(waveform)))
    print(chance_by_classes(study.store, study.features["evaluator"]).round(2), end="\n\n")
    print(speech_in_noise(waveform).round(2), end="\n\n")
    mel = speech.log_mel(waveform)
    shares = [float((masked(mel, (0, step, 0)) == 0).float().mean()) for step in range(5)]
    print("masked in five steps:", ", ".join(f"{share:.0%}" for share in shares))
