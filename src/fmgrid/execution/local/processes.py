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
from multiprocessing import connection, util
from pathlib import Path
from typing import Any, Self, TypeVar

from fmgrid.errors import FmgridError, MachineError, RefusedError, explain_refusal
from fmgrid.execution.local.child import make_scratch
from fmgrid.execution.local.worker import ATTEMPTS, Worker
from fmgrid.execution.tasks import Task, Train
from fmgrid.experiment import Experiment, Run
from fmgrid.quantities import format_bytes
from fmgrid.system.memory import available_memory, count_kills_for_memory
from fmgrid.words import counted

T = TypeVar("T")

# One thread per worker, for every library that might start its own; set before torch is
# imported, since OpenMP and MKL read them once, when they are loaded.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
QUIET = {"TQDM_DISABLE": "1"}  # progress bars make a log unreadable

PATIENCE = 1.0  # seconds for the idle workers to end by themselves
_LONGEST_WAIT = 3600.0  # seconds; the system waits for no more than 24 days at once
_FILES = 48  # that fmgrid itself may have open at once, importing included
_FILES_PER_WORKER = 8
# Bytes: measured with torch 2.14, the small networks of the study and all of Fashion-MNIST.
_MEMORY = 350_000_000  # the command and the server of workers
_MEMORY_PER_WORKER = 150_000_000
_MOST_SERVERS = 3  # that may die one after the other, with no run ended in between
_SERVER_ENDED = 255  # multiprocessing's exit code of a worker whose server is dead
_SERVER_SECONDS = 0.5
_SIGKILL = 9  # which Windows has no name for


