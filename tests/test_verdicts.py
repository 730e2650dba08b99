"""Verdicts, against figures by hand and against studies whose truth is known."""

import math
import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from fmgrid.analysis.statistics import Figures, difference, holm, noise_of
from fmgrid.analysis.study import Study
from fmgrid.analysis.verdicts import Verdict, judge
from fmgrid.hypotheses.registry import Hypothesis
from made_up_studies import rows, study_of

Values = Mapping[str, Sequence[float] | Mapping[int, float]]

SCATTER = [0.001, -0.002, 0.003, 0.0, -0.001]  # of five seeds, and smaller than any effect here
OTHER = [-0.002, 0.001, 0.0, 0.002, 0.001]


def about(mean: float, scatter: Sequence[float] = SCATTER) -> list[float]:
    return [mean + value for value in scatter]


def made(values: Values, metric: str = "accuracy") -> Study:
    """Return a study of experiments that differ, with a metric by seed."""
    return study_of(
        one
        for number, (name, found) in enumerate(values.items())
        for one in rows(name, found, metric, epochs=1 + number)
    )


def claim(expect: str, metric: str = "accuracy", resolved: str = "") -> Hypothesis:
    return Hypothesis(
        claim=expect,
        expect=expect,
        resolved=resolved or expect,
        metric=metric,
        place="g.toml:9",
        since=datetime(2026, 1, 1, tzinfo=UTC),
    )


def verdict(expect: str, values: Values, metric: str = "accuracy") -> Verdict:
    (found,) = judge([claim(expect, metric)], made(values, metric))
    return found


# a is far above b, which is far above c; a1 and a2 are like a.
FAR: Values = {
    "a": about(0.9),
    "a1": about(0.9, [0.002, 0.0, -0.003, 0.001, 0.001]),
    "b": about(0.8, OTHER),
    "c": about(0.7, SCATTER[::-1]),
}
TRUE = [
    *("a > b", "c < b", "a > b > c", "c < b < a", "a > 0.85", "0.75 < b", "0.85 > b > 0.75"),
    *("a > b by 0.09", "b < a by 0.09", "a > b > c by 0.05"),
    *("best of a, c > b", "b > mean of c, b", "mean of a, a1 > b", "each of a, a1 > b"),
    *("each of a, a1 > best of b, c", "b > each of c", "best of b, c > c by 0.05"),
    *("a - c > a - b", "a - b > 0.05", "a - c > 0.15", "0.05 > a - a1", "mean of a, a1 - b > 0.05"),
    *("no difference greater than 0.05 among a, a1",),
    *("no difference greater than 0.15 among a, a1, b",),
]
FALSE = [
    *("b > a", "a < b", "c > b > a", "a > c > b", "a > 0.95", "b < 0.75"),
    *("a > b by 0.15", "a > a1 by 0.05"),
    *("b > best of a, c", "best of b, c > a", "mean of b, c > a", "each of a, c > b"),
    *("b > each of a, c", "a - b > a - c", "a - b > 0.15"),
    *("no difference greater than 0.05 among a, a1, b", "no difference greater than 0 among a, c"),
]


@pytest.mark.parametrize("expect", TRUE)
def test_a_true_claim_with_a_strong_effect_is_confirmed(expect: str) -> None:
    found = verdict(expect, FAR)
    assert (found.word, found.seeds, found.reason) == ("CONFIRMED", None, "")
    assert found.p <= 0.05


@pytest.mark.parametrize("expect", FALSE)
def test_a_false_claim_with_a_strong_effect_is_rejected(expect: str) -> None:
    found = verdict(expect, FAR)
    assert (found.word, found.seeds, found.reason) == ("REJECTED", None, "")
    assert found.p <= 0.05


# Of losses the best is the lowest, and ">" compares numbers as they are.
OF_LOSSES = {
    "best of a, c < b": "CONFIRMED",
    "best of a, c > b": "REJECTED",
    "b < best of a, a1": "CONFIRMED",
    "b < best of a, c": "REJECTED",
    "best of a, b > c": "CONFIRMED",
    "each of a, b > c": "CONFIRMED",
    "each of b, c > a": "REJECTED",
    "mean of b, c < a": "CONFIRMED",
    "a > b > c": "CONFIRMED",
    "best of a, c < best of a1, b": "CONFIRMED",
    "best of a1, b < best of a, c": "REJECTED",
}


