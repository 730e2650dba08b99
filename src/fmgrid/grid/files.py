"""Which grid files are read together: those that are named, and those that they take in."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

from fmgrid.errors import Problem
from fmgrid.grid.blocks import Grid
from fmgrid.grid.reading import grid_files

RealPath: TypeAlias = str  # the same for a file, however it is named


def read_files(
    paths: Sequence[Path], read: Callable[[Path], Grid | None], problems: list[Problem]
) -> dict[RealPath, Grid]:
    """Return the grids of all files, each once; what a file takes in comes before it.

    What *read* returns None for is left out, and has been reported by it.
    """
    named = {os.path.realpath(path): path for path in grid_files(paths, problems)}
    grids: dict[RealPath, Grid | None] = {}
    for file, path in named.items():
        grid = read(path)
        for member in grid.members if grid else ():
            taken = os.path.realpath(member.value)
            if taken not in named and taken not in grids:
                grids[taken] = read(member.value)
        grids[file] = grid
    found = {file: grid for file, grid in grids.items() if grid}
    problems += _nested(found)
    return found


def member_files(grid: Grid) -> list[RealPath]:
    """Return the files that a grid takes in, each once."""
    return list(dict.fromkeys(os.path.realpath(member.value) for member in grid.members))


def _nested(grids: dict[RealPath, Grid]) -> list[Problem]:
    """Refuse what would have to be followed from file to file, maybe in a circle."""
    return [
        member.problem(f"{member.value} takes in files itself; name those files here")
        for grid in grids.values()
        for member in grid.members
        if (other := grids.get(os.path.realpath(member.value))) and other.members
    ]
