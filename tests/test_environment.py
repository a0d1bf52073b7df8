"""What a user's machine brings along: variables, folders, quotas, locks, closed streams."""

import builtins
import errno
import fcntl
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from small_sets import make_folder

from s2igan import BadInput
from s2igan.workflow import environment, machine
from s2igan.workflow.commands import main
from s2igan.workflow.lock import alone
from s2igan.workflow.notebook import sockets_folder

ROOT = Path(__file__).resolve().parents[1]


def cgroup(folder: Path, lines: str, **files: str) -> tuple[Path, Path]:
    """A made-up /sys/fs/cgroup with these files (__ for /), and a /proc/self/cgroup with these lines."""
    for name, content in files.items():
        path = folder / "cgroup" / name.replace("__", "/").replace("cpu_cfs", "cpu.cfs").replace("_max", ".max")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content + "\n")
    (folder / "self").write_text(lines)
    return folder / "cgroup", folder / "self"


@pytest.mark.parametrize(
    ("lines", "files", "cores"),
    [
        ("0::/\n", {}, 64),
        ("0::/\n", {"cpu_max": "200000 100000"}, 2),
        ("0::/a/b\n", {"a__cpu_max": "150000 100000", "a__b__cpu_max": "max 100000"}, 2),  # a parent's counts
        ("0::/a/b\n", {"cpu_max": "max 100000"}, 64),
        ("0::/a\n", {"a__cpu_max": "1000 100000"}, 1),
        ("4:cpu,cpuacct:/a\n", {"cpu__a__cpu_cfs_quota_us": "300000", "cpu__a__cpu_cfs_period_us": "100000"}, 3),
        ("4:cpu:/not/there\n", {"cpu__cpu_cfs_quota_us": "-1", "cpu__cpu_cfs_period_us": "100000"}, 64),
        ("nonsense\n", {"cpu_max": "what ever"}, 64),
    ],
)
def test_a_cpu_quota_counts(lines, files, cores, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
    assert machine.usable_cores(*cgroup(tmp_path, lines, **files)) == cores


def test_a_memory_limit_counts(tmp_path):
    whole = machine.usable_memory(tmp_path / "none", tmp_path / "none")
    assert machine.usable_memory(*cgroup(tmp_path, "0::/a\n", a__memory_max=str(2**30), memory_max="max")) == 2**30
    assert machine.usable_memory(*cgroup(tmp_path, "0::/b\n", b__memory_max=str(2**70))) == whole
    (tmp_path / "cgroup/memory").mkdir()
    (tmp_path / "cgroup/memory/memory.limit_in_bytes").write_text(f"{2**31}\n")
    assert machine.usable_memory(*cgroup(tmp_path, "3:memory:/docker/1\n")) == 2**31
    assert [machine.cores_for("mini", 1, 64, gib * 2**30) for gib in (1, 8, 1000)] == [1, 5, 64]
    assert machine.cores_for("mini", 4, 64, 8 * 2**30) == 20


def test_the_temporary_folder_is_short_and_there(tmp_path):
    long = tmp_path / ("x" * 160)
    long.mkdir()
    for named in (str(long), str(tmp_path / "none"), "", str(Path(__file__))):
        folder = environment.temporary_folder({"TMPDIR": named})
        assert len(folder) <= environment.LONGEST and os.access(folder, os.W_OK)
    assert environment.temporary_folder({"TMPDIR": "/var/tmp"}) == "/var/tmp"


def test_sockets_lie_in_a_folder_of_each_process_and_do_not_stay(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    with sockets_folder(str(tmp_path)) as folder:
        left, alive = folder.with_name(str(ended.pid)), folder.with_name(str(os.getppid()))
        for other in (left, alive):
            other.mkdir(exist_ok=True)
            (other / "kernel-1").touch()
        with sockets_folder(str(tmp_path)) as again:
            assert again == folder and folder.is_dir() and alive.is_dir() and not left.exists()
    assert not folder.exists()
    (alive / "kernel-1").unlink()
    alive.rmdir()


def test_another_package_in_pythonpath_is_left_out_and_so_is_what_changes_python():
    library = str(ROOT / "lib")
    given = {"PYTHONPATH": f"/other:{library}", "PYTHONOPTIMIZE": "2", "PYTHONHOME": "/other", "PYTHONUNBUFFERED": "1"}
    kept = environment.with_own_python({**given, "PATH": "/bin"})
    assert kept == {"PYTHONPATH": library, "PYTHONUNBUFFERED": "1", "PATH": "/bin"}
    assert environment.with_own_python({"PYTHONPATH": "/other"}) == {}
    assert environment.with_own_python(kept) == kept
    assert environment.foreign_paths(given) == ["/other"]


def run(words, folder, **more) -> subprocess.CompletedProcess:
    given = {**os.environ, "PYTHONPATH": str(ROOT / "lib"), **more}
    return subprocess.run(
        [sys.executable, "-m", "s2igan", *words], cwd=folder, env=given, capture_output=True, text=True, timeout=60
    )


def test_fakes_of_packages_are_not_imported(tmp_path):
    for name in ("click", "torch", "yaml", "numpy"):
        for folder in (tmp_path / "path", tmp_path / "here"):
            (folder / name).mkdir(parents=True)
            (folder / name / "__init__.py").write_text("raise SystemExit(99)")
    ran = run(["study", "SEEDS=é"], tmp_path / "here", PYTHONPATH=f"{tmp_path / 'path'}:{ROOT / 'lib'}", LC_ALL="POSIX",
              PYTHONUTF8="0", PYTHONIOENCODING="ascii")  # fmt: skip
    note, error = ran.stderr.splitlines()
    assert note == f"note: not used of PYTHONPATH: {tmp_path / 'path'}"
    assert (ran.returncode, error.split(":")[:2]) == (2, ["error", " parameter 'seeds' is '\\xe9'"])


@pytest.mark.parametrize(
    ("redirected", "status", "said"),
    [
        ("--help >/dev/full", 2, "error: cannot write to the standard output: No space left on device\n"),
        ("--help >&-", 0, ""),
        ("study SEEDS=x 2>&-", 2, ""),
        ("study SEEDS=x 2>/dev/full", 2, ""),
        ("study SEEDS=x >&- 2>&- <&-", 2, ""),
        ("--help | true", 0, ""),
    ],
)
def test_standard_streams_that_are_closed_or_full(redirected, status, said, tmp_path):
    command = f"{sys.executable} -m s2igan {redirected}"
    given = {**os.environ, "PYTHONPATH": str(ROOT / "lib")}
    ran = subprocess.run(command, shell=True, cwd=tmp_path, env=given, capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stderr) == (status, said)


def test_a_current_folder_that_is_gone_is_one_line(tmp_path):
    command = f"mkdir gone && cd gone && rmdir ../gone && {sys.executable} -m s2igan study LIST=1"
    ended = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2 and "error: the current folder cannot be used" in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr


def test_a_limit_of_memory_is_one_line(tmp_path):
    """torch, which CHECK=1 imports in a thread, needs more address space."""
    make_folder(tmp_path / "trees")
    command = f"ulimit -v 1500000; exec {sys.executable} -m s2igan study DATASET=folder DATA_DIR=trees CHECK=1"
    (tmp_path / "Snakefile").touch()
    ended = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2 and "is memory limited (ulimit -v)" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_a_lock_is_held_once(tmp_path):
    path = tmp_path / ".lock"
    with alone(path), pytest.raises(BadInput, match="another study is running"), alone(path):
        pass
    with alone(path):
        pass


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks(number, tmp_path, monkeypatch, capsys):
    def none(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", none)
    with alone(tmp_path / ".lock"):
        assert "no locks on the file system" in capsys.readouterr().err
        with pytest.raises(BadInput, match="another study is running"), alone(tmp_path / ".lock"):
            pass
    ended = subprocess.Popen(["true"])
    ended.wait()
    with alone(tmp_path / ".lock"):
        content = (tmp_path / ".lock-file").read_text()
    (tmp_path / ".lock-file").write_text(content.replace(str(os.getpid()), str(ended.pid)))  # left by a killed study
    with alone(tmp_path / ".lock"):
        pass


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_a_lock_that_cannot_be_written_is_one_line(number, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(BadInput, match=r"cannot write .*lock"), alone(tmp_path / ".lock"):
        pass


def without_rights(monkeypatch, name: str) -> None:
    """Makes this user one who may not open files and folders of this name, nor see what is in such a folder."""

    def refusing(call, itself):
        def refuse(path=".", *more, **named):
            parts = () if isinstance(path, int) else Path(os.fsdecode(path)).absolute().parts
            if name in (parts if itself else parts[:-1]):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fsdecode(path))
            return call(path, *more, **named)

        return refuse

    allowed = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: name not in Path(path).parts and allowed(path, mode))
    for call in ("stat", "open", "listdir", "scandir", "mkdir"):
        monkeypatch.setattr(os, call, refusing(getattr(os, call), itself=call in ("open", "listdir", "scandir")))
    monkeypatch.setattr(builtins, "open", refusing(open, True))
    monkeypatch.setattr(io, "open", refusing(io.open, True))


@pytest.mark.parametrize(
    ("name", "words", "said"),
    [
        ("runs.csv", ["keep", "results/toy/mini-birds"], "analysis/runs.csv cannot be read: Permission"),
        ("toy", ["verify", "STUDY=toy"], "results/toy/mini-birds cannot be read or written: Permission denied"),
        ("metrics.json", ["study", "STUDY=toy"], "data/metrics.json may not be read: give yourself"),
        ("index.json", ["study", "STUDY=toy"], "file data/toy/mini-flowers/index.json may not be read"),
        ("data", ["study", "STUDY=toy"], "folder {here}/results/toy/mini-birds/data may not be read and written: give"),
        ("toy", ["study", "STUDY=toy", "LIST=1"], "folder {here}/results/toy may not be read: give yourself the right"),
        ("results", ["study", "STUDY=toy"], "cannot write {here}/results"),
        ("sen.safetensors", ["speak", "a rose", "--weights", "results/toy"], "sen.safetensors cannot be read"),
        ("trees", ["study", "DATASET=folder", "DATA_DIR=trees", "CHECK=1"], "cannot be read"),
        ("captions", ["study", "DATASET=folder", "DATA_DIR=trees", "CHECK=1"], "folder trees/captions cannot be read"),
    ],
)
def test_what_may_not_be_read_or_written_is_one_line(name, words, said, tmp_path, monkeypatch, capsys):
    files = ["Snakefile", "results/toy/mini-birds/analysis/runs.csv", "results/toy/mini-birds/data/metrics.json"]
    files += ["data/toy/mini-flowers/index.json", "results/toy/sen.safetensors", "results/reference/runs/mini-birds/x"]
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    make_folder(tmp_path / "trees")
    monkeypatch.chdir(tmp_path)
    before = {path for path in tmp_path.rglob("*") if path.name != ".lock"}
    with monkeypatch.context() as patch:
        without_rights(patch, name)
        assert main(words) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ") and err.count("\n") == 1 and said.format(here=tmp_path) in err, err
    assert {path for path in tmp_path.rglob("*") if path.name != ".lock"} == before


@pytest.mark.parametrize("home", [None, "none", "read-only"])
def test_without_a_home_that_can_be_written_a_sentence_is_spoken_in_silence(home, tmp_path, monkeypatch):
    if home == "read-only":
        (tmp_path / home).mkdir(mode=0o500)
        if os.access(tmp_path / home, os.W_OK):  # root, whom permissions do not bind: no folder can be made in a file
            (tmp_path / home).rmdir()
            (tmp_path / home).mkdir()
            (tmp_path / home / ".config").touch()
            (tmp_path / home / ".cache").touch()
    for name in ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "MPLCONFIGDIR"):
        monkeypatch.delenv(name, raising=False)
    given = {"HOME": str(tmp_path / home)} if home else {}
    ran = run(["speak", "a red flower", "--out", str(tmp_path / "a.png")], ROOT, TMPDIR="/tmp", **given)
    assert (ran.returncode, ran.stderr) == (0, "") and (tmp_path / "a.png").is_file()
