"""Ctrl-C, a closing terminal, kill: the first asks fmgrid to stop, a second one ends it at once."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from fmgrid.cli.output import INTERRUPTED

SHOW_CURSOR = b"\x1b[?25h\r\n"

# SIGHUP is what a terminal sends when it closes; Windows has neither.
_SIGNALS = [number for number in signal.Signals if number.name in ("SIGINT", "SIGTERM", "SIGHUP")]


@contextmanager
def stoppable() -> Iterator[None]:
    """Raise KeyboardInterrupt at the first of the signals, and end the process at the second.

    Workers need no word of it: they end with the process. What was ignored from the start,
    as nohup has it, stays ignored.
    """
    heard = [number for number in _SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, _stop) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            if signal.getsignal(number) == _stop:  # where one has come, a second still ends it
                signal.signal(number, handler)


def deafen() -> None:
    """Let the process exit with the code it has chosen, now that all is done but that."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _stop(*_: object) -> None:
    for number in _SIGNALS:
        if signal.getsignal(number) == _stop:
            signal.signal(number, _end)
    raise KeyboardInterrupt


def _end(*_: object) -> None:
    if sys.stderr.isatty():  # whose cursor the progress display has hidden
        os.write(2, SHOW_CURSOR)
    os._exit(INTERRUPTED)
