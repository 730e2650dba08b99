"""A sample of a grid: a random part of a block, which a larger sample contains."""

import json
import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from command import ROOT, Call, write
from fmgrid.errors import InputError
from fmgrid.grid import load_plan
from fmgrid.grid.blocks import shuffled
from loading import load_grids

GRID = """name = "e{epochs}_b{batch_size}_{optimizer}"
[base]
dataset = "fashion-mnist-sample"
hidden_units = [8]
train_steps = 1
[[grid]]
epochs = [1, 2, 3, 4, 5, 6]
batch_size = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
optimizer = ["SGD", "Adam"]
optimizer_args.momentum = 0.5
"""
HUGE = "[[grid]]\nname = 'n" + "".join(f"_{{units{layer}}}" for layer in range(1, 10)) + "'\n"
HUGE += "".join(f"units{layer} = {[2**power for power in range(10)]}\n" for layer in range(1, 10))
PINNED = ["e3_b8_SGD", "e4_b1_SGD", "e1_b2_Adam", "e5_b2_Adam"]
SECOND = '[[grid]]\nname = "w{units1}"\nunits1 = [4, 16]\n'

pytestmark = pytest.mark.usefixtures("elsewhere")


def names(text: str, *lines: str) -> list[str]:
    """Return the names of a grid's experiments, with lines added to its block."""
    path = Path(write("\n".join([text, *lines, ""])))
    return [definition.experiment.name for definition in load_grids([path])]


@given(st.integers(0, 200), st.integers(0, 9))
def test_a_shuffle_has_every_number_once_and_hangs_on_its_seed(count: int, seed: int) -> None:
    numbers = [*shuffled(count, seed)]
    assert sorted(numbers) == [*range(count)]
    assert numbers == [*shuffled(count, seed)]
    assert count < 20 or numbers != [*shuffled(count, seed + 1)]


def test_every_number_is_as_likely_at_every_place() -> None:
    counts = [[0] * 5 for _ in range(5)]
    for seed in range(2_000):
        for place, number in enumerate(shuffled(5, seed)):
            counts[place][number] += 1
    expected, deviation = 400, math.sqrt(2_000 * 0.2 * 0.8)
    assert all(abs(count - expected) < 5 * deviation for row in counts for count in row)


@pytest.mark.parametrize("rules", ["", 'only_if = "batch_size > epochs"'])
def test_a_larger_sample_contains_the_smaller_and_all_are_the_grid(rules: str) -> None:
    whole = names(GRID, rules)
    samples = [names(GRID, rules, f"sample = {size}") for size in (1, 7, 40, 119, 120, 10_000)]
    sizes = [min(size, len(whole)) for size in (1, 7, 40, 119, 120, 10_000)]
    assert [len(sample) for sample in samples] == sizes
    for smaller, larger in pairwise(samples):
        assert {*smaller} <= {*larger}
    assert samples[-1] == whole
    assert samples[2] == [name for name in whole if name in samples[2]]  # in the order of the grid


def test_another_seed_draws_another_sample() -> None:
    samples = {tuple(names(GRID, "sample = 9", f"sample_seed = {seed}")) for seed in range(5)}
    assert len(samples) == 5
    assert tuple(names(GRID, "sample = 9")) in samples  # of seed 0


def test_a_sample_is_the_same_everywhere() -> None:
    assert names(GRID, "sample = 4") == PINNED


def test_exclusions_leave_a_sample_its_size() -> None:
    rule = '[[exclude]]\nwhere = "batch_size <= 5"\n[[exclude]]\nname = "*_Adam"\n'
    kept = names(GRID, "sample = 11", rule)
    assert len(kept) == 11
    assert {*kept} <= {*names(GRID, rule)}


def test_points_that_are_one_experiment_count_once() -> None:
    text = "[[grid]]\nname = 'u_{hidden_units}'\ndepth = [0, 1]\nunits = [8, 16, 32, 64]\n"
    whole = {"u_none", "u_8", "u_16", "u_32", "u_64"}
    assert {*names(text, "sample = 5")} == {*names(text, "sample = 8")} == whole


