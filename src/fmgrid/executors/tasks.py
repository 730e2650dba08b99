"""What an executor is given, and what it promises."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

from fmgrid.records import Experiment, Run

Train: TypeAlias = Callable[[Experiment], Run]


@dataclass(frozen=True)
class Limits:
    """What one training may use; None is no limit."""

    seconds: float | None = None  # from its start; then it is killed, whatever it does
    memory: int | None = None  # bytes that it may allocate; what needs more fails


NO_LIMITS = Limits()


@dataclass(frozen=True)
class Task:
    """An experiment to train, and the file that gets everything its training prints."""

    experiment: Experiment
    log: Path
    limits: Limits = NO_LIMITS


class Executor(Protocol):
    """Runs tasks somewhere; a task is taken from the iterable only when it can start."""

    def run(self, train: Train, tasks: Iterable[Task]) -> Iterator[Run]:
        """Yield each task's run as soon as it has ended, in any order."""

    @property
    def running(self) -> Sequence[Experiment]:
        """What is being trained at this moment."""
