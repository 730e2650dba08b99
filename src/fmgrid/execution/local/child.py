"""What a worker process does, from its start to its end."""

import contextlib
import multiprocessing
import os
import pickle
import signal
import stat
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from multiprocessing import connection
from pathlib import Path
from typing import Any

from fmgrid.errors import (
    MachineError,
    RefusedError,
    StoreError,
    explain_refusal,
    is_the_machines,
)
from fmgrid.execution.answers import load
from fmgrid.execution.tasks import Task, Train
from fmgrid.experiment import Failure, Run

_BEGINNINGS = 2  # of a training whose temporary folder somebody removes


def serve(line: "connection.Connection[Any, Any]", scratch: str) -> None:
    """Do what comes over the line, until it ends; temporary files go into *scratch*."""
    try:
        _detach()
        _use_scratch(Path(scratch))
    except Exception as error:  # noqa: BLE001 - the parent says it
        line.send_bytes(_pickled_error(_cannot_begin(error)))
        return
    served_by = os.getpid()
    while True:
        try:
            function, args = line.recv()
        except (EOFError, OSError):
            return
        except Exception as error:  # noqa: BLE001 - a module of fmgrid's is gone, or the memory
            line.send_bytes(_pickled_error(_cannot_begin(error)))
            return
        try:
            answer = pickle.dumps((_call(function, *args), None))
        except BaseException as error:  # noqa: BLE001 - it is raised again in the parent
            answer = _pickled_error(error)
        if os.getpid() != served_by:
            os._exit(0)  # forked by plugged-in code that came back twice: the line isn't its own
        line.send_bytes(answer)


def _cannot_begin(error: Exception) -> RefusedError:
    reason = explain_refusal(error) or f"{type(error).__name__}: {error}"
    return RefusedError(f"a worker process cannot begin: {reason}")


def _use_scratch(scratch: Path) -> None:
    """Keep temporary files in a folder of this worker's own, and say everything to a log there.

    Of its own, since only so the worker can tell whether somebody removed the folder.
    """
    own = scratch / str(os.getpid())
    # Said to tempfile too, which would look elsewhere while the folder is gone.
    os.environ["TMPDIR"] = tempfile.tempdir = str(own)
    try:
        own.mkdir(mode=0o700, exist_ok=True)
        _redirect(scratch / "workers.log")
    except OSError:  # the folder is gone, where the command has ended in the meantime
        _redirect(Path(os.devnull))


def attempt_task(train: Train, task: Task, attempt: int) -> Run:
    """Train, with everything that any library prints going to the log.

    Whatever is raised is a failed run, but for what is the machine's fault: a `StoreError`.
    A training whose temporary folder was removed is begun again.
    """
    try:
        _redirect(task.log)
    except OSError as error:
        raise StoreError(f"{task.log}: {error.strerror}") from error
    if attempt > 1:
        print(f"The worker died; attempt {attempt} begins here.", file=sys.stderr)  # noqa: T201
    name, scratch = task.experiment.run_name, Path(os.environ["TMPDIR"])
    for _ in range(_BEGINNINGS):
        make_scratch(scratch.parent)
        make_scratch(scratch)
        run, reason = _attempt(train, task)
        if run is not None and not isinstance(run, Run):
            return run  # the parent says that it is none
        if scratch.is_dir() or (run and run.status == "complete"):
            break
        reason = f"its temporary folder {scratch} was removed while it trained"
        print(f"{name}: {reason}.", file=sys.stderr)  # noqa: T201
    if run is None or run.status == "failed":
        reason = reason or _lost_installation()
    if run is None or reason:
        raise StoreError(
            f"{name} cannot be trained: {reason}; mend that, or leave the run out with --only"
        )
    return run


