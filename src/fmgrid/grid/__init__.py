"""Grid files -> experiments, with the line of everything that was written.

A file spells out the union of its [grid], [[zip]] and [[point]] blocks, each laid over
[base], and of the files that it takes in. All mistakes in all files are reported at once;
experiments are returned only if there is none.
"""

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from itertools import chain
from pathlib import Path
from typing import Any

from fmgrid.components.own_data import Contents
from fmgrid.errors import InputError, Place, Problem
from fmgrid.grid.blocks import Definition, Grid, RealPath
from fmgrid.grid.expansion import expand, with_seed
from fmgrid.grid.hypotheses import read_hypotheses
from fmgrid.grid.names import check_folder_name
from fmgrid.grid.reading import read_grid, read_overrides
from fmgrid.hypotheses.registry import GridRecord, Hypothesis
from fmgrid.settings import changed_settings, describe_change
from fmgrid.words import printable, there_are

__all__ = ["MAX_RUNS", "Definition", "Plan", "load_plan"]

MAX_RUNS = 10_000

_SHOWN_PROBLEMS = 5  # of one setting on one line, which all the points of a grid may have


@dataclass(frozen=True)
class Sample:
    """A block of which only a random part is run."""

    place: Place
    chosen: int  # experiments
    combinations: int  # of the values on its axes, before exclusions


@dataclass(frozen=True)
class Plan:
    """The experiments to run, and the records and hypotheses of their grids."""

    definitions: list[Definition]
    records: list[GridRecord]  # of the grids, in the order in which they are read
    unanswerable: list[Problem]  # what hypotheses are about and --set took away
    samples: list[Sample]

    @property
    def hypotheses(self) -> list[Hypothesis]:
        """The hypotheses of all grids."""
        return [hypothesis for record in self.records for hypothesis in record.hypotheses]


def load_plan(
    paths: Sequence[Path],
    *,
    overrides: Sequence[str] = (),
    only: Sequence[str] = (),
    seeds: Sequence[int] | None = None,
    max_runs: int = MAX_RUNS,
    contents: Contents | None = None,
) -> Plan:
    """Return the experiments of all grids in the order they are written, each once, by file.

    A folder means the *.toml files directly in it. *overrides* are "setting=value" and replace
    the files' values; *only* are patterns of names; *seeds* replace those of the files. *contents*
    finds a user's own data, without which such experiments cannot be trained. Raises `InputError`
    with every problem of every file, and `DataError`.
    """
    problems: list[Problem] = []
    settled = read_overrides(overrides, problems)
    grids = _read_files(paths, lambda path: read_grid(path, settled, seeds, problems), problems)
    if over_limit := _over_limit(list(grids.values()), max_runs):
        raise InputError(_thinned([*problems, over_limit]))
    expanded: dict[RealPath, list[Definition]] = {}
    clear: set[RealPath] = set()  # files of which all experiments could be spelled out
    for file, grid in grids.items():
        before = len(problems)
        expanded[file] = list(expand(replace(grid, contents=contents), problems))
        if grid.sound and len(problems) == before:
            clear.add(file)
    definitions = _distinct(chain.from_iterable(expanded.values()), problems)
    unanswerable: list[Problem] = []
    records, now = [], datetime.now(UTC)
    for file, grid in grids.items():
        spelled_out = [
            definition.experiment
            for member in (*grid.members, file)
            for definition in expanded.get(member, ())
        ]
        hypotheses = read_hypotheses(
            grid.hypotheses,
            spelled_out if clear.issuperset([*grid.members, file]) else None,
            now,
            problems,
            unanswerable if settled else problems,
        )
        record = GridRecord(  # which a file can hold, though the name of a grid may be no Unicode
            path=printable(grid.path.as_posix()),
            question=grid.question,
            names=_names(expanded[file]),
            **_names_by_block(grid, expanded[file]),
            hypotheses=hypotheses,
            file=printable(Path(file).as_posix()),
        )
        records.append(record)
    if problems:
        raise InputError(_thinned(problems))
    samples = [each for file in grids for each in _samples(grids[file], expanded[file])]
    return Plan(_selected(definitions, only), records, unanswerable, samples)


