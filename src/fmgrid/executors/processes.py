"""Worker processes of this machine, and what becomes of a task whose worker dies or hangs.

Why not a pool from a library: concurrent.futures and loky give up all tasks when one worker
dies. pebble does too when it dies at a moment at which none works; its workers share pipes under
locks, which one that is killed may hold for ever; and a worker that ends while it is being
stopped leaves semaphores behind. Here each worker has a pipe of its own, and shares nothing.
"""

import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import connection
from typing import Any, Self, TypeVar

from fmgrid.errors import FmgridError, MachineError
from fmgrid.executors.tasks import Task, Train
from fmgrid.executors.worker import ATTEMPTS, Worker
from fmgrid.records import Experiment, Run

T = TypeVar("T")

# One thread per worker, for every library that might start its own; set before torch is
# imported, since OpenMP and MKL read them once, when they are loaded.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
QUIET = {"TQDM_DISABLE": "1"}  # progress bars make a log unreadable

PATIENCE = 1.0  # seconds for the idle workers to end by themselves
_LONGEST_WAIT = 3600.0  # seconds; the system waits for no more than 24 days at once
_FILES = 48  # that fmgrid itself may have open at once, importing included
_FILES_PER_WORKER = 8


@dataclass
class Processes:
    """Worker processes, each of one thread; use as a context manager.

    They come from a server process that imports *preload* while the caller does something
    else. Leaving the context kills them, whatever they do, and what they have started.
    """

    workers: int
    preload: Sequence[str] = ()
    _context: Any = field(init=False, repr=False)
    _crew: list[Worker] = field(default_factory=list, repr=False)
    # Where workers keep temporary files, so that those of a killed one don't stay for ever.
    _scratch: "tempfile.TemporaryDirectory[str]" = field(init=False, repr=False)

    def __enter__(self) -> Self:
        _allow_files(_FILES + _FILES_PER_WORKER * self.workers)
        # Inherited by the workers and their server, which looks whether this is its parent still.
        os.environ.update(ONE_THREAD | QUIET | {"FMGRID_PARENT": str(os.getpid())})
        self._scratch = tempfile.TemporaryDirectory(prefix="fmgrid-", ignore_cleanup_errors=True)
        if "forkserver" in multiprocessing.get_all_start_methods():
            self._context = multiprocessing.get_context("forkserver")
            self._context.set_forkserver_preload(list(self.preload))
            try:
                _start_server()
            except OSError as error:
                raise MachineError(f"the server of workers cannot be started: {error}") from error
        else:
            self._context = multiprocessing.get_context("spawn")
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._crew:
            if worker.task:
                worker.kill()
        deadline = time.monotonic() + PATIENCE
        for worker in self._crew:
            worker.retire(max(0.0, deadline - time.monotonic()))
        self._crew = []
        self._scratch.cleanup()

    def call(self, function: Callable[..., T], *args: Any, seconds: float | None = None) -> T:
        """Return the function's result, computed in a worker. Raises what it raises.

        If the worker dies of it, a fresh one tries again; then it is a `MachineError`, and so it
        is if the worker takes longer than *seconds*.
        """
        for _ in range(ATTEMPTS):
            worker = self._hire(1)[0]
            worker.send(function, *args)
            patience = None if seconds is None else min(seconds, _LONGEST_WAIT)
            if not connection.wait(worker.signs, patience):
                worker.kill()
                raise MachineError(f"a worker process was killed after {patience:g} s")
            with suppress(EOFError):
                result: T = worker.receive()
                return result
            worker.kill()
        raise MachineError(f"a worker process died twice ({worker.death})")

    def dismiss(self) -> None:
        """Let the idle workers go; whoever is needed next is a fresh one."""
        for worker in self._crew:
            if worker.task is None:
                worker.retire(PATIENCE)

    def run(self, train: Train, tasks: Iterable[Task]) -> Iterator[Run]:
        """Yield each task's run as soon as it has ended; leaving early kills the workers.

        A task whose worker dies is given to a fresh one, once; one that exceeds its seconds
        is killed with all that it has started.
        """
        queue = iter(tasks)
        try:
            for worker in self._hire(self.workers):
                worker.start(train, next(queue, None))
            while busy := [worker for worker in self._crew if worker.task]:
                for worker in _wait_for(busy):
                    task = worker.task
                    run = worker.finish()
                    if run is None:
                        self._replaced(worker).start(train, task, worker.attempt + 1)
                        continue
                    if task is not None and task.is_alone:
                        worker.retire(PATIENCE)
                    refusal: FmgridError | None = None
                    try:
                        # Before the caller stores the run, so that nobody waits for that.
                        self._replaced(worker).start(train, next(queue, None))
                    except FmgridError as error:
                        refusal = error  # the next task's, or the system's
                    yield run
                    if refusal is not None:
                        raise refusal
        finally:
            for worker in self._crew:
                if worker.task:
                    worker.kill()

    @property
    def running(self) -> Sequence[Experiment]:
        """What the workers are training at this moment."""
        tasks = [worker.task for worker in self._crew]
        return [task.experiment for task in tasks if task]

    def _hire(self, count: int) -> list[Worker]:
        """Return so many living workers."""
        for worker in self._crew:
            if not worker.process.is_alive():
                worker.kill()  # what it has left behind
        self._crew = [worker for worker in self._crew if worker.process.is_alive()]
        while len(self._crew) < count:
            self._crew.append(self._new_worker())
        return self._crew[:count]

    def _replaced(self, worker: Worker) -> Worker:
        """Return the worker, or a new one in its place if it is dead."""
        if worker.process.is_alive():
            return worker
        worker.kill()  # what it has left behind
        place = self._crew.index(worker)
        self._crew[place] = self._new_worker()
        return self._crew[place]

    def _new_worker(self) -> Worker:
        try:
            return Worker(self._context, self._scratch.name)
        except MachineError:
            if self._context.get_start_method() != "forkserver":
                raise
            _start_server()  # if somebody has killed it, once more
            return Worker(self._context, self._scratch.name)


def _wait_for(busy: Sequence[Worker]) -> list[Worker]:
    """Return the workers that have answered, died or run out of time, when there are some."""
    deadline = min(worker.deadline for worker in busy)
    patience = min(max(0.0, deadline - time.monotonic()), _LONGEST_WAIT)
    signs = set(connection.wait([sign for worker in busy for sign in worker.signs], patience))
    now = time.monotonic()
    return [
        worker for worker in busy if worker.deadline <= now or not signs.isdisjoint(worker.signs)
    ]


def _allow_files(needed: int) -> None:
    """Have the system allow so many open files. Raises `MachineError` if it doesn't.

    Later on, the lack of one would look like the failure of whatever asked for it.
    """
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        if hard != resource.RLIM_INFINITY and hard < needed:
            raise MachineError(
                f"too few open files are allowed: {hard}, and {needed} are needed; "
                f"raise the limit (ulimit -n {needed}) or start fewer workers (-j 1)"
            )
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def _start_server() -> None:
    """Start the process that workers are forked from, deaf to signals, which are the parent's.

    Ctrl-C in a terminal reaches it too, and its imports would end in a traceback there.
    """
    from multiprocessing import forkserver, resource_tracker

    resource_tracker.ensure_running()  # first, since it would lift the block
    deaf_to = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, deaf_to)
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
