import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from io import BytesIO
from itertools import combinations, pairwise, product
from math import nan
from random import Random
from typing import Any
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.lines import Line2D

from fmgrid.analysis.effects import Effect
from fmgrid.analysis.evidence import Evidence
from fmgrid.analysis.experiments import Axis, ExperimentRuns, Group
from fmgrid.analysis.statistics import Difference
from fmgrid.analysis.study import Study
from fmgrid.pages.document import INK
from fmgrid.plots import Plot, draw_all, to_png, to_svg
from fmgrid.plots.groups import axis_label, level_places
from fmgrid.plots.studies import plot_experiments, plot_learning_curves
from fmgrid.plots.style import (
    COLOURS,
    GREY,
    MOST_LOOKS,
    in_style,
    ink_on,
    look,
    looks_in_order,
    near_span,
    to_label,
)
from fmgrid.settings import DEFAULTS, RIVALS
from made_up_runs import make_record
from made_up_studies import evidence_of, run_of

BASE: dict[str, Any] = {
    "dataset": "fashion-mnist",
    "validation": "test",
    "epochs": 3,
    "train_steps": 100,
    "batch_size": 64,
    "hidden_units": (256, 256),
    "learning_rate": 1e-3,
    "optimizer": "Adam",
    "optimizer_args": {},
}
WHITE, NEAR_BLACK = "#ffffff", "#14171a"


def made_up(
    name: str, settings: Mapping[str, Any], seeds: int = 3, about: float = 0.8, **row: Any
) -> ExperimentRuns:
    """Return an experiment whose runs scatter around an accuracy by a point or so."""
    settings = dict(DEFAULTS) | {
        **BASE,
        **settings,
    }
    absent = {*RIVALS, "content"}  # may be, in an experiment of which everything is known
    settings = {key: value for key, value in settings.items() if value is not None or key in absent}
    dice = Random(name)
    runs = {}
    for seed in range(seeds):
        value = about + dice.gauss(0, 0.008)
        loss = 1.3 * (1 - value) + 0.2
        images = settings["epochs"] * 100 * settings["batch_size"]
        measured: dict[str, Any] = {
            "accuracy": value,
            "valid_loss": loss,
            "train_loss": loss - 0.02 * dice.random(),
        }
        history = [
            make_record(
                epoch,
                accuracy=value * epoch / settings["epochs"],
                valid_loss=loss * settings["epochs"] / epoch,
                images_seen=epoch * 100 * settings["batch_size"],
            )
            for epoch in range(1, settings["epochs"] + 1)
        ]
        identity = {"name": name, "run": f"{name}_s{seed}", "seed": seed, "history": history}
        runs[seed] = run_of({**measured, "images_seen": images, **identity, **row})
    return ExperimentRuns(name, settings, runs)


def without_history(one: ExperimentRuns) -> ExperimentRuns:
    return replace(one, runs={seed: replace(run, history=()) for seed, run in one.runs.items()})


def grid(seeds: int = 3, **axes: Sequence[Any]) -> list[ExperimentRuns]:
    """Return every combination of levels; later levels are more accurate."""
    found = []
    for levels in product(*axes.values()):
        settings = dict(zip(axes, levels, strict=True))
        rank = sum(axes[name].index(level) for name, level in settings.items())
        name = "_".join(f"{key}_{level}" for key, level in settings.items())
        found.append(
            made_up(name, settings, seeds, 0.75 + 0.2 * rank / sum(map(len, axes.values())))
        )
    return found


def study_of(*groups: Sequence[ExperimentRuns], titles: Sequence[str] = ()) -> Study:
    experiments = {one.name: one for members in groups for one in members}
    named = titles or [f"group_{number}" for number in range(len(groups))]
    made = (Group(title, "", tuple(members)) for title, members in zip(named, groups, strict=True))
    return Study(experiments, tuple(made), (), ())


def effect(setting: str, mean: float, half: float | None = 0.005, **changed: Any) -> Effect:
    low, high = (None, None) if half is None else (mean - half, mean + half)
    found = Effect(
        group=f"of {setting}",
        setting=setting,
        best=128,
        worst=4,
        levels=3,
        difference=Difference(10, mean, half, low, high, 0.01),
        p=1.0 if half is None else 0.01,
        noise=0.014,
        images=None,
    )
    return replace(found, **changed)


BATCHES = [4, 8, 16, 32, 64, 128]
WIDTHS = [(a, b) for a in (16, 64, 256) for b in (16, 64, 256)]
WEIRD = "$x_1^2$ 网络\n\u202e🙂 ~#{}%&<b>é" + "-very" * 30 + "-long"
UNMEASURED = {"accuracy": None, "valid_loss": None, "train_loss": None}

