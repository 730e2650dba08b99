"""The runs of a folder, put in order: experiments with their repeats, and groups of them.

A configuration that has several names was trained once, and counts once: `Study.scored` gives all
of its names the same runs, and `Study.configurations` and `Group.members` have it once.
"""

import csv
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property, partial
from itertools import chain
from pathlib import PurePosixPath
from statistics import stdev
from typing import Any

from fmgrid.analysis.experiments import (
    SCORED_ON,
    ExperimentRuns,
    Group,
    distinct,
    group_by,
    merged,
    settings_key,
)
from fmgrid.analysis.statistics import NO_NOISE, Noise, noise_of
from fmgrid.experiment import typed
from fmgrid.hypotheses.registry import GridRecord
from fmgrid.metrics import WITH_SPREAD
from fmgrid.results import summary
from fmgrid.results.mltrainer_logs import NETWORK
from fmgrid.results.summary import Contents, StoredRun, natural_order, to_cells
from fmgrid.settings import SETTINGS
from fmgrid.words import first_few

_FAILED = ("failed", "timeout")
_PARTS = ("mean", "sd", "low", "high")
_NAMES_SHOWN = 3  # of attributes, in the title of a group
COLUMNS = (
    "name",
    *summary.SETTING_COLUMNS,
    *("n", "failed", "weights", "images_seen"),
    *(f"{metric}_{part}" for metric in WITH_SPREAD for part in _PARTS),
    "group",
    *summary.NEW_SETTING_COLUMNS,
)


@dataclass(frozen=True)
class Study:
    """A folder of runs, put in order."""

    experiments: Mapping[str, ExperimentRuns]  # with the runs of their name, in natural order
    groups: tuple[Group, ...]
    grids: tuple[GridRecord, ...]
    left_out: tuple[str, ...]  # everything in the folder that is not in these figures, and why
    begun: Mapping[str, datetime] = field(default_factory=dict)  # first run, by experiment
    unfinished: tuple[str, ...] = ()  # runs that are to be trained again, or to the end
    unread: tuple[str, ...] = ()  # of what is left out, what could not be read
    uncounted: tuple[str, ...] = ()  # and runs that stand in the way of others

    @cached_property
    def configurations(self) -> tuple[ExperimentRuns, ...]:
        """Each configuration with a complete run, by its first name, with the runs of all names."""
        complete = [experiment for experiment in self.experiments.values() if experiment.runs]
        return tuple(merged(complete))

    @cached_property
    def scored(self) -> dict[str, ExperimentRuns]:
        """The same by each of their names, in natural order."""
        by_name = {
            name: experiment for experiment in self.configurations for name in experiment.names
        }
        return {name: by_name[name].renamed(name) for name in self.experiments if name in by_name}

    @cached_property
    def runs(self) -> list[StoredRun]:
        """All complete runs, those that share a training included."""
        return [run for experiment in self.experiments.values() for run in experiment.runs.values()]

    @cached_property
    def failures(self) -> list[StoredRun]:
        """All runs that are not complete."""
        return [run for experiment in self.experiments.values() for run in experiment.failures]

    @cached_property
    def failed(self) -> list[str]:
        """The experiments of which fmgrid has a run that failed."""
        return list(dict.fromkeys(run.name for run in self.failures if run.status in _FAILED))

    @cached_property
    def seeds(self) -> list[int]:
        """All seeds of complete runs, as far as they are known."""
        seeds = {seed for experiment in self.configurations for seed in experiment.runs}
        return sorted(seed for seed in seeds if seed >= 0)

    @cached_property
    def unseeded(self) -> list[ExperimentRuns]:
        """The experiments of plain mltrainer, whose runs have no seed to be paired by."""
        return [experiment for experiment in self.configurations if not experiment.has_seeds]

    @cached_property
    def baseline(self) -> ExperimentRuns | None:
        """The experiment that most others differ from in one setting only; None if none is.

        Settings that change the images which judge a run do not count. Steps and images, two ways
        to say how long an epoch is, count as one setting.
        """
        settings = SETTINGS.keys() - {*SCORED_ON, "train_images"}
        keys = (partial(settings_key, setting=setting) for setting in settings)
        lines = (line for key in keys for line in group_by(self.configurations, key))
        match count_neighbours(lines).most_common(2):
            case [(first, most), (_, second)] if most > second:
                return first
        return None

    @cached_property
    def further_metrics(self) -> list[str]:
        """The metrics that only plain mltrainer knows, such as "metric.F1"."""
        return summary.further_metrics(self.runs)

    def noise(self, metric: str, experiment: ExperimentRuns) -> Noise:
        """Return how a metric varies that the same images give as that of *experiment*."""
        if metric not in self._noise:
            by_images = group_by(self.configurations, lambda member: member.images_for(metric))
            self._noise[metric] = {
                members[0].images_for(metric): noise_of(member.series(metric) for member in members)
                for members in by_images
            }
        return self._noise[metric].get(experiment.images_for(metric), NO_NOISE)

    def scatter(self, metric: str) -> list[float]:
        """Return the standard deviation of the runs of each configuration, least first."""
        series = (experiment.series(metric) for experiment in self.configurations)
        return sorted(stdev(by_seed.values()) for by_seed in series if len(by_seed) > 1)

    @cached_property
    def _noise(self) -> dict[str, dict[Hashable, Noise]]:
        """What `noise` has computed, by metric and images."""
        return {}


