"""The executor of worker processes on this machine, which may die or hang.

Why not a pool from a library: concurrent.futures and loky give up all tasks when one worker
dies. pebble does too if the worker dies while all are idle. Its workers share pipes under locks,
which a killed worker may hold for ever. A worker that ends while pebble stops it leaves semaphores
behind. Here each worker has a pipe of its own, and shares nothing.
"""

import math
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from multiprocessing import connection, util
from pathlib import Path
from typing import Any, Self, TypeVar

from fmgrid.errors import FmgridError, MachineError, RefusedError, explain_refusal
from fmgrid.execution import ATTEMPTS, ENVIRONMENT, Finished, Report, Task, failed_run
from fmgrid.execution.answers import MAX_MESSAGE_BYTES, AnswerError, checked, load
from fmgrid.execution.child import STOP, attempt_task, serve
from fmgrid.experiment import EpochRecord, Experiment, Failure, Run, Status
from fmgrid.system.disk import last_lines, make_private_folder, read_end
from fmgrid.system.memory import available_memory, count_kills_for_memory
from fmgrid.system.processes import (
    allow_files,
    describe_exit,
    has_ended,
    is_server_reachable,
    kill_descendants,
    kill_group,
    own_server,
    resume_server,
    start_server,
    was_killed,
    without_main_module,
)
from fmgrid.training.costs import memory_for
from fmgrid.words import counted, format_bytes

T = TypeVar("T")

_PATIENCE = 1.0  # seconds for the idle workers to end by themselves
_LONGEST_WAIT = 3600.0  # seconds; the system waits for no more than 24 days at once
_END_SECONDS = 0.5  # a process's files are closed a moment before its end shows
_FILES = 48  # that fmgrid itself may have open at once, importing included
_FILES_PER_WORKER = 8
_MOST_SERVERS = 3  # that may die one after the other, with no run ended in between
_SERVER_LOG = "server.log"  # gets what the server of workers says, such as why it ends
_SERVER_ENDED = 255  # multiprocessing's exit code of a worker whose server is dead
_SIGKILL = 9  # which Windows has no name for
_LAST_LINES = 20  # of its log, which a run that its worker didn't survive is stored with
_LARGEST_LOG = 50_000_000  # bytes; of a longer one the end is kept


class _DeadError(Exception):
    """The worker has died, and no message of it is left."""


class _LateError(Exception):
    """The worker has not finished in time."""


class Worker:
    """A process that does one thing at a time, with the pipe to it and the task it works on."""

    def __init__(self, context: Any, scratch: str, server: int | None) -> None:
        self.server = server  # the process that it is forked from
        self.task: Task | None = None
        self.attempt = 0  # at the task, from 1
        self.started = 0.0  # when its work began and must end, by time.monotonic()
        self.deadline = math.inf
        self.pipe, far_end = context.Pipe()
        self.process = context.Process(target=serve, args=(far_end, scratch), name="fmgrid worker")
        try:
            resume_server(server)
            with without_main_module():
                self.process.start()
        except (OSError, EOFError) as error:  # EOFError: the server died of its imports
            self.pipe.close()
            reason = explain_refusal(error) or repr(error)
            raise RefusedError(f"a worker process cannot be started: {reason}") from error
        finally:
            far_end.close()  # so that the pipe ends when the worker does

    @property
    def wait_handles(self) -> tuple[Any, Any]:
        """The handles that become ready with a message, or with the end of the process.

        The pipe alone is not enough: it stays open in children that the worker has left.
        """
        return self.pipe, self.process.sentinel

    @property
    def exit_reason(self) -> str:
        """Why the process has ended."""
        reason = describe_exit(self.process.exitcode)
        return f"{reason}, by hand or for lack of memory" if "Killed" in reason else reason

    def begin(
        self, function: Callable[..., Any], args: Sequence[Any], seconds: float | None
    ) -> None:
        """Let the process call a function, for at most *seconds*."""
        self.started = time.monotonic()
        self.deadline = self.started + (math.inf if seconds is None else seconds)
        self.send((function, args))

    def send(self, message: Any) -> None:
        """Send the worker a message; its death shows when the answer is awaited."""
        with suppress(OSError):
            self.pipe.send(message)

    def receive(self) -> Any:
        """Return an epoch of a task, or the function's result, once one of the handles is ready.

        Raises the function's error; `AnswerError` for a message not of fmgrid; `_DeadError`;
        `_LateError` after the deadline, unless the result is there.
        """
        is_late = time.monotonic() >= self.deadline and self.process.is_alive()
        try:
            has_message = self.pipe.poll()
            message = load(self.pipe.recv_bytes(MAX_MESSAGE_BYTES)) if has_message else None
        except (EOFError, OSError) as failure:
            raise _DeadError from failure
        if is_late and (not has_message or isinstance(message, EpochRecord)):
            raise _LateError
        if not has_message:
            raise _DeadError
        match message:
            case EpochRecord():
                return message
            case (value, None):
                return value
            case (None, Exception() as error):
                raise error
        raise AnswerError

    def end(self, patience: float = 0.0) -> None:
        """End the process with all its children; an idle one may end by itself within *patience*.

        A killed process would leave its semaphores behind.
        """
        self.task = None
        if self.pipe.closed:  # by an earlier call: its process id may be another's by now
            return
        if self.process.is_alive():
            kill_descendants(self.process.pid)
        self.pipe.close()  # which an idle worker takes for its end
        try:
            self.process.join(patience)
        finally:  # an interrupt kills it at once
            kill_group(self.process.pid)
            resume_server(self.server)  # which tells the end
            self.process.kill()
            self.process.join()


