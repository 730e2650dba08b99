"""How the rows of a folder become a study: axes, groups, the baseline, noise, and the table."""

import math
import random
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmgrid.analysis.experiments import by_configuration, find_axes
from fmgrid.analysis.ranking import best_first
from fmgrid.analysis.statistics import NO_NOISE
from fmgrid.analysis.study import COLUMNS, Study, by_experiment
from fmgrid.hypotheses.registry import GridRecord
from fmgrid.metrics import WITH_SPREAD
from made_up_runs import make_record
from made_up_studies import members, row, rows, study_of

accuracies = st.lists(st.floats(0, 1), min_size=1, max_size=6)


def found(*settings: dict[str, Any]) -> dict[str, tuple[Any, ...]]:
    """Return the levels by axis of experiments with these settings."""
    named = {f"e{number}": one for number, one in enumerate(settings)}
    return {axis.name: axis.levels for axis in find_axes(members(**named))}


def shape(study: Study) -> str:
    return study.groups[0].shape


AXES: dict[str, tuple[list[dict[str, Any]], dict[str, tuple[Any, ...]]]] = {
    "one that nothing varies on": ([{}, {}], {}),
    "one, its numbers in order": (
        [{"batch_size": 128}, {"batch_size": 4}, {"batch_size": 64}],
        {"batch_size": (4, 64, 128)},
    ),
    "words in natural order": (
        [{"optimizer": "SGD"}, {"optimizer": "Adam10"}, {"optimizer": "Adam9"}],
        {"optimizer": ("Adam9", "Adam10", "SGD")},
    ),
    "numbers before a word": (
        [{"train_steps": "full"}, {"train_steps": 500}, {"train_steps": 100}],
        {"train_steps": (100, 500, "full")},
    ),
    "layers of equal depth": (
        [{"hidden_units": units} for units in [(64, 16), (16, 16), (64, 256), (16, 256)]],
        {"units1": (16, 64), "units2": (16, 256)},
    ),
    "a layer that varies alone": (
        [{"hidden_units": units} for units in [(64, 16), (16, 16)]],
        {"units1": (16, 64)},
    ),
    "depth at even widths": (
        [{"hidden_units": units} for units in [(64, 64, 64), (64,), (), (64, 64)]],
        {"depth": (0, 1, 2, 3)},
    ),
    "layers of other depths and widths": (
        [{"hidden_units": units} for units in [(64, 32), (128,), (64,)]],
        {"hidden_units": ((64,), (128,), (64, 32))},
    ),
    "arguments one by one": (
        [
            {"optimizer_args": {"momentum": 0.9}},
            {"optimizer_args": {"momentum": 0.5, "nesterov": True}},
            {},
        ],
        {"optimizer_args.momentum": (None, 0.5, 0.9), "optimizer_args.nesterov": (None, True)},
    ),
    "arguments that are lists": (
        [{"optimizer_args": {"betas": [0.9, 0.999]}}, {"optimizer_args": {"betas": [0.5, 0.9]}}],
        {"optimizer_args.betas": ("[0.5, 0.9]", "[0.9, 0.999]")},
    ),
    "three": (
        [
            {"epochs": epochs, "batch_size": size, "learning_rate": rate}
            for epochs in (5, 3)
            for size in (32, 64)
            for rate in (1e-2, 1e-3)
        ],
        {"epochs": (3, 5), "batch_size": (32, 64), "learning_rate": (1e-3, 1e-2)},
    ),
}


@pytest.mark.parametrize(("settings", "axes"), AXES.values(), ids=AXES)
def test_axes_are_the_settings_that_differ_and_their_levels_stand_in_order(
    settings: list[dict[str, Any]], axes: dict[str, tuple[Any, ...]]
) -> None:
    assert found(*settings) == axes


