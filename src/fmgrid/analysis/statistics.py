"""Repeated runs -> intervals, comparisons, and corrections for many comparisons.

The method is a paired t test over seeds that borrows strength from the study. Two experiments with
one seed share their initial weights, where shapes match, and the order of their images, so the
seed's influence on both cancels out. Three differences say little of how differences vary, and a
study knows more: of its own variance and the variance that is typical of the study a test takes
the larger, with up to five more degrees of freedom. docs/statistics.md has the simulations.
Repeats without seeds, which plain mltrainer leaves, cannot be paired: Welch's t test compares them.
Holm's method corrects many comparisons (Scandinavian Journal of Statistics 6, 1979). The chance of
any false finding is at most 5 %, whatever the dependence of the tests.

scipy does the mathematics, and is imported when it is needed.
"""

import math
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, lru_cache
from itertools import combinations
from statistics import fmean, median, stdev, variance
from typing import Any

CONFIDENCE = 0.95
ALPHA = 1 - CONFIDENCE
POWER = 0.8  # the usual chance that an effect of the size that was seen is found
_LARGEST = 10.0  # effect in standard deviations; beyond it the formula of the power fails
ROUNDING = 1e-12  # of figures of about one; what is measured differs by more, or not at all
MOST_SEEDS = 1_000  # beyond them a question is not worth asking
_MOST_BORROWED = 5.0  # degrees of freedom; with more, three seeds find more than there is
_FEWEST_RANKED = 6  # differences, below which no test by ranks can be significant


@dataclass(frozen=True)
class Estimate:
    """The mean of *n* repeats with its 95 % interval; one repeat has a mean only."""

    n: int
    mean: float
    sd: float | None = None  # of one repeat
    low: float | None = None
    high: float | None = None

    @property
    def span(self) -> tuple[float, float]:
        """The bounds of the interval, or the mean twice where there is none."""
        if self.low is None or self.high is None:
            return self.mean, self.mean
        return self.low, self.high


@dataclass(frozen=True)
class Figures:
    """A weighted sum of configurations' results, for each seed that all of them have.

    Of runs without seeds it has the results of each configuration, which are not paired.
    """

    by_seed: Mapping[int, float]
    weights: Mapping[Hashable, float]  # by configuration
    repeats: Mapping[Hashable, Sequence[float]] = field(default_factory=dict)  # without seeds

    @property
    def is_known(self) -> bool:
        """Whether there is a seed that all have, or a repeat of each."""
        return bool(self.by_seed or self.repeats)

    def minus(self, other: "Figures") -> "Figures":
        """Return the difference to another sum, over the seeds that both have."""
        return self._plus(other, -1.0)

    def _plus(self, other: "Figures", factor: float) -> "Figures":
        weights: dict[Hashable, float] = defaultdict(float, self.weights)
        for configuration, weight in other.weights.items():
            weights[configuration] += factor * weight
        by_seed = {
            seed: value + factor * other.by_seed[seed]
            for seed, value in self.by_seed.items()
            if seed in other.by_seed
        }
        return Figures(by_seed, weights, _merge_repeats([self, other]))


def _merge_repeats(parts: Sequence[Figures]) -> dict[Hashable, Sequence[float]]:
    """Return the repeats of all parts, none where one of them has seeds instead."""
    has_all = all(part.repeats for part in parts)
    return {key: part.repeats[key] for part in parts for key in part.repeats} if has_all else {}


def mean_of(parts: Sequence[Figures]) -> Figures:
    """Return the mean of at least one sum, for each seed that all of them have."""
    weights: dict[Hashable, float] = defaultdict(float)
    for part in parts:
        for configuration, weight in part.weights.items():
            weights[configuration] += weight / len(parts)
    by_seed = mean_by_seed([part.by_seed for part in parts])
    return Figures(by_seed, weights, _merge_repeats(parts))


@dataclass(frozen=True)
class Noise:
    """How runs vary that differ in nothing but their seed: what is typical of a study."""

    residual: float = 0.0  # variance that a run has for itself
    seed: float = 0.0  # variance that runs of one seed share
    degrees: float = 0.0  # of freedom that a test may borrow

    def variance_of(self, weights: Mapping[Hashable, float]) -> float:
        """Return the typical variance of a weighted sum of runs of one seed."""
        squares = sum(weight * weight for weight in weights.values())
        return self.residual * squares + self.seed * round(sum(weights.values()), 9) ** 2


NO_NOISE = Noise()


