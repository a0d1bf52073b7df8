"""Makes demo.png and demo.wav of the README from the packed weights: `.venv/bin/python docs/img/make_demo.py`."""

from pathlib import Path

import soundfile

from s2igan.data.audio import SAMPLE_RATE
from s2igan.demo.load import load
from s2igan.demo.speak import save_sheet
from s2igan.files import project_root

SENTENCE = "a flower with five pointed blue petals and a yellow centre"
here = Path(__file__).parent
pipeline = load(project_root() / "results/reference/weights/mini-flowers")
speech_input = pipeline.encode_text(SENTENCE)
soundfile.write(here / "demo.wav", speech_input.waveform.numpy(), SAMPLE_RATE, "PCM_16")
save_sheet([pipeline.generate(speech_input.speech_embedding, seed) for seed in range(3)], here / "demo.png")
