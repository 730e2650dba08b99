"""What each setting does, against figures by hand and grids whose truth is known."""

import math
import random
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from fmgrid.analysis.comparisons import best_and_ties, compare_with
from fmgrid.analysis.effects import find_effects, find_gains, find_shares
from fmgrid.analysis.statistics import Figures, compare, noise_of
from fmgrid.analysis.study import Study
from made_up_studies import row, rows, study_of

SIZES = (8, 16, 32, 64, 128, 256)


def along(
    by_level: Mapping[int, Sequence[float] | Mapping[int, float]],
    axis: str = "epochs",
    metric: str = "accuracy",
) -> Study:
    """Return a study of one axis, with values by level and seed."""
    return study_of(
        one
        for level, values in by_level.items()
        for one in rows(f"{axis}_{level}", values, metric, **{axis: level})
    )


def factorial(cells: Mapping[tuple[int, int], Sequence[float]]) -> Study:
    return study_of(
        one
        for (epochs, size), values in cells.items()
        for one in rows(f"e{epochs}_b{size}", values, epochs=epochs, batch_size=size)
    )


def test_an_effect_is_the_best_level_minus_the_worst() -> None:
    (effect,) = find_effects(along({3: [0.7, 0.72], 5: [0.8, 0.81], 10: [0.75, 0.78]}))
    assert (effect.group, effect.setting, effect.levels) == ("all runs", "epochs", 3)
    assert effect.difference.n == 2
    assert (effect.best, effect.worst) == (5, 3)
    assert effect.difference.mean == pytest.approx(0.095)


def test_the_best_of_losses_is_the_lowest_and_its_effect_negative() -> None:
    study = along({3: [0.7, 0.72], 5: [0.5, 0.51]}, metric="valid_loss")
    (effect,) = find_effects(study, "valid_loss")
    assert (effect.best, effect.worst) == (5, 3)
    assert effect.difference.mean == pytest.approx(-0.205)


def test_p_and_interval_are_corrected_for_the_number_of_pairs() -> None:
    low, high = dict(enumerate([0.70, 0.72, 0.71])), dict(enumerate([0.73, 0.74, 0.735]))
    study = along({3: low, 5: high, 7: [0.72, 0.72, 0.72], 9: [0.72, 0.73, 0.72]})
    (effect,) = find_effects(study)
    noise = noise_of(one.series("accuracy") for one in study.configurations)
    assert noise.degrees == 2.0  # half of those of two others
    alone = compare(Figures(high, {"high": 1.0}), Figures(low, {"low": 1.0}), noise)
    assert alone
    widened = alone.widened(1 - 0.05 / 6)
    assert effect.p == pytest.approx(6 * alone.p)
    assert (effect.difference.low, effect.difference.high) == (widened.low, widened.high)
    assert alone.low
    assert widened.low
    assert widened.low < alone.low


def test_effects_are_ranked_by_their_size() -> None:
    cells = {(3, 8): [0.5, 0.52], (3, 64): [0.8, 0.82], (5, 8): [0.6, 0.61], (5, 64): [0.9, 0.92]}
    effects = find_effects(factorial(cells))
    assert [one.setting for one in effects] == ["batch_size", "epochs", "epochs x batch_size"]
    assert [one.is_interaction for one in effects] == [False, False, True]


def test_in_a_factorial_grid_a_level_is_the_mean_over_all_others() -> None:
    cells = {(3, 8): [0.5, 0.52], (3, 64): [0.8, 0.82], (5, 8): [0.6, 0.61], (5, 64): [0.9, 0.92]}
    study = factorial(cells)
    by_size, by_time, _ = find_effects(study)
    assert by_size.difference.mean == pytest.approx((0.8 + 0.82 + 0.9 + 0.92) / 4 - 2.23 / 4)
    assert by_time.difference.mean == pytest.approx((0.6 + 0.61 + 0.9 + 0.92) / 4 - 2.64 / 4)
    # Each seed's mean over the other axis is one value of the paired test.
    noise = noise_of(one.series("accuracy") for one in study.configurations)
    levels = (
        Figures({0: 0.75, 1: 0.765}, {1: 0.5, 2: 0.5}),
        Figures({0: 0.65, 1: 0.67}, {3: 0.5, 4: 0.5}),
    )
    expected = compare(*levels, noise)
    assert expected
    assert by_time.difference.p == pytest.approx(expected.p)


