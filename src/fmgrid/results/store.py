"""Log folders: this module decides where fmgrid stores each file of a run.

A run is finished when `<root>/<run>/<run>_results.toml` exists. It appears last, and only whole;
every other file of the run can be made from it.
"""

import errno
import os
import re
import shutil
import stat
from collections import deque
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from fmgrid.errors import DamagedFileError, InputError, StoreError
from fmgrid.experiment import Run
from fmgrid.results.results_file import MOST_BYTES, read_results, to_results
from fmgrid.results.tensorboard import is_event_file, to_events
from fmgrid.system.disk import UNFINISHED, may_move, move_folder, read_regular, write_whole
from fmgrid.system.locks import Lock
from fmgrid.words import counted, format_bytes, without_middle

LOG = "run.log"
FOLDER_OF_GRIDS = ".grids"  # holds the records of grids
ASIDE = ".replaced"  # holds runs that --replace or damage took out of the way
LOCK = ".fmgrid.lock"

# The errors of a path that leads to nothing; any other may hide something.
NOT_THERE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG}
# The errors of results that are a folder, a terabyte and so on; with any other they may be whole.
_NO_RESULTS = {errno.EINVAL, errno.EFBIG, errno.EISDIR, errno.ENOENT, errno.ELOOP}

_RESULTS = "_results.toml"
# Files that an unfinished run may have left; any others in its folder are somebody else's.
_OF_UNFINISHED = re.compile(
    rf"{re.escape(LOG)}|events\.out\.tfevents\.-?\d+\.fmgrid|{re.escape(UNFINISHED)}.*"
)
# What a run takes on the disk: a folder, three files, and their growth with every epoch.
_RUN_BYTES = 20_000
_EPOCH_BYTES = 1_000
_LOCK_SECONDS = 0.5
_LONGEST_PATH = 300  # characters of one in a message