SHAPES: dict[str, list[ExperimentRuns]] = {
    "one axis": grid(batch_size=BATCHES),
    "two axes": grid(hidden_units=WIDTHS),
    "two axes with words": grid(
        optimizer=["Adam", "SGD", "some.package:Lion"], batch_size=[32, 64]
    ),
    "three axes": grid(batch_size=[32, 64], learning_rate=[1e-4, 1e-3, 1e-2], epochs=[2, 4, 6]),
    "four axes": grid(
        batch_size=[32, 64], learning_rate=[1e-3, 1e-2], epochs=[2, 4], optimizer=["A", "B"]
    ),
    "three axes of many levels": grid(
        seeds=2,
        batch_size=list(range(8, 15)),
        optimizer=list("ABCDEFG"),
        train_steps=list(range(1, 8)),
    ),
    "a triangle": grid(hidden_units=[(a, b) for a, b in WIDTHS if a >= b]),
    "an irregular group": [
        made_up("one", {"batch_size": 32, "epochs": 2}),
        made_up("two", {"batch_size": 64, "epochs": 5}),
        made_up("three", {"batch_size": 64, "epochs": 2, "optimizer": "SGD"}),
    ],
    "one run": [made_up("alone", {}, seeds=1)],
    "no history": [without_history(one) for one in grid(batch_size=[48, 96, 192])],
}
STUDIES: dict[str, Callable[[], Study]] = {
    "groups of every shape": lambda: study_of(*SHAPES.values(), titles=list(SHAPES)),
    "one seed": lambda: study_of(grid(seeds=1, batch_size=BATCHES), grid(1, hidden_units=WIDTHS)),
    "one axis and two": lambda: study_of(grid(batch_size=BATCHES), grid(hidden_units=WIDTHS)),
    "one run": lambda: study_of([made_up("alone", {}, seeds=1)]),
    "one experiment with repeats": lambda: study_of([made_up("alone", {}, seeds=5)]),
    "two experiments": lambda: study_of(grid(batch_size=[32, 64])),
    "nothing measured": lambda: study_of([made_up("alone", {}, **UNMEASURED)]),
    "no runs": lambda: Study({}, (), (), ()),
    "a metric missing here and there": lambda: study_of(
        [*grid(batch_size=[32, 128]), made_up("unmeasured", {"batch_size": 8}, **UNMEASURED)],
        [*grid(hidden_units=WIDTHS[:-1]), made_up("x", {"hidden_units": (256, 256)}, **UNMEASURED)],
    ),
    "an accuracy that is no number": lambda: study_of(
        [*grid(batch_size=[32, 64, 128]), made_up("broken", {"batch_size": 8}, accuracy=nan)]
    ),
    "no history": lambda: study_of(list(map(without_history, grid(batch_size=BATCHES)))),
    "one epoch": lambda: study_of(grid(batch_size=BATCHES, epochs=[1])),
    "all values equal": lambda: study_of(
        [made_up(f"b{size}", {"batch_size": size}, accuracy=0.5) for size in BATCHES],
        [
            made_up(f"u{n}", {"hidden_units": units}, valid_loss=0.5, train_loss=0.5, accuracy=0.1)
            for n, units in enumerate(WIDTHS)
        ],
    ),
    "everything right or wrong": lambda: study_of(
        [
            made_up(f"b{size}", {"batch_size": size}, valid_loss=0.0, train_loss=0.0)
            for size in BATCHES
        ]
    ),
    "strange and long names": lambda: study_of(
        [
            made_up(f"{WEIRD}{number}", {"optimizer": f"{WEIRD}.a:b{WEIRD}{number}"})
            for number in range(4)
        ],
        [
            made_up(f"$a$ {n} {kind}", {"batch_size": n, "optimizer": f"${kind}$"})
            for n, kind in product((1, 2), "ab")
        ],
        titles=[WEIRD, "$a$/b"],
    ),
    "unknown settings": lambda: study_of(
        [
            made_up("found", {"hidden_units": None, "optimizer": None, "optimizer_args": None}),
            made_up("other", {"hidden_units": (8,), "optimizer": None, "optimizer_args": None}),
            made_up(
                "third", {"hidden_units": None, "optimizer": "SGD", "optimizer_args": {"a": 1}}
            ),
        ]
    ),
    "runs of unknown seeds": lambda: study_of(
        [replace(one, runs={-1: one.runs[0]}) for one in grid(1, batch_size=BATCHES)]
    ),
    "levels that are default or true": lambda: study_of(
        [
            made_up("bare", {"optimizer_args": {}}),
            made_up("nesterov", {"optimizer_args": {"nesterov": True}}),
            made_up("plain", {"optimizer_args": {"nesterov": False}}),
        ]
    ),
    "one level far from the others": lambda: study_of(
        [
            made_up(name, {"optimizer": name}, about=about)
            for name, about in (("Adam", 0.83), ("AdamW", 0.82), ("RMSprop", 0.84), ("SGD", 0.28))
        ]
    ),
    "many levels": lambda: study_of(
        grid(seeds=2, learning_rate=[0.001 * 1.3**k for k in range(30)]),
        grid(seeds=2, optimizer=[f"package:Optimizer{k}WithALongName" for k in range(30)]),
        grid(seeds=2, batch_size=list(range(1, 19)), optimizer=["A", "B", "C"]),
    ),
    "many seeds": lambda: study_of(grid(seeds=50, batch_size=BATCHES)),
    "other counts of seeds": lambda: study_of(
        [made_up(f"b{k}", {"batch_size": size}, 1 + k) for k, size in enumerate(BATCHES)]
    ),
    "the same under other names": lambda: study_of(
        [made_up("batch_64", {}), made_up("batch_32", {"batch_size": 32})],
        [made_up("same", {}), made_up("epochs_5", {"epochs": 5})],
    ),
}
EFFECTS: dict[str, list[Effect]] = {
    "none": [],
    "one": [effect("epochs", 0.02)],
    "with one seed": [
        effect("epochs", 0.02, None, noise=None),
        effect("depth", 0.0, None, noise=None),
    ],
    "one that dwarfs the others": [
        effect("optimizer", 0.54),
        effect("depth", 0.006),
        effect("epochs", 0.03),
    ],
    "confounded": [effect("batch_size", 0.12, images=(2_000, 64_000)), effect("epochs", 0.03)],
    "many": [effect(f"setting_{n}", 0.001 * n) for n in range(60)],
    "strange": [effect(WEIRD, 0.03, best=WEIRD, worst=None, group=WEIRD), effect("a", nan)],
    "the same setting twice": [effect("epochs", 0.03), effect("epochs", 0.02, group="other")],
}


