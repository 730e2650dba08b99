"""Grids -> stored runs: what `fmgrid run` and the function `fmgrid.run` share.

A listener is told how the work goes on; here nothing is printed.
"""

import shutil
import subprocess
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from fmgrid.components import check_component, find_distinct, key_of, needs_own_process
from fmgrid.components.kinds import is_plugged_in
from fmgrid.components.own_data import prepare_again
from fmgrid.data.cache import Prepared, prepare
from fmgrid.errors import InputError, MachineError, RefusedError, StoreError, on_one_line
from fmgrid.execution import Executor, Task
from fmgrid.execution.inline import Inline
from fmgrid.execution.processes import Processes
from fmgrid.execution.refusals import make_checked_agenda
from fmgrid.execution.runner import run_all
from fmgrid.experiment import Experiment, Run
from fmgrid.grid import Plan
from fmgrid.hypotheses import registry
from fmgrid.hypotheses.commands import Command
from fmgrid.hypotheses.registry import GridRecord
from fmgrid.results.store import Store
from fmgrid.search import Agenda, AgendaItem, GridSearch, Policy, make_agenda
from fmgrid.system.memory import available_memory
from fmgrid.system.processes import own_environment
from fmgrid.training.costs import estimate_seconds, workers_for
from fmgrid.training.worker import PRELOAD, train_one
from fmgrid.words import counted, first_few, format_bytes

_NAMES_SHOWN = 3


@dataclass(frozen=True)
class Request:
    """The experiments to run, the folder of their runs, and the limits."""

    plan: Plan
    store: Store
    policy: Policy
    workers: int  # processes; with 0, trainings happen in this process
    seconds: float | None  # that each training may take, whatever its grid says
    memory: int | None  # bytes that each training may allocate
    max_failures: int | None  # the first so many end the run
    data_dir: Path | None
    quiet: bool  # leaves out the lines of every epoch, where trainings happen in this process
    text: str  # the command that is noted with the grids, as text and as values
    command: Command | None


class Listener(Protocol):
    """Is told how the work goes on."""

    def inform(self, text: str) -> None:
        """Take note of a step of the preparation."""

    def warn(self, text: str) -> None:
        """Take note of what the user should look at."""

    def begin(self, plan: Plan, agenda: Agenda, workers: int) -> None:
        """Take note of the work, before it is prepared."""

    def follow(
        self,
        agenda: Agenda,
        running: Callable[[], Sequence[Experiment]],
        cost: Callable[[Experiment], float],
    ) -> AbstractContextManager[Callable[[Run], None]]:
        """Return a context for the trainings, and the function that gets each run when it ends.

        *cost* estimates the seconds of a training.
        """


def run_grids(request: Request, listener: Listener) -> tuple[Agenda, list[Run]]:
    """Give every experiment a run that needs one; return the agenda, and the new runs.

    Raises `InputError` for mistakes, `MachineError`; `KeyboardInterrupt` with the number of runs
    that are done.
    """
    plan, store, policy = request.plan, request.store, request.policy
    agenda = make_checked_agenda(plan, store, policy)
    if not agenda.wanted:
        _note_afterwards(plan, store, listener)
        return agenda, []
    with store.locked():
        agenda = make_checked_agenda(plan, store, policy)  # nobody else writes any more
        store.check_room(len(agenda.wanted), sum(experiment.epochs for experiment in agenda.wanted))
        try:
            with own_environment():
                return agenda, _run_all(agenda, request, listener)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(_count_done(plan, store)) from None


def _note_afterwards(plan: Plan, store: Store, listener: Listener) -> None:
    """Store the grid records of complete runs: their questions may have been added since."""
    try:
        if registry.changed_records(store.root, plan.records):
            with store.locked():
                _note(plan.records, store, listener)
    except StoreError as error:  # a folder that one may only read, or that another one uses
        reason = "the questions of the grids were not noted, and no report has them"
        listener.warn(f"{reason}: {error}")


def _note(records: Sequence[GridRecord], store: Store, listener: Listener) -> None:
    for moved in registry.write_records(store.root, records):
        listener.warn(f"the record of a grid was damaged, is now {moved}, and was written anew")


def set_aside(items: Sequence[AgendaItem], store: Store, warn: Callable[[str], None]) -> None:
    """Move finished runs out of the way of those that are trained in their place.

    There is one warning for all runs with the same reason, also where a later one cannot be moved.
    """
    moved: dict[tuple[str, str], list[tuple[AgendaItem, Path]]] = defaultdict(list)
    try:
        for item in items:
            reason = item.state, item.note if item.state == "changed" else ""
            folder = store.set_aside(item.experiment.run_name)
            moved[reason].append((item, folder))
    finally:
        for pairs in moved.values():
            names = [item.experiment.run_name for item, _ in pairs]
            item, folder = pairs[0]
            text = f"{names[0]} was {item.state} and is now {folder}: {item.note}"
            if len(pairs) > 1:
                text = f"{counted(len(pairs), 'run')} were {item.state} and are now in "
                text += f"{folder.parent} ({item.note}): {first_few(names, _NAMES_SHOWN)}"
            warn(text)


