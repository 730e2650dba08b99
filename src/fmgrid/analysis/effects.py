"""The effect of each setting: the range from its best to its worst level, beside the noise.

The best and the worst are the pair of levels furthest apart over the seeds that both have. They are
picked after looking, so that their difference is tested as one of all pairs: its interval is
corrected for their number (Bonferroni), its p value for the number of settings, too (Holm), and the
range that noise alone would show is Tukey's. In a factorial grid a level stands for the mean over
all others, per seed.
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise, permutations
from math import log2
from statistics import fmean
from typing import Any

from fmgrid.analysis.axes import Axis, Group, find_axes, level_of, other_levels
from fmgrid.analysis.experiments import (
    SCORED_ON,
    ExperimentRuns,
    are_scored_alike,
    distinct,
    together,
    without,
)
from fmgrid.analysis.statistics import (
    ALPHA,
    Difference,
    Estimate,
    VarianceComponent,
    common_seeds,
    compare,
    holm,
    interval_of_one_more,
    mean_by_seed,
    minus,
    shares_of_variance,
    studentized_range_bound,
)
from fmgrid.analysis.study import Study
from fmgrid.metrics import METRICS
from fmgrid.results.summary import as_text
from fmgrid.settings import DEFAULTS, is_same, to_toml

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


def find_effects(study: Study, metric: str = "accuracy") -> list[Effect]:
    """Return the effect of every setting that varies in a group, largest first."""
    effects = [
        effect
        for part, axis, through in _contrasts(study)
        if (effect := _effect(part, axis, metric, through))
    ]
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
    """Return what the axes of a factorial group and their interactions contribute.

    p values are Holm's over all of them. Empty where the group isn't factorial, where different
    images judge its members, where these have fewer than two seeds in common, or too many cells.
    """
    members = group.members
    if group.shape != "factorial" or len(members) > MOST_CELLS or not are_scored_alike(members):
        return []
    series = [member.series(metric) for member in members]
    seeds = common_seeds(series)
    if len(seeds) < 2:  # noqa: PLR2004 -- one run a cell leaves nothing to measure noise by
        return []
    values = [one[seed] for one in series for seed in seeds]
    if max(values) == min(values):
        return []
    axes = {
        axis.name: [level_of(member, axis.name) for member in members for _ in seeds]
        for axis in group.axes
    }
    shares = shares_of_variance(axes, seeds * len(members), values)
    corrected = iter(holm([share.p for share in shares if share.p is not None]))
    return [share if share.p is None else replace(share, p=next(corrected)) for share in shares]


def _contrasts(study: Study) -> Iterator[tuple[Group, Axis, str]]:
    """Yield the axes along which groups can be compared, with the members that show it.

    In a group that is no product, those members count that differ in one setting only from the
    study's baseline, or, where none do, from the member that most others are so close to. The
    name of that comes with them. A contrast between the same configurations in two groups is one.
    """
    seen: set[Hashable] = set()
    for group in study.groups:
        contrasts = [(group, axis, "") for axis in group.axes]
        if group.shape == "irregular":
            slices = list(_slices(group, study.baseline)) if study.baseline else []
            contrasts = slices or list(_slices(group, _middle(group)))
        for part, axis, through in contrasts:
            key = axis.name, frozenset(member.configuration for member in part.members)
            # Figures of other images differ for that alone.
            if axis.name not in SCORED_ON and key not in seen:
                seen.add(key)
                yield part, axis, through


def _middle(group: Group) -> ExperimentRuns:
    """Return the member that most others differ from along one axis only.

    Of equals it is the one closest to the defaults: a name decides nothing.
    """
    axes = [axis for axis in group.axes if axis.name not in SCORED_ON]
    near: Counter[ExperimentRuns] = Counter()
    for axis in axes:
        for line in together(group.members, partial(other_levels, axes=group.axes, without=axis)):
            near.update(dict.fromkeys(line, len(line)))

    def order(one: ExperimentRuns) -> tuple[int, int, str]:
        defaults = [is_same(one.settings.get(name), DEFAULTS[name]) for name in DEFAULTS]
        return near[one], sum(defaults), to_toml(one.settings)

    return max(group.members, key=order)


def _slices(group: Group, middle: ExperimentRuns) -> Iterator[tuple[Group, Axis, str]]:
    """Yield the members that differ from *middle* along one axis only, for each axis."""
    members = distinct([middle, *group.members])
    axes = list(find_axes(members))
    for axis in axes:
        rest = other_levels(middle, axes, axis)
        near = [one for one in members if other_levels(one, axes, axis) == rest]
        part = Group(group.title, "", tuple(near))
        if part.shape == "one axis" and axis.name not in SCORED_ON:
            yield part, part.axes[0], middle.name


def _series(group: Group, axis: Axis, metric: str) -> dict[Any, dict[int, float]]:
    """Return the metric by level and seed, as a mean over the members of a level."""
    levels = group.at(axis).items()
    means = {level: mean_by_seed([one.series(metric) for one in same]) for level, same in levels}
    return {level: by_seed for level, by_seed in means.items() if by_seed}


def _effect(group: Group, axis: Axis, metric: str, through: str) -> Effect | None:
    series = _series(group, axis, metric)
    picked = _furthest_apart(series, metric)
    if picked is None:
        return None
    best, worst = picked
    pairs = len(series) * (len(series) - 1) // 2
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
        noise=studentized_range_bound(list(series.values())),
        images=group.confounded.get(axis.name),
        metric=metric,
        through=through,
    )


def _furthest_apart(
    series: Mapping[Any, Mapping[int, float]], metric: str
) -> tuple[Any, Any] | None:
    """Return the best level and the worst over the seeds that both have, repeated ones first."""
    sign = 1 if METRICS[metric].is_higher_better else -1

    def lead(pair: tuple[Any, Any]) -> tuple[bool, float]:
        leads = minus(series[pair[0]], series[pair[1]]).values()
        return len(leads) > 1, sign * fmean(leads)

    levels = list(series)
    if len(set(map(frozenset, series.values()))) == 1:  # then the means alone tell, and soon
        levels.sort(key=lambda level: -sign * fmean(series[level].values()))
        levels = [levels[0], levels[-1]] if len(levels) > 1 else []
    pairs = permutations(levels, 2)
    sharing = (pair for pair in pairs if series[pair[0]].keys() & series[pair[1]].keys())
    return max(sharing, key=lead, default=None)


# Rises of the validation loss, trainings that are parts of others, published figures


def past_best(study: Study) -> list[tuple[str, float]]:
    """Return the runs with a lower validation loss before their end, and the rise since then."""
    rises = [
        (run.run, loss - best)
        for run in study.runs
        if (loss := run.metrics.get("valid_loss")) is not None
        if (best := run.metrics.get("best_valid_loss")) is not None
    ]
    return sorted((pair for pair in rises if pair[1] > 0), key=lambda pair: -pair[1])


def find_nested(experiments: Iterable[ExperimentRuns]) -> list[list[ExperimentRuns]]:
    """Return the configurations that differ only in `epochs`, those together."""
    alike = together(distinct(experiments), lambda one: without(one, "epochs"))
    return [same for same in alike if len(same) > 1]


def per_doubling(gain: StepEffect) -> float | None:
    """Return the gain for each doubling of the setting, None if a level is not positive."""
    if gain.before <= 0 or gain.after <= 0:
        return None
    return float(gain.difference.mean / log2(gain.after / gain.before))


@dataclass(frozen=True)
class Beside:
    """A published figure beside our runs of the same experiment."""

    name: str
    published: float
    of: ExperimentRuns
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


def by_name_in_tables(study: Study) -> dict[str, ExperimentRuns]:
    """Return the experiments by name, and by the quoted name that tables have for a formula."""
    return {as_text(name): one for name, one in study.scored.items()} | study.scored
