import re
import tempfile
import time
from math import prod
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmgrid.errors import InputError, Problem
from fmgrid.grid.names import MAX_LENGTH
from loading import load_grids


def short(number: float) -> float:
    """Return a number of three digits: with seventeen, names outgrow what a folder may have."""
    return float(f"{number:.3g}")


AXES: dict[str, st.SearchStrategy[Any]] = {
    "epochs": st.integers(1, 100),
    "batch_size": st.integers(1, 1_000),
    "learning_rate": st.floats(1e-6, 1.0).map(short),
    "train_steps": st.one_of(st.integers(1, 1_000), st.just("full")),
    "train_images": st.integers(1_000, 9_999),
    "hidden_units": st.lists(st.integers(1, 512), max_size=4),
    "validation": st.one_of(st.integers(1, 1_000), st.sampled_from(["test", 0.1, 0.25])),
    "optimizer": st.sampled_from(["SGD", "Adam", "RMSprop"]),
    "optimizer_args.weight_decay": st.floats(0, 1).map(short),
}

GOOD = """\
name = "e{epochs}_{hidden_units[0]}_{optimizer}"
seeds = [0, 1]
[base]
epochs = 5
optimizer_args = { weight_decay = 1e-5 }
[[grid]]
hidden_units.0 = [16, 32]
optimizer = ["SGD", "Adam"]
[[zip]]
epochs = [1, 2]
batch_size = [8, 16]
[[point]]
name = "one"
learning_rate = 0.5
[[exclude]]
epochs = 1
"""

# What a tired user, or a program gone wrong, makes of a grid.
FRAGMENTS = [
    *re.findall(r"\w+|\S|\s", GOOD),
    *("[[", "]]", "{", "}", "''", "nan", "-0.0", "0x7fffffffffffffff", "2020-01-01", "true"),
    *("[grid]\n", "[[exclude]]\n", "name = '{", "repeats = 2\n", ".", "# ", "\r\n", '"""', "é"),
    *("\nsample = 3\n", "\nsample_seed = 1\n", "\ntitle = 'a'\n", "\nonly_if = 'epochs < depth'\n"),
    *("\nwhere = 'optimizer > 1'\n", "\nwhere = 'units1 != batch_size and epochs = 1'\n"),
    *("train_steps = 9\n", "train_images = [64, 128]\n"),
    *("depth = [1]\n", "hidden_units = []\n", "optimizer_args = {}\n", "\x00", "\ufeff", "{depth}"),
]


@st.composite
def grids(draw: st.DrawFn) -> dict[str, list[Any]]:
    unlike = (lambda name: name.replace("images", "steps"),)  # one table has one of the two
    chosen = draw(st.lists(st.sampled_from(sorted(AXES)), min_size=1, max_size=3, unique_by=unlike))
    return {
        name: draw(st.lists(AXES[name], min_size=1, max_size=4, unique_by=repr)) for name in chosen
    }


@st.composite
def mutations(draw: st.DrawFn) -> str:
    text = GOOD
    for _ in range(draw(st.integers(1, 5))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(len(text), start + 12)))
        text = text[:start] + draw(st.sampled_from(["", *FRAGMENTS])) + text[end:]
    return text


def to_toml(axes: dict[str, list[Any]]) -> str:
    written = {name: str(choices).replace("'", '"') for name, choices in axes.items()}
    return "".join(f"{name} = {choices}\n" for name, choices in written.items())