def make_scratch(scratch: Path) -> None:
    """Make the folder for temporary files, anew if it was removed. Raises `MachineError`."""
    try:
        scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = scratch.lstat()
    except OSError as error:
        raise MachineError(
            f"the temporary folder {scratch} cannot be made: {error.strerror}; "
            "set TMPDIR to a folder that can be written"
        ) from error
    if stat.S_ISLNK(found.st_mode) or (sys.platform != "win32" and found.st_uid != os.geteuid()):
        raise MachineError(f"the temporary folder {scratch} is another user's; set TMPDIR")


def _attempt(train: Train, task: Task) -> tuple[Run | None, str]:
    """Return the run, or None and the reason if the machine is to blame."""
    started, clock = datetime.now(UTC), time.monotonic()
    try:
        # As it will travel.
        run: Run = pickle.loads(pickle.dumps(_call(train, task.experiment)))  # noqa: S301
    except BaseException as error:  # noqa: BLE001 - it is the run's, and stored
        if is_the_machines(error, is_plugged_in=task.is_alone):
            return None, explain_refusal(error) or str(error)
        trace = traceback.format_exc()
        run = Run(
            experiment=task.experiment,
            status="failed",
            started=started,
            seconds=time.monotonic() - clock,
            failure=Failure.of(error),
        )
        _flush()
        with contextlib.suppress(OSError):  # it may have closed stderr
            os.write(2, trace.encode(errors="backslashreplace"))
    _flush()
    return run, ""


def _lost_installation() -> str:
    """Return which file is gone, where a package was removed that training needs."""
    modules = (sys.modules.get(name) for name in ("fmgrid", "mltrainer", "torch", "numpy"))
    files = [file for module in modules if (file := getattr(module, "__file__", None))]
    return next((f"the installed {file} is gone" for file in files if not Path(file).exists()), "")


def _call(function: Callable[..., Any], *args: Any) -> Any:
    """Return the function's result; let calls be as deep afterwards as before."""
    limit = sys.getrecursionlimit()
    try:
        return function(*args)
    finally:
        sys.setrecursionlimit(limit)


def _pickled_error(error: BaseException) -> bytes:
    """Return an answer that raises the error, or one like it if it can't travel."""
    with contextlib.suppress(BaseException):  # a class may do anything when it is pickled
        answer = pickle.dumps((None, error))
        if isinstance(load(answer)[1], Exception):
            return answer
    return pickle.dumps((None, RuntimeError("".join(traceback.format_exception(error)))))


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
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # or else no child's exit code is known
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
    if "tqdm" in sys.modules:
        # Its own lock is a semaphore of the system's, which a worker that is killed would leak.
        sys.modules["tqdm"].tqdm.set_lock(threading.RLock())
    parent = multiprocessing.parent_process()
    if parent is not None:
        # Nothing else tells a worker that its parent was killed: the server is its parent too.
        threading.Thread(target=_die_with, args=(parent.sentinel,), daemon=True).start()
        if sys.platform == "linux":
            _be_killed_with(parent.sentinel)
            _adopt_orphans()


def _die_with(sentinel: int) -> None:
    connection.wait([sentinel])
    if sys.platform != "win32":
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os._exit(1)


def _be_killed_with(sentinel: int) -> None:
    """Let the kernel kill the process's group when the parent's end of a pipe closes.

    A thread that waits for the same cannot run while C code holds the interpreter's lock.
    F_SETSIG and O_ASYNC are Linux's: fcntl(2), "Signals".
    """
    if sys.platform != "linux":
        return
    import fcntl

    fcntl.fcntl(sentinel, fcntl.F_SETOWN, -os.getpgrp())
    fcntl.fcntl(sentinel, fcntl.F_SETSIG, signal.SIGKILL)
    flags = fcntl.fcntl(sentinel, fcntl.F_GETFL)
    fcntl.fcntl(sentinel, fcntl.F_SETFL, flags | os.O_ASYNC)


def _adopt_orphans() -> None:
    """Be the parent of whatever a descendant leaves behind, so that it can be found and killed."""
    import ctypes

    PR_SET_CHILD_SUBREAPER = 36  # noqa: N806 - prctl(2)'s name for it
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
