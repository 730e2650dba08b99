"""Where `fmgrid` and `python -m fmgrid` begin."""

import os
import sys

from fmgrid.system.environment import shield


def main() -> None:
    """Run the command line; never returns."""
    _occupy_standard_files()
    shield()  # before any import for which a file in the current folder could pass
    import signal

    _restore_signals()
    # With more threads OpenBLAS interrupts the process where the machine refuses to start them.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # Until the command line can print a message, Ctrl-C just ends the process.
    is_default = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if is_default:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        from fmgrid import cli

        if is_default:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        cli.main()
    except (MemoryError, SystemError, RuntimeError, ImportError, OSError) as error:
        _end_if_refused(error)
        raise


def _end_if_refused(error: Exception) -> None:
    """End with exit code 3 if the machine refuses too much for any command to report it."""
    try:
        from fmgrid.errors import explain_refusal

        refusal = explain_refusal(error)
    except (MemoryError, SystemError, ImportError, OSError):
        refusal = "the machine refused memory; raise the limit (ulimit -v unlimited) or free some"
    if refusal:
        os.write(2, f"fmgrid: {refusal}\n".encode(errors="backslashreplace"))
        os._exit(3)  # what Python does at its exit may need memory, too


def _restore_signals() -> None:
    """Unblock all signals, and no longer ignore SIGCHLD.

    A process inherits the signals that its caller blocks or ignores. Ctrl-C must arrive, and with
    SIGCHLD ignored the exit code of a child is lost. Other signals that are ignored stay ignored,
    such as SIGHUP under nohup.
    """
    if sys.platform != "win32":
        import signal

        if signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _occupy_standard_files() -> None:
    """Open the null device as stdin, stdout or stderr if the caller has closed them.

    Otherwise the next file gets the number, here or in a process to come: a worker would take the
    pipe to its parent for its stdout.
    """
    for standard in (0, 1, 2):
        try:
            os.fstat(standard)
        except OSError:
            descriptor = os.open(os.devnull, os.O_RDWR)  # gets the lowest free number
            os.set_inheritable(descriptor, True)


if __name__ == "__main__":
    main()
