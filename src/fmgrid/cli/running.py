"""`fmgrid run`: puts the stages together, and shows the progress and the outcome."""

import math
import shutil
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from fmgrid.analysis.experiments import ExperimentRuns, rank_runs
from fmgrid.cli.options import RunOptions
from fmgrid.cli.output import INTERRUPTED, console, discard, ignore_signals, say, warn
from fmgrid.cli.planning import describe_work, make_checked_agenda, warn_of_unanswerable
from fmgrid.cli.showing import describe_best, describe_run, describe_winners, name_of
from fmgrid.components import check_component, find_distinct, needs_own_process
from fmgrid.components.kinds import is_plugged_in, on_one_line
from fmgrid.data.cache import prepare
from fmgrid.errors import InputError, MachineError, RefusedError, StoreError
from fmgrid.execution import Executor, Task
from fmgrid.execution.inline import Inline
from fmgrid.execution.processes import Processes
from fmgrid.execution.runner import run_all
from fmgrid.experiment import Experiment, Run
from fmgrid.grid import Definition, Plan
from fmgrid.hypotheses import registry
from fmgrid.hypotheses.commands import as_argument
from fmgrid.hypotheses.registry import GridRecord
from fmgrid.results.store import Store
from fmgrid.search import Agenda, AgendaItem, GridSearch, Policy, make_agenda
from fmgrid.system.memory import available_memory
from fmgrid.training.costs import estimate_seconds, workers_for
from fmgrid.training.worker import PRELOAD, train_one
from fmgrid.words import command_line, counted, first_few, format_bytes, format_seconds, shortened

_FAILED = 1
_FAILURES_SHOWN = 20
_NAMES_SHOWN = 3
_SHORTEST_NAME = 8  # characters, where a terminal is narrow


