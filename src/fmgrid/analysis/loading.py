"""A folder -> its study, and the experiments or runs that people name.

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
from fmgrid.metrics import ALIASES, RANKABLE, find_metric, metric_of
from fmgrid.results.store import locate
from fmgrid.results.summary import Contents, StoredRun, read_runs
from fmgrid.words import command_line, counted, near_match, or_near_match, printable, there_are

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


def find_ranking(metric: str, study: Study) -> str:
    """Return the metric of a study that a user means. Raises `InputError` if none is ranked."""
    if ranked := find_metric(metric, study.further_metrics):
        if any(experiment.series(ranked) for experiment in study.configurations):
            return ranked
        problem = "no complete run has it"
    else:
        further = [metric_of(name).label for name in study.further_metrics]
        known = [*RANKABLE, *further]
        meant = ALIASES.get(metric.casefold(), metric)
        problem = f"no such metric{or_near_match(meant, known, 'there are')}"
    raise InputError.at(f"--metric {printable(metric, 80)}", problem)


def read_grids(logdir: Path, contents: Contents) -> list[GridRecord]:
    """Return the records of the grids in a folder; warnings of others join those of its runs."""
    # The folder itself may only hold the log folders of several machines.
    records, unread = read_records(*dict.fromkeys([logdir, *contents.grids]))
    contents.warnings += unread
    return records


def find_pair(
    names: Sequence[str], logdir: Path, warn: Callable[[str], None] = lambda _: None
) -> tuple[ExperimentRuns, ExperimentRuns, Study]:
    """Return two experiments or single runs of them, given by their names or folders.

    With them comes the study of the first. Raises `InputError` if one has no complete run, or if
    they are the same runs.
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
    return pair[0], pair[1], studies[located[0][0]]


def find_runs(name: str, runs: Sequence[StoredRun]) -> list[StoredRun]:
    """Return the runs of the experiment of this name, or else the run that it means, if any."""
    of_experiment = [run for run in runs if run.name == name]
    others = (run for run in runs if name in (run.run, run.folder, f"{run.name}_s{run.seed}"))
    return of_experiment or [*others][:1]


def hint_at(name: str, runs: Sequence[StoredRun]) -> str:
    """Return the name of an experiment or a run that was probably meant, or those there are."""
    experiments = list(dict.fromkeys(run.name for run in runs))
    near = near_match(name, [*experiments, *(run.run for run in runs)])
    return f"did you mean {near}?" if near else there_are(experiments)


def _find(name: str, study: Study, root: Path) -> ExperimentRuns:
    runs = find_runs(name, study.runs)
    if not runs:
        hint = hint_at(name, study.runs)
        if failed := find_runs(name, study.failures):
            hint = f"{counted(len(failed), 'run')} failed, and fmgrid show {failed[0].run} says why"
        message = f"no complete run or experiment in {root}; {hint}"
        raise InputError.at(f"fmgrid compare {name}", message)
    experiment = study.experiments[runs[0].name]
    if name == experiment.name:
        return experiment
    single = {seed: run for seed, run in experiment.runs.items() if run is runs[0]}
    return replace(experiment, name=name, runs=single, failures=())


def _refuse(logdir: Path, study: Study, contents: Contents) -> NoReturn:
    numbers = {
        "failed": len(study.failures),
        "unfinished": len(contents.unfinished),
        "damaged": len(contents.damaged),
    }
    states = ", ".join(f"{number:,} {state}" for state, number in numbers.items() if number)
    if numbers["failed"]:
        status = command_line(["fmgrid", "status", as_argument(logdir)])
        raise FmgridError(f"{logdir}: has no complete run: {states}; {status} names all")
    if states:
        message = f"has no complete run yet: {states}; the same fmgrid run does the rest"
    elif contents.warnings:
        message = f"has no run that can be read: {counted(len(contents.warnings), 'warning')} above"
    else:
        message = "has no runs; fmgrid run trains some"
    raise InputError.at(str(logdir), message)
