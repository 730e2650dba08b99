"""Which experiments are pending; send them out; store what comes back. Never trains itself.

A results file is what makes a run finished, and nothing else is asked on a restart: the same
command again trains exactly what is missing.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from fmgrid.costs import estimate_seconds
from fmgrid.errors import DamagedFileError
from fmgrid.executors import Executor, Task, Train
from fmgrid.records import Experiment, Run
from fmgrid.store import Store

State: TypeAlias = Literal["pending", "complete", "failed", "timeout", "changed", "damaged"]


@dataclass(frozen=True)
class Found:
    """What a log folder holds under the name of an experiment that is asked for."""

    experiment: Experiment
    state: State
    run: Run | None = None  # None where the state is pending or damaged
    note: str = ""  # what has changed, or what is damaged


def survey(experiments: Iterable[Experiment], store: Store) -> list[Found]:
    """Return the state of each experiment, in order."""
    return [_look_up(experiment, store) for experiment in experiments]


def run_all(
    found: Sequence[Found], store: Store, executor: Executor, train: Train
) -> Iterator[Run]:
    """Train what is pending in *found*; yield each run as soon as it is stored.

    Experiments that are the same in everything but name are trained once. The longest start
    first, so that the last minute is not one worker's.
    """
    twins: dict[str, list[Experiment]] = defaultdict(list)
    for item in found:
        if item.state == "pending":
            twins[item.experiment.fingerprint].append(item.experiment)
    for item in found:
        if item.run and item.state == "complete":
            yield from _share(item.run, twins.pop(item.experiment.fingerprint, []), store)
    leaders = sorted((group[0] for group in twins.values()), key=estimate_seconds, reverse=True)
    tasks = (Task(leader, store.begin(leader.run_name)) for leader in leaders)
    for run in executor.run(train, tasks):
        store.save(run)
        yield run
        yield from _share(run, twins[run.experiment.fingerprint][1:], store)


def count_trainings(found: Iterable[Found]) -> list[Experiment]:
    """Return the experiments that `run_all` would train: one of each that are equal."""
    items = list(found)
    complete = {item.experiment.fingerprint for item in items if item.state == "complete"}
    pending = {
        item.experiment.fingerprint: item.experiment
        for item in reversed(items)
        if item.state == "pending"
    }
    return [experiment for key, experiment in pending.items() if key not in complete]


def describe_change(old: Experiment, new: Experiment) -> str:
    """Return the settings that differ, as "epochs 5 -> 3, ..."."""
    return ", ".join(
        f"{name} {getattr(old, name)} -> {getattr(new, name)}"
        for name in Experiment.model_fields
        if getattr(old, name) != getattr(new, name)
    )


def _look_up(experiment: Experiment, store: Store) -> Found:
    try:
        run = store.read(experiment.run_name)
    except DamagedFileError as error:
        return Found(experiment, "damaged", note=str(error))
    if run is None:
        return Found(experiment, "pending")
    if run.experiment != experiment and run.experiment.fingerprint != experiment.fingerprint:
        return Found(experiment, "changed", run, describe_change(run.experiment, experiment))
    return Found(experiment, run.status, run)


def _share(run: Run, twins: Iterable[Experiment], store: Store) -> Iterator[Run]:
    """Store a run under the other names of its experiment."""
    trained_as = run.trained_as or run.experiment.run_name
    for twin in twins:
        shared = run.model_copy(update={"experiment": twin, "trained_as": trained_as})
        store.begin(twin.run_name)
        store.save(shared, log_of=run.experiment.run_name)
        yield shared
