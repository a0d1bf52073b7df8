"""`python -m s2igan study NAME=value ...` runs the study (what `make study` calls); `python -m s2igan run` runs one notebook of it."""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import io
import json
import logging
import os
import resource
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import psutil
import yaml

from s2igan import BadInput, settings, study
from s2igan.fetch import complete

STUDY_HELP = """
NAME is any parameter of lib/s2igan/settings.py, in any case, or one of
  DATASET(S)=mini-birds,...   SEED(S)=0,1,...   SYSTEM(S)=S2IGAN,...   one or several, with commas
  PARAMS=file.yaml            further values, which those on the command line override
  CORES=2                     runs side by side; by default as many as there are cores
  DRY=1                       a trial: every notebook at the preset's sizes, but with few images and steps; says how much memory it took
  LIST=1                      only list what would be run
  TABLES=1                    end with the tables and figures over all systems (study-full does)
A NAME without =value takes its value from the environment variable NAME.
"""


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit status: 0 done, 1 a notebook failed, 2 bad input."""
    parser = Parser(prog="python -m s2igan", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    of_study = commands.add_parser("study", help="run a study", epilog=STUDY_HELP, formatter_class=argparse.RawDescriptionHelpFormatter)
    of_study.add_argument("--full", action="store_true", help="both embedded data sets, all systems, three seeds")
    of_study.add_argument("given", metavar="NAME=value", nargs="*")
    of_run = commands.add_parser("run", help="run one notebook and show what it prints, line by line")
    of_run.add_argument("notebook", type=Path)
    of_run.add_argument("--params", type=Path, metavar="FILE", help="parameters, a YAML file")
    of_run.add_argument("--values", metavar="JSON", help="parameters, which override those of the file; kept as params.yaml beside --out")
    of_run.add_argument("--out", type=Path, required=True, metavar="FILE", help="the executed notebook")
    of_run.add_argument("--label", default="", help="what stands before each printed line")
    of_run.add_argument("--parent", type=int, metavar="PID", help="stop when this process has ended")
    of_distinctive = commands.add_parser(
        "distinctive", help="when does L_d help SEN: it with and without L_d on data that are harder in one way each",
        epilog="NAME: as for `study`: DATASET(S), SEED(S), CORES, LIST, PARAMS, and any parameter that the experiment does not set itself.",
    )  # fmt: skip
    of_distinctive.add_argument("given", metavar="NAME=value", nargs="*")
    of_cost = commands.add_parser("cost", help="what the paper's tables cost in GPU hours: FLOPs counted, steps timed on this machine")
    of_cost.add_argument("given", metavar="NAME=value", nargs="*", help="a parameter of lib/s2igan/settings.py, such as cost_gpu_hour=1.9")
    of_train = commands.add_parser("train", help="train a stage in this process, one of those that torchrun started")
    of_train.add_argument("stage", choices=("sen", "rdg"))
    of_train.add_argument("--values", metavar="JSON", required=True, help="parameters")
    of_train.add_argument("--parent", type=int, metavar="PID", help="stop when this process has ended")
    of_keep = commands.add_parser("keep", help="copy what the README shows of finished studies to results/reference")
    of_keep.add_argument(
        "folder", nargs="+", metavar="FOLDER[=NAME]",
        help="results/<study>/<dataset>, =NAME to keep it by another name; or results/<study>/tables or cost",
    )  # fmt: skip
    of_weights = commands.add_parser("weights", help="pack the networks of finished studies into results/reference/weights")
    of_weights.add_argument("folder", nargs="+", type=Path, metavar="FOLDER", help="results/<study>/<dataset> of an embedded set")
    of_weights.add_argument("--seed", type=int, default=0, help="whose runs are packed (0)")
    add_speak(commands)
    options = parser.parse_args(arguments)
    try:
        if options.command == "keep":
            from s2igan.analysis import keep, keep_tables  # imports torch, which the study's process need not

            for word in options.folder:
                folder, _, name = word.partition("=")
                reference = find_root() / "results" / "reference"
                if Path(folder).name in ("tables", "cost"):
                    keep_tables(Path(folder), reference)
                else:
                    keep(Path(folder), reference, name)
            return 0
        if options.command == "weights":
            return pack_weights(options.folder, options.seed)
        if options.command == "speak":
            return run_speak(options)
        if options.command == "train":
            return run_training(options.stage, json.loads(options.values), options.parent)
        if options.command == "distinctive":
            return run_distinctive(options.given)
        if options.command == "cost":
            return run_cost(options.given)
        return run_study(options.given, options.full) if options.command == "study" else run_notebook(options)
    except BadInput as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


class Parser(argparse.ArgumentParser):
    """An argparse parser whose complaint is one line, as all others here; `--help` says more."""

    def error(self, message: str) -> NoReturn:
        """Ends the process with status 2."""
        print(f"error: {message} ({self.prog} --help)", file=sys.stderr)
        raise SystemExit(2)


# ---- speaking to finished networks -----------------------------------------------------------------------------------------------


def add_speak(commands: Any) -> None:
    """The words of `python -m s2igan speak`."""
    of_speak = commands.add_parser("speak", help="paint a sentence, spoken or recorded, with networks that are ready")
    of_speak.add_argument("text", nargs="?", default="", help='such as "a flower with five blue petals"')
    of_speak.add_argument("--audio", metavar="FILE", default="", help="a recording (wav, flac, ogg) in place of a text")
    of_speak.add_argument("--out", type=Path, required=True, metavar="FILE.png", help="the images, side by side")
    of_speak.add_argument("--dataset", help="mini-flowers (unless said otherwise) or mini-birds")
    of_speak.add_argument("--weights", type=Path, metavar="FOLDER", help="other weights, or a finished study's results/<study>/<dataset>")
    of_speak.add_argument("--voice", default="", help="who speaks the text: en-us, en-gb, en-gb-scotland, en-us+f3, ...")
    of_speak.add_argument("--seed", type=int, default=0, help="of the noise (0)")
    of_speak.add_argument("--count", type=int, default=1, help="images, each from a noise of its own (1)")
    of_speak.add_argument("--stages", action="store_true", help="show the smaller stages too")


def run_speak(options: argparse.Namespace) -> int:
    """Paints one sentence; returns the exit status. Raises BadInput for words that make no sense together."""
    if bool(options.text.strip()) == bool(options.audio):
        raise BadInput("give either a sentence or --audio, " + ("not both" if options.audio else "one of them"))
    if options.audio and options.voice:
        raise BadInput("--voice is for a sentence: a recording has its own")
    if options.out.suffix.lower() != ".png" or options.out.is_dir():
        raise BadInput(f"--out is {options.out}: it must be the name of a .png file")
    if options.audio and options.out.exists() and os.path.samefile(options.out, options.audio):
        raise BadInput(f"--out is {options.out}: that is the recording itself")
    if not 1 <= options.count <= 64:
        raise BadInput(f"--count is {options.count}: it must lie between 1 and 64")
    if not 0 <= options.seed < 2**32:
        raise BadInput(f"--seed is {options.seed}: it must lie between 0 and {2**32 - 1}")
    if options.dataset not in (None, *settings.EMBEDDED):
        raise BadInput(f"--dataset is {options.dataset!r}: there are {' and '.join(settings.EMBEDDED)}; for another set give --weights")
    folder = options.weights or Path(os.path.relpath(find_root() / "results" / "reference" / "weights"))
    of_dataset = folder / (options.dataset or "mini-flowers")
    if not options.weights or of_dataset.is_dir():  # a folder of several sets
        folder = of_dataset
    from s2igan import speaking  # imports torch

    painter = speaking.load(folder)
    if options.dataset and painter.settings.dataset != options.dataset:
        raise BadInput(f"--dataset is {options.dataset}, but the weights in {folder} are of {painter.settings.dataset}")
    print(f"loaded {painter.name}, from {folder}")
    speaking.speak(painter, options.out, options.text, options.audio, options.voice, options.seed, options.count, options.stages)
    return 0


def pack_weights(folders: list[Path], seed: int) -> int:
    """Packs each folder's networks; returns the exit status. Raises BadInput before anything is written if one of them lacks runs."""
    from s2igan import cards  # imports torch

    out = find_root() / "results" / "reference" / "weights"
    for folder in folders:
        cards.runs_of(folder.absolute(), seed)
    for folder in folders:
        made = cards.export(folder, out, seed)
        size = sum(path.stat().st_size for path in made.glob("*.safetensors"))
        print(f"{made}: {size / 1e6:.1f} MB, each network with its card", flush=True)
    print(f"{out}: {sum(path.stat().st_size for path in out.rglob('*') if path.is_file()) / 1e6:.1f} MB in all")
    return 0


