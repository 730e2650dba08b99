"""One owner at a time: the system's lock on a file, or a second file that names its owner.

Some network and container file systems offer no locks. There the file `<name>.owner` exists as
long as somebody has the lock. It names the process and its host, so that on the same host the
lock of a dead process is free.
"""

import errno
import os
import socket
import stat
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from fmgrid.system.disk import read_regular

_POLL_SECONDS = 0.05
_MOST_BYTES = 1_000  # of a file that names an owner


class Lock:
    """The lock that belongs to a file; the file stays when the lock is released."""

    def __init__(self, path: Path) -> None:
        import filelock

        self.path = path
        self.is_of_the_system = True  # False if only a file says that somebody has the lock
        self._marker = path.with_name(f"{path.name}.owner")
        self._system = filelock.FileLock(path, fallback_to_soft=False)
        self._by_marker = filelock.SoftFileLock(self._marker)

    @property
    def owner(self) -> str:
        """The owner of a lock that is not the system's, and the file to remove if it is gone."""
        for file in (self._marker, self.path):
            if len(words := _words_in(file)) > 1:
                pid, host = words[:2]
                return f"process {pid} on {host}; if that is gone, remove {file}"
        return f"if no such process is left, remove {self._marker}"

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
        if self._system.is_locked:
            self._note("")
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
        self.is_of_the_system = True
        try:
            if _take(self._system, self.path):
                # Before the look at the marker, whose owner looks for the note then.
                self._note(f"{os.getpid()}\n{_host()}\n")
                has_lock = not os.path.lexists(self._marker) or _take(self._by_marker, self._marker)
                self._by_marker.release()
                self.is_of_the_system = has_lock
        except OSError as error:
            # The error of a file system that offers no locks names no file.
            if sys.platform == "win32" or error.filename is not None:
                raise
            self.is_of_the_system = False
            has_lock = _take(self._by_marker, self._marker) and not self._is_noted_by_the_living()
        finally:
            if not has_lock:
                self.release()
        return has_lock

    def _note(self, owner: str) -> None:
        """Write who has the system's lock, for processes to which the system refuses locks."""
        if sys.platform == "win32":  # which lets nobody write to a locked file
            return
        with suppress(OSError):  # a full disk is no reason to go without the lock
            descriptor = os.open(self.path, os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW)
            try:
                os.write(descriptor, owner.encode())
            finally:
                os.close(descriptor)

    def _is_noted_by_the_living(self) -> bool:
        """Tell whether another living process of this host has noted that it has the lock."""
        pid, host, *_ = [*_words_in(self.path), "", ""]
        if not pid.isdecimal() or host != _host() or int(pid) == os.getpid():
            return False
        import psutil

        return psutil.pid_exists(int(pid))


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


def _words_in(path: Path) -> list[str]:
    try:
        return read_regular(path, _MOST_BYTES).decode(errors="replace").split()
    except OSError:
        return []


def _host() -> str:
    """Return the name of this host, and of the container to which process ids belong."""
    name = socket.gethostname() or "?"
    with suppress(OSError):
        name += f"/{Path('/proc/self/ns/pid').stat().st_ino:x}"
    return "".join(name.split())
