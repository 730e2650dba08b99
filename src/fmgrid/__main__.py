"""Where `fmgrid` and `python -m fmgrid` begin."""

import os
import sys

from fmgrid.system.environment import shield


def main() -> None:
    """Run the command line; never returns."""
    _occupy_standard_files()
    shield()  # before all other imports, which a file in the current folder could pass for
    import signal

    _restore_signals()
    # With more threads OpenBLAS interrupts the process where the machine refuses to start them.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # Until the command line is there to say something, Ctrl-C just ends the process.
    is_heard = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if is_heard:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        from fmgrid import cli

        if is_heard:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        cli.main()
    except (MemoryError, SystemError, RuntimeError, ImportError, OSError) as error:
        _end_if_refused(error)
        raise


def _end_if_refused(error: Exception) -> None:
    """End with exit code 3 if the machine refused so much that no command could say it."""
    try:
        from fmgrid.errors import explain_refusal

        refusal = explain_refusal(error)
    except (MemoryError, SystemError, ImportError, OSError):
        refusal = "the machine refused memory; raise the limit (ulimit -v unlimited) or free some"
    if refusal:
        os.write(2, f"fmgrid: {refusal}\n".encode(errors="backslashreplace"))
        os._exit(3)  # what Python does at its exit may need memory, too


def _restore_signals() -> None:
    """Let every signal through, and wait for children as usual.

    A process inherits the signals that its caller blocks or ignores. The workers' server waits
    for SIGCHLD, and Ctrl-C must arrive. With SIGCHLD ignored the exit code of a child is lost.
    Other signals that are ignored stay ignored, as SIGHUP under nohup.
    """
    if sys.platform != "win32":
        import signal

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
