"""Where training happens. An executor takes tasks and yields their runs, as each ends.

It knows neither torch nor the store: it is handed a function that turns an experiment into
its run. A task that its process doesn't survive still yields a run, a failed one.

Why not a pool from a library: concurrent.futures and loky give up all tasks when one worker
dies. pebble does too when it dies at a moment at which none works; its workers share pipes under
locks, which one that is killed may hold for ever; and a worker that ends while it is being
stopped leaves semaphores behind. Here each worker has a pipe of its own, and shares nothing.
"""

import contextlib
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from multiprocessing import connection
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

from fmgrid.errors import MachineError, StoreError
from fmgrid.records import Experiment, Failure, Run

Train = Callable[[Experiment], Run]
T = TypeVar("T")

# One thread per worker, for every library that might start its own; set before torch is
# imported, since OpenMP and MKL read them once, when they are loaded.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
QUIET = {"TQDM_DISABLE": "1"}  # progress bars make a log unreadable

PATIENCE = 1.0  # seconds for the idle workers to end by themselves


@dataclass(frozen=True)
class Task:
    """An experiment to train, and the file that gets everything its training prints."""

    experiment: Experiment
    log: Path


class Executor(Protocol):
    """Runs tasks somewhere; a task is taken from the iterable only when it can start."""

    def run(self, train: Train, tasks: Iterable[Task]) -> Iterator[Run]:
        """Yield each task's run as soon as it has ended, in any order."""

    @property
    def running(self) -> Sequence[Experiment]:
        """What is being trained at this moment."""


@dataclass
class Processes:
    """Worker processes of this machine, each of one thread; use as a context manager.

    They come from a server process that imports *preload* while the caller does something
    else. Leaving the context kills them, whatever they do, and what they have started.
    """

    workers: int
    preload: Sequence[str] = ()
    _context: Any = field(init=False, repr=False)
    _crew: "list[_Worker]" = field(default_factory=list, repr=False)

    def __enter__(self) -> Self:
        os.environ.update(ONE_THREAD | QUIET)  # inherited by the server and all workers
        if "forkserver" in multiprocessing.get_all_start_methods():
            self._context = multiprocessing.get_context("forkserver")
            self._context.set_forkserver_preload(list(self.preload))
            _start_server()
        else:
            self._context = multiprocessing.get_context("spawn")
        return self

    def __exit__(self, *_: object) -> None:
        idle = [worker for worker in self._crew if worker.task is None]
        for worker in idle:
            worker.line.close()  # which an idle worker takes for its end
        for worker in self._crew:
            if worker.task:
                worker.kill()
        deadline = time.monotonic() + PATIENCE
        for worker in idle:
            worker.process.join(max(0.0, deadline - time.monotonic()))
            worker.kill()
        self._crew = []

    def call(self, function: Callable[..., T], *args: Any) -> T:
        """Return the function's result, computed in a worker. Raises what it raises."""
        worker = self._hire(1)[0]
        worker.send(function, *args)
        try:
            result: T = worker.receive()
        except EOFError as error:
            worker.kill()
            raise MachineError(f"a worker process died ({worker.death})") from error
        return result

    def run(self, train: Train, tasks: Iterable[Task]) -> Iterator[Run]:
        """Yield each task's run as soon as it has ended; leaving early kills the workers."""
        queue = iter(tasks)
        try:
            for worker in self._hire(self.workers):
                worker.start(train, next(queue, None))
            while busy := [worker for worker in self._crew if worker.task]:
                ended = set(connection.wait([thing for worker in busy for thing in worker.signs]))
                for worker in busy:
                    if ended.isdisjoint(worker.signs):
                        continue
                    run = worker.finish()
                    # Before the caller stores the run, so that the worker needn't wait for it.
                    self._replaced(worker).start(train, next(queue, None))
                    yield run
        finally:
            for worker in self._crew:
                if worker.task:
                    worker.kill()

    @property
    def running(self) -> Sequence[Experiment]:
        """What the workers are training at this moment."""
        tasks = [worker.task for worker in self._crew]
        return [task.experiment for task in tasks if task]

    def _hire(self, count: int) -> "list[_Worker]":
        """Return so many living workers."""
        self._crew = [worker for worker in self._crew if worker.process.is_alive()]
        while len(self._crew) < count:
            self._crew.append(_Worker(self._context))
        return self._crew[:count]

    def _replaced(self, worker: "_Worker") -> "_Worker":
        """Return the worker, or a new one in its place if it is dead."""
        if worker.process.is_alive():
            return worker
        place = self._crew.index(worker)
        self._crew[place] = _Worker(self._context)
        return self._crew[place]