@pytest.mark.parametrize("metric", ["valid_loss", "train_loss", "best_valid_loss", "test_loss"])
@pytest.mark.parametrize("expect", OF_LOSSES)
def test_the_best_of_losses_is_the_lowest(expect: str, metric: str) -> None:
    assert verdict(expect, FAR, metric).word == OF_LOSSES[expect]


def test_the_gap_between_losses_is_judged_as_a_loss() -> None:
    values = {"a": about(0.9), "b": about(0.5, OTHER)}
    runs = [
        {**one, "train_loss": 0.4}
        for number, (name, found) in enumerate(values.items())
        for one in rows(name, found, "valid_loss", epochs=1 + number)
    ]
    (found,) = judge([claim("a > b", "overfitting_gap")], study_of(runs))
    assert found.word == "CONFIRMED"
    assert found.compared[0].difference.mean == pytest.approx(0.4, abs=1e-3)


def test_a_verdict_comes_with_the_figures_that_decide_it() -> None:
    found = verdict("a > b > c by 0.01", FAR)
    first, second = found.compared
    assert (first.greater, first.lesser, first.margin) == ("a", "b", 0.01)
    assert (second.greater, second.lesser) == ("b", "c")
    assert first.difference.mean == pytest.approx(0.1, abs=1e-3)
    noise = noise_of([dict(enumerate(values)) for values in FAR.values()])
    assert noise.degrees == 4.0
    figures = {name: Figures(dict(enumerate(values)), {name: 1.0}) for name, values in FAR.items()}
    leads = [figures[one].minus(figures[other]) for one, other in ("ab", "bc")]
    weakest = 2 * max(difference(lead, noise).p_above(0.01) for lead in leads)
    assert found.p == pytest.approx(weakest)


@pytest.mark.parametrize(
    ("expect", "link"),
    [("a > c > b", 1), ("b > a > c", 0), ("b < c < a", 0), ("c < a < b", 1)],
)
def test_the_link_that_speaks_most_against_a_claim_decides(expect: str, link: int) -> None:
    found = verdict(expect, FAR)
    assert found.word == "REJECTED"
    assert found.deciding == link
    assert found.compared[link].difference.mean < 0


def test_the_weakest_link_of_a_claim_that_seems_true_decides() -> None:
    # The second is the surer, though nothing at all speaks against the first.
    values = {
        "a": [0.90, 0.92, 0.94, 0.93],
        "b": [0.80, 0.85, 0.93, 0.82],
        "c": [0.70, 0.752, 0.83, 0.719],
    }
    found = verdict("a > b > c", values)
    assert found.deciding == 0
    noise = noise_of([dict(enumerate(series)) for series in values.values()])
    first, second = (Figures(dict(enumerate(values[name])), {name: 1.0}) for name in "ab")
    assert found.p == pytest.approx(difference(first.minus(second), noise).p)


def test_the_sides_of_a_chain_are_called_as_they_were_written() -> None:
    stated = claim("mean of a* > b", resolved="mean of a, a1 > b")
    (found,) = judge([stated], made(FAR))
    assert (found.word, found.compared[0].greater) == ("CONFIRMED", "mean of a*")


def test_the_best_is_named_that_is_furthest_ahead() -> None:
    assert verdict("best of b, a > c", FAR).compared[0].greater == "a"
    assert verdict("a > best of c, b", FAR).compared[0].lesser == "b"
    assert verdict("each of a, b > c", FAR).compared[0].greater == "b"
    assert verdict("b > best of a, c", FAR, "valid_loss").compared[0].lesser == "c"


def test_the_two_that_lie_furthest_apart_stand_for_a_claim_of_likeness() -> None:
    found = verdict("no difference greater than 0.05 among c, b, a", FAR)
    (compared,) = found.compared
    assert (compared.greater, compared.lesser, compared.margin) == ("a", "c", 0.05)


NOISY: Values = {"a": [0.80, 0.82, 0.79, 0.83], "b": [0.80, 0.81, 0.80, 0.81]}


@pytest.mark.parametrize(
    "expect", ["a > b", "b > a", "no difference greater than 0.01 among a, b", "a > b by 0.01"]
)
def test_what_noise_could_have_done_is_inconclusive(expect: str) -> None:
    found = verdict(expect, NOISY)
    assert (found.word, found.reason) == ("INCONCLUSIVE", "")
    assert found.p > 0.05
    assert found.compared[0].difference.n == 4


@pytest.mark.parametrize("expect", ["a > gone", "gone - a > 0.1", "best of a, gone > b"])
def test_a_missing_run_is_a_reason_and_no_evidence(expect: str) -> None:
    found = verdict(expect, FAR)
    assert (found.word, found.p, found.compared) == ("INCONCLUSIVE", 1.0, ())
    assert found.reason == "gone has no complete run with accuracy"


