"""The registry of a log folder: its grids, their hypotheses with dates, and what ran them.

`<root>/.grids/` has a file per grid: its question, the experiments that it spells out, its
hypotheses with the time at which each was first seen, and the commands that ran it. A grid is
known by its absolute path; after it was moved or renamed, by its content.
"""

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from fmgrid.errors import DamagedFileError
from fmgrid.hypotheses.records import Command, GridRecord, RegisteredHypothesis
from fmgrid.results.results_file import UNFIT, read_sealed, seal, why_unfit
from fmgrid.results.store import FOLDER_OF_GRIDS, naming
from fmgrid.system.disk import move_file, move_folder, write_whole
from fmgrid.words import printable

_MOST_COMMANDS = 20  # that are remembered of a grid


def unnoted(root: Path, grids: Sequence[GridRecord]) -> list[GridRecord]:
    """Return the grid records that differ from the stored ones, as `note` would store them."""
    return [merged for merged, _ in _changes(root, grids, _read_folder(root)[0])]


def note(root: Path, grids: Sequence[GridRecord]) -> list[Path]:
    """Store the records of grids; return where damaged records of them are now.

    A hypothesis keeps the time at which it was first stored. Raises `StoreError` where that fails.
    """
    folder = root / FOLDER_OF_GRIDS
    aside = []
    with naming(folder):
        if folder.exists():  # where it cannot be listed, times would be lost
            os.listdir(folder)  # noqa: PTH208
        stored = _read_folder(root)[0]
        for record, former in _changes(root, grids, stored):
            folder.mkdir(parents=True, exist_ok=True)
            places = _places(folder, record)
            path = next((one for one in places if one not in stored or one in former), places[-1])
            if path.exists() and path not in stored:
                aside.append(_set_aside(path))
            write_whole(path, to_file(record))
            stored[path] = record
            for other in former - {path}:
                del stored[other]
                other.unlink()
    return aside


def read_asked(root: Path) -> tuple[list[GridRecord], list[str]]:
    """Return the grid records of a log folder, and why others cannot be read."""
    stored, unread = _read_folder(root)
    return list(stored.values()), unread


def read_asked_in(folders: Iterable[Path]) -> tuple[list[GridRecord], list[str]]:
    """Return the grid records of several log folders, and why others cannot be read.

    Records of one grid in several of them, as of two machines that ran it, are made into one.
    """
    merged: list[GridRecord] = []
    unread: list[str] = []
    for folder in folders:
        records, objections = read_asked(folder)
        unread += objections
        known = [*merged]
        for record in records:
            alike = [one for one in known if _is_alike(one, record)]
            same = min(alike, key=lambda one: one.path != record.path, default=None)
            if same is None:
                merged.append(record)
            else:
                known.remove(same)  # two records of one folder are two grids
                merged[merged.index(same)] = _joined(same, record)
    return merged, unread


def recall(grids: Sequence[GridRecord], noted: Sequence[GridRecord]) -> list[GridRecord]:
    """Return the records of grids, with the times and commands that are noted of them."""
    return [_merged(grid, _records_of(grid, grids, noted)) for grid in grids]


def to_file(record: GridRecord) -> bytes:
    """Return the content of the file that holds the record of a grid."""
    return seal(record.model_dump())


def _read_folder(root: Path) -> tuple[dict[Path, GridRecord], list[str]]:
    """Return the records of a log folder by their files, and why others cannot be read."""
    folder = root / FOLDER_OF_GRIDS
    try:
        paths = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except FileNotFoundError:
        return {}, []
    except OSError as error:
        unknown = "so that it is not known what the grids ask"
        return {}, [f"{folder}: cannot be read: {error.strerror}, {unknown}"]
    stored = {}
    unread = []
    for path in paths:
        if path.suffix != ".toml":
            continue
        try:
            values = read_sealed(path)
            fields = {key: values[key] for key in GridRecord.model_fields if key in values}
            record = GridRecord(**fields)
        except (DamagedFileError, *UNFIT) as error:
            is_damaged = isinstance(error, DamagedFileError)
            reason = (
                error if is_damaged else f"{path}: does not fit this fmgrid: {why_unfit(error)}"
            )
            unread.append(f"{reason}; the next fmgrid run notes anew what its grid asks")
            continue
        own = _places(folder, record)
        if path in own:
            stored[path] = _relocated(record, _real(root))
        elif not set(own) & set(paths):  # or it is a copy, as those that synchronise folders make
            unread.append(f"{path}: is a copy of {own[0].name}, which is not there; it is not read")
    return stored, unread


def _relocated(record: GridRecord, root: str) -> GridRecord:
    """Return a record whose log folder may have moved, together with its grid and project."""
    if record.root in ("", root):
        return record

    def moved(path: str) -> str:
        if not Path(path).is_absolute():
            return path
        try:
            new = Path(os.path.normpath(Path(root) / os.path.relpath(path, record.root)))
        except ValueError:  # another drive
            return path
        return new.as_posix() if _exists(str(new)) else path

    runs = [
        command.model_copy(
            update={
                "folder": moved(command.folder),
                "logdir": moved(command.logdir),
                "grids": tuple(map(moved, command.grids)),
            }
        )
        for command in record.runs
    ]
    update = {"file": moved(record.file), "root": root, "runs": tuple(runs)}
    return record.model_copy(update=update)


