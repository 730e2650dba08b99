"""The registry of a log folder: its grids, their hypotheses with dates, and their commands.

`<root>/.grids/` has a file per grid: its question, the experiments that it spells out, its
hypotheses with the time at which each was first seen, and the commands that ran it. A grid is
known by its absolute path; after it was moved or renamed, by its content.
"""

import hashlib
import os
import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Self, TypeAlias

from pydantic import AwareDatetime, BeforeValidator, Field, TypeAdapter

from fmgrid.errors import DamagedFileError
from fmgrid.experiment import LongText, Name, Record, ShortText, Word
from fmgrid.hypotheses.commands import Command, List, absolute, path_word
from fmgrid.hypotheses.language import (
    MAX_HYPOTHESES,
    Condition,
    Equivalence,
    Expectation,
    ExpectationError,
    Ordering,
    parse_expectation,
    selections,
)
from fmgrid.results.results_file import BAD_RECORD, misfit_of, read_sealed, seal
from fmgrid.results.store import FOLDER_OF_GRIDS, translate_os_errors
from fmgrid.system.disk import move_file, move_folder, write_whole
from fmgrid.words import printable

_MOST_COMMANDS = 20  # that are remembered of a grid
_MOST_NAMES = 1_000_000
_MOST_CHARACTERS = 1_000_000
_Names: TypeAlias = Annotated[tuple[Name, ...], List, Field(max_length=_MOST_NAMES)]
_EXPECTATION: TypeAdapter[Expectation] = TypeAdapter(
    Ordering | Equivalence, config={"defer_build": True}
)


def _to_resolved(value: Any) -> Expectation:
    """Return a resolved expectation; fmgrid 0.1 wrote it as text."""
    try:
        if isinstance(value, str):
            value = parse_expectation(value, limit=_MOST_CHARACTERS)
    except ExpectationError as error:
        raise ValueError(str(error)) from error
    expectation = _EXPECTATION.validate_python(value)
    if any(isinstance(item, Condition) for items in selections(expectation) for item in items):
        raise ValueError("has a condition where it should name experiments")
    if isinstance(expectation, Equivalence) and len({*expectation.among}) == 1:
        raise ValueError("is about one experiment, which has nothing to differ from")
    return expectation


class Hypothesis(Record):
    """A claim about the results of experiments."""

    claim: ShortText  # for people, one line
    expect: ShortText  # as it was written
    resolved: Annotated[Ordering | Equivalence, BeforeValidator(_to_resolved)]  # of exact names
    metric: Name
    place: ShortText  # file:line
    since: AwareDatetime  # when its grid was read; once it is stored, the first time

    @property
    def meaning(self) -> Hashable:
        """Key shared by hypotheses that differ at most in their place and time."""
        return self.claim, self.expect, self.resolved, self.metric


class GridRecord(Record):
    """A grid file as it was last run: question, experiments, hypotheses, commands."""

    path: Annotated[Word, Field(max_length=10_000)]  # as it was named, with forward slashes
    question: ShortText = ""  # its first comment
    # of the experiments that it spells out itself
    names: _Names = ()
    # the same by [grid], [[zip]] and [[point]], where it has several; absent from older records
    blocks: Annotated[tuple[_Names, ...], List, Field(max_length=_MOST_NAMES)] = ()
    # of the group of each block, or of the only one; "" is the group of the whole file
    titles: Annotated[tuple[ShortText, ...], List, Field(max_length=_MOST_NAMES)] = ()
    hypotheses: Annotated[tuple[Hypothesis, ...], List, Field(max_length=MAX_HYPOTHESES)] = ()
    # stated before, and no longer
    withdrawn: Annotated[tuple[Hypothesis, ...], List] = ()
    commands: Annotated[tuple[LongText, ...], List] = ()  # that ran it, in order
    runs: Annotated[tuple[Command, ...], List] = ()  # those of the commands known as values
    file: Word = ""  # the grid's absolute path without links, "" where it is not known
    root: Word = ""  # the log folder's, to which the others are relative if all of it moves

    def with_command(self, text: str, command: Command | None) -> Self:
        """Return the record of a grid that a command runs, which is given as text and as values."""
        return self.model_copy(update={"commands": (text,), "runs": (command,) if command else ()})

    @property
    def titled_blocks(self) -> list[tuple[str, tuple[str, ...]]]:
        """The names of each block, with the title of its group."""
        blocks = self.blocks or (self.names,)
        return list(zip((*self.titles, *[""] * len(blocks)), blocks, strict=False))

    @property
    def last_run(self) -> Command | None:
        """The command that last ran the grid, None where it is known as text only."""
        if not self.runs or (self.commands and self.commands[-1] != self.runs[-1].text):
            return None
        return self.runs[-1]

    def lines(self) -> list[str]:
        """Return the commands that ran the grid, so that they hold in the current folder."""
        return [
            line
            for text in self.commands
            for line in [run.line() for run in self.runs if run.text == text] or [text]
        ]

    def word(self) -> str:
        """Return the path as a word of a command: as it was typed, if that leads there still."""
        folder = self.last_run.folder if self.last_run else None
        typed = path_word(self.path, folder)
        return typed if self.file in ("", _real(absolute(self.path, folder))) else self.file