@dataclass
class Processes:
    """Worker processes, each of one thread; use as a context manager.

    They come from a server process that imports *preload* while the caller does something
    else. Leaving the context kills them, whatever they do, and what they have started.
    """

    workers: int
    preload: Sequence[str] = ()
    tell: Callable[[str], None] = lambda _: None  # is told when fewer workers go on
    _servers_lost: int = field(default=0, repr=False)  # since the last run that ended
    _server: int | None = field(default=None, repr=False)  # process id
    _kills: int = field(default=0, repr=False)  # for lack of memory, that the kernel has counted
    _context: Any = field(init=False, repr=False)
    _crew: list[Worker] = field(default_factory=list, repr=False)
    # Where workers keep temporary files, so that those of a killed one don't stay for ever.
    _scratch: "tempfile.TemporaryDirectory[str]" = field(init=False, repr=False)

    def __enter__(self) -> Self:
        self._kills = count_kills_for_memory()
        _allow_files(_FILES + _FILES_PER_WORKER * self.workers)
        # Inherited by the workers and their server, which looks whether this is its parent still.
        os.environ.update(ONE_THREAD | QUIET | {"FMGRID_PARENT": str(os.getpid())})
        try:
            self._scratch = tempfile.TemporaryDirectory(
                prefix="fmgrid-", ignore_cleanup_errors=True
            )
        except OSError as error:
            raise MachineError(
                explain_refusal(error) or f"no temporary folder can be made: {error}; set TMPDIR"
            ) from error
        if "forkserver" in multiprocessing.get_all_start_methods():
            self._context = multiprocessing.get_context("forkserver")
            self._context.set_forkserver_preload(list(self.preload))
            os.environ["FMGRID_SERVER_LOG"] = str(self._server_log)
            try:
                self._ensure_server()
            except RefusedError:
                self._scratch.cleanup()
                raise
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
        if self._server is not None:
            with suppress(OSError, MachineError):  # at its end Python removes it, and must find it
                make_scratch(Path(util.get_temp_dir()))

    def call(self, function: Callable[..., T], *args: Any, seconds: float | None = None) -> T:
        """Return the function's result, computed in a worker. Raises what it raises.

        If the worker dies of it, a fresh one tries again; then it is a `MachineError`, and so it
        is if the worker takes longer than *seconds*.
        """
        attempts = 0
        while attempts < ATTEMPTS:
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
            attempts += not self._is_excused(worker)
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
        todo = _Todo(iter(tasks))
        try:
            for worker in self._hire(self.workers):
                todo.start_next(worker, train)
            while busy := [worker for worker in self._crew if worker.task]:
                for worker in _wait_for(busy):
                    run = self._finish(worker, todo)
                    refusal: FmgridError | None = None
                    try:
                        # Before the caller stores the run, so that nobody waits for that.
                        self._go_on(worker, train, todo)
                    except FmgridError as error:
                        refusal = error  # the next task's, or the system's
                    if run is not None:
                        self._servers_lost = 0
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

    @property
    def _server_log(self) -> Path:
        """What the server of workers says, such as why it ends."""
        return Path(self._scratch.name, "server.log")

    def _hire(self, count: int) -> list[Worker]:
        """Return so many living workers, or fewer if the machine has no room for them."""
        while True:
            for worker in self._crew:
                if not worker.process.is_alive():
                    worker.kill()  # what it has left behind
            self._crew = [worker for worker in self._crew if worker.process.is_alive()]
            if len(self._crew) >= min(count, self.workers):
                return self._crew[:count]
            self._crew.append(self._new_worker())

    def _finish(self, worker: Worker, todo: "_Todo") -> Run | None:
        """Return the run of the worker's task, or None if the task is to be done once more."""
        task = worker.task
        try:
            run = worker.finish(self._is_excused)
        except RefusedError as error:  # before the task began
            if task is None or self.workers == 1:
                raise
            self._go_on_with_fewer(str(error))
            todo.again.append((task, worker.attempt))
            return None
        if task is not None and run is None:
            todo.again.append((task, worker.attempt + 1))
        elif task is not None and task.is_alone:
            worker.retire(PATIENCE)
        return run

    def _go_on(self, worker: Worker, train: Train, todo: "_Todo") -> None:
        """Start the next task in the worker's place, unless the place was given up."""
        if self._has_place():
            todo.start_next(self._replaced(worker), train)
        else:
            worker.retire(PATIENCE)

    def _has_place(self) -> bool:
        """Tell whether fewer workers are busy than may be."""
        return sum(worker.task is not None for worker in self._crew) < self.workers

    def _replaced(self, worker: Worker) -> Worker:
        """Return the worker, or a new one in its place if it is dead."""
        if worker.process.is_alive():
            return worker
        worker.kill()  # what it has left behind
        place = self._crew.index(worker)
        self._crew[place] = self._new_worker()
        return self._crew[place]

    def _new_worker(self) -> Worker:
        while True:
            make_scratch(Path(self._scratch.name))
            if self._context.get_start_method() != "forkserver":
                return Worker(self._context, self._scratch.name)
            self._ensure_server()
            try:
                return Worker(self._context, self._scratch.name, self._server)
            except MachineError as error:
                if not _ends_soon(self._server):
                    raise RefusedError(str(error)) from error

    def _ensure_server(self) -> None:
        """Have a living server. Raises `RefusedError` if one after the other has died."""
        if self._server is not None and not _is_reachable():
            # Somebody has removed temporary files. Its workers' tasks begin again with others.
            os.kill(self._server, _SIGKILL)
            _ends_soon(self._server)
        elif self._server is not None and _has_ended(self._server):
            self._servers_lost += 1
            cause = self._server_cause()
            if self._servers_lost >= _MOST_SERVERS:
                raise RefusedError(f"the server of workers died {self._servers_lost} times{cause}")
            self._go_on_with_fewer(f"the server of workers died{cause}")
        try:
            self._server = _start_server()
        except OSError as error:
            reason = explain_refusal(error) or f"{error}; set TMPDIR to a folder on a local disk"
            raise RefusedError(f"the server of workers cannot be started: {reason}") from error

    def _server_cause(self) -> str:
        """Return why the server has died: its own last line, or the memory that it may have."""
        if _was_killed(self._server):
            return (
                " (signal 9, by hand or for lack of memory): "
                f"{format_bytes(available_memory())} of memory are there, and one worker needs "
                f"about {format_bytes(memory_for(1))}, a large network more; "
                "free memory, raise the container's limit, or start fewer workers (-j 1)"
            )
        reason = _last_line(self._server_log)
        return f": {explain_refusal(reason) or reason}"

    def _go_on_with_fewer(self, reason: str) -> None:
        if self.workers > 1:
            self.workers -= 1
            self.tell(f"{reason}; going on with {counted(self.workers, 'worker')}")

    def _is_excused(self, worker: Worker) -> bool:
        """Tell whether a worker died of the machine, and not of its task.

        So it is if its server died, for the end of both looks alike, or if the kernel killed
        for lack of memory while others needed some too.
        """
        if worker.server is not None and worker.process.exitcode == _SERVER_ENDED:
            return worker.server != self._server or _ends_soon(self._server)
        before, self._kills = self._kills, count_kills_for_memory()
        if self._kills > before and self.workers > 1 and worker.process.exitcode == -_SIGKILL:
            self._go_on_with_fewer("the kernel killed a worker for lack of memory")
            return True
        return False