def test_a_metric_that_was_not_measured_is_a_reason() -> None:
    (found,) = judge([claim("a > b", "test_accuracy")], made(FAR))
    assert found.reason == "a has no complete run with test_accuracy"


def test_an_expectation_that_cannot_be_read_is_a_reason() -> None:
    (found,) = judge([claim("a >", resolved="a > b")], made(FAR))
    assert found.word == "INCONCLUSIVE"
    assert found.reason.startswith("ends too early")


FORMS = [
    *("a > b", "a > b > c", "best of a, b > c", "each of a, b > c", "mean of a, b > c"),
    *("a - b > c - a", "a - b > 0.1", "a > 0.5", "no difference greater than 0.1 among a, b, c"),
]


@pytest.mark.parametrize("expect", FORMS)
def test_one_seed_settles_nothing(expect: str) -> None:
    found = verdict(expect, {"a": [0.9], "b": [0.5], "c": [0.1]})
    assert (found.word, found.p, found.seeds) == ("INCONCLUSIVE", 1.0, None)


@pytest.mark.parametrize("expect", [form for form in FORMS if form != "a > 0.5"])
def test_without_a_seed_in_common_nothing_is_settled(expect: str) -> None:
    values = {"a": {0: 0.9, 1: 0.8}, "b": {2: 0.5, 3: 0.6}, "c": {4: 0.1, 5: 0.2}}
    found = verdict(expect, values)
    assert (found.word, found.p, found.seeds) == ("INCONCLUSIVE", 1.0, None)
    assert 0 in [one.difference.n for one in found.compared]


def test_only_the_seeds_in_common_count() -> None:
    values = {"a": {**dict(enumerate(about(0.9))), 9: 0.0}, "b": dict(enumerate(about(0.8, OTHER)))}
    found = verdict("a > b", values)
    assert (found.word, found.compared[0].difference.n) == ("CONFIRMED", 5)


def test_one_configuration_of_two_names_is_neither_greater_nor_less() -> None:
    values = about(0.8, [*SCATTER, *OTHER])
    study = study_of([*rows("a", values), *rows("same", values)])
    texts = ["a > same", "same > a", "a > same by 0.01", "no difference greater than 0.01 among "]
    texts[-1] += "a, same"
    found = [judge([claim(text)], study)[0] for text in texts]
    assert [one.word for one in found] == ["INCONCLUSIVE", "INCONCLUSIVE", "REJECTED", "CONFIRMED"]
    assert found[0].seeds is None


def test_one_configuration_differs_in_nothing_whatever_the_seeds() -> None:
    for seeds in ({0: 0.8}, {1: 0.7}, {0: 0.8, 1: 0.7}):
        study = study_of([*rows("a", [0.8]), *rows("same", seeds), *rows("b", [0.8], epochs=9)])
        (found,) = judge([claim("no difference greater than 0.01 among a, same")], study)
        assert found.word == "CONFIRMED"
        (found,) = judge([claim("no difference greater than 0.01 among a, same, b")], study)
        assert found.word == "INCONCLUSIVE"


def test_what_is_the_same_in_every_run_is_settled_by_as_many_seeds_as_a_sign_test_takes() -> None:
    text = "no difference greater than 0.01 among a, b"
    for seeds in (2, 3, 5):
        values = [0.7 + 0.01 * seed for seed in range(seeds)]
        found = verdict(text, {"a": values, "b": values})
        assert found.compared[0].difference.is_none
        assert found.word == "INCONCLUSIVE"
        assert found.seeds == 6
    values = [0.7 + 0.01 * seed for seed in range(6)]
    assert verdict(text, {"a": values, "b": values}).word == "CONFIRMED"


def test_a_comparison_said_the_other_way_says_the_same() -> None:
    difference = verdict("a > b by 0.05", FAR).compared[0].difference
    turned = difference.turned
    assert turned.mean == -difference.mean
    assert turned.low
    assert turned.low < turned.mean < (turned.high or 0.0)
    assert turned.turned == difference


