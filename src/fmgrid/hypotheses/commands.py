"""Commands that hold wherever they are pasted: what was run, and what to run next.

A path that leads out of the folder in which the command is shown, or that was typed in another
one, is made absolute.
"""

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from fmgrid.hypotheses.records import Command, GridRecord
from fmgrid.words import command_line, printable

PATH_OPTIONS = frozenset({"--data-dir"})


def to_command(
    text: str,
    grids: Iterable[str],
    logdir: Path,
    options: Mapping[str, object],
    seeds: Sequence[int] = (),
) -> Command | None:
    """Return an `fmgrid run` as values; None where a word of it is no text that a file can hold.

    An option that is None, False or empty was not given; a list is one that was given repeatedly.
    """
    lists = ((name, one if isinstance(one, list) else [one]) for name, one in options.items())
    pairs = tuple(
        (name, "" if value is True else str(value))
        for name, values in lists
        for value in values
        if value not in (None, False)
    )
    words, folder = tuple(grids), current_folder()
    if any(printable(word) != word for word in (text, folder, *words, *(v for _, v in pairs))):
        return None
    return Command(
        text=text,
        folder=folder,
        grids=words,
        logdir=printable(str(logdir)),
        options=pairs,
        seeds=tuple(seeds),
    )


def current_folder() -> str:
    """Return the current folder without links, "" where it is gone."""
    try:
        return Path(os.path.realpath(Path.cwd())).as_posix()
    except OSError:
        return ""


def is_inside(path: str) -> bool:
    """Return whether a path leads nowhere but into the folder that it starts from."""
    return not Path(path).is_absolute() and ".." not in Path(path).parts


def absolute(path: str, folder: str | None = None) -> str:
    """Return a path from any folder; its last part stays as it is, though it may be a link.

    The names of experiments may be made from it.
    """
    joined = Path(current_folder() if folder is None else folder, path)
    if joined.name in ("", ".."):
        return Path(os.path.realpath(joined)).as_posix()
    return (Path(os.path.realpath(joined.parent)) / joined.name).as_posix()


def path_word(path: Path | str) -> str:
    """Return a path as a word of a command that is shown in the current folder."""
    return as_argument(path) if is_inside(str(path)) else absolute(str(path))


def as_argument(path: Path | str) -> str:
    """Return a path as a word of a command that is not taken for an option."""
    return f"./{path}" if str(path).startswith("-") else str(path)


def is_here(command: Command) -> bool:
    """Return whether the paths of a command hold in the current folder as they were typed."""
    paths = [*command.grids, *(value for name, value in command.options if name in PATH_OPTIONS)]
    return command.folder == current_folder() and all(map(is_inside, paths))


def option_words(command: Command, *, here: bool, without: Collection[str] = ()) -> list[str]:
    """Return the options of a command but for some, and for its seeds and log folder."""
    words = []
    for name, value in command.options:
        if name not in without:
            is_moved = name in PATH_OPTIONS and not here
            words += [name, absolute(value, command.folder) if is_moved else value]
    return [word for word in words if word]  # a flag has no value


def grid_words(command: Command, *, here: bool) -> list[str]:
    """Return the grids of a command."""
    return [as_argument(grid) if here else absolute(grid, command.folder) for grid in command.grids]


def last_command(asked: GridRecord) -> Command | None:
    """Return the command that last ran a grid, None where it is known as text only."""
    if not asked.runs or (asked.commands and asked.commands[-1] != asked.runs[-1].text):
        return None
    return asked.runs[-1]


def commands_of(asked: GridRecord) -> list[str]:
    """Return the commands that ran a grid, so that they hold in the current folder."""
    lines = []
    for text in asked.commands:
        known = [_said_again(command) for command in asked.runs if command.text == text]
        lines += known or [text]
    return lines


def _said_again(command: Command) -> str:
    """Return a command so that it holds in the current folder: as it was typed, where it does."""
    if is_here(command) and is_inside(command.logdir):
        return command.text
    words = [*grid_words(command, here=False), *option_words(command, here=False)]
    if command.seeds:
        words += ["--seeds", ",".join(map(str, command.seeds))]
    words += ["--logdir", absolute(command.logdir, command.folder)]
    return command_line(["fmgrid", "run", *words])


def grid_word(asked: GridRecord, command: Command | None) -> str:
    """Return a grid's path as a word of a command: as it was typed, where that holds here."""
    folder = command.folder if command else current_folder()
    path = absolute(asked.path, folder)
    is_known = asked.file in ("", Path(os.path.realpath(path)).as_posix())
    is_near = is_inside(asked.path) and folder == current_folder()
    if not asked.file or (is_known and is_near):
        return as_argument(asked.path)
    return path if is_known else asked.file
