"""Runs <-> folders: the only module that knows the names of files in a log folder.

`<root>/<run>/<run>_results.toml` is the truth. It is written last, whole or not at all, and
its presence is what makes a run finished; everything beside it can be made from it.
"""

import errno
import hashlib
import os
import re
import shutil
import stat
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, TypeAlias

from pydantic import ValidationError

from fmgrid.components import as_taken
from fmgrid.errors import DamagedFileError, NewerFormatError, StoreError
from fmgrid.experiment import EpochRecord, Experiment, Failure, Run
from fmgrid.quantities import format_bytes
from fmgrid.results.events import events_file_name, to_events
from fmgrid.system import toml
from fmgrid.system.disk import free_bytes, may_move, move_folder, read_regular, sync, sync_folder
from fmgrid.system.locks import Lock
from fmgrid.words import printable, without_middle

FORMAT = 1
LOG = "run.log"
MOST_BYTES = 200_000_000  # of a file that is read: the results of a run of a million epochs
FOLDER_OF_GRIDS = ".grids"  # holds what the grids ask
ASIDE = ".replaced"  # holds what --replace and damage took out of the way
LOCK = ".fmgrid.lock"

# Of results that are none, such as a folder or a terabyte; any other error says nothing of them.
_NO_RESULTS = {errno.EINVAL, errno.EFBIG, errno.EISDIR, errno.ENOENT, errno.ELOOP}
# Of a path that leads to nothing; any other error may hide something.
NOT_THERE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG}

_RESULTS = "_results.toml"
_BESIDE = ".unfinished-"  # a file on its way to its name
_DIGEST = re.compile(rb'((?:#[^\n]*\n){0,20})digest = "sha256:([0-9a-f]{64})"\n(.*)', re.DOTALL)
_HEADER = "# Written by fmgrid; modellogs/README.md of its repository explains it.\n"
# What a run takes on the disk: a folder, three files, and their growth with every epoch.
_RUN_BYTES = 20_000
_EPOCH_BYTES = 1_000
_PROBE_BYTES = 20_000
_LOCK_SECONDS = 0.5
# What may be raised where a document of any shape is made into a record.
UNFIT = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
_LONGEST_PATH = 300  # characters of one in a message
_MOST_REASONS = 3
_LONGEST_REASON = 500  # characters
# What an unfinished run may have left; anything else in its folder is not fmgrid's to clear.
_UNFINISHED = re.compile(
    rf"{re.escape(LOG)}|events\.out\.tfevents\.-?\d+\.fmgrid|{re.escape(_BESIDE)}.*"
)


