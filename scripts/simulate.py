"""Simulate studies whose truth is known, and write docs/statistics.md's tables of error and power.

python scripts/simulate.py --trials 2000: about five minutes. The tests are those of fmgrid itself.
"""

import argparse
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from statistics import fmean, median, variance

import pandas as pd
from scipy.special import digamma, polygamma, stdtr

from fmgrid.analysis.statistics import (
    ALPHA,
    NO_NOISE,
    Difference,
    Figures,
    Noise,
    difference,
    holm,
    mean_of,
    noise_of,
    seeds_needed,
)
from marks import ROOT, write_marked

BASELINE = "epochs_5"
SEEDS = (3, 5, 10)
LARGE = 1.0  # points: an effect that should be found
ASTRAY = 0.4  # share of the seeds with which the experiment that diverges does so
RARELY = 0.1  # share of runs that go astray where all may
MOST_SEEDS = 100
Runs = list[dict[int, float]]  # of each experiment, by seed
Test = Callable[[Sequence[Figures], Runs], list[float]]  # p values of differences


@dataclass(frozen=True)
class Truth:
    """Means and standard deviations of experiments, in points; the baseline comes first."""

    means: Sequence[float]
    sds: Sequence[float]  # of single runs
    seed_sd: float  # of what a seed does to all experiments alike
    draw: Callable[[random.Random], float] = lambda rng: rng.gauss(0, 1)
    diverging: int | None = None  # an experiment

    def sample(self, rng: random.Random, seeds: int) -> Runs:
        """Return one study."""
        shifts = [rng.gauss(0, self.seed_sd) for _ in range(seeds)]
        own = [math.sqrt(max(sd**2 - self.seed_sd**2, (0.4 * sd) ** 2)) for sd in self.sds]
        runs = [
            {seed: mean + shift + sd * self.draw(rng) for seed, shift in enumerate(shifts)}
            for mean, sd in zip(self.means, own, strict=True)
        ]
        if self.diverging is not None:
            for seed in range(seeds):
                if rng.random() < ASTRAY:
                    runs[self.diverging][seed] -= rng.uniform(20, 50)
        return runs


def study() -> Truth:
    """Return the replicated study as if it were the truth."""
    folder = ROOT / "docs" / "replication"
    means = pd.read_csv(folder / "by_experiment.csv").set_index("name")
    names = [BASELINE, *(name for name in means.index if name != BASELINE)]
    runs = pd.read_csv(folder / "experiment_summary.csv")
    by_seed = [runs[runs.name == name].set_index("seed").accuracy.to_dict() for name in names]
    return Truth(
        means=(100 * means.accuracy_mean[names]).tolist(),
        sds=(100 * means.accuracy_sd[names]).tolist(),
        seed_sd=100 * math.sqrt(noise_of(by_seed).seed),
    )


def by_own_variance(leads: Sequence[Figures], _: Runs) -> list[float]:
    """Test each difference by its own variance: Student's paired t test."""
    return [difference(lead, NO_NOISE).p for lead in leads]


def by_fmgrid(leads: Sequence[Figures], runs: Runs) -> list[float]:
    """Test as fmgrid does."""
    noise = noise_of(runs)
    return [difference(lead, noise).p for lead in leads]


def by_empirical_bayes(leads: Sequence[Figures], _: Runs) -> list[float]:
    """Test with variances that are shrunk to a common one (Smyth 2004)."""
    values = [list(lead.by_seed.values()) for lead in leads]
    own, degrees = [variance(series) for series in values], len(values[0]) - 1
    logs = [math.log(x) - digamma(degrees / 2) + math.log(degrees / 2) for x in own]
    excess = variance(logs) - polygamma(1, degrees / 2)
    prior = 2 * _inverse_trigamma(excess) if excess > 0 else 1e6
    typical = math.exp(fmean(logs) + digamma(prior / 2) - math.log(prior / 2))
    p_values = []
    for series, alone in zip(values, own, strict=True):
        shrunk = (prior * typical + degrees * alone) / (prior + degrees)
        t = abs(fmean(series)) / math.sqrt(shrunk / len(series))
        p_values.append(2 * float(stdtr(prior + degrees, -t)))
    return p_values