# ---- one notebook ----------------------------------------------------------------------------------------------------------------


class Lines:
    """A text file that shows what is written to it as whole lines with a label before each."""

    def __init__(self, label: str) -> None:
        self.label, self.rest = label, ""

    def write(self, text: str) -> None:
        """Prints the lines that `text` completes."""
        *lines, self.rest = (self.rest + text).split("\n")
        for line in lines:
            print(f"[{self.label}] {line}", flush=True)

    def flush(self) -> None:
        """Lines are printed as they come."""


def run_notebook(options: argparse.Namespace) -> int:
    """Executes a notebook with papermill. Its error, if any, is one line on stderr."""
    if not options.notebook.is_file():
        raise BadInput(f"notebook {options.notebook} does not exist")
    parameters = settings.from_yaml(options.params) if options.params else {}
    parameters |= json.loads(options.values or "{}")
    settings.resolve(parameters)  # refuses unknown names before a kernel starts
    options.out.parent.mkdir(parents=True, exist_ok=True)
    (options.out.parent / "params.yaml").write_text(yaml.safe_dump(parameters, sort_keys=False))
    threads = str(parameters.get("threads", 1))
    os.environ.update(PYTHONHASHSEED="0", OMP_NUM_THREADS=threads, OPENBLAS_NUM_THREADS=threads, MKL_NUM_THREADS=threads)
    os.environ.update(OMP_WAIT_POLICY="PASSIVE", PYDEVD_DISABLE_FILE_VALIDATION="1")
    # The kernel of the running Python, whatever else is installed for the user.
    os.environ["JUPYTER_PATH"] = os.path.join(sys.prefix, "share", "jupyter")
    if options.parent:
        threading.Thread(target=stop_after, args=[options.parent], daemon=True).start()
    return stoppable(lambda: execute(options.notebook, options.out, parameters, options.label or options.out.parent.name))