def changed_records(root: Path, grids: Sequence[GridRecord]) -> list[GridRecord]:
    """Return the records that differ from the stored ones, as `write_records` would store them."""
    with translate_os_errors(root):
        return [merged for merged, _ in _changes(root, grids, _read_folder(root)[0])]


def write_records(root: Path, grids: Sequence[GridRecord]) -> list[Path]:
    """Store the records of grids; return where damaged records of them are now.

    A hypothesis keeps the time at which it was first stored. Raises `StoreError` where that fails.
    """
    folder = root / FOLDER_OF_GRIDS
    aside = []
    with translate_os_errors(folder):
        stored, _ = _read_folder(root)
        for record, former in _changes(root, grids, stored):
            folder.mkdir(parents=True, exist_ok=True)
            places = _places(folder, record)
            free = (place for place in places if place not in stored or place in former)
            path = next(free, places[-1])
            if path.exists() and path not in stored:
                aside.append(_set_aside(path))
            write_whole(path, seal(record.model_dump()))
            stored[path] = record
            for outdated in former - {path}:
                del stored[outdated]
                outdated.unlink()
    return aside


def read_records(*roots: Path) -> tuple[list[GridRecord], list[str]]:
    """Return the grid records of log folders, and the reasons why others cannot be read.

    Records of one grid in several folders, as from two machines, are made into one.
    """
    merged: list[GridRecord] = []
    unread: list[str] = []
    for root in roots:
        try:
            stored, objections = _read_folder(root)
        except OSError as error:
            reason = f"cannot be read: {error.strerror}, so that it is not known what the grids ask"
            unread.append(f"{root / FOLDER_OF_GRIDS}: {reason}")
            continue
        unread += objections
        known = [*merged]
        for record in stored.values():
            alike = [candidate for candidate in known if _is_alike(candidate, record)]
            if not alike:
                merged.append(record)
                continue
            same = min(alike, key=lambda candidate: candidate.path != record.path)
            known.remove(same)  # two records of one folder are two grids
            merged[merged.index(same)] = _joined(same, record)
    return merged, unread


def merge_stored(grids: Sequence[GridRecord], stored: Sequence[GridRecord]) -> list[GridRecord]:
    """Return the records of grids with the times and commands of the stored ones."""
    return [_merged(grid, _records_of(grid, grids, stored)) for grid in grids]


def _read_folder(root: Path) -> tuple[dict[Path, GridRecord], list[str]]:
    """Return the records of a log folder by their files, and why others cannot be read.

    Raises `OSError` where the folder cannot be listed.
    """
    folder = root / FOLDER_OF_GRIDS
    try:
        visible = [path for path in folder.iterdir() if not path.name.startswith(".")]
    except FileNotFoundError:
        return {}, []
    paths = sorted(path for path in visible if path.suffix == ".toml")
    stored = {}
    unread = []
    for path in paths:
        try:
            record = _read_record(path)
        except DamagedFileError as error:
            unread.append(f"{error}; the next fmgrid run notes anew what its grid asks")
            continue
        own = _places(folder, record)
        if path in own:
            stored[path] = _relocated(record, _real(root))
        elif not set(own) & set(paths):  # or it is a copy, as those that synchronise folders make
            unread.append(f"{path}: is a copy of {own[0].name}, which is not there; it is not read")
    return stored, unread


