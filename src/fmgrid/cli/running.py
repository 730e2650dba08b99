"""`fmgrid run`: the stages put together, and what is said of them."""

import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rich.live import Live

from fmgrid.analysis.experiments import Ranking
from fmgrid.cli.interrupts import deafen
from fmgrid.cli.output import INTERRUPTED, console, give_up, say, warn
from fmgrid.cli.progress import Progress, describe_best, describe_run, format_seconds
from fmgrid.cli.refusals import refuse
from fmgrid.cli.showing import warn_of_unanswerable
from fmgrid.components import check_component, find_distinct
from fmgrid.components.plugins import is_plugged_in, on_one_line
from fmgrid.data import Prepared, prepare
from fmgrid.errors import InputError, MachineError, RefusedError, StoreError
from fmgrid.execution.runner import (
    Found,
    Policy,
    as_wanted,
    count_trainings,
    is_set_aside,
    is_wanted,
    run_all,
    survey,
)
from fmgrid.experiment import Experiment, Run
from fmgrid.grid import Definition, Plan, to_asked
from fmgrid.hypotheses import registry as questions
from fmgrid.hypotheses.commands import as_argument
from fmgrid.hypotheses.records import Command, GridRecord
from fmgrid.quantities import format_bytes
from fmgrid.results.store import Store
from fmgrid.system.memory import available_memory
from fmgrid.training.costs import estimate_seconds, estimate_wall_seconds
from fmgrid.training.worker import PRELOAD, train_one
from fmgrid.words import command_line, counted

if TYPE_CHECKING:
    from fmgrid.execution.local.processes import Processes

FAILED = 1
FAILURES_SHOWN = 20


@dataclass(frozen=True)
class Wishes:
    """What the user asked for besides the grids."""

    workers: int
    data_dir: Path | None = None
    set_aside: bool = False
    retry_failed: bool = False
    max_failures: int | None = None
    timeout: float | None = None  # seconds that each training may take
    memory: int | None = None  # bytes that it may allocate
    quiet: bool = False
    json: bool = False
    command: Command | None = None  # all of this as it was typed

    @property
    def policy(self) -> Policy:
        """Which finished runs are to be trained again."""
        return Policy(self.set_aside, self.retry_failed)


def run_grids(plan: Plan, store: Store, wishes: Wishes) -> int:
    """Run what is missing and return the exit code."""
    definitions = plan.definitions
    experiments = [definition.experiment for definition in definitions]
    found = survey(experiments, store)
    refuse(definitions, found, store, wishes.policy)
    if not any(is_wanted(item, wishes.policy) for item in found):
        _note_afterwards(plan, store)
        return _conclude(found, [], store, wishes)
    warn_of_unanswerable(plan)
    with store.locked():
        found = survey(experiments, store)  # again, now that nobody else writes
        refuse(definitions, found, store, wishes.policy)
        pending = [item.experiment for item in found if is_wanted(item, wishes.policy)]
        store.check_room(len(pending), sum(experiment.epochs for experiment in pending))
        runs: list[Run] = []
        try:
            _train_all(plan, found, store, wishes, runs)
        except KeyboardInterrupt:
            # What is stored counts, not what was told of: the signal may have come in between.
            done = sum(item.state == "complete" for item in survey(experiments, store))
            every = counted(len(found), "run")
            say(f"interrupted; {done} of {every} done, the same command does the rest")
            deafen()
            return INTERRUPTED
    return _conclude(found, runs, store, wishes)


def _note_afterwards(plan: Plan, store: Store) -> None:
    """Note what grids ask of runs that are all there: it may have been added since."""
    asked = to_asked(plan, datetime.now(UTC))
    if not questions.unnoted(store.root, asked):
        return
    try:
        with store.locked():
            _note(asked, store)
    except StoreError as error:  # a folder that one may only read, or that another one uses
        warn(f"what the grids ask was not noted, and no report will know of it: {error}")


def _note(asked: Sequence[GridRecord], store: Store) -> None:
    for aside in questions.note(store.root, asked):
        warn(f"what a grid asked was damaged, is now {aside}, and was noted anew")


def _set_aside(found: Sequence[Found], store: Store) -> None:
    """Take finished runs out of the way of those that are to be trained in their place."""
    for item in found:
        aside = store.set_aside(item.experiment.run_name)
        warn(f"{item.experiment.run_name} was {item.state} and is now {aside}: {item.note}")


def _train_all(
    plan: Plan,
    found: Sequence[Found],
    store: Store,
    wishes: Wishes,
    runs: list[Run],
) -> None:
    """Train what is wanted of *found*; append each run to *runs* when it is stored.

    Nothing is set aside before everything is there that training needs.
    """
    from fmgrid.execution.local.processes import Processes, workers_for

    wanted = [as_wanted(item, wishes.policy) for item in found]
    trainings = count_trainings(wanted)
    total = sum(item.state == "pending" for item in wanted)
    workers = max(1, min(wishes.workers, len(trainings)))
    memory = available_memory()
    if workers > (fitting := workers_for(memory)):
        workers = fitting
        warn(f"{format_bytes(memory)} of memory are room for {counted(workers, 'worker')} only")
    with Processes(workers, preload=[PRELOAD], tell=warn) as processes:
        if not wishes.quiet:
            _announce(total, trainings, workers)
        # Meanwhile the workers' server imports torch.
        data: dict[str, Prepared] = {
            dataset: prepare(dataset, wishes.data_dir, say)
            for dataset in sorted({experiment.dataset for experiment in trainings})
        }
        timeouts = {
            definition.experiment.run_name: seconds
            for definition in plan.definitions
            if (seconds := wishes.timeout or definition.timeout)
        }
        _check_components(plan.definitions, trainings, processes, timeouts)
        command = command_line(["fmgrid", *sys.argv[1:]])
        _note(to_asked(plan, datetime.now(UTC), command, wishes.command), store)
        _set_aside([item for item in found if is_set_aside(item, wishes.policy)], store)
        train = partial(train_one, data, _describe_caller(), wishes.memory or memory)
        ranking = Ranking(item.run for item in found if item.run and item.state == "complete")
        progress = Progress(total, trainings, lambda: processes.running, ranking=ranking)
        with _shown(progress, wishes):
            for run in run_all(wanted, store, processes, train, timeouts):
                runs.append(run)
                _report(run, progress, wishes)
                if progress.failed == wishes.max_failures:
                    return


