"""Downloads and archives of the public data sets, tried on small ones and a server of this process."""

import errno
import gzip
import hashlib
import io
import signal
import subprocess
import sys
import tarfile
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import scipy.io
from PIL import Image

from s2igan import BadInput
from s2igan.config import DOWNLOADABLE
from s2igan.data import download
from s2igan.data.download import Remote
from s2igan.data.sources import PUBLIC, complete, read_source


def archive(files, links=()):
    """The bytes of a .tgz of {path: bytes}."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        for name, target in links:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            tar.addfile(info)
    return out.getvalue()


def md5(content):
    return hashlib.md5(content).hexdigest()


@pytest.fixture
def server():
    """Serves `files`, with ranges; `asked` has each path and its Range.

    A path in `cut` breaks off after so many bytes, once.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            content = server.files.get(self.path)
            server.asked.append((self.path, self.headers.get("Range")))
            if content is None:
                self.send_error(404)
                return
            start = int(self.headers["Range"][6:-1]) if "Range" in self.headers else 0
            if start >= len(content):
                self.send_error(416)
                return
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            self.wfile.write(content[start : server.cut.pop(self.path, len(content))])
            self.close_connection = True

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.files, server.cut, server.asked = {}, {}, []
    server.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def remote(server, content, name="set.tgz", **more):
    return Remote(
        name,
        (f"{server.url}/{name}",),
        more.pop("md5", md5(content)),
        1,
        "set",
        (".txt",),
        "https://example.org/set",
        **more,
    )


def test_the_tables_name_every_file_of_both_layouts():
    assert set(PUBLIC) == set(DOWNLOADABLE)
    for files in (of_set.remotes for of_set in PUBLIC.values()):
        assert all(file.urls and file.page.startswith("https://") and file.megabytes > 0 for file in files)
        assert all(url.startswith("https://") for file in files for url in file.urls)
    assert {file.makes for file in PUBLIC["cub"].remotes} == {"CUB_200_2011", "cvpr2016_cub"}


def test_a_stopped_download_resumes(server, tmp_path):
    content = archive({"set/a.txt": bytes(np.random.default_rng(0).bytes(300_000))})
    server.files["/set.tgz"], server.cut["/set.tgz"] = content, 100_000
    with pytest.raises(
        BadInput, match=r"set.tgz could not be downloaded \(127.*Error\): get it by hand .*example.org/set.* into "
    ):
        download.fetch(remote(server, content), tmp_path)
    part = (tmp_path / "set.tgz.part").read_bytes()
    assert not (tmp_path / "set.tgz").exists() and part and content.startswith(part)
    download.fetch(remote(server, content), tmp_path)
    assert server.asked == [("/set.tgz", None), ("/set.tgz", f"bytes={len(part)}-")]
    assert [path.name for path in tmp_path.iterdir()] == ["set.tgz"] and (tmp_path / "set.tgz").read_bytes() == content
    (tmp_path / "set.tgz").rename(tmp_path / "set.tgz.part")  # whole, but stopped before it got its name
    download.fetch(remote(server, content), tmp_path)
    assert (tmp_path / "set.tgz").read_bytes() == content


def test_a_wrong_checksum_is_downloaded_again_once_and_then_refused(server, tmp_path):
    content = archive({"set/a.txt": b"new"})
    server.files["/set.tgz"] = content
    (tmp_path / "set.tgz.part").write_bytes(b"of an older version")
    download.fetch(remote(server, content), tmp_path)
    assert (tmp_path / "set.tgz").read_bytes() == content
    with pytest.raises(BadInput, match=r"other.tgz could not be downloaded .*wrong checksum"):
        server.files["/other.tgz"] = b"something else"
        download.fetch(remote(server, content, "other.tgz"), tmp_path)
    assert not list(tmp_path.glob("other*"))


def test_mirrors_are_tried_in_order_and_a_page_is_no_archive(server, tmp_path):
    content = archive({"set/a.txt": b"a"})
    server.files |= {"/page": b"<html>please confirm</html>", "/third": content}
    mirrors = tuple(f"{server.url}/{name}" for name in ("absent", "page", "third"))
    download.fetch(Remote("set.tgz", mirrors, None, 1, "set"), tmp_path)
    assert (tmp_path / "set.tgz").read_bytes() == content
    with pytest.raises(BadInput, match=r"HTTPError; .*sent a page in place of the file"):
        download.fetch(Remote("b.tgz", mirrors[:2], None, 1, "b"), tmp_path)


