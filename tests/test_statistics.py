"""Intervals and tests, against published examples and against data whose truth is known."""

import math
import random
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from fmgrid.analysis.statistics import (
    ALPHA,
    MOST_SEEDS,
    NO_NOISE,
    Difference,
    Figures,
    Noise,
    compare,
    difference,
    estimate,
    holm,
    holm_levels,
    noise_of,
    prediction_interval,
    seeds_needed,
    shares_of_variance,
)

# Student's own example: hours of sleep that two drugs gave to ten patients (Biometrika 6, 1908).
FIRST = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
SECOND = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
# Yield of peas by block and fertilizer: Yates' example, R's `npk`.
BLOCKS = [block for block in range(1, 7) for _ in range(4)]
NPK = [
    *("011", "110", "000", "101", "100", "111", "001", "010", "010", "111", "100", "001"),
    *("100", "111", "001", "010", "110", "000", "101", "011", "101", "110", "011", "000"),
]
YIELDS = [
    *(49.5, 62.8, 46.8, 57.0, 59.8, 58.5, 55.5, 56.0, 62.8, 55.8, 69.5, 55.0),
    *(62.0, 48.8, 45.5, 44.2, 52.0, 51.5, 49.8, 48.8, 57.2, 59.0, 53.2, 56.0),
]

finite = st.floats(-1e6, 1e6)


def of(values: Sequence[float]) -> Figures:
    """Return values of a difference between two configurations."""
    return Figures(dict(enumerate(values)), {"first": 1.0, "second": -1.0})


def minus(first: Mapping[int, float], second: Mapping[int, float]) -> Difference | None:
    return compare(Figures(first, {"first": 1.0}), Figures(second, {"second": 1.0}))


def test_students_example_gives_the_published_interval_and_p_value() -> None:
    found = minus(dict(enumerate(FIRST)), dict(enumerate(SECOND)))
    assert found is not None
    assert found.n == 10
    assert found.mean == pytest.approx(-1.58)
    assert (found.low, found.high) == pytest.approx((-2.4598858, -0.7001142), abs=1e-7)
    assert found.p == pytest.approx(0.002833, abs=1e-6)


def test_holms_correction_gives_the_textbook_values() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
@settings(max_examples=10)
def test_holms_correction_is_that_of_statsmodels(p_values: Sequence[float]) -> None:
    theirs = multipletests(p_values, method="holm")[1]
    assert holm(p_values) == pytest.approx(list(theirs))


def test_the_power_of_a_paired_test_is_the_published_one() -> None:
    # R: power.t.test(delta = 0.5, sd = 1, power = 0.8, type = "paired") gives n = 33.37
    assert seeds_needed(0.5, 1.0) == 34
    assert seeds_needed(1.0, 0.001) == 3
    assert seeds_needed(1.0, 1.0) == 10  # n = 9.94
    assert seeds_needed(1e-6, 1.0) is None
    assert seeds_needed(0.0, 1.0) is None


def test_the_analysis_of_variance_is_that_of_the_published_example() -> None:
    axes = {name: [int(one[at]) for one in NPK] for at, name in enumerate("NPK")}
    shares = {one.source: one for one in shares_of_variance(axes, BLOCKS, YIELDS)}
    total = 343.295 + 189.282 + 8.402 + 95.202 + 21.282 + 33.135 + 0.482 + 185.287
    squares = {name: one.share * total for name, one in shares.items()}
    assert squares == pytest.approx(
        {
            "N": 189.282,
            "P": 8.402,
            "K": 95.202,
            "N x P": 21.282,
            "N x K": 33.135,
            "P x K": 0.482,
            "seed": 343.295,
            "other": 185.287,
        },
        abs=2e-3,
    )


def test_one_value_says_nothing_of_how_values_vary() -> None:
    found = estimate([0.8])
    assert (found.n, found.mean, found.sd, found.low) == (1, 0.8, None, None)
    assert prediction_interval(found) is None
    paired = minus({0: 0.8}, {0: 0.7})
    assert paired is not None
    assert (paired.p, paired.low) == (1.0, None)


def test_only_seeds_that_both_have_are_compared() -> None:
    found = minus({0: 1.0, 1: 2.0, 2: 3.5}, {1: 1.0, 2: 2.0, 7: 9.0})
    assert found is not None
    assert (found.n, found.mean) == (2, 1.25)
    assert minus({0: 1.0}, {1: 1.0}) is None


