"""`fmgrid run`: the stages put together, and what is said of them."""

import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from rich.live import Live

from fmgrid.analysis.experiments import best_of
from fmgrid.cli.interrupts import deafen
from fmgrid.cli.options import RunOptions
from fmgrid.cli.output import INTERRUPTED, console, give_up, say, warn
from fmgrid.cli.progress import Progress, describe_best, describe_run
from fmgrid.cli.refusals import refuse
from fmgrid.cli.showing import warn_of_unanswerable
from fmgrid.components import check_component, find_distinct, needs_own_process
from fmgrid.components.plugins import is_plugged_in, on_one_line
from fmgrid.data.cache import prepare
from fmgrid.errors import InputError, MachineError, RefusedError, StoreError
from fmgrid.execution import Executor, Task
from fmgrid.execution.inline import Inline
from fmgrid.execution.processes import Processes
from fmgrid.execution.runner import run_all
from fmgrid.experiment import Experiment, Run
from fmgrid.grid import Definition, Plan, to_asked
from fmgrid.hypotheses import registry as questions
from fmgrid.hypotheses.commands import as_argument
from fmgrid.hypotheses.records import GridRecord
from fmgrid.quantities import format_bytes, format_seconds
from fmgrid.results.store import Store
from fmgrid.search import Agenda, GridSearch, Policy, Surveyed, make_agenda
from fmgrid.system.memory import available_memory
from fmgrid.training.costs import estimate_seconds, estimate_wall_seconds, workers_for
from fmgrid.training.worker import PRELOAD, train_one
from fmgrid.words import command_line, counted

FAILED = 1
FAILURES_SHOWN = 20


def run_grids(plan: Plan, store: Store, workers: int, policy: Policy, options: RunOptions) -> int:
    """Run what is missing and return the exit code."""
    definitions = plan.definitions
    experiments = [definition.experiment for definition in definitions]
    agenda = make_agenda(experiments, store, policy)
    refuse(definitions, agenda, store)
    if not agenda.wanted:
        _note_afterwards(plan, store)
        return _conclude(agenda, [], store, options)
    warn_of_unanswerable(plan)
    with store.locked():
        agenda = make_agenda(experiments, store, policy)  # nobody else writes any more
        refuse(definitions, agenda, store)
        store.check_room(len(agenda.wanted), sum(one.epochs for one in agenda.wanted))
        runs: list[Run] = []
        try:
            _run_all(plan, agenda, store, workers, options, runs)
        except KeyboardInterrupt:
            # The runs that are stored count: the signal may have come before a line told of one.
            items = make_agenda(experiments, store).items
            done = sum(item.state == "complete" for item in items)
            every = counted(len(items), "run")
            say(f"interrupted; {done} of {every} done, the same command does the rest")
            deafen()
            return INTERRUPTED
    return _conclude(agenda, runs, store, options)


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


def _set_aside(items: Sequence[Surveyed], store: Store) -> None:
    """Move finished runs out of the way of those that are trained in their place."""
    for item in items:
        aside = store.set_aside(item.experiment.run_name)
        warn(f"{item.experiment.run_name} was {item.state} and is now {aside}: {item.note}")


def _run_all(
    plan: Plan, agenda: Agenda, store: Store, workers: int, options: RunOptions, runs: list[Run]
) -> None:
    """Give every wanted experiment a run; append each to *runs* when it is stored.

    Nothing is set aside before everything is there that training needs.
    """
    memory = options.memory_bytes or available_memory()
    timeouts = {
        definition.experiment.run_name: seconds
        for definition in plan.definitions
        if (seconds := options.timeout_seconds or definition.timeout)
    }
    workers = _fit(workers, agenda, has_limits=bool(timeouts))
    if not options.quiet:
        say(_announcement(agenda, workers))
    with (
        Processes(workers, preload=[PRELOAD], warn=warn)
        if workers
        else Inline(quiet=options.quiet) as executor
    ):
        # Meanwhile the workers' server imports torch.
        datasets: list[str] = sorted({experiment.dataset for experiment in agenda.trainings})
        tell = (lambda _: None) if options.quiet else say
        data = {dataset: prepare(dataset, options.data_dir, tell, warn) for dataset in datasets}
        _check_components(plan.definitions, agenda.trainings, executor, timeouts)
        command = command_line(["fmgrid", *sys.argv[1:]])
        _note(to_asked(plan, datetime.now(UTC), command, options.to_command()), store)
        _set_aside(agenda.set_aside, store)
        commit = _describe_commit()
        train = partial(train_one, data, {"git": commit} if commit else {})

        def to_task(experiment: Experiment) -> Task:
            seconds = timeouts.get(experiment.run_name)
            return Task(experiment, train, seconds, memory, needs_own_process(experiment))

        complete = [item.run for item in agenda.items if item.run and item.state == "complete"]
        progress = Progress(
            len(agenda.wanted), agenda.trainings, lambda: executor.running, runs=complete
        )
        with _shown(progress, is_wanted=bool(workers) and not options.quiet):
            for run in run_all(GridSearch(agenda.wanted), store, executor, to_task, agenda.sources):
                runs.append(run)
                _report(run, progress, options)
                if progress.failed == (1 if options.fail_fast else options.max_failures):
                    return


