"""A worker process that does one thing at a time, seen from the parent."""

import contextlib
import math
import time
from collections.abc import Callable
from multiprocessing import connection
from pathlib import Path
from typing import Any

from fmgrid.errors import FmgridError, MachineError, explain_refusal
from fmgrid.execution import ATTEMPTS, Task, failed_run
from fmgrid.execution.answers import LARGEST, AnswerError, checked_epoch, checked_run, load
from fmgrid.execution.local.child import attempt_task, serve
from fmgrid.experiment import EpochRecord, Failure, Run, Status
from fmgrid.system.disk import read_end
from fmgrid.system.processes import describe_exit, kill_descendants, kill_group, resume_server

_LAST_LINES = 20  # of its log, which a run that its worker didn't survive is stored with
_LAST_BYTES = 8_000
_LARGEST_LOG = 50_000_000  # bytes; of a longer one the end is kept


class Worker:
    """Holds a process, the pipe to it, and the task that it works on."""

    def __init__(self, context: Any, scratch: str, server: int | None = None) -> None:
        self.server = server  # the process that it is forked from
        self.pipe, far_end = context.Pipe()
        self.task: Task | None = None
        self.attempt = 0  # at the task, from 1
        self.deadline = math.inf  # of the task, by time.monotonic()
        self.process = context.Process(target=serve, args=(far_end, scratch), name="fmgrid worker")
        self._scratch = Path(scratch)
        self._log = self._scratch
        self._started = 0.0
        self._is_over = False
        try:
            resume_server(server)
            self.process.start()
        except (OSError, EOFError) as error:  # EOFError: the server died of its imports
            self.pipe.close()
            reason = explain_refusal(error) or repr(error)
            raise MachineError(f"a worker process cannot be started: {reason}") from error
        finally:
            far_end.close()  # so that the pipe ends when the worker does

    @property
    def wait_handles(self) -> tuple[Any, Any]:
        """What becomes ready when there is something to receive, or nothing ever will be."""
        return self.pipe, self.process.sentinel

    @property
    def exit_reason(self) -> str:
        """Why the process has ended."""
        reason = describe_exit(self.process.exitcode)
        return f"{reason}, by hand or for lack of memory" if "Killed" in reason else reason

    def start(self, task: Task, attempt: int) -> None:
        """Begin a task."""
        self.task, self.attempt = task, attempt
        self._log = self._scratch / f"log-{task.experiment.run_name}"  # of all its attempts
        self._started = time.monotonic()
        self.deadline = self._started + (math.inf if task.seconds is None else task.seconds)
        self.send((attempt_task, (task, attempt, str(self._log))))

    def answer(
        self, task: Task, is_excused: Callable[["Worker"], bool]
    ) -> EpochRecord | Run | None:
        """Return the next epoch of its task or the run; None if that deserves another attempt.

        That is where the process did not survive it. One that has exceeded its seconds is killed.
        A death for which *is_excused* returns true is no attempt.
        """
        is_late = time.monotonic() >= self.deadline and self.process.is_alive()
        try:
            message = None if is_late and not self.pipe.poll() else self.receive()
            if is_late and not isinstance(message, Run):
                reason = f"it was killed after {task.seconds:g} s, its time limit"
                return self._end(task, "timeout", reason)
            if isinstance(message, EpochRecord):
                return checked_epoch(message)
            run = checked_run(message, task)
        except EOFError:
            self.kill()
            if is_excused(self):
                self.attempt -= 1
            elif self.attempt == ATTEMPTS:
                reason = f"its worker process died twice ({self.exit_reason})"
                return self._end(task, "failed", reason)
            return None
        except FmgridError:  # the machine's fault
            self.task = None
            raise
        except Exception as error:  # noqa: BLE001 - code of the task's own has spoiled the worker
            is_ours = isinstance(error, AnswerError)
            reason = str(error) if is_ours else Failure.of(error).message
            return self._end(task, "failed", reason)
        self.task = None
        return run if self.attempt == 1 else run.model_copy(update={"attempts": self.attempt})

    def take_log(self) -> bytes:
        """Return everything that the last task has printed, and remove it from the disk."""
        log = read_end(self._log, _LARGEST_LOG)
        with contextlib.suppress(OSError):
            self._log.unlink()
        return log

    def send(self, message: Any) -> None:
        """Tell the worker what to do; that it is dead shows when its answer is awaited."""
        with contextlib.suppress(OSError):
            self.pipe.send(message)

    def receive(self) -> Any:
        """Return an epoch of a task, or the function's result; EOFError if the worker is dead.

        Raises what the function raised, and `AnswerError` for what fmgrid does not send. The pipe
        alone may stay open, where the worker has left children that inherited it.
        """
        connection.wait(self.wait_handles)
        try:
            if not self.pipe.poll():
                raise EOFError
            message = load(self.pipe.recv_bytes(LARGEST))
        except OSError as failure:
            raise EOFError from failure
        match message:
            case EpochRecord():
                return message
            case (value, None):
                return value
            case (None, Exception() as error):
                raise error
        raise AnswerError

    def shutdown(self, patience: float) -> None:
        """Let an idle process end by itself, without its children; kill it if it doesn't.

        One that is killed would leave the system's semaphores behind, if it has made some.
        """
        self._kill_descendants()
        self.pipe.close()  # which an idle worker takes for its end
        self.process.join(patience)
        self.kill()

    def kill(self) -> None:
        """Kill the process with all its children, and wait for its end; once, as ids are reused."""
        self.task = None
        if self._is_over:
            return
        self._kill_descendants()
        self.pipe.close()
        self._is_over = True
        if self.process.pid is not None:
            kill_group(self.process.pid)
        resume_server(self.server)  # which tells the end
        self.process.kill()
        self.process.join()

    def _kill_descendants(self) -> None:
        """Kill the processes that this one and its children have started, in whatever group."""
        if not self._is_over and self.process.is_alive() and self.process.pid is not None:
            kill_descendants(self.process.pid)

    def _end(self, task: Task, status: Status, message: str) -> Run:
        """Kill the process, and return the run of its task."""
        self.kill()
        lines = read_end(self._log, _LAST_BYTES).decode(errors="replace").splitlines()
        words = ["the last lines of run.log:", *lines[-_LAST_LINES:]] if lines else []
        failure = Failure(message=message, traceback="\n".join(words))
        return failed_run(task, self._started, failure, status, self.attempt)