def _run_all(agenda: Agenda, request: Request, listener: Listener) -> list[Run]:
    """Give every wanted experiment a run, unless too many fail; return the runs.

    Old runs are set aside only when data and components are ready for training.
    """
    plan, store = request.plan, request.store
    timeouts = {
        definition.experiment.run_name: seconds
        for definition in plan.definitions
        if (seconds := request.seconds or definition.timeout)
    }
    available = available_memory()
    workers = _count_workers(agenda, request, available, listener)
    if timeouts and not workers and agenda.trainings:
        listener.warn("time limits are not kept with -j 0: nobody could end fmgrid's own process")
    listener.begin(plan, agenda, workers)
    with (
        Processes(workers, preload=[PRELOAD], warn=listener.warn)
        if workers
        else Inline(quiet=request.quiet) as executor
    ):
        # Meanwhile the workers' server imports torch.
        data = _prepare_data(agenda.trainings, request, listener)
        folders = {key: prepared.folder for key, prepared in data.items()}
        measured = _check_components(request, agenda.trainings, folders, executor, timeouts)
        noted = [record.with_command(request.text, request.command) for record in plan.records]
        _note(noted, store, listener)
        set_aside(agenda.set_aside, store, listener.warn)
        train = partial(train_one, data, _describe_commit())

        def to_task(experiment: Experiment) -> Task:
            seconds = timeouts.get(experiment.run_name)
            limits = seconds, request.memory or available
            return Task(experiment, train, *limits, needs_own_process(experiment))

        runs, failures = [], 0
        cost = partial(estimate_seconds, measured=measured)
        search = GridSearch(agenda.wanted, cost)
        with listener.follow(agenda, lambda: executor.running, cost) as report:
            for run in run_all(search, store, executor, to_task, agenda.sources):
                runs.append(run)
                report(run)
                failures += run.status != "complete"
                if failures == request.max_failures:
                    break
        return runs


def _prepare_data(
    trainings: Sequence[Experiment], request: Request, listener: Listener
) -> dict[str, Prepared]:
    """Return the verified data of the trainings by `Experiment.data_key`."""
    folders = {
        definition.experiment.run_name: definition.data_folder
        for definition in request.plan.definitions
    }
    experiments = {experiment.data_key: experiment for experiment in trainings}
    data = {}
    for key, experiment in sorted(experiments.items()):
        if experiment.content:
            folder = folders[experiment.run_name]
            data[key] = prepare_again(experiment, folder, listener.inform, listener.warn)
        else:
            data[key] = prepare(key, request.data_dir, listener.inform, listener.warn)
    return data


def _count_done(plan: Plan, store: Store) -> str:
    """Return how many runs are stored; the interrupt may have come before a line told of one."""
    items = make_agenda((definition.experiment for definition in plan.definitions), store).items
    done = sum(item.state == "complete" for item in items)
    return (
        f"interrupted; {done} of {counted(len(items), 'run')} done, the same command does the rest"
    )


def _count_workers(agenda: Agenda, request: Request, memory: int, listener: Listener) -> int:
    """Return how many workers have work and memory."""
    workers = min(request.workers, len(agenda.trainings))
    if workers > (most_workers := workers_for(memory)):
        workers = most_workers
        room = f"{format_bytes(memory)} of memory leaves room for {counted(workers, 'worker')}"
        listener.warn(room)
    return workers


def _check_components(
    request: Request,
    trainings: Sequence[Experiment],
    folders: Mapping[str, Path],
    executor: Executor,
    timeouts: Mapping[str, float],
) -> dict[str, float]:
    """Let every component judge its arguments before the first run starts.

    *folders* have the prepared data. Returns the seconds that an image takes, by the key of each
    component that a check has measured.
    """
    written = {
        definition.experiment.run_name: definition for definition in request.plan.definitions
    }
    problems, measured = [], {}
    for setting, experiment in find_distinct(trainings):
        name = str(getattr(experiment, setting))
        try:
            answer = executor.call(
                check_component,
                setting,
                experiment,
                folders[experiment.data_key],
                request.memory or available_memory(),
                seconds=timeouts.get(experiment.run_name),
                needs_own_process=is_plugged_in(name),
            )
        except Exception as error:
            if isinstance(error, RefusedError) or not is_plugged_in(name):
                raise
            answer = str(error) if isinstance(error, MachineError) else on_one_line(error)
        if isinstance(answer, float):
            measured[key_of(setting, experiment)] = answer
        elif answer is not None:
            # An argument of an optimizer is to blame where it has some.
            has_arguments = setting == "optimizer" and experiment.optimizer_args
            place = "optimizer_args" if has_arguments else setting
            origin = written[experiment.run_name].origin(place)
            problems.append(origin.problem(f"{name} refuses this: {answer}"))
    if problems:
        raise InputError(problems)
    return measured


def _describe_commit() -> dict[str, str]:
    """Return the commit of the current folder, with "-dirty" if need be; nothing without one."""
    git = shutil.which("git")
    if git is None or Path(git).absolute().parent == Path.cwd():  # Windows looks there first
        return {}
    describe = ["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        result = subprocess.run(  # noqa: S603 - a program that is installed
            [git, "-c", "core.fsmonitor=false", *describe],  # which is the folder's own program
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
            timeout=5,
        )
    except (OSError, subprocess.SubprocessError):
        return {}
    return {"git": result.stdout.decode(errors="replace").strip()}
