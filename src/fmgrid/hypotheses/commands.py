"""Commands that hold wherever they are pasted: what was run, and what to run next.

A path that leads out of the folder in which the command is shown, or that was typed in another
one, is made absolute.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from fmgrid.hypotheses.records import Asked, Command
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
    pairs = []
    for name, value in options.items():
        values = value if isinstance(value, list) else [value]
        pairs += [
            (name, "" if one is True else str(one)) for one in values if one not in (None, False)
        ]
    words = [*grids]
    folder = current_folder()
    if any(printable(word) != word for word in (*words, *(v for _, v in pairs), folder, text)):
        return None
    return Command(
        text=text,
        folder=folder,
        grids=tuple(words),
        logdir=printable(str(logdir)),
        options=tuple(pairs),
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
    text = str(path)
    if not is_inside(text):
        return absolute(text)
    return as_argument(text)


def as_argument(path: Path | str) -> str:
    """Return a path as a word of a command that is not taken for an option."""
    return f"./{path}" if str(path).startswith("-") else str(path)


def is_here(command: Command) -> bool:
    """Return whether the paths of a command hold in the current folder as they were typed."""
    if command.folder != current_folder():
        return False
    paths = [*command.grids, *(value for name, value in command.options if name in PATH_OPTIONS)]
    return all(map(is_inside, paths))


def option_words(command: Command, *, here: bool, without: Iterable[str] = ()) -> list[str]:
    """Return the options of a command but for some, and for its seeds and log folder."""
    words = []
    dropped = {*without}
    for name, value in command.options:
        if name in dropped:
            continue
        words.append(name)
        if value:
            is_path = name in PATH_OPTIONS and not here
            words.append(absolute(value, command.folder) if is_path else value)
    return words


def grid_words(command: Command, *, here: bool) -> list[str]:
    """Return the grids of a command."""
    if here:
        return [*map(as_argument, command.grids)]
    return [absolute(grid, command.folder) for grid in command.grids]


def said_again(command: Command) -> str:
    """Return a command so that it holds in the current folder: as it was typed, where it does."""
    if is_here(command) and is_inside(command.logdir):
        return command.text
    seeds = ["--seeds", ",".join(map(str, command.seeds))] if command.seeds else []
    logdir = ["--logdir", absolute(command.logdir, command.folder)]
    words = [*grid_words(command, here=False), *option_words(command, here=False), *seeds, *logdir]
    return command_line(["fmgrid", "run", *words])


def last_command(asked: Asked) -> Command | None:
    """Return the command that last ran a grid, None where it is known as text only."""
    if not asked.runs or (asked.commands and asked.commands[-1] != asked.runs[-1].text):
        return None
    return asked.runs[-1]


def commands_of(asked: Asked) -> list[str]:
    """Return the commands that ran a grid, so that they hold in the current folder."""
    said: list[str] = []
    for text in asked.commands:
        known = [said_again(one) for one in asked.runs if one.text == text]
        said += known or [text]
    return said


def grid_word(asked: Asked, command: Command | None) -> tuple[str, bool]:
    """Return a grid's path as a word of a command, and whether it is the one that was typed."""
    folder = command.folder if command else current_folder()
    is_known = not asked.file or _is_same(absolute(asked.path, folder), asked.file)
    here = is_known and is_inside(asked.path) and folder == current_folder()
    if here or not asked.file:
        return as_argument(asked.path), here
    return (absolute(asked.path, folder) if is_known else asked.file), False


def _is_same(path: str, file: str) -> bool:
    return Path(os.path.realpath(path)).as_posix() == file
