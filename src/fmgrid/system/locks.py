"""One owner at a time: the system's lock on a file, or a second file that names its owner.

Some network and container file systems offer no locks. There the file `<name>.owner` exists as
long as somebody holds the lock. It names the process and its host, so that the lock of a process
that is gone is taken over, as far as its host is this one.
"""

import errno
import os
import socket
import stat
import sys
import time
from contextlib import suppress
from pathlib import Path

from fmgrid.system.disk import read_regular

_POLL_SECONDS = 0.05
_MOST_BYTES = 1_000  # of a file that names an owner


class Lock:
    """The lock that belongs to a file, which stays in its place when the lock is released."""

    def __init__(self, path: Path) -> None:
        import filelock

        self.path = path
        self.is_of_the_system = True  # False where a file alone says that somebody has the lock
        self._marker = path.with_name(f"{path.name}.owner")
        self._system = filelock.FileLock(path, fallback_to_soft=False)
        self._by_marker = filelock.SoftFileLock(self._marker)

    @property
    def owner(self) -> str:
        """Who holds a lock that is not the system's, and which file to remove if it is gone."""
        for file in (self._marker, self.path):
            if len(words := _words_in(file)) > 1:
                pid, host = words[:2]
                return f"process {pid} on {host}; if that is gone, remove {file}"
        return f"if no such process is left, remove {self._marker}"

    def acquire(self, seconds: float = 0.0) -> bool:
        """Return whether this process has the lock now; wait for it no longer than *seconds*.

        Raises `OSError` where a lock can't be had at all, as in a folder that is read-only.
        """
        deadline = time.monotonic() + seconds
        while not self._try():
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_SECONDS)
        return True

    def release(self) -> None:
        """Give the lock up."""
        if self._system.is_locked:
            self._note("")
            self._system.release()
        else:
            self._by_marker.release()

    def is_held(self) -> bool:
        """Return whether anybody holds the lock at this moment."""
        if not self.path.exists() and not self._marker.exists():
            return False
        try:
            is_free = self._try(is_noted=False)
        except OSError:  # a folder that one may only read
            return False
        self._system.release()
        self._by_marker.release()
        return not is_free

    def _try(self, *, is_noted: bool = True) -> bool:
        import filelock

        _check_kind(self.path)
        try:
            self._system.acquire(blocking=False)
        except filelock.Timeout:
            return False
        except OSError as error:
            # An error without a file's name is that of the lock itself, which is not offered.
            if sys.platform == "win32" or error.filename is not None:
                raise
            self.is_of_the_system = False
            return self._try_marker()
        self.is_of_the_system = True
        is_free = False
        try:
            if is_noted:
                # Before the look at the marker: whoever has that looks for this note afterwards.
                self._note(f"{os.getpid()}\n{_host()}\n")
            is_free = not os.path.lexists(self._marker) or self._take_marker()
            self._by_marker.release()
        finally:
            if not is_free:
                self.is_of_the_system = False
                self._system.release()
        return is_free

    def _try_marker(self) -> bool:
        if not self._take_marker():
            return False
        if self._is_noted_by_the_living():
            self._by_marker.release()
            return False
        return True

    def _take_marker(self) -> bool:
        import filelock

        _check_kind(self._marker)
        try:
            self._by_marker.acquire(blocking=False)
        except filelock.Timeout:
            return False
        return True

    def _note(self, owner: str) -> None:
        """Write who has the system's lock, for those to whom the system refuses locks."""
        if sys.platform == "win32":  # where a file that is locked can't be written
            return
        with suppress(OSError):  # a full disk is no reason to go without the lock
            descriptor = os.open(self.path, os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW)
            try:
                os.write(descriptor, owner.encode())
            finally:
                os.close(descriptor)

    def _is_noted_by_the_living(self) -> bool:
        """Return whether a living process of this host has noted that it has the lock."""
        pid, host, *_ = [*_words_in(self.path), "", ""]
        if not pid.isdecimal() or host != _host() or int(pid) == os.getpid():
            return False
        import psutil

        return psutil.pid_exists(int(pid))


def _check_kind(path: Path) -> None:
    """Refuse a lock that is a link or a named pipe, of which nobody knows whose it is."""
    with suppress(FileNotFoundError):
        if not stat.S_ISREG(path.lstat().st_mode):
            raise OSError(errno.EINVAL, "not a regular file; remove it", str(path))


def _words_in(path: Path) -> list[str]:
    try:
        return read_regular(path, _MOST_BYTES).decode(errors="replace").split()
    except OSError:
        return []


def _host() -> str:
    """Return the name of this host, and of the container in which process ids count."""
    name = socket.gethostname() or "?"
    with suppress(OSError):
        name += f"/{Path('/proc/self/ns/pid').stat().st_ino:x}"
    return "".join(name.split())
