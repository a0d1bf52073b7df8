"""German. Every adjective takes a regular ending, and all objects stand in the accusative."""

from __future__ import annotations

import re

from s2igan.data.synthetic.grammar import Grammar, Language, filled, listing

COLOURS = {
    "red": ("rot",), "orange": ("orangefarben",), "yellow": ("gelb",), "white": ("weiß",), "pink": ("pink",),
    "purple": ("violett",), "blue": ("blau",), "turquoise": ("türkis",), "maroon": ("weinrot",), "green": ("grün",),
    "black": ("schwarz",), "brown": ("braun",), "grey": ("grau",), "none": ("kein",),
}  # fmt: skip


def with_ending(stem: str, ending: str) -> str:
    """The adjective, or nothing where it is not named."""
    return stem + ending if stem else ""


def of_flowers(words: dict[str, str], details: dict[str, str]) -> list[str]:
    """As `Grammar.sentences`."""
    extras = filled(details, words)
    colour, number, shape = words["colour"], words.get("petals", ""), with_ending(words.get("shape", ""), "e")
    petals = f"{number} {shape} {colour}e Blütenblätter"
    bare = [f"{number} {shape} Blütenblätter"] if number or shape else []
    ways = [f"{start} {joined([petals, *extras])}" for start in ("diese Blume hat", "die Blume hat", "die Blüte zeigt")]
    ways += [f"hier hat eine Blume {joined([petals, *extras])}"]
    ways += [f"{start} {colour}e Blume hat {joined(bare + extras)}" for start in ("diese", "die", "eine")]
    ways += [f"diese Blume ist {colour} und hat {joined(extras + bare)}"]
    if extras:
        ways += [f"{joined(extras)} hat diese Blume, dazu {petals}", f"{petals} hat die Blume, dazu {joined(extras)}"]
        ways += [f"man sieht {petals}, ferner {joined(extras)}"]
        if words.get("shape"):
            ways += [f"die {number} Blütenblätter sind {words['shape']} und {colour}, man sieht {joined(extras)}"]
    return ways


def of_birds(words: dict[str, str], details: dict[str, str]) -> list[str]:
    """As `Grammar.sentences`."""
    parts = filled(details, words)
    size, body = words.get("size", ""), words.get("body", "")
    a_bird = f"{with_ending(size, 'er')} {with_ending(body, 'er')} Vogel"
    the_bird = f"{with_ending(size, 'e')} {with_ending(body, 'e')} Vogel"
    if not parts:
        return [f"{start} ein {a_bird}" for start in ("das ist", "da sitzt", "hier ist", "es ist")]
    ways = [f"ein {a_bird} hat {joined(parts)}", f"hier hat ein {a_bird} {joined(parts)}"]
    ways += [f"{start} {the_bird} hat {joined(parts)}" for start in ("dieser", "der")]
    if body:
        with_body = f"einen {body}en Körper"
        start = f"{with_ending(size, 'e')} Vogel"
        ways += [f"dieser {start} ist {body} und hat {joined(parts)}"]
        ways += [f"dieser {start} hat {joined([with_body, *parts])}"]
        ways += [f"der {start} zeigt {joined([*parts, with_body])}"]
    if size and body:
        ways += [f"der Vogel ist {size} und {body}, er hat {joined(parts)}"]
    if len(parts) > 1:
        ways += [f"{joined(parts[1:])} hat dieser {the_bird}, dazu {parts[0]}"]
    return ways


def joined(parts: list[str]) -> str:
    """`a`, `a und b`, `a, b und c`."""
    return listing(parts, " und ")


def without_articles(sentence: str) -> str:
    """No article before 'kein'."""
    return re.sub(r"\bein\w* (?=kein)", "", sentence)


GERMAN = Language(
    sets={
        "mini-flowers": Grammar(
            words={
                **COLOURS, "four": ("vier",), "five": ("fünf",), "eight": ("acht",), "round": ("rund", "rundlich"),
                "pointed": ("spitz", "zugespitzt"), "narrow": ("schmal", "dünn"), "broad": ("breit", "ausladend"),
                "slender": ("schlank",),
            },
            details={
                "centre": ("ein {}es Zentrum", "eine {}e Mitte"),
                "ring": ("einen {}en Ring", "einen {}en Innenring"),
                "stamens": ("{}e Staubfäden",),
                "leaves": ("{}e Laubblätter",),
            },
            sentences=of_flowers,
        ),
        "mini-birds": Grammar(
            words={
                **COLOURS, "short": ("kurz", "gedrungen"), "long": ("lang",), "small": ("klein", "winzig"),
                "large": ("groß", "mächtig"),
            },
            details={
                "crown": ("einen {}en Scheitel", "eine {}e Kappe"),
                "belly": ("einen {}en Bauch", "eine {}e Brust"),
                "bars": ("{}e Flügelbinden", "{}e Flügelstreifen"),
                "beak": ("einen {}en Schnabel",),
                "tail": ("einen {}en Schwanz",),
                "wing": ("{}e Flügel",),
            },
            sentences=of_birds,
        ),
    },
    finish=without_articles,
)  # fmt: skip