def test_a_grid_of_a_billion_points_is_sampled_without_spelling_it_out() -> None:
    found = names(HUGE, "sample = 40", 'only_if = "units1 >= units2 and units2 >= units3"')
    assert len({*found}) == 40
    with pytest.raises(InputError, match="spells out 1,000,000,000 of 1,000,000,000 runs"):
        names(HUGE)
    with pytest.raises(InputError, match="spells out 30,000 of 30,000 runs"):
        names(f"repeats = 3\n{HUGE}", "sample = 10_000")


def test_conditions_that_nearly_nothing_meets_are_refused() -> None:
    rare = " and ".join(f"units{layer} > units{layer + 1}" for layer in range(1, 9))
    with pytest.raises(InputError) as caught:
        names(HUGE, "sample = 40", f'only_if = "{rare} and units1 < 256"')
    message = "only 0 of 20,000 random points stay by only_if and [[exclude]]"
    expected = f"grid.toml:13: grid.sample: {message}; write fewer, or values that stay"
    assert str(caught.value) == expected


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[grid]\nsample = 0", "2: grid.sample: 0 is not a number of combinations; write sample"),
        ("[grid]\nsample = 0.5", "2: grid.sample: 0.5 is not a number of combinations; write samp"),
        ("[grid]\nsample_seed = 1", "2: grid.sample_seed: has no sample beside it; write sample ="),
        ("[grid]\nsample = 3\nsample_seed = -1", "3: grid.sample_seed: -1 is not a whole number f"),
        ("[[zip]]\nsample = 3", "2: zip.sample: no setting; it stands in [grid]"),
        ("[base]\nsample = 3", "2: base.sample: no setting; it stands in [grid]"),
        ("sample = 3\n[base]", "1: sample: stands outside of a table; it stands in [grid]"),
    ],
)
def test_a_mistake_is_named(text: str, problem: str) -> None:
    with pytest.raises(InputError) as caught:
        names(text)
    assert str(caught.value).startswith(f"grid.toml:{problem}")


@pytest.mark.parametrize("options", [[], ["--only", "w4"]])
def test_plan_and_run_say_how_much_of_a_grid_they_take(options: Sequence[str], call: Call) -> None:
    write(f"{GRID}sample = 3\n{SECOND}sample = 9\n")
    code, _, err = call("plan", "grid.toml", *options)
    expected = [
        "grid.toml:6: a sample of 3 of 120 combinations",
        "grid.toml:12: a sample of 2 of 2 combinations",
    ]
    assert (code, err.splitlines()[:2]) == (0, expected)
    _, out, _ = call("plan", "grid.toml", "--json", *options)
    assert json.loads(out)["samples"] == [
        {"defined": "grid.toml:6", "chosen": 3, "combinations": 120},
        {"defined": "grid.toml:12", "chosen": 2, "combinations": 2},
    ]
    code, _, err = call("run", "grid.toml", "-j", "0", *options)
    assert (code, err.splitlines()[:2]) == (0, expected)


def test_a_larger_sample_trains_what_it_adds(call: Call) -> None:
    write(f"{GRID}sample = 2\n")
    assert call("run", "grid.toml", "-j", "0")[0] == 0
    write(f"{GRID}sample = 4\n")
    code, out, _ = call("plan", "grid.toml", "--json")
    states = [run["state"] for run in json.loads(out)["runs"]]
    assert (code, sorted(states)) == (0, ["complete"] * 2 + ["pending"] * 2)


def test_experiments_of_a_sample_are_counted_whatever_their_seeds() -> None:
    write(f"{GRID}sample = 3\n")
    plan = load_plan([Path("grid.toml")], seeds=[0, 1])
    assert (len(plan.definitions), [sample.chosen for sample in plan.samples]) == (6, [3])


def test_the_example_of_the_docs_is_what_it_says(call: Call) -> None:
    text = (ROOT / "docs" / "grids.md").read_text(encoding="utf-8")
    section = text.partition("## Parts of a product")[2].partition("\n## ")[0]
    example = section.partition("```toml\n")[2].partition("```")[0]
    found = names(example)
    assert [name.partition("_")[0] for name in found] == ["funnel"] * 6 + ["random"] * 40
    assert not [name for name in found if "_0.0001_SGD" in name or "_0.0003_SGD" in name]
    _, _, err = call("plan", "grid.toml")
    assert err.splitlines()[0] == "grid.toml:7: a sample of 40 of 1,200 combinations"