def _read_record(path: Path) -> GridRecord:
    values = read_sealed(path)
    try:
        return GridRecord(**{key: values[key] for key in GridRecord.model_fields if key in values})
    except BAD_RECORD as error:
        raise DamagedFileError(f"{path}: does not fit this fmgrid: {misfit_of(error)}") from error


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

    runs = tuple(command.with_paths(moved) for command in record.runs)
    return record.model_copy(update={"file": moved(record.file), "root": root, "runs": runs})


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
    grid: GridRecord, grids: Sequence[GridRecord], stored: Sequence[GridRecord]
) -> list[GridRecord]:
    """Return the records of a grid: of files that are gone, and last that of its own file."""
    files = set(map(_file_of, grids))
    own, of_gone_files = [], []
    for record in stored:
        file = _file_of(record)
        if file == _file_of(grid):
            own.append(record)
        elif file not in files and _is_alike(record, grid) and not _exists(file):
            of_gone_files.append(record)
    return of_gone_files + own


def _file_of(record: GridRecord) -> str:
    """Return the absolute path of a grid; fmgrid 0.1 stored the path that was typed."""
    return record.file or _real(record.path)


def _is_alike(record: GridRecord, grid: GridRecord) -> bool:
    """Return whether two records are of one grid, or of one that was moved, renamed or changed."""
    before, now = (
        tuple(hypothesis.resolved for hypothesis in version.hypotheses)
        for version in (record, grid)
    )
    if (record.names or before) == (grid.names or now):
        return True
    shared = {*record.names} & {*grid.names} or {*before} & {*now}
    return record.path == grid.path and bool(shared)


def _merged(grid: GridRecord, former: Sequence[GridRecord]) -> GridRecord:
    """Return the record of a grid now, with the times and commands that are known already."""
    before = [
        hypothesis for record in former for hypothesis in (*record.withdrawn, *record.hypotheses)
    ]
    commands = tuple(dict.fromkeys(line for record in (*former, grid) for line in record.commands))
    runs = [_with_path(command, record, grid) for record in former for command in record.runs]
    # The last command comes last, also where it was typed before.
    runs = [*(run for run in dict.fromkeys(runs) if run not in grid.runs), *grid.runs]
    latest = {"commands": commands[-_MOST_COMMANDS:], "runs": tuple(runs[-_MOST_COMMANDS:])}
    return grid.model_copy(update={**latest, **_with_times(grid.hypotheses, before)})


def _joined(first: GridRecord, second: GridRecord) -> GridRecord:
    """Return one record of a grid that was run in two log folders."""
    unions = {
        key: tuple(dict.fromkeys((*getattr(first, key), *getattr(second, key))))
        for key in ("names", "hypotheses")
    }
    titled = [*dict.fromkeys((*first.titled_blocks, *second.titled_blocks))]
    if len(titled) > 1:
        unions["titles"], unions["blocks"] = zip(*titled, strict=True)
    question = first.question or second.question
    now = first.model_copy(update={**unions, "question": question, "commands": (), "runs": ()})
    return _merged(now, [first, second])


def _with_times(
    now: Sequence[Hypothesis], before: Sequence[Hypothesis]
) -> dict[str, tuple[Hypothesis, ...]]:
    """Return the hypotheses of now and the withdrawn ones, each once, with its earliest time."""
    distinct: dict[Hashable, Hypothesis] = {}
    for hypothesis in (*now, *before):
        first = distinct.setdefault(hypothesis.meaning, hypothesis)
        since = min(first.since, hypothesis.since)
        distinct[hypothesis.meaning] = first.model_copy(update={"since": since})
    every, number = tuple(distinct.values()), len({hypothesis.meaning for hypothesis in now})
    return {"hypotheses": every[:number], "withdrawn": every[number:]}


def _with_path(command: Command, before: GridRecord, now: GridRecord) -> Command:
    """Return a command with the path that a grid has now."""
    known = before.path, before.file
    if known == (now.path, now.file):
        return command
    return command.with_paths(lambda word: (now.file or now.path) if word in known else word)
