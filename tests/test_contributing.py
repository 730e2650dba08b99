"""The worked examples of CONTRIBUTING.md, applied to a copy of the source."""

import os
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from itertools import takewhile
from pathlib import Path

import pandas as pd
import pytest

from fmgrid.execution import Task
from fmgrid.execution.inline import Inline
from fmgrid.execution.runner import run_all
from fmgrid.experiment import EpochRecord, Experiment, Run
from fmgrid.results.store import Store
from made_up_runs import make_record, make_run

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = re.findall(r"```(\w+)\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), flags=re.S)
GRID = Path("grid.toml")


def apply(example: str) -> None:
    """Write a new file, or change one: a hunk begins with lines that are there once."""
    first, _, content = example.partition("\n")
    path = Path(first.removeprefix("# "))
    if not path.exists():
        path.write_text(content)
        return
    for hunk in content.split("@@\n"):
        lines = hunk.splitlines(keepends=True)
        before = "".join(line[1:] for line in lines if line[0] != "+")
        after = "".join(line[1:] for line in lines if line[0] != "-")
        text = path.read_text()
        assert text.count(before) == 1, f"{path}: {before}"
        path.write_text(text.replace(before, after))


def call(*words: str) -> subprocess.CompletedProcess[str]:
    """Run the changed fmgrid."""
    command = [sys.executable, "-m", "fmgrid", *words]
    environment = {**os.environ, "PYTHONPATH": "src"}
    return subprocess.run(command, text=True, capture_output=True, check=False, env=environment)


@pytest.fixture
def changed(elsewhere: None) -> None:  # noqa: ARG001 - in its folder
    """Apply the examples to a copy of the source."""
    shutil.copytree(ROOT / "src", "src")
    for kind, example in EXAMPLES:
        if kind == "toml":
            GRID.write_text(example)
        elif kind in ("diff", "python"):
            apply(example)


@pytest.mark.usefixtures("changed")
def test_settings_metrics_and_components_are_added_as_the_guide_says() -> None:
    assert call("run", str(GRID)).returncode == 0

    assert call("summarize", "modellogs", "--history", "epochs.csv").returncode == 0
    runs = pd.read_csv("experiment_summary.csv", index_col="name")
    assert sorted(runs.label_smoothing) == [0.0, 0.0, 0.0, 0.1]
    assert runs.train_loss["label_smoothing_0.1"] > runs.train_loss["label_smoothing_0.0"]
    assert (runs.best_seconds <= runs.seconds).all()
    assert runs.dataset.value_counts().to_dict() == {"digits": 3, "tumors": 1}
    assert runs.weights["tumors"] == 30 * 256 + 256 + 256 * 256 + 256 + 256 * 2 + 2
    gru = runs.loc["gru"]
    weights = 3 * 8 * (8 + 8 + 2) + 8 * 10 + 10
    assert (gru.network, gru.weights, gru.network_args) == ("GRU", weights, '{"state_size": 8}')
    assert (gru.scheduler, gru.scheduler_args) == ("ExponentialLR", '{"gamma": 0.5}')
    epochs = pd.read_csv("epochs.csv", index_col="name")
    assert list(epochs.learning_rate["gru"]) == [0.001, 0.0005]


@pytest.mark.usefixtures("changed")
def test_mistakes_in_what_the_guide_adds_are_found_before_a_training() -> None:
    mistakes = {
        "label_smoothing = [0.0": "label_smoothing = [2.0",
        '"digits"': '"digit"',
        "state_size": "state",
        "gamma": "gama",
    }
    text = GRID.read_text()
    for right, wrong in mistakes.items():
        text = text.replace(right, wrong)
    GRID.write_text(text)

    answer = call("run", str(GRID))

    assert answer.returncode == 2
    assert answer.stderr.splitlines() == [
        'grid.toml:2: base.dataset: fmgrid has no data set "digit"; did you mean digits?',
        "grid.toml:7: grid.label_smoothing: 2.0 is not a number from 0 to 1",
        "grid.toml:12: point.network_args.state: GRU takes no state; did you mean state_size?",
        "grid.toml:14: point.scheduler_args.gama: ExponentialLR takes no gama; did you mean gamma?",
        "4 mistakes; nothing was done",
    ]


@pytest.mark.usefixtures("changed")
def test_a_whole_number_stands_for_a_float_of_a_setting_that_the_guide_adds() -> None:
    with GRID.open("a") as stream:
        stream.write("\n[[exclude]]\nname = 'label_*'\nlabel_smoothing = 0\n")

    answer = call("plan", str(GRID))

    assert [line.split()[0] for line in answer.stdout.splitlines()[1:]] == [
        "label_smoothing_0.1",
        "gru",
        "tumors",
    ]


def test_a_search_is_added_as_the_guide_says(tmp_path: Path) -> None:
    (example,) = (text for _, text in EXAMPLES if text.startswith("# src/fmgrid/search/"))
    (tmp_path / "median.py").write_text(example)
    search = runpy.run_path(str(tmp_path / "median.py"))["MedianSearch"]
    experiments = [Experiment(name=f"seed_{seed}", epochs=3, seed=seed) for seed in (2, 0, 3, 1)]

    def train(experiment: Experiment, _: object, report: Callable[[EpochRecord], bool]) -> Run:
        """Make up a run that is as accurate as its seed says."""
        records = (make_record(epoch, accuracy=experiment.seed / 4) for epoch in (1, 2, 3))
        history = tuple(takewhile(report, records))
        status = "complete" if len(history) == experiment.epochs else "pruned"
        return make_run(experiment, history=history, status=status)

    store = Store(tmp_path / "logs")
    runs = run_all(search(experiments), store, Inline(), partial(Task, train=train))

    statuses = {run.experiment.seed: run.status for run in runs}
    assert statuses == {2: "complete", 0: "pruned", 3: "complete", 1: "pruned"}
