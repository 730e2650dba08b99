"""Which experiments are pending; send them out; store what comes back. Never trains itself.

A results file is what makes a run finished, and nothing else is asked on a restart: the same
command again trains exactly what is missing.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

from fmgrid.components import needs_own_process
from fmgrid.errors import DamagedFileError, NewerFormatError, StoreError
from fmgrid.execution import Executor, Task, Train
from fmgrid.experiment import Experiment, Run, typed
from fmgrid.results.store import Store
from fmgrid.training.costs import estimate_seconds

State: TypeAlias = Literal[
    "pending", "complete", "failed", "timeout", "changed", "damaged", "newer", "blocked"
]


@dataclass(frozen=True)
class Found:
    """What a log folder holds under the name of an experiment that is asked for."""

    experiment: Experiment
    state: State
    run: Run | None = None  # None where the state is pending, damaged, newer or blocked
    note: str = ""  # what has changed, what cannot be read, or what stands in the way
    changed: tuple[str, ...] = ()  # the settings that differ from those of the run


@dataclass(frozen=True)
class Policy:
    """Which finished runs are to be trained again."""

    set_aside: bool = False  # those with other settings or of a newer format, too
    retry_failed: bool = False  # those that failed, and nothing else


def is_wanted(item: Found, policy: Policy) -> bool:
    """Return whether a run is to be trained, or taken from another one's training."""
    if policy.retry_failed:
        return item.state in ("failed", "timeout")
    return item.state in ("pending", "damaged") or is_set_aside(item, policy)


def is_set_aside(item: Found, policy: Policy) -> bool:
    """Return whether a run's folder is moved out of the way, so that the run can be trained."""
    if policy.retry_failed:
        return False
    return item.state == "damaged" or (policy.set_aside and item.state in ("changed", "newer"))


def as_wanted(item: Found, policy: Policy) -> Found:
    """Return *item* as `run_all` and `count_trainings` shall take it: pending if it is wanted."""
    if is_wanted(item, policy):
        return Found(item.experiment, "pending")
    return item if item.state != "pending" else replace(item, state="failed")


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
        for name in changed_settings(old, new)
    )


def changed_settings(old: Experiment, new: Experiment) -> tuple[str, ...]:
    """Return the names of the settings that differ."""
    return tuple(
        name
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
    except StoreError as error:
        return Found(experiment, "blocked", note=str(error))
    if run is None:
        return Found(experiment, "pending")
    if run.experiment.fingerprint != experiment.fingerprint:
        note = describe_change(run.experiment, experiment)
        changed = changed_settings(run.experiment, experiment)
        return Found(experiment, "changed", run, note, changed)
    return Found(experiment, run.status, run)


def _tasks(
    leaders: Iterable[Experiment], store: Store, timeouts: Mapping[str, float]
) -> Iterator[Task]:
    """Yield each task with a folder made for it, when it is asked for."""
    for leader in leaders:
        name = leader.run_name
        yield Task(
            leader, store.begin(name), timeouts.get(name), is_alone=needs_own_process(leader)
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
