"""The life of a worker process, from its start to its end."""

import contextlib
import os
import pickle
import sys
import tempfile
import traceback
from collections.abc import Callable
from functools import partial
from multiprocessing import connection
from pathlib import Path
from typing import Any, TypeAlias

from fmgrid.errors import MachineError, RefusedError, StoreError, explain_refusal
from fmgrid.execution import Task, machine_failure, train_task
from fmgrid.execution.answers import load
from fmgrid.experiment import EpochRecord, Run
from fmgrid.system.disk import make_private_folder
from fmgrid.system.processes import call_keeping_depth, detach
from fmgrid.training.worker import lost_installation

Pipe: TypeAlias = "connection.Connection[Any, Any]"

STOP = "stop"  # the training that runs; it may have ended before the word arrives
_BEGINNINGS = 2  # of a training whose temporary folder somebody removes


def serve(pipe: Pipe, scratch: str) -> None:
    """Call the functions that come through the pipe; temporary files go into *scratch*."""
    owner = os.getpid()
    try:
        detach()
        # A folder of its own, as only so it can tell whether somebody has removed the folder.
        # Said to tempfile too, which would look elsewhere while the folder is gone.
        os.environ["TMPDIR"] = tempfile.tempdir = str(Path(scratch, str(owner)))
        with contextlib.suppress(OSError):  # the command has ended in the meantime
            Path(tempfile.tempdir).mkdir(mode=0o700, exist_ok=True)
        _redirect(Path(os.devnull))
        while True:
            try:
                message = pipe.recv()
            except (EOFError, OSError):
                return
            if message == STOP:
                continue
            function, args = message
            if function is attempt_task:
                args = (*args, partial(_report, pipe, owner))
            try:
                answer = pickle.dumps((call_keeping_depth(function, *args), None))
            except BaseException as error:  # noqa: BLE001 - it is raised again in the parent
                answer = _pickled_error(error)
            _send(pipe, owner, answer)
    except Exception as error:  # noqa: BLE001 - a module of fmgrid's is gone, or the memory
        reason = explain_refusal(error) or f"{type(error).__name__}: {error}"
        refusal = RefusedError(f"a worker process cannot begin: {reason}")
        pipe.send_bytes(_pickled_error(refusal))


def _report(pipe: Pipe, owner: int, record: EpochRecord) -> bool:
    """Send an epoch to the parent; return whether the training shall go on."""
    _send(pipe, owner, pickle.dumps(record))
    return not (pipe.poll() and pipe.recv() == STOP)


def _send(pipe: Pipe, owner: int, message: bytes) -> None:
    if os.getpid() != owner:
        os._exit(0)  # forked by plugged-in code that came back twice: the pipe isn't its own
    pipe.send_bytes(message)


def attempt_task(task: Task, attempt: int, log: str, report: Callable[[EpochRecord], bool]) -> Run:
    """Train; everything that any library prints goes to the log.

    An exception gives a failed run, except a fault of the machine: that is a `StoreError`.
    A training whose temporary folder was removed begins again.
    """
    scratch = Path(os.environ["TMPDIR"])
    outcome: Run | StoreError
    for _ in range(_BEGINNINGS):
        try:
            make_private_folder(scratch.parent)
            make_private_folder(scratch)
            _redirect(Path(log))
        except (MachineError, OSError) as error:  # it may be removed at this very moment
            outcome = machine_failure(task, str(error))
            continue
        if attempt > 1:
            print(f"The worker died; attempt {attempt} begins here.", file=sys.stderr)  # noqa: T201
        outcome = train_task(task, report)
        if isinstance(outcome, Run) and outcome.status != "failed":
            return outcome
        if scratch.is_dir():
            break
        reason = f"its temporary folder {scratch} was removed while it trained"
        outcome = machine_failure(task, reason)
        print(outcome, file=sys.stderr)  # noqa: T201
    if isinstance(outcome, Run) and (reason := lost_installation()):
        outcome = machine_failure(task, reason)
    if isinstance(outcome, StoreError):
        raise outcome
    return outcome


def _pickled_error(error: BaseException) -> bytes:
    """Return a message that raises the error, or one like it if it can't travel."""
    with contextlib.suppress(BaseException):  # a class may do anything when it is pickled
        message = pickle.dumps((None, error))
        if isinstance(load(message)[1], Exception):
            return message
    return pickle.dumps((None, RuntimeError("".join(traceback.format_exception(error)))))


def _redirect(log: Path) -> None:
    """Send stdout and stderr, of Python and of C code alike, to a log from now on."""
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
