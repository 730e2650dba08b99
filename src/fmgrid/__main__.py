"""Where `fmgrid` and `python -m fmgrid` begin."""

import os
import signal
import sys
from typing import Any


def main() -> None:
    """Run the command line; never returns."""
    _occupy_standard_files()
    _restore_signals()
    # With more threads OpenBLAS interrupts the process where the machine refuses to start them.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # Until the command line is there to say something, Ctrl-C just ends the process.
    is_heard = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if is_heard:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    cli = _import_cli()
    if is_heard:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    cli.main()


def _import_cli() -> Any:
    """Return the package of the commands; end with exit code 3 if the machine refuses memory."""
    try:
        from fmgrid import cli
    except (MemoryError, OSError, ImportError, RuntimeError) as error:
        from fmgrid.errors import MachineError, explain_refusal

        if refusal := explain_refusal(error):
            print(f"fmgrid: {refusal}", file=sys.stderr)  # noqa: T201 - nobody else can say it
            sys.exit(MachineError.exit_code)
        raise
    return cli


def _restore_signals() -> None:
    """Let every signal through, and wait for children as usual.

    A process inherits the signals that its caller blocks or ignores. The workers' server waits
    for SIGCHLD, and Ctrl-C must arrive. With SIGCHLD ignored the exit code of a child is lost.
    Other signals that are ignored stay ignored, as SIGHUP under nohup.
    """
    if sys.platform != "win32":
        if signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _occupy_standard_files() -> None:
    """Open nothing as stdin, stdout and stderr where the caller has closed them.

    Or else their numbers go to whatever is opened next, here and in every process to come: to the
    line between a worker and its parent, which a worker would then take for its stdout.
    """
    for standard in (0, 1, 2):
        try:
            os.fstat(standard)
        except OSError:
            nothing = os.open(os.devnull, os.O_RDWR)  # has the lowest free number
            os.set_inheritable(nothing, True)


if __name__ == "__main__":
    main()
