"""Stdout and stderr of this process, of Python and of C code alike."""

import contextlib
import os
import sys
from pathlib import Path


def redirect(log: Path) -> None:
    """Send both to a log from now on; they are not turned back afterwards."""
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


def flush() -> None:
    """Write what the streams hold back, as far as they still can."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):  # None, full, closed
            stream.flush()