def test_differences_that_are_all_the_same_are_not_taken_for_certainty() -> None:
    assert difference(of([0.01, 0.01])).p_above(0.0) == 0.25
    assert difference(of([0.0] * 10)).p_above(0.0) == 1.0
    one_image = [(accuracy + 1) / 10_000 - accuracy / 10_000 for accuracy in range(8000, 8010)]
    assert len(set(one_image)) > 1  # by rounding alone
    assert difference(of(one_image)).p_above(0.0) == 0.5**10
    assert difference(of(one_image)).p_above(1e-4) == 1.0
    assert difference(of(one_image)).turned.p_above(-1e-4) == 1.0
    assert difference(of([0.0, 0.0, 0.0])).p == 1.0


# What a study knows of its noise

TYPICAL = Noise(residual=1.0, seed=9.0, degrees=5.0)


def test_a_test_takes_the_larger_variance_and_borrows_less_the_further_its_own_is_above() -> None:
    calm = difference(of([2.9, 3.0, 3.1]), TYPICAL)
    assert calm.error == pytest.approx(math.sqrt(2.0 / 3))  # of a difference of two runs
    assert calm.degrees == 7.0
    wild = difference(of([3.0 - 4 * 2**0.5, 3.0, 3.0 + 4 * 2**0.5]), TYPICAL)
    assert wild.error == pytest.approx(math.sqrt(32.0 / 3))
    assert wild.degrees == pytest.approx(2 + 5 / 4)  # it varies four times as much as is typical
    alone = difference(of([2.9, 3.0, 3.1]))
    assert (alone.error, alone.degrees) == (pytest.approx(0.1 / math.sqrt(3)), 2)


def test_what_seeds_do_to_all_runs_cancels_out_of_differences_and_of_nothing_else() -> None:
    assert TYPICAL.variance_of({"a": 1.0, "b": -1.0}) == pytest.approx(2.0)
    assert TYPICAL.variance_of({"a": 1.0, "b": -0.5, "c": -0.5}) == pytest.approx(1.5)
    assert TYPICAL.variance_of({"a": 1.0}) == pytest.approx(10.0)
    assert TYPICAL.variance_of({"a": 0.5, "b": 0.5}) == pytest.approx(9.5)
    first, second = Figures({0: 1.0}, {"a": 1.0}), Figures({0: 3.0}, {"a": 1.0, "b": 1.0})
    assert TYPICAL.variance_of(second.minus(first).weights) == pytest.approx(10.0)  # b alone


@pytest.mark.parametrize("seeds", [3, 10])
def test_the_noise_of_a_study_is_that_of_its_truth(seeds: int) -> None:
    rng = random.Random(seeds)
    residuals, shared = [], []
    for _ in range(60):
        shifts = [rng.gauss(0, 2) for _ in range(seeds)]
        noise = noise_of(
            {seed: level + shift + rng.gauss(0, 1) for seed, shift in enumerate(shifts)}
            for level in range(40)
        )
        residuals.append(noise.residual)
        shared.append(noise.seed)
        assert noise.degrees == 5.0
    assert sum(residuals) / 60 == pytest.approx(1.0, abs=0.1)
    assert sum(shared) / 60 == pytest.approx(4.0, abs=1.5)


def test_one_that_diverges_changes_the_noise_of_the_others_little() -> None:
    rng = random.Random(1)
    calm = [{seed: rng.gauss(0, 1) for seed in range(3)} for _ in range(20)]
    astray = {0: -1e9, 1: 0.0, 2: 5.0}
    assert noise_of([*calm, astray]).residual < 1.5 * noise_of(calm).residual


def test_few_experiments_lend_little_and_two_lend_nothing() -> None:
    rng = random.Random(2)
    series = [{seed: rng.gauss(0, 1) for seed in range(3)} for _ in range(9)]
    assert [noise_of(series[:count]).degrees for count in (0, 1, 2, 3, 4, 9)] == [0, 0, 0, 1, 2, 5]
    assert noise_of([{0: 1.0}, {0: 2.0}]) == NO_NOISE
    pair = of([1.0, 2.0, 3.5])
    assert difference(pair, noise_of(series[:2])) == difference(pair)