@pytest.fixture(scope="module")
def drawn() -> Callable[[str], list[Plot]]:
    """Return the pictures of a study, which are drawn once."""
    kept: dict[str, list[Plot]] = {}

    def draw(case: str) -> list[Plot]:
        if case not in kept:
            kept[case] = draw_all(evidence_of(STUDIES[case](), []))
        return kept[case]

    return draw


class Recorder:
    """Notes what a renderer is told to write, and what that covers of the canvas in pixels."""

    def __init__(self, renderer: RendererAgg) -> None:
        self.measure = renderer.get_text_width_height_descent
        self.texts: list[str] = []
        self.points: list[float] = []  # sizes of their fonts
        self.boxes: list[tuple[float, float, float, float]] = []  # of level and upright texts

    def draw_text(self, *told: Any, ismath: bool, **_: Any) -> None:
        _, x, y, text, font, angle = told
        assert not ismath, text
        self.points.append(font.get_size_in_points())
        width, height, _ = self.measure(text, font, ismath=False)
        if angle == 90:
            x, width, height = x - height, height, width
        if angle in (0, 90):
            self.texts.append(text)
            self.boxes.append((x, y - height, x + width, y))


def texts_of(figure: Figure) -> list[str]:
    return recorded(figure).texts


def recorded(figure: Figure) -> Recorder:
    canvas = FigureCanvasAgg(figure)
    renderer = canvas.get_renderer()
    recorder = Recorder(renderer)
    for method in ("draw_path", "draw_markers", "draw_path_collection", "draw_image"):
        setattr(renderer, method, lambda *_, **__: None)  # only texts count, and lines are slow
    renderer.draw_text = recorder.draw_text
    with in_style():
        canvas.draw()
    return recorder


def assert_is_legible(figure: Figure) -> list[str]:
    """Return the texts of a figure, of which none overlaps another or leaves the picture."""
    found = recorded(figure)
    x0, y0, x1, y1 = np.transpose(found.boxes)
    width, height = figure.bbox.size
    outside = (x0 < -1) | (y0 < -1) | (x1 > width + 1) | (y1 > height + 1)
    assert not [text for text, is_out in zip(found.texts, outside, strict=True) if is_out]
    wide = np.minimum.outer(x1, x1) - np.maximum.outer(x0, x0) > 2
    high = np.minimum.outer(y1, y1) - np.maximum.outer(y0, y0) > 2
    pairs = np.argwhere(np.triu(wide & high, 1))
    assert not [(found.texts[one], found.texts[two]) for one, two in pairs]
    return found.texts


def names_of(pictures: Sequence[Plot]) -> set[str]:
    return {one.name for one in pictures}


@pytest.mark.parametrize("case", STUDIES)
def test_every_study_has_legible_pictures_with_captions(
    case: str, drawn: Callable[[str], list[Plot]]
) -> None:
    pictures = drawn(case)
    assert len(names_of(pictures)) == len(pictures)
    for one in pictures:
        assert one.title in assert_is_legible(one.figure)
        assert one.caption.endswith(".")
        assert one.caption.isprintable()
        for word in ("nan", "None", "inf "):
            assert word not in one.caption


@pytest.mark.parametrize("case", ["groups of every shape", "many levels"])
def test_all_text_is_eight_pixels_high_on_a_phone(
    case: str, drawn: Callable[[str], list[Plot]]
) -> None:
    room = 390 - 2 * 17  # pixels of a small phone, without the margins of a page
    for one in drawn(case):
        scale = min(1.0, room / (96 * one.figure.get_figwidth()))
        assert min(recorded(one.figure).points) * 96 / 72 * scale >= 8


@pytest.mark.parametrize("case", EFFECTS)
def test_effects_of_every_kind_are_legible(case: str) -> None:
    pictures = draw_all(evidence_of(STUDIES["no runs"](), EFFECTS[case]))
    assert names_of(pictures) == ({"effects"} if EFFECTS[case] else set())
    for one in pictures:
        assert_is_legible(one.figure)


