"""The effects of settings and epochs, steps, shares of variance, learning curves, gaps.

The effect of a setting is the difference between its two levels that are furthest apart, over the
seeds that both have. This pair is chosen after the results are known. Bonferroni corrects its
interval and its p value for the number of pairs. Holm also corrects the p value for the number of
settings. Tukey's range gives what noise alone would show. In a factorial grid a level stands for
the mean over all levels of the other axes, per seed.
"""

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise, permutations
from math import comb, log2
from statistics import fmean
from typing import Any

from fmgrid.analysis.experiments import (
    SCORED_ON,
    Axis,
    ExperimentRuns,
    Group,
    are_scored_alike,
    count_neighbours,
    distinct,
    group_by,
    level_of,
    settings_key,
)
from fmgrid.analysis.statistics import (
    ALPHA,
    Difference,
    Estimate,
    VarianceComponent,
    common_seeds,
    compare,
    difference,
    estimate,
    holm,
    mean_by_seed,
    minus,
    shares_of_variance,
    studentized_range_bound,
)
from fmgrid.analysis.study import Study
from fmgrid.metrics import METRICS, finite
from fmgrid.settings import DEFAULTS, is_same, to_toml

GAP = "overfitting_gap"
MOST_CELLS = 300  # of a factorial grid whose variance is analysed


@dataclass(frozen=True)
class Effect:
    """The range of a metric along one axis of a group."""

    group: str  # title
    setting: str  # name of the axis
    best: Any  # level
    worst: Any
    levels: int
    difference: Difference  # best minus worst; its interval holds for all pairs of levels at once
    p: float  # corrected for all pairs of levels, and by Holm's method for the effects
    noise: float | None  # the range that noise alone stays below in 95 % of cases
    images: tuple[int, int] | None  # fewest and most seen, where levels differ in it, time aside
    metric: str = "accuracy"
    through: str = ""  # the experiment that all others differ from in this setting only

    @property
    def is_significant(self) -> bool:
        """Whether best and worst differ significantly."""
        return self.p <= ALPHA


@dataclass(frozen=True)
class StepEffect:
    """The difference between a level and the one before it on an ordered axis."""

    group: str
    setting: str
    before: Any
    after: Any
    difference: Difference  # after minus before
    p: float  # Holm's, over the steps of all axes

    @property
    def per_doubling(self) -> float | None:
        """The gain for each doubling of the setting, None if a level is not positive."""
        if self.before <= 0 or self.after <= 0:
            return None
        return float(self.difference.mean / log2(self.after / self.before))


@dataclass(frozen=True)
class EpochMean:
    """A metric after an epoch, over seeds."""

    epoch: int
    estimate: Estimate
    images: int | None = None  # training images seen until then


@dataclass(frozen=True)
class Gap:
    """Validation loss minus train loss of a configuration, at the end of training."""

    experiment: ExperimentRuns  # with the runs of all names of the configuration
    train_loss: float  # mean loss of the last epoch's batches
    estimate: Estimate
    sign: int  # 1: significantly above zero, -1: below, 0: neither


def find_effects(study: Study, metric: str = "accuracy") -> list[Effect]:
    """Return the effect of every setting that varies in a group, largest first."""
    effects = []
    for part, axis, through in _contrasts(study):
        series = _series(part, axis, metric)
        if furthest := _furthest_apart(series, metric):
            best, worst, leads = furthest
            pairs = comb(len(series), 2)
            lead = difference(leads, confidence=1 - ALPHA / pairs)
            effects.append(
                Effect(
                    group=part.title,
                    setting=axis.name,
                    best=best,
                    worst=worst,
                    levels=len(series),
                    difference=lead,
                    p=min(1.0, lead.p * pairs),
                    noise=studentized_range_bound(list(series.values())),
                    images=part.confounded.get(axis.name),
                    metric=metric,
                    through=through,
                )
            )
    corrected = holm([effect.p for effect in effects])
    effects = [replace(effect, p=p) for effect, p in zip(effects, corrected, strict=True)]
    return sorted(effects, key=lambda effect: -abs(effect.difference.mean))


