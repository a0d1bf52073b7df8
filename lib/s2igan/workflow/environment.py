"""The environment of a study's processes: no setting of the user's Python, Jupyter, IPython or matplotlib reaches them.

`prepare` comes before every other import, since another torch may stand in PYTHONPATH: nothing is imported here but the
standard library.
"""

from __future__ import annotations

import contextlib
import os
import site
import stat
import sys
import sysconfig
import tempfile
from collections.abc import Mapping
from pathlib import Path

LIBRARY = Path(__file__).resolve().parents[2]  # the folder that holds this package
# Of the variables that Python itself reads, those that change no result and no line of output.
KEPT = (
    "PYTHON", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX", "PYTHONUNBUFFERED", "PYTHONFAULTHANDLER",
    "PYTHONHASHSEED", "PYTHONIOENCODING", "PYTHONUTF8", "PYTHONSAFEPATH", "PYTHONNOUSERSITE",
)  # fmt: skip
LONGEST = 60  # characters of TMPDIR: a socket's whole path has 107 at most
INLINE = "module://matplotlib_inline.backend_inline"


def prepare() -> None:
    """Makes this process one of the study: its own Python path and encodings, short temporary and writable cache
    folders, open and patient standard streams.

    What Python reads at its start needs a second start, in the same process. The line that says so is on stderr.
    """
    for descriptor in (0, 1, 2):  # closed by the caller: the next file opened would become the standard output
        try:
            os.fstat(descriptor)
        except OSError:
            os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)
    try:
        os.getcwd()
    except OSError as error:
        print(f"error: the current folder cannot be used ({error.strerror}): change to another one", file=sys.stderr)
        sys.exit(2)
    wanted = with_own_python(os.environ)
    if wanted != dict(os.environ):
        left_out = sorted(set(foreign_paths(os.environ)))
        if left_out:
            with contextlib.suppress(OSError):
                os.write(2, f"note: not used of PYTHONPATH: {os.pathsep.join(left_out)}\n".encode(errors="replace"))
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], wanted)
    if sys.path and os.path.abspath(sys.path[0]) == os.getcwd() and Path.cwd() != LIBRARY:
        del sys.path[0]  # where `python -m` looks first, whatever files are there
    os.environ.update(with_own_folders(os.environ))
    os.environ.pop("MATPLOTLIBRC", None)
    os.environ["MPLBACKEND"] = "agg"
    os.environ["MPLCONFIGDIR"] = own_cache(os.environ, "matplotlib")


def foreign_paths(environment: Mapping[str, str]) -> list[str]:
    """The folders of PYTHONPATH that do not hold this package: other packages there are not those of the lock."""
    folders = environment.get("PYTHONPATH", "").split(os.pathsep)
    return [folder for folder in folders if folder and Path(os.path.realpath(folder)) != LIBRARY]


def with_own_python(environment: Mapping[str, str]) -> dict[str, str]:
    """`environment` without what makes Python another one; UTF-8 where the locale has another encoding."""
    kept = {
        name: value for name, value in environment.items()
        if not name.startswith("PYTHON") or name.startswith("PYTHON_") or name in KEPT
    }  # fmt: skip
    if kept.pop("PYTHONPATH", "") and foreign_paths(environment) != environment["PYTHONPATH"].split(os.pathsep):
        kept["PYTHONPATH"] = str(LIBRARY)
    if sys.getfilesystemencoding().lower() != "utf-8" or kept.get("PYTHONUTF8", "1") != "1":
        kept["PYTHONUTF8"] = "1"
    if site.ENABLE_USER_SITE and Path(sysconfig.get_path("purelib"), "torch").is_dir():
        kept["PYTHONNOUSERSITE"] = "1"  # the packages of the lock are here, those of ~/.local may be others
    return kept


def with_own_folders(environment: Mapping[str, str]) -> dict[str, str]:
    """What is missing or unusable of TMPDIR, HOME and XDG_CACHE_HOME, with other folders in their place."""
    more = {"TMPDIR": temporary_folder(environment)}
    home = os.path.expanduser("~")
    if not os.path.isabs(home) or not os.path.isdir(home):
        home = more["HOME"] = str(own_folder(more["TMPDIR"]))
    cache = environment.get("XDG_CACHE_HOME", "")
    cache = cache if os.path.isabs(cache) else os.path.join(home, ".cache")
    if not can_write(cache):
        cache = str(own_folder(more["TMPDIR"]) / "cache")
    return {**more, "XDG_CACHE_HOME": cache}


def temporary_folder(environment: Mapping[str, str]) -> str:
    """A folder for temporary files whose path is short enough for sockets in it: TMPDIR, if it is one."""
    named = [environment[name] for name in ("TMPDIR", "TEMP", "TMP") if environment.get(name)]
    for folder in map(os.path.abspath, [*named, "/tmp", "/var/tmp", environment.get("XDG_RUNTIME_DIR") or "/dev/shm"]):
        if len(os.fsencode(folder)) <= LONGEST and os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK):
            return folder
    return next(iter(named), "/tmp")


def own_folder(temporary: str) -> Path:
    """A folder of this user alone below `temporary`, the same for every call."""
    folder = Path(temporary, f"s2igan-{os.getuid()}")
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        state = os.lstat(folder)
        if stat.S_ISDIR(state.st_mode) and state.st_uid == os.getuid() and os.access(folder, os.W_OK | os.X_OK):
            return folder
    except OSError:
        pass
    return Path(tempfile.mkdtemp(prefix="s2igan-"))


def own_cache(environment: Mapping[str, str], name: str) -> str:
    """The folder of this project's files in the user's cache, which stay from run to run."""
    return os.path.join(environment["XDG_CACHE_HOME"], "s2igan", name)


def can_write(folder: str) -> bool:
    """Whether files can be made in `folder`, which is made where it is not there."""
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK | os.X_OK)


def kernel_environment(threads: int, environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """All variables of a notebook's process and of what it starts.

    Start-up files and configuration of the user's IPython, Jupyter and matplotlib lie in folders that it does not look
    into. Its caches stay from run to run.

    Args: threads: of one run. environment: of this process by default.
    """
    environment = os.environ if environment is None else environment
    base = with_own_python(environment)
    base |= with_own_folders(base)
    base = {name: value for name, value in base.items() if not name.startswith(("JUPYTER_", "IPYTHON"))}
    private = own_folder(base["TMPDIR"])
    base.pop("MATPLOTLIBRC", None)
    return base | {
        "MPLBACKEND": INLINE, "MPLCONFIGDIR": own_cache(base, "matplotlib"),
        "IPYTHONDIR": str(private / "ipython"), "JUPYTER_NO_CONFIG": "1",
        **{f"JUPYTER_{kind.upper()}_DIR": str(private / "jupyter" / kind) for kind in ("config", "data", "runtime")},
        # The kernel of the running Python, whatever else is installed for the user.
        "JUPYTER_PATH": os.path.join(sys.prefix, "share", "jupyter"),
        "PYTHONHASHSEED": "0", "PYTHONUTF8": "1", "PYTHONIOENCODING": "utf-8", "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        "OMP_WAIT_POLICY": "PASSIVE",
        **{f"{library}_NUM_THREADS": str(threads) for library in ("OMP", "OPENBLAS", "MKL")},
    }  # fmt: skip


def replace_environment(environment: Mapping[str, str]) -> None:
    """Makes `environment` that of this process and of what it starts from now on."""
    for name in set(os.environ) - set(environment):
        del os.environ[name]
    os.environ.update(environment)
