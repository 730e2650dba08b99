"""Runs <-> folders: the only module that knows the names of files in a log folder.

`<root>/<run>/<run>_results.toml` is the truth. It is written last, whole or not at all, and
its presence is what makes a run finished; everything beside it can be made from it.
"""

import hashlib
import os
import re
import shutil
import stat
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from fmgrid.errors import DamagedFileError, NewerFormatError, StoreError
from fmgrid.events import events_file_name, to_events
from fmgrid.quantities import format_bytes
from fmgrid.records import EpochRecord, Experiment, Failure, Run

FORMAT = 1
LOG = "run.log"
ASIDE = ".replaced"  # holds what --replace and damage took out of the way
LOCK = ".fmgrid.lock"

_RESULTS = "_results.toml"
_BESIDE = ".unfinished-"  # a file on its way to its name
_DIGEST = re.compile(rb'((?:#[^\n]*\n)*)digest = "sha256:([0-9a-f]{64})"\n(.*)', re.DOTALL)
_HEADER = "# Written by fmgrid; modellogs/README.md of its repository explains it.\n"
# What a run takes on the disk: a folder, three files, and their growth with every epoch.
_RUN_BYTES = 20_000
_EPOCH_BYTES = 1_000
_PROBE_BYTES = 20_000
_LOCK_SECONDS = 0.5
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
            if not os.path.lexists(path):
                _check_unfinished(self.folder(run_name))
                return None
        return read_results(path)

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
            if log_of is not None and _is_regular(self.log_file(log_of)):
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
            taken = {path.name for path in aside.iterdir()}
            number = next(n for n in range(1, len(taken) + 2) if f"{run_name}.{n}" not in taken)
            moved = self.folder(run_name).rename(aside / f"{run_name}.{number}")
            for path in moved.glob("events.out.tfevents.*"):
                path.rename(moved / path.name.replace("tfevents", "aside"))
            return moved

    def check_room(self, runs: int, epochs: int) -> None:
        """Raise `StoreError` if *runs* with so many *epochs* in all cannot be written here."""
        needed = runs * _RUN_BYTES + epochs * _EPOCH_BYTES
        probe = self.root / f"{_BESIDE}probe"
        with naming(self.root):
            free = shutil.disk_usage(self.root).free
            if free < needed:
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
        import filelock

        with naming(self.root):
            if self.root.exists() and not self.root.is_dir():
                raise StoreError(f"{self.root}: is not a folder; choose another --logdir")
            self.root.mkdir(parents=True, exist_ok=True)
            lock = filelock.FileLock(self.root / LOCK)
            try:
                # Not at once: fmgrid status holds it for a moment, to see whether anybody does.
                lock.acquire(timeout=_LOCK_SECONDS, poll_interval=0.05)
            except filelock.Timeout as error:
                raise StoreError(
                    f"{self.root}: another fmgrid run is writing here; "
                    "wait until it ends, or choose another --logdir"
                ) from error
        try:
            yield
        finally:
            lock.release()

    def is_locked(self) -> bool:
        """Return whether an fmgrid run is writing here at this moment."""
        import filelock

        if not (self.root / LOCK).exists():
            return False
        lock = filelock.FileLock(self.root / LOCK)
        try:
            lock.acquire(blocking=False)
        except filelock.Timeout:
            return True
        except OSError:  # a folder that one may only read
            return False
        lock.release()
        return False


def find_folders(root: Path) -> Iterator[tuple[Path, Path | None, bool]]:
    """Yield every folder below *root* that holds a run, in order of name.

    With it come its results file, None where plain mltrainer left only event files, and
    whether it is an unfinished run of fmgrid's. Hidden folders are passed over, and links
    are not followed.
    """
    for here, folders, files in os.walk(root):
        folders[:] = sorted(folder for folder in folders if not folder.startswith("."))
        folder = Path(here)
        results = folder / f"{folder.name}{_RESULTS}"
        if (
            results.name in files or results.name in folders
        ):  # which is one for its reader to refuse
            folders[:] = [name for name in folders if name != results.name]
            yield folder, results, False
        elif LOG in files:
            yield folder, None, True
        elif any("tfevents" in name for name in files):
            yield folder, None, False


def find_set_aside(root: Path) -> Iterator[Path]:
    """Yield the results files below a folder that were taken out of the way."""
    yield from sorted((root / ASIDE).glob(f"*/*{_RESULTS}"))


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
    body = tomlkit.dumps(values | lists).encode()
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
    except (AttributeError, KeyError, TypeError, ValidationError) as error:
        reason = " ".join(str(error).split())
        raise DamagedFileError(f"{path}: does not fit this fmgrid: {reason}") from error


def read_sealed(path: Path) -> dict[str, Any]:
    """Return the document that a file holds since `seal` made its content.

    Raises `DamagedFileError`, naming the file, for any other.
    """
    try:
        # A link could lead anywhere, and opening a named pipe would wait for ever.
        if not stat.S_ISREG(path.lstat().st_mode):
            raise DamagedFileError(f"{path}: is not a regular file")
        content = path.read_bytes()
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
    match = _DIGEST.fullmatch(content)
    if match is None:
        raise DamagedFileError("is no file of fmgrid's: it has no digest")
    header, digest, body = match.groups()
    if _digest(body) != digest.decode():
        raise DamagedFileError("was changed or damaged: its digest does not match")
    try:
        document = tomllib.loads(body.decode())
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


def _is_newer(found: object) -> bool:
    return type(found) is int and found > FORMAT


def _to_run(document: Mapping[str, Any]) -> Run:
    settings = {**document["experiment"]}
    settings.pop("fingerprint")
    figures = document.get("metrics", {})
    return Run(
        experiment=Experiment(**settings),
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
            os.fsync(stream.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power failure."""
    if os.name == "nt":  # where folders cannot be opened
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _check_unfinished(folder: Path) -> None:
    """Refuse a folder in which a run of somebody else's would be mixed up with fmgrid's."""
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        is_ours = _UNFINISHED.fullmatch(path.name) is not None
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
