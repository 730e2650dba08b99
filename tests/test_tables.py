"""Tables on a terminal: names stay distinct, and figures whole, at any width."""

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from command import QUICK, ROOT, Call, write
from fmgrid.cli.running import Progress
from fmgrid.experiment import Experiment
from fmgrid.results.store import Store
from loading import load_grids
from made_up_runs import make_run

pytestmark = pytest.mark.usefixtures("elsewhere")

NAMES = {
    "the end differs": "experiment_with_units_and_batch_size_{hidden_units[0]}_{batch_size}",
    "the middle differs": (
        "experiment_{hidden_units[0]}_{batch_size}_with_units_and_batch_size_of_the_study"
    ),
    "the beginning differs": "{hidden_units[0]}_{batch_size}_is_an_experiment_with_a_long_name",
}
GRID = (
    QUICK
    + """
[grid]
hidden_units.0 = [16, 32, 64, 128]
batch_size = [8, 16, 32]
"""
)

Narrow = Callable[[int], None]


def plain(text: str) -> str:
    """Return what a terminal was sent without its colours and bold letters."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> Narrow:
    """Make stdout and stderr a terminal of so many columns."""

    def set_width(width: int) -> None:
        monkeypatch.setenv("COLUMNS", str(width))
        monkeypatch.setenv("TERM", "xterm")
        for stream in (sys.stdout, sys.stderr):
            monkeypatch.setattr(stream, "isatty", lambda: True)

    return set_width


@pytest.mark.parametrize("width", [20, 40, 60, 80, 100])
@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_plan_shows_names_that_can_be_told_apart(
    name: str, width: int, call: Call, narrow: Narrow
) -> None:
    write(f'name = "{name}"\n{GRID}')
    narrow(width)
    code, out, _ = call("plan", "grid.toml")
    assert code == 0
    lines = plain(out).splitlines()
    is_table = "state" in lines[0]
    rows = [line for line in lines[is_table:] if not line.startswith(" ")]
    shown = [line.split()[0] for line in rows]
    assert len(set(shown)) == len(shown) == 12
    assert max(map(len, lines)) <= max(width, 0 if is_table else 80)
    figures = [str(number) for number in (16, 32, 64, 128)]
    assert all(figure in out for figure in figures)


def test_the_study_is_a_line_for_each_experiment_on_80_columns(call: Call, narrow: Narrow) -> None:
    narrow(80)
    code, out, told = call("plan", ROOT / "configs", "--seeds", "0,1,2")
    lines = plain(out).splitlines()
    assert (code, len(lines)) == (0, 62)
    assert max(map(len, lines)) <= 80
    assert all("pending, " in line or line.endswith("with epochs_10") for line in lines[1:])
    assert "61 experiments with seeds 0-2: 183 runs, 162 to train, " in told


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_nothing_is_cut_in_a_pipe(name: str, call: Call) -> None:
    plan = load_grids([write(f'name = "{name}"\n{GRID}')])
    out = call("plan", "grid.toml")[1]
    assert [line.split()[0] for line in out.splitlines()[1:]] == [
        definition.experiment.run_name for definition in plan
    ]


def test_a_plan_that_names_another_training_shortens_both_names_alike(
    call: Call, narrow: Narrow
) -> None:
    long = "a_long_name_of_an_experiment_of_which_there_are_two_or_three"
    points = "".join(f'[[point]]\nname = "{long}_{n}"\n' for n in range(3))
    write(QUICK + points)
    narrow(50)
    out = call("plan", "grid.toml")[1]
    first, *others = [line for line in plain(out).splitlines()[1:] if line[:1] != " "]
    assert all(f"with {first.split()[0]}" in " ".join(line.split()) for line in others)


@pytest.mark.parametrize("width", [20, 40, 60, 80])
def test_no_figure_of_a_run_is_cut(width: int, call: Call, narrow: Narrow) -> None:
    store = Store(Path("modellogs"))
    store.begin("mlp")
    store.save(make_run())
    wide = call("show", "mlp")[1]
    narrow(width)
    out = plain(call("show", "mlp")[1])
    figures = [word for word in wide.split() if any(map(str.isdigit, word))]
    assert all(figure in out for figure in figures)


@pytest.mark.parametrize("width", [40, 60, 80])
@pytest.mark.parametrize("running", [1, 2, 8])
def test_the_progress_names_runs_that_can_be_told_apart(width: int, running: int) -> None:
    names = [f"experiment_units_{n}_batch_size_64_learning_rate_0.001" for n in range(running)]
    experiments = [Experiment(name=name) for name in names]
    progress = Progress(9, experiments, lambda: experiments)
    line = progress.describe_running(width)
    assert len(line) <= width
    told, _, more = line.removeprefix("running: ").partition(" and ")
    shown = told.split(", ")
    assert len(set(shown)) == len(shown)
    assert len(shown) + int(more.removesuffix(" more") or 0) == running
    progress.add(make_run(experiments[0]))
    assert "55.00%; running: " in progress.describe_running(width)


def test_the_progress_has_whole_names_where_there_is_room() -> None:
    experiments = [Experiment(name=name) for name in ("a_name", "another_name")]
    progress = Progress(9, experiments, lambda: experiments)
    assert progress.describe_running(80) == "running: a_name, another_name"
