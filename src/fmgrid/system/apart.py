"""Call a function in a process of its own, which somebody else's code may end, hang or spoil."""

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from fmgrid.errors import MachineError, explain_refusal

_LARGEST_ANSWER = 10_000_000  # bytes
_START = (
    "import sys; sys.path[:] = {!r}; from fmgrid.system.apart import answer; answer(*sys.argv[1:])"
)


class NoAnswerError(Exception):
    """The process gave no answer; the text says how it ended."""

    OTHER = "its process gave another answer than fmgrid's"


def ask(function: str, argument: Any, seconds: float) -> Any:
    """Return what a function of fmgrid, "module:name", returns there for *argument*; both are JSON.

    All that it prints is lost. After so many seconds it is killed, and so is what it has started.
    Raises `NoAnswerError`; `MachineError` where the machine has no room for the process.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="fmgrid-", ignore_cleanup_errors=True) as folder:
            # A file, and not the process's output: code that prints must not pass for an answer.
            file = Path(folder, "answer.json").absolute()
            code = _START.format(sys.path)
            words = [function, json.dumps(argument), str(file), str(os.getpid())]
            process = subprocess.Popen(  # noqa: S603 - fmgrid's own words
                [sys.executable, "-P", "-c", code, *words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                raise NoAnswerError(f"it was killed after {seconds:g} s") from None
            finally:
                _kill(process)
            return _read(file, process.returncode)
    except OSError as error:
        reason = explain_refusal(error) or error
        raise MachineError(f"a process for plugged-in code cannot be started: {reason}") from error


def answer(function: str, argument: str, file: str, parent: str) -> None:
    """Write what the function returns into *file*, and end the process: that is all it is for."""
    _die_with(int(parent))
    limit = sys.getrecursionlimit()
    code = 1
    module, _, name = function.partition(":")
    try:
        result = getattr(importlib.import_module(module), name)(json.loads(argument))
        sys.setrecursionlimit(limit)
        unfinished = f"{file}.{os.getpid()}"  # of each process, if it has forked and came back
        with open(unfinished, "w", encoding="utf-8") as stream:  # noqa: PTH123
            json.dump(result, stream)
        os.replace(unfinished, file)  # noqa: PTH105
        kill_descendants(os.getpid())
        code = 0
    finally:
        os._exit(code)  # no exit handler of somebody else's code runs


def _read(file: Path, code: int) -> Any:
    """Return the answer in the file."""
    try:
        with file.open(encoding="utf-8") as stream:
            text = stream.read(_LARGEST_ANSWER + 1)
    except FileNotFoundError:
        raise NoAnswerError(f"it ended the process: {_ending(code)}") from None
    try:
        if len(text) > _LARGEST_ANSWER:
            raise ValueError  # noqa: TRY301 - no answer of ours
        return json.loads(text)
    except (ValueError, RecursionError):
        raise NoAnswerError(NoAnswerError.OTHER) from None


def _ending(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {-code}, {signal.strsignal(-code)}"


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """Kill the process, if it still runs, and those of its group and its children that do."""
    if process.poll() is None:
        kill_descendants(process.pid)
    if sys.platform != "win32":
        # The group's number stays taken as long as it has members, and there is none otherwise.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()


def kill_descendants(pid: int) -> None:
    """Kill what a process and its children have started, their group left or not."""
    import psutil

    with contextlib.suppress(psutil.Error, OSError):
        for descendant in psutil.Process(pid).children(recursive=True):
            with contextlib.suppress(psutil.Error, OSError):
                descendant.kill()


def _die_with(parent: int) -> None:
    """Let the kernel kill this process with the command, and give it what its children leave."""
    if sys.platform != "linux":
        return
    import ctypes

    PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # noqa: N806 - prctl(2)'s names
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)  # it had died already
