"""The server process of `multiprocessing`, from which workers are forked."""

import os
import signal
import sys
from contextlib import suppress
from multiprocessing import util
from pathlib import Path

from fmgrid.system.disk import make_private_folder


def is_reachable() -> bool:
    """Tell whether the server can be asked for a worker, which it is through a file."""
    if sys.platform == "win32":
        return True
    from multiprocessing import forkserver

    address: str | None = getattr(forkserver._forkserver, "_forkserver_address", None)
    return address is None or os.path.exists(address)  # noqa: PTH110 - it may be no path at all


def resume(pid: int | None) -> None:
    """Let the server go on if somebody has stopped it: fmgrid would wait for ever."""
    if sys.platform != "win32" and pid is not None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def start() -> int | None:
    """Start the process that workers are forked from, if there is none; return its id.

    It is deaf to the signals that are the parent's: Ctrl-C in a terminal reaches it too, and its
    imports would end in a traceback there. It hears all others, and waits for SIGCHLD.
    """
    if sys.platform == "win32":
        return None
    from multiprocessing import forkserver, resource_tracker

    make_private_folder(Path(util.get_temp_dir()))  # where it listens; a cleaner may remove it
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    resource_tracker.ensure_running()  # first, since it would lift the block
    signal.pthread_sigmask(signal.SIG_SETMASK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    pid: int | None = getattr(forkserver._forkserver, "_forkserver_pid", None)
    return pid
