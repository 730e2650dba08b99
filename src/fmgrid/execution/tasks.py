"""What an executor is given, and what it promises."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

from fmgrid.experiment import Experiment, Run

Train: TypeAlias = Callable[[Experiment], Run]


@dataclass(frozen=True)
class Task:
    """An experiment to train, and how."""

    experiment: Experiment
    log: Path  # gets everything that its training prints
    seconds: float | None = None  # from its start; then it is killed, whatever it does
    # Its worker serves no other task: plugged-in code may leave anything behind in a process.
    is_alone: bool = False


class Executor(Protocol):
    """Runs tasks somewhere; a task is taken from the iterable only when it can start."""

    def run(self, train: Train, tasks: Iterable[Task]) -> Iterator[Run]:
        """Yield each task's run as soon as it has ended, in any order."""

    @property
    def running(self) -> Sequence[Experiment]:
        """What is being trained at this moment."""
