"""What the grids of a log folder ask, kept in it for whoever reports on its runs.

`<root>/.grids/` has a file per grid: its question, the experiments that it spells out, its
hypotheses with the time at which each was first seen, and the commands that ran it.
"""

import hashlib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fmgrid.errors import DamagedFileError, StoreError
from fmgrid.hypotheses.claims import MAX_HYPOTHESES
from fmgrid.hypotheses.records import Asked, Command, Stated
from fmgrid.results.store import (
    FOLDER_OF_GRIDS,
    UNFIT,
    is_hidden,
    naming,
    read_sealed,
    seal,
    why_unfit,
    write_whole,
)
from fmgrid.system.disk import move_file, move_folder
from fmgrid.words import printable

_NEW = ("runs", "file", "root")  # which records of fmgrid 0.1 lack
_MOST_COMMANDS = 20  # that are remembered of a grid
_LISTS = ("names", "hypotheses", "withdrawn", "commands", "runs")


def unnoted(root: Path, asked: Sequence[Asked]) -> list[Asked]:
    """Return what grids ask, as `note` would keep it, where that is not what stands there.

    A hypothesis that stood there before keeps its time, and commands are added.
    """
    return [one for one, _ in _changes(root, asked)]


def note(root: Path, asked: Sequence[Asked]) -> list[Path]:
    """Keep what grids ask; return where damaged records of them are now.

    Raises `StoreError` if that cannot be.
    """
    folder = root / FOLDER_OF_GRIDS
    if _is_no_folder(folder):
        raise StoreError(
            f"{folder}: is no folder, and what the grids ask is kept in one; move it away"
        )
    aside = []
    with naming(folder):
        if folder.exists():  # where it cannot be listed, times would be lost
            os.listdir(folder)  # noqa: PTH208
        for one, records in _changes(root, asked):
            folder.mkdir(parents=True, exist_ok=True)
            path = _place(folder, one, records)
            if path.exists() and not _is_readable(path):
                aside.append(_set_aside(path))
            write_whole(path, to_file(one))
            for record in records:
                for place in _places(folder, record):
                    if place != path and _holds(place, [record]):
                        place.unlink()
    return aside


def read_asked(root: Path) -> tuple[list[Asked], list[str]]:
    """Return what was asked of the runs below a folder, and why more of it is not known."""
    folder = root / FOLDER_OF_GRIDS
    unknown = "so that it is not known what the grids ask"
    if _is_no_folder(folder):
        return [], [f"{folder}: is no folder, {unknown}"]
    found: list[Asked] = []
    unread: list[str] = []
    try:
        paths = sorted(path for path in folder.iterdir() if not is_hidden(path.name))
    except FileNotFoundError:
        return [], []
    except OSError as error:
        return [], [f"{folder}: cannot be read: {error.strerror}, {unknown}"]
    for path in paths:
        if path.suffix != ".toml":
            continue
        try:
            one = _read_as_written(path)
        except DamagedFileError as error:
            unread.append(f"{error}; the next fmgrid run notes anew what its grid asks")
            continue
        own = _places(folder, one)
        if path in own:
            found.append(_relocated(one, _real(root)))
        elif not set(own) & set(paths):  # or it is a copy, as those that synchronise folders make
            unread.append(f"{path}: is a copy of {own[0].name}, which is not there; it is not read")
    return found, unread


def read_asked_in(folders: Iterable[Path]) -> tuple[list[Asked], list[str]]:
    """Return what was asked in several log folders, and why more of it is not known.

    Records of one grid in several of them, as of two machines that ran it, are made into one.
    """
    merged: list[Asked] = []
    unread: list[str] = []
    for folder in folders:
        noted, told = read_asked(folder)
        unread += told
        known = [*merged]
        for one in noted:
            other = _counterpart(one, known)
            if other is None:
                merged.append(one)
            else:
                known.remove(other)  # two records of one folder are two grids
                merged[merged.index(other)] = _joined(other, one)
    return merged, unread


def _counterpart(record: Asked, others: Sequence[Asked]) -> Asked | None:
    """Return the record of the same grid in another log folder, None if there is none."""
    names = set(record.names)
    same = [
        one
        for one in others
        if _content(one) == _content(record)
        or (one.path == record.path and not names.isdisjoint(one.names))
    ]
    return next((one for one in same if one.path == record.path), same[0] if same else None)


