"""What the grids of a log folder ask, kept in it for whoever reports on its runs.

`<root>/.grids/` has a file per grid: its question, the experiments that it spells out, its
hypotheses with the time at which each was first seen, and the commands that ran it.
"""

import hashlib
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from fmgrid.disk import move_file, move_folder
from fmgrid.errors import DamagedFileError, StoreError
from fmgrid.records import Asked, Stated
from fmgrid.store import (
    FOLDER_OF_GRIDS,
    UNFIT,
    is_hidden,
    naming,
    read_sealed,
    seal,
    why_unfit,
    write_whole,
)

_MOST_COMMANDS = 20  # that are remembered of a grid
_LISTS = ("names", "hypotheses", "withdrawn", "commands")


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
            path = folder / _file_name(one.path)
            if path.exists() and not _is_readable(path):
                aside.append(_set_aside(path))
            write_whole(path, to_file(one))
            for record in records:
                if record.path != one.path:
                    (folder / _file_name(record.path)).unlink(missing_ok=True)
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
            one = _read(path)
        except DamagedFileError as error:
            unread.append(f"{error}; the next fmgrid run notes anew what its grid asks")
            continue
        own = path.with_name(_file_name(one.path))
        if own == path:
            found.append(one)
        elif own not in paths:  # or it is a copy, as those that synchronise folders make them
            unread.append(f"{path}: is a copy of {own.name}, which is not there; it is not read")
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
        }
    )


def recall(asked: Sequence[Asked], noted: Sequence[Asked]) -> list[Asked]:
    """Return what grids ask, with the times and commands that are noted of it."""
    return [_merged(one, _records(one, asked, noted)) for one in asked]


def to_file(asked: Asked) -> bytes:
    """Return the content of the file that keeps what a grid asked."""
    values = asked.model_dump()
    return seal(values | {key: list(values[key]) for key in _LISTS})


def _read(path: Path) -> Asked:
    """Return the record in a file. Raises `DamagedFileError` for what fmgrid did not write so."""
    values = read_sealed(path)
    try:
        return Asked(
            path=values["path"],
            question=values["question"],
            names=tuple(values["names"]),
            hypotheses=tuple(Stated(**one) for one in values["hypotheses"]),
            withdrawn=tuple(Stated(**one) for one in values["withdrawn"]),
            commands=tuple(values["commands"]),
        )
    except UNFIT as error:
        raise DamagedFileError(f"{path}: does not fit this fmgrid: {why_unfit(error)}") from error


def _changes(root: Path, asked: Sequence[Asked]) -> list[tuple[Asked, list[Asked]]]:
    """Return what is to be kept of grids, with their records so far, where these differ from it."""
    noted = read_asked(root)[0]
    records = [_records(one, asked, noted) for one in asked]
    found = [_merged(one, so_far) for one, so_far in zip(asked, records, strict=True)]
    return [(one, so_far) for one, so_far in zip(found, records, strict=True) if so_far != [one]]


def _records(asked: Asked, others: Sequence[Asked], noted: Sequence[Asked]) -> list[Asked]:
    """Return the records of a grid, that of its path last; none of those that are of *others*."""
    paths = {one.path for one in others}
    before = [one for one in noted if one.path not in paths and _is_same(one, asked)]
    return before + [one for one in noted if one.path == asked.path]


def _is_same(record: Asked, asked: Asked) -> bool:
    """Return whether a record is of a grid that has another path now, or is called by another."""
    if _content(record) != _content(asked):
        return False
    try:
        return Path(record.path).samefile(asked.path)
    except (OSError, ValueError):  # it leads nowhere any more, or from here
        return True


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
    return asked.model_copy(
        update={"hypotheses": stated, "withdrawn": withdrawn, "commands": commands}
    )


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


def _is_no_folder(path: Path) -> bool:
    return os.path.lexists(path) and not path.is_dir()


def _is_readable(path: Path) -> bool:
    try:
        _read(path)
    except DamagedFileError:
        return False
    return True


def _set_aside(path: Path) -> Path:
    """Move a damaged record out of the way; return where it is now."""
    number = next(n for n in range(1, 10_000) if not path.with_suffix(f".damaged-{n}").exists())
    aside = path.with_suffix(f".damaged-{number}")
    (move_folder if path.is_dir() and not path.is_symlink() else move_file)(path, aside)
    return aside