@dataclass(frozen=True)
class Store:
    """A log folder."""

    root: Path

    def folder(self, run_name: str) -> Path:
        """Return where a run of this name lives."""
        return self.root / run_name

    def results_file(self, run_name: str) -> Path:
        """Return where the results of a run of this name are, if it has any."""
        return self.folder(run_name) / f"{run_name}{_RESULTS}"

    def log_file(self, run_name: str) -> Path:
        """Return where a run's training prints to."""
        return self.folder(run_name) / LOG

    def read(self, run_name: str) -> Run | None:
        """Return the finished run of this name, None if there is none.

        Raises `DamagedFileError` if its results are not what fmgrid wrote, and `StoreError` if
        its folder is none, or holds somebody else's run.
        """
        path = self.results_file(run_name)
        with naming(self.folder(run_name)):
            _check_folder(self.folder(run_name))
            try:
                path.lstat()
            except (FileNotFoundError, NotADirectoryError):
                _check_unfinished(self.folder(run_name))
                return None
        try:
            return read_results(path)
        except DamagedFileError as error:
            if isinstance(error.__cause__, OSError) and error.__cause__.errno not in _NO_RESULTS:
                raise StoreError(str(error)) from error  # they may be whole
            raise

    def begin(self, run_name: str) -> Path:
        """Clear what an unfinished run of this name left; return the log file to print to."""
        folder = self.folder(run_name)
        with naming(folder):
            _check_folder(folder)
            folder.mkdir(parents=True, exist_ok=True)
            for path in folder.iterdir():
                if _UNFINISHED.fullmatch(path.name):
                    path.unlink()
            self.log_file(run_name).touch()
        return self.log_file(run_name)

    def save(self, run: Run, log_of: str | None = None) -> None:
        """Store a run in the folder that `begin` made: the events first, the results last.

        *log_of* is the run whose log it shares, where it was not trained itself.
        """
        name = run.experiment.run_name
        with naming(self.folder(name)):
            if log_of is not None and _may_be_copied(self.log_file(log_of)):
                shutil.copyfile(self.log_file(log_of), self.log_file(name))
            write_whole(self.folder(name) / events_file_name(run), to_events(run))
            write_whole(self.results_file(name), to_results(run))

    def set_aside(self, run_name: str) -> Path:
        """Move a run's folder out of the way; return where it is now.

        Its event file loses the name that TensorBoard looks for, which would show it still.
        """
        with naming(self.root):
            aside = self.root / ASIDE
            for folder in (self.folder(run_name), aside):
                _check_folder(folder)
            aside.mkdir(exist_ok=True)
            moved = _place_aside(self.folder(run_name), aside)
            move_folder(self.folder(run_name), moved, last=f"{run_name}{_RESULTS}")
            for path in list(moved.iterdir()):
                if not path.name.startswith("events.out.tfevents."):
                    continue
                path.rename(moved / path.name.replace("tfevents", "aside"))
            return moved

    def check_aside(self) -> None:
        """Raise `StoreError` where a run could not be set aside."""
        with naming(self.root):
            _check_folder(self.root / ASIDE)

    def check_room(self, runs: int, epochs: int) -> None:
        """Raise `StoreError` if *runs* with so many *epochs* in all cannot be written here."""
        needed = runs * _RUN_BYTES + epochs * _EPOCH_BYTES
        probe = self.root / f"{_BESIDE}probe"
        with naming(self.root):
            free = free_bytes(self.root)
            if free is not None and free < needed:
                raise StoreError(
                    f"{self.root}: the disk has {format_bytes(free)} free, and {runs} runs need "
                    f"{format_bytes(needed)}; make room, or choose another --logdir"
                )
            write_whole(probe, bytes(_PROBE_BYTES))  # quotas are seen by trying only
            probe.unlink()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Be the only fmgrid that writes into the folder; the lock dies with its owner.

        Raises `StoreError` if another one does, or if the folder can't be written.
        """
        with naming(self.root):
            if self.root.exists() and not self.root.is_dir():
                raise StoreError(f"{self.root}: is not a folder; choose another --logdir")
            self.root.mkdir(parents=True, exist_ok=True)
            lock = Lock(self.root / LOCK)
            # Not at once: fmgrid status holds it for a moment, to see whether anybody does.
            if not lock.acquire(_LOCK_SECONDS):
                owner = "" if lock.is_of_the_system else f" ({lock.owner})"
                raise StoreError(
                    f"{self.root}: another fmgrid run is writing here{owner}; "
                    "wait until it ends, or choose another --logdir"
                )
        try:
            yield
        finally:
            lock.release()

    def is_locked(self) -> bool:
        """Return whether an fmgrid run is writing here at this moment."""
        return Lock(self.root / LOCK).is_held()


RunFolder: TypeAlias = tuple[Path, Path | None, bool]


@dataclass
class Listing:
    """What lies below a folder, and which folders could not be looked into."""

    # Folders of runs, in order of path. With each come its results file, None where plain
    # mltrainer left only event files, and whether it is an unfinished run of fmgrid's.
    runs: list[RunFolder] = field(default_factory=list)
    grids: list[Path] = field(default_factory=list)  # log folders with records of grids
    replaced: list[Path] = field(default_factory=list)  # log folders with runs set aside
    unread: list[str] = field(default_factory=list)  # each names a folder, and says why


def find_folders(root: Path) -> Listing:
    """Return every folder below *root* that holds a run.

    Hidden folders are passed over. A folder is listed once, whatever links lead to it, and by
    its own path if that is below *root*. Raises `StoreError` if *root* cannot be listed.
    """
    found = Listing()
    # A link to a folder above leads back here.
    listed = _identities_above(root)
    waiting, links = [root], deque[Path]()
    while waiting or links:
        # Links come last, so that no run gets the name of a link to it.
        folder = waiting.pop() if waiting else links.popleft()
        try:
            identity = _identity(folder)
            if identity in listed:
                continue
            listed.add(identity)
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            told = f"{_shown(folder)}: cannot be listed: {error.strerror or error}"
            if folder == root:
                raise StoreError(told) from error
            found.unread.append(f"{told}; its runs are left out")
            continue
        for inner in _sort_entries(folder, entries, is_root=folder == root, found=found):
            (links if inner.is_symlink() else waiting).append(folder / inner.name)
    found.runs.sort(key=lambda run: run[0].relative_to(root).parts)
    return found


def _sort_entries(
    folder: Path, entries: Sequence[os.DirEntry[str]], *, is_root: bool, found: Listing
) -> list[os.DirEntry[str]]:
    """Note what a folder is in *found*; return the folders in it that are to be listed, too."""
    folders = [entry for entry in entries if _is_folder(entry)]
    files = {entry.name for entry in entries} - {entry.name for entry in folders}
    names = {entry.name for entry in entries}
    if FOLDER_OF_GRIDS in names:
        found.grids.append(folder)
    if ASIDE in names:
        found.replaced.append(folder)
    results = _results_name(folder, names, may_be_link=is_root or folder.is_symlink())
    if results is not None:  # a file, or what its reader refuses
        found.runs.append((folder, folder / results, False))
    elif LOG in files:
        found.runs.append((folder, None, True))
    elif any("tfevents" in name and not is_hidden(name) for name in files):
        found.runs.append((folder, None, False))
    else:
        found.unread += [
            f"{_shown(folder / entry.name)}: is a link that cannot be followed"
            for entry in entries
            if entry.name in files and not is_hidden(entry.name) and _is_broken_link(entry)
        ]
    return [entry for entry in folders if not is_hidden(entry.name) and entry.name != results]


def _results_name(folder: Path, names: set[str], *, may_be_link: bool) -> str | None:
    """Return the name of a folder's results file; behind a link it is that of the real folder."""
    called = [folder.name]
    if may_be_link:
        called.append(Path(os.path.realpath(folder)).name)
    known = (f"{name}{_RESULTS}" for name in called)
    return next((name for name in known if name in names), None)