class _Worker:
    """A process that does one thing at a time, seen from the parent."""

    def __init__(self, context: Any) -> None:
        self.line, far_end = context.Pipe()
        self.task: Task | None = None
        self.process = context.Process(target=_serve, args=(far_end,), name="fmgrid worker")
        try:
            self.process.start()
        except (OSError, EOFError) as error:  # EOFError: the server died of its imports
            self.line.close()
            raise MachineError(f"a worker process cannot be started: {error!r}") from error
        finally:
            far_end.close()  # so that the line ends when the worker does

    @property
    def signs(self) -> tuple[Any, Any]:
        """What becomes ready when there is something to receive, or nothing ever will be."""
        return self.line, self.process.sentinel

    @property
    def death(self) -> str:
        """What the process died of."""
        code = self.process.exitcode
        if code is None or code >= 0:
            return f"exit code {code}"
        return f"signal {-code}, {signal.strsignal(-code)}"

    def start(self, train: Train, task: Task | None) -> None:
        """Begin a task, if there is one left."""
        self.task = task
        if task is not None:
            self.send(_attempt, train, task)

    def finish(self) -> Run:
        """Return the run of the task that has ended, or that the process didn't survive."""
        if self.task is None:
            raise ValueError("the worker has no task")
        experiment = self.task.experiment
        try:
            run: Run = self.receive()
        except EOFError:
            self.kill()
            run = _failed(experiment, f"its worker process died ({self.death})")
        self.task = None
        return run

    def send(self, function: Callable[..., Any], *args: Any) -> None:
        """Give the worker something to do; that it is dead shows when its answer is awaited."""
        with contextlib.suppress(OSError):
            self.line.send((function, args))

    def receive(self) -> Any:
        """Return what the worker's function returned. Raises EOFError if the worker is dead.

        Its line alone may stay open, where it has left children that inherited it.
        """
        connection.wait(self.signs)
        try:
            if not self.line.poll():
                raise EOFError
            result, error = pickle.loads(self.line.recv_bytes())  # noqa: S301 - from our worker
        except OSError as failure:
            raise EOFError from failure
        if error is not None:
            raise error
        return result

    def kill(self) -> None:
        """Kill the process with all its children, and wait for its end."""
        self.line.close()
        if sys.platform != "win32" and self.process.pid is not None:
            # A worker that has just started is not a leader yet.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.kill()
        self.process.join()
        self.task = None


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


def _serve(line: "connection.Connection[Any, Any]") -> None:
    """Do in a worker what comes over the line, until it ends."""
    _detach()
    while True:
        try:
            function, args = line.recv()
        except (EOFError, OSError):
            return
        try:
            answer = pickle.dumps((function(*args), None))
        except Exception as error:  # noqa: BLE001 - it is raised again in the parent
            answer = _pickled_error(error)
        line.send_bytes(answer)


def _pickled_error(error: Exception) -> bytes:
    """Return an answer that raises the error, or one like it if it can't travel."""
    try:
        answer = pickle.dumps((None, error))
        pickle.loads(answer)  # noqa: S301 - made in the line above
    except Exception:  # noqa: BLE001 - what a class does when it is pickled is anyone's guess
        return pickle.dumps((None, RuntimeError("".join(traceback.format_exception(error)))))
    return answer


def _attempt(train: Train, task: Task) -> Run:
    """Train in a worker, with everything that any library prints going to the log."""
    try:
        _redirect(task.log)
    except OSError as error:
        raise StoreError(f"{task.log}: {error.strerror}") from error
    started, clock = datetime.now(UTC), time.monotonic()
    try:
        run: Run = pickle.loads(pickle.dumps(train(task.experiment)))  # noqa: S301 - as it will be
    except BaseException as error:  # noqa: BLE001 - plugged-in code may even call sys.exit
        trace = traceback.format_exc()
        message = " ".join(f"{type(error).__name__}: {error}".split())
        run = _failed(task.experiment, message, trace, started, time.monotonic() - clock)
        _flush()
        with contextlib.suppress(OSError):  # it may have closed stderr
            os.write(2, trace.encode(errors="backslashreplace"))
    _flush()
    return run


def _failed(
    experiment: Experiment,
    message: str,
    trace: str = "",
    started: datetime | None = None,
    seconds: float = 0.0,
) -> Run:
    return Run(
        experiment=experiment,
        status="failed",
        started=started or datetime.now(UTC),
        seconds=seconds,
        failure=Failure(message=message, traceback=trace),
    )


def _redirect(log: Path) -> None:
    """Send stdout and stderr, of Python and of C code alike, to the log from now on.

    They are not turned back afterwards: a worker has nothing else to say to anyone.
    """
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    for standard in (1, 2):
        os.dup2(descriptor, standard)
    if descriptor not in (1, 2):  # which it gets where plugged-in code closed those
        os.close(descriptor)
    # Made anew, because plugged-in code may have closed them; a buffer would be lost in a kill.
    sys.stdout, sys.stderr = (
        open(standard, "w", 1, "utf-8", "backslashreplace", closefd=False)  # noqa: SIM115
        for standard in (1, 2)
    )


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):  # None, full, closed
            stream.flush()


def _detach() -> None:
    """Make the process a worker: nobody's to stop but the parent's, and gone when that is."""
    if sys.platform != "win32":
        os.setsid()  # out of reach of the terminal's signals; and a group, to kill as one
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
    if "tqdm" in sys.modules:
        # Its own lock is a semaphore of the system's, which a worker that is killed would leak.
        sys.modules["tqdm"].tqdm.set_lock(threading.RLock())
    parent = multiprocessing.parent_process()
    if parent is not None:
        # Nothing else tells a worker that its parent was killed: the server is its parent too.
        threading.Thread(target=_die_with, args=(parent.sentinel,), daemon=True).start()


def _die_with(sentinel: int) -> None:
    connection.wait([sentinel])
    if sys.platform != "win32":
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os._exit(1)