def count_neighbours(lines: Iterable[Sequence[ExperimentRuns]]) -> Counter[ExperimentRuns]:
    """Return how many others each shares a line with; a line differs in one setting only."""
    neighbours: Counter[ExperimentRuns] = Counter()
    for line in lines:
        neighbours.update(dict.fromkeys(line, len(line) - 1))
    return neighbours


def is_header_of_table(line: str) -> bool:
    """Return whether a table of fmgrid summarize, of this version or older, begins so."""
    try:
        names = next(csv.reader([line]), [])
    except csv.Error:  # of a file that is no text
        return False
    fixed = [name for name in names if not summary.is_argument_column(name)]
    tables = (summary.COLUMNS, summary.HISTORY_COLUMNS, COLUMNS)
    return _without_new(fixed) in map(_without_new, tables)


def _without_new(columns: Iterable[str]) -> list[str]:
    return [name for name in columns if name not in summary.COLUMNS_SINCE_0_2]


def to_study(contents: Contents, grids: Sequence[GridRecord]) -> Study:
    """Put the runs of a folder in order, by the grids that were run there."""
    left_out = [*contents.warnings]
    if contents.unfinished:
        left_out.append(f"not finished: {', '.join(contents.unfinished)}")
    uncounted: list[str] = []
    copies: list[str] = []
    by_name = {runs[0].name: runs for runs in group_by(contents.runs, lambda run: run.name)}
    experiments = {
        name: ExperimentRuns.of(_without_namesakes(by_name[name], copies, uncounted))
        for name in sorted(by_name, key=natural_order)
    }
    failures = [run for experiment in experiments.values() for run in experiment.failures]
    left_out += [": ".join(filter(None, (run.place, run.status, run.error))) for run in failures]
    if copies:
        reason = "the same bits as another run of that name, so of the same seed, and counted once"
        uncounted.append(f"{reason}: {', '.join(copies)}")
    left_out += uncounted
    scored = {name for name, experiment in experiments.items() if experiment.runs}
    left_out += [
        f"{grid.path}: none of its experiments has a complete run here"
        for grid in grids
        if grid.names and scored.isdisjoint(grid.names)
    ]
    study = Study(
        experiments,
        groups=(),
        grids=tuple(grids),
        left_out=tuple(left_out),
        begun=contents.begun,
        unfinished=(*contents.unfinished, *contents.damaged),
        unread=tuple(contents.warnings),
        uncounted=tuple(uncounted),
    )
    return replace(study, groups=tuple(_find_groups(study)))


def by_experiment(study: Study) -> list[dict[str, Any]]:
    """Return a row per experiment, by `COLUMNS`: n, mean, sd and interval of every metric."""
    rows = []
    titles = titles_by_name(study.grids)
    for experiment in study.experiments.values():
        first, *_ = (*experiment.runs.values(), *experiment.failures)
        row = to_cells(first.settings) | {
            "name": experiment.name,
            "n": len(experiment.runs),
            "failed": len(experiment.failures),
            "weights": first.metrics.get("weights"),
            "images_seen": experiment.images_seen,
            "group": titles.get(experiment.name),
        }
        for metric in (*WITH_SPREAD, *study.further_metrics):
            if estimate := experiment.estimate(metric):
                row |= {f"{metric}_{part}": getattr(estimate, part) for part in _PARTS}
        rows.append(row)
    return rows


def _without_namesakes(
    runs: Sequence[StoredRun], copies: list[str], uncounted: list[str]
) -> list[StoredRun]:
    """Return the runs of one name that count: of one configuration, and one of each seed.

    Several log folders may hold runs of one name. The places of copies go to *copies*, and
    everything else that does not count to *uncounted*.
    """
    by_settings = group_by(runs, lambda run: typed(run.settings))
    kept = max(by_settings, key=len)
    if others := [run for part in by_settings if part is not kept for run in part]:
        places = ", ".join(run.place for run in others if run.place != run.run)
        reason = f"{len(others)} of its runs, whose settings differ from the others'"
        uncounted.append(": ".join(filter(None, (runs[0].name, reason, places))))
    counted: dict[Hashable, StoredRun] = {}
    for run in [run for run in kept if run.is_complete]:
        earlier = counted.setdefault(_identity(run), run)
        if earlier is not run and _bits(run) == _bits(earlier):
            copies.append(run.place)
        elif earlier is not run:
            reason = f"as {earlier.place} has the same name and seed, and other figures"
            uncounted.append(f"{run.place}: not counted, {reason}")
    return [run for run in kept if not run.is_complete or counted[_identity(run)] is run]


def _identity(run: StoredRun) -> Hashable:
    """Return the seed of a run, or what was measured: two runs of one seed have the same bits."""
    return _bits(run) if run.seed is None else run.seed