def noise_of(series: Iterable[Mapping[int, float]]) -> Noise:
    """Return what is typical of experiments, each given by its results by seed.

    Half of them vary more. The median of few differences is too small, and is divided by the
    median that the chi-squared distribution gives. It knows about half as much as a mean would.
    """
    repeated = [by_seed for by_seed in series if len(by_seed) > 1]
    centred = [_minus_mean(by_seed) for by_seed in repeated]
    variances = [_mean_square(by_seed) for by_seed in centred]
    usual = median(variances) if variances else 0.0
    if usual <= ROUNDING**2:
        return NO_NOISE
    # A seed's influence: an experiment that varies more than others says less of it.
    totals: dict[int, float] = defaultdict(float)
    sums: dict[int, float] = defaultdict(float)
    for by_seed, own in zip(centred, variances, strict=True):
        for seed, value in by_seed.items():
            totals[seed] += value / max(own, usual)
            sums[seed] += 1 / max(own, usual)
    count = len(repeated)
    has_shared = len(totals) < sum(map(len, centred))  # not where no run has a seed
    shifts = {seed: total / sums[seed] for seed, total in totals.items()} if has_shared else {}
    inflated = count / (count - 1) if has_shared else 1.0  # as the shifts follow the values
    left = [{seed: x - shifts.get(seed, 0.0) for seed, x in values.items()} for values in centred]
    residual = inflated * median(
        _mean_square(values) / _median_of_chi_squared(len(values) - 1) for values in left
    )
    shared = _mean_square(shifts) - residual / count if len(shifts) > 1 else 0.0
    others = sum(len(values) - 1 for values in repeated) * (count - 2) / count
    return Noise(residual, max(0.0, shared), min(_MOST_BORROWED, max(0.0, others / 2)))


def _minus_mean(by_seed: Mapping[int, float]) -> dict[int, float]:
    mean = fmean(by_seed.values())
    return {seed: value - mean for seed, value in by_seed.items()}


def _mean_square(centred: Mapping[int, float]) -> float:
    return sum(value * value for value in centred.values()) / (len(centred) - 1)


@lru_cache
def _median_of_chi_squared(degrees: int) -> float:
    """Return the median of an estimate of a variance of 1 with so many degrees of freedom."""
    from scipy.special import chdtri

    return float(chdtri(degrees, 0.5)) / degrees


@dataclass(frozen=True)
class Difference(Estimate):
    """The difference between the means of experiments.

    It is paired by seed, and n are the seeds of both; without seeds n are the fewest repeats.
    """

    p: float = 1.0  # two-sided, for no difference at all
    error: float = 0.0  # standard error of the mean, with the larger variance
    degrees: float = 0.0  # of freedom
    values: tuple[float, ...] = ()  # for each seed
    is_paired: bool = True

    @property
    def is_none(self) -> bool:
        """Whether the two have the same figure for every seed."""
        return abs(self.mean) <= ROUNDING and (self.sd or 0.0) <= ROUNDING

    @property
    def turned(self) -> "Difference":
        """The second experiment minus the first."""
        low, high = (None if bound is None else -bound for bound in (self.high, self.low))
        values = tuple(-value for value in self.values)
        return replace(self, mean=-self.mean, low=low, high=high, values=values)

    def p_above(self, bound: float) -> float:
        """Return the one-sided p value of the claim that the mean is above *bound*.

        Where all values are the same, which happens to accuracies of few images, Student's test
        would be certain of it from two of them; the sign test is not.
        """
        if self.n < 2:  # noqa: PLR2004 -- nothing is known of how differences vary
            return 1.0
        lead = self.mean - bound
        if self.error == 0.0:
            rounding = ROUNDING * max(1.0, abs(bound), *map(abs, self.values))
            return 0.5**self.n if lead > rounding else 1.0
        from scipy.special import stdtr

        # Student's survival function: `scipy.stats.t.sf` gives the same bits in 50 times the time.
        return float(stdtr(self.degrees, -lead / self.error))

    @cached_property
    def p_ranks(self) -> float | None:
        """The p value of Wilcoxon's signed-rank test; None of fewer seeds than it needs."""
        if len(self.values) < _FEWEST_RANKED or self.is_none:
            return None
        from scipy.stats import wilcoxon

        # Accuracies are fractions of the images: equal differences are ties but for rounding.
        return float(wilcoxon(list(map(without_rounding, self.values))).pvalue)

    def widened(self, confidence: float) -> "Difference":
        """Return it with another interval."""
        if self.low is None:
            return self
        half = _t_quantile(confidence, self.degrees) * self.error
        return replace(self, low=self.mean - half, high=self.mean + half)

    def least_significant(self, alpha: float) -> float:
        """Return the size of the smallest mean that would be significant at this level."""
        return _t_quantile(1 - alpha, self.degrees) * self.error if self.degrees else math.inf

    def to_json(self) -> dict[str, Any]:
        """Return it for a script; one difference has no p value."""
        fields = {name: value for name, value in asdict(self).items() if name != "values"}
        if self.sd is None:
            fields |= dict.fromkeys(("p", "error", "degrees"))
        return fields | {"p_ranks": self.p_ranks}


