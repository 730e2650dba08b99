"""Processes of this machine: how they end, and the server of `multiprocessing`.

`call_in_process` protects this process from plugged-in code, which may end or change its own.
"""

import contextlib
import importlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing import connection, util
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from fmgrid.errors import MachineError, explain_refusal
from fmgrid.system.disk import make_private_folder
from fmgrid.system.environment import forget_libraries

T = TypeVar("T")

# Options of prctl(2), which only Linux has
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36

_LARGEST_ANSWER = 10_000_000  # characters
_START = (
    "import sys; sys.path[:] = {!r}; "
    "from fmgrid.system.processes import answer_call; answer_call(*sys.argv[1:])"
)


class NoAnswerError(Exception):
    """A process gave no answer; the text says how it ended."""

    WRONG_ANSWER = "its process gave another answer than fmgrid's"


def call_in_process(function: str, argument: Any, seconds: float | None = None) -> Any:
    """Return the result of a function of fmgrid, "module:name", for *argument*; both are JSON.

    Its output is lost. After *seconds* its process is killed with all that it has started. Raises
    `NoAnswerError`; `MachineError` if the machine refuses the process.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="fmgrid-", ignore_cleanup_errors=True) as folder:
            # A file, because the output may hold whatever plugged-in code prints.
            file = Path(folder, "answer.json").absolute()
            words = [function, json.dumps(argument), str(file), str(os.getpid())]
            process = subprocess.Popen(  # noqa: S603 - fmgrid's own words
                [sys.executable, "-P", "-c", _START.format(sys.path), *words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                # A set of words has the same order in every process.
                env=os.environ | {"PYTHONHASHSEED": "0"},
                start_new_session=True,
            )
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                raise NoAnswerError(f"it was killed after {seconds:g} s") from None
            finally:
                if process.poll() is None:
                    kill_descendants(process.pid)
                kill_group(process.pid)
                process.kill()
                process.wait()
            try:
                with file.open(encoding="utf-8") as stream:
                    return json.loads(stream.read(_LARGEST_ANSWER))
            except FileNotFoundError:
                end = describe_exit(process.returncode)
                raise NoAnswerError(f"it ended the process: {end}") from None
            except (ValueError, RecursionError):
                raise NoAnswerError(NoAnswerError.WRONG_ANSWER) from None
    except OSError as error:
        reason = explain_refusal(error) or error
        raise MachineError(f"a process for plugged-in code cannot be started: {reason}") from error


def answer_call(function: str, argument: str, file: str, parent: str) -> None:
    """Write what the function returns into *file*, and end the process."""
    die_with_parent(int(parent))
    adopt_orphans()
    code = 1
    module, _, name = function.partition(":")
    try:
        inspect = getattr(importlib.import_module(module), name)
        result = call_keeping_depth(inspect, json.loads(argument))
        unfinished = f"{file}.{os.getpid()}"  # plugged-in code may have forked, and both go on
        with open(unfinished, "w", encoding="utf-8") as stream:  # noqa: PTH123
            json.dump(result, stream)
        os.replace(unfinished, file)  # noqa: PTH105
        kill_descendants(os.getpid())
        code = 0
    finally:
        os._exit(code)  # without exit handlers, which may be anyone's


@contextlib.contextmanager
def own_environment() -> Iterator[None]:
    """Have an environment without the variables of libraries, and leave the caller's as it was."""
    before = dict(os.environ)
    forget_libraries()
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)


@contextlib.contextmanager
def without_main_module() -> Iterator[None]:
    """Let a process that starts here not import the caller's script, which may have no guard."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def detach() -> None:
    """Let only the parent stop this process, and end this process with its parent."""
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
        _be_killed_with(parent.sentinel)
        adopt_orphans()


def _die_with(sentinel: int) -> None:
    connection.wait([sentinel])
    if sys.platform != "win32":
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os._exit(1)


def call_keeping_depth(function: Callable[..., T], *args: Any) -> T:
    """Return the function's result, and restore the recursion limit."""
    limit = sys.getrecursionlimit()
    try:
        return function(*args)
    finally:
        sys.setrecursionlimit(limit)


def describe_exit(code: int | None) -> str:
    """Return how a process has ended: "exit code 3", "signal 9, Killed"."""
    if code is None or code >= 0:
        return f"exit code {code}"
    return f"signal {-code}, {signal.strsignal(-code)}"


