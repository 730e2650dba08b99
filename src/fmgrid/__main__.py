"""Where `fmgrid` and `python -m fmgrid` begin."""

import signal


def main() -> None:
    """Run the command line; never returns."""
    # Until the command line is there to say something, Ctrl-C just ends the process.
    interrupt = signal.getsignal(signal.SIGINT)
    if interrupt is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from fmgrid import cli

    signal.signal(signal.SIGINT, interrupt)
    cli.main()


if __name__ == "__main__":
    main()
