"""What becomes of an error in a training, wherever that runs."""

import time
from datetime import UTC, datetime, timedelta

from fmgrid.errors import StoreError
from fmgrid.execution.tasks import Task
from fmgrid.experiment import Failure, Run


def failed_run(task: Task, clock: float, error: BaseException) -> Run:
    """Return the run of a task that has raised an error; it began at *clock* (monotonic)."""
    seconds = time.monotonic() - clock
    return Run(
        experiment=task.experiment,
        status="failed",
        started=datetime.now(UTC) - timedelta(seconds=seconds),
        seconds=seconds,
        failure=Failure.of(error),
    )


def machine_failure(task: Task, reason: str) -> StoreError:
    """Return the error that ends a grid where the machine is to blame, and not the training."""
    return StoreError(
        f"{task.experiment.run_name} cannot be trained: {reason}; "
        "mend that, or leave the run out with --only"
    )