def _identities_above(root: Path) -> set[tuple[int, int] | str]:
    found = set()
    for folder in Path(os.path.realpath(root)).parents:
        with suppress(OSError):  # one that may not be entered, and that no link can lead to
            found.add(_identity(folder))
    return found


def _identity(folder: Path) -> tuple[int, int] | str:
    """Return what tells a folder from all others, however it is reached."""
    status = folder.stat()
    # Some file systems number nothing.
    return (status.st_dev, status.st_ino) if status.st_ino else os.path.realpath(folder)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # of a link, that it cannot be followed; else its listing will say why
        return not entry.is_symlink()


def _is_broken_link(entry: os.DirEntry[str]) -> bool:
    return entry.is_symlink() and not os.path.exists(entry.path)  # noqa: PTH110 - never raises


def _shown(path: Path) -> str:
    """Return a path for a message; folders may lie so deep that theirs has 4,000 characters."""
    return without_middle(str(path), _LONGEST_PATH)


def is_hidden(name: str) -> bool:
    """Tell whether a name is one that systems and editors give to files of their own."""
    return name.startswith(".")


def find_set_aside(root: Path) -> tuple[list[Path], list[str]]:
    """Return the results files that were moved out of a log folder, and what was not listed."""
    folder = root / ASIDE
    try:
        runs = sorted(path for path in folder.iterdir() if not is_hidden(path.name))
    except OSError as error:
        told = f"{_shown(folder)}: cannot be listed: {error.strerror or error}"
        return [], [f"{told}; when its runs began is not known"]
    found: list[Path] = []
    unread: list[str] = []
    for run in runs:
        try:
            names = sorted(path.name for path in run.iterdir()) if run.is_dir() else []
        except OSError as error:
            told = f"{_shown(run)}: cannot be listed: {error.strerror or error}"
            unread.append(f"{told}; when it began is not known")
            continue
        found += [run / name for name in names if name.endswith(_RESULTS) and not is_hidden(name)]
    return found, unread


