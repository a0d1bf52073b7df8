"""What a file is, by its first bytes: for a message about a file that is not what its name says."""

from __future__ import annotations

from pathlib import Path

STARTS = (
    (0, b"version https://git-lfs", "a Git LFS pointer"), (0, b"\x89PNG", "a PNG image"),
    (0, b"\xff\xd8\xff", "a JPEG image"), (0, b"GIF8", "a GIF image"), (0, b"8BPS", "a Photoshop file"),
    (0, b"DDS ", "a DDS image"), (4, b"jP  ", "a JPEG 2000 image"), (0, b"\xff\x4f\xff\x51", "a JPEG 2000 image"),
    (0, b"II*\0", "a TIFF image"), (0, b"MM\0*", "a TIFF image"), (0, b"BM", "a BMP image"),
    (0, b"qoif", "a QOI image"),
    (4, b"ftypavi", "an AVIF image"), (4, b"ftyphei", "a HEIC image"), (4, b"ftyphev", "a HEIC image"),
    (4, b"ftypmif1", "a HEIC image"), (4, b"ftypM4A", "an M4A recording"), (4, b"ftyp", "an MP4 or M4A file"),
    (8, b"WEBP", "a WebP image"), (8, b"WAVE", "a WAV recording"), (8, b"AVI ", "an AVI video"),
    (0, b"fLaC", "a FLAC recording"), (0, b"OggS", "an Ogg recording"), (0, b"ID3", "an MP3 recording"),
    (0, b"FORM", "an AIFF recording"), (0, b"caff", "a CAF recording"), (0, b".snd", "an AU recording"),
    (0, b"#!AMR", "an AMR recording"), (0, b"\x30\x26\xb2\x75", "a WMA recording"), (0, b"RIFF", "a RIFF file"),
    (0, b"\x1a\x45\xdf\xa3", "a WebM or Matroska file"), (0, b"%PDF", "a PDF file"), (0, b"PK\3\4", "a ZIP archive"),
    (0, b"\x1f\x8b", "a gzip archive"), (0, b"SQLite", "a database"),
)  # fmt: skip
PLACEHOLDERS = {"a Git LFS pointer": "fetch the file itself with: git lfs pull", "an HTML page": "download it again"}


def kind_of(start: bytes) -> str:
    """'a PNG image', 'an HTML page' and so on for the first bytes of a file; '' where they say nothing."""
    for at, magic, kind in STARTS:
        if start[at : at + len(magic)] == magic:
            return kind
    if start.lstrip()[:1] == b"<":
        return "an SVG or XML file" if b"<svg" in start or start.lstrip().startswith(b"<?xml") else "an HTML page"
    if len(start) > 1 and start[0] == 0xFF and start[1] & 0xE0 == 0xE0:  # a frame of MPEG audio
        return "an MP3 recording" if start[1] & 0x06 else "an AAC recording"
    if start and not start.strip(b"\0"):
        return "zeros"
    return ""


def misnamed(path: str | Path, wanted: tuple[str, ...], remedy: str) -> str:
    """Why the file `path` cannot be read as any of the kinds `wanted`, such as ('PNG', 'GIF'), and what to do."""
    with open(path, "rb") as file:
        kind = kind_of(file.read(512))
    names = f"{', '.join(wanted[:-1])} or {wanted[-1]}"
    if kind == "zeros":
        return "it starts with zeros only: copy it again"
    if " ".join(kind.split()[1:-1]).upper() in map(str.upper, wanted):
        return f"it is {kind} with a damaged header: save it again"
    if not kind:
        return f"it is no {names} file, or damaged: {remedy}"
    return f"it is {kind}, not {names}: {PLACEHOLDERS.get(kind, remedy)}"
