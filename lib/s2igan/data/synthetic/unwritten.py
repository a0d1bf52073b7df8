"""An invented language that nobody can write: its words are sounds, and there is no spelling of them.

A word is given by espeak-ng's phoneme mnemonics (for the voices of Esperanto, whose phonemes each have one sound); '
stands before the vowel of the stressed syllable, the first. Words have one to three syllables of a consonant and a
vowel, and n may close the last. No word is one sound away from another.

Grammar: there is no verb and no article. What is spoken of comes first and is closed by the particle `TOPIC`; what it
has follows, each part as noun, then quality, then number, and every part after the first is closed by `TOO`. `HERE`
opens a sentence that points at something. No word changes its form.
"""

from __future__ import annotations

from s2igan.data.synthetic.grammar import Grammar, Language, filled

TOPIC, TOO, HERE = "g'e", "p'a", "t'i"
NUMBERS = {"four": ("f'uto",), "five": ("l'ubaki",), "eight": ("l'esa",)}
COLOURS = {
    "red": ("r'an",), "orange": ("v'iro",), "yellow": ("S'ibojon",), "white": ("m'eke",), "pink": ("b'alepe",),
    "purple": ("m'oron",), "blue": ("n'eSo",), "turquoise": ("r'ili",), "maroon": ("g'ivebu",), "green": ("v'uSu",),
    "black": ("s'ugeSe",), "brown": ("j'obe",), "grey": ("b'on",),
}  # fmt: skip
QUALITIES = {
    "round": ("s'oru", "n'ugi"), "pointed": ("k'edugo", "t'akin"), "narrow": ("n'orali", "g'uSon"),
    "broad": ("S'ekoga", "l'imen"), "slender": ("p'asafa",), "none": ("n'ita",),
    "short": ("f'erin", "j'en"), "long": ("k'ori",), "small": ("t'inaso", "d'use"), "large": ("k'ibise", "j'ala"),
}  # fmt: skip
WORDS = {**NUMBERS, **COLOURS, **QUALITIES}
FLOWER, BLOSSOM, PETAL, BIRD, BODY = "g'ovu", "s'un", "r'oma", "n'ejuda", "g'ane"


def all_of(parts: list[str]) -> str:
    """`a`, `a b TOO`, `a b TOO c TOO`."""
    return " ".join([parts[0], *(f"{part} {TOO}" for part in parts[1:])])


def of_flowers(words: dict[str, str], details: dict[str, str]) -> list[str]:
    """As `Grammar.sentences`."""
    extras = filled(details, words)
    colour, number, shape = words["colour"], words.get("petals", ""), words.get("shape", "")
    petals, bare = f"{PETAL} {colour} {shape} {number}", [f"{PETAL} {shape} {number}"] if number or shape else []
    ways = [f"{start} {TOPIC} {all_of([petals, *extras])}" for start in (FLOWER, BLOSSOM, f"{HERE} {FLOWER}")]
    ways += [f"{start} {colour} {TOPIC} {all_of(bare + extras)}" for start in (FLOWER, BLOSSOM, f"{HERE} {FLOWER}")]
    ways += [f"{FLOWER} {colour} {TOPIC} {all_of(extras + bare)}"]
    if extras:
        ways += [f"{all_of(extras)} {FLOWER} {TOPIC} {petals}", f"{petals} {TOPIC} {all_of([FLOWER, *extras])}"]
        ways += [f"{BLOSSOM} {TOPIC} {all_of([*extras, petals])}"]
    return ways


def of_birds(words: dict[str, str], details: dict[str, str]) -> list[str]:
    """As `Grammar.sentences`."""
    parts = filled(details, words)
    size, body = words.get("size", ""), words.get("body", "")
    if not parts:
        return [f"{BIRD} {body} {size} {TOPIC} {HERE}", f"{HERE} {BIRD} {body} {size} {TOPIC}"]
    ways = [f"{start} {BIRD} {body} {size} {TOPIC} {all_of(parts)}" for start in ("", HERE)]
    ways += [f"{all_of(parts)} {TOPIC} {BIRD} {body} {size}"]
    if body:
        with_body = f"{BODY} {body}"
        ways += [f"{BIRD} {size} {TOPIC} {all_of([with_body, *parts])}"]
        ways += [f"{BIRD} {size} {TOPIC} {all_of([*parts, with_body])}"]
    if len(parts) > 1:
        ways += [f"{all_of(parts[1:])} {BIRD} {body} {size} {TOPIC} {parts[0]}"]
    return ways


UNWRITTEN = Language(
    sets={
        "mini-flowers": Grammar(
            words=WORDS,
            details={
                "centre": ("v'ikani {}", "t'edu {}"),
                "ring": ("d'in {}", "t'amo {}"),
                "stamens": ("p'oSila {}",),
                "leaves": ("s'ade {}",),
            },
            sentences=of_flowers,
        ),
        "mini-birds": Grammar(
            words=WORDS,
            details={
                "crown": ("g'abi {}", "f'uSi {}"),
                "belly": ("b'ufen {}", "m'uvi {}"),
                "bars": ("S'arun {}",),
                "beak": ("r'avobu {}", "p'adan {}"),
                "tail": ("v'ejo {}",),
                "wing": ("t'usan {}",),
            },
            sentences=of_birds,
        ),
    },
    written=False,
)