@pytest.mark.parametrize(
    ("shape", "kinds"),
    [
        ("one axis", {"levels", "steps_and_images"}),
        ("two axes", {"heatmap", "levels"}),
        ("two axes with words", {"heatmap", "levels", "steps_and_images"}),
        ("three axes", {"heatmap"}),
        ("four axes", {"levels"}),
        ("three axes of many levels", {"levels"}),
        ("a triangle", {"heatmap", "levels"}),
        ("an irregular group", set()),
        ("one run", set()),
        ("no history", {"levels"}),
    ],
)
def test_a_groups_shape_decides_on_its_pictures(
    shape: str, kinds: set[str], drawn: Callable[[str], list[Plot]]
) -> None:
    names = names_of([one for one in drawn("groups of every shape") if one.group == shape])
    assert names == {f"{shape.replace(' ', '_')}_{kind}" for kind in kinds}


@pytest.mark.parametrize(
    ("case", "missing"),
    [
        ("no runs", {"configuration_summary"}),
        ("nothing measured", {"configuration_summary", "overfitting_gap", "winners_by_seed"}),
        ("no history", {"learning_curves"}),
        ("one epoch", {"learning_curves"}),
        ("one seed", {"winners_by_seed"}),
        ("two experiments", {"winners_by_seed"}),
        ("runs of unknown seeds", {"winners_by_seed"}),
    ],
)
def test_there_is_no_picture_of_nothing(
    case: str, missing: set[str], drawn: Callable[[str], list[Plot]]
) -> None:
    assert not names_of(drawn(case)) & missing


def caption(case: str, name: str, drawn: Callable[[str], list[Plot]]) -> str:
    return next(one.caption for one in drawn(case) if one.name == name)


@pytest.mark.parametrize(
    "name",
    ["configuration_summary", "group_0_levels", "group_1_heatmap", "learning_curves"],
)
def test_a_caption_says_what_bars_mean_and_over_how_many_seeds(
    name: str, drawn: Callable[[str], list[Plot]]
) -> None:
    assert re.search(
        "95% intervals?[a-z ,]* over 3 seeds", caption("one axis and two", name, drawn)
    )
    told = caption("one seed", name, drawn)
    assert "no intervals" in told
    assert "95%" not in told


def test_intervals_of_unequal_numbers_of_seeds_are_said_to_be_so(
    drawn: Callable[[str], list[Plot]],
) -> None:
    told = caption("other counts of seeds", "configuration_summary", drawn)
    assert "95% intervals over 1 to 6 seeds (of one run there is none)" in told


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("configuration_summary", "Accuracy (%)"),
        ("group_0_levels", "Accuracy (%)"),
        ("group_0_levels", "Batch size (images), log scale"),
        ("group_0_steps_and_images", "Accuracy (%)"),
        ("learning_curves", "Validation loss (nats), log scale"),
        ("overfitting_gap", "Validation loss minus train loss (nats)"),
    ],
)
def test_axes_say_their_unit(name: str, label: str, drawn: Callable[[str], list[Plot]]) -> None:
    figure = next(one.figure for one in drawn("one axis and two") if one.name == name)
    assert label in texts_of(figure)


def test_every_one_of_many_batch_sizes_has_its_name(drawn: Callable[[str], list[Plot]]) -> None:
    picture = next(one for one in drawn("many levels") if one.name == "group_2_steps_and_images")
    assert set(map(str, range(1, 19))) <= set(texts_of(picture.figure))


@pytest.mark.parametrize(("count", "named"), [(8, 8), (9, 2)])
def test_every_curve_has_its_name_where_there_are_eight_or_fewer(count: int, named: int) -> None:
    sizes = [11 * 2**k for k in range(count)]
    with in_style():
        plot = plot_learning_curves(evidence_of(study_of(grid(batch_size=sizes))))
    assert plot
    written = assert_is_legible(plot.figure)
    assert sum(f"batch_size_{size}" in written for size in sizes) == named
    assert ("have names" in plot.caption) == (named < count)


def test_the_cells_of_a_heat_map_say_their_means(drawn: Callable[[str], list[Plot]]) -> None:
    figure = next(one.figure for one in drawn("one axis and two") if one.name.endswith("heatmap"))
    written = texts_of(figure)
    for one in grid(hidden_units=WIDTHS):
        assert f"{100 * (one.mean('accuracy') or 0):.1f}" in written


def test_two_axes_have_a_line_for_each_level_of_the_shorter(
    drawn: Callable[[str], list[Plot]],
) -> None:
    case = "groups of every shape"
    plot = next(one for one in drawn(case) if one.name == "two_axes_with_words_levels")
    assert plot.title == "Accuracy by batch_size and optimizer"
    assert {"optimizer", "Adam", "SGD", "Lion"} <= set(texts_of(plot.figure))
    (axes,) = plot.figure.axes
    lines = [
        line for line in axes.lines if len(line.get_xdata()) == 2 and line.get_marker() == "None"
    ]
    assert sum(line.get_xdata()[0] != line.get_xdata()[1] for line in lines) == 3