@dataclass
class Processes:
    """Worker processes, each of one thread; use as a context manager.

    They come from a server process that imports *preload* while the caller does something
    else. Leaving the context kills them and all processes that they have started.
    """

    workers: int
    preload: Sequence[str] = ()
    warn: Callable[[str], None] = lambda _: None  # is called when fewer workers go on
    _servers_lost: int = field(default=0, repr=False)  # since the last run that ended
    _server: int | None = field(default=None, repr=False)  # process id
    _kills: int = field(default=0, repr=False)  # for lack of memory, that the kernel has counted
    _context: Any = field(init=False, repr=False)
    _resources: ExitStack = field(default_factory=ExitStack, repr=False)
    _workers: list[Worker] = field(default_factory=list, repr=False)
    # Tasks that no worker is at, with the number of the attempt.
    _waiting: list[tuple[Task, int]] = field(default_factory=list, repr=False)
    # Where workers keep temporary files, so that those of a killed one don't stay for ever.
    _scratch: str = field(init=False, repr=False)

    def __enter__(self) -> Self:
        self._kills = count_kills_for_memory()
        allow_files(_FILES + _FILES_PER_WORKER * self.workers)
        # Inherited by the workers and their server, which looks whether this is its parent still.
        os.environ.update(ENVIRONMENT | {"FMGRID_PARENT": str(os.getpid())})
        try:
            folder = tempfile.TemporaryDirectory(prefix="fmgrid-", ignore_cleanup_errors=True)
        except OSError as error:
            raise MachineError(
                explain_refusal(error) or f"no temporary folder can be made: {error}; set TMPDIR"
            ) from error
        self._scratch = self._resources.enter_context(folder)
        os.environ["FMGRID_SERVER_LOG"] = str(Path(self._scratch, _SERVER_LOG))
        has_server = "forkserver" in multiprocessing.get_all_start_methods()
        self._context = multiprocessing.get_context("forkserver" if has_server else "spawn")
        try:
            self._resources.enter_context(own_server())
            if has_server:
                self._context.set_forkserver_preload(list(self.preload))
            self._ensure_server()
        except BaseException:  # an interrupt, too
            self._resources.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end_tasks()
        deadline = time.monotonic() + _PATIENCE
        for worker in self._workers:
            worker.end(max(0.0, deadline - time.monotonic()))
        self._workers = []
        self._resources.close()
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

    def events(self, report: Report) -> Iterator[Finished]:
        """Yield an event when a task ends; see `Executor`.

        A task whose worker dies goes to a fresh worker, once. A task that exceeds its seconds
        is killed with all processes that it has started.
        """
        try:
            while self._busy or self._waiting:
                self._start_waiting()
                for worker in _wait_for(self._busy):
                    if finished := self._handle_message(worker, report):
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
            worker.begin(function, args, seconds)
            while not _wait_for([worker]):
                pass
            try:
                result: T = worker.receive()
            except _LateError:
                worker.end()
                raise MachineError(f"a worker process was killed after {seconds:g} s") from None
            except _DeadError:
                worker.end()
                attempts += not self._is_excused(worker)
            else:
                return result
            finally:
                if needs_own_process:
                    worker.end(_PATIENCE)
        raise MachineError(f"a worker process died twice ({worker.exit_reason})")

    @property
    def _busy(self) -> list[Worker]:
        return [worker for worker in self._workers if worker.task]

    def _end_tasks(self) -> None:
        for worker in self._busy:
            worker.end()
        self._waiting.clear()

    def _log(self, task: Task) -> Path:
        return Path(self._scratch, f"log-{task.experiment.run_name}")  # of all its attempts

    def _start_waiting(self) -> None:
        """Start the tasks that wait, as long as workers are free; the last one comes first."""
        while self._waiting and len(self._busy) < self.workers:
            worker = self._idle_worker()
            task, attempt = self._waiting.pop()
            worker.task, worker.attempt = task, attempt
            worker.begin(attempt_task, (task, attempt, str(self._log(task))), task.seconds)

    def _handle_message(self, worker: Worker, report: Report) -> Finished | None:
        """Take a busy worker's message, or its death; return its task if that has ended."""
        task = worker.task
        if task is None:
            return None
        try:
            answer = self._receive(worker, task)
        except RefusedError as error:  # before the task began
            if self.workers == 1:
                raise
            self._go_on_with_fewer(str(error))
            worker.end()
            self._waiting.append((task, worker.attempt))
            return None
        if isinstance(answer, EpochRecord):
            if not report(task.experiment, answer):
                worker.send(STOP)  # the training ends with this epoch
            return None
        if answer is None:
            return None
        self._servers_lost = 0
        if task.needs_own_process or len(self._busy) >= self.workers:
            worker.end(_PATIENCE)
        log = read_end(self._log(task), _LARGEST_LOG)
        with suppress(OSError):
            self._log(task).unlink()
        return Finished(task, answer, log)

    def _receive(self, worker: Worker, task: Task) -> EpochRecord | Run | None:
        """Return the next epoch of a task or its run; None if it waits for another attempt."""
        try:
            answer = checked(worker.receive(), task)
        except _LateError:
            reason = f"it was killed after {task.seconds:g} s, its time limit"
            return self._end_task(worker, task, reason, "timeout")
        except _DeadError:
            worker.end()
            attempt = worker.attempt + (not self._is_excused(worker))
            if attempt > ATTEMPTS:
                reason = f"its worker process died twice ({worker.exit_reason})"
                return self._end_task(worker, task, reason)
            self._waiting.append((task, attempt))
            return None
        except FmgridError:  # the machine's fault
            worker.task = None
            raise
        except Exception as error:  # noqa: BLE001 - code of the task's own has spoiled the worker
            is_wrong_answer = isinstance(error, AnswerError)
            reason = str(error) if is_wrong_answer else Failure.of(error).message
            return self._end_task(worker, task, reason)
        if isinstance(answer, EpochRecord):
            return answer
        worker.task = None
        return answer.model_copy(update={"attempts": worker.attempt})

    def _end_task(self, worker: Worker, task: Task, reason: str, status: Status = "failed") -> Run:
        """Kill the process of a task, and return the task's run."""
        worker.end()
        lines = last_lines(self._log(task), _LAST_LINES)
        words = ["the last lines of run.log:", *lines] if lines else []
        failure = Failure(message=reason, traceback="\n".join(words))
        return failed_run(task, worker.started, failure, status, worker.attempt)

    def _idle_worker(self) -> Worker:
        """Return a living worker without a task, a new one if there is none."""
        for worker in [worker for worker in self._workers if worker.task is None]:
            if worker.process.is_alive():
                return worker
            worker.end()  # what it has left behind
            self._workers.remove(worker)
        self._workers.append(self._new_worker())
        return self._workers[-1]

    def _new_worker(self) -> Worker:
        while True:
            make_private_folder(Path(self._scratch))
            self._ensure_server()
            try:
                return Worker(self._context, self._scratch, self._server)
            except RefusedError:
                if not has_ended(self._server, _END_SECONDS):
                    raise

    def _ensure_server(self) -> None:
        """Start a server if none lives and the system has such servers.

        Raises `RefusedError` if none can start, or if too many have died.
        """
        if self._context.get_start_method() != "forkserver":
            return
        if self._server is not None and not is_server_reachable():
            # Somebody has removed temporary files. Its workers' tasks begin again with others.
            os.kill(self._server, _SIGKILL)
            has_ended(self._server, _END_SECONDS)
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
                f"{format_bytes(available_memory())} of memory is free, and one worker needs "
                f"about {format_bytes(memory_for(1))}, a large network more; "
                "free memory, raise the container's limit, or start fewer workers (-j 1)"
            )
        words = last_lines(Path(self._scratch, _SERVER_LOG), 1)
        reason = words[0] if words else "it left no word"
        return f": {explain_refusal(reason) or reason}"

    def _go_on_with_fewer(self, reason: str) -> None:
        if self.workers > 1:
            self.workers -= 1
            self.warn(f"{reason}; going on with {counted(self.workers, 'worker')}")

    def _is_excused(self, worker: Worker) -> bool:
        """Tell whether the machine, not the task, is to blame for a worker's death.

        It is if the server died, since both deaths look alike, or if the kernel killed
        for lack of memory while others needed some too.
        """
        if worker.server is not None and worker.process.exitcode == _SERVER_ENDED:
            return worker.server != self._server or has_ended(self._server, _END_SECONDS)
        kills_before, self._kills = self._kills, count_kills_for_memory()
        if self._kills > kills_before and self.workers > 1 and worker.process.exitcode == -_SIGKILL:
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
