"""What a person sees while a grid runs: two lines on a terminal, a line per run in a pipe."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from rich.console import Console, ConsoleOptions, RenderResult
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from fmgrid.analysis.experiments import ExperimentRuns, best_of, images_of
from fmgrid.experiment import Experiment, Run
from fmgrid.quantities import format_seconds
from fmgrid.training.costs import estimate_seconds
from fmgrid.words import shortened

_SHORTEST_NAME = 8  # characters, where a terminal is narrow
_SETS_SHOWN = 2


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
        self.best = best_of(self.runs)

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
            self.best = best_of(self.runs)
            self._ranked_next = self.clock() + 20 * (self.clock() - began)

    @property
    def seconds_left(self) -> float | None:
        """How long it will go on, each run weighed by its cost; None before the first ends."""
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
        yield Text(self.now(options.max_width), no_wrap=True, overflow="ellipsis")

    def now(self, width: int) -> str:
        """Return the best run, and as many of those that are running as fit into *width*."""
        running = [experiment.run_name for experiment in self.running()]
        names = [*running, *map(name_of, self.best)]
        short = shortened(names, max(width // 5, _SHORTEST_NAME))
        text = f"best so far: {describe_best(self.best, short)}" if self.best else ""
        if not running:
            return text or "starting"
        begin = f"{text}; running: " if text else "running: "
        for number in range(len(running), 0, -1):
            more = f" and {len(running) - number} more" if number < len(running) else ""
            text = f"{begin}{', '.join(short[name] for name in running[:number])}{more}"
            if len(text) <= width:
                break
        return text


def describe_run(run: Run) -> str:
    """Return a run's outcome in one line."""
    if run.status != "complete" or run.final is None:
        return f"{run.status}: {run.failure.message if run.failure else 'no reason is known'}"
    figures = f"{run.final.accuracy:.2%} right, loss {run.final.valid_loss:.4f}"
    if run.trained_as:
        return f"{figures}, from the training of {run.trained_as}"
    again = f", attempt {run.attempts}" if run.attempts > 1 else ""
    return f"{figures}, {format_seconds(run.seconds)}{again}"


def describe_best(
    best: Sequence[ExperimentRuns], short: Mapping[str, str] = MappingProxyType({})
) -> str:
    """Return the best experiments with their mean accuracies, of each set of images that judges.

    *short* has shorter names.
    """
    texts = []
    for one in best[:_SETS_SHOWN]:
        name, number = name_of(one), len(one.runs)
        text = f"{short.get(name, name)} {one.mean('accuracy') or 0.0:.2%}"
        text += f", the mean of {number} seeds" if number > 1 else ""
        texts.append(f"{text} on {images_of(one)}" if len(best) > 1 else text)
    return ", ".join(texts)


def name_of(one: ExperimentRuns) -> str:
    """Return the name of a single run, or of an experiment of several."""
    return next(iter(one.runs.values())).run if len(one.runs) == 1 else one.name
