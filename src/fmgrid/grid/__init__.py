"""Grid files -> experiments, with the line of everything that was written.

A file spells out the union of its [grid], [[zip]] and [[point]] blocks, each laid over
[base], and of the files that it takes in. Whatever is wrong, in any number of files, is
reported at once: nothing is returned unless everything is right.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from fnmatch import fnmatchcase
from itertools import chain
from pathlib import Path

from fmgrid.errors import InputError, Place, Problem
from fmgrid.grid.blocks import Definition, Grid
from fmgrid.grid.expansion import expand, with_seed
from fmgrid.grid.files import RealPath, member_files, read_files
from fmgrid.grid.hypotheses import state
from fmgrid.grid.names import check_folder_name
from fmgrid.grid.reading import read_grid, read_overrides
from fmgrid.hypotheses.commands import Command
from fmgrid.hypotheses.registry import GridRecord, Hypothesis, RegisteredHypothesis
from fmgrid.settings import changed_settings, describe_change
from fmgrid.words import printable

__all__ = ["MAX_RUNS", "Definition", "File", "Plan", "load_plan", "to_asked"]

MAX_RUNS = 10_000

_SHOWN_PROBLEMS = 5  # of one setting on one line, which all the points of a grid may have


@dataclass(frozen=True)
class File:
    """A grid file: what it asks, the experiments that it is about, and what it expects."""

    path: str  # as given, with "/" on every system
    real_path: str  # absolute and without links: the same for a file, however it is named
    question: str  # the comment that the file begins with, "" if there is none
    names: tuple[str, ...]  # of all its experiments, those taken in first; --only drops none
    own: tuple[str, ...]  # those of them that its own blocks spell out
    hypotheses: tuple[Hypothesis, ...]


@dataclass(frozen=True)
class Plan:
    """What is to be run, and what was said of it before."""

    definitions: list[Definition]
    files: list[File]  # in the order that they are read
    unanswerable: list[Problem]  # what hypotheses are about and --set took away

    @property
    def hypotheses(self) -> list[Hypothesis]:
        """Those of all files."""
        return [hypothesis for file in self.files for hypothesis in file.hypotheses]


def load_plan(
    paths: Sequence[Path],
    *,
    overrides: Sequence[str] = (),
    only: Sequence[str] = (),
    seeds: Sequence[int] | None = None,
    max_runs: int = MAX_RUNS,
) -> Plan:
    """Return the experiments of all grids in the order they are written, each once, by file.

    A folder means the *.toml files directly in it. *overrides* are "setting=value" and have the
    last word; *only* are patterns of names; *seeds* replace those of the files. Raises
    `InputError` with every problem of every file.
    """
    problems: list[Problem] = []
    settled = read_overrides(overrides, problems)
    grids = read_files(paths, lambda path: read_grid(path, settled, seeds, problems), problems)
    if over_limit := _over_limit(list(grids.values()), max_runs):
        raise InputError(_thinned([*problems, over_limit]))
    expanded: dict[RealPath, list[Definition]] = {}
    clear: set[RealPath] = set()  # files of which all experiments could be spelled out
    for file, grid in grids.items():
        before = len(problems)
        expanded[file] = list(expand(grid, problems))
        if grid.sound and len(problems) == before:
            clear.add(file)
    definitions = _distinct(chain.from_iterable(expanded.values()), problems)
    unanswerable: list[Problem] = []
    objections = unanswerable if settled else problems
    files = [_state(grids, file, expanded, clear, objections) for file in grids]
    if problems:
        raise InputError(_thinned(problems))
    return Plan(_selected(definitions, only), files, unanswerable)


def _state(
    grids: Mapping[RealPath, Grid],
    file: RealPath,
    expanded: Mapping[RealPath, Sequence[Definition]],
    clear: set[RealPath],
    problems: list[Problem],
) -> File:
    """Hold what a file says against its experiments, if it is clear which these are."""
    grid, members = grids[file], member_files(grids[file])
    own = [definition.experiment for definition in expanded[file]]
    taken_in = [one.experiment for member in members for one in expanded.get(member, ())]
    statements = grid.statements if clear.issuperset([*members, file]) else ()
    return File(
        path=grid.path.as_posix(),
        real_path=Path(file).as_posix(),
        question=grid.question,
        names=tuple({experiment.name: None for experiment in (*taken_in, *own)}),
        own=tuple({experiment.name: None for experiment in own}),
        hypotheses=state(statements, [*taken_in, *own], problems),
    )


def to_asked(
    plan: Plan, since: datetime, command: str | None = None, values: Command | None = None
) -> list[GridRecord]:
    """Return the record of each grid: since when it asks, and the command that runs it.

    Its text can be held by a file, though the name of a grid may be no Unicode.
    """
    return [
        GridRecord(
            path=printable(file.path),
            question=file.question,
            names=file.own,
            hypotheses=tuple(
                RegisteredHypothesis(**dict(one), since=since) for one in file.hypotheses
            ),
            commands=(command,) if command else (),
            runs=(values,) if values else (),
            file=printable(file.real_path),
        )
        for file in plan.files
    ]


def _over_limit(grids: Sequence[Grid], max_runs: int) -> Problem | None:
    total = sum(grid.count for grid in grids)
    if total <= max_runs:
        return None
    largest = max(grids, key=lambda grid: grid.count)
    own, all_runs = (
        f"{number:,}" if number < 10**18 else "more than 10^18" for number in (largest.count, total)
    )
    together = "" if len(grids) == 1 else f"; all {len(grids)} grids together {all_runs}"
    return Problem(
        Place(str(largest.path)),
        "",
        f"spells out {own} runs{together}, and the limit is {max_runs:,}; "
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
        if (more := len(group) - _SHOWN_PROBLEMS) > 0:
            last = replace(last, message=f"{last.message} (and {more:,} more like this)")
        kept += [*shown, last]
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
    one, other = first.experiment, second.experiment
    if one.name == other.name:
        same_seed = with_seed(other, one.seed)
        # A setting that one of them lacks would not do: no template may ask for it.
        in_both = [
            name
            for name in changed_settings(one, same_seed)
            if None not in (getattr(one, name), getattr(other, name))
        ]
        hint = f", or put {{{in_both[0]}}} into it" if in_both else ""
        message = (
            f'"{one.name}" is also made at {first.place}, and here with '
            f"{describe_change(one, same_seed)}; choose another name{hint}"
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