@dataclass(frozen=True)
class VarianceComponent:
    """The contribution of a part of a factorial grid to the variance of its results."""

    source: str  # "units1", "units1 x units2", "seed", "other"
    share: float  # of the sum of squares


def without_rounding(value: float) -> float:
    """Return a figure by which equals are equal: sums of the same runs may differ in a last bit."""
    return round(value, 12)


def estimate(values: Iterable[float], confidence: float = CONFIDENCE) -> Estimate:
    """Return the mean of at least one value with Student's interval for it."""
    values = list(values)
    n, mean = len(values), fmean(values)
    if n == 1:
        return Estimate(n, mean)
    sd = stdev(values)
    half = _t_quantile(confidence, n - 1) * sd / math.sqrt(n)
    return Estimate(n, mean, sd, mean - half, mean + half)


def prediction_interval(mean: Estimate) -> tuple[float, float] | None:
    """Return the prediction interval: one more repeat falls into it in 95 % of cases."""
    if mean.sd is None:
        return None
    half = _t_quantile(CONFIDENCE, mean.n - 1) * mean.sd * math.sqrt(1 + 1 / mean.n)
    return mean.mean - half, mean.mean + half


def compare(first: Figures, second: Figures, noise: Noise = NO_NOISE) -> Difference | None:
    """Return first minus second over the seeds that both have, None if they share none."""
    minus = first.minus(second)
    return difference(minus, noise) if minus.is_known else None


def difference(figures: Figures, noise: Noise = NO_NOISE) -> Difference:
    """Return the mean of known figures with its interval and its test.

    The variance is the larger of its own and the study's. The further its own is above that, the
    fewer degrees of freedom it borrows.
    """
    if figures.repeats:
        return _unpaired(figures, noise)
    values = tuple(figures.by_seed.values())
    n, mean = len(values), fmean(values)
    if n == 1:  # one difference says nothing of how differences vary
        return Difference(n, mean, values=values)
    own = variance(values, mean)
    if max(values) - min(values) <= ROUNDING * max(1.0, *map(abs, values)):
        own = 0.0
    typical = noise.variance_of(figures.weights) if noise.degrees else 0.0
    larger = max(own, typical)
    borrowed = noise.degrees * math.sqrt(typical / larger) if larger else 0.0
    return _tested(
        Difference(
            n,
            mean,
            math.sqrt(own),
            error=math.sqrt(larger / n),
            degrees=n - 1 + borrowed,
            values=values,
        )
    )


def _unpaired(figures: Figures, noise: Noise) -> Difference:
    """Return the sum of the means of repeats without seeds, with Welch's test (Biometrika 34)."""
    samples = [(weight, figures.repeats[key]) for key, weight in figures.weights.items()]
    n = min(len(values) for _, values in samples)
    mean = math.fsum(weight * fmean(values) for weight, values in samples)
    if n == 1:
        return Difference(n, mean, is_paired=False)
    # Variances of the parts, each with its degrees of freedom
    parts = [(weight**2 * variance(x) / len(x), len(x) - 1) for weight, x in samples]
    own = sum(part for part, _ in parts)
    own = own if own > ROUNDING**2 else 0.0
    degrees = own**2 / sum(part**2 / freedom for part, freedom in parts) if own else n - 1
    usual = noise.residual + noise.seed if noise.degrees else 0.0
    typical = sum(weight**2 * usual / len(values) for weight, values in samples)
    larger = max(own, typical)
    degrees += noise.degrees * math.sqrt(typical / larger) if larger else 0.0
    return _tested(
        Difference(
            n, mean, math.sqrt(own * n), error=math.sqrt(larger), degrees=degrees, is_paired=False
        )
    )


