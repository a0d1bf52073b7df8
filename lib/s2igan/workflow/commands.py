"""`python -m s2igan study NAME=value ...` runs the study (what `make study` calls); `python -m s2igan run` runs one notebook of it."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any, NoReturn

from s2igan import BadInput, config
from s2igan.data.files import project_root
from s2igan.workflow.distinctive import run_distinctive
from s2igan.workflow.notebook import run_notebook
from s2igan.workflow.run_study import read_words, run_study

STUDY_HELP = """
NAME is any parameter of lib/s2igan/config/settings.py, in any case, or one of
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
    of_cost.add_argument("given", metavar="NAME=value", nargs="*", help="a parameter of lib/s2igan/config/settings.py, such as cost_gpu_hour=1.9")
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
            from s2igan.reporting.keep import keep, keep_tables  # imports torch, which the study's process need not

            for word in options.folder:
                folder, _, name = word.partition("=")
                reference = project_root() / "results" / "reference"
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
            from s2igan.workflow.train import run_training

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
    if options.dataset not in (None, *config.SYNTHETIC):
        raise BadInput(f"--dataset is {options.dataset!r}: there are {' and '.join(config.SYNTHETIC)}; for another set give --weights")
    folder = options.weights or Path(os.path.relpath(project_root() / "results" / "reference" / "weights"))
    of_dataset = folder / (options.dataset or "mini-flowers")
    if not options.weights or of_dataset.is_dir():  # a folder of several sets
        folder = of_dataset
    from s2igan.demo.load import load  # imports torch
    from s2igan.demo.speak import speak_to_file

    pipeline = load(folder)
    if options.dataset and pipeline.settings.dataset != options.dataset:
        raise BadInput(f"--dataset is {options.dataset}, but the weights in {folder} are of {pipeline.settings.dataset}")
    print(f"loaded {pipeline.name}, from {folder}")
    speak_to_file(pipeline, options.out, options.text, options.audio, options.voice, options.seed, options.count, options.stages)
    return 0


def pack_weights(folders: list[Path], seed: int) -> int:
    """Packs each folder's networks; returns the exit status. Raises BadInput before anything is written if one of them lacks runs."""
    from s2igan.demo import cards  # imports torch

    out = project_root() / "results" / "reference" / "weights"
    for folder in folders:
        cards.runs_of(folder.absolute(), seed)
    for folder in folders:
        made = cards.export(folder, out, seed)
        size = sum(path.stat().st_size for path in made.glob("*.safetensors"))
        print(f"{made}: {size / 1e6:.1f} MB, each network with its card", flush=True)
    print(f"{out}: {sum(path.stat().st_size for path in out.rglob('*') if path.is_file()) / 1e6:.1f} MB in all")
    return 0


def run_cost(words: list[str]) -> int:
    """The notebook that counts and times every stage, at preset `paper` unless told otherwise."""
    values = {"preset": "paper", **{name.lower(): value for name, value in read_words(words).items()}}
    folder = config.run_dir(config.resolve(values), "cost")
    root = project_root()
    os.chdir(root)
    return run_notebook(argparse.Namespace(
        notebook=Path("notebooks/07_cost.ipynb"), params=None, values=json.dumps(values), out=folder / "07_cost.ipynb", label="cost",
        parent=None,
    ))  # fmt: skip