@pytest.mark.parametrize(
    ("files", "links", "line"),
    [
        ({"set/a.txt": b"a", "set/../../evil.txt": b"b"}, (), r"outside its folder \('set/../../evil.txt'\)"),
        ({"set//etc/../../../evil.txt": b"a"}, (), "would write outside its folder"),
        ({"set/a.txt": b"a"}, [("set/link.txt", "/etc/passwd")], r"holds a link or a device \('set/link.txt'\)"),
        ({"set/a.txt": b"a"}, [("set/link.txt", "a.txt")], r"holds a link or a device \('set/link.txt'\)"),
        ({"other/a.txt": b"a"}, (), "has no folder set"),
    ],
)
def test_archives_that_are_not_what_they_should_be_leave_nothing(tmp_path, files, links, line):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/set.tgz").write_bytes(archive(files, links))
    with pytest.raises(BadInput, match=line):
        download.unpack(tmp_path / "in/set.tgz", tmp_path / "in", "set", (".txt",))
    assert [path.name for path in tmp_path.rglob("*")] == ["in", "set.tgz"]


def test_a_header_that_tarfile_cannot_read_is_one_line(tmp_path):
    out, odd = io.BytesIO(), tarfile.TarInfo("set/a.txt")
    odd.pax_headers = {"GNU.sparse.size": "many"}
    with tarfile.open(fileobj=out, mode="w:gz", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(odd)
    (tmp_path / "set.tgz").write_bytes(out.getvalue())
    with pytest.raises(BadInput, match=r"set.tgz is damaged \(invalid literal for int.*'many'\): delete it"):
        download.unpack(tmp_path / "set.tgz", tmp_path, "set", (".txt",))


def test_a_header_with_an_absurd_size_ends(tmp_path):
    large = tarfile.TarInfo("other/b.bin")
    large.size = 2**62
    header = large.tobuf(tarfile.GNU_FORMAT)
    (tmp_path / "set.tgz").write_bytes(gzip.compress(header + bytes(10_000)))
    with pytest.raises(BadInput, match=r"set.tgz is damaged \(a header states more than there is\)"):
        download.unpack(tmp_path / "set.tgz", tmp_path, "set", (".txt",))


def test_an_absolute_path_lands_in_the_folder(tmp_path):
    (tmp_path / "set.tgz").write_bytes(archive({"/etc/set/a.txt": b"a"}))
    download.unpack(tmp_path / "set.tgz", tmp_path, "set", (".txt",))
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")) == [
        "set",
        "set.tgz",
        "set/a.txt",
    ]


KILLED = """
import os, signal, sys, tarfile
from pathlib import Path
from s2igan.data import download

copy, left = tarfile.copyfileobj, int(sys.argv[2])

def some(source, target, length=None, *more, **named):
    global left
    left -= 1
    if left:
        return copy(source, target, length, *more, **named)
    target.write(source.read(length // 2))
    target.flush()
    os.kill(os.getpid(), signal.SIGKILL)

tarfile.copyfileobj = some
folder = Path(sys.argv[1])
download.complete((download.Remote("set.tgz", (), None, 1, "set", (".txt",)),), folder)
"""


