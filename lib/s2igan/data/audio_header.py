"""What the header of a recording states, against what the file holds. Reads no samples."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from s2igan import BadInput
from s2igan.data.kinds import misnamed
from s2igan.data.names import check_file

# Format tags that libsndfile decodes: PCM, MS ADPCM, float, A-law, mu-law, IMA ADPCM, GSM 6.10, extensible.
WAV_CODECS = {1, 2, 3, 6, 7, 0x11, 0x31, 0xFFFE}
UNKNOWN = 0x7FFF_0000  # bytes: programs that write to a pipe state this or more, or 0, as the size
SLACK = 0.01  # seconds that may be missing at the end: some programs count their header as samples


@dataclass(frozen=True)
class AudioHeader:
    """What a recording's header states."""

    format: str  # WAV, FLAC or Ogg
    sample_rate: int  # Hz
    channels: int
    seconds: float | None  # None where the header does not say
    zero_at: int | None = None  # where a WAV states zero bytes of samples although some follow


def read_header(path: str | Path) -> AudioHeader:
    """The header of a recording. Raises BadInput where it is missing, empty, neither WAV, FLAC nor Ogg, damaged, or
    cut: shorter than its header says, or without its end."""
    path = Path(path)
    check_file(path, "audio file")
    size = path.stat().st_size
    try:
        with open(path, "rb") as file:
            start = file.read(12)
            file.seek(0)
            if start[:4] in (b"RIFF", b"RIFX", b"RF64") and start[8:] == b"WAVE":
                return _wav(file, size)
            if start[:4] == b"fLaC":
                return _flac(file)
            if start[:4] == b"OggS":
                return _ogg(file, size)
    except BadInput as error:
        raise BadInput(f"audio file {path} {error}") from None
    except (struct.error, IndexError):
        raise BadInput(f"audio file {path} is cut: it ends within its header") from None
    except OSError as error:
        raise BadInput(f"audio file {path} cannot be read: {error.strerror or error}") from None
    remedy = f"convert it with: ffmpeg -i {path.name} {path.stem}-converted.wav"
    raise BadInput(f"audio file {path} cannot be read: {misnamed(path, ('WAV', 'FLAC', 'Ogg'), remedy)}")


def _chunks(file: BinaryIO, size: int, order: str) -> Iterator[tuple[bytes, int, int]]:
    """(name, where its content begins, stated size) of every chunk of a RIFF file, until one does not fit in."""
    at = 12
    while at + 8 <= size:
        file.seek(at)
        name, length = struct.unpack(order + "4sI", file.read(8))
        yield name, at + 8, length
        at += 8 + length + length % 2


def _wav(file: BinaryIO, size: int) -> AudioHeader:
    form = file.read(4)
    order = ">" if form == b"RIFX" else "<"
    found: dict[bytes, tuple[int, int]] = {}
    for name, at, length in _chunks(file, size, order):
        found.setdefault(name, (at, length))
        if name == b"data":
            break
    if b"data" not in found:
        raise BadInput("is cut or damaged: its header has no samples after it")
    if b"fmt " not in found:
        raise BadInput("is damaged: its header does not say the format of its samples")
    file.seek(found[b"fmt "][0])
    fields = struct.unpack(order + "HHIIHH", file.read(16))
    at, stated = found[b"data"]
    if b"ds64" in found and stated == 0xFFFF_FFFF:
        file.seek(found[b"ds64"][0] + 8)
        (stated,) = struct.unpack("<Q", file.read(8))
    codec, channels, rate, byte_rate, block, _ = fields
    if codec not in WAV_CODECS:
        raise BadInput(f"is a WAV with codec {codec:#x}, which is not read: convert it to PCM")
    if not (channels and rate and block and byte_rate):
        raise BadInput("is damaged: its header states a rate, a block or a number of channels of zero")
    bytes_per_second = rate * block if codec in (1, 3, 6, 7, 0xFFFE) else byte_rate
    there = size - at
    if 0 < stated < UNKNOWN or b"ds64" in found:
        if stated - there > SLACK * bytes_per_second:
            raise BadInput(
                f"is cut: its header states {stated / bytes_per_second:.2f} s of sound, "
                f"the file has {max(there, 0) / bytes_per_second:.2f} s"
            )
        _check_rest(file, size, at + stated + stated % 2, bytes_per_second, order)
        there = min(stated, there)
    return AudioHeader("WAV", rate, channels, there / bytes_per_second, None if stated or not there else at - 4)


def _check_rest(file: BinaryIO, size: int, at: int, bytes_per_second: int, order: str) -> None:
    """Raises BadInput where what follows the samples, from `at` on, may be more samples: neither chunks nor padding."""
    while size - at > max(SLACK * bytes_per_second, 1024):
        file.seek(at)
        name, length = struct.unpack(order + "4sI", file.read(8))
        if name in (b"RIFF", b"RIFX", b"RF64"):
            raise BadInput("holds two recordings, one after the other: make one of them with ffmpeg or sox")
        if not (name.isascii() and name.decode("ascii").isprintable() and at + 8 + length <= size + 1):
            file.seek(at)
            if name[:3] in (b"ID3", b"TAG") or not file.read(65536).strip(b"\0"):
                return
            raise BadInput(
                f"has {(size - at) / bytes_per_second:.2f} s more sound than its header states: "
                "convert it with ffmpeg or sox, which mend that"
            )
        at += 8 + length + length % 2


def _flac(file: BinaryIO) -> AudioHeader:
    head = file.read(42)  # 'fLaC', the head of the first block, STREAMINFO
    if len(head) < 42:
        raise BadInput("is cut: it ends within its header")
    (bits,) = struct.unpack(">Q", head[18:26])
    rate, channels, samples = bits >> 44, (bits >> 41 & 7) + 1, bits & (1 << 36) - 1
    if head[4] & 0x7F != 0 or not rate:
        raise BadInput("is damaged: its header states no sample rate")
    return AudioHeader("FLAC", rate, channels, samples / rate if samples else None)


def _ogg(file: BinaryIO, size: int) -> AudioHeader:
    at, number, serial, last, position, first = 0, 0, None, False, 0, b""
    while at < size:
        file.seek(at)
        magic, _, kind, granule, stream, page, _, segments = struct.unpack("<4sBBqIIIB", file.read(27))
        table = file.read(segments)
        if magic != b"OggS" or page != number or last:
            raise BadInput(f"is damaged: a part of it is missing or changed, at byte {at}")
        if serial not in (None, stream):
            raise BadInput("holds several streams: convert it with ffmpeg or sox")
        length = sum(table)
        if len(table) < segments or at + 27 + segments + length > size:
            raise BadInput("is cut: its last page is not whole")
        first = first or file.read(length)
        at, number, serial, last = at + 27 + segments + length, number + 1, stream, bool(kind & 4)
        position = max(position, granule)
    if not last:
        raise BadInput("is cut: its last page is not marked as the end")
    if first[:7] == b"\1vorbis":
        channels, rate = struct.unpack("<BI", first[11:16])
        coded = rate
    elif first[:8] == b"OpusHead":
        channels, (rate,), coded = first[9], struct.unpack("<I", first[12:16]), 48_000  # decoded at any of its rates
        rate = rate if rate in (8_000, 12_000, 16_000, 24_000) else 48_000
    else:
        raise BadInput("holds neither Vorbis nor Opus: convert it with ffmpeg")
    if not (rate and channels):
        raise BadInput("is damaged: its header states a rate or a number of channels of zero")
    return AudioHeader("Ogg", rate, channels, position / coded)


