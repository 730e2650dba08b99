"""Runs that were never trained, for tests of what follows."""

from datetime import UTC, datetime
from typing import Any

from fmgrid.experiment import EpochRecord, Experiment, Run

STARTED = datetime(2026, 1, 1, 12, tzinfo=UTC)


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