def is_own_file(path: Path) -> bool:
    """Return whether a path has the name of a file that fmgrid keeps in a log folder."""
    name = path.name.lower()
    is_known = name in (LOG, LOCK) or name.startswith(_BESIDE) or name.endswith(_RESULTS)
    return is_known or "tfevents" in name or ASIDE in path.parent.parts[-2:]


def to_results(run: Run) -> bytes:
    """Return the content of a results file, digest included."""
    import tomlkit

    document: dict[str, Any] = {
        "run": run.experiment.run_name,
        "status": run.status,
        "trained_as": run.trained_as,
        "attempts": run.attempts if run.attempts > 1 else None,
        "started": run.started,
        "seconds": run.seconds,
        "experiment": {
            **run.experiment.model_dump(),
            "hidden_units": list(run.experiment.hidden_units),
            "fingerprint": run.experiment.fingerprint,
        },
        "failure": run.failure.model_dump() if run.failure else None,
        "metrics": metrics(run),
        "software": run.software,
        "history": [record.model_dump() for record in run.history],
    }
    if run.failure:
        document["failure"]["traceback"] = tomlkit.string(run.failure.traceback, multiline=True)
    return seal(document)


def seal(document: Mapping[str, Any]) -> bytes:
    """Return a document as TOML with a digest, so that `read_sealed` knows it for whole."""
    import tomlkit

    values = _without_none({"format": FORMAT, **document})
    lists = {key: _to_array(value) for key, value in values.items() if _is_list_of_text(value)}
    text = tomlkit.dumps(values | lists)
    # Within a text of several lines, a reader would take Windows' line end for the other one.
    body = text.replace("\r\n", "\\r\\n").encode()
    return _HEADER.encode() + f'digest = "sha256:{_digest(body)}"\n'.encode() + body


