"""What a worker process does, from its start to its end."""

import contextlib
import multiprocessing
import os
import pickle
import re
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from multiprocessing import connection
from pathlib import Path
from typing import Any

from fmgrid.errors import StoreError, is_the_machines
from fmgrid.executors.tasks import Task, Train
from fmgrid.records import Failure, Run


def serve(line: "connection.Connection[Any, Any]", scratch: str) -> None:
    """Do what comes over the line, until it ends; temporary files go into *scratch*."""
    _detach()
    os.environ["TMPDIR"], tempfile.tempdir = scratch, None
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


def attempt_task(train: Train, task: Task, attempt: int) -> Run:
    """Train, with everything that any library prints going to the log.

    Whatever is raised is a failed run, but for what is the machine's fault: a `StoreError`.
    """
    try:
        _redirect(task.log)
    except OSError as error:
        raise StoreError(f"{task.log}: {error.strerror}") from error
    if attempt > 1:
        print(f"The worker died; attempt {attempt} begins here.", file=sys.stderr)  # noqa: T201
    started, clock = datetime.now(UTC), time.monotonic()
    try:
        with _memory_ceiling(task.limits.memory):
            run: Run = pickle.loads(pickle.dumps(train(task.experiment)))  # noqa: S301 - as it will be
    except BaseException as error:
        if is_the_machines(error):
            raise StoreError(f"{task.experiment.run_name} cannot be trained: {error}") from error
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
    return run


@contextmanager
def _memory_ceiling(limit: int | None) -> Iterator[None]:
    """Let the process allocate no more than *limit* bytes beyond what it has now.

    What asks for more gets an error instead of the kernel's kill: the private writable memory
    is counted, touched or not. Only Linux does this.
    """
    if limit is None or sys.platform != "linux":
        yield
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    used = re.search(r"^VmData:\s*(\d+) kB", status, re.MULTILINE)
    ceiling = limit + (int(used[1]) * 1024 if used else 0)
    for known in (soft, hard):
        ceiling = ceiling if known == resource.RLIM_INFINITY else min(ceiling, known)
    resource.setrlimit(resource.RLIMIT_DATA, (ceiling, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _pickled_error(error: Exception) -> bytes:
    """Return an answer that raises the error, or one like it if it can't travel."""
    try:
        answer = pickle.dumps((None, error))
        pickle.loads(answer)  # noqa: S301 - made in the line above
    except Exception:  # noqa: BLE001 - what a class does when it is pickled is anyone's guess
        return pickle.dumps((None, RuntimeError("".join(traceback.format_exception(error)))))
    return answer


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
        if sys.platform == "linux":
            _be_killed_with(parent.sentinel)


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
    import fcntl

    fcntl.fcntl(sentinel, fcntl.F_SETOWN, -os.getpgrp())
    fcntl.fcntl(sentinel, fcntl.F_SETSIG, signal.SIGKILL)
    flags = fcntl.fcntl(sentinel, fcntl.F_GETFL)
    fcntl.fcntl(sentinel, fcntl.F_SETFL, flags | os.O_ASYNC)