def find_gains(study: Study, metric: str = "accuracy") -> list[StepEffect]:
    """Return the difference that each step along the ordered axes makes."""
    steps = [
        (part.title, axis.name, before, after, difference)
        for part, axis, _ in _contrasts(study)
        if axis.is_numeric
        for (before, low), (after, high) in pairwise(_series(part, axis, metric).items())
        if (difference := compare(high, low))
    ]
    corrected = holm([difference.p for *_, difference in steps])
    return [StepEffect(*step, p) for step, p in zip(steps, corrected, strict=True)]


def find_shares(group: Group, metric: str = "accuracy") -> list[VarianceComponent]:
    """Return the contributions of a factorial group's axes and of their interactions.

    Empty where the group isn't factorial, where different images judge its members, where these
    have fewer than two seeds in common, or too many cells.
    """
    members = group.members
    if group.shape != "factorial" or len(members) > MOST_CELLS or not are_scored_alike(members):
        return []
    series = [member.series(metric) for member in members]
    seeds = common_seeds(series)
    values = [by_seed[seed] for by_seed in series for seed in seeds]
    # One run a cell leaves nothing to measure noise by.
    if len(seeds) < 2 or max(values) == min(values):  # noqa: PLR2004
        return []
    axes = {
        axis.name: [level_of(member, axis) for member in members for _ in seeds]
        for axis in group.axes
    }
    return shares_of_variance(axes, seeds * len(members), values)


def level_means(group: Group, axis: Axis, metric: str) -> dict[Any, Estimate]:
    """Return the metric's mean at each level of an axis, over the experiments that share it."""
    return {
        level: mean
        for level, members in group.by_level(axis).items()
        if (mean := _mean_over(member.series(metric) for member in members))
    }


def epoch_means(members: Iterable[ExperimentRuns], metric: str) -> list[EpochMean]:
    """Return the metric's mean over experiments after each epoch that all their runs have.

    Runs without a history don't count.
    """
    histories = [
        {
            seed: {
                epoch.epoch: epoch
                for epoch in run.history
                if finite(getattr(epoch, metric)) is not None
            }
            for seed, run in experiment.runs.items()
            if run.history
        }
        for experiment in members
    ]
    runs = [epochs for by_seed in histories for epochs in by_seed.values()]
    means = []
    for epoch in sorted(set(runs[0]).intersection(*runs)) if runs else ():
        mean = _mean_over(
            {seed: getattr(epochs[epoch], metric) for seed, epochs in by_seed.items()}
            for by_seed in histories
        )
        if mean:
            means.append(EpochMean(epoch, mean, runs[0][epoch].images_seen))
    return means


def find_gaps(study: Study) -> list[Gap]:
    """Return the gap of every configuration, widest first; signs are corrected (Holm)."""
    gaps = [
        Gap(experiment, train_loss, estimate, sign=1 if estimate.mean > 0 else -1)
        for experiment in study.configurations
        if (estimate := experiment.estimate(GAP))
        if (train_loss := experiment.mean("train_loss")) is not None
    ]
    p_values = holm([difference([*gap.experiment.series(GAP).values()]).p for gap in gaps])
    signed = [
        replace(gap, sign=0) if p > ALPHA else gap for gap, p in zip(gaps, p_values, strict=True)
    ]
    return sorted(signed, key=lambda gap: -gap.estimate.mean)


def find_loss_rises(study: Study) -> list[tuple[str, float]]:
    """Return the runs with a lower validation loss before their end, and the rise since then."""
    rises = []
    for run in study.runs:
        loss, best = run.metrics.get("valid_loss"), run.metrics.get("best_valid_loss")
        if loss is not None and best is not None and loss > best:
            rises.append((run.run, loss - best))
    return sorted(rises, key=lambda pair: -pair[1])


