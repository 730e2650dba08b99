"""Options that several commands share, and what they mean."""

import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias, TypeVar

import typer

from fmgrid.cli.output import say
from fmgrid.errors import InputError, Place, Problem
from fmgrid.system.memory import available_cores
from fmgrid.system.paths import HomeError, expand_home
from fmgrid.words import command_line, printable

MAX_SEED = 2**31 - 1  # the largest that an experiment takes

if TYPE_CHECKING:
    from fmgrid.grid import Plan
    from fmgrid.hypotheses.records import Command, GridRecord

T = TypeVar("T")
NO_TIME_LIMIT = "cannot be kept with -j 0, where nobody could end the training; use -j 1"


def to_folder(text: str) -> Path:
    """Return the folder of this name, with ~ for the home folder."""
    return _to_path(text, "a folder")


def to_file(text: str) -> Path:
    """Return the file of this name, with ~ for the home folder."""
    return _to_path(text, "a file")


def _to_path(text: str, kind: str) -> Path:
    if not str(text):  # more often a variable that isn't set than the current folder
        raise typer.BadParameter(f"it is empty; name {kind}")
    try:
        return expand_home(str(text))
    except HomeError as error:
        raise typer.BadParameter(str(error)) from error


def to_name(text: str) -> str:
    """Return a run's name as it is, and with ~ expanded the folder of a run."""
    return str(_to_path(text, "a run")) if text.startswith("~") else text


Grids: TypeAlias = Annotated[
    list[Path],
    typer.Argument(
        metavar="GRID", help="Grid files, or folders with *.toml files in them.", parser=to_file
    ),
]
Folder: TypeAlias = Annotated[
    Path,
    typer.Argument(metavar="LOGDIR", help="The folder that holds the runs.", parser=to_folder),
]
Logdir: TypeAlias = Annotated[
    Path,
    typer.Option(
        "--logdir", metavar="LOGDIR", help="The folder that holds the runs.", parser=to_folder
    ),
]
ReportFolder: TypeAlias = Annotated[
    Path,
    typer.Option(
        "-o",
        "--output",
        metavar="FOLDER",
        help="The folder of the report; an older report in it is replaced.",
        parser=to_folder,
    ),
]
Set: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="SETTING=VALUE",
        help="Set this setting in all experiments, whatever the grids say (repeatable).",
    ),
]
Only: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--only",
        metavar="PATTERN",
        help="Take only experiments whose name matches, such as 'units_512_*' (repeatable).",
    ),
]
Seeds: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--seeds",
        metavar="0,1,2",
        help="Run every experiment with these seeds, instead of those in the grids.",
    ),
]
MaxRuns: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--max-runs", metavar="N", min=1, help="Refuse grids of more than N runs; default: 10000."
    ),
]
Jobs: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "-j",
        "--jobs",
        metavar="N",
        min=0,
        help="Train in N worker processes of one thread each; default: one per core. "
        "0 trains in fmgrid's own process, where breakpoint() works.",
    ),
]
DataDir: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        metavar="FOLDER",
        help="Read the four files of Fashion-MNIST from this folder.",
        parser=to_folder,
    ),
]
Timeout: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--timeout",
        metavar="60s",
        help="Kill a training that takes longer, and record it as timeout (60s, 5min, 2h).",
    ),
]
Memory: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--memory",
        metavar="2GB",
        help="Fail a training that allocates more; default: what the machine or container has.",
    ),
]
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


def load(
    grids: Sequence[Path],
    overrides: Sequence[str] | None,
    only: Sequence[str] | None,
    seeds: str | None,
    max_runs: int | None,
) -> "Plan":
    """Return what the options ask for: its experiments and hypotheses. Raises `InputError`."""
    from fmgrid.grid import MAX_RUNS, load_plan

    return load_plan(
        grids,
        overrides=overrides or (),
        only=only or (),
        seeds=None if seeds is None else _parse_seeds(seeds),
        max_runs=max_runs or MAX_RUNS,
    )


def run_command(
    grids: Sequence[Path], logdir: Path, given: Mapping[str, object], seeds: str | None
) -> "Command | None":
    """Return a run as the values that its grids are noted with."""
    from fmgrid.hypotheses.commands import to_command

    typed = {Path(word): word for word in sys.argv[1:] if word}  # which may end in "/"
    text = command_line(["fmgrid", *sys.argv[1:]])
    words = [typed.get(grid, str(grid)) for grid in grids]
    return to_command(text, words, logdir, given, _parse_seeds(seeds) if seeds else ())


def report_command(
    logdir: Path, output: Path, reference: Path | None, grids: Sequence[Path] | None
) -> str:
    """Return the command that makes a report, as typed unless a path leads out of this folder."""
    from fmgrid.hypotheses.commands import absolute, is_inside

    paths = [("--output", output), ("--reference", reference)]
    paths += [("--grid", grid) for grid in grids or ()]
    given = [(name, str(path)) for name, path in paths if path is not None]
    paths_given = [str(logdir), *(path for _, path in given)]
    if logdir != Path() and all(map(is_inside, paths_given)):
        return command_line(["fmgrid", *sys.argv[1:]])
    words = [word for name, path in given for word in (name, absolute(path))]
    return command_line(["fmgrid", "report", absolute(str(logdir)), *words])


def asked_by(grids: Sequence[Path]) -> "list[GridRecord]":
    """Return what grids ask now, for runs that they may not have been there for."""
    from fmgrid.grid import load_plan, to_asked

    return to_asked(load_plan(grids), datetime.now(UTC))


def count_workers(jobs: int | None) -> int:
    """Return how many workers to start: one a core unless asked for fewer, or for none."""
    cores = available_cores()
    if jobs is not None and jobs > cores:
        # Each worker keeps a core busy: more of them would only take turns.
        say(f"-j {jobs}: there are {cores} cores; running {cores} workers")
    return cores if jobs is None else min(jobs, cores)


def read_quantity(option: str, text: str | None, parse: Callable[[str], T | None]) -> T | None:
    """Return what an option such as "--timeout" says, None if it isn't given."""
    if text is None:
        return None
    found = parse(text)
    if found is None:
        wanted = {"--timeout": "a duration; write 60s, 5min or 2h"}
        problem = f"is not {wanted.get(option, 'a size; write 500MB or 2GB')}"
        raise InputError([Problem(Place(f"{option} {printable(text, 40)}"), "", problem)])
    return found


def _parse_seeds(text: str) -> list[int]:
    seeds = [_parse_seed(word.strip()) for word in text.split(",")]
    known = [seed for seed in seeds if seed is not None]
    if len(known) == len(seeds):
        return list(dict.fromkeys(known))
    problem = f"is not a list of whole numbers from 0 to {MAX_SEED}; write --seeds 0,1,2"
    raise InputError([Problem(Place(f"--seeds {printable(text, 100)}"), "", problem)])


def _parse_seed(word: str) -> int | None:
    """Return the seed that a word means, None if it means none."""
    digits = word.lstrip("0") or word[-1:]
    # The length is checked first, because int() refuses numbers of thousands of digits.
    if not (digits.isascii() and digits.isdigit()) or len(digits) > len(str(MAX_SEED)):
        return None
    seed = int(digits)
    return seed if seed <= MAX_SEED else None