def _inverse_trigamma(value: float) -> float:
    """Return the x of which the trigamma function is *value*, by Newton's method."""
    x = 0.5 + 1 / value
    for _ in range(50):
        trigamma = float(polygamma(1, x))
        x += trigamma * (1 - trigamma / value) / float(polygamma(2, x))
    return x


METHODS: Mapping[str, Test] = {
    "own variance (Student)": by_own_variance,
    "empirical Bayes (Smyth 2004)": by_empirical_bayes,
    "fmgrid": by_fmgrid,
}


def scenarios(truth: Truth) -> dict[str, Truth]:
    """Return studies without any effect."""
    equal = replace(truth, means=[0.0] * len(truth.means))
    usual = [median(truth.sds)] * len(truth.sds)
    return {
        "as measured": equal,
        "equal variances": replace(equal, sds=usual),
        "heavy tails (t, 3 degrees)": replace(equal, draw=_heavy),
        "one diverges": replace(equal, diverging=5),
    }


def _heavy(rng: random.Random) -> float:
    """Draw from Student's t with three degrees of freedom, scaled to a variance of 1."""
    squares = sum(rng.gauss(0, 1) ** 2 for _ in range(3))
    return rng.gauss(0, 1) / math.sqrt(squares / 3) / math.sqrt(3)


def leads_of(runs: Runs) -> list[Figures]:
    """Return all experiments minus the first."""
    figures = [Figures(by_seed, {number: 1.0}) for number, by_seed in enumerate(runs)]
    return [other.minus(figures[0]) for other in figures[1:]]


def share_with_false_findings(truth: Truth, seeds: int, test: Test, trials: int) -> float:
    """Return how often anything is significant (Holm) that is no effect."""
    rng = random.Random(seeds)
    hits = 0
    for _ in range(trials):
        runs = truth.sample(rng, seeds)
        corrected = holm(test(leads_of(runs), runs))
        hits += any(
            p <= ALPHA for number, p in enumerate(corrected, 1) if number != truth.diverging
        )
    return hits / trials


def share_found(truth: Truth, seeds: int, test: Test, trials: int) -> float:
    """Return the share of true effects of at least a point that are found, with their sign."""
    rng = random.Random(seeds)
    large = [
        number for number, mean in enumerate(truth.means) if abs(mean - truth.means[0]) >= LARGE
    ]
    hits = 0
    for _ in range(trials):
        runs = truth.sample(rng, seeds)
        leads = leads_of(runs)
        corrected = holm(test(leads, runs))
        for number in large:
            lead = fmean(leads[number - 1].by_seed.values())
            is_right = (lead > 0) == (truth.means[number] > truth.means[0])
            hits += is_right and corrected[number - 1] <= ALPHA
    return hits / trials / len(large)


def of_settings(truth: Truth, trials: int) -> list[list[str]]:
    """Return how often a small study calls a setting or an interaction significant that is none."""
    rows = []
    for rows_, columns in ((3, 1), (6, 1), (3, 3), (5, 5)):
        name = f"{rows_} levels" if columns == 1 else f"{rows_} x {columns} levels"
        cells = [name]
        for seeds in SEEDS:
            rng = random.Random(seeds)
            main = both = 0
            for _ in range(trials):
                sds = rng.choices(truth.sds, k=rows_ * columns)
                null = replace(truth, means=[0.0] * len(sds), sds=sds)
                runs = null.sample(rng, seeds)
                noise = noise_of(runs)
                figures = [Figures(values, {index: 1.0}) for index, values in enumerate(runs)]
                grid = [figures[row * columns : (row + 1) * columns] for row in range(rows_)]
                main += _any([_mean_lead(*pair) for pair in combinations(grid, 2)], noise)
                if columns > 1:
                    both += _any(_tetrads(grid), noise)
            cells.append(
                f"{main / trials:.3f}" + (f" / {both / trials:.3f}" if columns > 1 else "")
            )
        rows.append(cells)
    return rows


def _mean_lead(first: Sequence[Figures], second: Sequence[Figures]) -> Figures:
    return mean_of(first).minus(mean_of(second))


def _tetrads(grid: Sequence[Sequence[Figures]]) -> list[Figures]:
    return [
        first[a].minus(second[a]).minus(first[b].minus(second[b]))
        for first, second in combinations(grid, 2)
        for a, b in combinations(range(len(first)), 2)
    ]