def test_two_settings_interact_if_a_difference_of_one_depends_on_the_other() -> None:
    cells = {
        (3, 8): [0.50, 0.52, 0.51],
        (3, 64): [0.80, 0.82, 0.81],
        (5, 8): [0.70, 0.72, 0.715],
        (5, 64): [0.81, 0.83, 0.825],
    }
    effects = {one.setting: one for one in find_effects(factorial(cells))}
    both = effects["epochs x batch_size"]
    # With 8 images a batch, 5 epochs gain 0.2; with 64 they gain 0.01.
    assert both.difference.mean == pytest.approx(0.19, abs=0.001)
    assert (both.best, both.worst) == ("3 over 5 at batch_size 64", "3 over 5 at batch_size 8")
    assert both.is_significant
    assert both.levels == 4
    none = factorial(
        {(3, 8): [0.5, 0.52], (3, 64): [0.6, 0.63], (5, 8): [0.7, 0.71], (5, 64): [0.8, 0.82]}
    )
    (alone,) = (one for one in find_effects(none) if one.is_interaction)
    assert not alone.is_significant


def test_an_effect_is_significant_where_it_exceeds_its_noise_and_nowhere_else() -> None:
    rng = random.Random(3)
    verdicts = set()
    for _ in range(150):
        step = rng.choice([0.0, 0.01, 0.03])
        cells = {
            (epochs, size): [
                0.7 + step * (epochs == 3) + rng.gauss(0, rng.choice([0.003, 0.01, 0.05]))
                for _ in range(3)
            ]
            for epochs in (1, 2, 3)
            for size in (8, 16)
        }
        for effect in find_effects(factorial(cells)):
            assert effect.noise
            assert effect.is_significant == (abs(effect.difference.mean) > effect.noise)
            verdicts.add(effect.is_significant)
    assert verdicts == {True, False}


def test_the_swing_of_equals_is_of_what_levels_and_seeds_leave_unexplained() -> None:
    # The seeds do much to both levels, and the levels to all seeds: neither is noise.
    steps = {0: 0.001, 1: -0.001, 2: 0.0}
    low = {seed: 0.5 + 0.1 * seed for seed in steps}
    high = {seed: 0.2 + value + steps[seed] for seed, value in low.items()}
    (effect,) = find_effects(along({3: low, 5: high}))
    # Two experiments lend nothing: the half width of the paired interval, 4.303 x 0.001 / sqrt(3).
    assert effect.noise == pytest.approx(4.303 * 0.001 / math.sqrt(3), rel=1e-3)
    assert effect.difference.low
    assert effect.difference.mean - effect.difference.low == pytest.approx(effect.noise, rel=1e-3)


def test_one_seed_tells_nothing_apart() -> None:
    (effect,) = find_effects(along({3: [0.1], 5: [0.9]}))
    assert (effect.p, effect.difference.low, effect.noise) == (1.0, None, None)
    assert not effect.is_significant


def test_best_and_worst_are_picked_over_the_seeds_that_both_have() -> None:
    # Level 3 is best over all of its seeds, but only for having had the lucky ones.
    lucky = {0: 0.60, 1: 0.61, 2: 0.95, 3: 0.96}
    (effect,) = find_effects(along({3: lucky, 5: {0: 0.70, 1: 0.72}}))
    assert (effect.best, effect.worst) == (5, 3)
    assert effect.difference.mean == pytest.approx(0.105)


def test_levels_that_share_seeds_go_before_one_that_shares_one() -> None:
    (effect,) = find_effects(along({3: [0.7, 0.71], 5: [0.8, 0.82], 7: [0.99]}))
    assert (effect.best, effect.worst, effect.levels) == (5, 3, 3)
    assert effect.difference.n == 2