def test_an_unpacking_that_is_killed_is_done_again_from_the_start(tmp_path):
    files = {f"set/{name}/{k}.txt": bytes([k]) * 5000 for name in ("elm", "oak") for k in range(4)}
    (tmp_path / "set.tgz").write_bytes(archive(files))
    remotes = (Remote("set.tgz", (), None, 1, "set", (".txt",)),)
    for stopped_at in (3, 6):  # in the middle of a file of each class
        command = [sys.executable, "-c", KILLED, str(tmp_path), str(stopped_at)]
        assert subprocess.run(command, stdout=subprocess.DEVNULL).returncode == -signal.SIGKILL
        assert len(list(tmp_path.rglob("*.txt"))) == stopped_at and not (tmp_path / "set").exists()
    download.complete(remotes, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set", "set.tgz"]
    found = {path.relative_to(tmp_path).as_posix(): path.read_bytes() for path in tmp_path.rglob("*.txt")}
    assert found == files


def test_a_damaged_archive_and_a_full_disk_are_one_line_and_leave_nothing(tmp_path, monkeypatch):
    content = archive({f"set/{k}.txt": bytes(np.random.default_rng(k).bytes(5000)) for k in range(9)})
    for damaged in (content[:20_000], content[:20_000] + b"\0" * 9000 + content[29_000:], b"no archive"):
        (tmp_path / "set.tgz").write_bytes(damaged)
        with pytest.raises(BadInput, match=r"set.tgz is damaged .*delete it"):
            download.unpack(tmp_path / "set.tgz", tmp_path, "set", (".txt",))
        assert [path.name for path in tmp_path.iterdir()] == ["set.tgz"]
    (tmp_path / "set.tgz").write_bytes(content)
    with monkeypatch.context() as patch:
        patch.setattr(tarfile, "copyfileobj", lambda *a, **b: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
        with pytest.raises(BadInput, match=r"cannot unpack .*set.tgz.*No space left"):
            download.unpack(tmp_path / "set.tgz", tmp_path, "set", (".txt",))
    assert [path.name for path in tmp_path.iterdir()] == ["set.tgz"]
    download.unpack(tmp_path / "set.tgz", tmp_path, "set", (".txt",))
    assert len(list((tmp_path / "set").iterdir())) == 9
    with pytest.raises(BadInput, match=r"not enough disk for .*set.tgz: it needs about"):
        download.fetch(Remote("set.tgz", ("http://127.0.0.1/",), None, 10**12, "set"), tmp_path)


def flowers():
    """Oxford-102 in small, as its publishers' files: {name: bytes}; classes 1 and 2 are unseen, 30, 40 for training."""
    images, captions, labels = {}, {}, np.array([[1, 2, 1, 40, 2, 30, 30, 40]], np.uint8)
    for number, label in enumerate(labels[0], 1):
        out = io.BytesIO()
        Image.new("RGB", (40, 30 + number), (20 * number, 90, 60)).save(out, "JPEG")
        images[f"jpg/image_{number:05d}.jpg"] = out.getvalue()
        stem = f"cvpr2016_flowers/text_c10/class_{label:05d}/image_{number:05d}"
        captions |= {f"{stem}.txt": b"this flower is red\nit has petals\n", f"{stem}.t7": b"torch's"}
    tables = {}
    sets = {"trnid": [[4, 6]], "valid": [[7, 8]], "tstid": [[1, 2, 3, 5]]}
    for name, table in (("imagelabels.mat", {"labels": labels}), ("setid.mat", sets)):
        out = io.BytesIO()
        scipy.io.savemat(out, table)
        tables[name] = out.getvalue()
    return {"102flowers.tgz": archive(images), "cvpr2016_flowers.tar.gz": archive(captions), **tables}


def test_a_python_without_the_data_filter_unpacks_nothing(tmp_path, monkeypatch):
    (tmp_path / "set.tgz").write_bytes(archive({"set/a.txt": b"a"}))
    monkeypatch.delattr(tarfile, "data_filter")
    with pytest.raises(BadInput, match=r"cannot unpack .*set.tgz safely: use 3.11.4 or newer"):
        download.unpack(tmp_path / "set.tgz", tmp_path, "set", (".txt",))
    assert [path.name for path in tmp_path.iterdir()] == ["set.tgz"]


def test_oxford_is_downloaded_unpacked_and_read(server, tmp_path, monkeypatch):
    files = flowers()
    server.files = {f"/{name}": content for name, content in files.items()}
    small = tuple(
        Remote(r.name, (f"{server.url}/{r.name}",), md5(files[r.name]) if r.md5 else None, 1, r.makes, r.keep, r.page)
        for r in PUBLIC["oxford"].remotes
    )  # fmt: skip
    monkeypatch.setitem(PUBLIC, "oxford", replace(PUBLIC["oxford"], remotes=small))
    complete("oxford", tmp_path)  # nothing is downloaded unasked
    assert not server.asked and not list(tmp_path.iterdir())
    lines = []
    complete("oxford", tmp_path, downloads=True, progress=lines.append)
    assert [line.split("/")[-1] for line in lines] == ["102flowers.tgz", "cvpr2016_flowers.tar.gz"]
    source = read_source("oxford", tmp_path)
    assert (
        source.classes == ("class_00001", "class_00002", "class_00030", "class_00040")
        and source.split == ("test",) * 2 + ("train",) * 2
    )
    assert len(source.items) == 8 and source.items[0].texts == ("this flower is red", "it has petals")
    assert not list(tmp_path.rglob("*.t7"))
    asked = len(server.asked)
    complete("oxford", tmp_path, downloads=True)
    assert len(server.asked) == asked  # all is there

    (tmp_path / "102flowers.tgz").write_bytes(b"another")
    (tmp_path / "jpg").rename(tmp_path / "away")
    with pytest.raises(BadInput, match=r"102flowers.tgz is not the published one"):
        complete("oxford", tmp_path)


def test_other_data_sets_are_left_alone(tmp_path):
    complete("folder", tmp_path, downloads=True)
    assert not list(tmp_path.iterdir())