@dataclass(frozen=True)
class Store:
    """A log folder."""

    root: Path

    def folder(self, run_name: str) -> Path:
        """Return the folder of a run."""
        return self.root / run_name

    def results_file(self, run_name: str) -> Path:
        """Return the path of the results file, which only a finished run has."""
        return self.folder(run_name) / f"{run_name}{_RESULTS}"

    def log_file(self, run_name: str) -> Path:
        """Return the path of the file that gets everything that the training prints."""
        return self.folder(run_name) / LOG

    def read(self, run_name: str) -> Run | None:
        """Return the finished run of this name, None if there is none.

        Raises `DamagedFileError` if its results are not as fmgrid wrote them, and `StoreError` if
        its folder cannot be read or holds somebody else's run.
        """
        folder, path = self.folder(run_name), self.results_file(run_name)
        with translate_os_errors(folder):
            _check_folder(folder)
            try:
                path.lstat()
            except (FileNotFoundError, NotADirectoryError):
                _check_unfinished(folder)
                return None
        try:
            return read_results(path)
        except DamagedFileError as error:
            if isinstance(error.__cause__, OSError) and error.__cause__.errno not in _NO_RESULTS:
                raise StoreError(str(error)) from error  # they may be whole
            raise

    def begin(self, run_name: str) -> None:
        """Remove the traces of an unfinished run of this name; from now on it counts as running."""
        folder = self.folder(run_name)
        with translate_os_errors(folder):
            _check_folder(folder)
            folder.mkdir(parents=True, exist_ok=True)
            for path in folder.iterdir():
                if _OF_UNFINISHED.fullmatch(path.name):
                    path.unlink()
            self.log_file(run_name).touch()

    def save(self, run: Run, log: bytes = b"") -> None:
        """Store a run in the folder that `begin` made: log and events first, the results last."""
        name = run.experiment.run_name
        with translate_os_errors(self.folder(name)):
            self.log_file(name).write_bytes(log)
            # TensorBoard looks for "tfevents" in the name.
            events = f"events.out.tfevents.{int(run.started.timestamp()):010d}.fmgrid"
            write_whole(self.folder(name) / events, to_events(run))
            write_whole(self.results_file(name), to_results(run))

    def read_log(self, run_name: str) -> bytes:
        """Return everything that a run's training printed; b"" if its log cannot be read."""
        path = self.log_file(run_name)
        with suppress(OSError):
            return b"" if path.is_symlink() else read_regular(path, MOST_BYTES)
        return b""

    def complete_runs(self, without: Container[str]) -> Iterator[Run]:
        """Yield the complete runs, except those with the names *without*."""
        names: list[str] = []
        with suppress(OSError):
            names = sorted(path.name for path in self.root.iterdir())
        for name in names:
            if name in without or name.startswith("."):
                continue
            with suppress(DamagedFileError, StoreError):
                run = self.read(name)
                if run and run.status == "complete" and run.experiment.run_name == name:
                    yield run

    def set_aside(self, run_name: str) -> Path:
        """Move a run's folder to the first free number in `ASIDE`; return its new path.

        The same call continues an interrupted move. The event file is renamed first, because
        TensorBoard would still show it.
        """
        folder, aside = self.folder(run_name), self.root / ASIDE
        with translate_os_errors(self.root):
            _check_folder(folder)
            _check_folder(aside)
            aside.mkdir(exist_ok=True)
            for path in list(folder.iterdir()):
                if is_event_file(path.name):
                    path.rename(folder / path.name.replace("tfevents", "aside"))
            candidates = (aside / f"{run_name}.{number}" for number in count(1))
            moved = next(path for path in candidates if may_move(folder, path))
            move_folder(folder, moved, last=f"{run_name}{_RESULTS}")
            return moved

    def names_aside(self) -> list[str]:
        """Return the names of the runs that were set aside."""
        with suppress(OSError):
            return [path.stem for path in (self.root / ASIDE).iterdir()]
        return []

    def check_aside(self) -> None:
        """Raise `StoreError` if runs could not be set aside."""
        with translate_os_errors(self.root):
            _check_folder(self.root / ASIDE)

    def check_room(self, runs: int, epochs: int) -> None:
        """Raise `StoreError` if there is no room for *runs* with *epochs* in all."""
        needed = runs * _RUN_BYTES + epochs * _EPOCH_BYTES
        probe = self.root / f"{UNFINISHED}probe"
        with translate_os_errors(self.root):
            usage = None
            with suppress(OSError):  # a file system that does not say
                usage = shutil.disk_usage(self.root)
            if usage and usage.free < needed and usage.total:
                free = format_bytes(usage.free)
                raise StoreError(
                    f"{self.root}: the disk has {free} free, and {counted(runs, 'run')} would take "
                    f"{format_bytes(needed)}; make room, or choose another --logdir"
                )
            write_whole(probe, bytes(_RUN_BYTES))  # the only way to notice a quota
            probe.unlink()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep every other fmgrid from writing into the folder; the lock ends with the process.

        Raises `StoreError` if another one is writing, or if the folder cannot be written.
        """
        with translate_os_errors(self.root):
            if self.root.exists() and not self.root.is_dir():
                raise StoreError(f"{self.root}: is not a folder; choose another --logdir")
            self.root.mkdir(parents=True, exist_ok=True)
            lock = Lock(self.root / LOCK)
            # fmgrid status has the lock for a moment, to see whether anybody else has it.
            if not lock.acquire(_LOCK_SECONDS):
                owner = f" ({lock.owner})" if lock.owner else ""
                raise StoreError(
                    f"{self.root}: another fmgrid run is writing here{owner}; "
                    "wait until it ends, or choose another --logdir"
                )
        try:
            yield
        finally:
            lock.release()

    def is_locked(self) -> bool:
        """Tell whether an fmgrid run is writing here at this moment."""
        return Lock(self.root / LOCK).is_held()


def locate(name: str, logdir: Path) -> tuple[Path, str]:
    """Return the log folder and the name of a run or experiment, given by its name or folder.

    Raises `InputError` for a folder that lies in no log folder.
    """
    path = logdir / name
    # Not Path.is_dir, which raises where it may not look.
    if Path(name).name != name and os.path.isdir(Path(name).parent):  # noqa: PTH112
        path = Path(os.path.abspath(name))  # noqa: PTH100 - without "." and "..", unlike pathlib's
        if path.parent == path.parent.parent:  # compare would read the whole disk
            raise InputError.at(name, "is no run: a log folder lies deeper; name a run")
    if os.path.islink(path):  # noqa: PTH114 - results have the name of the folder itself
        path = Path(os.path.realpath(path))
    return path.parent, path.name


@dataclass
class Listing:
    """The run folders and log folders below a folder, in order of path."""

    results: list[Path] = field(default_factory=list)  # files
    unfinished: list[Path] = field(default_factory=list)
    foreign: list[Path] = field(default_factory=list)  # of plain mltrainer
    grids: list[Path] = field(default_factory=list)  # log folders with records of grids
    replaced: list[Path] = field(default_factory=list)  # log folders with runs set aside
    unread: list[str] = field(default_factory=list)  # folders that cannot be read, and why


def find_folders(root: Path) -> Listing:
    """Return every folder below *root* that holds a run, but no hidden ones.

    A folder is listed once, whatever links lead to it, and by its own path if that is below
    *root*. Raises `InputError` if there is no such folder, `StoreError` if it cannot be listed.
    """
    listing = Listing()
    seen: set[tuple[int, int] | str] = set()
    for parent in Path(os.path.realpath(root)).parents:  # to which a link may lead back
        with suppress(OSError):
            seen.add(_identity(parent))
    waiting = deque([root])
    while waiting:
        folder = waiting.pop()
        try:
            identity = _identity(folder)
            if identity in seen:
                continue
            seen.add(identity)
            with os.scandir(folder) as scan:
                entries = sorted(scan, key=lambda entry: entry.name)
        except OSError as error:
            reason = f"{_short(folder)}: cannot be listed: {error.strerror or error}"
            if folder != root:
                listing.unread.append(f"{reason}; its runs are left out")
                continue
            if error.errno not in NOT_THERE:
                raise StoreError(reason) from error
            message = "no such folder; name the folder that fmgrid run wrote to"
            raise InputError.at(str(root), message) from error
        # A results file has the name of the real folder, whatever a link to that is called.
        is_real = folder != root and not folder.is_symlink()
        name = folder.name if is_real else Path(os.path.realpath(folder)).name
        for subfolder in _note_folder(folder, f"{name}{_RESULTS}", entries, listing):
            # Links come last, so that a run has its own path and not that of a link to it.
            add_to_queue = waiting.appendleft if subfolder.is_symlink() else waiting.append
            add_to_queue(folder / subfolder.name)
    listing.results.sort(key=lambda path: path.parent)
    listing.unfinished.sort()
    listing.foreign.sort()
    return listing


def _note_folder(
    folder: Path, results: str, entries: Sequence[os.DirEntry[str]], listing: Listing
) -> list[os.DirEntry[str]]:
    """Add a folder to the listing; return the folders in it that are to be listed as well."""
    folders = [entry for entry in entries if _is_folder(entry)]
    names = {entry.name for entry in entries}
    files = names - {entry.name for entry in folders}
    if FOLDER_OF_GRIDS in names:
        listing.grids.append(folder)
    if ASIDE in names:
        listing.replaced.append(folder)
    if results in names:  # where it is no file, its reader says so
        listing.results.append(folder / results)
    elif LOG in files:
        listing.unfinished.append(folder)
    elif any(map(is_event_file, files)):
        listing.foreign.append(folder)
    else:
        listing.unread += [
            f"{_short(folder / entry.name)}: is a link that cannot be followed"
            for entry in entries
            if entry.is_symlink() and not entry.name.startswith(".")
            if not os.path.exists(entry.path)  # noqa: PTH110 - never raises
        ]
    return [entry for entry in folders if not entry.name.startswith(".") and entry.name != results]


def _identity(folder: Path) -> tuple[int, int] | str:
    """Return a key of a folder that is the same however the folder is reached."""
    status = folder.stat()
    # Some file systems number nothing.
    return (status.st_dev, status.st_ino) if status.st_ino else os.path.realpath(folder)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link in a circle, or a folder whose listing will say why
        return not entry.is_symlink()


def _short(path: Path) -> str:
    """Return a path for a message; a deep folder has a path of 4,000 characters."""
    return without_middle(str(path), _LONGEST_PATH)


def find_set_aside(roots: Iterable[Path]) -> tuple[list[Path], list[str]]:
    """Return the results files that were set aside in log folders, and the unreadable folders."""
    unread: list[str] = []

    def note(error: OSError) -> None:
        reason = f"{_short(Path(error.filename))}: cannot be listed: {error.strerror or error}"
        unread.append(f"{reason}; when its runs began is not known")

    results = [
        Path(folder, name)
        for root in roots
        for folder, _, names in os.walk(root / ASIDE, onerror=note)
        for name in names
        if name.endswith(_RESULTS) and not name.startswith(".")
    ]
    return results, unread


def is_own_file(path: Path) -> bool:
    """Tell whether a path has the name of a file that fmgrid keeps in a log folder."""
    name = path.name.lower()
    is_known = name in (LOG, LOCK) or name.endswith(_RESULTS)
    is_known = is_known or name.startswith(UNFINISHED) or is_event_file(name)
    return is_known or ASIDE in path.parent.parts[-2:]


def _check_unfinished(folder: Path) -> None:
    """Refuse a folder in which fmgrid's run would be mixed up with somebody else's."""
    for entry in [*os.scandir(folder)] if folder.is_dir() else ():
        is_ours = _OF_UNFINISHED.fullmatch(entry.name) is not None
        is_file = entry.is_file(follow_symlinks=False)
        if not is_file if is_ours else is_event_file(entry.name):
            raise StoreError(
                f"{entry.path}: was not written by fmgrid; move it, or choose another --logdir"
            )


def _check_folder(folder: Path) -> None:
    """Refuse a folder that is a file, or a link, which leads to somebody else's folder."""
    with suppress(FileNotFoundError, NotADirectoryError):
        mode = folder.lstat().st_mode
        if not stat.S_ISDIR(mode):
            kind = "a link" if stat.S_ISLNK(mode) else "not a folder"
            raise StoreError(f"{folder}: is {kind}; remove it, or choose another --logdir")


@contextmanager
def translate_os_errors(folder: Path) -> Iterator[None]:
    """Turn an error of the system into one that names the file, or else the folder."""
    try:
        yield
    except OSError as error:
        raise StoreError(f"{error.filename or folder}: {error.strerror or error}") from error
