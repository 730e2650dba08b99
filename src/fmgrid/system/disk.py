"""Files and folders: read within bounds, written whole, moved.

An error of a file system is an `OSError` whose `strerror` is meant for people; the caller names
the file.
"""

import errno
import os
import shutil
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path

from fmgrid.errors import FmgridError, MachineError, StoreError
from fmgrid.words import printable

UNFINISHED = ".unfinished-"  # begins the name of a file until it is whole

# The errors of a file system that does not offer an operation
_NOT_OFFERED = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
# The errors of one that flushes files and no folders, and of Windows
_NO_FOLDERS = {*_NOT_OFFERED, errno.EACCES, errno.EPERM, errno.EBADF, errno.EISDIR}
_LAST_BYTES = 8_000  # of a log, in which its last lines are looked for


def open_regular(path: Path, most: int | None = None) -> BufferedReader:
    """Open a regular file, or a link to one, for reading.

    Raises `OSError` for anything else, such as a named pipe, which could block, and for a file of
    more than *most* bytes.
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
        content = stream.read(size + 1)  # a read of *most* bytes would reserve memory for them
        if len(content) > size:  # it grew, or is a file of /proc, which has no size
            content += stream.read(max(0, most + 1 - len(content)))
    if len(content) > most:
        raise _too_large(path, most)
    return content


def read_end(path: Path, most: int) -> bytes:
    """Return the last bytes of a regular file, or b"" if it cannot be read."""
    try:
        with open_regular(path) as stream:
            stream.seek(max(0, stream.seek(0, os.SEEK_END) - most))
            return stream.read(most)
    except OSError:
        return b""


def _check_regular(path: Path, status: os.stat_result, most: int | None) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    if most is not None and status.st_size > most:
        raise _too_large(path, most)


def _too_large(path: Path, most: int) -> OSError:
    return OSError(errno.EFBIG, f"larger than {most:,} bytes", str(path))


def sync(descriptor: int) -> None:
    """Flush a file to the disk, if its file system offers that."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NOT_OFFERED:
            raise


def sync_folder(folder: Path) -> None:
    """Flush the names in a folder to the disk, if its file system offers that."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)  # refused if one may only write into it
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in _NO_FOLDERS:
            raise


@contextmanager
def _appearing(path: Path) -> Iterator[Path]:
    """Give the path of a new file, which gets the name of *path* when it is whole."""
    beside = path.with_name(f"{UNFINISHED}{path.name}")
    try:
        yield beside
        beside.replace(path)
    except BaseException as error:
        with suppress(OSError):
            beside.unlink()
        if isinstance(error, OSError) and error.filename is not None:
            error.filename = str(path)  # the user does not know the unfinished file
        raise
    sync_folder(path.parent)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that appears whole or not at all, even if the power fails."""
    with _appearing(path) as beside, beside.open("wb") as stream:
        stream.write(content)
        stream.flush()
        sync(stream.fileno())


def move_file(source: Path, target: Path) -> None:
    """Move a file, in place of a file at *target*; copy it to another file system."""
    try:
        source.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        with _appearing(target) as beside:
            shutil.copyfile(source, beside, follow_symlinks=False)
            if not beside.is_symlink():
                with beside.open("rb+") as stream:
                    sync(stream.fileno())
            _copy_times(source, beside)
        source.unlink()


def _copy_times(source: Path, target: Path) -> None:
    with suppress(OSError):  # a file system without modes or times
        shutil.copystat(source, target, follow_symlinks=False)


def move_folder(source: Path, target: Path, last: str = "") -> None:
    """Move a folder to *target*, file by file if the system cannot rename it.

    It cannot rename a folder in a lower layer of overlayfs, as containers have it. The entry
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
    _copy_times(source, target)
    sync_folder(target)
    source.rmdir()


def may_move(source: Path, target: Path) -> bool:
    """Tell whether `move_folder` would replace nothing in *target*."""
    if not os.path.lexists(target):
        return True
    return all(map(_is_real_folder, (source, target))) and all(
        may_move(path, target / path.name) for path in source.iterdir()
    )


def resolve(path: Path) -> Path:
    """Return where a path leads in the end. Raises `StoreError` if that is back to itself."""
    # Not Path.resolve, which some versions of Python let fail and others don't.
    target = Path(os.path.realpath(path))
    if os.path.islink(target):  # noqa: PTH114 - Path.is_symlink raises where it may not look
        raise StoreError(f"{path}: is a link that leads back to itself")
    return target


def _is_real_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def make_private_folder(folder: Path) -> None:
    """Make a folder for temporary files, or keep it if it is this user's. Raises `MachineError`."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.lstat()
    except OSError as error:
        raise MachineError(
            f"the temporary folder {folder} cannot be made: {error.strerror}; "
            "set TMPDIR to a folder that can be written"
        ) from error
    if stat.S_ISLNK(status.st_mode) or (sys.platform != "win32" and status.st_uid != os.geteuid()):
        raise MachineError(f"the temporary folder {folder} is another user's; set TMPDIR")


def last_lines(log: Path, number: int) -> list[str]:
    """Return the last *number* lines of a log that are not blank."""
    lines = read_end(log, _LAST_BYTES).decode(errors="replace").splitlines()
    return [line for line in lines if line.strip()][-number:]


class HomeError(FmgridError):
    """A path begins with ~, and that home folder is not known."""

    exit_code = 2


def expand_home(text: str) -> Path:
    """Return a path with the home folder in place of a leading ~. Raises `HomeError`."""
    if not text.startswith("~"):
        return Path(text)
    user = Path(text).parts[0].removeprefix("~")
    # From the text, because Path("./~a") drops the dot.
    expanded = os.path.expanduser(text)  # noqa: PTH111
    # With an empty HOME, ~ would be the root folder.
    if os.path.isabs(expanded) and (user or os.environ.get("HOME") != ""):  # noqa: PTH117
        return Path(expanded)
    if not user:
        raise HomeError("~ means nothing: this user has no home folder; write the whole path")
    raise HomeError(
        f"there is no user {printable(user, 40)}, whose home folder ~{printable(user, 40)} would "
        f"be; write ./{printable(text, 60)} for a name that begins with ~"
    )