def _be_killed_with(sentinel: int) -> None:
    """Let the kernel kill this process's group when the other end of a pipe closes.

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


def die_with_parent(parent: int | None) -> None:
    """Let the kernel kill this process when its parent ends.

    It ends at once if *parent* is given and is its parent no more. Only Linux offers that.
    """
    if sys.platform == "linux":
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if parent not in (None, os.getppid()):
            os._exit(1)


def adopt_orphans() -> None:
    """Make this process the parent of all processes that its descendants leave, to kill them.

    Only Linux offers that.
    """
    if sys.platform == "linux":
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def _prctl(option: int, value: int) -> None:
    import ctypes

    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def kill_group(leader: int) -> None:
    """Kill all processes of a group, if there are any; Windows has no groups."""
    if sys.platform != "win32":
        # The number of a group stays taken as long as the group has members.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(leader, signal.SIGKILL)


def kill_descendants(pid: int) -> None:
    """Kill all descendants of a process, even those that have left its group."""
    import psutil

    with contextlib.suppress(psutil.Error, OSError):
        for descendant in psutil.Process(pid).children(recursive=True):
            with contextlib.suppress(psutil.Error, OSError):
                descendant.kill()


def has_ended(pid: int | None, seconds: float = 0.0) -> bool:
    """Tell whether a child has ended, waited for or not, or ends within *seconds*."""
    import psutil

    deadline = time.monotonic() + seconds
    try:
        while pid is not None and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.01)
    except psutil.NoSuchProcess:
        return True
    return pid is not None


def was_killed(pid: int | None) -> bool:
    """Tell whether a child that has ended, and that nobody has waited for, was killed."""
    if sys.platform != "linux" or pid is None:
        return False
    with contextlib.suppress(ChildProcessError):
        status = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        return status is not None and status.si_status == signal.SIGKILL
    return False


def allow_files(needed: int) -> None:
    """Raise the limit of open files to *needed*. Raises `MachineError` if the system refuses.

    Later on, a lack of files would look like a failure of the code that opens one.
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


def is_server_reachable() -> bool:
    """Tell whether the server can be asked for a worker: it is asked through a file."""
    if sys.platform == "win32":
        return True
    from multiprocessing import forkserver

    address: str | None = getattr(forkserver._forkserver, "_forkserver_address", None)
    return address is None or os.path.exists(address)  # noqa: PTH110 - it may be no path at all


def resume_server(pid: int | None) -> None:
    """Resume the server if somebody has stopped it; otherwise fmgrid would wait for ever."""
    if sys.platform != "win32" and pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


# The server in `multiprocessing.forkserver`, and its methods there
_SERVER_NAMES = (
    *("_forkserver", "ensure_running", "connect_to_new_process"),
    *("get_inherited_fds", "set_forkserver_preload"),
)


@contextlib.contextmanager
def own_server() -> Iterator[None]:
    """Let `multiprocessing` have another server of workers, and afterwards the caller's again.

    A caller's own server has another environment. Ours is killed at the end.
    """
    if sys.platform == "win32":
        yield
        return
    from multiprocessing import forkserver

    before = {name: getattr(forkserver, name) for name in _SERVER_NAMES}
    server: Any = forkserver.ForkServer()
    vars(forkserver).update({name: getattr(server, name, server) for name in before})
    try:
        yield
    finally:
        vars(forkserver).update(before)
        if pid := getattr(server, "_forkserver_pid", None):
            with contextlib.suppress(OSError):  # it has ended, or its socket was removed
                os.kill(pid, signal.SIGKILL)
                server._stop()


def start_server() -> int | None:
    """Start the process that workers are forked from, if there is none; return its id.

    It ignores the signals for its parent: Ctrl-C in a terminal reaches the server too, and would
    end its imports in a traceback. It takes all other signals, and waits for SIGCHLD.
    """
    if sys.platform == "win32":
        return None
    from multiprocessing import forkserver, resource_tracker

    make_private_folder(Path(util.get_temp_dir()))  # where it listens; a cleaner may remove it
    blocked_signals = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    resource_tracker.ensure_running()  # first, since it would lift the block
    signal.pthread_sigmask(signal.SIG_SETMASK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked_signals)
    pid: int | None = getattr(forkserver._forkserver, "_forkserver_pid", None)
    return pid