@pytest.mark.parametrize("seeds", [2, 3, 10])
@pytest.mark.parametrize(
    "expect", ["a > b by 0.01", "a < b by 0.01", "a - b > 0.01", "0.01 > a - b"]
)
def test_a_difference_that_is_the_margin_itself_is_not_settled_by_rounding(
    expect: str, seeds: int
) -> None:
    for start in range(600, 900, 7):
        low = [(start + 13 * seed) / 1000 for seed in range(seeds)]
        high = [(start + 13 * seed + 10) / 1000 for seed in range(seeds)]
        values = {"a": high, "b": low} if "a < b" not in expect else {"a": low, "b": high}
        found = verdict(expect, values)
        assert (found.word, found.seeds) == ("INCONCLUSIVE", None)


def test_likeness_within_the_very_difference_is_not_settled_by_rounding() -> None:
    for start in range(600, 900, 7):
        low = [(start + 13 * seed) / 1000 for seed in range(6)]
        values = {"a": [value + 0.01 for value in low], "b": low}
        found = verdict("no difference greater than 0.01 among a, b", values)
        assert found.word == "INCONCLUSIVE"


def test_the_mean_of_one_configuration_differs_from_it_by_rounding_alone() -> None:
    values = [(7001 + 7 * seed) / 10_000 for seed in range(10)]
    study = study_of(one for name in "abcdefg" for one in rows(name, values))
    for text in ("mean of a, b, c, d, e, f > g", "mean of a, b, c < g", "mean of a, b - c > d - e"):
        (found,) = judge([claim(text)], study)
        assert (found.word, found.p, found.seeds) == ("INCONCLUSIVE", 1.0, None)


def test_the_p_values_of_a_grid_are_corrected_together() -> None:
    texts = ["a > b", "b > c", "a > 0.9", "a > 0.899"]
    alone = [verdict(text, FAR).p for text in texts]
    together = judge([claim(text) for text in texts], made(FAR))
    # Each alone is the smaller one of a p value and that of the contrary.
    assert [one.p for one in together] == pytest.approx(holm(alone))


def test_a_hypothesis_without_runs_costs_the_others_nothing() -> None:
    alone = judge([claim("a > b")], made(FAR))
    beside = judge([claim("x > y"), claim("a > b"), claim("a > z")], made(FAR))
    assert beside[1] == alone[0]
    assert [one.word for one in beside] == ["INCONCLUSIVE", "CONFIRMED", "INCONCLUSIVE"]


def test_no_hypotheses_have_no_verdicts() -> None:
    assert judge([], made(FAR)) == []
    (found,) = judge([claim("a > b")], study_of([]))
    assert found.word == "INCONCLUSIVE"


def paired(mean: float, sd: float, seeds: int) -> Values:
    """Return two experiments whose differences have this mean and standard deviation."""
    rng = random.Random(seeds)
    raw = [rng.gauss(0, 1) for _ in range(seeds)]
    centre = sum(raw) / seeds
    spread = math.sqrt(sum((value - centre) ** 2 for value in raw) / (seeds - 1))
    differences = [mean + sd * (value - centre) / spread for value in raw]
    return {"a": [0.5 + value for value in differences], "b": [0.5] * seeds}


def test_the_seeds_of_a_fresh_comparison_are_those_that_the_power_of_the_test_asks_for() -> None:
    # R: power.t.test(delta = 0.5, sd = 1, power = 0.8, type = "paired") gives n = 33.37
    found = verdict("a > b", paired(0.05, 0.1, 10))
    assert (found.word, found.seeds) == ("INCONCLUSIVE", 34)
    half = verdict("a > b", paired(0.025, 0.1, 10)).seeds
    assert half
    assert 4 * 34 - 15 <= half <= 4 * 34


def test_more_hypotheses_need_seeds() -> None:
    study = made(paired(0.05, 0.1, 10))
    alone = judge([claim("a > b")], study)[0].seeds
    beside = judge([claim("a > b"), claim("a > 0.5"), claim("b < a")], study)[0].seeds
    assert alone
    assert beside
    assert beside > alone


def test_more_alternatives_need_seeds() -> None:
    # Each is like b, so that the best of them is ahead of a by no more than b alone is.
    values = paired(-0.05, 0.1, 10)
    several = {**values, **dict.fromkeys(("c", "d", "e", "f"), values["b"])}
    alone = verdict("a > best of b", values).seeds
    among = verdict("a > best of b, c, d, e, f", several).seeds
    as_many = [claim("a > b")] + [claim(f"a > {name}") for name in ("c", "d", "e", "f")]
    assert alone
    assert among
    assert among > alone
    assert among == judge(as_many, made(several))[0].seeds


def test_seeds_beyond_reason_are_not_asked_for() -> None:
    assert verdict("a > b", paired(1e-6, 0.1, 10)).seeds is None


