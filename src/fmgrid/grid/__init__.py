"""Grid files -> experiments, with the line of everything that was written.

A file spells out the union of its [grid], [[zip]] and [[point]] blocks, each laid over
[base]. Whatever is wrong, in any number of files, is reported at once: nothing is returned
unless everything is right.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

from fmgrid.errors import InputError, Place, Problem
from fmgrid.grid.blocks import SETTINGS, Definition, Grid, show
from fmgrid.grid.expansion import expand, with_seed
from fmgrid.grid.names import check_folder_name
from fmgrid.grid.reading import grid_files, read_grid, read_overrides

__all__ = ["MAX_RUNS", "Definition", "load_grids"]

MAX_RUNS = 10_000

_SHOWN_PROBLEMS = 5  # of one setting on one line, which all the points of a grid may have


def load_grids(
    paths: Sequence[Path],
    *,
    overrides: Sequence[str] = (),
    only: Sequence[str] = (),
    seeds: Sequence[int] | None = None,
    max_runs: int = MAX_RUNS,
) -> list[Definition]:
    """Return the experiments of all grids, in the order they are written, each once.

    A directory means the *.toml files directly in it. *overrides* are "setting=value" and
    have the last word; *only* are name patterns; *seeds* replace those of the files.
    Raises `InputError` with every problem of every file.
    """
    problems: list[Problem] = []
    settled = read_overrides(overrides, problems)
    read = [read_grid(path, settled, seeds, problems) for path in grid_files(paths, problems)]
    grids = [grid for grid in read if grid is not None]
    definitions: list[Definition] = []
    if over_limit := _over_limit(grids, max_runs):
        problems.append(over_limit)
    else:
        expanded = (definition for grid in grids for definition in expand(grid, problems))
        definitions = _distinct(expanded, problems)
    if problems:
        raise InputError(_thinned(problems))
    return _selected(definitions, only)


def _over_limit(grids: Sequence[Grid], max_runs: int) -> Problem | None:
    total = sum(grid.count for grid in grids)
    if total <= max_runs:
        return None
    largest = max(grids, key=lambda grid: grid.count)
    together = "" if len(grids) == 1 else f"; all {len(grids)} grids together {_count(total)}"
    return Problem(
        Place(str(largest.path)),
        "",
        f"spells out {_count(largest.count)} runs{together}, and the limit is {max_runs:,}; "
        "make it smaller or raise the limit with --max-runs",
    )


def _thinned(problems: Iterable[Problem]) -> list[Problem]:
    """Keep the first few of those that one line has with one setting, and count the others."""
    alike: dict[tuple[Place, str], list[Problem]] = defaultdict(list)
    for problem in dict.fromkeys(problems):
        alike[problem.place, problem.setting].append(problem)
    kept: list[Problem] = []
    for group in alike.values():
        *shown, last = group[:_SHOWN_PROBLEMS]
        more = len(group) - _SHOWN_PROBLEMS
        kept += [*shown, _with_more(last, more) if more > 0 else last]
    return kept


def _with_more(problem: Problem, more: int) -> Problem:
    return replace(problem, message=f"{problem.message} (and {more:,} more like this)")


def _count(number: int) -> str:
    return f"{number:,}" if number < 10**18 else "more than 10^18"


def _distinct(definitions: Iterable[Definition], problems: list[Problem]) -> list[Definition]:
    """Drop repetitions of one experiment; refuse two different ones of one name."""
    by_name: dict[str, Definition] = {}
    by_run: dict[str, Definition] = {}
    kept: list[Definition] = []
    for definition in definitions:
        experiment = definition.experiment
        namesake = by_name.setdefault(experiment.name.casefold(), definition)
        if not _are_alike(namesake, definition):
            problems.append(_clash(namesake, definition))
            continue
        first = by_run.setdefault(experiment.run_name.casefold(), definition)
        if first is definition:
            kept.append(definition)
        elif first.experiment != experiment:
            problems.append(_clash(first, definition))
        if experiment.seed and (objection := check_folder_name(experiment.run_name)):
            problems.append(Problem(definition.place, "name", objection))
    return kept


def _are_alike(one: Definition, other: Definition) -> bool:
    """Return whether two definitions are the same experiment, seeds aside."""
    seed = one.experiment.seed
    return one is other or one.experiment == with_seed(other.experiment, seed)


def _clash(first: Definition, second: Definition) -> Problem:
    one, other = first.experiment, second.experiment
    if one.name == other.name:
        differing = [name for name in SETTINGS if getattr(one, name) != getattr(other, name)]
        told = ", ".join(
            f"{name} {show(getattr(one, name))} and {show(getattr(other, name))}"
            for name in differing
        )
        # A setting that one of them lacks would not do: no template may ask for it.
        in_both = [
            name for name in differing if None not in (getattr(one, name), getattr(other, name))
        ]
        hint = f", or put {{{in_both[0]}}} into it" if in_both else ""
        message = (
            f'"{one.name}" is also made at {first.place}: they differ in {told}; '
            f"choose another name{hint}"
        )
    elif one.name.casefold() == other.name.casefold():
        message = (
            f'"{other.name}" is one folder with "{one.name}" at {first.place} on macOS and '
            "Windows; choose names that differ in more than case"
        )
    else:
        message = (
            f'"{other.name}" with seed {other.seed} has the folder {other.run_name} of '
            f'"{one.name}" with seed {one.seed} at {first.place}; choose a name that does not '
            "end in _s and a number"
        )
    return Problem(second.place, "name", message)


def _selected(definitions: list[Definition], only: Sequence[str]) -> list[Definition]:
    if not only:
        return definitions
    selected = [
        definition
        for definition in definitions
        if any(
            fnmatchcase(name, pattern)
            for name in (definition.experiment.name, definition.experiment.run_name)
            for pattern in only
        )
    ]
    if not selected:
        names = ", ".join(definition.experiment.run_name for definition in definitions[:3])
        message = f"matches none of the {len(definitions)} runs, which begin with {names}"
        raise InputError([Problem(Place(f"--only {' --only '.join(only)}"), "", message)])
    return selected