def load(content: str | bytes, **options: Any) -> list[str]:
    """Return the runs of a grid file."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "g.toml")
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return [definition.experiment.run_name for definition in load_grids([file], **options)]


def runs_or_problems(content: str | bytes, **options: Any) -> tuple[list[str], list[Problem]]:
    try:
        return load(content, **options), []
    except InputError as error:
        return [], list(error.problems)


def check_outcome(content: str | bytes) -> None:
    """A grid has runs, of names that differ, or problems, with places in the file."""
    runs, problems = runs_or_problems(content)

    assert bool(runs) != bool(problems)
    assert len({run.casefold() for run in runs}) == len(runs)
    last = content.count(b"\n" if isinstance(content, bytes) else "\n") + 1
    for problem in problems:
        assert problem.place.source.endswith("g.toml")
        assert problem.place.line is None or 1 <= problem.place.line <= last
        assert str(problem).isprintable()


@given(grids())
def test_a_grid_has_as_many_runs_as_it_is_counted_to_have(axes: dict[str, list[Any]]) -> None:
    count = prod(map(len, axes.values()))

    runs = load(f"[grid]\n{to_toml(axes)}", max_runs=count)

    assert len(runs) == len(set(runs)) == count
    with pytest.raises(InputError, match="and the limit is"):
        load(f"[grid]\n{to_toml(axes)}", max_runs=count - 1)


@given(grids(), st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=3, unique=True))
def test_names_are_safe_and_unique_on_every_system(
    axes: dict[str, list[Any]], seeds: list[int]
) -> None:
    runs = load(f"[grid]\n{to_toml(axes)}", seeds=seeds)

    assert len({run.casefold() for run in runs}) == len(runs)
    for run in runs:
        assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._+=-]*", run)
        assert len(run) <= MAX_LENGTH
        assert not run.endswith(".")


@given(grids())
def test_more_seeds_rename_and_reorder_nothing(axes: dict[str, list[Any]]) -> None:
    text = f"[grid]\n{to_toml(axes)}"

    few, more = load(text), load(text, seeds=[0, 1])

    assert [run for run in more if run in set(few)] == few
    assert len(more) == 2 * len(few)


@given(grids(), st.data())
def test_an_exclusion_leaves_the_others_in_their_order(
    axes: dict[str, list[Any]], data: st.DataObject
) -> None:
    axes["batch_size"] = [8, 16, 32]  # so that something is left of one axis at least
    name = data.draw(st.sampled_from([name for name in axes if len(axes[name]) > 1]))
    dropped = data.draw(st.sampled_from(axes[name]))
    rule = to_toml({name: [dropped]})
    text = f"[grid]\n{to_toml(axes)}"

    runs, left = load(text), load(f"{text}[[exclude]]\n{rule}")

    assert len(left) == len(runs) // len(axes[name]) * (len(axes[name]) - 1)
    assert [run for run in runs if run in set(left)] == left


@given(grids())
def test_an_override_takes_an_axis_out_of_the_product(axes: dict[str, list[Any]]) -> None:
    count = prod(len(choices) for name, choices in axes.items() if name != "epochs")
    axes["epochs"] = [1, 2, 3]

    assert len(load(f"[grid]\n{to_toml(axes)}", overrides=["epochs=7"], max_runs=count)) == count


@settings(max_examples=300)
@given(mutations())
def test_a_spoilt_grid_runs_or_is_refused_with_its_place(text: str) -> None:
    check_outcome(text)


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=30).map("".join))
def test_any_heap_of_fragments_runs_or_is_refused(text: str) -> None:
    check_outcome(text)


@given(st.one_of(st.text(st.characters(exclude_categories=["Cs"])), st.binary()))
def test_any_content_runs_or_is_refused(content: str | bytes) -> None:
    check_outcome(content)


@given(st.text(st.characters(exclude_characters="\0"), max_size=30))
def test_any_override_runs_or_is_refused(text: str) -> None:
    runs, problems = runs_or_problems("[base]\nepochs = 1\n", overrides=[text])

    assert bool(runs) != bool(problems)
    assert all(problem.place.source.startswith("--set ") for problem in problems)
    assert all(str(problem).isprintable() for problem in problems)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(
            "name = 'e{epochs}_b{batch_size}'\n[grid]\n"
            f"epochs = {list(range(1, 101))}\nbatch_size = {list(range(1, 101))}\n",
            id="a product",
        ),
        pytest.param(
            "".join(f"[[point]]\nname = 'p{n}'\nepochs = {n}\n" for n in range(1, 10_001)),
            id="points",
        ),
        pytest.param(
            "[base]\noptimizer = 'Adm'\nlearning_rate = 0\noptimizer_args.momentun = 1\n[grid]\n"
            f"epochs = {list(range(-100, 0))}\nbatch_size = {list(range(1, 101))}\n",
            id="a product in which everything is wrong",
        ),
        pytest.param(
            f"name = 'e {{epochs}} {{batch_size}}'\n[grid]\nepochs = {list(range(1, 101))}\n"
            f"batch_size = {list(range(1, 101))}\n",
            id="a product with unsafe names",
        ),
        pytest.param(
            f"name = 'same'\n[grid]\nepochs = {list(range(1, 101))}\n"
            f"batch_size = {list(range(1, 101))}\n",
            id="a product of one name",
        ),
    ],
)
def test_ten_thousand_runs_are_planned_within_seconds(text: str) -> None:
    started = time.process_time()

    runs, problems = runs_or_problems(text)

    assert time.process_time() - started < 10  # about one, but some computers are slow
    assert len(runs) == 10_000 or 0 < len(problems) <= 10
