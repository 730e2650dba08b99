"""The executor that trains in fmgrid's own process, one task after the other, for a debugger.

Streams stay the terminal's. It keeps no time limits, and gives no task a process of its own.
"""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Self, TypeVar

from fmgrid.errors import StoreError
from fmgrid.execution import ENVIRONMENT, Finished, Report, Task, train_task
from fmgrid.experiment import Experiment

T = TypeVar("T")


class Inline:
    """Trains here and now, where `breakpoint()` stops; use as a context manager.

    *quiet* leaves out the lines that mltrainer logs for every epoch.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._waiting: deque[Task] = deque()
        self._task: Task | None = None  # that is being trained

    def __enter__(self) -> Self:
        os.environ.update(ENVIRONMENT)
        if self._quiet:
            os.environ["LOGURU_LEVEL"] = "WARNING"  # which loguru reads when it is imported
        return self

    def __exit__(self, *_: object) -> None:
        self._waiting.clear()

    @property
    def has_room(self) -> bool:
        """Whether no task waits."""
        return not self._waiting

    @property
    def running(self) -> Sequence[Experiment]:
        """The experiment that is being trained, if there is one."""
        return [self._task.experiment] if self._task else []

    def submit(self, task: Task) -> None:
        """Let a task wait for `events`."""
        self._waiting.append(task)

    def events(self, report: Report) -> Iterator[Finished]:
        """Train the tasks in turn; see `Executor`."""
        try:
            while self._waiting:
                self._task = task = self._waiting.popleft()
                report_epoch = partial(report, task.experiment)
                outcome = train_task(task, report_epoch, passed_on=(KeyboardInterrupt,))
                if isinstance(outcome, StoreError):
                    raise outcome
                if outcome.failure and outcome.failure.message.startswith("BdbQuit"):
                    raise KeyboardInterrupt  # the debugger's "quit" ends the command
                self._task = None
                yield Finished(task, outcome, b"")
        finally:
            self._task = None
            self._waiting.clear()

    def call(
        self,
        function: Callable[..., T],
        *args: Any,
        seconds: float | None = None,
        needs_own_process: bool = False,
    ) -> T:
        """Return the function's result, without a limit of time."""
        del seconds, needs_own_process
        return function(*args)