def _read_files(
    paths: Sequence[Path], read: Callable[[Path], Grid | None], problems: list[Problem]
) -> dict[RealPath, Grid]:
    """Return the grids of all files, each once; included files come before the file.

    What *read* returns None for is left out, and has been reported by it.
    """
    named: dict[RealPath, Path] = {}
    for path in _grid_files(paths, problems):
        named.setdefault(os.path.realpath(path), path)
    grids: dict[RealPath, Grid | None] = {}
    for file, path in named.items():
        grid = read(path)
        for member, written in grid.members.items() if grid else ():
            if member not in named and member not in grids:
                grids[member] = read(written.value)
        grids[file] = grid
    read_grids = {file: grid for file, grid in grids.items() if grid}
    problems += [
        written.problem(f"{written.value} takes in files itself; name those files here")
        for grid in read_grids.values()
        for member, written in grid.members.items()
        if (included := read_grids.get(member)) and included.members
    ]
    return read_grids


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


def _over_limit(grids: Sequence[Grid], max_runs: int) -> Problem | None:
    total = sum(grid.count for grid in grids)
    if total <= max_runs:
        return None
    largest = max(grids, key=lambda grid: grid.count)
    own, every = (
        f"{number:,}" if number < 10**18 else "more than 10^18" for number in (largest.count, total)
    )
    message = (
        f"spells out {own} of {every} runs, and the limit is {max_runs:,}; "
        "make it smaller or raise the limit with --max-runs"
    )
    return Problem(Place(str(largest.path)), "", message)


def _thinned(problems: Iterable[Problem]) -> list[Problem]:
    """Keep the first few of those that one line has with one setting, and count the others."""
    alike: dict[tuple[Place, str], list[Problem]] = defaultdict(list)
    for problem in dict.fromkeys(problems):
        alike[problem.place, problem.setting].append(problem)
    kept: list[Problem] = []
    for group in alike.values():
        *first_few, last = group[:_SHOWN_PROBLEMS]
        if (more := len(group) - _SHOWN_PROBLEMS) > 0:
            last = replace(last, message=f"{last.message} (and {more:,} more like this)")
        kept += [*first_few, last]
    return kept


def _distinct(definitions: Iterable[Definition], problems: list[Problem]) -> list[Definition]:
    """Drop repetitions of one experiment; refuse two different ones of one name."""
    by_name: dict[str, Definition] = {}
    by_run: dict[str, Definition] = {}
    kept: list[Definition] = []
    for definition in definitions:
        experiment = definition.experiment
        namesake = by_name.setdefault(experiment.name.casefold(), definition)
        if namesake.experiment != with_seed(experiment, namesake.experiment.seed):
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


def _clash(first: Definition, second: Definition) -> Problem:
    earlier, later = first.experiment, second.experiment
    if earlier.name == later.name:
        same_seed = with_seed(later, earlier.seed)
        # A setting that one of them lacks would not do: no template may ask for it.
        in_both = [
            name
            for name in changed_settings(earlier, same_seed)
            if None not in (getattr(earlier, name), getattr(later, name))
        ]
        hint = f", or put {{{in_both[0]}}} into it" if in_both else ""
        message = (
            f'"{earlier.name}" is also made at {first.place}, and here with '
            f"{describe_change(earlier, same_seed)}; choose another name{hint}"
        )
    elif earlier.name.casefold() == later.name.casefold():
        message = (
            f'"{later.name}" is one folder with "{earlier.name}" at {first.place} on macOS and '
            "Windows; choose names that differ in more than case"
        )
    else:
        message = (
            f'"{later.name}" with seed {later.seed} has the folder {later.run_name} of '
            f'"{earlier.name}" with seed {earlier.seed} at {first.place}; choose a name that does '
            "not end in _s and a number"
        )
    return Problem(second.place, "name", message)


def _samples(grid: Grid, definitions: Sequence[Definition]) -> Iterator[Sample]:
    for block in grid.blocks:
        if block.sample:
            chosen = [each for each in definitions if each.place == block.place]
            yield Sample(block.place, len(_names(chosen)), block.combinations)


def _names(definitions: Iterable[Definition]) -> tuple[str, ...]:
    return tuple({definition.experiment.name: None for definition in definitions})


def _names_by_block(grid: Grid, definitions: Iterable[Definition]) -> dict[str, Any]:
    """Return the names that each block spells out, and the titles of their groups.

    There are no names where there is one block only, and no titles where the file is one group.
    """
    by_block: dict[Place, list[Definition]] = defaultdict(list)
    for definition in definitions:
        by_block[definition.place].append(definition)
    titles = [title for place, title in grid.titles.items() if place in by_block]
    return {
        "blocks": tuple(map(_names, by_block.values())) if len(by_block) > 1 else (),
        "titles": tuple(titles) if any(titles) else (),
    }


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
        names = [definition.experiment.run_name for definition in definitions]
        message = f"matches no run; {there_are(names, 3)}"
        raise InputError.at(f"--only {' --only '.join(only)}", message)
    return selected
