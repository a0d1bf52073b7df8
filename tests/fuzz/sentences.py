"""Sentences that somebody types: what `speak` does with one, by a voice of silence and at times by espeak-ng."""

import os

import torch
from mutations import WORDS

from s2igan.data import text_to_speech
from s2igan.data.text_to_speech import Engine, speak
from s2igan.reporting.text import in_latex, in_markdown, one_line, shown
from s2igan.workflow.commands import check_source, default_out

ORIGINALS = ["a flower with five blue petals", "eine gelbe Blume mit 8 Blättern", "红花 🌹", "وردة حمراء"]
ORIGINALS += ["the <b>red</b> one"]
BETWEEN = [" ", "", "\n", "\t", "\x01", "\x1b[31m", "\udcff", "\ud800", "[[", "]]", "<break time='9s'/>", "&amp;", "--"]
LONGEST = 3  # seconds of a character: names of letters of other alphabets are long


def originals(folder):
    return ORIGINALS


def attempt(made, random, folder):
    words = random.choice(made).split() + random.choices(WORDS, k=random.randrange(4))
    words += [chr(random.randrange(0x110000)) for _ in range(random.choice([0, 1, 1, 20]))]
    words = random.sample(words, k=random.randrange(1, 1 + len(words)))
    text = "".join(word + random.choice(BETWEEN if random.random() < 0.3 else [" "]) for word in words)
    if random.random() < 0.02:
        text *= random.randrange(1000)
    for plain in (one_line(text), in_markdown(text), in_latex(text), shown(text, 20), str(default_out(text, ""))):
        plain.encode()
        os.fsencode(plain)
    check_source(text, "", "")
    real = random.random() < 0.05
    if not real:
        text_to_speech.ENGINES["none"] = Engine(say_nothing, print, at_once=True)
    (waveform,) = speak([text], engine="espeak" if real else "none")
    if not 0 < len(waveform) <= 22_050 * LONGEST * (2 + len(text)):
        raise RuntimeError(f"{len(waveform)} samples")


def say_nothing(texts, voice, words_per_minute):
    for text in texts:
        text.encode()
        if len(text) > text_to_speech.MOST_CHARACTERS or (not text.isprintable() and any(ord(c) < 32 for c in text)):
            raise RuntimeError("an engine got this text")
    return [torch.ones(10) for _ in texts]