def find_nested(experiments: Iterable[ExperimentRuns]) -> list[list[ExperimentRuns]]:
    """Return the configurations that differ only in `epochs`, those together."""
    sets = group_by(distinct(experiments), partial(settings_key, setting="epochs"))
    return [snapshots for snapshots in sets if len(snapshots) > 1]


def _contrasts(study: Study) -> Iterator[tuple[Group, Axis, str]]:
    """Yield the axes along which groups can be compared, with the members that show it.

    In a group that is no product, those members count that differ in one setting only from the
    study's baseline, or, where none do, from the member that most others are so close to. The
    name of that comes with them. A contrast between the same configurations in two groups is one.
    """
    keys: set[Hashable] = set()
    for group in study.groups:
        contrasts = [(group, axis, "") for axis in group.axes]
        if group.shape == "irregular":
            slices = list(_slices(group, study.baseline)) if study.baseline else []
            contrasts = slices or list(_slices(group, _middle(group)))
        for part, axis, through in contrasts:
            key = axis.name, frozenset(member.configuration for member in part.members)
            # Figures of other images differ for that alone.
            if axis.name not in SCORED_ON and key not in keys:
                keys.add(key)
                yield part, axis, through


def _middle(group: Group) -> ExperimentRuns:
    """Return the member that most others differ from along one axis only.

    Of equals it is the one closest to the defaults: a name decides nothing.
    """
    axes = (axis for axis in group.axes if axis.name not in SCORED_ON)
    near = count_neighbours(line for axis in axes for line in group.lines(axis))

    def order(member: ExperimentRuns) -> tuple[int, int, str]:
        defaults = [is_same(member.settings.get(name), DEFAULTS[name]) for name in DEFAULTS]
        return near[member], sum(defaults), to_toml(member.settings)

    return max(group.members, key=order)


def _slices(group: Group, middle: ExperimentRuns) -> Iterator[tuple[Group, Axis, str]]:
    """Yield the members that differ from *middle* along one axis only, for each axis."""
    whole = replace(group, members=tuple(distinct([middle, *group.members])))
    for axis in whole.axes:
        line = next(line for line in whole.lines(axis) if middle in line)
        part = replace(group, members=tuple(line))
        if part.shape == "one axis" and axis.name not in SCORED_ON:
            yield part, part.axes[0], middle.name


def _series(group: Group, axis: Axis, metric: str) -> dict[Any, dict[int, float]]:
    """Return the metric by level and seed, as a mean over the members of a level."""
    return {
        level: by_seed
        for level, members in group.by_level(axis).items()
        if (by_seed := mean_by_seed([member.series(metric) for member in members]))
    }


def _furthest_apart(
    series: Mapping[Any, Mapping[int, float]], metric: str
) -> tuple[Any, Any, Sequence[float]] | None:
    """Return the best level, the worst, and their differences over the seeds that both have.

    Levels that share several seeds come before those that share one.
    """
    sign = 1 if METRICS[metric].is_higher_better else -1
    levels = list(series)
    if len(set(map(frozenset, series.values()))) == 1:  # then the means alone tell, and soon
        levels.sort(key=lambda level: -sign * fmean(series[level].values()))
        del levels[1:-1]
    pairs = (
        (best, worst, list(minus(series[best], series[worst]).values()))
        for best, worst in permutations(levels, 2)
    )
    sharing = (pair for pair in pairs if pair[2])
    return max(sharing, key=lambda pair: (len(pair[2]) > 1, sign * fmean(pair[2])), default=None)


def _mean_over(series: Iterable[Mapping[int, float]]) -> Estimate | None:
    """Return the mean over experiments; its interval is over the seeds that all of them have."""
    series = [by_seed for by_seed in series if by_seed]
    if by_seed := mean_by_seed(series):
        return estimate(by_seed.values())
    return Estimate(1, fmean(fmean(by_seed.values()) for by_seed in series)) if series else None