def _fit(workers: int, agenda: Agenda, *, has_limits: bool) -> int:
    """Return as many workers as there are trainings and room for, and say what is not kept."""
    workers = min(workers, len(agenda.trainings))
    memory = available_memory()
    if workers > (fitting := workers_for(memory)):
        workers = fitting
        warn(f"{format_bytes(memory)} of memory are room for {counted(workers, 'worker')} only")
    if has_limits and not workers and agenda.trainings:
        warn("time limits are not kept with -j 0: nobody could end fmgrid's own process")
    return workers


def _announcement(agenda: Agenda, workers: int) -> str:
    total, others = counted(len(agenda.wanted), "run"), len(agenda.wanted) - len(agenda.trainings)
    if not agenda.trainings:
        return f"{total}, all of them part of finished trainings"
    shared = f", {others} of them part of another's training," if others else ""
    seconds = estimate_wall_seconds(list(map(estimate_seconds, agenda.trainings)), workers or 1)
    where = f"on {counted(workers, 'worker')}" if workers else "in this process"
    return f"{total}{shared} {where}, about {format_seconds(seconds)}"


def _check_components(
    definitions: Sequence[Definition],
    trainings: Sequence[Experiment],
    executor: Executor,
    timeouts: Mapping[str, float],
) -> None:
    """Let every component judge its arguments before the first run starts."""
    written = {definition.experiment.run_name: definition for definition in definitions}
    problems = []
    for setting, experiment in find_distinct(trainings):
        name = str(getattr(experiment, setting))
        try:
            objection = executor.call(
                check_component,
                setting,
                experiment,
                seconds=timeouts.get(experiment.run_name),
                needs_own_process=is_plugged_in(name),
            )
        except Exception as error:
            if isinstance(error, RefusedError) or not is_plugged_in(name):
                raise
            objection = str(error) if isinstance(error, MachineError) else on_one_line(error)
        if objection is not None:
            arguments = f"{setting}_args"
            place = arguments if getattr(experiment, arguments) else setting
            origin = written[experiment.run_name].origin(place)
            problems.append(origin.problem(f"{name} refuses this: {objection}"))
    if problems:
        raise InputError(problems)


@contextmanager
def _shown(progress: Progress, *, is_wanted: bool) -> Iterator[None]:
    """Keep the progress in sight while a person looks on."""
    if not is_wanted or not sys.stderr.isatty():
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


def _report(run: Run, progress: Progress, options: RunOptions) -> None:
    progress.add(run)
    if options.json:
        try:
            print(run.model_dump_json(), flush=True)
        except BrokenPipeError:  # whoever read this has left; the runs are wanted all the same
            give_up(sys.stdout)
    failed = run.status != "complete"
    if failed or not (options.quiet or sys.stderr.isatty()):
        (warn if failed else say)(progress.line(run))


def _conclude(agenda: Agenda, runs: Sequence[Run], store: Store, options: RunOptions) -> int:
    """Say how things stand now, and return the exit code."""
    known = {item.experiment.run_name: item.run for item in agenda.items if item.run}
    known |= {run.experiment.run_name: run for run in runs}
    complete = [run for run in known.values() if run.status == "complete"]
    failed = [run for run in known.values() if run.status != "complete"]
    missing = len(agenda.items) - len(known)
    root = as_argument(store.root)
    if not options.quiet:
        if not runs:
            say("nothing to do")
        best = best_of(complete)
        of_all = f"{len(complete)} of {counted(len(agenda.items), 'run')} complete in {store.root}"
        say(f"{of_all}; best: {describe_best(best)}" if best else of_all)
        if complete and not failed and not missing:
            steps = (command_line(["fmgrid", step, root]) for step in ("summarize", "report"))
            say(f"next: {' && '.join(steps)}")
    if failed:
        lines = [f"  {run.experiment.run_name}: {describe_run(run)}" for run in failed]
        if (more := len(failed) - FAILURES_SHOWN) > 0:
            status = command_line(["fmgrid", "status", root])
            lines[FAILURES_SHOWN:] = [f"  and {more} more; see {status}"]
        where = [] if store.root == Path("modellogs") else ["--logdir", root]
        show = command_line(["fmgrid", "show", "RUN", *where])
        lines.append(f"{show} tells more of one; --retry-failed runs them again")
        for line in (f"{len(failed)} failed:", *lines):
            say(line)
    if missing and not options.quiet:
        command = "the command without --retry-failed" if options.retry_failed else ""
        say(f"{missing} not run; {command or 'the same command'} does the rest")
    return FAILED if failed or missing else 0


def _describe_commit() -> str | None:
    """Return the commit of the current folder, with "-dirty" if need be; None without one."""
    git = shutil.which("git")
    if git is None or Path(git).absolute().parent == Path.cwd():  # Windows looks there first
        return None
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
        return None
    return result.stdout.decode(errors="replace").strip() if result.returncode == 0 else None