def test_p_is_corrected_for_the_number_of_settings() -> None:
    study = study_of(
        [
            *rows("base", [0.80, 0.81, 0.80]),
            *rows("epochs_3", [0.70, 0.72, 0.73], epochs=3),
            *rows("rate_low", [0.79, 0.81, 0.80], learning_rate=1e-5),
        ]
    )
    first, second = find_effects(study)
    assert first.p == pytest.approx(2 * first.difference.p)
    assert second.p == pytest.approx(second.difference.p)


def test_levels_without_a_seed_in_common_have_no_effect() -> None:
    assert find_effects(along({3: {0: 0.5, 1: 0.6}, 5: {2: 0.8, 3: 0.9}})) == []


def test_an_axis_of_one_level_that_has_the_metric_has_no_effect() -> None:
    assert find_effects(along({3: [0.5, 0.6], 5: [math.nan, math.nan]})) == []
    assert find_effects(study_of([row()])) == []
    assert find_effects(study_of([])) == []


def test_a_group_that_is_no_product_is_compared_through_the_baseline() -> None:
    study = study_of(
        [
            *rows("base", [0.80, 0.81]),
            *rows("epochs_3", [0.70, 0.72], epochs=3),
            *rows("rate_low", [0.60, 0.61], learning_rate=1e-5),
            *rows("both", [0.10, 0.11], learning_rate=1e-5, epochs=3, batch_size=4),
        ]
    )
    found = {one.setting: one for one in find_effects(study)}
    assert set(found) == {"epochs", "learning_rate"}
    assert found["epochs"].difference.mean == pytest.approx(0.095)
    assert found["learning_rate"].difference.mean == pytest.approx(0.2)


@pytest.mark.parametrize("has_baseline", [True, False])
@pytest.mark.parametrize(
    ("base", "first", "second", "names"),
    [
        (
            {"optimizer_args": {}},
            {"optimizer_args": {"weight_decay": 0.1}},
            {"optimizer_args": {"betas": [0.5, 0.9]}},
            {"optimizer_args.weight_decay", "optimizer_args.betas"},
        ),
        (
            {"hidden_units": (64, 64)},
            {"hidden_units": (16, 64)},
            {"hidden_units": (64, 16)},
            {"units1", "units2"},
        ),
    ],
)
def test_parts_of_one_setting_that_vary_one_by_one_have_an_effect_each(
    base: dict[str, Any],
    first: dict[str, Any],
    second: dict[str, Any],
    names: set[str],
    has_baseline: bool,
) -> None:
    made = [
        *rows("base", [0.80, 0.81], **base),
        *rows("first", [0.70, 0.72], **first),
        *rows("second", [0.60, 0.61], **second),
    ]
    if has_baseline:
        made += rows("third", [0.5, 0.51], epochs=9, **base)
    found = {one.setting: one for one in find_effects(study_of(made))}
    assert set(found) == names | ({"epochs"} if has_baseline else set())
    swings = sorted(found[name].difference.mean for name in names)
    assert swings == pytest.approx([0.095, 0.2])
    assert {found[name].through for name in names} == {"base"}


def test_a_batch_size_that_changes_the_images_seen_says_so() -> None:
    study = study_of(
        row(f"b{size}", 0, {"accuracy": size / 100, "images_seen": size}, batch_size=size)
        for size in (4, 64)
    )
    (effect,) = find_effects(study)
    assert effect.images == (4, 64)


def test_gains_go_from_level_to_level_and_are_corrected_together() -> None:
    values = {3: [0.7, 0.71, 0.69], 10: [0.81, 0.83, 0.82], 5: [0.8, 0.82, 0.79]}
    gains = find_gains(along(values))
    assert [(one.before, one.after) for one in gains] == [(3, 5), (5, 10)]
    assert [one.difference.mean for one in gains] == pytest.approx([0.31 / 3, 0.05 / 3])
    first, second = gains
    assert first.p == pytest.approx(2 * first.difference.p)
    assert second.p == pytest.approx(second.difference.p)


def test_words_have_no_order_and_no_gains() -> None:
    study = study_of(
        one for name in ("Adam", "SGD") for one in rows(name, [0.7, 0.8], optimizer=name)
    )
    assert find_gains(study) == []
    assert len(find_effects(study)) == 1


