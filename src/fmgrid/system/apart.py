"""Call a function in a process of its own, which plugged-in code may end, hang or change."""

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
from fmgrid.system.processes import adopt_orphans, die_with_parent, kill_descendants, kill_group

_LARGEST_ANSWER = 10_000_000  # characters
_START = (
    "import sys; sys.path[:] = {!r}; from fmgrid.system.apart import answer; answer(*sys.argv[1:])"
)


class NoAnswerError(Exception):
    """The process gave no answer; the text says how it ended."""

    OTHER = "its process gave another answer than fmgrid's"


def ask(function: str, argument: Any, seconds: float) -> Any:
    """Return what a function of fmgrid, "module:name", returns for *argument*; both are JSON.

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
            return _read(file, process.returncode)
    except OSError as error:
        reason = explain_refusal(error) or error
        raise MachineError(f"a process for plugged-in code cannot be started: {reason}") from error


def answer(function: str, argument: str, file: str, parent: str) -> None:
    """Write what the function returns into *file*, and end the process."""
    die_with_parent(int(parent))
    adopt_orphans()
    limit = sys.getrecursionlimit()
    code = 1
    module, _, name = function.partition(":")
    try:
        result = getattr(importlib.import_module(module), name)(json.loads(argument))
        sys.setrecursionlimit(limit)
        unfinished = f"{file}.{os.getpid()}"  # plugged-in code may have forked, and both go on
        with open(unfinished, "w", encoding="utf-8") as stream:  # noqa: PTH123
            json.dump(result, stream)
        os.replace(unfinished, file)  # noqa: PTH105
        kill_descendants(os.getpid())
        code = 0
    finally:
        os._exit(code)  # without exit handlers, which may be anyone's


def _read(file: Path, code: int) -> Any:
    """Return the answer in the file."""
    try:
        with file.open(encoding="utf-8") as stream:
            text = stream.read(_LARGEST_ANSWER)
        return json.loads(text)
    except FileNotFoundError:
        ending = f"exit code {code}" if code >= 0 else f"signal {-code}, {signal.strsignal(-code)}"
        raise NoAnswerError(f"it ended the process: {ending}") from None
    except (ValueError, RecursionError):
        raise NoAnswerError(NoAnswerError.OTHER) from None
