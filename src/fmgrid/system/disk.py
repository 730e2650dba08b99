"""Files and folders as the system gives them: read within bounds, flushed, moved.

Whatever a file system refuses is an `OSError` whose `strerror` is meant for people, so that
every caller can name the file in its own way.
"""

import errno
import os
import shutil
import stat
from contextlib import suppress
from io import BufferedReader
from pathlib import Path

# A file system that does not offer an operation says so with one of these.
_NOT_OFFERED = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
# One that flushes files alone refuses a folder with one of these, too.
_NO_FOLDERS = {*_NOT_OFFERED, errno.EACCES, errno.EPERM, errno.EBADF, errno.EISDIR}


def open_regular(path: Path, most: int | None = None) -> BufferedReader:
    """Open a regular file, or a link to one, for reading.

    Raises `OSError` for anything else, and for a file of more than *most* bytes. A named pipe
    does not block, and a device is never opened.
    """
    _check_regular(path, path.stat(), most)
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
    descriptor = os.open(path, flags)
    try:
        # Again, because another file may have taken its place.
        _check_regular(path, os.fstat(descriptor), most)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_regular(path: Path, most: int) -> bytes:
    """Return the content of a regular file of at most *most* bytes; see `open_regular`."""
    with open_regular(path, most) as stream:
        size = os.fstat(stream.fileno()).st_size
        content = stream.read(size + 1)  # and not *most*, for which memory would be reserved
        if len(content) > size:  # it grew, or has no size, as the files in /proc
            content += stream.read(max(0, most + 1 - len(content)))
    if len(content) > most:
        raise _too_large(path, most)
    return content


def _check_regular(path: Path, found: os.stat_result, most: int | None) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    if most is not None and found.st_size > most:
        raise _too_large(path, most)


def _too_large(path: Path, most: int) -> OSError:
    return OSError(errno.EFBIG, f"larger than {most:,} bytes", str(path))


def sync(descriptor: int) -> None:
    """Flush a file to the disk, where its file system offers that."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NOT_OFFERED:
            raise


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power failure, where its file system offers that."""
    if os.name == "nt":  # where folders cannot be opened
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)  # where one may write, and perhaps not read
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in _NO_FOLDERS:
            raise


def free_bytes(folder: Path) -> int | None:
    """Return the room on the disk of a folder, None where its file system does not say."""
    try:
        usage = shutil.disk_usage(folder)
    except OSError as error:
        if error.errno not in _NOT_OFFERED:
            raise
        return None
    return usage.free if usage.total else None


def move_file(source: Path, target: Path) -> None:
    """Move a file to *target*, in place of a file there, across file systems if need be."""
    try:
        source.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _copy_and_remove(source, target)


def _copy_and_remove(source: Path, target: Path) -> None:
    """Copy a file whole, and remove the original when the copy is on the disk."""
    beside = target.with_name(f".unfinished-{target.name}")
    try:
        shutil.copyfile(source, beside, follow_symlinks=False)
        if not beside.is_symlink():
            with beside.open("rb+") as stream:
                sync(stream.fileno())
        with suppress(OSError):  # a file system without modes or times
            shutil.copystat(source, beside, follow_symlinks=False)
        beside.replace(target)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    sync_folder(target.parent)
    source.unlink()


def move_folder(source: Path, target: Path, last: str = "") -> None:
    """Move a folder to *target*, file by file where the system cannot rename it.

    That is so for a folder in a lower layer of overlayfs, as containers have it. The entry
    *last* is moved after all others. After an interruption, the same call goes on.
    """
    if not target.exists():
        try:
            source.rename(target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
        else:
            return
    target.mkdir(exist_ok=True)
    for path in sorted(source.iterdir(), key=lambda path: (path.name == last, path.name)):
        if _is_real_folder(path):
            move_folder(path, target / path.name)
        else:
            move_file(path, target / path.name)
    with suppress(OSError):  # a file system without modes or times
        shutil.copystat(source, target)
    sync_folder(target)
    source.rmdir()


def may_move(source: Path, target: Path) -> bool:
    """Return whether `move_folder` would put nothing in the place of anything in *target*."""
    if not os.path.lexists(target):
        return True
    return all(map(_is_real_folder, (source, target))) and all(
        may_move(path, target / path.name) for path in source.iterdir()
    )


def _is_real_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()
