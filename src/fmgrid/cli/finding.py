"""Names and folders that people write -> the runs that they mean.

The name of an experiment means all of its runs, NAME_s1 the run of seed 1, and NAME_s0 that of
seed 0, whose folder is NAME.
"""

import re
from collections.abc import Container
from pathlib import Path

from fmgrid.analysis.loading import find_runs, hint_at
from fmgrid.errors import DamagedFileError, InputError, StoreError
from fmgrid.experiment import Run
from fmgrid.hypotheses.commands import as_argument
from fmgrid.results.store import Store, locate
from fmgrid.results.summary import read_runs
from fmgrid.words import command_line, counted, first_few, printable

_LONGEST_NAME = 240  # characters; a longer one is none of a folder
_WITH_SEED = re.compile(r"(.+)_s([1-9][0-9]{0,9})", re.DOTALL)  # the name of a run


def split_name(folder: str, experiments: Container[str]) -> tuple[str, int]:
    """Return the experiment and the seed of a run without results, by its folder.

    *experiments* are known ones; one of them may have a name that ends like one with a seed.
    """
    name = folder.rpartition("/")[2]
    match = _WITH_SEED.fullmatch(name)
    return (match[1], int(match[2])) if match and name not in experiments else (name, 0)


def find_run(name: str, logdir: Path) -> Run:
    """Return the run of this name, or in this folder; of an experiment that of seed 0.

    Raises `InputError` if there is none, or several without that of seed 0.
    """
    root, run_name = locate(name, logdir)
    place = f"fmgrid show {name}"
    may_be_folder = len(run_name) <= _LONGEST_NAME
    if may_be_folder and (run := _read(root / run_name)):
        return run
    if may_be_folder and (root / run_name).is_dir():
        status = command_line(["fmgrid", "status", as_argument(root)])
        raise InputError.at(place, f"is not finished; {status} names it")
    stored = [run for run in read_runs(root).runs if run.seed is not None]
    runs = find_runs(run_name, stored)
    if not runs:
        raise InputError.at(
            printable(place, 200), f"no such run in {root}; {hint_at(run_name, stored)}"
        )
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
