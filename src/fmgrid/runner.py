"""Which experiments are pending; send them out; store what comes back. Never trains itself.

A results file is what makes a run finished, and nothing else is asked on a restart: the same
command again trains exactly what is missing.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

from fmgrid.components import is_plugged_in
from fmgrid.costs import estimate_seconds
from fmgrid.errors import DamagedFileError, NewerFormatError
from fmgrid.executors import Executor, Task, Train
from fmgrid.records import Experiment, Run, typed
from fmgrid.store import Store

State: TypeAlias = Literal[
    "pending", "complete", "failed", "timeout", "changed", "damaged", "newer"
]


@dataclass(frozen=True)
class Found:
    """What a log folder holds under the name of an experiment that is asked for."""

    experiment: Experiment
    state: State
    run: Run | None = None  # None where the state is pending, damaged or newer
    note: str = ""  # what has changed, or what cannot be read


def survey(experiments: Iterable[Experiment], store: Store) -> list[Found]:
    """Return the state of each experiment, in order."""
    return [_look_up(experiment, store) for experiment in experiments]


def run_all(
    found: Sequence[Found],
    store: Store,
    executor: Executor,
    train: Train,
    timeouts: Mapping[str, float] = MappingProxyType({}),
) -> Iterator[Run]:
    """Train what is pending in *found*; yield each run as soon as it is stored.

    *timeouts* are seconds by run name: what takes longer is killed.

    Experiments that differ in nothing but their names and, where that can be, their epochs
    are trained once, for the most epochs; if that fails, the shorter ones are on their own.
    The costliest start first, so that the last minute is not one worker's.
    """
    pending = _by_course(found)
    for item in found:
        if item.run and item.state == "complete":
            yield from _share(item.run, pending, store)
    while pending:
        leaders = sorted(map(_longest, pending.values()), key=estimate_seconds, reverse=True)
        for run in executor.run(train, _tasks(leaders, store, timeouts)):
            store.save(run)
            yield run
            yield from _share(run, pending, store)


def count_trainings(found: Iterable[Found]) -> list[Experiment]:
    """Return the experiments that `run_all` will train, unless one fails that others share."""
    items = list(found)
    pending = _by_course(items)
    for item in items:
        if item.run and item.state == "complete":
            _take_answered(item.run, pending)
    return [_longest(group) for group in pending.values()]


def describe_change(old: Experiment, new: Experiment) -> str:
    """Return the settings that differ, as "epochs 5 -> 3, ..."."""
    return ", ".join(
        f"{name} {_show(getattr(old, name))} -> {_show(getattr(new, name))}"
        for name in Experiment.model_fields
        if typed(getattr(old, name)) != typed(getattr(new, name))
    )


def _show(value: Any) -> str:
    return "none" if value is None else str(value)


def _look_up(experiment: Experiment, store: Store) -> Found:
    try:
        run = store.read(experiment.run_name)
    except NewerFormatError as error:
        return Found(experiment, "newer", note=str(error))
    except DamagedFileError as error:
        return Found(experiment, "damaged", note=str(error))
    if run is None:
        return Found(experiment, "pending")
    if run.experiment.fingerprint != experiment.fingerprint:
        return Found(experiment, "changed", run, describe_change(run.experiment, experiment))
    return Found(experiment, run.status, run)


def _tasks(
    leaders: Iterable[Experiment], store: Store, timeouts: Mapping[str, float]
) -> Iterator[Task]:
    """Yield each task with a folder made for it, when it is asked for."""
    for leader in leaders:
        name = leader.run_name
        yield Task(
            leader, store.begin(name), timeouts.get(name), is_alone=is_plugged_in(leader.optimizer)
        )


def _by_course(found: Iterable[Found]) -> dict[str, list[Experiment]]:
    """Return what is pending, with each experiment beside those that share its training."""
    pending: dict[str, list[Experiment]] = defaultdict(list)
    for item in found:
        if item.state == "pending":
            pending[item.experiment.course].append(item.experiment)
    return pending


def _longest(group: Iterable[Experiment]) -> Experiment:
    return max(group, key=lambda experiment: experiment.epochs)


def _take_answered(run: Run, pending: dict[str, list[Experiment]]) -> list[Experiment]:
    """Take from *pending* what *run* answers, and return it."""
    group = pending.pop(run.experiment.course, [])
    answered = [experiment for experiment in group if run.answers(experiment)]
    if rest := [experiment for experiment in group if experiment not in answered]:
        pending[run.experiment.course] = rest
    return answered


def _share(run: Run, pending: dict[str, list[Experiment]], store: Store) -> Iterator[Run]:
    """Store a run under the names of all experiments that it answers besides its own."""
    for experiment in _take_answered(run, pending):
        if experiment != run.experiment:
            shared = run.shared_with(experiment)
            store.begin(experiment.run_name)
            store.save(shared, log_of=run.experiment.run_name)
            yield shared
