"""`fmgrid run`: shows the progress and the outcome."""

import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from fmgrid.analysis.experiments import ExperimentRuns
from fmgrid.analysis.ranking import rank_runs
from fmgrid.cli.options import RunOptions
from fmgrid.cli.output import console, discard, say, warn
from fmgrid.cli.planning import describe_samples, describe_work, warn_of_unanswerable
from fmgrid.cli.showing import describe_best, describe_run, describe_winners, name_of
from fmgrid.execution.grids import run_grids
from fmgrid.experiment import Experiment, Run
from fmgrid.grid import Plan
from fmgrid.hypotheses.commands import as_argument
from fmgrid.results.store import Store
from fmgrid.search import Agenda, Policy
from fmgrid.training.costs import estimate_seconds
from fmgrid.words import command_line, counted, format_seconds, shortened

_FAILED = 1
_FAILURES_SHOWN = 20
_SHORTEST_NAME = 8  # characters, where a terminal is narrow


@dataclass
class Progress:
    """Counts finished runs and estimates the rest; rich renders it, a pipe gets `line`."""

    total: int  # runs that will be stored
    trainings: Sequence[Experiment]  # those of them that are trained
    running: Callable[[], Sequence[Experiment]]
    cost: Callable[[Experiment], float] = estimate_seconds
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
        self._cost = sum(map(self.cost, self.trainings))
        self.best = [ranked[0] for ranked in rank_runs(self.runs)]

    def add(self, run: Run) -> None:
        """Count a finished run."""
        self.finished += 1
        self.failed += run.status != "complete"
        if not self._spent:  # the workers' start is no measure of their speed
            self._working_since = self.clock() - run.seconds
        if run.trained_as is None:
            self._spent += self.cost(run.experiment)
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


@dataclass(frozen=True)
class Outcome:
    """The end of a run."""

    exit_code: int
    runs: Sequence[Run]  # of all experiments, in the order of the grids, old ones included


@dataclass(frozen=True)
class Terminal:
    """Tells the user how the work goes on: the listener of `run_grids`."""

    options: RunOptions

    def inform(self, text: str) -> None:
        """Say something, but not with --quiet."""
        self.options.inform(text)

    def warn(self, text: str) -> None:
        """Say what the user should look at."""
        warn(text)

    def begin(self, plan: Plan, agenda: Agenda, workers: int) -> None:
        """Say how much there is to do."""
        warn_of_unanswerable(plan)
        self.inform("\n".join([*describe_samples(plan), describe_work(agenda, workers)]))

    @contextmanager
    def follow(
        self,
        agenda: Agenda,
        running: Callable[[], Sequence[Experiment]],
        cost: Callable[[Experiment], float],
    ) -> Iterator[Callable[[Run], None]]:
        """Show the progress on a terminal, and a line for each run in a pipe."""
        complete = [item.run for item in agenda.items if item.run and item.state == "complete"]
        progress = Progress(len(agenda.wanted), agenda.trainings, running, cost, runs=complete)
        is_live = self.options.jobs != 0 and not self.options.quiet
        with _live_display(progress, is_wanted=is_live):
            yield partial(self._report, progress)

    def _report(self, progress: Progress, run: Run) -> None:
        progress.add(run)
        if self.options.json:
            try:
                print(run.model_dump_json(), flush=True)
            except BrokenPipeError:  # whoever read this has left; the runs are wanted all the same
                discard(sys.stdout)
        failed = run.status != "complete"
        if failed or not (self.options.quiet or sys.stderr.isatty()):
            (warn if failed else say)(progress.line(run))


def run_and_show(options: RunOptions, policy: Policy, words: Sequence[str] = ()) -> Outcome:
    """Run what is missing, and show how it goes; *words* are the command as it was typed."""
    request = options.to_request(policy, words)
    agenda, runs = run_grids(request, Terminal(options))
    exit_code = _conclude(agenda, runs, request.store, options)
    new_runs = {run.experiment.run_name: run for run in runs}
    known = (new_runs.get(item.experiment.run_name, item.run) for item in agenda.items)
    return Outcome(exit_code, [run for run in known if run])


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
