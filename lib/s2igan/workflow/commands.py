"""The command line, `python -m s2igan`.

What imports torch, Snakemake or papermill is imported where it is used, so that a command starts at once.
"""

from __future__ import annotations

import errno
import os
import re
import sys
from pathlib import Path
from typing import Any

import click

from s2igan import BadInput, config
from s2igan.files import parse_json, project_root
from s2igan.reporting.text import one_line
from s2igan.workflow.distinctive import run_distinctive
from s2igan.workflow.notebook import run_notebook
from s2igan.workflow.run_study import run_study
from s2igan.workflow.study import systems_of
from s2igan.workflow.words import as_list, read_words

# What a file system says of a file that this user may not read or write, or that it cannot; no fault of this code.
REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO, errno.ESTALE, errno.ENOSPC, errno.EDQUOT)
FILE = click.Path(path_type=Path)
PARENT = click.option("--parent", type=int, metavar="PID", help="Stop when this process has ended.")


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit status: 0 done, 1 a notebook failed, 2 bad input, which is told in one line on stderr."""
    try:
        return commands.main(arguments, prog_name="python -m s2igan", standalone_mode=False) or 0
    except click.UsageError as error:
        said = one_line(error.format_message()).rstrip(".")
        where = error.ctx.command_path if error.ctx else "python -m s2igan"
        print(f"error: {said[:1].lower()}{said[1:]} ({where} --help)", file=sys.stderr)
    except BadInput as error:
        print(f"error: {one_line(str(error))}", file=sys.stderr)
    except OSError as error:
        if error.errno not in REFUSED or not error.filename:
            raise
        said = os.fsdecode(error.filename)
        print(f"error: {one_line(said)} cannot be read or written: {error.strerror}", file=sys.stderr)
    except click.Abort:
        return 130
    except (ImportError, MemoryError) as error:
        if "s2igan" in str(error) or "s2igan" in (getattr(error, "name", None) or ""):
            raise  # a fault of this code
        said = one_line(str(error)) or "memory ran out"
        print(f"error: {said}: is memory limited (ulimit -v), or {sys.prefix} not whole?", file=sys.stderr)
    return 2


@click.group(no_args_is_help=False, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def commands() -> None:
    """S2IGAN, from spoken descriptions to images: run its study, or generate images from a sentence of your own."""


@commands.command()
@click.option("--full", is_flag=True, help="Both synthetic data sets, the paper's systems, three seeds.")
@click.argument("given", metavar="[NAME=value]...", nargs=-1)
def study(given: tuple[str, ...], full: bool) -> int:
    """Run a study: what is missing of it or has changed.

    NAME is any parameter of lib/s2igan/config/settings.py, in any case, or one of

    \b
      DATASET(S)=mini-birds,...  SEED(S)=0,1,...  SYSTEM(S)=S2IGAN,...
                                 one or several, with commas
      PARAMS=file.yaml           more values; the command line overrides them
      CORES=2                    runs side by side; by default as many as there are cores
      DRY=1                      a dry run: every notebook at the preset's sizes, with few
                                 images and steps; says how much memory it took
      LIST=1                     only list what would be run
      CHECK=1                    only say what is in the data's folder and what is wrong
                                 there; CHECK=full reads every image and recording to its end
      TABLES=1                   end with tables and figures over all systems (--full does)

    A NAME without =value takes its value from the environment variable NAME.
    """
    return run_study(given, full)


@commands.command()
@click.argument("given", metavar="[NAME=value]...", nargs=-1)
def distinctive(given: tuple[str, ...]) -> int:
    """Test when the loss L_d helps SEN, on data harder in one way.

    Trains SEN with and without L_d in each condition and compares them. NAME: as for `study`: DATASET(S), SEED(S),
    CORES, LIST, PARAMS, and any parameter that the experiment does not set.
    """
    return run_distinctive(given)


@commands.command()
@click.argument("given", metavar="[NAME=value]...", nargs=-1)
def cost(given: tuple[str, ...]) -> int:
    """Count and time what the paper's tables cost in GPU hours.

    NAME is a parameter of lib/s2igan/config/settings.py, such as cost_gpu_hour=1.9, or SYSTEMS for other systems than
    the paper's. FLOPs are counted on the networks, steps are timed on this machine, at preset `paper` unless told
    otherwise.
    """
    values = {"preset": "paper", **read_words(given)}
    if "systems" in values:
        values["cost_systems"] = list(systems_of(as_list(values.pop("systems")))[1])
    values = {"dataset" if name == "datasets" else name: value for name, value in values.items()}
    folder = config.run_dir(config.resolve(values), "cost")
    os.chdir(project_root())
    return run_notebook(Path("notebooks/07_cost.ipynb"), folder / "07_cost.ipynb", values, label="cost")


@commands.command()
@click.argument("text", required=False, default="")
@click.option("--audio", metavar="FILE", default="", help="A recording (wav, flac, ogg) in place of a text.")
@click.option("--out", type=FILE, metavar="FILE.png", help="The images; by default named after the words.")
@click.option("--dataset", help="mini-flowers (the default) or mini-birds.")
@click.option("--weights", type=FILE, metavar="FOLDER", help="Other weights, or a study's results/<study>/<dataset>.")
@click.option("--voice", default="", help="Who speaks the text: en-us, en-gb, en-gb-scotland, en-us+f3, ...")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the noise.")
@click.option("--count", type=int, default=1, show_default=True, help="Number of images, each from other noise.")
@click.option("--stages", is_flag=True, help="Show the smaller stages too.")
def speak(
    text: str, audio: str, out: Path | None, dataset: str | None, weights: Path | None, voice: str, seed: int,
    count: int, stages: bool,
) -> None:  # fmt: skip
    """Generate images from a sentence, spoken or recorded.

    TEXT is such as "a flower with five blue petals". Trained networks are part of the repository.
    """
    check_source(text, audio, voice)
    out = default_out(text, audio) if out is None else checked_out(out, audio)
    check_numbers(count, seed)
    folder = weights_folder(weights, dataset)
    from s2igan.demo.load import load
    from s2igan.demo.speak import speak_to_file

    pipeline = load(folder)
    if dataset and pipeline.settings.dataset != dataset:
        raise BadInput(f"--dataset is {dataset}, but the weights in {folder} are of {pipeline.settings.dataset}")
    print(f"loaded {pipeline.name}, from {folder}")
    speak_to_file(pipeline, out, text, audio, voice, seed, count, stages)


def check_source(text: str, audio: str, voice: str) -> None:
    """Raises BadInput unless there is either a sentence or a recording."""
    if bool(text.strip()) == bool(audio):
        raise BadInput("give either a sentence or --audio, " + ("not both" if audio else "one of them"))
    if audio and voice:
        raise BadInput("--voice is for a sentence: a recording has its own")


def default_out(text: str, audio: str) -> Path:
    """A file named after the sentence or the recording, numbered where there is one already: a-red-rose-2.png."""
    words = re.findall(r"[a-z0-9]+", (Path(audio).stem if audio else text).lower())[:10]
    stem = "-".join(words)[:60] or "speech"
    names = (f"{stem}-{k}.png" if k > 1 else f"{stem}.png" for k in range(1, 10_000))
    return next((Path(name) for name in names if not Path(name).exists()), Path(f"{stem}.png"))


def checked_out(out: Path, audio: str) -> Path:
    """`out`. Raises BadInput if it cannot be the name of an image file."""
    if out.suffix.lower() != ".png" or os.path.isdir(out):
        raise BadInput(f"--out is {out}: it must be the name of a .png file")
    if audio and out.exists() and os.path.exists(audio) and os.path.samefile(out, audio):
        raise BadInput(f"--out is {out}: that is the recording itself")
    return out


def check_numbers(count: int, seed: int) -> None:
    """Raises BadInput for a number out of range."""
    if not 1 <= count <= 64:
        raise BadInput(f"--count is {count}: it must lie between 1 and 64")
    if not 0 <= seed < 2**32:
        raise BadInput(f"--seed is {seed}: it must lie between 0 and {2**32 - 1}")


def weights_folder(weights: Path | None, dataset: str | None) -> Path:
    """The folder of the networks, by default in this repository. Raises BadInput."""
    if dataset not in (None, *config.SYNTHETIC):
        known = " and ".join(config.SYNTHETIC)
        raise BadInput(f"--dataset is {dataset!r}: there are {known}; for another set give --weights")
    folder = weights or Path(os.path.relpath(project_root() / "results" / "reference" / "weights"))
    of_dataset = folder / (dataset or "mini-flowers")
    return of_dataset if not weights or of_dataset.is_dir() else folder  # `weights` may hold several sets


@commands.command()
@click.argument("notebook", type=FILE)
@click.option("--params", type=FILE, metavar="FILE", help="Parameters, a YAML file.")
@click.option("--values", metavar="JSON", default="{}", help="Parameters; they override the file.")
@click.option("--out", type=FILE, required=True, metavar="FILE", help="The executed notebook; params.yaml beside it.")
@click.option("--label", default="", help="What stands before each printed line.")
@click.option("--gpus", type=click.IntRange(0), default=0, help="How many GPUs the run takes for itself.")
@PARENT
def run(
    notebook: Path, params: Path | None, values: str, out: Path, label: str, gpus: int, parent: int | None
) -> int:  # fmt: skip
    """Run one notebook and show what it prints."""
    parameters = {**(config.from_yaml(params) if params else {}), **from_json(values)}
    return run_notebook(notebook, out, parameters, label, parent, gpus)


@commands.command()
@click.argument("stage", type=click.Choice(("sen", "rdg")))
@click.option("--values", metavar="JSON", required=True, help="Parameters.")
@PARENT
def train(stage: str, values: str, parent: int | None) -> int:
    """Train a stage in one of the processes that torchrun started."""
    from s2igan.workflow.train import run_training

    return run_training(stage, from_json(values), parent)


def from_json(values: str) -> dict[str, Any]:
    """Parameters in JSON. Raises BadInput for anything but an object."""
    parameters = parse_json(values, "--values")
    if not isinstance(parameters, dict):
        raise BadInput(f"--values is {values[:40]!r}: it must be a JSON object of names and values")
    return parameters


@commands.command()
@click.argument("folders", metavar="FOLDER[=NAME]...", nargs=-1, required=True)
def keep(folders: tuple[str, ...]) -> None:
    """Copy what the README shows to results/reference.

    FOLDER belongs to a finished study: results/<study>/<dataset>, with =NAME to keep it under another name, or
    results/<study>/tables or cost.
    """
    from s2igan.reporting.keep import keep, keep_tables

    reference = project_root() / "results" / "reference"
    for word in folders:
        folder, _, name = word.partition("=")
        if Path(folder).name in ("tables", "cost"):
            keep_tables(Path(folder), reference)
        else:
            keep(Path(folder), reference, name)


@commands.command()
@click.argument("given", metavar="[NAME=value]...", nargs=-1)
def verify(given: tuple[str, ...]) -> int:
    """Compare a finished study with results/reference, figure by figure.

    NAME: STUDY=mini, the study's name; DATASET(S)=mini-birds,... some of its data sets. A figure is equal, within the
    spread over the reference's seeds, or outside; the exit status is 1 where one is outside or a run's weights are not
    those that its figures were measured with.
    """
    from s2igan.reporting.verify import report, verify

    values = read_words(given)
    if unknown := values.keys() - {"study", "datasets"}:
        raise BadInput(f"parameter {min(unknown)!r} does not exist here: give STUDY or DATASET")
    names = as_list(values.get("datasets", ""))
    for name in names:
        config.resolve({"dataset": name})
    of_study = config.resolve({"study": values.get("study", "mini")}).study
    study, runs = (project_root() / "results" / name for name in (of_study, "reference/runs"))
    both = sorted(path.name for path in runs.glob("*") if (study / path.name).is_dir())
    names = names or both
    if not names:
        raise BadInput(f"{study} has no data set that {runs} has: `make study` makes one")
    found = {name: verify(study / name, runs / name) for name in names}
    print("\n\n\n".join(report(of, f"{study.name}, {name}") for name, of in found.items()))
    return 0 if all(of.agrees for of in found.values()) else 1


@commands.command()
@click.argument("folders", metavar="FOLDER...", type=FILE, nargs=-1, required=True)
@click.option("--seed", type=int, default=0, show_default=True, help="Whose runs are packed.")
def weights(folders: tuple[Path, ...], seed: int) -> None:
    """Pack networks into results/reference/weights.

    FOLDER is results/<study>/<dataset> of a finished study on a synthetic set.
    """
    from s2igan.demo import cards

    out = project_root() / "results" / "reference" / "weights"
    for folder in folders:  # before anything is written
        cards.runs_of(folder.absolute(), seed)
    for folder in folders:
        made = cards.export(folder, out, seed)
        print(f"{made}: {megabytes(made, '*.safetensors'):.1f} MB, each network with its card", flush=True)
    print(f"{out}: {megabytes(out, '*'):.1f} MB in all")


def megabytes(folder: Path, pattern: str) -> float:
    """The size of the files in a folder or below it."""
    return sum(path.stat().st_size for path in folder.rglob(pattern) if path.is_file()) / 1e6
