"""The effects of settings, of their interactions and of steps; shares of variance, curves, gaps.

Whether a setting matters is one question with one answer: whether any two of its levels differ. p
is corrected for the number of pairs of levels (Bonferroni), and for all effects of the study
(Holm). In a factorial grid a level stands for the mean over all levels of the other axes, per seed.
Two settings interact if a difference between levels of one depends on the level of the other. Best
and worst are the levels furthest apart of those that differ significantly, or of all where none do.
The noise of an effect is the size from which on it is significant.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations, pairwise
from math import comb, log2, prod
from statistics import fmean
from typing import Any, NamedTuple

from fmgrid.analysis.experiments import (
    SCORED_ON,
    Axis,
    ExperimentRuns,
    Group,
    are_scored_alike,
    distinct,
    group_by,
    level_of,
    settings_key,
)
from fmgrid.analysis.statistics import (
    ALPHA,
    Difference,
    Estimate,
    Figures,
    Noise,
    VarianceComponent,
    common_seeds,
    corrected_by_holm,
    difference,
    estimate,
    holm_levels,
    mean_by_seed,
    mean_of,
    shares_of_variance,
    without_rounding,
)
from fmgrid.analysis.study import Study, count_neighbours
from fmgrid.metrics import finite, metric_of, value_after
from fmgrid.settings import DEFAULTS, is_same, show, to_toml

GAP = "overfitting_gap"
_MOST_CONTRASTS = 5_000  # of an interaction; more take seconds


@dataclass(frozen=True)
class Effect:
    """The range of a metric along one axis of a group, or the interaction of two axes."""

    group: str  # title
    setting: str  # name of the axis, "learning_rate x optimizer" of an interaction
    best: Any  # level; of an interaction in words
    worst: Any
    levels: int  # of an interaction its cells
    difference: Difference  # best minus worst; its interval is corrected as p is
    p: float  # of this pair: corrected for all pairs, and by Holm for all effects
    noise: float | None = None  # the size from which on it is significant
    images: tuple[int, int] | None = None  # fewest and most seen, where levels differ, time aside
    metric: str = "accuracy"
    through: str = ""  # the experiment that all others differ from in this setting only
    is_interaction: bool = False
    further: tuple[Any, Any] | None = None  # levels further apart, which vary too much to differ
    is_partial: bool = False  # of a product with gaps: levels share some of the other settings only

    @property
    def is_significant(self) -> bool:
        """Whether any two levels differ significantly."""
        return self.p <= ALPHA


@dataclass(frozen=True)
class StepEffect:
    """The difference between a level and the one before it on an ordered axis."""

    group: str
    setting: str
    before: Any
    after: Any
    difference: Difference  # after minus before; its interval is corrected as p is
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
    difference: Difference  # between the losses; its interval is corrected as p is
    p: float  # Holm's, over all configurations

    @property
    def sign(self) -> int:
        """1 if it is significantly above zero, -1 below, 0 if neither."""
        return 0 if self.p > ALPHA else 1 if self.difference.mean > 0 else -1


class _Contrast(NamedTuple):
    """A difference that may show an effect: better minus worse."""

    best: Any  # level
    worst: Any
    difference: Difference

    @property
    def order(self) -> tuple[bool, float]:
        """Key by size; differences over several seeds come before those over one."""
        return self.difference.n > 1, without_rounding(abs(self.difference.mean))


@dataclass(frozen=True)
class _Source:
    """The axis of a group, or two that may interact, with the contrasts that show an effect."""

    group: Group
    axes: Sequence[Axis]
    through: str
    contrasts: Sequence[_Contrast]

    @property
    def p(self) -> float:
        """The p value that any contrast is none, corrected for their number."""
        smallest = min(contrast.difference.p for contrast in self.contrasts)
        return min(1.0, len(self.contrasts) * smallest)


def find_effects(study: Study, metric: str = "accuracy") -> list[Effect]:
    """Return the effects of all settings that groups can show, largest first, then interactions."""
    sources = [source for source in _sources(study, metric) if source.contrasts]
    levels = holm_levels([source.p for source in sources])
    effects = [
        _to_effect(source, level, metric) for source, level in zip(sources, levels, strict=True)
    ]
    return sorted(effects, key=lambda effect: (effect.is_interaction, -abs(effect.difference.mean)))


def _to_effect(source: _Source, level: float, metric: str) -> Effect:
    """Return the effect; it is significant if the smallest p of its contrasts reaches *level*."""
    group, axes, number = source.group, source.axes, len(source.contrasts)
    significant = [x for x in source.contrasts if x.difference.p <= level / number]
    shown = max(significant or source.contrasts, key=lambda contrast: contrast.order)
    extreme = max(source.contrasts, key=lambda contrast: contrast.order)
    least = shown.difference.least_significant(level / number)
    return Effect(
        group=group.title,
        setting=" x ".join(axis.name for axis in axes),
        best=shown.best,
        worst=shown.worst,
        levels=prod(len(axis.levels) for axis in axes),
        difference=shown.difference.widened(1 - level / number),
        p=min(1.0, shown.difference.p * number * ALPHA / level),
        noise=least if shown.difference.error else None,
        images=group.confounded.get(axes[0].name) if len(axes) == 1 else None,
        metric=metric,
        through=source.through,
        is_interaction=len(axes) > 1,
        further=None if extreme is shown else (extreme.best, extreme.worst),
        is_partial=group.shape == "incomplete",
    )


def _find_contrasts(
    group: Group, axes: Sequence[Axis], metric: str, noise: Noise
) -> Iterator[_Contrast]:
    """Yield the differences between levels of an axis, or those that interact of two axes."""
    pairs: Iterable[tuple[Any, Any, Figures]]
    if len(axes) == 1:
        pairs = _leads(group, axes[0], metric, partial(combinations, r=2))
    else:
        pairs = _tetrads(group, axes[0], axes[1], metric)
    sign = 1 if metric_of(metric).is_higher_better else -1
    for first, second, lead in pairs:
        if not lead.is_known:  # its parts share no seed
            continue
        contrast = difference(lead, noise)
        # Of equals the first one stands for the best.
        is_better = sign * without_rounding(contrast.mean) >= 0
        yield (
            _Contrast(first, second, contrast)
            if is_better
            else _Contrast(second, first, contrast.turned)
        )


def _leads(
    group: Group,
    axis: Axis,
    metric: str,
    pairs_of: Callable[[Sequence[Any]], Iterable[tuple[Any, Any]]],
) -> Iterator[tuple[Any, Any, Figures]]:
    """Yield the first minus the second of pairs of levels that share a seed.

    Where combinations are missing, a pair is compared over those that both levels have.
    """
    if group.shape == "incomplete":
        lines = [
            {level_of(member, axis): member.figures(metric) for member in line}
            for line in group.lines(axis)
        ]
    else:
        lines = [_by_level(group, axis, metric)]
    levels = [level for level in axis.levels if any(level in line for line in lines)]
    for first, second in pairs_of(levels):
        differences = [
            line[first].minus(line[second]) for line in lines if first in line and second in line
        ]
        shared = [difference for difference in differences if difference.is_known]
        if shared and (lead := mean_of(shared)).is_known:
            yield first, second, lead


def _tetrads(
    group: Group, rows: Axis, columns: Axis, metric: str
) -> Iterator[tuple[str, str, Figures]]:
    """Yield how differences between levels of one axis depend on the level of another one."""
    by_row = {
        row: _by_level(replace(group, members=tuple(members)), columns, metric)
        for row, members in group.by_level(rows).items()
    }
    for one, other in combinations(by_row, 2):
        over = f"{show(one)} over {show(other)} at {columns.name}"
        leads = {
            level: figures.minus(by_row[other][level])
            for level, figures in by_row[one].items()
            if level in by_row[other]
        }
        for first, second in combinations(leads, 2):
            tetrad = leads[first].minus(leads[second])
            places = [f"{over} {show(level)}" for level in (first, second)]
            if tetrad.is_known:
                yield places[0], places[1], tetrad


def find_gains(study: Study, metric: str = "accuracy") -> list[StepEffect]:
    """Return the difference that each step along the ordered axes makes."""
    steps = [
        (group.title, axes[0].name, before, after, difference(lead, noise).turned)
        for group, axes, _ in _comparable(study)
        if len(axes) == 1 and axes[0].is_numeric
        for noise in [study.noise(metric, group.members[0])]
        for before, after, lead in _leads(group, axes[0], metric, pairwise)
    ]
    corrected = corrected_by_holm([difference for *_, difference in steps])
    return [
        StepEffect(*step[:-1], difference, p)
        for step, (difference, p) in zip(steps, corrected, strict=True)
    ]


def find_shares(group: Group, metric: str = "accuracy") -> list[VarianceComponent]:
    """Return the contributions of a factorial group's axes and of their interactions.

    Empty where the group isn't factorial, where different images judge its members, or where
    these have fewer than two seeds in common.
    """
    members = group.members
    if group.shape != "factorial" or not are_scored_alike(members):
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
                epoch.epoch: (value, epoch.images_seen)
                for epoch in run.history
                if (value := finite(value_after(epoch, metric))) is not None
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
            {seed: epochs[epoch][0] for seed, epochs in by_seed.items()} for by_seed in histories
        )
        if mean:
            means.append(EpochMean(epoch, mean, runs[0][epoch][1]))
    return means


def find_gaps(study: Study) -> list[Gap]:
    """Return the gap of every configuration, widest first; signs are corrected (Holm)."""
    measured = [
        (experiment, train_loss)
        for experiment in study.configurations
        if experiment.series(GAP)
        if (train_loss := experiment.mean("train_loss")) is not None
    ]
    differences = [
        difference(experiment.figures(GAP), study.noise(GAP, experiment))
        for experiment, _ in measured
    ]
    gaps = [
        Gap(*pair, *corrected)
        for pair, corrected in zip(measured, corrected_by_holm(differences), strict=True)
    ]
    return sorted(gaps, key=lambda gap: -gap.difference.mean)


def find_nested(experiments: Iterable[ExperimentRuns]) -> list[list[ExperimentRuns]]:
    """Return the configurations that differ only in `epochs`, those together.

    Plain mltrainer trains each of its runs for itself.
    """
    seeded = [experiment for experiment in experiments if experiment.has_seeds]
    sets = group_by(distinct(seeded), partial(settings_key, setting="epochs"))
    return [snapshots for snapshots in sets if len(snapshots) > 1]


def _sources(study: Study, metric: str) -> Iterator[_Source]:
    for group, axes, through in _comparable(study):
        noise = study.noise(metric, group.members[0])
        contrasts = tuple(_find_contrasts(group, axes, metric, noise))
        yield _Source(group, axes, through, contrasts)


def _comparable(study: Study) -> Iterator[tuple[Group, Sequence[Axis], str]]:
    """Yield the axes along which groups can be compared, with the members that show it.

    Sweeps and products show it whole. Of the other members those count that differ in one setting
    only from the study's baseline, or, where none do, from the member that most others are so
    close to. The name of that comes with them. A contrast between the same configurations in two
    groups is one. Two axes of a product can interact.
    """
    keys: set[Hashable] = set()
    for group in study.groups:
        regular = [part for part in group.parts if part.shape != "irregular"]
        sources = [(part, [axis], "") for part in regular for axis in part.axes]
        sources += [
            (part, [*pair], "")
            for part in regular
            if part.shape == "factorial" or len(part.axes) == 2  # noqa: PLR2004 -- cells of one each
            for pair in combinations(part.axes, 2)
        ]
        if group.shape == "irregular":
            covered = {axes[0].name for _, axes, _ in sources if len(axes) == 1}
            slices = list(_slices(group, study.baseline)) if study.baseline else []
            slices = slices or list(_slices(group, _middle(group)))
            sources += [line for line in slices if line[1][0].name not in covered]
        for part, axes, through in sources:
            names = tuple(axis.name for axis in axes)
            key = names, frozenset(member.configuration for member in part.members)
            contrasts = prod(comb(len(axis.levels), 2) for axis in axes)
            is_short = len(axes) == 1 or contrasts <= _MOST_CONTRASTS
            # Figures of other images differ for that alone.
            if is_short and not {*names} & {*SCORED_ON} and key not in keys:
                keys.add(key)
                yield part, axes, through


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


def _slices(group: Group, middle: ExperimentRuns) -> Iterator[tuple[Group, list[Axis], str]]:
    """Yield the members that differ from *middle* along one axis only, for each axis."""
    whole = replace(group, members=tuple(distinct([middle, *group.members])))
    for axis in whole.axes:
        line = next(line for line in whole.lines(axis) if middle in line)
        part = replace(group, members=tuple(line))
        if part.shape == "one axis" and axis.name not in SCORED_ON:
            yield part, [*part.axes], middle.name


def _by_level(group: Group, axis: Axis, metric: str) -> dict[Any, Figures]:
    """Return the metric by level and seed, as a mean over the members of a level."""
    means = {
        level: mean_of([member.figures(metric) for member in members])
        for level, members in group.by_level(axis).items()
        if members
    }
    return {level: mean for level, mean in means.items() if mean.is_known}


def _mean_over(series: Iterable[Mapping[int, float]]) -> Estimate | None:
    """Return the mean over experiments; its interval is over the seeds that all of them have."""
    series = [by_seed for by_seed in series if by_seed]
    if len(series) > 1 and all(seed < 0 for by_seed in series for seed in by_seed):
        repeats: dict[Hashable, Sequence[float]]
        repeats = {part: (*by_seed.values(),) for part, by_seed in enumerate(series)}
        return difference(Figures({}, dict.fromkeys(repeats, 1 / len(repeats)), repeats))
    if by_seed := mean_by_seed(series):
        return estimate(by_seed.values())
    return Estimate(1, fmean(fmean(by_seed.values()) for by_seed in series)) if series else None