SHAPES: dict[str, list[dict[str, Any]]] = {
    "single": [{}],
    "one axis": [{"epochs": 3}, {"epochs": 5}],
    "factorial": [{"epochs": e, "batch_size": b} for e in (3, 5) for b in (32, 64)],
    "incomplete": [
        {"epochs": e, "batch_size": b} for e, b in [(3, 8), (3, 16), (3, 32), (5, 8), (5, 16)]
    ],
    "irregular": [{"epochs": 3}, {"epochs": 5}, {"epochs": 5, "batch_size": 8}],
}


@pytest.mark.parametrize("expected", SHAPES)
def test_a_group_has_the_shape_that_its_members_span(expected: str) -> None:
    made = study_of(row(f"e{at}", **one) for at, one in enumerate(SHAPES[expected]))
    assert shape(made) == expected


def test_a_factorial_grid_stays_one_where_a_cell_has_two_names() -> None:
    cells = [*SHAPES["factorial"], {"epochs": 5, "batch_size": 64}]
    made = study_of(row(f"e{at}", **one) for at, one in enumerate(cells))
    assert shape(made) == "factorial"
    assert [one.name for one in made.groups[0].members] == ["e0", "e1", "e2", "e3"]


def test_the_baseline_is_what_most_others_differ_from_in_one_setting() -> None:
    made = study_of(
        [
            row("epochs_3", epochs=3),
            row("base", epochs=5),
            row("batch_8", batch_size=8),
            row("rate_high", learning_rate=0.1),
        ]
    )
    assert made.baseline
    assert made.baseline.name == "base"


def test_two_names_of_the_baseline_are_one_candidate() -> None:
    made = study_of(
        [
            row("epochs_3", epochs=3),
            row("epochs_5", epochs=5),
            row("batch_8", batch_size=8),
            row("batch_64", batch_size=64),
        ]
    )
    assert made.baseline
    assert made.baseline.name in ("epochs_5", "batch_64")
    assert made.experiments["epochs_5"].configuration == made.baseline.configuration


def test_images_in_place_of_steps_are_one_setting_away_from_the_baseline() -> None:
    made = study_of(
        [row("base"), row("images", train_images=6400), row("batch_8", batch_size=8)],
    )
    assert made.baseline
    assert made.baseline.name == "base"


@pytest.mark.parametrize("levels", [[], [5], [3, 5], [3, 5, 10]])
def test_a_tie_has_no_baseline(levels: list[int]) -> None:
    assert study_of(row(f"e{n}", epochs=n) for n in levels).baseline is None


def test_experiments_of_one_configuration_are_equal_whatever_their_names() -> None:
    one, same, other = members(one={"epochs": 5}, same={}, other={"epochs": 6})
    assert one.configuration == same.configuration != other.configuration


def test_experiments_stand_in_the_groups_of_their_grids_and_what_is_left_in_another() -> None:
    asked = [
        GridRecord(path="configs/epochs.toml", question="Longer?", names=("e10", "e3", "e20")),
        GridRecord(path="configs/nothing.toml", names=("nowhere",)),
    ]
    made = study_of(
        [row(name, epochs=at) for at, name in enumerate(("e3", "e10", "stray"), 1)], asked
    )
    first, rest = made.groups
    assert (first.title, first.question) == ("epochs", "Longer?")
    assert [one.name for one in first.members] == ["e10", "e3"]  # in the order of the grid
    assert first.missing == ("e20",)
    assert (rest.title, [one.name for one in rest.members]) == ("other runs", ["stray"])


def test_without_a_grid_all_runs_are_one_group() -> None:
    made = study_of([row("e10", epochs=10), row("e3", epochs=3)])
    assert [group.title for group in made.groups] == ["all runs"]
    assert [one.name for one in made.groups[0].members] == ["e3", "e10"]  # in natural order


def test_an_experiment_may_stand_in_two_groups() -> None:
    asked = [
        GridRecord(path="a.toml", names=("base", "x")),
        GridRecord(path="b.toml", names=("base",)),
    ]
    made = study_of([row("base"), row("x", epochs=9)], asked)
    assert [len(group.members) for group in made.groups] == [2, 1]


