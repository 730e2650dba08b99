"""Where training happens: the contract of an executor, the executors, and the runner.

An executor knows neither torch nor the store. It takes tasks, and yields an event when one ends. A
training whose process dies is tried ATTEMPTS times, and then yields a failed run. A fault of the
machine, such as a full disk, is no run: `events` raises a `MachineError`.
"""

import os
import pickle
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, Self, TypeAlias, TypeVar

from fmgrid.errors import StoreError, explain_refusal, is_the_machines
from fmgrid.experiment import EpochRecord, Experiment, Failure, Run, Status
from fmgrid.system.processes import call_keeping_depth

T = TypeVar("T")

# One thread for every library that might start its own; set before torch is imported, since OpenMP
# and MKL read it once, when they are loaded. Progress bars make a log unreadable.
ENVIRONMENT = {
    **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"),
    "TQDM_DISABLE": "1",
    "PYTHONHASHSEED": "0",  # or else a set of words in plugged-in code has any order
}
ATTEMPTS = 2  # a death may be the machine's fault, and not the training's; two are no accident

# Is given each epoch of a training when it ends; returns whether the training shall go on.
Report: TypeAlias = Callable[[Experiment, EpochRecord], bool]
# Trains an experiment, which may allocate so many bytes, and gives its epochs to the function.
Train: TypeAlias = Callable[[Experiment, int | None, Callable[[EpochRecord], bool]], Run]


@dataclass(frozen=True)
class Task:
    """An experiment to train, the function that trains it, and its limits."""

    experiment: Experiment
    train: Train  # importable by its name, wherever the training happens
    seconds: float | None = None  # from its start; then it is killed: the run's status is timeout
    memory: int | None = None  # bytes that it may allocate; then it fails
    # Its process serves no other task: plugged-in code may leave anything behind in there.
    needs_own_process: bool = False


@dataclass(frozen=True)
class Finished:
    """A task has ended. The log holds everything that its training printed."""

    task: Task
    run: Run
    log: bytes


class Executor(Protocol):
    """Trains tasks somewhere. Leaving the context ends all tasks that still run."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    @property
    def has_room(self) -> bool:
        """Whether one more task could begin at once."""

    @property
    def running(self) -> Sequence[Experiment]:
        """The experiments that are being trained at this moment."""

    def submit(self, task: Task) -> None:
        """Begin a task, or let it wait for a free place."""

    def events(self, report: Report) -> Iterator[Finished]:
        """Yield an event when a task ends, until none is left; more may be submitted meanwhile.

        Each epoch goes to *report*. If it returns False, the training ends with this epoch, and
        the status of its run is "pruned". After a death the second attempt begins with the first
        epoch again. Epochs go to a function, because an executor that trains in the caller's
        thread yields nothing before the training has ended. Closing the iterator ends all tasks.
        """

    def call(
        self,
        function: Callable[..., T],
        *args: Any,
        seconds: float | None = None,
        needs_own_process: bool = False,
    ) -> T:
        """Return the function's result, or raise its error; it runs where tasks are trained.

        Raises `MachineError` if the process dies at every attempt, or if the call takes longer
        than *seconds*.
        """


def train_task(
    task: Task,
    report: Callable[[EpochRecord], bool],
    passed_on: tuple[type[BaseException], ...] = (),
) -> Run | StoreError:
    """Train in this process; return the run, or the error where the machine is to blame.

    Any other exception, except *passed_on*, gives a failed run with its traceback on stderr.
    """
    clock = time.monotonic()
    try:
        run = call_keeping_depth(task.train, task.experiment, task.memory, report)
        result: Run = pickle.loads(pickle.dumps(run))  # noqa: S301 - as it will travel
    except passed_on:
        raise
    except BaseException as error:  # noqa: BLE001 - it is the run's, and stored
        if is_the_machines(error, is_plugged_in=task.needs_own_process):
            return machine_failure(task, explain_refusal(error) or str(error))
        trace = traceback.format_exc()
        result = failed_run(task, clock, Failure.of(error))
        _flush()
        with suppress(OSError):  # it may have closed stderr
            os.write(2, trace.encode(errors="backslashreplace"))
    _flush()
    return result


def _flush() -> None:
    """Write what the streams hold back, as far as they still can."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):  # None, full, closed
            stream.flush()


def failed_run(
    task: Task, clock: float, failure: Failure, status: Status = "failed", attempts: int = 1
) -> Run:
    """Return the run of a task that did not complete; it began at *clock* (monotonic)."""
    seconds = time.monotonic() - clock
    return Run(
        experiment=task.experiment,
        status=status,
        started=datetime.now(UTC) - timedelta(seconds=seconds),
        seconds=seconds,
        failure=failure,
        attempts=attempts,
    )


def machine_failure(task: Task, reason: str) -> StoreError:
    """Return the error that ends a grid where the machine is to blame, and not the training."""
    return StoreError(
        f"{task.experiment.run_name} cannot be trained: {reason}; "
        "mend that, or leave the run out with --only"
    )