@dataclass
class Progress:
    """Counts finished runs and estimates the rest; rich renders it, a pipe gets `line`."""

    total: int  # runs that will be stored
    trainings: Sequence[Experiment]  # those of them that are trained
    running: Callable[[], Sequence[Experiment]]
    clock: Callable[[], float] = time.monotonic
    finished: int = 0
    failed: int = 0
    runs: list[Run] = field(default_factory=list)  # old and new
    best: Sequence[ExperimentRuns] = ()  # of each set of images that judges experiments
    started: float = field(init=False)
    _spent: float = 0.0  # estimated cost of what is done
    _working_since: float = 0.0  # when the first training began
    _ranked_next: float = -math.inf  # of thousands of experiments, ranking takes a while

    def __post_init__(self) -> None:
        self.started = self.clock()
        self._cost = sum(map(estimate_seconds, self.trainings))
        self.best = [ranked[0] for ranked in rank_runs(self.runs)]

    def add(self, run: Run) -> None:
        """Count a finished run."""
        self.finished += 1
        self.failed += run.status != "complete"
        if not self._spent:  # the workers' start is no measure of their speed
            self._working_since = self.clock() - run.seconds
        if run.trained_as is None:
            self._spent += estimate_seconds(run.experiment)
        self.runs.append(run)
        if self.clock() >= self._ranked_next or self.finished == self.total:
            began = self.clock()
            self.best = [ranked[0] for ranked in rank_runs(self.runs)]
            self._ranked_next = self.clock() + 20 * (self.clock() - began)

    @property
    def seconds_left(self) -> float | None:
        """Estimated seconds to the end, by the cost of each run; None before the first run ends."""
        if not self._spent:
            return None
        worked = self.clock() - self._working_since
        return worked * max(self._cost - self._spent, 0.0) / self._spent

    def line(self, run: Run) -> str:
        """Return the line of a finished run for a pipe."""
        place = f"[{self.finished:>{len(str(self.total))}}/{self.total}]"
        return f"{place} {run.experiment.run_name}: {describe_run(run)}"

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> RenderResult:
        """Render the state of this moment in two lines."""
        words = [
            f"{self.finished}/{self.total}",
            f"{format_seconds(self.clock() - self.started)} gone",
        ]
        if (left := self.seconds_left) is not None:
            words.append(f"{format_seconds(left)} left")
        if self.failed:
            words.append(f"{self.failed} failed")
        grid = Table.grid(padding=(0, 2))
        bar = ProgressBar(total=max(self._cost, 1e-9), completed=self._spent, width=24)
        grid.add_row(bar, Text(", ".join(words), no_wrap=True, overflow="ellipsis"))
        yield grid
        yield Text(self.describe_running(options.max_width), no_wrap=True, overflow="ellipsis")

    def describe_running(self, width: int) -> str:
        """Return the best run, and as many of those that are running as fit into *width*."""
        running = [experiment.run_name for experiment in self.running()]
        names = [*running, *map(name_of, self.best)]
        short_names = shortened(names, max(width // 5, _SHORTEST_NAME))
        text = f"best so far: {describe_best(self.best, short_names)}" if self.best else ""
        if not running:
            return text or "starting"
        beginning = f"{text}; running: " if text else "running: "
        for number in range(len(running), 0, -1):
            more = f" and {len(running) - number} more" if number < len(running) else ""
            text = f"{beginning}{', '.join(short_names[name] for name in running[:number])}{more}"
            if len(text) <= width:
                break
        return text


def run_grids(options: RunOptions, policy: Policy) -> int:
    """Run what is missing and return the exit code."""
    plan, store, workers = options.load(), Store(options.logdir), options.count_workers()
    agenda = make_checked_agenda(plan, store, policy)
    if not agenda.wanted:
        _note_afterwards(plan, store)
        return _conclude(agenda, [], store, options)
    warn_of_unanswerable(plan)
    with store.locked():
        agenda = make_checked_agenda(plan, store, policy)  # nobody else writes any more
        store.check_room(len(agenda.wanted), sum(experiment.epochs for experiment in agenda.wanted))
        try:
            runs = _run_all(plan, agenda, store, workers, options)
        except KeyboardInterrupt:
            # The runs that are stored count: the signal may have come before a line told of one.
            items = make_agenda(
                (definition.experiment for definition in plan.definitions), store
            ).items
            done = sum(item.state == "complete" for item in items)
            total = counted(len(items), "run")
            say(f"interrupted; {done} of {total} done, the same command does the rest")
            ignore_signals()
            return INTERRUPTED
    return _conclude(agenda, runs, store, options)


def _note_afterwards(plan: Plan, store: Store) -> None:
    """Store the grid records of complete runs: their questions may have been added since."""
    try:
        if registry.changed_records(store.root, plan.records):
            with store.locked():
                _note(plan.records, store)
    except StoreError as error:  # a folder that one may only read, or that another one uses
        warn(f"the questions of the grids were not noted, and no report has them: {error}")


def _note(records: Sequence[GridRecord], store: Store) -> None:
    for moved in registry.write_records(store.root, records):
        warn(f"the record of a grid was damaged, is now {moved}, and was written anew")


def _set_aside(items: Sequence[AgendaItem], store: Store) -> None:
    """Move finished runs out of the way of those that are trained in their place.

    There is one warning for all runs with the same reason, also where a later one cannot be moved.
    """
    moved: dict[tuple[str, str], list[tuple[AgendaItem, Path]]] = defaultdict(list)
    try:
        for item in items:
            folder = store.set_aside(item.experiment.run_name)
            reason = item.state, item.note if item.state == "changed" else ""
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


def _run_all(
    plan: Plan, agenda: Agenda, store: Store, workers: int, options: RunOptions
) -> list[Run]:
    """Give every wanted experiment a run, unless too many fail; return the runs.

    Old runs are set aside only when data and components are ready for training.
    """
    limit, memory = options.limits()
    timeouts = {
        definition.experiment.run_name: seconds
        for definition in plan.definitions
        if (seconds := limit or definition.timeout)
    }
    available = available_memory()
    workers = min(workers, len(agenda.trainings))
    if workers > (most_workers := workers_for(available)):
        workers = most_workers
        warn(f"{format_bytes(available)} of memory leaves room for {counted(workers, 'worker')}")
    if timeouts and not workers and agenda.trainings:
        warn("time limits are not kept with -j 0: nobody could end fmgrid's own process")
    options.inform(describe_work(agenda, workers))
    with (
        Processes(workers, preload=[PRELOAD], warn=warn)
        if workers
        else Inline(quiet=options.quiet) as executor
    ):
        # Meanwhile the workers' server imports torch.
        datasets: list[str] = sorted({experiment.dataset for experiment in agenda.trainings})
        data = {name: prepare(name, options.data_dir, options.inform, warn) for name in datasets}
        _check_components(plan.definitions, agenda.trainings, executor, timeouts)
        text, command = command_line(["fmgrid", *sys.argv[1:]]), options.to_command()
        _note([record.with_command(text, command) for record in plan.records], store)
        _set_aside(agenda.set_aside, store)
        train = partial(train_one, data, _describe_commit())

        def to_task(experiment: Experiment) -> Task:
            seconds = timeouts.get(experiment.run_name)
            limits = seconds, memory or available
            return Task(experiment, train, *limits, needs_own_process(experiment))

        complete = [item.run for item in agenda.items if item.run and item.state == "complete"]
        progress = Progress(
            len(agenda.wanted), agenda.trainings, lambda: executor.running, runs=complete
        )
        max_failures = 1 if options.fail_fast else options.max_failures
        runs = []
        with _live_display(progress, is_wanted=bool(workers) and not options.quiet):
            for run in run_all(GridSearch(agenda.wanted), store, executor, to_task, agenda.sources):
                runs.append(run)
                _report(run, progress, options)
                if progress.failed == max_failures:
                    break
        return runs


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
def _live_display(progress: Progress, *, is_wanted: bool) -> Iterator[None]:
    if not is_wanted or not sys.stderr.isatty():
        yield
        return
    live = Live(progress, console=console(stderr=True), refresh_per_second=8, transient=True)
    try:
        live.start()
        yield
    finally:
        try:
            live.stop()
        except OSError:  # the terminal was closed
            discard(sys.stderr)


def _report(run: Run, progress: Progress, options: RunOptions) -> None:
    progress.add(run)
    if options.json:
        try:
            print(run.model_dump_json(), flush=True)
        except BrokenPipeError:  # whoever read this has left; the runs are wanted all the same
            discard(sys.stdout)
    failed = run.status != "complete"
    if failed or not (options.quiet or sys.stderr.isatty()):
        (warn if failed else say)(progress.line(run))


def _conclude(agenda: Agenda, runs: Sequence[Run], store: Store, options: RunOptions) -> int:
    """Say how things stand now, and return the exit code."""
    runs_by_name = {item.experiment.run_name: item.run for item in agenda.items if item.run}
    runs_by_name |= {run.experiment.run_name: run for run in runs}
    complete = [run for run in runs_by_name.values() if run.status == "complete"]
    failed = [run for run in runs_by_name.values() if run.status != "complete"]
    missing = len(agenda.items) - len(runs_by_name)
    root = as_argument(store.root)
    if not runs:
        options.inform("nothing to do")
    outcome = f"{len(complete)} of {counted(len(agenda.items), 'run')} complete in {store.root}"
    options.inform("\n".join([outcome, *describe_winners(rank_runs(complete))]))
    if failed:
        say(f"{len(failed)} failed:")
        for run in failed[:_FAILURES_SHOWN]:
            say(f"  {run.experiment.run_name}: {describe_run(run)}")
        if (more := len(failed) - _FAILURES_SHOWN) > 0:
            say(f"  and {more} more; see {command_line(['fmgrid', 'status', root])}")
        logdir_option = [] if store.root == Path("modellogs") else ["--logdir", root]
        show = command_line(["fmgrid", "show", "RUN", *logdir_option])
        say(f"{show} tells more of one; --retry-failed runs them again")
    if missing:
        command = "command without --retry-failed" if options.retry_failed else "same command"
        options.inform(f"{missing} not run; the {command} does the rest")
    if failed or missing:
        return _FAILED
    steps = (command_line(["fmgrid", step, root]) for step in ("summarize", "report"))
    options.inform(f"next: {' && '.join(steps)}")
    return 0


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
