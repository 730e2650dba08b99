"""What was trained, under all the names that it has."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fmgrid.analysis.experiments import ExperimentRuns, best_first
from fmgrid.analysis.statistics import Estimate
from fmgrid.analysis.study import Study
from fmgrid.plots.paper import LONGEST, readable, tell_apart
from fmgrid.words import counted


@dataclass(frozen=True)
class Configuration:
    """Experiments that differ in nothing but their names count once."""

    names: tuple[str, ...]
    groups: tuple[str, ...]  # titles of the groups that any of them is in
    repeated: ExperimentRuns  # the first of them, with the runs of all
    label: str  # what a picture calls it


def configurations(study: Study) -> list[Configuration]:
    """Return what was trained, in the order of the names."""
    titles: dict[str, list[str]] = defaultdict(list)
    for group in study.groups:
        for member in group.members:
            titles[member.name].append(group.title)
    labels = tell_apart(one.name for one in study.configurations)
    return [_called(one, one.names, titles, labels[one.name]) for one in study.configurations]


def highest_first(
    members: Iterable[ExperimentRuns], metric: str
) -> list[tuple[ExperimentRuns, Estimate]]:
    """Return those that have the metric, with what it is."""
    found = ((one, one.estimate(metric)) for one in best_first(members, metric))
    return [(one, estimated) for one, estimated in found if estimated]


def _called(
    one: ExperimentRuns, names: Sequence[str], titles: dict[str, list[str]], label: str
) -> Configuration:
    more = len(names) - 1
    others = f" (+{counted(more, 'name')})" if more else ""
    return Configuration(
        names=tuple(names),
        groups=tuple(dict.fromkeys(title for name in names for title in titles[name])),
        repeated=one,
        label=readable(label, LONGEST - len(others)) + others,
    )
