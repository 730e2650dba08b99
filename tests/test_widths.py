"""Widths as people say them: depth and units, units1, units2 and so on."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmgrid.analysis.experiments import ExperimentRuns, find_axes
from fmgrid.errors import InputError
from fmgrid.experiment import Experiment
from fmgrid.grid import load_plan
from fmgrid.grid.hypotheses import Experiments
from fmgrid.grid.widths import with_width
from fmgrid.hypotheses.conditions import parse_selection

Networks = dict[str, tuple[int, ...]]


def networks(text: str, folder: Path, *overrides: str) -> Networks:
    """The hidden layers of every experiment of a grid, by its name."""
    (folder / "g.toml").write_text(text)
    plan = load_plan([folder / "g.toml"], overrides=overrides)
    return {each.experiment.name: each.experiment.hidden_units for each in plan.definitions}


def mistakes(text: str, folder: Path, *overrides: str) -> list[str]:
    with pytest.raises(InputError) as caught:
        networks(text, folder, *overrides)
    return [str(problem).removeprefix(f"{folder}/g.toml:") for problem in caught.value.problems]


def test_depth_and_units_are_axes(tmp_path: Path) -> None:
    assert networks("[grid]\ndepth = [1, 3]\nunits = [64, 128]", tmp_path) == {
        "depth_1_units_64": (64,),
        "depth_1_units_128": (128,),
        "depth_3_units_64": (64, 64, 64),
        "depth_3_units_128": (128, 128, 128),
    }


def test_the_units_of_each_layer_are_axes(tmp_path: Path) -> None:
    assert networks("[grid]\nunits1 = [64, 128]\nunits2 = [64, 128]", tmp_path) == {
        "units1_64_units2_64": (64, 64),
        "units1_64_units2_128": (64, 128),
        "units1_128_units2_64": (128, 64),
        "units1_128_units2_128": (128, 128),
    }


def test_a_third_layer_is_an_axis_beside_networks_of_two(tmp_path: Path) -> None:
    grid = "[base]\nhidden_units = [32, 32]\n[grid]\nunits1 = [16, 64]\nunits3 = [0, 8]"
    assert networks(grid, tmp_path) == {
        "units1_16_units3_0": (16, 32),
        "units1_16_units3_8": (16, 32, 8),
        "units1_64_units3_0": (64, 32),
        "units1_64_units3_8": (64, 32, 8),
    }


def test_a_layer_of_0_units_leaves_those_behind_it_in_their_order(tmp_path: Path) -> None:
    grid = "[grid]\nunits3 = [16]\nunits2 = [0, 32]\nunits1 = [64]"
    assert [*networks(grid, tmp_path).values()] == [(64, 16), (64, 32, 16)]


def test_two_ways_to_say_one_network_are_one_experiment(tmp_path: Path) -> None:
    grid = "[grid]\nunits1 = [64]\nunits2 = [0, 32]\nunits3 = [0, 32]\nname = '{hidden_units}'"
    assert networks(grid, tmp_path) == {"64": (64,), "64_32": (64, 32), "64_32_32": (64, 32, 32)}


@pytest.mark.parametrize(
    ("base", "block", "units"),
    [
        ("", "depth = 3", (256, 256, 256)),
        ("", "units = 32", (32, 32)),
        ("units = 32", "depth = 3", (32, 32, 32)),
        ("depth = 3", "units = 32", (32, 32, 32)),
        ("depth = 3\nunits = 32", "units2 = 8", (32, 8, 32)),
        ("depth = 3\nunits = 32", "hidden_units = [8]", (8,)),
        ("depth = 3\nunits = 32", "hidden_units.1 = 8", (32, 8, 32)),
        ("hidden_units = [64, 8]", "depth = 3\nunits = 32", (32, 32, 32)),
        ("hidden_units = [64, 8]", "units = 32\ndepth = 3", (32, 32, 32)),
        ("hidden_units = [64, 8]", "units = 32", (32, 32)),
        ("hidden_units = [64, 8]", "units2 = 0", (64,)),
        ("units1 = 64\nunits2 = 8", "hidden_units = [16, 16]", (16, 16)),
        ("hidden_units = []", "depth = 2\nunits = 4", (4, 4)),
        ("hidden_units = [8]", "depth = 0", ()),
    ],
)
def test_a_block_replaces_what_the_base_says_of_the_layers(
    base: str, block: str, units: tuple[int, ...], tmp_path: Path
) -> None:
    assert [*networks(f"[base]\n{base}\n[[point]]\n{block}", tmp_path).values()] == [units]


@pytest.mark.parametrize(
    ("override", "units"),
    [
        ("hidden_units=[8]", [(8,)]),
        ("hidden_units.0=8", [(8, 256), (8, 256, 4)]),
        ("units1=8", [(8, 256), (8, 256, 4)]),
        ("units3=0", [(16, 256), (32, 256)]),
        ("units=8", [(8, 8), (8, 8, 8)]),
    ],
)
def test_an_override_of_layers_has_the_last_word(
    override: str, units: list[tuple[int, ...]], tmp_path: Path
) -> None:
    grid = "name = 'w{hidden_units}'\n[grid]\nunits1 = [16, 32]\nunits3 = [0, 4]"
    assert sorted(networks(grid, tmp_path, override).values()) == units


def test_widths_have_the_fingerprint_of_the_list(tmp_path: Path) -> None:
    (tmp_path / "g.toml").write_text("[[point]]\nname = 'any'\ndepth = 2\nunits = 64")
    (definition,) = load_plan([tmp_path / "g.toml"]).definitions
    written_out = Experiment(name="any", hidden_units=[64, 64])
    assert definition.experiment.fingerprint == written_out.fingerprint


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        (
            "[base]\nhidden_units = [64]\ndepth = 3",
            "3: base.depth: stands beside hidden_units; write one of the two",
        ),
        (
            "[grid]\nunits1 = [64]\nunits = 64",
            "3: grid.units: stands beside units1; write one of the two",
        ),
        (
            "[base]\nhidden_units = [64, 32]\n[grid]\ndepth = [1, 2]",
            (
                "4: grid.depth: takes the width that all layers share, and those of [64, 32] "
                "differ; write units, too"
            ),
        ),
        (
            "[base]\nhidden_units = []\n[grid]\ndepth = [1]",
            (
                "4: grid.depth: takes the width that all layers share, and the network has none; "
                "write units, too"
            ),
        ),
        (
            "[grid]\nunits4 = [64]",
            "2: grid.units4: comes after units3, which is not set; write units3, or 0 for it",
        ),
        (
            "[base]\nunits = [64, 128]",
            "2: base.units: [64, 128] is not a whole number from 1; an axis stands in [grid]",
        ),
        ("[base]\nunits = 0", "2: base.units: 0 is not a whole number from 1"),
        ("[base]\ndepth = 2.0", "2: base.depth: 2.0 is not a whole number from 0"),
        (
            "[base]\nunits1 = true",
            "2: base.units1: true is not a whole number from 1, or 0 for no such layer",
        ),
        (
            "[base]\ndepth = 1000000000",
            "2: base.depth: has 1,000,000,000 layers; write at most 1,000",
        ),
        ("[base]\nunits2000 = 1", "2: base.units2000: has 2,000 layers; write at most 1,000"),
        ("[base]\nunits.0 = 1", "2: base.units: { 0 = 1 } is not a whole number from 1"),
        (
            "name = '{units}'\n[base]\nhidden_units = [64, 32]",
            (
                '1: name: "{units}" asks for units, and the experiment has '
                "hidden_units = [64, 32]; set it, or write {hidden_units}"
            ),
        ),
        ("[[exclude]]\nunits2 = 'a'\n[base]", '2: exclude.units2: "a" is not a whole number'),
    ],
)
def test_a_wrong_width_is_answered_with_its_line(text: str, mistake: str, tmp_path: Path) -> None:
    assert mistakes(text, tmp_path) == [mistake]


def test_the_words_of_others_for_widths_are_answered(tmp_path: Path) -> None:
    assert mistakes("[grid]\nnum_layers = [1]\nneurons = [8]\nunit1 = [8]", tmp_path) == [
        "2: grid.num_layers: no such setting; did you mean depth?",
        "3: grid.neurons: no such setting; did you mean units?",
        "4: grid.unit1: no such setting; did you mean units1?",
    ]


def test_an_exclusion_asks_for_widths_and_for_a_layer_that_is_left_out(tmp_path: Path) -> None:
    grid = "[grid]\nunits1 = [8, 16]\nunits2 = [0, 4]\n"
    assert networks(f"{grid}[[exclude]]\nunits1 = 8\nunits2 = 0", tmp_path) == {
        "units1_8_units2_4": (8, 4),
        "units1_16_units2_0": (16,),
        "units1_16_units2_4": (16, 4),
    }
    assert [*networks(f"{grid}[[exclude]]\ndepth = 2\nunits2 = 4", tmp_path).values()] == [
        (8,),
        (16,),
    ]


def test_conditions_of_hypotheses_know_all_widths() -> None:
    shapes = {"a": (8,), "b": (8, 8), "c": (8, 4)}
    named = Experiments(
        {name: Experiment(name=name, hidden_units=units) for name, units in shapes.items()}
    )
    for text, names in {
        "units2 = 0": ("a",),
        "units2 = 4": ("c",),
        "units = 8": ("a", "b"),
        "depth = 2 and units = 8": ("b",),
    }.items():
        assert named.select(parse_selection(text)) == names


@pytest.mark.parametrize(
    ("shapes", "axes"),
    [
        ([(8,), (16,), (8, 8), (16, 16)], {"depth": (1, 2), "units": (8, 16)}),
        ([(8, 8), (8, 8, 4), (16, 8), (16, 8, 4)], {"units1": (8, 16), "units3": (0, 4)}),
        ([(8,), (16, 16)], {"hidden_units": ((8,), (16, 16))}),
    ],
)
def test_widths_are_axes_of_the_analysis(
    shapes: list[tuple[int, ...]], axes: dict[str, tuple[object, ...]]
) -> None:
    members = [ExperimentRuns(str(units), {"hidden_units": units}, {}) for units in shapes]
    assert {axis.name: axis.levels for axis in find_axes(members)} == axes


@given(st.lists(st.integers(0, 9), max_size=6), st.randoms())
def test_layers_may_be_set_in_any_order(units: list[int], random: object) -> None:
    names = [f"units{number}" for number in range(1, len(units) + 1)]
    shuffled = [*zip(names, units, strict=True)]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    layers: list[int | None] = []
    for name, width in shuffled:
        layers = [*with_width(layers, name, width, {(name,) for name in names})]
    assert [width for width in layers if width] == [width for width in units if width]


def test_the_example_of_the_docs_is_the_networks_that_it_names(tmp_path: Path) -> None:
    text = Path(__file__).parent.parent.joinpath("docs/grids.md").read_text(encoding="utf-8")
    section = text.partition("## Widths of layers")[2].partition("\n## ")[0]
    example = section.partition("```toml\n")[2].partition("```")[0]
    named = networks(example, tmp_path)
    assert len(named) == 6 + 8
    assert named["depth_1_units_64"] == (64,)
    assert named["units1_64_units2_64_units3_0"] == (64, 64)
