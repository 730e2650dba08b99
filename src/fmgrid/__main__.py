"""Where `fmgrid` and `python -m fmgrid` begin."""

import signal


def main() -> None:
    """Run the command line; never returns."""
    # Until the command line is there to say something, Ctrl-C just ends the process.
    is_heard = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if is_heard:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from fmgrid import cli

    if is_heard:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    cli.main()


if __name__ == "__main__":
    main()
