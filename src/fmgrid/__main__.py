"""Where `fmgrid` and `python -m fmgrid` begin."""

import os

from fmgrid.environment import shield


def main() -> None:
    """Run the command line; never returns."""
    _occupy_standard_files()
    shield()  # before all other imports, which a file in the current folder could pass for
    import signal

    # Until the command line is there to say something, Ctrl-C just ends the process.
    is_heard = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if is_heard:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from fmgrid import cli

    if is_heard:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    cli.main()


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