def test_members_are_compared_with_the_baseline() -> None:
    study = study_of(
        [
            *rows("base", [0.80, 0.81, 0.80]),
            *rows("epochs_3", [0.70, 0.72, 0.71], epochs=3),
            *rows("batch_8", [0.85, 0.86, 0.86], batch_size=8),
        ]
    )
    against = compare_with(study, study.groups[0])
    assert against
    assert against.reference.name == "base"
    assert {name: round(one.mean, 6) for name, (one, _) in against.differences.items()} == {
        "batch_8": 0.053333,
        "epochs_3": -0.093333,
    }
    largest = max(against.differences.values(), key=lambda pair: pair[0].p)
    smallest = min(against.differences.values(), key=lambda pair: pair[0].p)
    assert largest[1] == pytest.approx(max(largest[0].p, 2 * smallest[0].p))
    assert smallest[1] == pytest.approx(2 * smallest[0].p)


def test_without_a_baseline_members_are_compared_with_the_best_which_is_picked() -> None:
    study = along({3: [0.7, 0.71], 5: [0.8, 0.82]})
    against = compare_with(study, study.groups[0])
    assert against
    assert against.reference.name == "epochs_5"
    assert list(against.differences) == ["epochs_3"]


def test_a_twin_of_the_reference_is_not_compared_with_it() -> None:
    study = study_of([*rows("a", [0.8, 0.9]), *rows("same", [0.8, 0.9])])
    assert compare_with(study, study.groups[0]) is None
    assert compare_with(study, study.groups[0], "test_accuracy") is None


def test_shares_need_a_factorial_grid_with_repeats_that_differ() -> None:
    cells = {(3, 8): [0.5, 0.52], (3, 64): [0.8, 0.82], (5, 8): [0.6, 0.61], (5, 64): [0.9, 0.92]}
    shares = find_shares(factorial(cells).groups[0])
    assert [one.source for one in shares] == [
        *("epochs", "batch_size", "epochs x batch_size"),
        *("seed", "other"),
    ]
    assert sum(one.share for one in shares) == pytest.approx(1)
    assert find_shares(factorial({key: v[:1] for key, v in cells.items()}).groups[0]) == []
    assert find_shares(factorial({key: [0.5, 0.5] for key in cells}).groups[0]) == []
    assert find_shares(along({3: [0.5, 0.6], 5: [0.6, 0.7]}).groups[0]) == []


def simulated(rng: random.Random, levels: int, seeds: int, step: float = 0.0) -> Study:
    """Return an axis whose last level is better by *step*, and whose seeds do much to all."""
    shared = [rng.gauss(0, 0.02) for _ in range(seeds)]
    return along(
        {
            size: [
                0.7 + part + rng.gauss(0, 0.01) + (step if size == SIZES[levels - 1] else 0.0)
                for part in shared
            ]
            for size in SIZES[:levels]
        },
        "batch_size",
    )


@pytest.mark.parametrize("seeds", [3, 10])
@pytest.mark.parametrize("levels", [3, 6])
def test_at_most_one_grid_of_equals_in_twenty_shows_an_effect(levels: int, seeds: int) -> None:
    rng = random.Random(100 * levels + seeds)
    trials = 400
    told = 0
    for _ in range(trials):
        (effect,) = find_effects(simulated(rng, levels, seeds))
        told += effect.is_significant
        low, high = effect.difference.span
        # A pair of levels that vary little may differ although the best and the worst don't.
        assert effect.is_significant or low <= 0 <= high
    # Within three standard deviations of what the binomial distribution gives.
    assert told / trials < 0.05 + 3 * math.sqrt(0.05 * 0.95 / trials)


@pytest.mark.parametrize(("levels", "seeds"), [(3, 5), (3, 10), (6, 10)])
def test_a_strong_effect_is_found_at_its_level(levels: int, seeds: int) -> None:
    rng = random.Random(levels + seeds)
    found = [find_effects(simulated(rng, levels, seeds, step=0.1))[0] for _ in range(40)]
    assert all(one.best == SIZES[levels - 1] for one in found)
    assert sum(one.is_significant for one in found) >= 38


