"""Where training happens. An executor takes tasks and yields their runs, as each ends.

It knows neither torch nor the store: it is handed a function that turns an experiment into
its run. A task that its process doesn't survive still yields a run, a failed one.
"""

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from dataclasses import dataclass, field
from datetime import UTC, datetime
from multiprocessing import forkserver
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

from fmgrid.records import Experiment, Failure, Run

if TYPE_CHECKING:
    from pebble import ProcessFuture, ProcessPool

Train = Callable[[Experiment], Run]
T = TypeVar("T")

# One thread per worker, for every library that might start its own; set before torch is
# imported, since OpenMP and MKL read them once, when they are loaded.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
QUIET = {"TQDM_DISABLE": "1"}  # progress bars make a log unreadable


@dataclass(frozen=True)
class Task:
    """An experiment to train, and the file that gets everything its training prints."""

    experiment: Experiment
    log: Path


class Executor(Protocol):
    """Runs tasks somewhere; tasks are taken from the iterable only when one can start soon."""

    def run(self, train: Train, tasks: Iterable[Task]) -> Iterator[Run]:
        """Yield each task's run as soon as it has ended, in any order."""

    @property
    def running(self) -> Sequence[Experiment]:
        """What is being trained at this moment."""


@dataclass
class Processes:
    """Worker processes of this machine, each of one thread; use as a context manager.

    The workers start at once, from a server process that has already imported *preload*;
    leaving the context kills them, whatever they do.
    """

    workers: int
    preload: Sequence[str] = ()
    _pool: "ProcessPool" = field(init=False, repr=False)
    _futures: "dict[ProcessFuture[Run], Experiment]" = field(default_factory=dict, repr=False)

    def __enter__(self) -> Self:
        from pebble import ProcessPool

        os.environ.update(ONE_THREAD | QUIET)  # inherited by the server and all workers
        if "forkserver" in multiprocessing.get_all_start_methods():
            context: Any = multiprocessing.get_context("forkserver")
            context.set_forkserver_preload(list(self.preload))
            forkserver.ensure_running()  # it imports while the caller does something else
        else:
            context = multiprocessing.get_context("spawn")
        self._pool = ProcessPool(
            max_workers=self.workers, context=context, initializer=_die_with_parent
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.stop()  # type: ignore[no-untyped-call]
        self._pool.join()

    def call(self, function: Callable[..., T], *args: Any) -> T:
        """Return the function's result, computed in a worker. Raises what it raises."""
        return self._pool.schedule(function, args=args).result()

    def run(self, train: Train, tasks: Iterable[Task]) -> Iterator[Run]:
        """Yield each task's run as soon as it has ended; a few tasks wait ready beside them."""
        ahead = 2 * self.workers
        queue = iter(tasks)
        while True:
            for task in queue:
                future = self._pool.schedule(_attempt, args=(train, task))
                self._futures[future] = task.experiment
                if len(self._futures) >= ahead:
                    break
            if not self._futures:
                return
            done = wait(self._futures, return_when=FIRST_COMPLETED).done
            for future in [future for future in self._futures if future in done]:
                yield _result(future, self._futures.pop(future))

    @property
    def running(self) -> Sequence[Experiment]:
        """What the workers are training at this moment."""
        return [task for future, task in list(self._futures.items()) if future.running()]


def _result(future: "ProcessFuture[Run]", experiment: Experiment) -> Run:
    from pebble import ProcessExpired

    try:
        return future.result()
    except ProcessExpired as error:
        message = f"its worker process died ({_cause(error.exitcode)})"
        return Run(
            experiment=experiment,
            status="failed",
            started=datetime.now(UTC),
            seconds=0.0,
            failure=Failure(message=message),
        )


def _cause(exit_code: int) -> str:
    return f"signal {-exit_code}" if exit_code < 0 else f"exit code {exit_code}"


def _attempt(train: Train, task: Task) -> Run:
    """Train in a worker, with everything that any library prints going to the log."""
    with task.log.open("ab", buffering=0) as log, _redirected(log.fileno()):
        return train(task.experiment)


@contextlib.contextmanager
def _redirected(descriptor: int) -> Iterator[None]:
    """Send stdout and stderr, of Python and of C code alike, to the descriptor."""
    kept = {standard: os.dup(standard) for standard in (1, 2)}
    try:
        for standard in kept:
            os.dup2(descriptor, standard)
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for standard, original in kept.items():
            os.dup2(original, standard)
            os.close(original)


def _die_with_parent() -> None:
    """Leave no worker behind a parent that was killed: nothing else tells it under forkserver."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_exit_after, args=(parent.sentinel,), daemon=True).start()


def _exit_after(sentinel: int) -> None:
    multiprocessing.connection.wait([sentinel])
    os._exit(1)
