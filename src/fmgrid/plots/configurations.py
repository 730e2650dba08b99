"""What was trained, under all the names that it has."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fmgrid.plots.paper import LONGEST, readable
from fmgrid.statistics import Estimate
from fmgrid.study import Repeated, Study, best_first, by_configuration
from fmgrid.words import counted


@dataclass(frozen=True)
class Configuration:
    """Experiments that differ in nothing but their names count once."""

    names: tuple[str, ...]
    groups: tuple[str, ...]  # titles of the groups that any of them is in
    repeated: Repeated  # the first of them, with the runs of all

    @property
    def label(self) -> str:
        """What a picture calls it."""
        more = len(self.names) - 1
        others = f" (+{counted(more, 'name')})" if more else ""
        return readable(self.names[0], LONGEST - len(others)) + others


def configurations(study: Study) -> list[Configuration]:
    """Return what was trained, in the order of the names."""
    titles: dict[str, list[str]] = defaultdict(list)
    for group in study.groups:
        for member in group.members:
            titles[member.name].append(group.title)
    return [_merged(same, titles) for same in by_configuration(study.scored.values()).values()]


def highest_first(members: Iterable[Repeated], metric: str) -> list[tuple[Repeated, Estimate]]:
    """Return those that have the metric, with what it is."""
    found = ((one, one.estimate(metric)) for one in best_first(members, metric))
    return [(one, estimated) for one, estimated in found if estimated]


def _merged(same: Sequence[Repeated], titles: dict[str, list[str]]) -> Configuration:
    first = same[0]
    runs = {seed: row for one in reversed(same) for seed, row in one.runs.items()}
    curves = {seed: rows for one in reversed(same) for seed, rows in one.curves.items()}
    ordered = dict(sorted(runs.items()))
    return Configuration(
        names=tuple(one.name for one in same),
        groups=tuple(dict.fromkeys(title for one in same for title in titles[one.name])),
        repeated=Repeated(first.name, first.settings, ordered, curves, first.failures),
    )