@dataclass
class _Todo:
    """The tasks that no worker has begun, and those that one has begun in vain."""

    tasks: Iterator[Task]
    again: list[tuple[Task, int]] = field(default_factory=list)  # with the number of the attempt

    def start_next(self, worker: Worker, train: Train) -> None:
        """Have the worker begin the next task, if there is one."""
        if self.again:
            worker.start(train, *self.again.pop())
        else:
            worker.start(train, next(self.tasks, None))


def memory_for(workers: int) -> int:
    """Return the bytes that so many workers with small networks need, the command included."""
    return _MEMORY + workers * _MEMORY_PER_WORKER


def workers_for(memory: int) -> int:
    """Return how many workers have room in so many bytes, at least one."""
    return max(1, (memory - _MEMORY) // _MEMORY_PER_WORKER)


def _is_reachable() -> bool:
    """Tell whether the server can be asked for a worker, which it is through a file."""
    if sys.platform == "win32":
        return True
    from multiprocessing import forkserver

    address: str | None = getattr(forkserver._forkserver, "_forkserver_address", None)
    return address is None or os.path.exists(address)  # noqa: PTH110 - it may be no path at all


def _has_ended(pid: int | None) -> bool:
    """Tell whether a process of ours has ended, waited for or not."""
    import psutil

    try:
        return pid is not None and psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _ends_soon(pid: int | None) -> bool:
    """Tell whether a process has ended; its files are closed a moment before that shows."""
    deadline = time.monotonic() + _SERVER_SECONDS
    while not (ended := _has_ended(pid)) and time.monotonic() < deadline:
        time.sleep(0.01)
    return ended


def _was_killed(pid: int | None) -> bool:
    """Tell whether a process that has ended, and that nobody has waited for, was killed."""
    if sys.platform != "linux" or pid is None:
        return False
    with suppress(ChildProcessError):
        ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        return ended is not None and ended.si_status == signal.SIGKILL
    return False


def _last_line(log: Path) -> str:
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        lines = []
    return next((line.strip() for line in reversed(lines) if line.strip()), "it left no word")


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


def _start_server() -> int | None:
    """Start the process that workers are forked from, if there is none; return its id.

    It is deaf to the signals that are the parent's: Ctrl-C in a terminal reaches it too, and its
    imports would end in a traceback there. It hears all others, and waits for SIGCHLD.
    """
    if sys.platform == "win32":
        return None
    from multiprocessing import forkserver, resource_tracker

    make_scratch(Path(util.get_temp_dir()))  # where it listens, and which somebody may have removed
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    resource_tracker.ensure_running()  # first, since it would lift the block
    signal.pthread_sigmask(signal.SIG_SETMASK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    pid: int | None = getattr(forkserver._forkserver, "_forkserver_pid", None)
    return pid
