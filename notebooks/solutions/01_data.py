"""Solutions to the exercises of 01_data."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from s2igan import metrics, speech
from s2igan.data.audio import with_noise
from s2igan.data.store import Store
from s2igan.data.synthetic.meaning import named_in
from s2igan.data.synthetic.sets import SETS


def what_is_named(store: Store) -> pd.Series:
    """1. In what share of the captions of unseen classes is each attribute named? What no sentence says, no image can
    follow."""
    named = [named_in(store, i) for i in store.caption_ids_of("test")]
    shares = {name: np.mean([name in names for names in named]) for name in SETS[store.dataset].attributes}
    return pd.Series(shares, name="named")


def effect_of_volume(waveform: Tensor) -> tuple[float, float]:
    """2. Half the volume: by how much do features move (their median), with the normalisation over time and without?

    Half the amplitude is a quarter of the power. So every logarithm moves by ln 4 = 1.386, which subtracting the mean
    over time takes out again. What is left comes from the 1e-6 in the logarithm, where a band is nearly silent.
    """

    def not_normalised(x: Tensor) -> Tensor:
        window = torch.hann_window(speech.N_FFT)
        power = torch.stft(x, speech.N_FFT, speech.HOP, window=window, return_complex=True).abs() ** 2
        return torch.log(power.sum(0) + 1e-6)  # [T], all bands together: enough to see the shift

    normalised = (speech.log_mel(waveform) - speech.log_mel(waveform / 2)).abs().median()
    return float(normalised), float((not_normalised(waveform) - not_normalised(waveform / 2)).abs().median())


def chance_by_classes(store: Store, features: Tensor) -> pd.Series:
    """3. How does chance depend on the number of classes? mAP of random features falls like one in the number of
    classes, and stays a little above it: where few images are right, an early lucky hit counts for much. The closed
    form is the mean over all rankings, this one measurement is not."""
    image_ids = store.image_ids_of("test")
    classes, found = np.unique(store.image_class[image_ids]), {}
    for count in sorted({max(2, len(classes) // 4), max(2, len(classes) // 2), len(classes)}):
        some = image_ids[np.isin(store.image_class[image_ids], classes[:count])]
        labels = store.image_class[some]
        rng, shape = np.random.default_rng(0), (len(some), 32)
        measured = metrics.mean_average_precision(rng.normal(size=shape), labels, rng.normal(size=shape), labels)
        expected = metrics.chance_mean_average_precision(labels, labels)
        found[count] = {"random features": 100 * measured, "closed form": 100 * expected}
    return pd.DataFrame.from_dict(found, orient="index")


def speech_in_noise(waveform: Tensor, decibels: tuple[float, ...] = (30.0, 20.0, 10.0, 0.0)) -> pd.Series:
    """4. How much of the log-mel is left in noise? Its correlation with the log-mel of the clean voice."""
    clean = speech.log_mel(waveform).flatten()
    noisy = {level: speech.log_mel(with_noise(waveform, level, seed=0)).flatten() for level in decibels}
    correlations = {level: float(torch.corrcoef(torch.stack([clean, mel]))[0, 1]) for level, mel in noisy.items()}
    return pd.Series(correlations, name="correlation")


def masked(mel: Tensor, seed: tuple[int, ...], frames: int = 40, bands: int = 8) -> Tensor:
    """5. (a change in the code) A log-mel [T, 40] with up to `frames` frames and up to `bands` bands blanked, each a
    single stretch.

    The mean of every band is 0, so 0 is the blank that tells least. The stretches follow from `seed`, such as (the
    run's seed, the step, the row), and from nothing that a resumed training would not know. A random generator that is
    kept from step to step would be lost when the training stops.
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
    print("features move by {:.3f} normalised, by {:.3f} not\n".format(*effect_of_volume(waveform)))
    print(chance_by_classes(study.store, study.features["evaluator"]).round(2), end="\n\n")
    print(speech_in_noise(waveform).round(2), end="\n\n")
    mel = speech.log_mel(waveform)
    shares = [float((masked(mel, (0, step, 0)) == 0).float().mean()) for step in range(5)]
    print("masked in five steps:", ", ".join(f"{share:.0%}" for share in shares))
