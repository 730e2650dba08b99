"""Repeated runs -> intervals, paired comparisons, and corrections for many comparisons.

The method is Student's paired t test over seeds (Biometrika 6, 1908). Two experiments with one
seed share their initial weights, where shapes match, and the order of their images, so the seed's
influence on both cancels out. Differences should be roughly normal; from five seeds on little
depends on that. Holm's method corrects many comparisons (Scandinavian Journal of Statistics 6,
1979). The chance of any false finding is at most 5 %, whatever the dependence of the tests.

scipy and statsmodels do the mathematics, and are imported when they are needed.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from itertools import combinations
from statistics import fmean, stdev
from typing import Any

CONFIDENCE = 0.95
ALPHA = 1 - CONFIDENCE
POWER = 0.8  # the usual chance that an effect of the size that was seen is found
_LARGEST = 10.0  # effect in standard deviations; beyond it the formula of the power fails
ROUNDING = 1e-12  # of figures of about one; what is measured differs by more, or not at all
MOST_SEEDS = 1_000  # beyond them a question is not worth asking


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
class Difference(Estimate):
    """The mean difference between two experiments, paired by seed; n are the seeds of both."""

    p: float = 1.0  # two-sided, for no difference at all

    @property
    def is_none(self) -> bool:
        """Whether the two have the same figure for every seed."""
        return abs(self.mean) <= ROUNDING and (self.sd or 0.0) <= ROUNDING

    @property
    def turned(self) -> "Difference":
        """The second experiment minus the first."""
        low, high = (None if bound is None else -bound for bound in (self.high, self.low))
        return replace(self, mean=-self.mean, low=low, high=high)

    def to_json(self) -> dict[str, Any]:
        """Return it for a script; one difference has no p value."""
        return asdict(self) | {"p": self.p if self.sd is not None else None}


@dataclass(frozen=True)
class VarianceComponent:
    """The contribution of a part of a factorial grid to the variance of its results."""

    source: str  # "units1", "units1 x units2", "seed", "noise"
    share: float  # of the sum of squares
    p: float | None  # of an F test against the noise, None where that makes no sense


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


def compare(first: Mapping[int, float], second: Mapping[int, float]) -> Difference | None:
    """Return first minus second over the seeds that both have, None if they share none."""
    values = list(minus(first, second).values())
    return difference(values) if values else None


def minus(first: Mapping[int, float], second: Mapping[int, float]) -> dict[int, float]:
    """Return first minus second for each seed that both have."""
    return {seed: value - second[seed] for seed, value in first.items() if seed in second}


def difference(values: Sequence[float], confidence: float = CONFIDENCE) -> Difference:
    """Return the mean of at least one paired difference with its test."""
    mean = estimate(values, confidence)
    p = 2 * p_positive(values if mean.mean > 0 else [-value for value in values])
    return Difference(**vars(mean), p=min(1.0, p))


def p_positive(values: Sequence[float]) -> float:
    """Return the one-sided p value for values with a mean above zero.

    Where all values are the same, which happens to accuracies of few images, Student's test
    would be certain of it from two of them; the sign test is not.
    """
    n, mean = len(values), fmean(values) if values else 0.0
    if n < 2:  # noqa: PLR2004 -- one difference says nothing of how differences vary
        return 1.0
    rounding = ROUNDING * max(1.0, *map(abs, values))
    if max(values) - min(values) <= rounding:
        return 0.5**n if mean > rounding else 1.0
    from scipy.special import stdtr

    # Student's survival function: `scipy.stats.t.sf` gives the same bits in 50 times the time.
    return float(stdtr(n - 1, -mean / (stdev(values) / math.sqrt(n))))


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
    from statsmodels.stats.power import TTestPower

    # One side of a two-sided test: finding the contrary would be no success. The formula fails
    # (nan) far beyond the number that is looked for, which is the first that suffices.
    seeds = np.arange(2, MOST_SEEDS + 1)
    effect = min(abs(mean) / sd, _LARGEST)
    power = TTestPower().power(effect, seeds, alpha / 2, alternative="larger")
    enough = np.flatnonzero(power >= POWER)
    return int(seeds[enough[0]]) if enough.size else None


def common_seeds(series: Sequence[Mapping[int, object]]) -> list[int]:
    """Return the seeds that all of them have, in the order of the first."""
    first, *others = series or [{}]
    return [seed for seed in first if all(seed in by_seed for by_seed in others)]


def mean_by_seed(series: Sequence[Mapping[int, float]]) -> dict[int, float]:
    """Return the mean of several experiments for each seed that all of them have."""
    return {seed: fmean(by_seed[seed] for by_seed in series) for seed in common_seeds(series)}


def studentized_range_bound(series: Sequence[Mapping[int, float]]) -> float | None:
    """Return the best-to-worst range that noise alone stays below in 95 % of cases.

    Tukey's studentized range, over the seeds that all have, with the scatter that is left when
    each series and each seed has its mean taken away. None of fewer than two series or seeds.
    """
    seeds = common_seeds(series)
    if len(series) < 2 or len(seeds) < 2:  # noqa: PLR2004 -- nothing is left of them
        return None
    means = [fmean(by_seed[seed] for seed in seeds) for by_seed in series]
    shifts = mean_by_seed(series)
    squares = sum(
        (by_seed[seed] - mean - shifts[seed] + fmean(means)) ** 2
        for by_seed, mean in zip(series, means, strict=True)
        for seed in seeds
    )
    degrees = (len(series) - 1) * (len(seeds) - 1)
    sd = math.sqrt(squares / degrees)
    return _range_quantile(len(series), degrees) * sd / math.sqrt(len(seeds))


def shares_of_variance(
    axes: Mapping[str, Sequence[Any]], seeds: Sequence[int], values: Sequence[float]
) -> list[VarianceComponent]:
    """Return the analysis of variance of a complete factorial grid, the seed as a block.

    The i-th value has the level *axes*[name][i] on each axis, and the seed *seeds*[i]. Main
    effects come first, then interactions of two axes, then the seed and what is left. p values
    are Holm's over all of them.
    """
    import pandas as pd
    from statsmodels.formula.api import ols
    from statsmodels.stats.anova import anova_lm

    names = {f"axis{number}": name for number, name in enumerate(axes)}
    sources = names | {
        ":".join(pair): " x ".join(names[key] for key in pair) for pair in combinations(names, 2)
    }
    columns = {key: list(map(str, axes[name])) for key, name in names.items()}
    table = pd.DataFrame({**columns, "seed": list(map(str, seeds)), "value": list(values)})
    fitted = ols(f"value ~ {' + '.join(['seed', *sources])}", table).fit()
    anova = anova_lm(fitted)
    total = float(anova["sum_sq"].sum()) or 1.0
    p_values = holm([float(anova["PR(>F)"][key]) for key in sources])
    corrected = dict(zip(sources, p_values, strict=True))
    return [
        VarianceComponent(source, float(anova["sum_sq"][key]) / total, corrected.get(key))
        for key, source in {**sources, "seed": "seed", "Residual": "noise"}.items()
    ]


def _t_quantile(confidence: float, degrees: int) -> float:
    from scipy.special import stdtrit

    # As in `p_positive`: `scipy.stats.t.ppf` took 1.3 of a report's 14 s.
    return float(stdtrit(degrees, (1 + confidence) / 2))


@lru_cache  # an integral over an integral, about 0.1 s
def _range_quantile(levels: int, degrees: int) -> float:
    from scipy.stats import studentized_range

    return float(studentized_range.ppf(CONFIDENCE, levels, degrees))
