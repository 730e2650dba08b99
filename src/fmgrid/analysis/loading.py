"""A folder -> its study, and the two experiments of a comparison.

A caller gives the function that shows warnings.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from fmgrid.analysis.experiments import ExperimentRuns
from fmgrid.analysis.study import Study, to_study
from fmgrid.errors import FmgridError, InputError
from fmgrid.hypotheses.commands import as_argument
from fmgrid.hypotheses.registry import GridRecord, merge_stored, read_records
from fmgrid.results.store import locate
from fmgrid.results.summary import Contents, read_runs
from fmgrid.words import command_line, counted, first_few, near_match

_WARNINGS_SHOWN = 20


def load_study(
    logdir: Path,
    records: Sequence[GridRecord] | None = None,
    warn: Callable[[str], None] = lambda _: None,
) -> Study:
    """Return the study in a folder; *records* replaces the grids that are stored there.

    Raises `InputError` if there is no run yet, `FmgridError` if all of them failed.
    """
    contents = read_runs(logdir, with_history=True)
    stored = read_grids(logdir, contents)
    study = to_study(contents, stored if records is None else merge_stored(records, stored))
    if not study.scored:
        for warning in contents.warnings[:_WARNINGS_SHOWN]:
            warn(warning)
        _refuse(logdir, study, contents)
    return study


def read_grids(logdir: Path, contents: Contents) -> list[GridRecord]:
    """Return the records of the grids in a folder; warnings of others join those of its runs."""
    # The folder itself may only hold the log folders of several machines.
    records, unread = read_records(*dict.fromkeys([logdir, *contents.grids]))
    contents.warnings += unread
    return records


def find_pair(
    names: Sequence[str], logdir: Path, warn: Callable[[str], None] = lambda _: None
) -> list[ExperimentRuns]:
    """Return two experiments or single runs of them, given by their names or folders.

    Raises `InputError` if one has no complete run, or if they are the same runs.
    """
    located = [locate(name, logdir) for name in names]
    roots = dict.fromkeys(root for root, _ in located)
    studies = {root: load_study(root, [], warn) for root in roots}
    for study in studies.values():
        for warning in (*study.unread, *study.uncounted):
            warn(warning)
    pair = [_find(name, studies[root], root) for root, name in located]
    first, second = (experiment.runs.items() for experiment in pair)
    if first <= second or first >= second:
        message = "both are the same runs, or one is a part of the other"
        raise InputError.at(f"fmgrid compare {' '.join(names)}", message)
    return pair


def _find(name: str, study: Study, root: Path) -> ExperimentRuns:
    scored = {
        label: experiment for label, experiment in study.experiments.items() if experiment.runs
    }
    if name in scored:
        return scored[name]
    for experiment in scored.values():
        for seed, run in experiment.runs.items():
            if name in (run.run, run.folder, f"{experiment.name}_s{seed}"):
                return replace(experiment, name=name, runs={seed: run}, failures=())
    suggestion = near_match(name, [*scored, *(run.run for run in study.runs)])
    hint = f"did you mean {suggestion}?" if suggestion else f"there are {first_few(list(scored))}"
    message = f"no complete run or experiment in {root}; {hint}"
    raise InputError.at(f"fmgrid compare {name}", message)


def _refuse(logdir: Path, study: Study, contents: Contents) -> NoReturn:
    numbers = {
        "failed": len(study.failures),
        "unfinished": len(contents.unfinished),
        "damaged": len(contents.damaged),
    }
    states = ", ".join(f"{number:,} {state}" for state, number in numbers.items() if number)
    if numbers["failed"]:
        status = command_line(["fmgrid", "status", as_argument(logdir)])
        raise FmgridError(f"{logdir}: has no complete run: {states}; {status} names them")
    if states:
        message = f"has no complete run yet: {states}; the same fmgrid run does them"
    elif contents.warnings:
        message = f"has no run that can be read: {counted(len(contents.warnings), 'warning')} above"
    else:
        message = "has no runs; fmgrid run trains some"
    raise InputError.at(str(logdir), message)
