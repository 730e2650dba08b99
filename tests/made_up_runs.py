"""Runs that were never trained, and an executor that trains none, for tests of what follows."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from fmgrid.execution import Task, Train
from fmgrid.experiment import EpochRecord, Experiment, Run

STARTED = datetime(2026, 1, 1, 12, tzinfo=UTC)


class InTurn:
    """An executor that trains one after another, here and now."""

    running: Sequence[Experiment] = ()

    def run(self, train: Train, tasks: Iterable[Task]) -> Iterator[Run]:
        for task in tasks:
            with suppress(OSError):  # a log that can't be written is no failure
                task.log.write_text(f"training {task.experiment.run_name}")
            yield train(task.experiment)


def make_run(experiment: Experiment | None = None, **outcome: Any) -> Run:
    """Return a complete run of the experiment, with ordinary figures where *outcome* has none."""
    experiment = experiment or Experiment(name="mlp", epochs=3)
    history = tuple(make_record(epoch) for epoch in range(1, experiment.epochs + 1))
    ordinary = {
        "status": "complete",
        "history": history,
        "weights": 269_322,
        "started": STARTED,
        "seconds": 3.25,
        "software": {"fmgrid": "0.1", "threads": 1},
    }
    return Run(experiment=experiment, **(ordinary | outcome))


def make_record(epoch: int, **measured: Any) -> EpochRecord:
    ordinary = {
        "train_loss": 1 / epoch,
        "valid_loss": 1.5 / epoch,
        "accuracy": min(0.5 + epoch / 100, 1.0),
        "learning_rate": 1e-3,
        "images_seen": 6400 * epoch,
        "seconds": float(epoch),
    }
    return EpochRecord(epoch=epoch, **(ordinary | measured))