def _joined(one: Asked, other: Asked) -> Asked:
    """Return one record of a grid that was run in two log folders."""
    stated: dict[tuple[str, ...], Stated] = {}
    withdrawn: dict[tuple[str, ...], Stated] = {}
    for kept, noted in (
        (stated, (*one.hypotheses, *other.hypotheses)),
        (withdrawn, (*one.withdrawn, *other.withdrawn)),
    ):
        for hypothesis in noted:
            first = kept.setdefault(_key(hypothesis), hypothesis)
            since = min(first.since, hypothesis.since)
            kept[_key(hypothesis)] = first.model_copy(update={"since": since})
    for key in stated.keys() & withdrawn.keys():  # given up in one of the two only
        since = min(stated[key].since, withdrawn.pop(key).since)
        stated[key] = stated[key].model_copy(update={"since": since})
    return one.model_copy(
        update={
            "question": one.question or other.question,
            "names": tuple(dict.fromkeys([*one.names, *other.names])),
            "hypotheses": tuple(stated.values()),
            "withdrawn": tuple(withdrawn.values()),
            "commands": tuple(dict.fromkeys([*one.commands, *other.commands])),
            "runs": tuple(dict.fromkeys([*one.runs, *other.runs])),
        }
    )


def recall(asked: Sequence[Asked], noted: Sequence[Asked]) -> list[Asked]:
    """Return what grids ask, with the times and commands that are noted of it."""
    return [_merged(one, _records(one, asked, noted)) for one in asked]


def to_file(asked: Asked) -> bytes:
    """Return the content of the file that keeps what a grid asked."""
    values = asked.model_dump()
    values["runs"] = [
        {**one, "options": [list(option) for option in one["options"]]} for one in values["runs"]
    ]
    known = {key: value for key, value in values.items() if value or key not in _NEW}
    return seal(known | {key: list(values[key]) for key in _LISTS if key in known})


def _read(path: Path) -> Asked:
    """Return the record in a file. Raises `DamagedFileError` for what fmgrid did not write so."""
    return _relocated(_read_as_written(path), _real(path.parent.parent))


def _read_as_written(path: Path) -> Asked:
    values = read_sealed(path)
    try:
        if len(values["hypotheses"]) > MAX_HYPOTHESES:
            number = f"{len(values['hypotheses']):,} hypotheses"
            raise DamagedFileError(f"{path}: has {number}, and a grid has {MAX_HYPOTHESES} at most")
        return Asked(
            path=values["path"],
            question=values["question"],
            names=tuple(values["names"]),
            hypotheses=tuple(Stated(**one) for one in values["hypotheses"]),
            withdrawn=tuple(Stated(**one) for one in values["withdrawn"]),
            commands=tuple(values["commands"]),
            runs=tuple(map(_to_command, values.get("runs", ()))),
            file=values.get("file", ""),
            root=values.get("root", ""),
        )
    except UNFIT as error:
        raise DamagedFileError(f"{path}: does not fit this fmgrid: {why_unfit(error)}") from error


def _to_command(values: Mapping[str, Any]) -> Command:
    """Return a command, whose lists are tuples."""
    options = tuple(map(tuple, values["options"]))
    lists = {"grids": tuple(values["grids"]), "seeds": tuple(values["seeds"])}
    return Command(**{**values, **lists, "options": options})


def _relocated(asked: Asked, root: str) -> Asked:
    """Return a record whose log folder may have moved, together with its grid and project."""
    if asked.root in ("", root):
        return asked

    def now(path: str) -> str:
        try:
            moved = os.path.normpath(Path(root) / os.path.relpath(path, asked.root))
        except ValueError:  # another drive
            return path
        return Path(moved).as_posix() if _exists(moved) else path

    def moved(command: Command) -> Command:
        paths = {
            "folder": now(command.folder),
            "grids": tuple(now(one) if Path(one).is_absolute() else one for one in command.grids),
        }
        if Path(command.logdir).is_absolute():
            paths["logdir"] = now(command.logdir)
        return command.model_copy(update=paths)

    runs = tuple(map(moved, asked.runs))
    return asked.model_copy(update={"file": now(asked.file), "root": root, "runs": runs})


def _real(path: Path) -> str:
    """Return an absolute path without links, as text that a file can hold."""
    return printable(Path(os.path.realpath(path)).as_posix())


def _changes(root: Path, asked: Sequence[Asked]) -> list[tuple[Asked, list[Asked]]]:
    """Return what is to be kept of grids, with their records so far, where these differ from it."""
    noted = read_asked(root)[0]
    asked = [one.model_copy(update={"root": _real(root)}) if one.file else one for one in asked]
    records = [_records(one, asked, noted) for one in asked]
    found = [_merged(one, so_far) for one, so_far in zip(asked, records, strict=True)]
    return [(one, so_far) for one, so_far in zip(found, records, strict=True) if so_far != [one]]


def _records(asked: Asked, others: Sequence[Asked], noted: Sequence[Asked]) -> list[Asked]:
    """Return the records of a grid, that of its file last; none of those that are of *others*."""
    own = [one for one in noted if _is_of(one, asked)]
    foreign = [one for one in noted if one not in own and any(_is_of(one, o) for o in others)]
    before = [one for one in noted if one not in own and one not in foreign and _was(one, asked)]
    return before + own


def _is_of(record: Asked, asked: Asked) -> bool:
    """Return whether a record is of a grid by its file, or by its path where that is all there is.

    Two projects may each have a grid.toml, and one log folder.
    """
    if record.file and asked.file:
        return record.file == asked.file
    return record.path == asked.path


