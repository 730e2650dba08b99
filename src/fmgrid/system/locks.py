"""One owner at a time: the system's lock on a file, or a second file that names its owner.

Some network and container file systems offer no locks. There the file `<name>.owner` exists as
long as somebody has the lock. It names the process and its host, so that on the same host the
lock of a dead process is free.
"""

import errno
import os
import stat
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from fmgrid.system.disk import read_regular

_POLL_SECONDS = 0.05
_MOST_BYTES = 1_000  # of the file that names the owner


class Lock:
    """The lock that belongs to a file; the file stays when the lock is released."""

    def __init__(self, path: Path) -> None:
        import filelock

        self.path = path
        self._marker = path.with_name(f"{path.name}.owner")
        self._needs_marker = False  # where the system offers no lock, or refuses it to another
        self._system = filelock.FileLock(path, fallback_to_soft=False)
        self._by_marker = filelock.SoftFileLock(self._marker)

    @property
    def owner(self) -> str:
        """The owner of a lock that may outlive it, and the file to remove then.

        It is "" for a lock of the system's, which dies with its owner.
        """
        if not self._needs_marker:
            return ""
        try:
            words = read_regular(self._marker, _MOST_BYTES).decode(errors="replace").split()
            pid, host = words[:2]
        except (OSError, ValueError):
            return f"if no such process is left, remove {self._marker}"
        return f"process {pid} on {host}; if that is gone, remove {self._marker}"

    def acquire(self, seconds: float = 0.0) -> bool:
        """Tell whether this process has the lock now; wait up to *seconds* for it.

        Raises `OSError` if there can be no lock, as in a folder that is read-only.
        """
        deadline = time.monotonic() + seconds
        while not self._try():
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_SECONDS)
        return True

    def release(self) -> None:
        """Give up the lock, if this process has it."""
        self._system.release()
        self._by_marker.release()

    def is_held(self) -> bool:
        """Tell whether anybody has the lock at this moment."""
        if not self.path.exists() and not self._marker.exists():
            return False
        try:
            return not self._try()
        except OSError:  # a folder that one may only read
            return False
        finally:
            self.release()

    def _try(self) -> bool:
        has_lock = False
        self._needs_marker = False
        try:
            if _take(self._system, self.path):
                self._needs_marker = os.path.lexists(self._marker)
                has_lock = not self._needs_marker or _take(self._by_marker, self._marker)
        except OSError as error:
            # The error of a file system that offers no locks names no file.
            if sys.platform == "win32" or error.filename is not None:
                raise
            self._needs_marker = True
            has_lock = _take(self._by_marker, self._marker)
        finally:
            if not has_lock:
                self.release()
        return has_lock


def _take(lock: Any, path: Path) -> bool:
    """Tell whether this process has a lock of filelock's now.

    Raises `OSError` for a link or a named pipe, of which nobody knows the owner.
    """
    import filelock

    with suppress(FileNotFoundError):
        if not stat.S_ISREG(path.lstat().st_mode):
            raise OSError(errno.EINVAL, "not a regular file; remove it", str(path))
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout:
        return False
    return True
