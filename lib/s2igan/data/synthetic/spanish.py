"""Spanish. Adjectives follow their noun and agree: `word~fs` is feminine singular, `word~mp` masculine plural."""

from __future__ import annotations

from s2igan.data.synthetic.grammar import Grammar, Language, filled, in_form, listing

COLOURS = {
    "red": ("rojo",), "orange": ("naranja",), "yellow": ("amarillo",), "white": ("blanco",), "pink": ("rosado",),
    "purple": ("morado",), "blue": ("azul",), "turquoise": ("turquesa",), "maroon": ("granate",), "green": ("verde",),
    "black": ("negro",), "brown": ("pardo",), "grey": ("gris",), "none": ("ninguno",),
}  # fmt: skip
# A noun that is absent has the numeral zero before it.
ABSENT = {
    "un anillo ninguno": "cero anillos",
    "un aro ninguno": "cero aros",
    "estambres ningunos": "cero estambres",
    "barras alares ningunas": "cero barras alares",
    "franjas alares ningunas": "cero franjas alares",
}


def agree(word: str, form: str) -> str:
    """The adjective in the form ms, fs, mp or fp."""
    gender, number = form
    if gender == "f" and word.endswith("o"):
        word = word[:-1] + "a"
    return word if number == "s" else word + ("s" if word[-1] in "aeo" else "es")


def of_flowers(words: dict[str, str], details: dict[str, str]) -> list[str]:
    """As `Grammar.sentences`."""
    extras = filled(details, words)
    colour, number, shape = words["colour"], words.get("petals", ""), in_form(words.get("shape", ""), "mp")
    petals, bare = f"{number} pétalos {shape} {colour}~mp", [f"{number} pétalos {shape}"] if number or shape else []
    starts = ("esta flor tiene", "una flor con", "la flor muestra", "aquí hay una flor con")
    ways = [f"{start} {joined([petals, *extras])}" for start in starts]
    ways += [f"{start} flor {colour}~fs con {joined(bare + extras)}" for start in ("una", "hay una")]
    ways += [f"esta flor {colour}~fs tiene {joined(bare + extras)}"]
    ways += [f"esta flor es {colour}~fs con {joined(extras + bare)}"]
    if extras:
        ways += [f"con {joined(extras)}, esta flor tiene {petals}", f"{petals} en una flor con {joined(extras)}"]
        if shape:
            ways += [f"los {number} pétalos son {shape} y {colour}~mp, con {joined(extras)}"]
    return ways


def of_birds(words: dict[str, str], details: dict[str, str]) -> list[str]:
    """As `Grammar.sentences`."""
    parts = filled(details, words)
    size, body = in_form(words.get("size", ""), "ms"), in_form(words.get("body", ""), "ms")
    bird = f"pájaro {size} {body}"
    if not parts:
        return [f"{start} un {bird}" for start in ("este es", "hay", "es", "aquí hay")]
    ways = [f"{start} {bird} con {joined(parts)}" for start in ("un", "este es un", "hay un")]
    ways += [f"{start} {bird} tiene {joined(parts)}" for start in ("este", "el")]
    if body:
        with_body = f"un cuerpo {body}"
        ways += [f"este pájaro {size} es {body} con {joined(parts)}"]
        ways += [f"este pájaro {size} tiene {joined([with_body, *parts])}"]
        ways += [f"un pájaro {size} con {joined([*parts, with_body])}"]
    if size and body:
        ways += [f"el pájaro es {size} y {body} con {joined(parts)}"]
    if len(parts) > 1:
        ways += [f"con {joined(parts[1:])}, este {bird} tiene {parts[0]}"]
    return ways


def joined(parts: list[str]) -> str:
    """`a`, `a y b`, `a, b y c`."""
    return listing(parts, " y ")


def without_the_absent(sentence: str) -> str:
    """'cero anillos' in place of 'un anillo ninguno'."""
    for said, better in ABSENT.items():
        sentence = sentence.replace(said, better)
    return sentence


SPANISH = Language(
    sets={
        "mini-flowers": Grammar(
            words={
                **COLOURS, "four": ("cuatro",), "five": ("cinco",), "eight": ("ocho",),
                "round": ("redondo", "redondeado"), "pointed": ("puntiagudo", "afilado"),
                "narrow": ("estrecho", "fino"), "broad": ("ancho", "amplio"), "slender": ("delgado",),
            },
            details={
                "centre": ("un centro {}~ms", "un corazón {}~ms"),
                "ring": ("un anillo {}~ms", "un aro {}~ms"),
                "stamens": ("estambres {}~mp",),
                "leaves": ("hojas {}~fp",),
            },
            sentences=of_flowers,
        ),
        "mini-birds": Grammar(
            words={
                **COLOURS, "short": ("corto",), "long": ("largo",), "small": ("pequeño", "diminuto"),
                "large": ("grande", "enorme"),
            },
            details={
                "crown": ("una corona {}~fs", "un gorro {}~ms"),
                "belly": ("un vientre {}~ms", "un pecho {}~ms"),
                "bars": ("barras alares {}~fp", "franjas alares {}~fp"),
                "beak": ("un pico {}~ms",),
                "tail": ("una cola {}~fs",),
                "wing": ("alas {}~fp",),
            },
            sentences=of_birds,
        ),
    },
    agree=agree,
    finish=without_the_absent,
)  # fmt: skip