def _places(folder: Path, record: GridRecord) -> list[Path]:
    """Return where the record of a grid may be: named by its path, or else by its file."""
    places = []
    for path in (record.path, record.file or record.path):
        stem = re.sub(r"[^A-Za-z0-9_-]", "_", Path(path).stem)[:60]
        digest = hashlib.sha256(path.encode(errors="surrogateescape")).hexdigest()[:8]
        places.append(folder / f"{stem}-{digest}.toml")
    return places


def _set_aside(path: Path) -> Path:
    """Move a damaged record out of the way; return where it is now."""
    number = next(n for n in range(1, 10_000) if not path.with_suffix(f".damaged-{n}").exists())
    aside = path.with_suffix(f".damaged-{number}")
    (move_folder if path.is_dir() and not path.is_symlink() else move_file)(path, aside)
    return aside


def _real(path: Path | str) -> str:
    """Return an absolute path without links, as text that a file can hold."""
    return printable(Path(os.path.realpath(path)).as_posix())


def _exists(path: str) -> bool:
    return os.path.exists(path)  # noqa: PTH110 - Path.exists raises where it may not look


def _changes(
    root: Path, grids: Sequence[GridRecord], stored: Mapping[Path, GridRecord]
) -> Iterator[tuple[GridRecord, set[Path]]]:
    """Yield the records that differ from the stored ones, each with the files that it replaces."""
    for grid in grids:
        former = _records_of(grid, grids, [*stored.values()])
        rooted = grid.model_copy(update={"root": _real(root)}) if grid.file else grid
        merged = _merged(rooted, former)
        if former != [merged]:
            yield merged, {path for path, record in stored.items() if record in former}


def _records_of(
    grid: GridRecord, grids: Sequence[GridRecord], noted: Sequence[GridRecord]
) -> list[GridRecord]:
    """Return the records of a grid: of files that are gone, and last that of its own file."""
    files = set(map(_file_of, grids))
    own = [one for one in noted if _file_of(one) == _file_of(grid)]
    others = [one for one in noted if _file_of(one) not in files and _is_alike(one, grid)]
    return [one for one in others if not _exists(_file_of(one))] + own


def _file_of(record: GridRecord) -> str:
    """Return the absolute path of a grid; fmgrid 0.1 noted the path that was typed."""
    return record.file or _real(record.path)


def _is_alike(record: GridRecord, grid: GridRecord) -> bool:
    """Return whether two records are of one grid, or of one that was moved, renamed or changed."""
    expected, wanted = (tuple(one.resolved for one in each.hypotheses) for each in (record, grid))
    if (record.names or expected) == (grid.names or wanted):
        return True
    shared = {*record.names} & {*grid.names} or {*expected} & {*wanted}
    return record.path == grid.path and bool(shared)


def _merged(grid: GridRecord, former: Sequence[GridRecord]) -> GridRecord:
    """Return the record of a grid now, with the times and commands that are known already."""
    before = [one for each in former for one in (*each.withdrawn, *each.hypotheses)]
    commands = tuple(dict.fromkeys(line for each in (*former, grid) for line in each.commands))
    runs = [_with_path(command, each, grid) for each in former for command in each.runs]
    # The last command comes last, also where it was typed before.
    runs = [*(run for run in dict.fromkeys(runs) if run not in grid.runs), *grid.runs]
    latest = {"commands": commands[-_MOST_COMMANDS:], "runs": tuple(runs[-_MOST_COMMANDS:])}
    return grid.model_copy(update={**latest, **_with_times(grid.hypotheses, before)})


def _joined(record: GridRecord, other: GridRecord) -> GridRecord:
    """Return one record of a grid that was run in two log folders."""
    both = record, other
    unions = {
        key: tuple(dict.fromkeys(item for each in both for item in getattr(each, key)))
        for key in ("names", "commands", "runs", "hypotheses", "withdrawn")
    }
    times = _with_times(unions["hypotheses"], unions["withdrawn"])
    question = record.question or other.question
    return record.model_copy(update={"question": question, **unions, **times})


def _with_times(
    stated: Sequence[RegisteredHypothesis], before: Sequence[RegisteredHypothesis]
) -> dict[str, tuple[RegisteredHypothesis, ...]]:
    """Return the stated hypotheses and the withdrawn ones, each once, with its earliest time."""
    distinct: dict[object, list[RegisteredHypothesis]] = {}
    for one in (*stated, *before):
        key = one.claim, one.expect, one.resolved, one.metric
        distinct.setdefault(key, []).append(one)
    times: dict[str, list[RegisteredHypothesis]] = {"hypotheses": [], "withdrawn": []}
    for first, *others in distinct.values():
        since = min(one.since for one in (first, *others))
        kind = "hypotheses" if first in stated else "withdrawn"
        times[kind].append(first.model_copy(update={"since": since}))
    return {kind: tuple(ones) for kind, ones in times.items()}


def _with_path(command: Command, before: GridRecord, now: GridRecord) -> Command:
    """Return a command with the path that a grid has now."""
    if before.path == now.path and before.file == now.file:
        return command
    known = (before.path, before.file)
    grids = tuple(now.file or now.path if grid in known else grid for grid in command.grids)
    return command.model_copy(update={"grids": grids})
