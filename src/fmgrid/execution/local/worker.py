"""A worker process that does one thing at a time, seen from the parent."""

import contextlib
import math
import os
import signal
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from multiprocessing import connection
from pathlib import Path
from typing import Any

from fmgrid.errors import FmgridError, MachineError, explain_refusal
from fmgrid.execution.answers import LARGEST, AnswerError, checked, load
from fmgrid.execution.local.child import attempt_task, serve
from fmgrid.execution.tasks import Task, Train
from fmgrid.experiment import Failure, Run, Status
from fmgrid.system.disk import open_regular
from fmgrid.system.processes import kill_descendants

ATTEMPTS = 2  # a death may be the machine's fault, and not the training's; two are no accident
LAST_LINES = 20  # of its log, which a run that its worker didn't survive is stored with
_LAST_BYTES = 8_000


class Worker:
    """Holds a process, the line to it, and the task that it is at."""

    def __init__(self, context: Any, scratch: str, server: int | None = None) -> None:
        self.server = server  # the process that it is forked from
        self.line, far_end = context.Pipe()
        self.task: Task | None = None
        self.attempt = 0  # at the task, from 1
        self.deadline = math.inf  # of the task, by time.monotonic()
        self.process = context.Process(target=serve, args=(far_end, scratch), name="fmgrid worker")
        self._started = 0.0
        self._is_over = False
        try:
            _continue(server)
            self.process.start()
        except (OSError, EOFError) as error:  # EOFError: the server died of its imports
            self.line.close()
            reason = explain_refusal(error) or repr(error)
            raise MachineError(f"a worker process cannot be started: {reason}") from error
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
        cause = signal.strsignal(-code)
        who = ", by hand or for lack of memory" if cause == "Killed" else ""
        return f"signal {-code}, {cause}{who}"

    def start(self, train: Train, task: Task | None, attempt: int = 1) -> None:
        """Begin a task, if there is one left."""
        self.task, self.attempt, self.deadline = task, attempt, math.inf
        if task is None:
            return
        self._started = time.monotonic()
        if task.seconds is not None:
            self.deadline = self._started + task.seconds
        self.send(attempt_task, train, task, attempt)

    def finish(self, is_excused: Callable[["Worker"], bool] = lambda _: False) -> Run | None:
        """Return the run of the task that has ended, or None if it deserves another attempt.

        That is where the process didn't survive it. One that has exceeded its seconds is killed.
        A death for which *is_excused* returns true is no attempt.
        """
        if self.task is None:
            raise ValueError("the worker has no task")
        task, self.task = self.task, None
        if time.monotonic() >= self.deadline and not self.line.poll() and self.process.is_alive():
            self.kill()
            limit = f"{task.seconds:g} s"
            return self._unanswered(task, "timeout", f"it was killed after {limit}, its time limit")
        try:
            run = checked(self.receive(), task)
        except EOFError:
            self.kill()
            if is_excused(self):
                self.attempt -= 1
                return None
            if self.attempt < ATTEMPTS:
                return None
            died = f"its worker process died twice ({self.death})"
            return self._unanswered(task, "failed", died)
        except FmgridError:  # the machine's fault
            raise
        except Exception as error:  # noqa: BLE001 - code of the task's own has spoiled the worker
            self.kill()
            is_ours = isinstance(error, AnswerError)
            message = str(error) if is_ours else Failure.of(error).message
            return self._unanswered(task, "failed", message)
        return run if self.attempt == 1 else run.model_copy(update={"attempts": self.attempt})

    def send(self, function: Callable[..., Any], *args: Any) -> None:
        """Give the worker something to do; that it is dead shows when its answer is awaited."""
        with contextlib.suppress(OSError):
            self.line.send((function, args))

    def receive(self) -> Any:
        """Return what the worker's function returned. Raises EOFError if the worker is dead.

        Raises what the function raised, and `AnswerError` for what no function of fmgrid's returns.
        Its line alone may stay open, where it has left children that inherited it.
        """
        connection.wait(self.signs)
        try:
            if not self.line.poll():
                raise EOFError
            result = load(self.line.recv_bytes(LARGEST))
        except OSError as failure:
            raise EOFError from failure
        match result:
            case (value, None):
                return value
            case (None, Exception() as error):
                raise error
        raise AnswerError

    def retire(self, patience: float) -> None:
        """Let an idle process end by itself, without its children; kill it if it doesn't.

        One that is killed would leave the system's semaphores behind, if it has made some.
        """
        self._kill_descendants()
        self.line.close()  # which an idle worker takes for its end
        self.process.join(patience)
        self.kill()

    def kill(self) -> None:
        """Kill the process with all its children, and wait for its end; once, as ids are reused."""
        self.task = None
        if self._is_over:
            return
        self._kill_descendants()
        self.line.close()
        self._is_over = True
        if sys.platform != "win32" and self.process.pid is not None:
            # A worker that has just started is not a leader yet.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
        _continue(self.server)  # which tells the end
        self.process.kill()
        self.process.join()

    def _kill_descendants(self) -> None:
        """Kill what the process and its children have started, their group left or not."""
        if self._is_over or not self.process.is_alive():
            return
        if self.process.pid is not None:
            kill_descendants(self.process.pid)

    def _unanswered(self, task: Task, status: Status, message: str) -> Run:
        """Return the run of a task whose process had no say in it."""
        seconds = time.monotonic() - self._started
        return Run(
            experiment=task.experiment,
            status=status,
            started=datetime.now(UTC) - timedelta(seconds=seconds),
            seconds=seconds,
            failure=Failure(message=message, traceback=_last_words(task.log)),
            attempts=self.attempt,
        )


def _continue(server: int | None) -> None:
    """Let the server of workers go on if somebody has stopped it: fmgrid would wait for ever."""
    if sys.platform != "win32" and server is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(server, signal.SIGCONT)


def _last_words(log: Path) -> str:
    """Return the end of a log, with a line that says what it is; "" if there is none."""
    try:
        with open_regular(log) as stream:
            stream.seek(max(0, stream.seek(0, os.SEEK_END) - _LAST_BYTES))
            lines = stream.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    return "\n".join([f"the last lines of {log.name}:", *lines[-LAST_LINES:]]) if lines else ""