def test_grids_of_one_name_are_told_apart_by_their_folders() -> None:
    paths = ("old/epochs.toml", "new/epochs.toml", "units.toml")
    made = study_of([row("a")], [GridRecord(path=path, names=("a",)) for path in paths])
    assert [group.title for group in made.groups] == ["old/epochs", "new/epochs", "units"]


def test_an_experiment_that_only_failed_is_missing_from_its_group() -> None:
    failed = row("bad", 0, {"status": "failed", "error": "loss is nan"})
    made = study_of([row("good"), failed], [GridRecord(path="g.toml", names=("good", "bad"))])
    assert made.groups[0].missing == ("bad",)
    assert list(made.scored) == ["good"]
    assert made.left_out == ("bad: failed: loss is nan",)


def test_a_run_without_a_reason_is_left_out_without_one() -> None:
    made = study_of([row("old", 0, {"status": "interrupted", "run": "old"})])
    assert made.left_out == ("old: interrupted",)
    assert made.groups == ()


def test_what_is_damaged_or_not_finished_is_named() -> None:
    made = study_of([row()], warnings=["x_results.toml: was changed"], unfinished=["a_s0", "a_s1"])
    assert made.left_out == ("x_results.toml: was changed", "not finished: a_s0, a_s1")


def in_folder(folder: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [one | {"folder": f"{folder}/{one['run']}"} for one in rows]


def with_epochs(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [one | {"history": (make_record(1), make_record(2))} for one in rows]


def test_runs_of_one_name_and_seed_in_two_folders_count_once_and_are_named() -> None:
    one, other = (in_folder(folder, rows("mlp", [0.5, 0.6])) for folder in "ab")
    made = study_of(with_epochs([*one, *other]))
    assert {seed: run.folder for seed, run in made.experiments["mlp"].runs.items()} == {
        0: "a/mlp",
        1: "a/mlp_s1",
    }
    told = (
        "the same bits as another run of that name, so of the same seed, and counted once: "
        "b/mlp, b/mlp_s1"
    )
    assert made.left_out == made.uncounted == (told,)


def test_runs_of_one_name_and_seed_with_other_figures_are_named() -> None:
    one = in_folder("a", rows("mlp", [0.5, 0.6]))
    other = in_folder("b", rows("mlp", [0.5, 0.7]))
    made = study_of([*one, *other])
    assert made.uncounted == (
        "b/mlp_s1: not counted, as a/mlp_s1 has the same name and seed, and other figures",
        "the same bits as another run of that name, so of the same seed, and counted once: b/mlp",
    )


def test_runs_of_one_name_with_other_settings_are_named_by_their_path() -> None:
    one = in_folder("a", rows("mlp", [0.5, 0.6]))
    made = study_of([*one, *in_folder("b", rows("mlp", [0.5], epochs=9))])
    told = "mlp: 1 of its runs, whose settings differ from the others': b/mlp"
    assert made.left_out == (told,)


def test_runs_that_differ_in_their_epochs_only_are_no_copies() -> None:
    one, other = (in_folder(folder, rows("mlp", [0.5])) for folder in "ab")
    made = study_of([*with_epochs(one), *other])
    assert made.uncounted == (
        "b/mlp: not counted, as a/mlp has the same name and seed, and other figures",
    )


def test_the_curve_of_a_run_has_no_epochs_of_its_namesake() -> None:
    one, other = (in_folder(folder, rows("mlp", [0.5])) for folder in "ab")
    made = study_of(with_epochs([*one, *other]))
    assert [epoch.epoch for epoch in made.experiments["mlp"].runs[0].history] == [1, 2]


def test_seeds_in_two_folders_are_runs_of_one_experiment() -> None:
    one, other = rows("mlp", {0: 0.5}), rows("mlp", {1: 0.6})
    made = study_of([*in_folder("a", one), *in_folder("b", other)])
    assert list(made.experiments["mlp"].runs) == [0, 1]
    assert made.left_out == ()


def test_a_failed_run_is_named_by_its_path() -> None:
    failed = in_folder("a", [row("bad", 0, {"status": "failed", "error": "loss is nan"})])
    assert study_of(failed).left_out == ("a/bad: failed: loss is nan",)


def test_grids_of_one_path_in_two_folders_have_titles_of_their_own() -> None:
    asked = [GridRecord(path="g.toml", names=(name,)) for name in ("a", "b")]
    made = study_of([row("a"), row("b")], asked)
    assert len({group.title for group in made.groups}) == 2


@pytest.mark.parametrize("value", [1e308, -1e308, float("inf"), float("nan")])
def test_a_figure_beyond_any_measurement_counts_as_none(value: float) -> None:
    made = study_of(rows("mlp", [0.5, value], "valid_loss"))
    assert made.experiments["mlp"].series("valid_loss") == {0: 0.5}


def test_levels_that_no_axis_can_show_are_words() -> None:
    large = [{"optimizer_args": {"eps": value}} for value in (1, 10**400)]
    made = study_of(row(f"e{at}", **one) for at, one in enumerate(large))
    assert not made.groups[0].axes[0].is_numeric


def test_runs_whose_settings_differ_from_most_of_their_name_are_left_out() -> None:
    mixed = [row("mlp", 0, epochs=3), *rows("mlp", {1: 0.5, 2: 0.6}, epochs=5)]
    made = study_of(mixed)
    assert list(made.experiments["mlp"].runs) == [1, 2]
    assert made.experiments["mlp"].settings["epochs"] == 5
    assert made.left_out == ("mlp: 1 of its runs, whose settings differ from the others'",)


def test_runs_come_in_the_order_of_their_seeds() -> None:
    made = study_of(rows("mlp", {10: 0.1, 2: 0.2, 0: 0.3}))
    assert list(made.experiments["mlp"].runs) == [0, 2, 10]
    assert (made.seeds, len(made.runs)) == ([0, 2, 10], 3)


def test_the_epochs_of_a_run_stand_under_its_seed() -> None:
    first, second = rows("mlp", [0.8, 0.9])
    made = study_of([first, *with_epochs([second])])
    assert {seed: run.history for seed, run in made.experiments["mlp"].runs.items()} == {
        0: (),
        1: (make_record(1), make_record(2)),
    }


PLAIN = [
    {"run": name, "name": name, "status": None, "accuracy": value, "learning_rate": 1e-3}
    for name, value in [("20230101-0900", 0.81), ("20230101-0910", 0.85)]
]


def test_runs_that_plain_mltrainer_left_are_described_as_far_as_they_are_known() -> None:
    made = study_of(PLAIN)
    first = made.experiments["20230101-0900"]
    assert first.settings == {"learning_rate": 1e-3}
    assert not first.has_seeds
    assert max(first.runs) < 0
    assert made.groups[0].shape == "single"
    assert [one["accuracy_mean"] for one in by_experiment(made)] == [0.81, 0.85]


def test_runs_of_unknown_settings_are_no_repeats_of_each_other() -> None:
    assert study_of(PLAIN).scatter("accuracy") == []


def test_noise_counts_one_training_of_two_names_once() -> None:
    made = study_of([*rows("a", [0.8, 0.9]), *rows("same", [0.8, 0.9])])
    assert made.scatter("accuracy") == [pytest.approx(0.1 / math.sqrt(2))]


def test_other_seeds_under_another_name_are_repeats() -> None:
    made = study_of([*rows("a", {0: 0.8}), *rows("same", {1: 0.9})])
    assert made.scatter("accuracy") == [pytest.approx(0.1 / math.sqrt(2))]


def test_one_seed_shows_no_noise() -> None:
    made = study_of([row("a"), row("b", epochs=9)])
    assert made.scatter("accuracy") == []
    assert made.noise("accuracy", made.scored["a"]) == NO_NOISE


def seen(images: dict[int, int | None], **settings: Any) -> Study:
    return study_of(
        row(f"b{size}", 0, {"images_seen": count}, batch_size=size, **settings)
        for size, count in images.items()
    )


def test_a_grid_without_a_run_is_named_among_what_is_left_out() -> None:
    grids = [
        GridRecord(path="g.toml", names=("a", "b")),
        GridRecord(path="other.toml", names=("x", "y")),
    ]
    made = study_of([row("a")], grids)
    assert made.left_out == ("other.toml: none of its experiments has a complete run here",)
    assert [group.title for group in made.groups] == ["g"]


def test_a_batch_size_that_changes_how_many_images_are_seen_is_confounded() -> None:
    found = seen({4: 2000, 64: 32000, 8: None}).groups[0].confounded
    assert found == {"batch_size": (2000, 32000)}
    assert seen({4: 2000, 64: 2000}).groups[0].confounded == {}
    assert seen({4: None, 64: None}).groups[0].confounded == {}


@pytest.mark.parametrize("axis", ["epochs", "train_steps"])
def test_more_time_is_meant_to_show_more_images(axis: str) -> None:
    made = study_of(row(f"e{n}", 0, {"images_seen": 100 * n}, **{axis: n}) for n in (3, 5))
    assert made.groups[0].confounded == {}


@pytest.mark.parametrize("left_out", [0, 1])
def test_only_the_axis_that_changes_the_images_is_confounded(left_out: int) -> None:
    cells = [(size, units, n) for size in (4, 64) for units in (16, 32) for n in (1, 3)]
    made = study_of(
        row(
            f"b{size}_u{units}_e{n}",
            0,
            {"images_seen": 100 * size * n},
            batch_size=size,
            hidden_units=(units,),
            epochs=n,
        )
        for size, units, n in cells[left_out:]
    )
    group = made.groups[0]
    assert group.shape == ("incomplete" if left_out else "factorial")
    assert set(group.confounded) == {"batch_size"}
    low, high = group.confounded["batch_size"]
    assert high == 16 * low


def test_steps_and_images_are_one_setting_when_neighbours_are_counted() -> None:
    made = study_of(
        [
            row("base"),
            *(row(f"epochs_{n}", epochs=n) for n in (1, 2, 3)),
            *(row(f"batch_{n}", batch_size=n) for n in (8, 16, 32)),
            *(row(f"steps_{n}", batch_size=8, train_steps=n) for n in (50, 70)),
        ]
    )
    # batch_8 has five neighbours, and would have seven if steps counted twice; base has six.
    assert made.baseline
    assert made.baseline.name == "base"


@settings(max_examples=25)
@given(st.lists(accuracies, min_size=1, max_size=4))
def test_the_table_has_the_mean_and_standard_deviation_that_pandas_finds(
    values: list[list[float]],
) -> None:
    runs = [one for at, some in enumerate(values) for one in rows(f"e{at}", some, epochs=1 + at)]
    table = pd.DataFrame(by_experiment(study_of(runs)), columns=list(COLUMNS)).set_index("name")
    theirs = pd.DataFrame(runs).groupby("name")["accuracy"].agg(["count", "mean", "std"])
    for name, one in theirs.iterrows():
        ours = table.loc[name]
        assert ours["n"] == one["count"]
        assert ours["accuracy_mean"] == pytest.approx(one["mean"], abs=1e-12)
        if one["count"] == 1:
            assert pd.isna(ours["accuracy_sd"])
            assert pd.isna(ours["accuracy_low"])
        else:
            assert ours["accuracy_sd"] == pytest.approx(one["std"], abs=1e-9)
            assert 0 <= ours["accuracy_low"] <= ours["accuracy_high"] <= 1


def test_the_table_says_how_sure_it_is_of_every_metric() -> None:
    first = row("mlp", 0, {"accuracy": 0.95, "valid_loss": 0.1})
    second = row("mlp", 1, {"accuracy": 0.99, "valid_loss": 0.5})
    failed = row("mlp", 2, {"status": "failed", "error": "gone", "accuracy": None})
    (found_row,) = by_experiment(study_of([first, second, failed]))
    assert set(found_row) <= set(COLUMNS)
    assert (found_row["n"], found_row["failed"], found_row["images_seen"]) == (2, 1, 32_000)
    assert found_row["hidden_units"] == first["hidden_units"] == (256, 256)
    # Student's t is 12.7062 for one degree of freedom; an accuracy is never more than 1.
    half = 12.7062 * 0.04 / 2
    assert found_row["accuracy_low"] == pytest.approx(0.97 - half, abs=1e-5)
    assert found_row["accuracy_high"] == 1.0
    assert found_row["valid_loss_low"] < 0  # which is left as it is: a loss has no such bounds
    assert "test_accuracy_mean" not in found_row
    assert all(f"{metric}_sd" in COLUMNS for metric in WITH_SPREAD)


def test_a_metric_that_is_no_number_counts_for_nothing() -> None:
    made = study_of(rows("mlp", [0.5, math.nan, math.inf]))
    assert made.experiments["mlp"].series("accuracy") == {0: 0.5}
    assert made.experiments["mlp"].mean("test_loss") is None


def test_best_is_the_highest_accuracy_and_the_lowest_loss() -> None:
    made = study_of([*rows("a", [0.9], epochs=1), *rows("b", [0.7], epochs=2)])
    (group,) = made.groups
    assert [one.name for one in best_first(group.members, "accuracy")] == ["a", "b"]
    losses = [*rows("a", [0.9], "valid_loss", epochs=1), *rows("b", [0.7], "valid_loss", epochs=2)]
    assert [one.name for one in best_first(study_of(losses).groups[0].members, "valid_loss")] == [
        "b",
        "a",
    ]


def test_runs_of_unknown_settings_are_no_one_configuration() -> None:
    made = study_of([*PLAIN, row("known"), row("same")])
    together = by_configuration(made.scored.values())
    assert [[one.name for one in same] for same in together] == [
        ["20230101-0900"],
        ["20230101-0910"],
        ["known", "same"],
    ]


@pytest.mark.parametrize(
    ("values", "levels"),
    [
        ([1, True], ("1", "true")),
        ([0, 0.0, False], ("0", "0.0", "false")),
        ([True, False], (False, True)),
        ([0, 0.5], (0, 0.5)),
    ],
)
def test_levels_that_train_differently_are_never_one(
    values: list[Any], levels: tuple[Any, ...]
) -> None:
    plugged = "somebodys_package:Optimizer"
    study = study_of(
        row(f"e{number}", optimizer=plugged, optimizer_args={"warm": value})
        for number, value in enumerate(values)
    )
    (group,) = study.groups
    (axis,) = group.axes
    assert axis.levels == levels
    assert [len(found) for found in group.by_level(axis).values()] == [1] * len(values)
    assert [one.settings["optimizer_args"]["warm"] for one in group.members] == values


def test_the_noise_of_other_images_is_another() -> None:
    rng = random.Random(1)
    made = study_of(
        run
        for sd, validation in ((0.01, "test"), (0.1, 10_000))
        for epochs in range(1, 9)
        for run in rows(
            f"e{epochs}_{validation}",
            [rng.gauss(0.5, sd) for _ in range(4)],
            epochs=epochs,
            validation=validation,
        )
    )
    calm, wild = (
        made.noise("accuracy", made.scored[f"e1_{images}"]) for images in ("test", 10_000)
    )
    assert 10 * calm.residual < wild.residual