def test_two_axes_of_more_than_eight_levels_have_no_lines() -> None:
    study = study_of(grid(2, batch_size=list(range(1, 10)), epochs=list(range(1, 10))))
    assert {"group_0_heatmap"} == {
        one.name for one in draw_all(evidence_of(study, [])) if one.group
    }


@pytest.mark.parametrize(
    ("long", "rows"), [("AnOptimizer", "Optimizer"), ("A", "Batch size (images)")]
)
def test_levels_of_long_names_are_rows_of_a_heat_map(long: str, rows: str) -> None:
    study = study_of(grid(batch_size=[32, 64], optimizer=[long, "B"]))
    figure = next(
        one.figure for one in draw_all(evidence_of(study, [])) if one.name == "group_0_heatmap"
    )
    assert figure.get_supylabel() == rows


def test_combinations_that_nobody_ran_are_empty_and_counted(
    drawn: Callable[[str], list[Plot]],
) -> None:
    told = caption("groups of every shape", "a_triangle_heatmap", drawn)
    assert told.endswith("Empty: 3 combinations without a run.")
    assert "Empty" not in caption("groups of every shape", "two_axes_heatmap", drawn)


def test_every_block_has_its_picture_and_alike_ones_say_in_what_they_differ() -> None:
    widths = grid(hidden_units=WIDTHS)
    fast, slow = (
        [
            made_up(f"{optimizer}_{rate}", {"optimizer": optimizer, "learning_rate": rate})
            for rate in rates
        ]
        for optimizer, rates in (("Adam", (0.1, 0.2)), ("SGD", (0.3, 0.4)))
    )
    whole = Group(
        "g", "", (*widths, *fast, *slow), blocks=(tuple(widths), tuple(fast), tuple(slow))
    )
    study = replace(study_of([*whole.members]), groups=(whole,))
    titles = {one.name: one.title for one in draw_all(evidence_of(study, [])) if one.group}
    assert titles == {
        "g_heatmap": "Mean accuracy by units1 and units2",
        "g_levels": "Accuracy by units1 and units2",
        "g_levels_2": "Accuracy by learning_rate; optimizer Adam",
        "g_levels_3": "Accuracy by learning_rate; optimizer SGD",
    }


def test_half_an_interval_is_whole_where_the_interval_goes_beyond_what_an_accuracy_can_be() -> None:
    cells = [
        ExperimentRuns(f"b{size}_e{epochs}", {**BASE, "batch_size": size, "epochs": epochs}, runs)
        for size, epochs, values in (
            (4, 1, (0.10, 0.16)),  # 0.13 with 0.38 on both sides
            (4, 2, (0.95, 0.99)),
            (8, 1, (0.40, 0.90)),
            (8, 2, (0.50, 0.51)),
        )
        for runs in [
            {
                seed: run_of({"name": "", "run": "", "accuracy": value})
                for seed, value in enumerate(values)
            }
        ]
    ]
    pictures = draw_all(evidence_of(study_of(cells), []))
    figure = next(one.figure for one in pictures if one.name.endswith("heatmap"))
    halves = {"±38.1", "±25.4", "±317.7", "±6.4"}  # 12.706 (Student, n = 2) x half the distance
    assert {text for text in texts_of(figure) if text.startswith("±")} == halves


@pytest.mark.parametrize(
    ("levels", "even", "label"),
    [
        ([0, 1e-5, 1e-3, 1e-1], True, ", log scale but for 0"),
        ([0.0, 1, 10, 100], True, ", log scale but for 0"),
        ([1e-5, 1e-3, 1e-1], True, ", log scale"),
        ([0, 0.5, 0.9], False, ""),
        ([0, 1e-5], True, ""),
        ([-10, 0, 10], True, ""),
    ],
)
def test_levels_of_several_magnitudes_stand_apart_whether_or_not_one_is_zero(
    levels: list[float], even: bool, label: str
) -> None:
    axis = Axis("optimizer_args.weight_decay", tuple(levels))
    places = [level_places(axis)[level] for level in levels]
    steps = [high - low for low, high in pairwise(places)]
    assert all(step > 0 for step in steps)
    assert (max(steps) == pytest.approx(min(steps))) is even
    assert axis_label(axis) == f"optimizer_args.weight_decay{label}"


def test_what_was_not_measured_is_counted(drawn: Callable[[str], list[Plot]]) -> None:
    case = "a metric missing here and there"
    assert "2 experiments without" in caption(case, "configuration_summary", drawn)
    assert "1 level without" in caption(case, "group_0_levels", drawn)
    assert "1 cell without" in caption(case, "group_1_heatmap", drawn)
    told = caption("an accuracy that is no number", "group_0_levels", drawn)
    assert "1 level without" in told


