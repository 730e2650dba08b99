"""What a person is told while a grid runs."""

from datetime import UTC, datetime

import pytest

from fmgrid.cli.running import Progress
from fmgrid.experiment import EpochRecord, Experiment, Failure, Run
from fmgrid.words import counted, format_seconds


def run(name: str, accuracy: float | None, seconds: float = 1.0, **more: object) -> Run:
    """A run of one epoch; a failed one where there is no accuracy."""
    outcome: dict[str, object] = {"status": "failed", "failure": Failure(message="broke")}
    if accuracy is not None:
        epoch = EpochRecord(
            epoch=1,
            train_loss=1.0,
            valid_loss=0.5,
            accuracy=accuracy,
            learning_rate=1e-3,
            images_seen=64,
            seconds=seconds,
        )
        outcome = {"status": "complete", "history": (epoch,)}
    return Run(
        experiment=Experiment(name=name),
        started=datetime.now(UTC),
        seconds=seconds,
        **outcome,
        **more,
    )


def test_the_time_left_weighs_runs_by_their_cost_and_leaves_the_start_out() -> None:
    long, short = Experiment(name="long", epochs=15), Experiment(name="short", epochs=5)
    now = [100.0]
    progress = Progress(2, [long, short], list, clock=lambda: now[0])
    assert progress.seconds_left is None
    now[0] = 114.0  # four seconds of which went into the workers' start
    progress.add(run("short", 0.8, seconds=10.0))
    assert progress.seconds_left == pytest.approx(30.0)


def test_the_best_is_the_most_accurate_of_the_complete() -> None:
    progress = Progress(4, [], list)
    runs = (run("a", 0.7), run("b", 0.9), run("c", None), run("d", 0.8))
    for size, finished in enumerate(runs, start=8):
        experiment = Experiment(name=finished.experiment.name, batch_size=size)
        progress.add(finished.model_copy(update={"experiment": experiment}))
    assert [one.name for one in progress.best] == ["b"]
    assert (progress.finished, progress.failed) == (4, 1)


def test_a_line_says_what_became_of_a_run() -> None:
    progress = Progress(12, [], list)
    progress.add(run("a", 0.8125))
    assert progress.line(run("a", 0.8125)) == "[ 1/12] a: 81.25% right, loss 0.5000, 1.0 s"
    assert progress.line(run("b", None)) == "[ 1/12] b: failed: broke"
    assert progress.line(run("c", 0.5, trained_as="a")).endswith(", from the training of a")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (42, "42 s"), (200, "3 min 20 s"), (7500, "2 h 05 min")],
)
def test_durations_are_said_as_people_do(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text


def test_one_run_is_no_runs() -> None:
    assert (counted(1, "run"), counted(0, "run"), counted(2, "run")) == (
        "1 run",
        "0 runs",
        "2 runs",
    )
