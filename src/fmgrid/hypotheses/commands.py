"""Commands that can be typed again: those that ran a grid, and those to run next.

A path is made absolute if it leads out of the folder in which the command is shown, or was typed
in another one.
"""

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Self

from pydantic import Strict

from fmgrid.experiment import LongText, Record, Word
from fmgrid.words import command_line, printable

_PATH_OPTIONS = frozenset({"--data-dir"})

List = Strict(strict=False)  # a tuple for which TOML has a list


class Command(Record):
    """An `fmgrid run` as values, from which it can be written again in any folder."""

    text: LongText  # as it was typed
    folder: Word  # in which it was typed
    grids: Annotated[tuple[Word, ...], List]  # files and folders, as they were typed
    logdir: Word
    # the others with their values, "" for a flag
    options: Annotated[tuple[Annotated[tuple[Word, Word], List], ...], List] = ()
    seeds: Annotated[tuple[int, ...], List] = ()  # of --seeds

    def with_paths(self, change: Callable[[str], str]) -> Self:
        """Return the command after its paths have changed."""
        paths = {"folder": change(self.folder), "logdir": change(self.logdir)}
        return self.model_copy(update={**paths, "grids": tuple(map(change, self.grids))})

    def grid_words(self) -> list[str]:
        """Return the grids as words of a command."""
        return [path_word(grid, self.folder) for grid in self.grids]

    def option_words(self, without: Collection[str] = ()) -> list[str]:
        """Return the options as words, except those *without*, the seeds and the log folder."""
        words = []
        for name, value in self.options:
            if name not in without:
                words += [name, path_word(value, self.folder) if name in _PATH_OPTIONS else value]
        return [word for word in words if word]  # a flag has no value

    def line(self) -> str:
        """Return the command so that it means the same in the current folder."""
        words = [*self.grid_words(), *self.option_words()]
        if self.seeds:
            words += ["--seeds", ",".join(map(str, self.seeds))]
        words += ["--logdir", path_word(self.logdir, self.folder)]
        return command_line(["fmgrid", "run", *words])


def to_command(
    text: str,
    grids: Iterable[str],
    logdir: Path,
    options: Mapping[str, object],
    seeds: Sequence[int] = (),
) -> Command | None:
    """Return an `fmgrid run` as values; None if a file cannot hold one of its words.

    An option that is None, False or empty was not given; a list is one that was given repeatedly.
    Without a *text* nobody has typed the command, and its text follows from the values.
    """
    pairs = tuple(
        (name, "" if value is True else str(value))
        for name, values in options.items()
        for value in (values if isinstance(values, list) else [values])
        if value not in (None, False)
    )
    words, folder = tuple(grids), current_folder()
    if any(
        printable(word) != word for word in (text, folder, *words, *(value for _, value in pairs))
    ):
        return None
    command = Command(
        text=text,
        folder=folder,
        grids=words,
        logdir=printable(str(logdir)),
        options=pairs,
        seeds=tuple(seeds),
    )
    return command if text else command.model_copy(update={"text": command.line()})


def report_command(
    logdir: Path,
    output: Path,
    reference: Path | None,
    grids: Sequence[Path] | None,
    metric: str | None = None,
) -> str:
    """Return the command that makes a report again, with paths that hold in this folder."""
    paths = [("--output", output), ("--reference", reference)]
    paths += [("--grid", grid) for grid in grids or ()]
    words = [word for name, path in paths if path for word in (name, path_word(path))]
    words += ["--metric", metric] if metric else []
    return command_line(["fmgrid", "report", path_word(logdir), *words])


def current_folder() -> str:
    """Return the current folder without links, "" where it is gone."""
    try:
        return Path(os.path.realpath(Path.cwd())).as_posix()
    except OSError:
        return ""


def path_word(path: Path | str, folder: str | None = None) -> str:
    """Return a path, typed in *folder* or else in the current one, as a word of a command."""
    parts = Path(path).parts
    is_inside = parts and not Path(path).is_absolute() and ".." not in parts
    if is_inside and folder in (None, current_folder()):
        return as_argument(path)
    return absolute(str(path), folder)


def absolute(path: str, folder: str | None = None) -> str:
    """Return a path from any folder; its last part stays as it is, though it may be a link.

    The names of experiments may be made from it.
    """
    joined = Path(current_folder() if folder is None else folder, path)
    if joined.name in ("", ".."):
        return Path(os.path.realpath(joined)).as_posix()
    return (Path(os.path.realpath(joined.parent)) / joined.name).as_posix()


def as_argument(path: Path | str) -> str:
    """Return a path as a word of a command that is not taken for an option."""
    return f"./{path}" if str(path).startswith("-") else str(path)