def test_a_level_far_from_the_others_is_an_arrow_and_does_not_squeeze_them(
    drawn: Callable[[str], list[Plot]],
) -> None:
    pictures = {one.name: one for one in drawn("one level far from the others")}
    for name, values in (("group_0_levels", 4), ("configuration_summary", 1)):
        (axes,) = pictures[name].figure.axes
        low, high = axes.get_ylim() if name == "group_0_levels" else axes.get_xlim()
        assert high - low < 20
        assert f"Arrows: {values} value{'s' if values > 1 else ''} beyond" in pictures[name].caption
        assert "28." in " ".join(texts_of(pictures[name].figure))
    assert "Arrows" not in caption("one axis and two", "group_0_levels", drawn)


def test_one_configuration_stands_on_one_line_whatever_its_names(
    drawn: Callable[[str], list[Plot]],
) -> None:
    case = "the same under other names"
    figure = next(one.figure for one in drawn(case) if one.name == "configuration_summary")
    written = texts_of(figure)
    assert "batch_64 (+1 name)" in written
    assert "same" not in written
    winners = next(one.figure for one in drawn(case) if one.name == "winners_by_seed")
    assert "Rank among 3" in texts_of(winners)


def test_long_names_that_differ_in_their_middle_have_labels_of_their_own() -> None:
    names = [f"a_network_with_a_batch_size_of_{n}_on_images_of_fashion" for n in (8, 16, 32)]
    study = study_of([made_up(name, {"batch_size": n}) for n, name in enumerate(names)])
    for picture in draw_all(evidence_of(study, [])):
        if picture.name in ("configuration_summary", "winners_by_seed"):
            labels = [text for text in texts_of(picture.figure) if text.startswith("a_net")]
            assert len(set(labels)) == 3
            assert all(len(label) <= 36 for label in labels)


def test_sixty_one_names_are_legible() -> None:
    members = [
        made_up(f"experiment_with_a_long_name_{n}", {"learning_rate": n + 1.0}, about=0.5 + n / 200)
        for n in range(61)
    ]
    with in_style():
        plot = plot_experiments(evidence_of(study_of(members[:30], members[20:])))
    assert plot
    written = assert_is_legible(plot.figure)
    assert all(one.name in written for one in members)


def test_of_five_hundred_experiments_the_best_and_worst_are_shown() -> None:
    members = [
        made_up(f"e{n}", {"learning_rate": n + 1.0}, seeds=2, about=0.3 + n / 1000)
        for n in range(500)
    ]
    with in_style():
        plot = plot_experiments(evidence_of(study_of(members)))
    assert plot
    written = assert_is_legible(plot.figure)
    assert "… 420 more …" in written
    assert sum(text.startswith("e") for text in written) == 80


@pytest.mark.parametrize("draw", [plot_experiments, plot_learning_curves])
def test_many_groups_are_legible(draw: Callable[[Evidence], Plot | None]) -> None:
    study = study_of(*(grid(seeds=2, train_steps=[n, 40 + n]) for n in range(1, 31)))
    with in_style():
        plot = draw(evidence_of(study))
    assert plot
    assert_is_legible(plot.figure)


def test_names_of_pictures_are_safe_for_files() -> None:
    studies = [
        study_of(grid(seeds=1, epochs=[1, 2]), grid(1, epochs=[3, 4]), titles=titles)
        for titles in (["a/b", "A b"], ["..", "网络"], [WEIRD, WEIRD])
    ]
    for study in studies:
        names = [one.name for one in draw_all(evidence_of(study, []))]
        assert len({name.lower() for name in names}) == len(names)
        assert all(name.isascii() and "/" not in name and name[0] != "." for name in names)
        assert all(len(name) < 100 for name in names)


def test_the_rows_of_winners_won_or_are_not_significantly_worse() -> None:
    def of(name: str, *accuracies: float) -> ExperimentRuns:
        one = made_up(name, {"optimizer": name}, seeds=len(accuracies))
        rows = {
            seed: replace(one.runs[seed], metrics={**one.runs[seed].metrics, "accuracy": value})
            for seed, value in enumerate(accuracies)
        }
        return replace(one, runs=rows)

    study = study_of(
        [of("a", 0.9, 0.8, 0.9, 0.6), of("b", 0.8, 0.9, 0.8, 0.7), of("c", 0.1, 0.2, 0.1, 0.1)]
    )
    picture = next(one for one in draw_all(evidence_of(study, [])) if one.name == "winners_by_seed")
    written = texts_of(picture.figure)
    assert {"a", "b"} <= set(written)
    assert "c" not in written
    assert "best mean over 4 seeds" in picture.caption


@pytest.mark.parametrize(("smallest", "is_log"), [(0.02, True), (0.2, False)])
def test_effects_are_in_one_panel_whatever_their_sizes(smallest: float, is_log: bool) -> None:
    effects = [
        effect("optimizer", 0.545, best="Adam", worst="SGD"),
        effect("batch_size", 0.3, images=(2_000, 64_000)),
        effect("depth", smallest, p=0.2),
    ]
    (picture,) = draw_all(evidence_of(STUDIES["no runs"](), effects))
    (axes,) = picture.figure.axes
    low, high = axes.get_xlim()
    assert low <= 0
    assert high > 55
    written = assert_is_legible(picture.figure)
    assert {"significant", "not significant", "images seen differ, too"} <= set(written)
    assert any("log scale" in text for text in written) == is_log
    assert "54.5 (54.0 to 55.0)" in written


