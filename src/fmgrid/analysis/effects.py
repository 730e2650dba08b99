"""What each setting does: the swing between its best and its worst level, beside the noise.

The best and the worst are the pair of levels furthest apart over the seeds that both have. They are
picked after looking, so that their difference is tested as one of all pairs: its interval is
corrected for their number (Bonferroni), its p value for the number of settings, too (Holm), and the
swing that equals would show is Tukey's. In a factorial grid a level stands for the mean over all
others, per seed.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, permutations
from math import log2
from statistics import fmean
from typing import Any

from fmgrid.analysis.statistics import (
    ALPHA,
    Difference,
    Estimate,
    Share,
    common_seeds,
    compare,
    holm,
    interval_of_one_more,
    mean_by_seed,
    shares_of_variance,
    swing_of_equals,
)
from fmgrid.analysis.study import (
    SCORED_ON,
    SINGLE_SETTINGS,
    Axis,
    Group,
    Repeated,
    Study,
    are_scored_alike,
    best_by_images,
    best_first,
    count_neighbours,
    distinct,
    is_higher_better,
    level_of,
    scored_alike,
    without,
)
from fmgrid.results.summary import as_text

MOST_CELLS = 300  # of a factorial grid whose variance is analysed


@dataclass(frozen=True)
class Effect:
    """The swing of a metric along one axis of a group."""

    group: str  # title
    setting: str  # name of the axis
    best: Any  # level
    worst: Any
    levels: int
    difference: Difference  # best minus worst; its interval holds for all pairs of levels at once
    p: float  # that equals swing so far: for all pairs of levels, and Holm's over the effects
    noise: float | None  # the swing of equals, at most, 19 times in 20
    images: tuple[int, int] | None  # fewest and most seen, where levels differ in it, time aside
    metric: str = "accuracy"
    through: str = ""  # the experiment that all others differ from in this setting only

    @property
    def is_told_apart(self) -> bool:
        """Whether best and worst can be told from equals."""
        return self.p <= ALPHA


@dataclass(frozen=True)
class Gain:
    """What one level is better by than the one before it on an ordered axis."""

    group: str
    setting: str
    before: Any
    after: Any
    difference: Difference  # after minus before
    p: float  # Holm's, over the gains of all axes


@dataclass(frozen=True)
class Against:
    """How the members of a group compare with one experiment.

    p values are Holm's over the group, or, where the reference was picked by the same figures, for
    all pairs of the group, as any of them might have been picked.
    """

    reference: Repeated
    is_picked: bool  # for being the best
    differences: Mapping[str, tuple[Difference, float]]  # by name, with the corrected p


def compare_with(study: Study, group: Group, metric: str = "accuracy") -> Against | None:
    """Compare a group's members with the study's baseline, or with the best where it has none.

    Members that other images judge are compared with nothing.

    None where there is nothing to compare.
    """
    ranked = group.ranked(metric)
    if not ranked:
        return None
    sets = scored_alike(ranked)
    baseline = study.baseline
    if baseline and not (baseline.series(metric) and len(scored_alike([baseline, *ranked])) == 1):
        baseline = None
    reference = baseline or sets[0][0]
    named = next((one for one in ranked if one.configuration == reference.configuration), reference)
    found = {
        member.name: difference
        for member in ranked
        if member.configuration != reference.configuration
        if member.scored_on == reference.scored_on
        if (difference := compare(member.series(metric), reference.series(metric)))
    }
    if not found:
        return None
    p_values = [difference.p for difference in found.values()]
    corrected = holm(p_values) if baseline else _for_all_pairs(p_values)
    pairs = zip(found.values(), corrected, strict=True)
    return Against(named, baseline is None, dict(zip(found, pairs, strict=True)))


@dataclass(frozen=True)
class Winners:
    """What one run of each experiment would have concluded, of those that the same images judge."""

    seeds: tuple[int, ...]  # that all of them have
    left_out: tuple[int, ...]  # seeds that only some of them have
    ranked: tuple[Repeated, ...]  # each configuration once, best mean first
    ranks: Mapping[str, tuple[int, ...]]  # by name, one for each seed; equals share the better one

    @property
    def names(self) -> list[str]:
        """Those that are best with one seed or more, most often first."""
        won = [name for name in self.ranks if 1 in self.ranks[name]]
        return sorted(won, key=lambda name: -self.ranks[name].count(1))

    @property
    def by_seed(self) -> dict[int, list[str]]:
        """The best with each seed; equals all are."""
        return {
            seed: [name for name, places in self.ranks.items() if places[at] == 1]
            for at, seed in enumerate(self.seeds)
        }


def find_winners(study: Study, metric: str = "accuracy") -> Winners | None:
    """Return the ranks of experiments with each seed alone, over the seeds that all of them have.

    Of several sets of experiments that different images judge it is the largest. None where that
    has fewer than two experiments, or shares no seed.
    """
    ranked, *_ = [*best_by_images(study.scored.values(), metric), []]
    series = {one.name: one.series(metric) for one in ranked}
    seeds = sorted(set(common_seeds(list(series.values()))) & set(study.seeds))
    if len(series) < 2 or not seeds:  # noqa: PLR2004 -- nothing to win
        return None
    ranks: dict[str, list[int]] = {name: [] for name in series}
    for seed in seeds:
        ordered = sorted(
            (values[seed] for values in series.values()), reverse=is_higher_better(metric)
        )
        for name, values in series.items():
            ranks[name].append(ordered.index(values[seed]) + 1)
    known = {seed for values in series.values() for seed in values} & set(study.seeds)
    return Winners(
        seeds=tuple(seeds),
        left_out=tuple(sorted(known - set(seeds))),
        ranked=tuple(ranked),
        ranks={name: tuple(places) for name, places in ranks.items()},
    )


def as_good_as_best(members: Iterable[Repeated], metric: str = "accuracy") -> list[Repeated]:
    """Return the best and those that its repeats don't tell from it, best first.

    Paired by seed. Any of them might have been the best of these figures, so that p values are
    corrected for all pairs (Bonferroni).
    """
    best, *others = best_first(members, metric)
    differences = [compare(best.series(metric), other.series(metric)) for other in others]
    p_values = _for_all_pairs([1.0 if found is None else found.p for found in differences])
    return [best, *(one for one, p in zip(others, p_values, strict=True) if p > ALPHA)]


def find_effects(study: Study, metric: str = "accuracy") -> list[Effect]:
    """Return the effect of every setting that varies in a group, largest first."""
    found = [
        effect
        for group in study.groups
        for part, axis, through in _contrasts(study, group)
        if (effect := _effect(part, axis, metric, through))
    ]
    corrected = holm([effect.p for effect in found])
    found = [replace(effect, p=p) for effect, p in zip(found, corrected, strict=True)]
    return sorted(found, key=lambda effect: -abs(effect.difference.mean))


def find_shares(group: Group, metric: str = "accuracy") -> list[Share]:
    """Return what the axes of a factorial group and their interactions contribute.

    p values are Holm's over all of them. Empty where the group isn't factorial, where different
    images judge its members, where these have fewer than two seeds in common, or too many cells.
    """
    if group.shape != "factorial" or len(group.distinct) > MOST_CELLS:
        return []
    if not are_scored_alike(group.distinct):
        return []
    series = [member.series(metric) for member in group.distinct]
    seeds = common_seeds(series)
    if len(seeds) < 2:  # noqa: PLR2004 -- one run a cell leaves nothing to measure noise by
        return []
    rows = [(member, seed) for member in group.distinct for seed in seeds]
    axes = {axis.name: [level_of(member, axis.name) for member, _ in rows] for axis in group.axes}
    values = [member.series(metric)[seed] for member, seed in rows]
    if max(values) == min(values):
        return []
    shares = shares_of_variance(axes, [seed for _, seed in rows], values)
    corrected = iter(holm([share.p for share in shares if share.p is not None]))
    return [share if share.p is None else replace(share, p=next(corrected)) for share in shares]


def find_gains(study: Study, metric: str = "accuracy") -> list[Gain]:
    """Return what each step along the ordered axes brings: diminishing returns, or not."""
    steps = [
        (part.title, axis.name, before, after, difference)
        for group in study.groups
        for part, axis, _ in _contrasts(study, group)
        if axis.is_numeric
        for (before, low), (after, high) in pairwise(_series(part, axis, metric).items())
        if (difference := compare(high, low))
    ]
    corrected = holm([difference.p for *_, difference in steps])
    return [Gain(*step, p) for step, p in zip(steps, corrected, strict=True)]


def _for_all_pairs(p_values: Sequence[float]) -> list[float]:
    """Correct the p values of one that was picked against each of the others."""
    pairs = len(p_values) * (len(p_values) + 1) // 2
    return [min(1.0, pairs * p) for p in p_values]


def _contrasts(study: Study, group: Group) -> Iterator[tuple[Group, Axis, str]]:
    """Yield the axes along which a group can be compared, with the members that show it.

    Which images judge a run is none: figures of other images differ for that alone.
    In a group that is no product, those members count that differ in one setting only from the
    study's baseline, or, where none do, from the member that most others are so close to. The
    name of that comes with them.
    """
    if group.shape in ("one axis", "factorial"):
        yield from ((group, axis, "") for axis in group.axes if axis.name not in SCORED_ON)
    elif group.shape == "irregular":
        found = list(_slices(group, study.baseline)) if study.baseline else []
        yield from found or _slices(group, count_neighbours(group.distinct).most_common(1)[0][0])


def _slices(group: Group, baseline: Repeated) -> Iterator[tuple[Group, Axis, str]]:
    for setting in (name for name in SINGLE_SETTINGS if name not in SCORED_ON):
        alike = [
            one for one in group.distinct if without(one, setting) == without(baseline, setting)
        ]
        members = tuple({one.configuration: one for one in (baseline, *alike)}.values())
        axes = Group(group.title, "", members).axes  # several arguments are one setting
        for axis in axes:
            others = [other.name for other in axes if other is not axis]
            near = [one for one in members if _agree(one, baseline, others)]
            part = Group(group.title, "", tuple(near))
            if part.shape == "one axis":
                yield part, part.axes[0], baseline.name


def _agree(one: Repeated, other: Repeated, axes: Iterable[str]) -> bool:
    """Return whether two experiments have the same level on each of these axes."""
    return all(level_of(one, axis) == level_of(other, axis) for axis in axes)


def _series(group: Group, axis: Axis, metric: str) -> dict[Any, dict[int, float]]:
    """Return the metric by level and seed, as a mean over the members of a level."""
    means = {
        level: mean_by_seed([member.series(metric) for member in members])
        for level, members in group.at(axis).items()
    }
    return {level: found for level, found in means.items() if found}


def _effect(group: Group, axis: Axis, metric: str, through: str) -> Effect | None:
    series = _series(group, axis, metric)
    pairs = len(series) * (len(series) - 1) // 2
    picked = _furthest_apart(series, metric)
    if picked is None:
        return None
    best, worst = picked
    difference = compare(series[best], series[worst], confidence=1 - ALPHA / pairs)
    if difference is None:
        return None
    return Effect(
        group=group.title,
        setting=axis.name,
        best=best,
        worst=worst,
        levels=len(series),
        difference=difference,
        p=min(1.0, difference.p * pairs),
        noise=swing_of_equals(list(series.values())),
        images=group.confounded.get(axis.name),
        metric=metric,
        through=through,
    )


def _furthest_apart(
    series: Mapping[Any, Mapping[int, float]], metric: str
) -> tuple[Any, Any] | None:
    """Return the best level and the worst over the seeds that both have, repeated ones first."""
    sign = 1 if is_higher_better(metric) else -1

    def lead(pair: tuple[Any, Any]) -> tuple[bool, float]:
        high, low = series[pair[0]], series[pair[1]]
        shared = common_seeds([high, low])
        return len(shared) > 1, sign * fmean(high[seed] - low[seed] for seed in shared)

    levels = list(series)
    if len(set(map(frozenset, series.values()))) == 1:  # then the means alone tell, and soon
        levels.sort(key=lambda level: -sign * fmean(series[level].values()))
        levels = [levels[0], levels[-1]] if len(levels) > 1 else []
    sharing = [
        pair for pair in permutations(levels, 2) if common_seeds([series[level] for level in pair])
    ]
    return max(sharing, key=lead, default=None)


# Rises of the validation loss, trainings that are parts of others, published figures


def past_best(study: Study) -> list[tuple[str, float]]:
    """Return the runs with a lower validation loss before their end, and the rise since then."""
    rises = [
        (row["run"], row["valid_loss"] - row["best_valid_loss"])
        for row in study.rows
        if None not in (row.get("valid_loss"), row.get("best_valid_loss"))
    ]
    return sorted((pair for pair in rises if pair[1] > 0), key=lambda pair: -pair[1])


def find_nested(experiments: Iterable[Repeated]) -> list[list[Repeated]]:
    """Return the configurations that differ only in `epochs`, those together."""
    alike: dict[str, list[Repeated]] = {}
    for one in distinct(experiments):
        alike.setdefault(without(one, "epochs"), []).append(one)
    return [same for same in alike.values() if len(same) > 1]


def per_doubling(gain: Gain) -> float | None:
    """Return the gain for each doubling of the setting, None if a level is not positive."""
    if gain.before <= 0 or gain.after <= 0:
        return None
    return float(gain.difference.mean / log2(gain.after / gain.before))


@dataclass(frozen=True)
class Beside:
    """A published figure beside our runs of the same experiment."""

    name: str
    published: float
    of: Repeated
    ours: Estimate
    prediction: tuple[float, float] | None  # where one more run of ours falls in 95 % of cases

    @property
    def is_outside(self) -> bool:
        """Whether one more run of ours would hardly give the published figure."""
        interval = self.prediction
        return interval is not None and not interval[0] <= self.published <= interval[1]


def set_beside(
    study: Study, published: Mapping[str, Mapping[str, float]], metric: str
) -> list[Beside]:
    """Return each figure of a metric, of those by experiment and metric, beside our runs."""
    scored = by_name_in_tables(study)
    return [
        Beside(name, figures[metric], scored[name], ours, interval_of_one_more(ours))
        for name, figures in published.items()
        if metric in figures and name in scored and (ours := scored[name].estimate(metric))
    ]


def by_name_in_tables(study: Study) -> dict[str, Repeated]:
    """Return the experiments by name, and by the quoted name that tables have for a formula."""
    return {as_text(name): one for name, one in study.scored.items()} | study.scored