def _tested(lead: Difference) -> Difference:
    """Return a difference with its interval and its p value."""
    half = _t_quantile(CONFIDENCE, lead.degrees) * lead.error
    p = min(1.0, 2 * min(lead.p_above(0.0), lead.turned.p_above(0.0)))
    return replace(lead, low=lead.mean - half, high=lead.mean + half, p=p)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p values corrected for their number, in the same order.

    statsmodels has it, too, but collects all garbage of the process with every call.
    """
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = largest
    return corrected


def holm_levels(p_values: Sequence[float], alpha: float = ALPHA) -> list[float]:
    """Return the level that each p value must reach so that Holm's correction leaves it at 5 %."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    levels = [0.0] * len(p_values)
    level = 0.0
    for rank, index in enumerate(order):
        if not rank or p_values[order[rank - 1]] <= level:  # otherwise the first failure stands
            level = alpha / (len(p_values) - rank)
        levels[index] = level
    return levels


def corrected_by_holm(differences: Sequence[Difference]) -> list[tuple[Difference, float]]:
    """Return differences with their corrected p values, and intervals that agree with them."""
    p_values = [difference.p for difference in differences]
    corrected = zip(differences, holm(p_values), holm_levels(p_values), strict=True)
    return [(difference.widened(1 - level), p) for difference, p, level in corrected]


def seeds_needed(mean: float, sd: float | None, alpha: float = ALPHA) -> int | None:
    """Return the seeds with which an effect of this size is significant in 80 % of cases.

    None if it takes more than a thousand, or if nothing is known of how runs vary. An estimate:
    mean and sd are estimates themselves.
    """
    if sd is None or abs(mean) <= ROUNDING:
        return None
    if sd <= ROUNDING:  # all differences are the same, which a sign test judges
        return math.ceil(math.log2(2 / alpha))
    import numpy as np
    from scipy.special import nctdtr, stdtrit

    # One side of a two-sided test: finding the contrary would be no success.
    seeds = np.arange(2, MOST_SEEDS + 1)
    effect = min(abs(mean) / sd, _LARGEST)
    least = stdtrit(seeds - 1, 1 - alpha / 2)
    power = 1 - nctdtr(seeds - 1, effect * np.sqrt(seeds), least)
    enough = np.flatnonzero(power >= POWER)
    return int(seeds[enough[0]]) if enough.size else None


def common_seeds(series: Sequence[Mapping[int, object]]) -> list[int]:
    """Return the seeds that all of them have, in the order of the first."""
    first, *others = series or [{}]
    return [seed for seed in first if all(seed in by_seed for by_seed in others)]


def mean_by_seed(series: Sequence[Mapping[int, float]]) -> dict[int, float]:
    """Return the mean of several experiments for each seed that all of them have."""
    return {seed: fmean(by_seed[seed] for by_seed in series) for seed in common_seeds(series)}


def shares_of_variance(
    axes: Mapping[str, Sequence[Any]], seeds: Sequence[int], values: Sequence[float]
) -> list[VarianceComponent]:
    """Return the shares in the variance of a complete factorial grid, the seed as a block.

    The i-th value has the level *axes*[name][i] on each axis, and the seed *seeds*[i]. Main
    effects come first, then interactions of two axes, then the seed and all the rest.
    """
    grand = fmean(values)

    def effects_of(*keys: Sequence[Any]) -> list[float]:
        """Return for each value the mean of those that have the same levels, less the grand one."""
        groups: dict[tuple[Any, ...], list[float]] = defaultdict(list)
        cells = list(zip(*(map(str, key) for key in keys), strict=True))
        for cell, value in zip(cells, values, strict=True):
            groups[cell].append(value)
        means = {cell: fmean(group) - grand for cell, group in groups.items()}
        return [means[cell] for cell in cells]

    effects = {name: effects_of(levels) for name, levels in axes.items()}
    for first, second in combinations(axes, 2):
        both = effects_of(axes[first], axes[second])
        mains = zip(both, effects[first], effects[second], strict=True)
        effects[f"{first} x {second}"] = [cell - one - other for cell, one, other in mains]
    effects["seed"] = effects_of(seeds)
    squares = {source: sum(x * x for x in parts) for source, parts in effects.items()}
    total = sum((value - grand) ** 2 for value in values)
    squares["other"] = max(0.0, total - sum(squares.values()))
    return [
        VarianceComponent(source, square / (total or 1.0)) for source, square in squares.items()
    ]


def _t_quantile(confidence: float, degrees: float) -> float:
    from scipy.special import stdtrit

    # `scipy.stats.t.ppf` gives the same bits and took 1.3 of a report's 14 s.
    return float(stdtrit(degrees, (1 + confidence) / 2))