def test_the_order_of_experiments_changes_no_effect() -> None:
    study = simulated(random.Random(1), 6, 5)
    every = [run for one in study.experiments.values() for run in one.runs.values()]
    random.Random(2).shuffle(every)
    assert find_effects(study_of(every)) == find_effects(study)


def test_which_images_judge_a_run_is_no_setting_that_could_matter() -> None:
    study = study_of(
        [
            *rows("test", [0.80, 0.81, 0.80]),
            *rows("held", [0.90, 0.92, 0.93], validation=10_000),
            *rows("longer", [0.85, 0.86, 0.87], epochs=9),
        ]
    )
    assert [one.setting for one in find_effects(study)] == ["epochs"]
    only = study_of([*rows("a", [0.8, 0.81]), *rows("b", [0.9, 0.91], validation=10_000)])
    assert find_effects(only) == []


def test_an_effect_within_an_irregular_group_says_what_else_was_set() -> None:
    study = study_of(
        [
            *rows("base", [0.80, 0.81]),
            *rows("epochs_3", [0.70, 0.72], epochs=3),
            *rows("epochs_2", [0.60, 0.62], epochs=2),
            *rows("both", [0.10, 0.11], learning_rate=1e-5, epochs=4, batch_size=4),
        ]
    )
    assert [one.through for one in find_effects(study)] == ["base"]
    assert [one.through for one in find_effects(along({3: [0.7, 0.8], 5: [0.8, 0.9]}))] == [""]


def test_one_that_is_picked_for_being_best_is_compared_as_any_might_have_been() -> None:
    values = {3: [0.70, 0.72, 0.73], 5: [0.80, 0.83, 0.81], 7: [0.82, 0.85, 0.80]}
    study = along(values)
    against = compare_with(study, study.groups[0])
    assert against
    for alone, p in against.differences.values():
        assert p == pytest.approx(min(1.0, 3 * alone.p))  # three pairs of three


@pytest.mark.parametrize("count", [4, 12])
def test_at_most_one_study_of_equals_in_twenty_tells_any_from_the_best(count: int) -> None:
    rng = random.Random(count)
    trials = 300
    told = 0
    for _ in range(trials):
        study = along({n: [rng.gauss(0.7, 0.01) for _ in range(8)] for n in range(1, count + 1)})
        told += len(best_and_ties(study.scored.values())) < count
    assert told / trials < 0.05 + 3 * math.sqrt(0.05 * 0.95 / trials)


def test_what_shares_no_seed_with_the_best_is_not_told_from_it() -> None:
    made = study_of([*rows("a", {0: 0.9, 1: 0.9}), *rows("b", {2: 0.1, 3: 0.1}, epochs=9)])
    assert [one.name for one in best_and_ties(made.scored.values())] == ["a", "b"]


def test_at_most_one_study_of_equals_in_twenty_gives_any_setting_credit() -> None:
    rng = random.Random(7)
    trials = 300
    settings = {"epochs": (2, 3), "batch_size": (8, 16), "train_steps": (50, 70), "depth": (1, 3)}
    told = 0
    for _ in range(trials):
        shared = [rng.gauss(0.7, 0.02) for _ in range(4)]
        runs = rows("base", [one + rng.gauss(0, 0.01) for one in shared])
        for setting, levels in settings.items():
            for level in levels:
                values = [one + rng.gauss(0, 0.01) for one in shared]
                changed = {"hidden_units": (256,) * level} if setting == "depth" else {}
                runs += rows(f"{setting}_{level}", values, **(changed or {setting: level}))
        effects = find_effects(study_of(runs))
        assert len(effects) == len(settings)
        told += any(effect.is_significant for effect in effects)
    assert told / trials < 0.05 + 3 * math.sqrt(0.05 * 0.95 / trials)


def test_combinations_of_which_each_pair_has_a_seed_but_all_share_none_show_no_effect() -> None:
    runs = [(1, 0, 100), (1, 1, "test"), (2, 0, "test"), (3, 0, 100), (3, 1, "test")]
    study = study_of(
        row(f"b{size}_{held_out}", seed, batch_size=size, validation=held_out)
        for size, seed, held_out in runs
    )
    assert find_gains(study) == []
    assert [effect.setting for effect in find_effects(study)] == []