def execute(notebook: Path, out: Path, parameters: dict[str, Any], label: str) -> int:
    """papermill.execute_notebook with plain lines; returns the exit status."""
    warnings.simplefilter("ignore")
    import papermill
    from nbclient.exceptions import DeadKernelError

    for name in ("papermill", "traitlets"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    started = time.monotonic()
    lines = Lines(label)
    lines.write("started\n")
    for attempt in (1, 2, 3):
        try:
            papermill.execute_notebook(
                str(notebook), str(out), parameters=parameters, kernel_name="python3", language="python",
                progress_bar=False, stdout_file=lines, extra_arguments=["--log-level=CRITICAL"],
            )  # fmt: skip
        except papermill.PapermillExecutionError as error:
            if error.ename == "BadInput":
                print(f"error: {error.evalue}", file=sys.stderr)
            else:
                print(f"error: {error.ename}: {str(error.evalue).strip()} ({label}: see {out})", file=sys.stderr)
            return 1
        except DeadKernelError:
            print(f"error: the process of {label} was killed, perhaps for lack of memory; see {out}", file=sys.stderr)
            return 1
        except RuntimeError as error:  # two kernels that start at once may pick the same port
            if "before replying to kernel_info" not in str(error) or attempt == 3:
                raise
        else:
            break
    lines.write(f"done in {time.monotonic() - started:.0f} s, at most {peak_memory():.1f} GiB of memory\n")
    return 0


def run_training(stage: str, parameters: dict[str, Any], parent: int | None) -> int:
    """A stage's training as its notebook does it, up to the last checkpoint; process 0 says and writes what there is to."""
    from s2igan import evaluate, parallel, rdg_training, runs, sen

    values = settings.resolve(parameters)
    if parent:
        threading.Thread(target=stop_after, args=[parent], daemon=True).start()
    parallel.start(runs.pick_device(values))
    runs.set_threads(values.threads)
    folder = settings.run_dir(values, stage)
    try:
        with contextlib.nullcontext() if parallel.rank() == 0 else contextlib.redirect_stdout(io.StringIO()):
            if stage == "sen":
                store, network, features, upstream = sen.load_inputs(values, ".")
                sen.train_sen(values, store, network, features, folder, upstream)
            else:
                store, net, speech, upstream = rdg_training.load_inputs(values, ".")
                watch = evaluate.watcher(store, evaluate.load_judges(values, "."), values, folder)
                rdg_training.train_rdg(values, store, net, speech, folder, upstream, watch)
    except RuntimeError as error:  # such as a loss that is not finite
        print(f"error: {error}", file=sys.stderr)
        return 1
    parallel.end()
    return 0


# ---- the study -------------------------------------------------------------------------------------------------------------------


def run_study(words: list[str], full: bool) -> int:
    """Checks what was given, runs Snakemake, and shows the tables and where everything is."""
    given = read_words(words)
    cores, listing, dry = given.pop("cores", None), is_on(given.pop("list", 0)), is_on(given.pop("dry", 0))
    if cores is not None and not (cores.isdecimal() and int(cores)):
        raise BadInput(f"parameter 'cores' is {cores!r}: it must be a whole number from 1 on")
    if "params" in given:
        given = {**study.in_plural(settings.from_yaml(given.pop("params"))), **given}
    given = {**(study.DEFAULTS_FULL if full else study.DEFAULTS), **(study.DRY if dry else {}), **given}
    if dry:  # in a folder of its own, beside the real study
        given["study"] = f"{given.get('study') or given.get('preset') or 'mini'}-dry"
    chosen = study.plan(given)
    study.check_folders(chosen)
    root = find_root()
    os.chdir(root)
    config = root / "results" / chosen.name / "study.yaml"  # what Snakemake reads, and a record of the last call
    config.parent.mkdir(parents=True, exist_ok=True)
    with alone(root / "results" / ".lock"):
        config.write_text(yaml.safe_dump(given, sort_keys=False))
        # Before Snakemake looks at the folders. LIST=1 DOWNLOAD=1 does nothing else.
        fetching = {name: values for name, values in chosen.of.items() if name in settings.FETCHED and (values.download or not listing)}
        if fetching and (status := stoppable(lambda: fetch_all(fetching))):
            return status
        if not listing:
            # Snakemake knows the settings of the runs that it made, not of those made by hand.
            for folder in study.runs_with_other_settings(chosen, root):
                (folder / "metrics.json").unlink()
        arguments = ["--snakefile", "Snakefile", "--configfile", str(config), "--cores", cores or str(usable_cores())]
        arguments += ["--rerun-incomplete", "--nolock", "--scheduler", "greedy"]
        if any(Path("/dev").glob("nvidia[0-9]*")):  # one run after the other on the GPUs, which all would share otherwise
            arguments += ["--resources", f"gpu={next(iter(chosen.of.values())).processes}"]
        arguments += ["--dry-run"] if listing else ["--quiet", "all"]
        events, memory = Events(), Memory()
        status = stoppable(lambda: snakemake(arguments, events))
        if status == 0 and events.jobs and not listing:
            took = {"runs": len(events.jobs), "seconds": round(time.time() - psutil.Process().create_time(), 1),
                    "peak_memory_gib": round(memory.peak / 2**30, 2)}  # fmt: skip
            (config.parent / "timing.json").write_text(json.dumps(took, indent=1) + "\n")
    if listing:
        print("".join(f"would run {job}\n" for job in events.jobs), end="")
    if status == 0 and not events.jobs:
        print("nothing to do: every run is up to date")
    if status == 0 and not listing:
        print_summary(chosen)
        if events.jobs:
            print(f"peak memory         {peak_memory():.1f} GiB, of one run")
    if dry and not listing:
        print("a dry run: of its figures none means anything")
    return status


def fetch_all(of: dict[str, settings.Settings]) -> int:
    """Completes the folders of public data sets; returns the exit status."""
    try:
        for dataset, values in of.items():
            complete(dataset, Path(values.data_dir).expanduser(), values.download)
    except BadInput as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def is_on(value: Any) -> bool:
    """Whether a switch such as DRY is on: 1, yes and true are; 0, no, false and nothing are not."""
    return str(value).lower() not in ("", "0", "no", "false")


def peak_memory() -> float:
    """GiB that the largest process among the finished ones below this one had."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20


def run_distinctive(words: list[str]) -> int:
    """A study of SEN with and without L_d for each of study.CONDITIONS, then the notebook that puts them side by side."""
    given = read_words(words)
    if "params" in given:
        given = {**study.in_plural(settings.from_yaml(given.pop("params"))), **given}
    if own := {"study", "systems", "tables", "dry", *(name for changes in study.CONDITIONS.values() for name in changes)} & set(given):
        raise BadInput(f"parameter {sorted(own)[0]!r} is the experiment's own: leave it out")
    given = {"datasets": study.DEFAULTS_FULL["datasets"], "seeds": study.DEFAULTS_FULL["seeds"], **given}
    if others := [name for name in study.as_list(given["datasets"]) if name not in settings.EMBEDDED]:
        raise BadInput(
            f"dataset {others[0]!r}: its classes and captions cannot be made harder; choose some of {', '.join(settings.EMBEDDED)}"
        )
    studies = {
        condition: {**given, **changes, "study": study.condition_study(condition), "systems": "SEN,SEN w/o L_d"}
        for condition, changes in study.CONDITIONS.items()
    }
    plans = [study.plan({n: value for n, value in values.items() if n not in ("list", "cores")}) for values in studies.values()]
    root = find_root()
    os.chdir(root)
    folder = root / "results" / "distinctive" / "tables"

    def train() -> int:
        for condition, values in studies.items():
            changes = study.CONDITIONS[condition]
            print(f"{condition}: {', '.join(f'{name}={value}' for name, value in changes.items()) or 'nothing changed'}", flush=True)
            words = [f"{name}={','.join(map(str, v)) if isinstance(v, list | tuple) else v}" for name, v in values.items()]
            if status := subprocess.run([sys.executable, "-m", "s2igan", "study", *words]).returncode:
                return status
        return 0

    status = stoppable(train)
    if status or is_on(given.get("list", 0)):
        return status
    values = {"study": "distinctive", "preset": given.get("preset", "mini"), "analysis_datasets": study.as_list(given["datasets"]),
              "analysis_runs": next(iter(plans[-1].of.values())).analysis_runs}  # fmt: skip
    notebook = Path("notebooks/05_distinctive_loss.ipynb")
    print(f"tables and figures: {folder}/", flush=True)
    return run_notebook(argparse.Namespace(
        notebook=notebook, params=None, values=json.dumps(values), out=folder / notebook.name, label="distinctive", parent=None
    ))  # fmt: skip


def run_cost(words: list[str]) -> int:
    """The notebook that counts and times every stage, at preset `paper` unless told otherwise."""
    values = {"preset": "paper", **{name.lower(): value for name, value in read_words(words).items()}}
    folder = settings.run_dir(settings.resolve(values), "cost")
    root = find_root()
    os.chdir(root)
    return run_notebook(argparse.Namespace(
        notebook=Path("notebooks/07_cost.ipynb"), params=None, values=json.dumps(values), out=folder / "07_cost.ipynb", label="cost",
        parent=None,
    ))  # fmt: skip


def read_words(words: list[str]) -> dict[str, Any]:
    """NAME=value, or NAME whose value the environment holds."""
    given = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            if name not in os.environ:
                raise BadInput(f"{word!r} is no NAME=value")
            value = os.environ[name]
        given[name] = value
    return study.in_plural(given)


def find_root() -> Path:
    """The folder at or above the current one that has a Snakefile."""
    for folder in (Path.cwd(), *Path.cwd().parents):
        if (folder / "Snakefile").is_file():
            return folder
    raise BadInput(f"no Snakefile in {Path.cwd()} or above: call this in the project's folder")


def usable_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Events(logging.Handler):
    """Keeps which jobs Snakemake starts and why, what it reports as errors, and how many jobs failed."""

    def __init__(self) -> None:
        super().__init__()
        self.jobs: list[str] = []
        self.errors: list[str] = []
        self.failed = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Called for each of Snakemake's messages."""
        event = str(getattr(record, "event", "")).lower()
        if event.endswith("job_info") and record.rule_name != "all":
            self.jobs.append(f"{record.rule_name} {' '.join(record.wildcards.values())} ({record.reason.split(':')[0]})")
        self.failed += event.endswith("job_error")
        if record.levelno >= logging.ERROR:
            self.errors.append(record.getMessage())


def snakemake(arguments: list[str], events: Events) -> int:
    """Snakemake in this process, silent but for errors of its own: a notebook that fails has said why."""
    from snakemake import cli

    logging.getLogger("snakemake").addHandler(events)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            cli.main(arguments)  # notebooks are other processes and not redirected
    except SystemExit as end:
        if end.code and not events.failed:
            print("error: " + "\n".join(events.errors), file=sys.stderr)
        return int(end.code or 0)
    return 0


class Memory(threading.Thread):
    """Looks each second how many bytes this process and all below it hold together, and keeps the most.

    What they share, such as torch's code, is counted once (Linux: proportional set size); elsewhere it counts for each of them.
    """

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak = 0
        self.start()

    def run(self) -> None:
        """Until the process ends."""
        while True:
            total = 0
            for process in (psutil.Process(), *psutil.Process().children(recursive=True)):
                with contextlib.suppress(psutil.NoSuchProcess):
                    total += held_by(process)
            self.peak = max(self.peak, total)
            time.sleep(1)


def held_by(process: psutil.Process) -> int:
    """Bytes of one process: its proportional share where the system says it, else all that it has in memory."""
    try:
        held = process.memory_full_info()
    except psutil.AccessDenied:
        held = process.memory_info()
    return getattr(held, "pss", held.rss)


def print_summary(chosen: study.Study) -> None:
    """The table of each data set, and where figures and executed notebooks are."""
    for dataset, values in chosen.of.items():
        folder = settings.run_dir(values, "analysis")
        print(f"\n{dataset}\n{(folder / 'table.md').read_text().strip()}\n")
        figures = sorted(path.name for path in folder.iterdir() if path.suffix in (".png", ".svg", ".pdf"))
        print(f"figures             {folder}/" + (f"  ({', '.join(figures)})" if figures else ""))
        print(f"executed notebooks  {folder.parent}/*/*.ipynb")
    if chosen.tables:
        print(f"\ntables of the paper {settings.run_dir(values, 'tables')}/")


@contextlib.contextmanager
def alone(path: Path):
    """Holds a lock on `path`, which ends with this process however that ends. Raises BadInput if another study holds it."""
    with open(path, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise BadInput("another study is running in this folder: wait for it or stop it") from None
        yield


# ---- processes -------------------------------------------------------------------------------------------------------------------


def stoppable(work: Callable[[], int]) -> int:
    """Runs `work` in a thread, so that Ctrl-C and kill end this process and all that it started at once.

    Snakemake would let running jobs finish and nbclient would wait for its kernel; what was cut off goes on from its checkpoint.
    """
    status: list[int] = []
    thread = threading.Thread(target=lambda: status.append(work()), daemon=True)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # as nohup sets it
            signal.signal(number, lambda number, _: stop(128 + number, "stopped: the next call goes on from here"))
    thread.start()
    thread.join()
    return status[0] if status else 1


def stop(status: int, message: str = "") -> None:
    """Ends this process and all that it started."""
    if message and sys.stderr.isatty():
        print(message, file=sys.stderr, flush=True)
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
    os._exit(status)


def stop_after(parent: int) -> None:
    """Waits for a process to end, then stops. A study that is killed would otherwise leave its notebooks running."""
    with contextlib.suppress(psutil.NoSuchProcess):
        while psutil.Process(parent).status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.5)
    stop(1)


if __name__ == "__main__":
    sys.exit(main())
