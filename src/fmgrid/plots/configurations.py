"""What was trained, under all the names that it has."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fmgrid.analysis.statistics import Estimate
from fmgrid.analysis.study import Repeated, Study, best_first, by_configuration, merged
from fmgrid.plots.paper import LONGEST, readable, tell_apart
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
    found = list(by_configuration(study.scored.values()).values())
    labels = tell_apart(same[0].name for same in found)
    return [
        _called(one, [other.name for other in same], titles, labels[one.name])
        for one, same in zip(merged(study.scored.values()), found, strict=True)
    ]


def highest_first(members: Iterable[Repeated], metric: str) -> list[tuple[Repeated, Estimate]]:
    """Return those that have the metric, with what it is."""
    found = ((one, one.estimate(metric)) for one in best_first(members, metric))
    return [(one, estimated) for one, estimated in found if estimated]


def _called(
    one: Repeated, names: Sequence[str], titles: dict[str, list[str]], label: str
) -> Configuration:
    more = len(names) - 1
    others = f" (+{counted(more, 'name')})" if more else ""
    return Configuration(
        names=tuple(names),
        groups=tuple(dict.fromkeys(title for name in names for title in titles[name])),
        repeated=one,
        label=readable(label, LONGEST - len(others)) + others,
    )