def test_effects_begin_at_zero_and_lines_below_it_are_said_to_be_cut_off() -> None:
    (picture,) = draw_all(evidence_of(STUDIES["no runs"](), [effect("depth", 0.01, half=0.02)]))
    assert picture.figure.axes[0].get_xlim()[0] == 0
    assert "end at 0 where they go below" in picture.caption
    (picture,) = draw_all(evidence_of(STUDIES["no runs"](), [effect("depth", 0.01)]))
    assert "cut off" not in picture.caption


def test_an_effect_without_levels_has_the_name_of_its_settings_alone() -> None:
    interaction = effect("units1 x units2", 0.01, is_interaction=True)
    (picture,) = draw_all(evidence_of(STUDIES["no runs"](), [interaction]))
    assert "units1 x units2" in texts_of(picture.figure)
    assert "An interaction (x) is" in picture.caption


@pytest.mark.parametrize(
    ("best", "worst", "label"),
    [
        ("pkg:Lion", "other:Lion", "optimizer: Lion over Lion"),
        ("a" * 60, "b" * 60, "optimizer: aaaaaaa"),
        (1e-3, 1e-5, "optimizer: 0.001 over 1e-05"),
    ],
)
def test_an_effect_has_its_best_and_worst_level(best: Any, worst: Any, label: str) -> None:
    lion = effect("optimizer", 0.01, best=best, worst=worst)
    (picture,) = draw_all(evidence_of(STUDIES["no runs"](), [lion]))
    (written,) = [text for text in assert_is_legible(picture.figure) if "optimizer" in text]
    assert written.startswith(label)


def test_levels_that_do_not_fit_beside_their_setting_are_left_out() -> None:
    name = "optimizer_args.an_argument_of_a_name"
    long = effect(name, 0.01, best="a" * 60, worst="b" * 60)
    (picture,) = draw_all(evidence_of(STUDIES["no runs"](), [long]))
    assert name in assert_is_legible(picture.figure)


def test_smaller_effects_that_have_no_room_are_counted() -> None:
    (picture,) = draw_all(evidence_of(STUDIES["no runs"](), EFFECTS["many"]))
    assert picture.caption.endswith("20 smaller effects left out.")


def test_effects_on_losses_are_not_drawn_as_points_of_accuracy() -> None:
    lost = [effect("depth", 0.2, metric="valid_loss")]
    (picture,) = draw_all(evidence_of(STUDIES["no runs"](), lost))
    (axes,) = picture.figure.axes
    assert axes.get_xlabel() == "Validation loss of the best level minus the worst"
    assert [bar.get_width() for bar in axes.patches] == [0.2]


# Files


def draw_samples() -> list[Plot]:
    study = study_of(
        grid(batch_size=[8, 32]), grid(hidden_units=WIDTHS), titles=["batchsize", "units"]
    )
    return draw_all(evidence_of(study, EFFECTS["confounded"]))


def saved(plots: Sequence[Plot]) -> dict[str, tuple[str, bytes]]:
    return {one.name: (to_svg(one.figure), to_png(one.figure)) for one in plots}


@pytest.fixture(scope="module")
def sample_plots() -> list[Plot]:
    return draw_samples()


@pytest.fixture(scope="module")
def samples(sample_plots: list[Plot]) -> dict[str, tuple[str, bytes]]:
    return saved(sample_plots)


def test_equal_figures_are_equal_bytes(samples: dict[str, tuple[str, bytes]]) -> None:
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "text.color": "green"}):
        assert saved(draw_samples()) == samples


def test_saving_twice_changes_nothing(
    sample_plots: list[Plot], samples: dict[str, tuple[str, bytes]]
) -> None:
    heatmaps = [one for one in sample_plots if one.name == "units_heatmap"]
    assert saved(heatmaps) == {"units_heatmap": samples["units_heatmap"]}


def test_a_png_is_on_white_and_not_blank(samples: dict[str, tuple[str, bytes]]) -> None:
    for _, png in samples.values():
        pixels = imread(BytesIO(png))
        assert pixels.shape[1] == 960
        assert np.allclose(pixels[0, 0], 1.0)
        assert (pixels[..., :3].min(axis=-1) < 0.5).mean() > 0.002


def test_an_svg_has_no_background_no_date_and_text_in_ink(
    samples: dict[str, tuple[str, bytes]],
) -> None:
    for svg, _ in samples.values():
        ElementTree.fromstring(svg)  # noqa: S314 -- our own
        assert INK in svg
        assert "dc:date" not in svg
        assert "matplotlib.org/" not in svg.split("-->")[0]
        assert "<text" not in svg  # paths look the same wherever they are shown
        for background in ("fill: #ffffff", "fill: white", "#000000"):
            assert background not in svg


