"""Grid files as text, and which of them are read together: those named, and their members."""

import errno
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from fmgrid.errors import InputError, Place, Problem
from fmgrid.grid.blocks import Grid
from fmgrid.system.disk import read_regular
from fmgrid.words import printable

MAX_BYTES = 1_000_000
MAX_QUESTION = 200  # characters of a file's first line that go into reports

_REASONS: Mapping[int | None, str] = {
    errno.ENOENT: "no such file; name a grid file or a folder of them",
    errno.EINVAL: "is not a file; name a grid file or a folder of them",
    errno.EFBIG: f"is larger than {MAX_BYTES:,} bytes; no grid needs to be",
}

RealPath: TypeAlias = str  # the same for a file, however it is named


def read_files(
    paths: Sequence[Path], read: Callable[[Path], Grid | None], problems: list[Problem]
) -> dict[RealPath, Grid]:
    """Return the grids of all files, each once; what a file takes in comes before it.

    What *read* returns None for is left out, and has been reported by it.
    """
    named: dict[RealPath, Path] = {}
    for path in _grid_files(paths, problems):
        named.setdefault(os.path.realpath(path), path)
    grids: dict[RealPath, Grid | None] = {}
    for file, path in named.items():
        grid = read(path)
        for member in grid.members if grid else ():
            taken = os.path.realpath(member.value)
            if taken not in named and taken not in grids:
                grids[taken] = read(member.value)
        grids[file] = grid
    read_grids = {file: grid for file, grid in grids.items() if grid}
    problems += [
        member.problem(f"{member.value} takes in files itself; name those files here")
        for grid in read_grids.values()
        for member in grid.members
        if (other := read_grids.get(os.path.realpath(member.value))) and other.members
    ]
    return read_grids


def member_files(grid: Grid) -> list[RealPath]:
    """Return the files that a grid takes in, each once."""
    return list(dict.fromkeys(os.path.realpath(member.value) for member in grid.members))


def _grid_files(paths: Sequence[Path], problems: list[Problem]) -> Iterator[Path]:
    """Yield the files that *paths* mean; a folder means the *.toml in it, but hidden ones."""
    for path in paths:
        if not os.path.isdir(path):  # noqa: PTH112 - Path.is_dir raises where it may not look
            yield path
            continue
        message = "holds no grids; name a grid file, or a folder with *.toml files in it"
        try:
            for name in sorted(os.listdir(path)):  # noqa: PTH208 - Path.glob would find nothing
                is_grid = os.path.normcase(name).endswith(".toml") and not name.startswith(".")
                if is_grid and not os.path.isdir(path / name):  # noqa: PTH112
                    message = ""
                    yield path / name
        except OSError as error:
            message = f"cannot be listed: {error.strerror or error}"
        if message:
            problems.append(Problem(Place(str(path)), "", message))


def read_text(path: Path) -> str:
    """Return the text of a grid file. Raises `InputError` where it has none."""
    try:
        # Windows' editors put a byte order mark in front.
        return read_regular(path, MAX_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise refusal(path, "is not UTF-8 text; save it as UTF-8", line) from error
    except (OSError, ValueError) as error:
        number, reason = getattr(error, "errno", None), getattr(error, "strerror", None)
        raise refusal(path, _REASONS.get(number, f"cannot be read: {reason or error}")) from error


def first_comment(text: str) -> str:
    """Return the comment that a grid begins with, "" if it begins otherwise."""
    first = text.lstrip().partition("\n")[0]
    return printable(first.strip("# \t\r"), MAX_QUESTION) if first.startswith("#") else ""


def refusal(path: Path, message: str, line: int | None = None) -> InputError:
    """Return an error of a file as a whole."""
    return InputError([Problem(Place(str(path), line), "", message)])