@given(st.lists(st.lists(finite, min_size=1, max_size=5), max_size=8))
def test_any_study_has_a_noise_that_is_a_number(values: Sequence[Sequence[float]]) -> None:
    noise = noise_of(dict(enumerate(series)) for series in values)
    assert all(math.isfinite(part) and part >= 0 for part in vars(noise).values())
    assert noise.degrees <= 5


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_a_p_value_reaches_its_level_where_holm_finds_it_significant(values: list[float]) -> None:
    for p, level, corrected in zip(values, holm_levels(values), holm(values), strict=True):
        assert (p <= level) == (corrected <= ALPHA) or abs(corrected - ALPHA) < 1e-12


def test_a_test_by_ranks_stands_beside_from_six_seeds_on() -> None:
    paired = [first - second for first, second in zip(FIRST, SECOND, strict=True)]
    # All nine that are not zero have one sign.
    assert difference(of(paired)).p_ranks == pytest.approx(2 / 2**9)
    assert difference(of([1.0, 2.0, 3.0, 4.0, 5.0])).p_ranks is None
    assert difference(of([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])).p_ranks == pytest.approx(2 / 64)
    assert difference(of([0.0] * 9)).p_ranks is None


@pytest.mark.parametrize("n", [2, 3, 5, 10, 50])
def test_one_in_twenty_pairs_of_equals_is_told_apart(n: int) -> None:
    rng = random.Random(n)
    trials = 2_000
    told = sum(_differ(rng, n, effect=0.0) for _ in range(trials))
    # Within four standard deviations of what the binomial distribution gives.
    assert abs(told / trials - 0.05) < 4 * math.sqrt(0.05 * 0.95 / trials)


@pytest.mark.parametrize("n", [5, 10, 50])
def test_an_effect_is_found_as_often_as_its_power_says(n: int) -> None:
    rng = random.Random(n)
    # The smallest effect that so many seeds are said to suffice for.
    effect = next(
        size / 100 for size in range(1, 1000) if (seeds_needed(size / 100, 1.0) or 99) <= n
    )
    found = sum(_differ(rng, n, effect) for _ in range(1_000)) / 1_000
    assert 0.75 < found < 0.9


@pytest.mark.parametrize("n", [2, 5, 20])
def test_intervals_hold_the_truth_nineteen_times_in_twenty(n: int) -> None:
    rng = random.Random(n)
    trials = 2_000
    held = more = 0
    for _ in range(trials):
        found = estimate([rng.gauss(0.8, 0.02) for _ in range(n)])
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 0.8 <= found.high
        low, high = prediction_interval(found) or (0.0, 0.0)
        more += low <= rng.gauss(0.8, 0.02) <= high
    margin = 4 * math.sqrt(0.05 * 0.95 / trials)
    assert abs(held / trials - 0.95) < margin
    assert abs(more / trials - 0.95) < margin


@given(st.lists(finite, min_size=1, max_size=50))
def test_an_interval_holds_its_mean(values: Sequence[float]) -> None:
    found = estimate(values)
    assert min(values) - 1e-6 <= found.mean <= max(values) + 1e-6
    if found.low is not None and found.high is not None:
        assert found.low <= found.mean <= found.high


@given(st.lists(finite, min_size=2, max_size=50))
def test_swapping_two_experiments_turns_the_sign_and_nothing_else(values: Sequence[float]) -> None:
    one, other = difference(of(values)), difference(of([-value for value in values]))
    assert one.mean == pytest.approx(-other.mean, abs=1e-9)
    assert one.p == pytest.approx(other.p, abs=1e-9)
    assert 0 <= one.p <= 1


@given(st.lists(st.floats(0, 1), max_size=30))
def test_a_correction_never_makes_anything_surer(p_values: Sequence[float]) -> None:
    for before, after in zip(p_values, holm(p_values), strict=True):
        assert before <= after + 1e-12
        assert after <= 1


@given(st.floats(1e-6, 10), st.floats(1e-6, 10))
def test_a_larger_effect_needs_no_more_seeds(mean: float, sd: float) -> None:
    small = seeds_needed(mean, sd) or MOST_SEEDS + 1
    large = seeds_needed(2 * mean, sd) or MOST_SEEDS + 1
    assert 2 <= large <= small


def _differ(rng: random.Random, n: int, effect: float) -> bool:
    """Compare two experiments that share what each seed does to them."""
    shared = [rng.gauss(0, 3) for _ in range(n)]
    first = {seed: effect + value + rng.gauss(0, 0.5**0.5) for seed, value in enumerate(shared)}
    second = {seed: value + rng.gauss(0, 0.5**0.5) for seed, value in enumerate(shared)}
    found = minus(first, second)
    return found is not None and found.p <= 0.05
