"""Where words go and how a command ends: talk to stderr, data to stdout, errors and signals.

Ctrl-C, a closing terminal and kill ask fmgrid to stop; a second one ends it at once.
"""

import codecs
import io
import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import typer

from fmgrid.errors import (
    FmgridError,
    InputError,
    MachineError,
    check_address_space,
    explain_refusal,
)
from fmgrid.words import counted, printable

if TYPE_CHECKING:
    from rich.console import Console

INTERRUPTED = 130
PIPE_WIDTH = 1000  # columns: what reads a pipe wants whole lines

_PLAIN = {
    "\N{MINUS SIGN}": "-",
    "\N{PLUS-MINUS SIGN}": "+-",
    "\N{HORIZONTAL ELLIPSIS}": "...",
    "\N{MULTIPLICATION SIGN}": "x",
}
_SHOW_CURSOR = b"\x1b[?25h\r\n"
# SIGHUP is what a terminal sends when it closes; Windows has neither.
_SIGNALS = [number for number in signal.Signals if number.name in ("SIGINT", "SIGTERM", "SIGHUP")]


def console(*, stderr: bool = False) -> "Console":
    """Return a console as wide as its terminal, or of whole lines in a pipe."""
    from rich.console import Console

    is_terminal = (sys.stderr if stderr else sys.stdout).isatty()
    width = None if is_terminal else PIPE_WIDTH
    return Console(
        stderr=stderr,
        width=width,
        highlight=False,
        markup=False,
        emoji=False,
        force_jupyter=False,  # what is shown goes to the stream, in a notebook too
    )


def say(text: str, style: str | None = None) -> None:
    """Tell the user something on stderr; long lines are for the terminal to wrap.

    Names in it may be a stranger's, and are escaped. If nobody listens any more, the work goes on
    in silence: a reader that left a pipe, or a closed terminal, is no reason to lose it.
    """
    target = console(stderr=True)
    with target.capture() as capture:
        target.print("\n".join(map(printable, text.split("\n"))), soft_wrap=True, style=style)
    try:
        sys.stderr.write(capture.get())
        sys.stderr.flush()
    except OSError:
        discard(sys.stderr)


def warn(*texts: str) -> None:
    """Say what the user should look at, each text on a line."""
    for text in texts:
        say(f"warning: {printable(text)}", style="yellow")


def print_json(answer: object) -> None:
    """Print the answer of a command for a script."""
    print(json.dumps(answer, indent=2, default=str))  # an argument may be a date


def open_closed_streams() -> None:
    """Let a command run whose stdout or stderr was closed by its caller, or has few letters."""
    codecs.register_error("fmgrid", _replace_missing_letters)
    for name in ("stdout", "stderr"):
        # Python has None for a closed one; the null device stays open as long as the process.
        stream = getattr(sys, name) or Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
        setattr(sys, name, _make_lossless(stream))


def _make_lossless(stream: TextIO) -> TextIO:
    """Return a stream that writes all of a text, letters that it lacks too, or raises an error.

    A caller may have made its pipe non-blocking, or Python's streams unbuffered, as containers
    do with PYTHONUNBUFFERED. Python then drops what the system does not take at once.
    """
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    if sys.platform != "win32":
        with suppress(OSError):  # of a stream that is no file
            os.set_blocking(stream.fileno(), True)
    if isinstance(stream.buffer, io.RawIOBase):
        buffered = io.BufferedWriter(stream.buffer)
        stream = io.TextIOWrapper(buffered, stream.encoding, line_buffering=True)
    stream.reconfigure(errors="fmgrid")
    return stream


def _replace_missing_letters(error: UnicodeError) -> tuple[str | bytes, int]:
    """Write what an encoding has no letters for: plainly where that can be, or else escaped."""
    if isinstance(error, UnicodeEncodeError) and error.object[error.start] in _PLAIN:
        return _PLAIN[error.object[error.start]], error.start + 1
    return codecs.backslashreplace_errors(error)


@contextmanager
def report_errors() -> Iterator[None]:
    """Turn errors that a user can cause into a message and an exit code, without a traceback."""
    try:
        check_address_space()
        try:
            Path.cwd()
        except FileNotFoundError as error:
            message = "the working directory is gone; cd to one that is there"
            raise MachineError(message) from error
        yield
        sys.stdout.flush()  # here, where an error can still be reported
    except InputError as error:
        say(f"{error}\n{counted(len(error.problems), 'mistake')}; nothing was done")
        sys.exit(error.exit_code)
    except FmgridError as error:
        say(f"fmgrid: {error}")
        sys.exit(error.exit_code)
    except KeyboardInterrupt as error:
        say(str(error) or "fmgrid: interrupted")
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        discard(sys.stdout)  # the reader has what it wanted
        sys.exit()
    except typer.Exit:  # which is a RuntimeError
        raise
    except (OSError, MemoryError, RuntimeError, ImportError) as error:
        text = explain_refusal(error)
        if not text:
            if not isinstance(error, OSError):
                raise
            discard(sys.stdout)
            text = str(error) if error.filename else f"the output cannot be written: {error}"
        say(f"fmgrid: {text}")
        sys.exit(MachineError.exit_code)


def discard(stream: TextIO) -> None:
    """Send the rest of a stream to the null device; Python would complain of it at its exit."""
    null_device = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null_device, stream.fileno())
    os.close(null_device)


def catch_signals() -> None:
    """Raise KeyboardInterrupt at the first of the signals, and end the process at the second.

    Workers need no word of it: they end with the process. What was ignored from the start,
    as nohup has it, stays ignored.
    """
    for number in _SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _stop)


def ignore_signals() -> None:
    """Let the process exit with the code that it has chosen."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _stop(*_: object) -> None:
    for number in _SIGNALS:
        if signal.getsignal(number) == _stop:
            signal.signal(number, _end)
    raise KeyboardInterrupt


def _end(*_: object) -> None:
    if sys.stderr.isatty():  # whose cursor the progress display has hidden
        os.write(2, _SHOW_CURSOR)
    os._exit(INTERRUPTED)
