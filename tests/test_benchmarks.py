"""The parts of scripts/bench.py work, and its page shows what they found."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from fmgrid.data.cache import Prepared
from fmgrid.experiment import Experiment

SCRIPTS = Path(__file__).resolve().parent.parent / "scripts"
STUDY_SIZE = 2


def part(name: str, *words: str, given: str = "") -> str:
    command = [sys.executable, str(SCRIPTS / "benchmarks" / f"{name}.py"), *words]
    return subprocess.run(command, input=given, capture_output=True, text=True, check=True).stdout


def experiment(**settings: object) -> Experiment:
    return Experiment(**{"name": "small", "epochs": 2, "train_steps": 5, **settings})


@pytest.fixture
def cache(real_data: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FMGRID_CACHE", str(real_data.folder.parent))


@pytest.fixture(scope="module")
def torchvision_data(real_data: Prepared, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of torchvision's data."""
    folder = str(tmp_path_factory.mktemp("torchvision"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FMGRID_CACHE", str(real_data.folder.parent))
        part("torchvision_data", folder)
    return folder


@pytest.mark.usefixtures("cache")
def test_the_stock_script_trains_what_it_is_given(torchvision_data: str) -> None:
    given = [experiment(name="one").model_dump(), experiment(name="two", seed=1).model_dump()]
    losses = json.loads(part("stock", torchvision_data, given=json.dumps(given)))
    assert losses.keys() == {"one", "two"}
    assert all(1 < loss < 3 for loss in losses.values())


@pytest.mark.usefixtures("cache")
def test_training_is_measured_beside_its_bound() -> None:
    found = json.loads(part("training", "1", given=experiment().model_dump_json() + "\n"))
    (measured,) = found["experiments"]
    assert measured["name"] == "small"
    assert measured["bound"] > 0
    assert measured["by_hand"] > 0
    (profile,) = found["profiles"]
    assert profile["parts"]["matrix products"] > 0
    assert profile["parts"]["optimizer"] > 0


@pytest.mark.usefixtures("cache")
def test_a_network_is_measured_beside_a_plain_script(torchvision_data: str) -> None:
    name = "MLP 256-256, dropout"
    seconds = json.loads(part("networks", "1", "128", torchvision_data, name))[name]
    assert seconds.keys() == {"plain", "fmgrid", "bare", "steps"}
    assert min(seconds.values()) > 0


def test_empty_trials_are_timed() -> None:
    assert float(part("trials", "fmgrid", "4")) > 0


def test_a_command_is_timed_with_its_memory_and_exit_code() -> None:
    seconds, megabytes, code = json.loads(part("timed", sys.executable, "-c", "exit(3)"))
    assert seconds > 0
    assert 1 < megabytes < 1000
    assert code == 3


def test_the_page_says_what_was_reached_and_what_was_missed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(SCRIPTS)
    from benchmarks.page import Figures, render, render_networks

    times = {"hidden_units": [8], "batch_size": 64, "optimizer": "Adam"}
    seconds = {"bound": 1.0, "by_hand": 1.5, "by_autograd": 2.0}
    commands = ("--help", "plan configs/", "plan a grid of 10,000 runs", "summarize 2", "summarize")
    figures = Figures(
        command="a command",
        repeats=3,
        experiments=STUDY_SIZE,
        is_whole=True,
        study={
            ("fmgrid", 1): [2.0],
            ("fmgrid", 2): [1.0, 9.0, 1.0],
            ("stock", 1): [14.0],
            ("stock", 2): [5.0],
        },
        spans={1: [1.9], 2: [0.9]},
        differences=[-0.1, 0.1],
        training={"experiments": [times | seconds], "profiles": []},
        commands={name: [0.1] for name in commands},
        memory=dict.fromkeys(commands, 20.0),
        trials={"fmgrid": [0.004]},
        images=640,
        networks={"CNN": {"plain": 6.0, "fmgrid": 2.0, "bare": 1.0, "steps": 1.03}},
    )
    assert "| CNN | 6.0 | 2.0 | 3.0 | +3.0% |" in render_networks(figures)
    page = render(figures)
    assert "in one process | 14.00 times as fast | at least 13 | reached |" in page
    assert "stock processes | 5.00 times as fast | at least 6.5 | missed by 23% |" in page
    assert "times the bound | 1.5 | at most 1.4 | missed by 7% |" in page
    assert "| 8 | 64 | Adam | 1.000 | 1.50 | 2.00 |" in page

    figures.differences = [0.1, 0.1001]
    with pytest.raises(SystemExit, match="losses differ"):
        render(figures)
