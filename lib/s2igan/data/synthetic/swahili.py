"""Swahili, a Bantu language. What describes a noun follows it and takes a prefix of the noun's class: `word~5`.

Some colours are adjectives (ua jekundu, a red flower), others nouns with a connective (ua la njano, of turmeric).
"""

from __future__ import annotations

from s2igan.data.synthetic.grammar import Grammar, Language, filled, in_form, listing

# Of each noun class: its adjective prefix before a consonant and before a vowel, and the connectives 'of' and 'with'.
CLASSES = {
    "1": ("m", "mw", "wa", "mwenye"), "3": ("m", "mw", "wa", "wenye"), "4": ("mi", "my", "ya", "yenye"),
    "5": ("", "j", "la", "lenye"), "6": ("ma", "m", "ya", "yenye"), "7": ("ki", "ch", "cha", "chenye"),
    "9": ("", "ny", "ya", "yenye"), "10": ("", "ny", "za", "zenye"),
}  # fmt: skip
ADJECTIVES = ("ekundu", "eupe", "eusi", "embamba", "pana", "fupi", "refu", "dogo", "kubwa")
COLOURS = {
    "red": ("ekundu",), "orange": ("machungwa",), "yellow": ("njano",), "white": ("eupe",), "pink": ("waridi",),
    "purple": ("zambarau",), "blue": ("bluu",), "turquoise": ("feruzi",), "maroon": ("maruni",), "green": ("kijani",),
    "black": ("eusi",), "brown": ("kahawia",), "grey": ("kijivu",), "none": ("sifuri",),
}  # fmt: skip


def agree(word: str, form: str) -> str:
    """The word after a noun of class `form`: with the class's prefix, or with its connective."""
    before_consonant, before_vowel, of, having = CLASSES[form]
    if word == "sifuri":  # zero
        return word
    if word in ADJECTIVES:
        return (before_vowel if word[0] in "aeiou" else before_consonant) + word
    return f"{having if word == 'ncha' else of} {word}"


def of_flowers(words: dict[str, str], details: dict[str, str]) -> list[str]:
    """As `Grammar.sentences`."""
    extras = filled(details, words)
    colour, number, shape = words["colour"], words.get("petals", ""), in_form(words.get("shape", ""), "10")
    petals, bare = f"petali {colour}~10 {shape} {number}", [f"petali {shape} {number}"] if number or shape else []
    starts = ("ua hili lina", "ua lenye", "ua lina", "hapa kuna ua lenye")
    ways = [f"{start} {joined([petals, *extras])}" for start in starts]
    ways += [f"{start} {colour}~5 lenye {joined(bare + extras)}" for start in ("ua", "kuna ua")]
    ways += [f"ua hili {colour}~5 lina {joined(bare + extras)}"]
    ways += [f"ua hili ni {colour}~5 lenye {joined(extras + bare)}"]
    if extras:
        ways += [f"ua lenye {joined(extras)} lina {petals}", f"{petals} kwenye ua lenye {joined(extras)}"]
    return ways


def of_birds(words: dict[str, str], details: dict[str, str]) -> list[str]:
    """As `Grammar.sentences`."""
    parts = filled(details, words)
    size, body = in_form(words.get("size", ""), "1"), in_form(words.get("body", ""), "1")
    if not parts:
        return [f"{start} {size} {body}" for start in ("huyu ni ndege", "kuna ndege", "ni ndege", "hapa kuna ndege")]
    ways = [f"{start} {size} {body} mwenye {joined(parts)}" for start in ("ndege", "huyu ni ndege", "kuna ndege")]
    ways += [f"{start} {size} {body} ana {joined(parts)}" for start in ("ndege huyu", "ndege")]
    if body:
        with_body = f"mwili {in_form(words['body'], '3')}"
        ways += [f"ndege huyu {size} ni {body} mwenye {joined(parts)}"]
        ways += [f"ndege huyu {size} ana {joined([with_body, *parts])}"]
        ways += [f"ndege {size} mwenye {joined([*parts, with_body])}"]
    if len(parts) > 1:
        ways += [f"ndege {size} {body} mwenye {joined(parts[1:])} ana {parts[0]}"]
    return ways


def joined(parts: list[str]) -> str:
    """`a`, `a na b`, `a, b na c`."""
    return listing(parts, " na ")


SWAHILI = Language(
    sets={
        "mini-flowers": Grammar(
            words={
                **COLOURS, "four": ("nne",), "five": ("tano",), "eight": ("nane",), "round": ("duara",),
                "pointed": ("ncha",), "narrow": ("embamba",), "broad": ("pana",), "slender": ("embamba",),
            },
            details={
                "centre": ("kitovu {}~7", "kiini {}~7"),
                "ring": ("pete {}~9", "mviringo {}~3"),
                "stamens": ("stameni {}~10",),
                "leaves": ("majani {}~6",),
            },
            sentences=of_flowers,
        ),
        "mini-birds": Grammar(
            words={
                **COLOURS, "short": ("fupi",), "long": ("refu",), "small": ("dogo",), "large": ("kubwa",),
            },
            details={
                "crown": ("kilele {}~7", "kofia {}~9"),
                "belly": ("tumbo {}~5", "kifua {}~7"),
                "bars": ("mistari {}~4",),
                "beak": ("mdomo {}~3",),
                "tail": ("mkia {}~3",),
                "wing": ("mabawa {}~6",),
            },
            sentences=of_birds,
        ),
    },
    agree=agree,
)  # fmt: skip
