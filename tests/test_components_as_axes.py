"""Components as axes: their arguments go to those that take them, also arguments in tables."""

from pathlib import Path

import pytest

from fmgrid.analysis.experiments import ExperimentRuns, find_axes
from fmgrid.cli.listing import Entry, to_tables
from fmgrid.cli.options import ListOptions
from fmgrid.components import KINDS
from fmgrid.errors import InputError
from fmgrid.experiment import Experiment
from fmgrid.grid import load_plan
from fmgrid.grid.blocks import Block, Written
from fmgrid.grid.hypotheses import Experiments
from fmgrid.grid.names import make_name
from fmgrid.hypotheses.conditions import parse_selection
from fmgrid.results.summary import to_cells
from fmgrid.settings import keys_of, objection_to

OPTIMIZER = """
import torch

class Mine(torch.optim.SGD):
    def __init__(self, params, lr, config=None):
        super().__init__(params, lr)
"""
NESTED = {"config": {"hidden_size": 32, "rate": 0.5}, "dropout": 0.1}


def axes_of(**axes: list[object]) -> dict[tuple[str, ...], list[Written]]:
    place = Written(None, None, "").place  # type: ignore[arg-type]
    return {
        keys_of(name.replace("__", ".")): [Written(value, place, name) for value in values]
        for name, values in axes.items()
    }


def points(block: Block) -> list[dict[str, object]]:
    return [{".".join(keys): at.value for keys, at in each.items()} for _, each in block.points()]


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an optimizer whose argument is a table."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "optimizer_with_config.py").write_text(OPTIMIZER)
    return tmp_path


def test_widths_go_to_those_networks_that_have_hidden_units() -> None:
    axes = axes_of(network=["MLP", "somewhere:Net"], units1=[8, 16], epochs=[1])
    block = Block("grid", None, axes=axes)  # type: ignore[arg-type]
    assert points(block) == [
        {"network": "MLP", "units1": 8, "epochs": 1},
        {"network": "MLP", "units1": 16, "epochs": 1},
        {"network": "somewhere:Net", "epochs": 1},
    ]
    assert block.count == 3


def test_two_kinds_of_components_keep_to_their_own_arguments() -> None:
    axes = axes_of(
        network=["MLP", "somewhere:Net"],
        optimizer=["SGD", "Adam"],
        units1=[8, 16],
        optimizer_args__momentum=[0.0, 0.9],
    )
    block = Block("grid", None, axes=axes)  # type: ignore[arg-type]
    assert block.count == len(points(block)) == (2 + 1) * (2 + 1)
    for point in points(block):
        assert ("units1" in point) == (point["network"] == "MLP")
        assert ("optimizer_args.momentum" in point) == (point["optimizer"] == "SGD")


def test_arguments_in_a_table_are_axes_with_names_exclusions_and_conditions(mine: Path) -> None:
    (mine / "g.toml").write_text(
        """
        [grid]
        optimizer = ["Adam", "optimizer_with_config:Mine"]
        optimizer_args.config.rate = [1, 2]
        optimizer_args.config.decay = [0.0, 0.5]
        [[exclude]]
        optimizer_args.config.rate = 2
        optimizer_args.config.decay = 0.5
        [[hypothesis]]
        claim = "a rate of 1 is better"
        expect = "mean of optimizer_args.config.rate = 1 > optimizer_Mine_rate_2_decay_0.0"
        """
    )
    plan = load_plan([mine / "g.toml"])
    named = {each.experiment.name: each.experiment for each in plan.definitions}
    assert [*named] == [
        "optimizer_Adam",
        "optimizer_Mine_rate_1_decay_0.0",
        "optimizer_Mine_rate_1_decay_0.5",
        "optimizer_Mine_rate_2_decay_0.0",
    ]
    config = {"rate": 1, "decay": 0.0}
    assert named["optimizer_Mine_rate_1_decay_0.0"].optimizer_args == {"config": config}
    (hypothesis,) = plan.hypotheses
    assert "optimizer_Mine_rate_1_decay_0.5" in str(hypothesis.resolved)


def test_arguments_in_a_table_are_columns_and_axes() -> None:
    settings = {
        "optimizer_args": {"config": {"a": 1, "b": [2]}, "eps": 0.5},
        "network_args": NESTED,
    }
    cells = {name: cell for name, cell in to_cells(settings).items() if "." in name}
    assert cells == {
        "network_args.config.hidden_size": 32,
        "network_args.config.rate": 0.5,
        "network_args.dropout": 0.1,
        "optimizer_args.config.a": 1,
        "optimizer_args.config.b": [2],
        "optimizer_args.eps": 0.5,
    }
    other = {**settings, "network_args": {**NESTED, "config": {"hidden_size": 64, "rate": 0.5}}}
    members = [
        ExperimentRuns(str(number), each, {}) for number, each in enumerate((settings, other))
    ]
    assert [axis.name for axis in find_axes(members)] == ["network_args.config.hidden_size"]


def test_a_list_calls_arguments_of_networks_as_the_csv_does_and_takes_both_words() -> None:
    entries = [
        Entry(ExperimentRuns(f"rate_{rate}", {"network_args": {"dropout": rate}}, {}), {})
        for rate in (0.1, 0.2)
    ]

    def columns(where: list[str] | None = None, columns: str | None = None) -> list[str]:
        options = ListOptions(Path(), None, False, where, columns, None, json=False, csv=False)
        listed = to_tables(entries, options)
        names.append([entry.experiment.name for entry in listed.entries])
        return [column.name for column in listed.columns]

    names: list[list[str]] = []
    assert "network_args.dropout" in columns()
    for word in ("network.dropout", "network_args.dropout"):
        assert columns([f"{word} = 0.2"], word) == ["network_args.dropout"]
        assert names.pop() == ["rate_0.2"]


def test_conditions_of_networks_take_both_words() -> None:
    named = Experiments(
        {str(rate): Experiment(name="any", network_args={"dropout": rate}) for rate in (0.1, 0.2)}
    )
    for word in ("network.dropout", "network_args.dropout"):
        assert named.select(parse_selection(f"{word} = 0.2")) == ("0.2",)


def test_a_grid_says_arguments_of_a_network_in_one_way(tmp_path: Path) -> None:
    (tmp_path / "g.toml").write_text("[base]\nnetwork.dropout = 0.5")
    with pytest.raises(InputError) as caught:
        load_plan([tmp_path / "g.toml"])
    mistake = "base.network.dropout: network is one value; write network_args.dropout"
    assert str(caught.value).endswith(mistake)
    assert objection_to(["optimizer", "eps"]) == "optimizer is one value; write optimizer_args.eps"


@pytest.mark.parametrize(
    ("value", "word"),
    [
        ("package.module:Net", "Net"),
        ("MLP", "MLP"),
        ("my_images.npz", "my_images"),
        ("images/flowers/", "images_flowers"),
    ],
)
def test_a_component_is_called_by_its_class_or_file(value: str, word: str) -> None:
    for setting in KINDS:
        assert make_name(f"{{{setting}}}", Experiment(name="any", **{setting: value})) == word
