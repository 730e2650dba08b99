"""Names and folders that people write -> the runs that they mean.

The name of an experiment means all of its runs, NAME_s1 the run of seed 1, and NAME_s0 that of
seed 0, whose folder is NAME.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from fmgrid.errors import DamagedFileError, InputError, StoreError
from fmgrid.experiment import Run
from fmgrid.hypotheses.commands import as_argument
from fmgrid.results.store import Store
from fmgrid.results.summary import StoredRun, read_runs
from fmgrid.words import command_line, counted, first_few, near_match


def locate(name: str, logdir: Path) -> tuple[Path, str]:
    """Return the log folder and the name of a run or experiment, given by its name or folder.

    Raises `InputError` for a folder that lies in no log folder.
    """
    path = logdir / name
    # Not Path.is_dir, which raises where it may not look.
    if Path(name).name != name and os.path.isdir(Path(name).parent):  # noqa: PTH112
        path = Path(os.path.abspath(name))  # noqa: PTH100 - without "." and "..", unlike pathlib's
        if path.parent == path.parent.parent:  # compare would read the whole disk
            raise InputError.at(name, "is no run: a log folder lies deeper; name a run")
    if os.path.islink(path):  # noqa: PTH114 - results have the name of the folder itself
        path = Path(os.path.realpath(path))
    return path.parent, path.name


def find_runs(name: str, runs: Sequence[StoredRun]) -> list[StoredRun]:
    """Return the runs of the experiment of this name, or else the run that it means, if any."""
    of_experiment = [run for run in runs if run.name == name]
    others = (run for run in runs if name in (run.run, run.folder, f"{run.name}_s{run.seed}"))
    return of_experiment or [*others][:1]


def hint_at(name: str, runs: Sequence[StoredRun]) -> str:
    """Return the name of an experiment or a run that was probably meant, or those there are."""
    experiments = list(dict.fromkeys(run.name for run in runs))
    near = near_match(name, [*experiments, *(run.run for run in runs)])
    there_are = f"there are {first_few(experiments)}" if experiments else "there are none"
    return f"did you mean {near}?" if near else there_are


def find_run(name: str, logdir: Path) -> Run:
    """Return the run of this name, or in this folder; of an experiment that of seed 0.

    Raises `InputError` if there is none, or several without that of seed 0.
    """
    root, run_name = locate(name, logdir)
    place = f"fmgrid show {name}"
    if run := _read(root / run_name):
        return run
    if (root / run_name).is_dir():
        status = command_line(["fmgrid", "status", as_argument(root)])
        raise InputError.at(place, f"is not finished; {status} names it")
    stored = [run for run in read_runs(root).runs if run.seed is not None]
    runs = find_runs(run_name, stored)
    if not runs:
        raise InputError.at(place, f"no such run in {root}; {hint_at(run_name, stored)}")
    first, *others = [run for run in runs if run.seed == 0] or runs
    run = None if others else _read(root / first.folder)
    if run is None:
        places = first_few([run.place for run in runs])
        raise InputError.at(place, f"means {counted(len(runs), 'run')}; name one of them: {places}")
    return run


def _read(folder: Path) -> Run | None:
    try:
        return Store(folder.parent).read(folder.name)
    except DamagedFileError as error:
        raise StoreError(str(error)) from error