# Six forms of hypotheses, of which none is true or false by more than chance where all are equal.
OF_EQUALS = [
    *("a > b", "c > d > e", "best of a, b > c", "each of d, e > f", "a - b > c - d"),
    *("mean of a, b, c < mean of d, e, f",),
]


@pytest.mark.parametrize(("metric", "seeds"), [("accuracy", 3), ("valid_loss", 10)])
def test_where_nothing_has_an_effect_few_grids_have_any_verdict(metric: str, seeds: int) -> None:
    rng = random.Random(f"{metric} {seeds}")
    trials = 300
    wrong = 0
    for _ in range(trials):
        shared = [rng.gauss(0, 0.02) for _ in range(seeds)]
        study = made(
            {name: [0.7 + one + rng.gauss(0, 0.01) for one in shared] for name in "abcdef"}, metric
        )
        found = judge([claim(text, metric) for text in OF_EQUALS], study)
        wrong += any(one.word != "INCONCLUSIVE" for one in found)
    # Within three standard deviations of what the binomial distribution gives.
    assert wrong / trials < 0.05 + 3 * math.sqrt(0.05 * 0.95 / trials)


def test_equals_are_alike_within_a_limit_far_beyond_their_noise() -> None:
    rng = random.Random(1)
    equals = {name: [0.7 + rng.gauss(0, 0.005) for _ in range(10)] for name in "abcdef"}
    (found,) = judge([claim("no difference greater than 0.1 among a, b, c, d, e, f")], made(equals))
    assert found.word == "CONFIRMED"


@pytest.mark.parametrize("seeds", [3, 10])
def test_a_difference_of_the_limit_itself_is_seldom_judged(seeds: int) -> None:
    rng = random.Random(seeds)
    trials = 300
    judged = 0
    for _ in range(trials):
        values = {
            "a": [0.8 + rng.gauss(0, 0.01) for _ in range(seeds)],
            "b": [0.7 + rng.gauss(0, 0.01) for _ in range(seeds)],
        }
        found = verdict("no difference greater than 0.1 among a, b", values)
        judged += found.word != "INCONCLUSIVE"
    assert judged / trials < 0.05 + 3 * math.sqrt(0.05 * 0.95 / trials)


def told(found: Sequence[Verdict]) -> list[tuple[Any, ...]]:
    return [(one.word, round(one.p, 9), one.seeds, one.deciding) for one in found]


@pytest.mark.parametrize("metric", ["accuracy", "valid_loss"])
def test_the_scale_of_a_metric_and_the_order_of_seeds_change_nothing(metric: str) -> None:
    rng = random.Random(3)
    values = {name: [0.2 + rng.gauss(0, 0.02) for _ in range(6)] for name in "abcdef"}
    values["a"] = [value + 0.1 for value in values["a"]]
    hypotheses = [claim(text, metric) for text in OF_EQUALS]
    before = told(judge(hypotheses, made(values, metric)))
    scaled = {name: [2.5 * value for value in found] for name, found in values.items()}
    assert told(judge(hypotheses, made(scaled, metric))) == before
    order = [4, 0, 5, 1, 3, 2]
    renamed = {
        name: {7 * seed: found[at] for seed, at in enumerate(order)}
        for name, found in values.items()
    }
    assert told(judge(hypotheses, made(renamed, metric))) == before


def test_what_else_is_in_the_folder_lends_its_noise_and_changes_no_family() -> None:
    hypotheses = [claim("a > b"), claim("c < b")]
    wild = {name: about(0.5, [5 * value for value in SCATTER]) for name in "uvwxyz"}
    verdicts = judge(hypotheses, made({**FAR, **wild}))
    noise = noise_of([dict(enumerate(values)) for values in {**FAR, **wild}.values()])
    figures = {name: Figures(dict(enumerate(FAR[name])), {name: 1.0}) for name in "abc"}
    alone = [difference(figures[one].minus(figures[other]), noise).p for one, other in ("ab", "bc")]
    assert [one.p for one in verdicts] == pytest.approx(holm(alone))


def test_a_claim_and_its_contrary_are_never_both_confirmed() -> None:
    rng = random.Random(5)
    for _ in range(100):
        values = {name: [rng.gauss(0.7, 0.02) for _ in range(5)] for name in "ab"}
        one, other = judge([claim("a > b"), claim("b > a")], made(values))
        words = {one.word, other.word}
        assert words in ({"INCONCLUSIVE"}, {"CONFIRMED", "REJECTED"})
