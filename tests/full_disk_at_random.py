"""What test_kill.py and `make kill-test` run: the disk becomes full at a random moment of a run, then has room again.

    python tests/full_disk_at_random.py STAGE FOLDER TIMES

FOLDER becomes a small disk in memory, which this process and those that it starts alone see; so nothing but `unshare`
of util-linux is needed. Where the system does not let it, one line says so, and the status is 77. A file beside the run
fills the disk but for a random part of what a whole run writes. Each run must end with one line that says what cannot
be written, and the same call must then end with the files of an uninterrupted run.
"""

import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from kill_at_random import said_in, tree, whole_run

SIZE = 400 * 2**20
SKIPPED = 77


def in_memory(folder: Path) -> None:
    """Starts this script again where `folder` is a disk of SIZE bytes in memory; ends where that is not allowed."""
    mounted = f"mount -t tmpfs -o size={SIZE} tmpfs "
    for options in ("-m", "-rm"):  # for root, and for others where the system has user namespaces
        if subprocess.run(["unshare", options, "sh", "-c", f'{mounted} "$0"', folder], capture_output=True).returncode:
            continue
        again = [sys.executable, *sys.argv]
        os.environ |= {"SAID_IN": tempfile.mkdtemp(dir=folder.parent)}
        os.execvp("unshare", ["unshare", options, "sh", "-c", f'{mounted} "$0" && exec "$@"', str(folder), *again])
    print(f"no disk in memory can be mounted on {folder} here", file=sys.stderr)
    sys.exit(SKIPPED)


def fill(folder: Path, but: int) -> Path:
    """A file that leaves `but` bytes of the disk."""
    ballast = folder / "ballast"
    with open(ballast, "wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, shutil.disk_usage(folder).free - but))
    return ballast


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def main(stage: str, folder: Path, times: int) -> int:
    """Returns how many runs ended otherwise than they should."""
    run, _, expected = whole_run(stage, folder)
    run.prepare(folder / "prepared")
    needed = size_of(folder / f"{stage}-whole") - size_of(folder / "prepared")
    moments, right, stopped = random.Random(stage), 0, 0
    for k in range(times):
        out = folder / f"{stage}-{k}"
        run.prepare(out)
        room = moments.randrange(needed)
        ballast = fill(folder, room)
        first = run.start(out).wait()
        said = said_in(out).read_text()
        lines = [line for line in said.splitlines() if "error" in line.lower()]
        one_line = len(lines) == 1 and lines[0].startswith("error: ") and "Traceback" not in said
        named = one_line and ("No space left" in lines[0] or "not enough disk" in lines[0])
        ballast.unlink()
        again = run.start(out).wait()
        found = tree(out) if again == 0 else {}
        fine = found == expected and (first == 0 or (named and first in (1, 2)))
        stopped += first != 0
        right += fine
        if not fine:
            others = {name for name in {*found, *expected} if found.get(name) != expected.get(name)}
            print(f"{out}: {room} of {needed} bytes; ended with {first}, {again}; other files: {sorted(others)}", said)
        print(f"{stage} {k + 1} of {times}: {stopped} stopped, {right} right", file=sys.stderr, flush=True)
        shutil.rmtree(out, ignore_errors=True)
    print(f"{stage}: {stopped} stopped by a full disk in one line, {right} of {times} the same files after it")
    return times - right


if __name__ == "__main__":
    place = Path(sys.argv[2]).absolute()
    if "SAID_IN" not in os.environ:
        place.mkdir(parents=True, exist_ok=True)
        in_memory(place)
    sys.exit(main(sys.argv[1], place, int(sys.argv[3])) and 1)
