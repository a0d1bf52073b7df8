"""Archives of public data sets: what lies in one, its tar and its gzip, and what lies where it is unpacked."""

import gzip
import io
import os
import tarfile

from mutations import INTERESTING, WORDS, damaged

from s2igan.data.download import Remote, complete

NAMES = ["set/a.txt", "./set/b/c.txt", "top/set/d.txt", "set/._a.txt", "set/a.lua", "other/e.txt", "set/b/f.txt"]
ODD = ["set/../../x.txt", "/set/x.txt", "set//etc/../x.txt", "set/../set/x.txt", "set/b", "set/a.txt/x.txt", "set/.txt"]
ODD += ["set/../../a\nb.txt", "set/a\nb.txt", "set/\x1b[31m.txt"]
ODD += ["set/" + word + ".txt" for word in WORDS] + ["set/\udcff.txt", "set/..txt", "set/./x.txt", "set/CON.txt"]
KINDS = [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE, tarfile.GNUTYPE_SPARSE]
KINDS += [tarfile.CONTTYPE, tarfile.AREGTYPE, b"Z"]
TARGETS = ["a.txt", "/etc/passwd", "../../../x", "set", "", "x" * 300]
PAX = ["path", "linkpath", "size", "mtime", "uid", "uname", "hdrcharset", "GNU.sparse.map", "GNU.sparse.size"]
PAX += ["GNU.sparse.major", "GNU.sparse.minor", "GNU.sparse.realsize", "GNU.sparse.name", "GNU.sparse.numblocks"]
VALUES = [*WORDS, "1", "0", "3", "10", "1,2", "0,5,7,1", str(2**62), "BINARY", "set/x.txt", "../../x.txt", "1.5"]


def originals(folder):
    return [(name, os.urandom(40) * 20) for name in NAMES]


def attempt(made, random, folder):
    members = [*made, *((random.choice(ODD), b"odd") for _ in range(random.choice([0, 0, 1, 3])))]
    tar = tar_of(random.sample(members, k=random.randrange(1, 1 + len(members))), random)
    change = random.randrange(4)
    if change == 0:
        tar = with_header_changed(tar, random)
    content = gzip.compress(damaged(tar, random) if change == 1 else tar, compresslevel=1, mtime=0)
    content = damaged(content, random) if change == 2 else content
    if random.random() < 0.05:
        content += random.choice([content, b"\0" * 600, b"more"])
    data = folder / "data"
    data.mkdir()
    (data / "set.tgz").write_bytes(content)
    kept = ["set.tgz"]
    if random.random() < 0.05:  # what an earlier call left
        (data / "set.unpacking").mkdir()
        (data / "set.unpacking/old.txt").write_bytes(b"old")
    try:
        complete((Remote("set.tgz", (), None, 1, "set", (".txt",)),), data, progress=str)
        kept.append("set")
    finally:
        if sorted(os.listdir(data)) != sorted(kept) or os.listdir(folder) != ["data"]:
            raise RuntimeError(f"left: {os.listdir(folder)}, {os.listdir(data)}")
    for at, folders, files in os.walk(data / "set"):
        odd = [name for name in folders + files if os.path.islink(os.path.join(at, name))]
        odd += [name for name in files if not name.endswith(".txt") or name.startswith("._")]
        odd += [name for name in files if os.stat(os.path.join(at, name)).st_mode & 0o7022]
        if odd:
            raise RuntimeError(f"unpacked: {odd}")


def tar_of(members, random):
    """The bytes of a tar of (name, content), some of them links, devices, or with headers of their own."""
    out = io.BytesIO()
    form = random.choice([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
    with tarfile.open(fileobj=out, mode="w", format=form, errors="surrogateescape") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            if random.random() < 0.1:
                info.type, info.linkname = random.choice(KINDS), random.choice(TARGETS)
                info.size = random.choice([0, info.size])
            if random.random() < 0.1:
                info.pax_headers = {random.choice(PAX): random.choice(VALUES) for _ in range(random.choice([1, 2, 3]))}
            if random.random() < 0.05:
                info.mode, info.uid, info.mtime = 0o7777, 2**21 - 1, 2**33 - 1
            try:
                tar.addfile(info, io.BytesIO(content))
            except (ValueError, UnicodeError):  # this format cannot hold it
                continue
    return out.getvalue()


def with_header_changed(tar, random):
    """`tar` with one field of a header changed and the header's checksum made right again."""
    out = bytearray(tar)
    starts = [at for at in range(0, len(out), 512) if out[at + 257 : at + 262] == b"ustar"]
    if not starts:
        return tar
    at = random.choice(starts)
    start, size = random.choice([(0, 100), (100, 8), (108, 8), (124, 12), (136, 12), (156, 1), (157, 100), (345, 155)])
    start, size = random.choice([(start, size), (386 + 24 * random.randrange(4), 12), (482, 13)])
    new = random.choice([*INTERESTING, *(word.encode() for word in VALUES), b"\x80" + bytes(10) + b"\1", b"7" * 9])
    new = random.choice([new, random.randbytes(size)])[:size]
    out[at + start : at + start + len(new)] = new
    out[at + 148 : at + 156] = b" " * 8
    out[at + 148 : at + 156] = b"%06o\0 " % sum(out[at : at + 512])
    return bytes(out)