def _bits(run: StoredRun) -> Hashable:
    """Return a key of everything that was measured of a run, but for times."""
    columns = [column for column in summary.HISTORY_COLUMNS[3:] if column != "seconds"]
    epochs = [[getattr(epoch, column) for column in columns] for epoch in run.history]
    return typed([run.metrics, epochs])


def _groups_of(grids: Sequence[GridRecord]) -> list[dict[str, list[tuple[str, ...]]]]:
    """Return the groups of each grid: the names of their blocks by the group's title.

    A group without a title is called by the grid's file, after its folder where several have it.
    """
    groups: list[dict[str, list[tuple[str, ...]]]] = []
    for grid in grids:
        by_title: dict[str, list[tuple[str, ...]]] = defaultdict(list)
        for title, names in grid.titled_blocks:
            by_title[title or PurePosixPath(grid.path).stem].append(names)
        groups.append(by_title)
    holders = Counter(title for by_title in groups for title in by_title)
    taken: Counter[str] = Counter()

    def unique(title: str, grid: GridRecord) -> str:
        path = PurePosixPath(grid.path)
        folder = path.parent.name or PurePosixPath(grid.file).parent.name
        title = title if holders[title] == 1 else f"{folder}/{title}"
        taken[title] += 1
        return title if taken[title] == 1 else f"{title} ({taken[title]})"

    return [
        {unique(title, grid): blocks for title, blocks in by_title.items()}
        for grid, by_title in zip(grids, groups, strict=True)
    ]


def titles_by_name(grids: Sequence[GridRecord]) -> dict[str, str]:
    """Return the titles of the groups that name an experiment, by its name."""
    titles: dict[str, dict[str, None]] = defaultdict(dict)
    for by_title in _groups_of(grids):
        for title, blocks in by_title.items():
            for name in chain.from_iterable(blocks):
                titles[name][title] = None
    return {name: ", ".join(groups) for name, groups in titles.items()}


def _find_groups(study: Study) -> Iterator[Group]:
    """Yield the groups of each grid, and one for configurations that no grid has by any name."""
    claimed: set[Hashable] = set()
    for grid, by_title in zip(study.grids, _groups_of(study.grids), strict=True):
        whole = _group_of(
            grid.path, grid.question, [names for _, names in grid.titled_blocks], study
        )
        claimed |= {member.configuration for member in whole.members}
        for title, blocks in by_title.items():
            group = _group_of(title, grid.question, blocks, study)
            if len(by_title) > 1:
                group = group.extended(whole)
            if group.members:
                yield group
    others = [member for member in study.configurations if member.configuration not in claimed]
    foreign = [member for member in others if not member.has_seeds]
    parts = {"": [member for member in others if member.has_seeds]}
    folders = group_by(foreign, _folder_of)
    if len(folders) == 1 or any(len(members) == 1 for members in folders):
        folders = [foreign]
    for members in folders:
        folder = _folder_of(members[0]) if len(folders) > 1 else ""
        for kind, networks in _by_attributes(members):
            title = f"{folder} {kind}".strip() or "plain mltrainer"
            parts.setdefault(title, []).extend(networks)
    for title, members in parts.items():
        if members:
            is_all = len(members) == len(study.configurations)
            yield Group("all runs" if is_all else title or "other runs", "", tuple(members))


def _by_attributes(members: list[ExperimentRuns]) -> Iterator[tuple[str, list[ExperimentRuns]]]:
    """Yield the networks that have the same attributes, after a title: those that not all have.

    Attributes that vary come first. A network that no other is like has no title.
    """
    kinds = group_by(members, lambda member: frozenset(member.settings))
    shared = set.intersection(*({*kind[0].settings} for kind in kinds))
    for kind in kinds:
        own = {name: {typed(member.settings[name]) for member in kind} for name in kind[0].settings}
        names = sorted(
            own.keys() - shared, key=lambda name: (len(own[name]) == 1, [*own].index(name))
        )
        short = first_few([name.removeprefix(NETWORK) for name in names], _NAMES_SHOWN)
        yield (f"networks with {short}" if names and len(kind) > 1 else ""), kind


def _folder_of(experiment: ExperimentRuns) -> str:
    """Return the folder in which plain mltrainer left all runs of an experiment, or ""."""
    folders = {PurePosixPath(run.folder).parent.as_posix() for run in experiment.runs.values()}
    return f"{folders.pop()}/" if len(folders) == 1 and folders != {"."} else ""


def _group_of(title: str, question: str, blocks: Iterable[tuple[str, ...]], study: Study) -> Group:
    """Return the group of the experiments that some blocks of a grid name."""
    names = [*dict.fromkeys(chain.from_iterable(blocks))]
    members = distinct(study.scored[name] for name in names if name in study.scored)
    by_configuration = {member.configuration: member for member in members}
    named = ([study.scored.get(name) for name in block] for block in blocks)
    parts = [
        tuple({by_configuration[each.configuration]: None for each in block if each})
        for block in named
    ]
    missing = tuple(name for name in names if name not in study.scored)
    return Group(title, question, tuple(members), missing, tuple(filter(None, parts)))