def _any(leads: Sequence[Figures], noise: Noise) -> bool:
    return any(len(leads) * difference(lead, noise).p <= ALPHA for lead in leads)


def of_shapes(trials: int) -> list[list[str]]:
    """Return how often ten seeds of equals differ by Student's test, and by Wilcoxon's."""
    shapes: dict[str, Callable[[random.Random], float]] = {
        "normal": lambda rng: rng.gauss(0, 1),
        "skewed (exponential)": lambda rng: rng.expovariate(1) - 1,
        "one run in ten astray": lambda rng: (
            rng.gauss(0, 1) - (10 if rng.random() < RARELY else 0) + 1
        ),
    }
    rows = []
    for name, draw in shapes.items():
        rng = random.Random(1)
        student = ranks = 0
        for _ in range(trials):
            result = _alone([draw(rng) for _ in range(10)])
            student += result.p <= ALPHA
            ranks += (result.p_ranks or 1.0) <= ALPHA
        rows.append([name, f"{student / trials:.3f}", f"{ranks / trials:.3f}"])
    return rows


def of_looking_again(trials: int) -> list[list[str]]:
    """Return how often equals differ at last if seeds are added until they do, at most 100."""
    rows = []
    for start in SEEDS:
        rng = random.Random(start)
        hits = 0
        for _ in range(trials):
            values = [rng.gauss(0, 1) for _ in range(start)]
            while (result := _alone(values)).p > ALPHA and len(values) < MOST_SEEDS:
                planned = seeds_needed(result.mean, result.sd)
                if planned is None:
                    break
                more = min(MOST_SEEDS, max(planned, len(values) + 1)) - len(values)
                values += [rng.gauss(0, 1) for _ in range(more)]
            hits += result.p <= ALPHA
        rows.append([str(start), f"{hits / trials:.3f}"])
    return rows


def _alone(values: Sequence[float]) -> Difference:
    return difference(Figures(dict(enumerate(values)), {0: 1.0, 1: -1.0}))


def to_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of Markdown."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines) + "\n"


def main() -> None:
    """Simulate, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--trials", type=int, default=2_000)
    trials = parser.parse_args().trials
    truth = study()
    number = len(truth.means)
    text = (
        f"`python scripts/simulate.py --trials {trials}` wrote these tables. {number} experiments "
        "with the means and standard deviations of docs/replication are compared with the "
        f"baseline, 5 %, Holm over all. A share of {trials} trials near 0.05 is known to "
        f"± {2 * math.sqrt(ALPHA * (1 - ALPHA) / trials):.3f}.\n\n"
        "The share of studies without any effect in which any is found, with 3 / 5 / 10 seeds:\n\n"
    )
    cells: dict[str, list[str]] = {name: [name] for name in METHODS}
    for scenario in scenarios(truth).values():
        for name, test in METHODS.items():
            shares = [share_with_false_findings(scenario, n, test, trials) for n in SEEDS]
            cells[name].append(" / ".join(f"{share:.3f}" for share in shares))
    text += to_table(["variance", *scenarios(truth)], list(cells.values()))
    text += f"The share of the true effects of at least {LARGE:g} point that is found:\n\n"
    powers = [
        [name, *(f"{share_found(truth, n, test, trials // 4):.2f}" for n in SEEDS)]
        for name, test in METHODS.items()
    ]
    text += to_table(["variance", *(f"{n} seeds" for n in SEEDS)], powers)
    text += (
        "The share of small studies without any effect in which fmgrid finds that a setting "
        "matters, and after the / that two interact, each by itself; a study has these experiments "
        "only:\n\n"
    )
    text += to_table(["grid", *(f"{n} seeds" for n in SEEDS)], of_settings(truth, trials))
    text += (
        "The share of pairs of equal means that differ, with ten seeds each, where one of the two "
        "is as named:\n\n"
    )
    text += to_table(["one of them is", "t test", "signed ranks"], of_shapes(2 * trials))
    text += (
        f"The share of pairs of equals that differ at last, if as many seeds are added as seem to "
        f"be needed, until they do or there are {MOST_SEEDS}:\n\n"
    )
    text += to_table(["seeds at first", "false findings"], of_looking_again(2 * trials))
    write_marked(ROOT / "docs" / "statistics.md", "simulate.py", text)


if __name__ == "__main__":
    main()