def _announce(total: int, trainings: Sequence[Experiment], workers: int) -> None:
    others = total - len(trainings)
    shared = f", {others} of them part of another's training," if others else ""
    seconds = estimate_wall_seconds([estimate_seconds(e) for e in trainings], workers)
    where = counted(workers, "worker")
    say(f"{counted(total, 'run')}{shared} on {where}, about {format_seconds(seconds)}")


def _check_components(
    definitions: Sequence[Definition],
    trainings: Sequence[Experiment],
    processes: "Processes",
    timeouts: Mapping[str, float],
) -> None:
    """Let every component judge its arguments before the first run starts."""
    written = {definition.experiment.run_name: definition for definition in definitions}
    problems = []
    for setting, experiment in find_distinct(trainings):
        name = str(getattr(experiment, setting))
        seconds = timeouts.get(experiment.run_name)
        try:
            objection = processes.call(check_component, setting, experiment, seconds=seconds)
        except Exception as error:
            if isinstance(error, RefusedError) or not is_plugged_in(name):
                raise
            objection = str(error) if isinstance(error, MachineError) else on_one_line(error)
        if is_plugged_in(name):
            processes.dismiss()  # whatever that has left behind in the process
        if objection is not None:
            arguments = f"{setting}_args"
            place = arguments if getattr(experiment, arguments) else setting
            origin = written[experiment.run_name].origin(place)
            problems.append(origin.problem(f"{name} refuses this: {objection}"))
    if problems:
        raise InputError(problems)


def _describe_caller() -> dict[str, str]:
    """Return the git commit of the folder that fmgrid is called in, if there is one."""
    git = shutil.which("git")
    if git is None or Path(git).absolute().parent == Path.cwd():  # Windows looks there first
        return {}
    describe = ["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        result = subprocess.run(  # noqa: S603 - a program that is installed
            [git, "-c", "core.fsmonitor=false", *describe],  # which is the folder's own program
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=False,
            timeout=5,
        )
    except (OSError, subprocess.TimeoutExpired):
        return {}
    commit = result.stdout.decode(errors="replace").strip()
    return {"git": commit} if result.returncode == 0 else {}


@contextmanager
def _shown(progress: Progress, wishes: Wishes) -> Iterator[None]:
    """Keep the progress in sight while a person looks on."""
    if wishes.quiet or not sys.stderr.isatty():
        yield
        return
    live = Live(progress, console=console(stderr=True), refresh_per_second=8, transient=True)
    try:
        live.start()
    except RuntimeError:  # the machine refuses a thread, without which the runs go on
        live.auto_refresh = False
    try:
        yield
    finally:
        try:
            live.stop()
        except OSError:  # the terminal was closed
            give_up(sys.stderr)


def _report(run: Run, progress: Progress, wishes: Wishes) -> None:
    progress.add(run)
    if wishes.json:
        try:
            print(run.model_dump_json(), flush=True)
        except BrokenPipeError:  # whoever read this has left; the runs are wanted all the same
            give_up(sys.stdout)
    failed = run.status != "complete"
    if failed or not (wishes.quiet or sys.stderr.isatty()):
        (warn if failed else say)(progress.line(run))


def _conclude(found: Sequence[Found], runs: Sequence[Run], store: Store, wishes: Wishes) -> int:
    """Say how things stand now, and return the exit code."""
    known = {item.experiment.run_name: item.run for item in found if item.run}
    known |= {run.experiment.run_name: run for run in runs}
    complete = [run for run in known.values() if run and run.status == "complete"]
    failed = [run for run in known.values() if run and run.status != "complete"]
    missing = len(found) - len(complete) - len(failed)
    if not wishes.quiet:
        if not runs:
            say("nothing to do")
        best = Ranking(complete).best()
        told = f"; best: {describe_best(best)}" if best else ""
        say(f"{len(complete)} of {counted(len(found), 'run')} complete in {store.root}{told}")
        if complete and not failed and not missing:
            steps = (["fmgrid", step, as_argument(store.root)] for step in ("summarize", "report"))
            say(f"next: {' && '.join(map(command_line, steps))}")
    if failed:
        say(f"{len(failed)} failed:")
        for run in failed[:FAILURES_SHOWN]:
            say(f"  {run.experiment.run_name}: {describe_run(run)}")
        if len(failed) > FAILURES_SHOWN:
            status = ["fmgrid", "status", as_argument(store.root)]
            say(f"  and {len(failed) - FAILURES_SHOWN} more; see {command_line(status)}")
        where = [] if store.root == Path("modellogs") else ["--logdir", as_argument(store.root)]
        show = command_line(["fmgrid", "show", "RUN", *where])
        say(f"{show} tells more of one; --retry-failed runs them again")
    if missing and not wishes.quiet:
        command = "the command without --retry-failed" if wishes.retry_failed else ""
        say(f"{missing} not run; {command or 'the same command'} does the rest")
    return FAILED if failed or missing else 0
