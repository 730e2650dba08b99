"""What was trained, under all the names that it has."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fmgrid.plots.paper import LONGEST, readable, tell_apart
from fmgrid.statistics import Estimate
from fmgrid.study import Repeated, Study, best_first, by_configuration
from fmgrid.words import counted


@dataclass(frozen=True)
class Configuration:
    """Experiments that differ in nothing but their names count once."""

    names: tuple[str, ...]
    groups: tuple[str, ...]  # titles of the groups that any of them is in
    repeated: Repeated  # the first of them, with the runs of all
    label: str  # what a picture calls it


def configurations(study: Study) -> list[Configuration]:
    """Return what was trained, in the order of the names."""
    titles: dict[str, list[str]] = defaultdict(list)
    for group in study.groups:
        for member in group.members:
            titles[member.name].append(group.title)
    found = by_configuration(study.scored.values()).values()
    labels = tell_apart(same[0].name for same in found)
    return [_merged(same, titles, labels[same[0].name]) for same in found]


def highest_first(members: Iterable[Repeated], metric: str) -> list[tuple[Repeated, Estimate]]:
    """Return those that have the metric, with what it is."""
    found = ((one, one.estimate(metric)) for one in best_first(members, metric))
    return [(one, estimated) for one, estimated in found if estimated]


def _merged(same: Sequence[Repeated], titles: dict[str, list[str]], label: str) -> Configuration:
    first, more = same[0], len(same) - 1
    others = f" (+{counted(more, 'name')})" if more else ""
    runs = {seed: row for one in reversed(same) for seed, row in one.runs.items()}
    curves = {seed: rows for one in reversed(same) for seed, rows in one.curves.items()}
    ordered = dict(sorted(runs.items()))
    return Configuration(
        names=tuple(one.name for one in same),
        groups=tuple(dict.fromkeys(title for one in same for title in titles[one.name])),
        repeated=Repeated(first.name, first.settings, ordered, curves, first.failures),
        label=readable(label, LONGEST - len(others)) + others,
    )
