"""PARAMS files."""

from mutations import damaged_text

from s2igan.config import from_yaml
from s2igan.workflow import study

ORIGINAL = """dataset: mini-flowers
seeds: [0, 1]
systems: S2IGAN, w/o RS
preset: mini
study: mine
sen_steps: 100
rdg_lr: 2.0e-4
data_flip: true
data_voices: [en-us, en-gb]
when: 2020-01-01
"""


def originals(folder):
    return ORIGINAL


def attempt(original, random, folder):
    path = folder / "params.yaml"
    path.write_bytes(damaged_text(original, random))
    study.plan(from_yaml(path))
