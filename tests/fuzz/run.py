"""Gives damaged files to every reader of the library. Each must be read, or refused in one line.

    python tests/fuzz/run.py [READER ...] [INPUTS=10000] [SEED=0] [KEEP=folder]

A reader is a module of this folder with two functions: `originals(folder)` makes valid files once and returns them;
`attempt(originals, random, folder)` damages one, puts it into the empty `folder`, and reads it with the library. An
attempt is right if it returns, or raises BadInput with one line. Anything else counts, as do 10 seconds, 2 GiB and a
crash of the interpreter. The attempt with number n follows from SEED and n alone. KEEP keeps the files of the failures.
"""

import contextlib
import faulthandler
import importlib
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path

READERS = sorted(
    path.stem for path in Path(__file__).parent.glob("*.py") if path.stem not in ("run", "mutations", "__init__")
)
SECONDS, MEMORY, EACH = 10, 2 * 2**30, 250  # of an attempt; attempts that share a process


class TooSlow(BaseException):
    """Not an Exception: a reader that takes those for damage must not take this one."""


def one(reader, made, seed: int, number: int, folder: Path) -> str:
    """Makes one attempt. Returns '' if it is right, else what happened."""
    from s2igan import BadInput

    folder.mkdir(parents=True)
    signal.alarm(SECONDS)
    try:
        reader.attempt(made, random.Random(f"{seed} {number}"), folder)
    except BadInput as error:
        return "" if str(error).strip() and "\n" not in str(error) else f"more than a line: {str(error)[:300]!r}"
    except BaseException as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__}: {str(error)[:200]} ({where.filename}:{where.lineno})"
    finally:
        signal.alarm(0)
    return ""


def several(reader, made, seed: int, numbers: range, folder: Path, keep: Path | None, said: int) -> None:
    """A process: makes attempts, and writes to the file `said` the number of each before it and what is wrong after."""
    signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(TooSlow(f"more than {SECONDS} s")))
    warnings.simplefilter("ignore")
    faulthandler.disable()
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    for number in numbers:
        where = folder / str(number)
        os.write(said, f"{number}\t".encode())
        wrong = one(reader, made, seed, number, where)
        more = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - used
        if not wrong and more > MEMORY:
            wrong = f"{more / 2**30:.1f} GiB"
        os.write(said, (wrong.replace("\n", " ").replace("\t", " ") + "\n").encode())
        if wrong and keep:
            shutil.copytree(where, keep / f"{reader.__name__}-{seed}-{number}", dirs_exist_ok=True)
        shutil.rmtree(where, ignore_errors=True)
        if wrong:
            break  # the next process starts with clean memory and files


def fuzz(name: str, inputs: int, seed: int, keep: Path | None = None, processes: int = 1) -> dict[int, str]:
    """{number of an attempt: what went wrong with it} over `inputs` attempts of a reader."""
    reader = importlib.import_module(name)
    wrong: dict[int, str] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "originals").mkdir()
        made = reader.originals(folder / "originals")
        todo = [range(start, min(start + EACH, inputs)) for start in range(0, inputs, EACH)]
        running: dict[int, tuple[range, Path]] = {}
        while todo or running:
            while todo and len(running) < processes:
                numbers = todo.pop()
                said = folder / f"said-{numbers.start}"
                child = os.fork()
                if not child:
                    with contextlib.suppress(BaseException):
                        file = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
                        several(reader, made, seed, numbers, folder / f"run-{numbers.start}", keep, file)
                    os._exit(0)
                running[child] = numbers, said
            child, status = os.wait()
            numbers, said = running.pop(child)
            rows = [line.split("\t") for line in said.read_text(errors="replace").splitlines()] if said.exists() else []
            for row in rows:
                if len(row) > 1 and row[1]:
                    wrong[int(row[0])] = row[1]
            last = int(rows[-1][0]) if rows else numbers.start
            if status:
                wrong[last] = f"the interpreter died of signal {status & 127}"
            if last + 1 < numbers.stop:  # one went wrong: the rest in another process
                todo.append(range(last + 1, numbers.stop))
            said.unlink(missing_ok=True)
            shutil.rmtree(folder / f"run-{numbers.start}", ignore_errors=True)
    return wrong


def main(words: list[str]) -> int:
    given = dict(word.split("=", 1) for word in words if "=" in word)
    names = [word for word in words if "=" not in word] or READERS
    if unknown := [*(set(given) - {"INPUTS", "SEED", "KEEP"}), *(set(names) - set(READERS))]:
        sys.exit(f"{unknown[0]!r} is neither INPUTS, SEED, KEEP nor one of {', '.join(READERS)}")
    keep = Path(given["KEEP"]) if given.get("KEEP") else None
    inputs, seed, total = int(given.get("INPUTS", 10_000)), int(given.get("SEED", 0)), 0
    for name in names:
        started = time.monotonic()
        wrong = fuzz(name, inputs, seed, keep, len(os.sched_getaffinity(0)))
        total += len(wrong)
        print(f"{name:16} {inputs} inputs, {len(wrong)} wrong, {time.monotonic() - started:.0f} s", flush=True)
        for number, what in sorted(wrong.items())[:20]:
            print(f"    {number}: {what}")
    return int(total > 0)


if __name__ == "__main__":
    for name in ("OMP", "OPENBLAS", "MKL"):
        os.environ[f"{name}_NUM_THREADS"] = "1"
    sys.exit(main(sys.argv[1:]))
