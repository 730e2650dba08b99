"""The executor of worker processes on this machine, which may die or hang.

Why not a pool from a library: concurrent.futures and loky give up all tasks when one worker
dies. pebble does too when it dies at a moment at which none works; its workers share pipes under
locks, which one that is killed may hold for ever; and a worker that ends while it is being
stopped leaves semaphores behind. Here each worker has a pipe of its own, and shares nothing.
"""

import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import connection, util
from pathlib import Path
from typing import Any, Self, TypeVar

from fmgrid.errors import MachineError, RefusedError, explain_refusal
from fmgrid.execution import ATTEMPTS, ENVIRONMENT, Finished, Report, Started, Task
from fmgrid.execution.local.child import STOP
from fmgrid.execution.local.worker import Worker
from fmgrid.experiment import EpochRecord, Experiment
from fmgrid.quantities import format_bytes
from fmgrid.system.disk import last_line, make_private_folder
from fmgrid.system.memory import available_memory, count_kills_for_memory
from fmgrid.system.processes import (
    allow_files,
    ends_soon,
    has_ended,
    is_server_reachable,
    start_server,
    was_killed,
)
from fmgrid.training.costs import memory_for
from fmgrid.words import counted

T = TypeVar("T")

PATIENCE = 1.0  # seconds for the idle workers to end by themselves
_LONGEST_WAIT = 3600.0  # seconds; the system waits for no more than 24 days at once
_FILES = 48  # that fmgrid itself may have open at once, importing included
_FILES_PER_WORKER = 8
_MOST_SERVERS = 3  # that may die one after the other, with no run ended in between
_SERVER_LOG = "server.log"  # gets what the server of workers says, such as why it ends
_SERVER_ENDED = 255  # multiprocessing's exit code of a worker whose server is dead
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
    _workers: list[Worker] = field(default_factory=list, repr=False)
    _started: list[Started] = field(default_factory=list, repr=False)  # not told of yet
    # Tasks that no worker is at, with the number of the attempt.
    _waiting: list[tuple[Task, int]] = field(default_factory=list, repr=False)
    # Where workers keep temporary files, so that those of a killed one don't stay for ever.
    _scratch: "tempfile.TemporaryDirectory[str]" = field(init=False, repr=False)

    def __enter__(self) -> Self:
        self._kills = count_kills_for_memory()
        allow_files(_FILES + _FILES_PER_WORKER * self.workers)
        # Inherited by the workers and their server, which looks whether this is its parent still.
        os.environ.update(ENVIRONMENT | {"FMGRID_PARENT": str(os.getpid())})
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
            os.environ["FMGRID_SERVER_LOG"] = str(Path(self._scratch.name, _SERVER_LOG))
            try:
                self._ensure_server()
            except RefusedError:
                self._scratch.cleanup()
                raise
        else:
            self._context = multiprocessing.get_context("spawn")
        return self

    def __exit__(self, *_: object) -> None:
        self._end_tasks()
        deadline = time.monotonic() + PATIENCE
        for worker in self._workers:
            worker.shutdown(max(0.0, deadline - time.monotonic()))
        self._workers = []
        self._scratch.cleanup()
        if self._server is not None:
            with suppress(OSError, MachineError):  # at its end Python removes it, and must find it
                make_private_folder(Path(util.get_temp_dir()))

    @property
    def has_room(self) -> bool:
        """Whether fewer tasks run and wait than there are workers."""
        return len(self._busy) + len(self._waiting) < self.workers

    @property
    def running(self) -> Sequence[Experiment]:
        """The experiments that the workers are training at this moment."""
        return [worker.task.experiment for worker in self._workers if worker.task]

    def submit(self, task: Task) -> None:
        """Give a task to a worker if one is free, or else let it wait."""
        self._waiting.insert(0, (task, 1))
        self._start_waiting()

    def events(self, report: Report) -> Iterator[Started | Finished]:
        """Yield what becomes of the tasks; see `Executor`.

        A task whose worker dies is given to a fresh one, once; one that exceeds its seconds
        is killed with all that it has started.
        """
        try:
            while self._busy or self._waiting or self._started:
                self._start_waiting()
                while self._started:
                    yield self._started.pop(0)
                for worker in _wait_for(self._busy):
                    if worker.task and (finished := self._hear(worker, worker.task, report)):
                        yield finished
        finally:
            self._end_tasks()

    def call(
        self,
        function: Callable[..., T],
        *args: Any,
        seconds: float | None = None,
        needs_own_process: bool = False,
    ) -> T:
        """Return the function's result, computed in a worker; see `Executor`."""
        attempts = 0
        while attempts < ATTEMPTS:
            worker = self._idle_worker()
            worker.send((function, args))
            patience = None if seconds is None else min(seconds, _LONGEST_WAIT)
            if not connection.wait(worker.wait_handles, patience):
                worker.kill()
                raise MachineError(f"a worker process was killed after {patience:g} s")
            try:
                result: T = worker.receive()
            except EOFError:
                worker.kill()
                attempts += not self._is_excused(worker)
            else:
                return result
            finally:
                if needs_own_process:
                    worker.shutdown(PATIENCE)
        raise MachineError(f"a worker process died twice ({worker.exit_reason})")

    @property
    def _busy(self) -> list[Worker]:
        return [worker for worker in self._workers if worker.task]

    def _end_tasks(self) -> None:
        for worker in self._busy:
            worker.kill()
        self._waiting.clear()
        self._started.clear()

    def _start_waiting(self) -> None:
        """Start the tasks that wait, as long as workers are free; the last one comes first."""
        while self._waiting and len(self._busy) < self.workers:
            worker = self._idle_worker()
            task, attempt = self._waiting.pop()
            worker.start(task, attempt)
            if attempt == 1:
                self._started.append(Started(task))

    def _hear(self, worker: Worker, task: Task, report: Report) -> Finished | None:
        """Take what a worker says or dies of; return its task's end if it has come to one."""
        try:
            answer = worker.answer(task, self._is_excused)
        except RefusedError as error:  # before the task began
            if self.workers == 1:
                raise
            self._go_on_with_fewer(str(error))
            worker.kill()
            self._waiting.append((task, worker.attempt))
            return None
        if isinstance(answer, EpochRecord):
            if not report(task.experiment, answer):
                worker.send(STOP)  # the training ends with this epoch
            return None
        if answer is None:
            self._waiting.append((task, worker.attempt + 1))
            return None
        self._servers_lost = 0
        if task.needs_own_process or len(self._busy) >= self.workers:
            worker.shutdown(PATIENCE)
        return Finished(task, answer, worker.take_log())

    def _idle_worker(self) -> Worker:
        """Return a living worker without a task, a new one if there is none."""
        for worker in [worker for worker in self._workers if worker.task is None]:
            if worker.process.is_alive():
                return worker
            worker.kill()  # what it has left behind
            self._workers.remove(worker)
        self._workers.append(self._new_worker())
        return self._workers[-1]

    def _new_worker(self) -> Worker:
        while True:
            make_private_folder(Path(self._scratch.name))
            if self._context.get_start_method() != "forkserver":
                return Worker(self._context, self._scratch.name)
            self._ensure_server()
            try:
                return Worker(self._context, self._scratch.name, self._server)
            except MachineError as error:
                if not ends_soon(self._server):
                    raise RefusedError(str(error)) from error

    def _ensure_server(self) -> None:
        """Have a living server. Raises `RefusedError` if one after the other has died."""
        if self._server is not None and not is_server_reachable():
            # Somebody has removed temporary files. Its workers' tasks begin again with others.
            os.kill(self._server, _SIGKILL)
            ends_soon(self._server)
        elif self._server is not None and has_ended(self._server):
            self._servers_lost += 1
            cause = self._server_cause()
            if self._servers_lost >= _MOST_SERVERS:
                raise RefusedError(f"the server of workers died {self._servers_lost} times{cause}")
            self._go_on_with_fewer(f"the server of workers died{cause}")
        try:
            self._server = start_server()
        except OSError as error:
            reason = explain_refusal(error) or f"{error}; set TMPDIR to a folder on a local disk"
            raise RefusedError(f"the server of workers cannot be started: {reason}") from error

    def _server_cause(self) -> str:
        """Return why the server has died: its own last line, or the memory that it may have."""
        if was_killed(self._server):
            return (
                " (signal 9, by hand or for lack of memory): "
                f"{format_bytes(available_memory())} of memory are there, and one worker needs "
                f"about {format_bytes(memory_for(1))}, a large network more; "
                "free memory, raise the container's limit, or start fewer workers (-j 1)"
            )
        reason = last_line(Path(self._scratch.name, _SERVER_LOG))
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
            return worker.server != self._server or ends_soon(self._server)
        before, self._kills = self._kills, count_kills_for_memory()
        if self._kills > before and self.workers > 1 and worker.process.exitcode == -_SIGKILL:
            self._go_on_with_fewer("the kernel killed a worker for lack of memory")
            return True
        return False


def _wait_for(busy: Sequence[Worker]) -> list[Worker]:
    """Return the workers that have said something, died or run out of time, when there are some."""
    deadline = min((worker.deadline for worker in busy), default=0.0)
    patience = min(max(0.0, deadline - time.monotonic()), _LONGEST_WAIT)
    handles = [handle for worker in busy for handle in worker.wait_handles]
    ready = set(connection.wait(handles, patience))
    now = time.monotonic()
    return [
        worker
        for worker in busy
        if worker.deadline <= now or not ready.isdisjoint(worker.wait_handles)
    ]