def test_drawing_changes_nothing_for_others() -> None:
    before = dict(matplotlib.rcParams)
    to_svg(draw_all(evidence_of(STUDIES["one run"](), []))[0].figure)
    assert dict(matplotlib.rcParams) == before


def test_pictures_without_a_home_are_drawn_in_silence() -> None:
    code = "import fmgrid.plots; import matplotlib; matplotlib.get_cachedir()"
    unset = ("MPLCONFIGDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME")
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**environment, "HOME": "/dev/null"},
        capture_output=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == (b"", b"")


def test_pyplot_is_never_imported() -> None:
    code = (
        "import sys; from fmgrid.plots import draw_all, to_png; "
        "from dataclasses import replace; "
        "from fmgrid.analysis.study import Study; "
        "from fmgrid.analysis.effects import Effect; "
        "from fmgrid.analysis.evidence import weigh; "
        "from fmgrid.analysis.statistics import Difference; "
        "effect = Effect('g', 's', 1, 2, 2, Difference(1, 0.1), 1.0, None, None); "
        "evidence = replace(weigh(Study({}, (), (), ())), effects=[effect]); "
        "to_png(draw_all(evidence)[0].figure); "
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# Parts


def test_a_label_is_short_on_one_line_and_in_characters_that_the_font_has() -> None:
    assert to_label("units_512_256") == "units_512_256"
    assert to_label("a\nb") == "a\\nb"
    assert to_label("网") == "\\u7f51"
    assert to_label("🙂", 40) == "\\U0001f642" or to_label("🙂") == "🙂"
    long = to_label("the_same_beginning_of_all_names_and_the_end_7")
    assert len(long) == 24
    assert long.startswith("the_same")
    assert long.endswith("end_7")
    assert "…" in long


@pytest.mark.parametrize(
    ("spans", "near"),
    [
        ([(80, 82), (81, 83), (79, 82)], (79, 83)),
        ([(80, 82), (81, 83), (20, 30)], (80, 83)),
        ([(80, 82), (81, 83), (99, 100)], (80, 83)),
        ([(50, 50), (80, 80)], (50, 80)),  # neither is the rest
        ([(80, 80)] * 3 + [(20, 20)] * 2, (20, 80)),  # too many to be clipped
        ([(80, 80), (80, 80), (82, 82)], (80, 82)),  # near enough
        ([(80, 82)] * 5 + [(10, 99)], (80, 82)),  # a long interval
        ([(80, 80)], (80, 80)),
    ],
    ids=["together", "one below", "one above", "two", "many", "close", "long", "alone"],
)
def test_an_axis_leaves_out_only_few_that_lie_far_from_the_rest(
    spans: list[tuple[float, float]], near: tuple[float, float]
) -> None:
    assert near_span(spans) == near


# Colours


def linear(colour: str) -> np.ndarray:
    rgb = np.array(to_rgb(colour))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def contrast(one: str, two: str) -> float:
    """The contrast ratio of WCAG 2."""
    dark, light = sorted(float(linear(c) @ [0.2126, 0.7152, 0.0722]) for c in (one, two))
    return (light + 0.05) / (dark + 0.05)


def lab(rgb: np.ndarray) -> np.ndarray:
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = np.clip(rgb, 0, 1) @ np.transpose(to_xyz) / [0.9505, 1.0, 1.089]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


# Machado, Oliveira and Fernandes, "A physiologically-based model for simulation of color vision
# deficiency", IEEE Transactions on Visualization and Computer Graphics 15, 2009; severity 1.
VISION = {
    "usual": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


@pytest.mark.parametrize("vision", VISION)
def test_colours_are_told_apart_by_everyone(vision: str) -> None:
    seen = [lab(np.asarray(VISION[vision]) @ linear(one)) for one in COLOURS]
    assert all(np.linalg.norm(one - two) > 10 for one, two in combinations(seen, 2))


INKS = [look["color"] for count in (2, 3, 8) for look in looks_in_order(count)]


@pytest.mark.parametrize("colour", [*COLOURS, GREY, *INKS])
def test_colours_stand_out_from_white_and_from_near_black(colour: str) -> None:
    assert contrast(colour, WHITE) >= 3
    assert contrast(colour, NEAR_BLACK) >= 3


def test_every_group_of_many_has_a_shape_of_its_own() -> None:
    study = study_of(*([made_up(f"b{n}", {"batch_size": n})] for n in range(1, MOST_LOOKS + 1)))
    plot = plot_experiments(evidence_of(study))
    assert plot
    handles = plot.figure.legends[0].legend_handles
    looks = {(one.get_marker(), one.get_fillstyle()) for one in handles if isinstance(one, Line2D)}
    assert len(looks) == len(handles) == MOST_LOOKS
    assert len({tuple(look(n).values()) for n in range(MOST_LOOKS)}) == MOST_LOOKS


@pytest.mark.parametrize("level", np.linspace(0, 1, 11))
def test_a_cells_figure_is_legible_on_its_colour(level: float) -> None:
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    fill = to_hex(colormaps["cividis"](level))
    assert contrast(ink_on(level), fill) > 4.3
    assert ink_on(level) != INK