def _was(record: Asked, asked: Asked) -> bool:
    """Return whether a record is of a grid that has another path now, or is called by another."""
    if record.path == asked.path:  # and in another folder, which may be the same one moved
        return not _exists(record.file) and _have_in_common(record, asked)
    if _content(record) != _content(asked):
        return False
    if record.file and asked.file:
        return not _exists(record.file)
    try:
        return Path(record.path).samefile(asked.path)
    except (OSError, ValueError):  # it leads nowhere any more, or from here
        return True


def _have_in_common(record: Asked, asked: Asked) -> bool:
    """Return whether two are about an experiment, or claim something, that both know."""
    claims = ({one.resolved for one in grid.hypotheses} for grid in (record, asked))
    return bool({*record.names} & {*asked.names} or set.intersection(*claims))


def _content(asked: Asked) -> tuple[str, ...]:
    """Return what a grid is about: one without experiments, what it claims of others'."""
    return asked.names or tuple(one.resolved for one in asked.hypotheses)


def _merged(asked: Asked, records: Sequence[Asked]) -> Asked:
    """Return what a grid asks now, with the times and commands that are known already."""
    before: dict[tuple[str, ...], Stated] = {}
    for one in (stated for record in records for stated in (*record.withdrawn, *record.hypotheses)):
        first = before.setdefault(_key(one), one)
        before[_key(one)] = one.model_copy(update={"since": min(first.since, one.since)})
    stated = tuple(
        one.model_copy(update={"since": before[_key(one)].since}) if _key(one) in before else one
        for one in asked.hypotheses
    )
    now = set(map(_key, stated))
    withdrawn = tuple(one for key, one in before.items() if key not in now)
    known = (_renamed(line, record, asked) for record in records for line in record.commands)
    commands = tuple(dict.fromkeys([*known, *asked.commands]))[-_MOST_COMMANDS:]
    values = (_with_path(one, record, asked) for record in records for one in record.runs)
    # The last command comes last, also where it was typed before.
    runs = [one for one in dict.fromkeys(values) if one not in asked.runs]
    return asked.model_copy(
        update={
            "hypotheses": stated,
            "withdrawn": withdrawn,
            "commands": commands,
            "runs": (*runs, *asked.runs)[-_MOST_COMMANDS:],
        }
    )


def _with_path(command: Command, before: Asked, now: Asked) -> Command:
    """Return a command with the path that a grid has now."""
    if before.path == now.path and before.file == now.file:
        return command
    known = (before.path, before.file)
    grids = tuple(now.file or now.path if grid in known else grid for grid in command.grids)
    text = _renamed(command.text, before, now)
    return command.model_copy(update={"grids": grids, "text": text})


def _renamed(command: str, before: Asked, now: Asked) -> str:
    """Return a command with the path that a grid has now."""
    words = command.split(" ")
    return " ".join(now.path if word == before.path else word for word in words)


def _key(stated: Stated) -> tuple[str, ...]:
    return stated.claim, stated.expect, stated.resolved, stated.metric


def _file_name(path: str) -> str:
    """Return a file name for what a grid asked, another one for every path."""
    stem = re.sub(r"[^A-Za-z0-9_-]", "_", Path(path).stem)[:60]
    return f"{stem}-{hashlib.sha256(path.encode(errors='surrogateescape')).hexdigest()[:8]}.toml"


def _places(folder: Path, asked: Asked) -> list[Path]:
    """Return where the record of a grid may be: named by its path, or else by its file."""
    return [folder / _file_name(path) for path in (asked.path, asked.file or asked.path)]


def _place(folder: Path, asked: Asked, records: Sequence[Asked]) -> Path:
    """Return where to keep what a grid asks: where no other grid's record is."""
    places = _places(folder, asked)
    free = (place for place in places if not _is_readable(place) or _holds(place, records))
    return next(free, places[-1])


def _holds(path: Path, records: Sequence[Asked]) -> bool:
    """Return whether a file holds one of some records."""
    try:
        return _read(path) in records
    except (DamagedFileError, OSError):
        return False


def _exists(path: str) -> bool:
    return os.path.exists(path)  # noqa: PTH110 - Path.exists raises where it may not look


def _is_no_folder(path: Path) -> bool:
    return os.path.lexists(path) and not path.is_dir()


def _is_readable(path: Path) -> bool:
    try:
        _read(path)
    except (DamagedFileError, OSError):
        return False
    return True


def _set_aside(path: Path) -> Path:
    """Move a damaged record out of the way; return where it is now."""
    number = next(n for n in range(1, 10_000) if not path.with_suffix(f".damaged-{n}").exists())
    aside = path.with_suffix(f".damaged-{number}")
    (move_folder if path.is_dir() and not path.is_symlink() else move_file)(path, aside)
    return aside
