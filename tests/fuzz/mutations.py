"""Damage to files, drawn from a seed: what a broken copy, a wrong program or an unkind person does to them."""

import random

INTERESTING = [b"\0", b"\xff", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f"]
WORDS = ["nan", "inf", "-inf", "-1", "0", "1e999", "9" * 400, "", " ", "\t", "\0", "\r", "\ufeff", "é", "e\u0301"]
WORDS += ["..", "/", "\\", "$x$", "\\frac", "'", '"', ",", ";", "{}", "[]", "null", "true", "a" * 5000, "😀", "\u202e"]


def damaged(content: bytes, random: random.Random) -> bytes:
    """`content` after one to four random changes of bytes."""
    for _ in range(random.choice([1, 1, 1, 2, 4])):
        content = random.choice(CHANGES)(content, random)
    return content


def touched(content: bytes, random: random.Random) -> bytes:
    """`content` with one or two bits turned: most readers get past their first check."""
    out = bytearray(content)
    for _ in range(random.choice([1, 2])):
        out[random.randrange(len(out))] ^= 1 << random.randrange(8)
    return bytes(out)


def damaged_text(text: str, random: random.Random) -> bytes:
    """`text` after one to four random changes of its fields and lines, at times in another encoding."""
    for _ in range(random.choice([1, 1, 2, 4])):
        lines = text.split("\n")
        k = random.randrange(len(lines))
        change = random.randrange(7)
        if change == 0:
            lines.insert(k, lines[random.randrange(len(lines))])
        elif change == 1:
            del lines[k]
        elif change == 2:
            lines[k] = random.choice(WORDS)
        elif change == 3:
            at = random.randrange(len(lines[k]) + 1)
            lines[k] = lines[k][:at] + random.choice(WORDS) + lines[k][at:]
        elif change == 4:
            parts = lines[k].split(random.choice([" ", ",", ":", "="]))
            parts[random.randrange(len(parts))] = random.choice(WORDS)
            lines[k] = random.choice([" ", ",", ": ", "="]).join(parts)
        elif change == 5:
            random.shuffle(lines)
        else:
            lines[k] = lines[k][: random.randrange(len(lines[k]) + 1)]
        text = "\n".join(lines)
    encoding = random.choice(["utf-8"] * 6 + ["utf-8-sig", "utf-16", "utf-16-le", "latin-1", "cp1252"])
    content = text.encode(encoding, errors="replace")
    return damaged(content, random) if random.random() < 0.2 else content


OTHERS = [None, True, -1, 0, 10**400, 1.5, float("nan"), float("inf"), "", "nan", "\n", [], {}, [[]], {"a": 1}]
OTHERS += ["x" * 3000]


def changed(value, random: random.Random):
    """A value of JSON with one of its parts removed, renamed or of another kind."""
    if isinstance(value, dict) and value and random.random() < 0.9:
        key = random.choice(list(value))
        if random.random() < 0.2:
            return {name: part for name, part in value.items() if name != key}
        if random.random() < 0.05:
            return {random.choice(WORDS) if name == key else name: part for name, part in value.items()}
        return {name: changed(part, random) if name == key else part for name, part in value.items()}
    if isinstance(value, list) and value and random.random() < 0.9:
        k = random.randrange(len(value))
        return [*value[:k], changed(value[k], random), *value[k + 1 :]]
    return random.choice(OTHERS)


def _flip(content: bytes, random: random.Random) -> bytes:
    out = bytearray(content)
    for _ in range(random.choice([1, 2, 8, 64]) if out else 0):
        out[random.randrange(len(out))] ^= 1 << random.randrange(8)
    return bytes(out)


def _flip_early(content: bytes, random: random.Random) -> bytes:
    out = bytearray(content)  # where headers are
    for _ in range(random.choice([1, 2, 4]) if out else 0):
        out[random.randrange(min(len(out), 128))] = random.randrange(256)
    return bytes(out)


def _cut(content: bytes, random: random.Random) -> bytes:
    return content[: random.randrange(len(content) + 1)]


def _behead(content: bytes, random: random.Random) -> bytes:
    return content[random.randrange(min(len(content), 64) + 1) :]


def _insert(content: bytes, random: random.Random) -> bytes:
    at = random.randrange(len(content) + 1)
    more = random.choice([random.choice(INTERESTING), random.randbytes(random.choice([1, 4, 100]))])
    return content[:at] + more + content[at:]


def _overwrite(content: bytes, random: random.Random) -> bytes:
    at, more = random.randrange(len(content) + 1), random.choice(INTERESTING)
    return content[:at] + more + content[at + len(more) :]


def _remove(content: bytes, random: random.Random) -> bytes:
    at = random.randrange(len(content) + 1)
    return content[:at] + content[at + random.choice([1, 2, 4, 16, 256]) :]


def _repeat(content: bytes, random: random.Random) -> bytes:
    at, size = random.randrange(len(content) + 1), random.choice([1, 4, 64, 1024])
    return content[:at] + content[at : at + size] + content[at:]


def _other(content: bytes, random: random.Random) -> bytes:
    return random.choice([b"", b"\n", b"{}", b"[]", b"null", b"<html><body>404 Not Found</body></html>", bytes(64)])


CHANGES = [_flip, _flip_early, _flip, _flip_early, _cut, _behead, _insert, _overwrite, _remove, _repeat, _other]
