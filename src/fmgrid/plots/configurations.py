"""What was trained, under all the names that it has, and which of it is the best."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fmgrid.plots.paper import LONGEST, readable
from fmgrid.plots.wording import count
from fmgrid.statistics import ALPHA, Estimate, compare, holm
from fmgrid.study import Repeated, Study

_ENOUGH = ("epochs", "batch_size", "hidden_units", "optimizer")  # to call two the same


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
        others = f" (+{count(more, 'name')})" if more else ""
        return readable(self.names[0], LONGEST - len(others)) + others


def configurations(study: Study) -> list[Configuration]:
    """Return what was trained, in the order of the names."""
    found: dict[str, list[Repeated]] = defaultdict(list)
    for name, one in study.scored.items():
        known = None not in map(one.settings.get, _ENOUGH)
        found[one.configuration if known else f"name {name}"].append(one)
    titles: dict[str, list[str]] = defaultdict(list)
    for group in study.groups:
        for member in group.members:
            titles[member.name].append(group.title)
    return [_merged(same, titles) for same in found.values()]


def highest_first(members: Iterable[Repeated], metric: str) -> list[tuple[Repeated, Estimate]]:
    """Return those that have the metric, with what it is."""
    found = [(one, estimated) for one in members if (estimated := one.estimate(metric))]
    return sorted(found, key=lambda pair: -pair[1].mean)


def as_good_as_best(members: Sequence[Repeated], metric: str) -> list[Repeated]:
    """Return the best and those that its repeats don't tell from it, best first.

    Paired by seed, and by Holm's method, since there are many to tell from it.
    """
    best, *others = [one for one, _ in highest_first(members, metric)]
    differences = [compare(best.series(metric), other.series(metric)) for other in others]
    p_values = holm([1.0 if found is None else found.p for found in differences])
    return [best, *(one for one, p in zip(others, p_values, strict=True) if p >= ALPHA)]


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
