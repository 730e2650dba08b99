"""The end of processes: with their parent's, and with the end of what started them."""

import os
import signal
import sys
from contextlib import suppress

# Options of prctl(2), which only Linux has
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def die_with_parent(parent: int | None) -> None:
    """Let the kernel kill this process when its parent ends.

    It ends at once if *parent* is given and is its parent no more. Only Linux offers that.
    """
    if sys.platform == "linux":
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if parent not in (None, os.getppid()):
            os._exit(1)


def adopt_orphans() -> None:
    """Make this process the parent of what its descendants leave behind, so that it can be killed.

    Only Linux offers that.
    """
    if sys.platform == "linux":
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def _prctl(option: int, value: int) -> None:
    import ctypes

    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def kill_group(leader: int) -> None:
    """Kill all processes of a group, if there are any; Windows has no groups."""
    if sys.platform != "win32":
        # The number of a group stays taken as long as the group has members.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(leader, signal.SIGKILL)


def kill_descendants(pid: int) -> None:
    """Kill whatever a process and its children have started, even if it left their group."""
    import psutil

    with suppress(psutil.Error, OSError):
        for descendant in psutil.Process(pid).children(recursive=True):
            with suppress(psutil.Error, OSError):
                descendant.kill()