def _is_list_of_text(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _to_array(texts: Sequence[str]) -> Any:
    """Return a list as tomlkit writes it.

    It appends one by one to a list, and counts all of it each time: 10,000 names took 19 s.
    """
    import tomlkit
    from tomlkit.items import Array, Item, Trivia, Whitespace

    items: list[Item] = []
    for text in texts:
        items += [tomlkit.item(text), Whitespace(","), Whitespace(" ")]
    return Array(items[:-2], Trivia())


def read_results(path: Path) -> Run:
    """Return the run that a results file holds.

    Raises `DamagedFileError`, naming the file, for anything that fmgrid did not write so.
    """
    document = read_sealed(path)
    try:
        return _to_run(document)
    except UNFIT as error:
        raise DamagedFileError(f"{path}: does not fit this fmgrid: {why_unfit(error)}") from error


def why_unfit(error: Exception) -> str:
    """Return in a line why a document is no record of fmgrid's, with the field that is wrong."""
    if isinstance(error, ValidationError):
        # Not its own text, which spells out the value: that may be a number of a million digits.
        details = error.errors(include_url=False, include_context=False, include_input=False)
        told = [
            ": ".join(filter(None, (".".join(map(str, one["loc"])), one["msg"])))
            for one in details[:_MOST_REASONS]
        ]
        return printable("; ".join(told), _LONGEST_REASON)
    return printable(f"{type(error).__name__} {error}", _LONGEST_REASON)


def read_sealed(path: Path) -> dict[str, Any]:
    """Return the document that a file holds since `seal` made its content.

    Raises `DamagedFileError`, naming the file, for any other.
    """
    try:
        # A link could lead anywhere, and opening a named pipe would wait for ever.
        if not stat.S_ISREG(path.lstat().st_mode):
            raise DamagedFileError(f"{path}: is not a regular file")
        content = read_regular(path, MOST_BYTES)
    except OSError as error:
        raise DamagedFileError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        return _parse(content)
    except DamagedFileError as error:
        raise type(error)(f"{path}: {error}") from None


def metrics(run: Run) -> dict[str, int | float | None]:
    """Return the figures that a run comes down to, None where it has none."""
    final, best = run.final, run.best
    return {
        "accuracy": final.accuracy if final else None,
        "valid_loss": final.valid_loss if final else None,
        "train_loss": final.train_loss if final else None,
        "best_accuracy": best.accuracy if best else None,
        "best_epoch": best.epoch if best else None,
        "best_valid_loss": min((record.valid_loss for record in run.history), default=None),
        "test_accuracy": run.test_accuracy,
        "test_loss": run.test_loss,
        "weights": run.weights,
        "images_seen": final.images_seen if final else None,
    }


def _parse(content: bytes) -> dict[str, Any]:
    """Return what a sealed file says, once its digest shows that this was meant."""
    match = _DIGEST.fullmatch(_with_unix_line_ends(content))
    if match is None:
        raise DamagedFileError("is no file of fmgrid's: it has no digest")
    header, digest, body = match.groups()
    if _digest(body) != digest.decode():
        raise DamagedFileError("was changed or damaged: its digest does not match")
    try:
        document = toml.loads(body.decode())
    except (ValueError, RecursionError) as error:
        raise DamagedFileError(f"is not valid TOML: {error}") from error
    if document.get("format") != FORMAT:
        kind = NewerFormatError if _is_newer(document.get("format")) else DamagedFileError
        raise kind(
            f"has format {document.get('format')}, and this fmgrid reads {FORMAT}; "
            "read it with the version that wrote it"
        )
    if header != _HEADER.encode():
        raise DamagedFileError("was changed or damaged: its first line is another")
    return document


def _with_unix_line_ends(content: bytes) -> bytes:
    """Return a text as it was before git gave each of its lines Windows' end.

    One that has both kinds of ends is left as it is: that is damage, and the digest tells.
    """
    ends = content.count(b"\r\n")
    is_windows = ends == content.count(b"\n") == content.count(b"\r")
    return content.replace(b"\r\n", b"\n") if ends and is_windows else content


def _is_newer(found: object) -> bool:
    return type(found) is int and found > FORMAT


def _to_run(document: Mapping[str, Any]) -> Run:
    settings = {**document["experiment"]}
    settings.pop("fingerprint")
    figures = document.get("metrics", {})
    return Run(
        experiment=as_taken(Experiment(**settings)),
        status=document["status"],
        history=tuple(EpochRecord(**record) for record in document.get("history", ())),
        weights=figures.get("weights"),
        test_loss=figures.get("test_loss"),
        test_accuracy=figures.get("test_accuracy"),
        started=document["started"],
        seconds=document["seconds"],
        software=document.get("software", {}),
        failure=Failure(**document["failure"]) if "failure" in document else None,
        trained_as=document.get("trained_as"),
        attempts=document.get("attempts", 1),
    )


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return value


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that appears whole or not at all, even if the power fails."""
    beside = path.with_name(f"{_BESIDE}{path.name}")
    try:
        with beside.open("wb") as stream:
            stream.write(content)
            stream.flush()
            sync(stream.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def _place_aside(folder: Path, aside: Path) -> Path:
    """Return where a folder goes that is set aside: under the first number that is free.

    So is that of a move that was interrupted: see `move_folder`.
    """
    places = (aside / f"{folder.name}.{number}" for number in count(1))
    return next(place for place in places if may_move(folder, place))


def _check_unfinished(folder: Path) -> None:
    """Refuse a folder in which a run of somebody else's would be mixed up with fmgrid's."""
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        is_ours = _UNFINISHED.fullmatch(path.name) is not None
        if is_hidden(path.name) and not is_ours:
            continue
        if (is_ours or "tfevents" in path.name) and not (is_ours and _is_regular(path)):
            raise StoreError(
                f"{path}: was not written by fmgrid; move it, or choose another --logdir"
            )


def _is_regular(path: Path) -> bool:
    """Tell whether this is a file itself, and no link to one."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def _may_be_copied(log: Path) -> bool:
    """Tell whether this is a log, and not so large that a copy would fill the disk."""
    return _is_regular(log) and log.stat().st_size <= MOST_BYTES


def _check_folder(folder: Path) -> None:
    """Refuse a folder that is a link, since what that leads to isn't fmgrid's, or a file."""
    try:
        mode = folder.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return
    if not stat.S_ISDIR(mode):
        found = "a link" if stat.S_ISLNK(mode) else "not a folder"
        raise StoreError(f"{folder}: is {found}; remove it, or choose another --logdir")


@contextmanager
def naming(folder: Path) -> Iterator[None]:
    """Turn the system's refusals into one that names the folder."""
    try:
        yield
    except OSError as error:
        raise StoreError(f"{error.filename or folder}: {error.strerror or error}") from error
