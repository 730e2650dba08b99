"""An experiment -> its run: the only module that calls mltrainer.

The same experiment gives the same bits, whatever was trained before or beside it: one thread,
all randomness from the seed, metrics exact over all images.
"""

import math
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from loguru import logger
from torch.nn import functional
from torch.optim.lr_scheduler import ReduceLROnPlateau

from fmgrid import __version__
from fmgrid.components import needs_own_process, networks, optimizers
from fmgrid.components.datasets import workload_of
from fmgrid.components.mlp import MLP
from fmgrid.data.batches import Images, load_images, shuffled_batches
from fmgrid.errors import is_the_machines
from fmgrid.experiment import EpochRecord, Experiment, Failure, Run, subseed
from fmgrid.system.postponed import postponed
from fmgrid.training.steps import steps_for

with postponed("mlflow"):  # half of mltrainer's import, for a reporter that is not used here
    import mltrainer

VALID_BATCH = 1000  # images that an MLP scores at once: the fastest for all widths
_SMALL_BATCH = 250  # as fast as any for convolutions, whose arrays are larger


class NonFiniteLossError(ArithmeticError):
    """The loss became infinite or not a number, after which no step means anything."""


class _Stopped(Exception):  # noqa: N818 - it is no error
    """The caller has asked for the end of this training."""


@contextmanager
def _fixed_arithmetic() -> Iterator[None]:
    """Compute with one thread, and take the smallest numbers for zero; afterwards as before."""
    threads = torch.get_num_threads()
    # Another number of threads would give other bits, and workers times threads would exceed
    # the cores: two workers with two threads each take three times as long as with one.
    torch.set_num_threads(1)
    # Weight decay lets the weights of pixels that are always black shrink for ever, and many a
    # processor takes a hundred times as long over numbers below 1e-38 as over zero.
    torch.set_flush_denormal(True)
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        torch.set_flush_denormal(False)
        torch.set_num_threads(threads)


@_fixed_arithmetic()
def train(
    experiment: Experiment,
    data_folder: Path,
    software: Mapping[str, str | int] | None = None,
    report: Callable[[EpochRecord], bool] = lambda _: True,
) -> Run:
    """Train and score one network; a failure of any kind is a failed run.

    Only what is the machine's fault is raised, such as a full disk: it says nothing of the run.
    *data_folder* is that of `data.prepare`; *software* is what the caller knows of the software
    beside this process. Each epoch goes to *report*; where that returns False before the last
    epoch, the training ends there, and its run is "pruned".
    """
    started, clock = datetime.now(UTC), time.monotonic()
    history: list[EpochRecord] = []

    def keep(record: EpochRecord) -> None:
        history.append(record)
        if not report(record) and record.epoch < experiment.epochs:
            raise _Stopped

    try:
        outcome = _train(experiment, data_folder, keep, clock)
    except _Stopped:
        outcome = {"status": "pruned"}
    except Exception as error:
        if is_the_machines(error, is_plugged_in=needs_own_process(experiment)):
            raise
        logger.exception("failed")
        outcome = {"status": "failed", "failure": Failure.of(error)}
    return Run(
        experiment=experiment,
        history=tuple(history),
        started=started,
        seconds=time.monotonic() - clock,
        software={**(software or {}), **describe_software()},
        **outcome,
    )


def describe_software() -> dict[str, str | int]:
    """Return the facts, besides the experiment, on which the bits of a result depend."""
    return {
        "fmgrid": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "mltrainer": version("mltrainer"),
        "threads": torch.get_num_threads(),
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "platform": f"{sys.platform} {platform.machine()}",
    }


def _train(
    experiment: Experiment, data_folder: Path, keep: Callable[[EpochRecord], None], clock: float
) -> dict[str, Any]:
    """Give each epoch to *keep* as it ends; return the fields of the finished run."""
    parts = load_images(data_folder, experiment.validation, standardize=experiment.standardize)
    network = networks.build(experiment)
    # For optimizers that draw random numbers; the batches have a generator of their own.
    torch.manual_seed(subseed(experiment.seed, "training"))
    build_optimizer: Any = partial(optimizers.build, optimizers.OPTIMIZER.of(experiment))
    with tempfile.TemporaryDirectory() as scratch:  # mltrainer insists on a folder to log to
        _Trainer(
            keep,
            clock,
            model=network,
            # Every one of mltrainer's defaults spelled out.
            settings=mltrainer.TrainerSettings(
                epochs=experiment.epochs,
                metrics=[],  # the accuracy is exact only over all images at once: see score()
                logdir=Path(scratch),
                train_steps=workload_of(experiment).steps_per_epoch,
                valid_steps=1,
                reporttypes=[],  # epochs go to *keep*, and `results` writes what is shown of them
                optimizer_kwargs={},  # `optimizers.build` has them
                scheduler_kwargs=None,
                earlystop_kwargs=None,  # mltrainer's default would stop after 10 flat epochs
            ),
            loss_fn=torch.nn.CrossEntropyLoss(),
            optimizer=build_optimizer,
            traindataloader=shuffled_batches(
                parts.train, experiment.batch_size, experiment.seed, experiment.train_images
            ),
            validdataloader=[parts.valid],
            scheduler=None,
        ).loop()
    weights = sum(parameter.numel() for parameter in network.parameters())
    loss, accuracy = (None, None) if parts.test is None else score(network, parts.test)
    scores = {"test_loss": loss, "test_accuracy": accuracy}
    return {"status": "complete", "weights": weights, **scores}


def score(network: torch.nn.Module, images: Images) -> tuple[float, float]:
    """Return the mean loss and the fraction of right answers over *images*, each counted once.

    A mean of batch means would weigh the images of a short last batch more than the others.
    """
    network.eval()
    total, right = 0.0, 0
    is_mlp = isinstance(network, MLP)
    with torch.no_grad():
        for inputs, labels in images.in_order(VALID_BATCH if is_mlp else _SMALL_BATCH):
            # A copy, because anyone's network may change its inputs, which are the images.
            logits = network(inputs if is_mlp else inputs.clone())
            total += functional.cross_entropy(logits, labels, reduction="sum").item()
            right += int((logits.argmax(dim=1) == labels).sum())
    return total / len(images), right / len(images)


class _Trainer(mltrainer.Trainer):
    """mltrainer's loop with exact scores, and an end where the loss ceases to be a number."""

    def __init__(self, keep: Callable[[EpochRecord], None], clock: float, **arguments: Any) -> None:
        """Give each epoch to *keep*; *clock* is `time.monotonic` at the start of the training."""
        super().__init__(**arguments)
        self._keep = keep
        self._clock = clock
        self._steps = steps_for(self.model, self.loss_fn, self.optimizer)
        self._steps_taken = 0
        self._images_seen = 0

    def trainbatches(self) -> float:
        """Take an epoch's steps and return the mean of their losses."""
        self.model.train()
        total = 0.0
        for inputs, labels in islice(self.traindataloader, self.settings.train_steps):
            self._steps_taken += 1
            self._images_seen += labels.numel()
            total += self._check_finite(self._steps.loss(inputs, labels), "training")
            self._steps.update()
        return total / self.settings.train_steps

    def evalbatches(self) -> tuple[dict[str, float], float]:
        """Score all validation images: the metrics by mltrainer's names, and the loss."""
        (images,) = self.validdataloader
        loss, accuracy = score(self.model, images)
        return {"Accuracy": accuracy}, self._check_finite(loss, "validation")

    def report(
        self, epoch: int, train_loss: float, test_loss: float, metric_dict: dict[str, float]
    ) -> None:
        """Pass one epoch on, and only then step the schedule: an epoch has the rate of its steps.

        mltrainer counts from 0, its "test" loss is the validation's, and it steps the schedule in
        its own `evalbatches`.
        """
        super().report(epoch, train_loss, test_loss, metric_dict)
        self._keep(
            EpochRecord(
                epoch=epoch + 1,
                train_loss=train_loss,
                valid_loss=test_loss,
                accuracy=metric_dict["Accuracy"],
                learning_rate=float(self.optimizer.param_groups[0]["lr"]),
                images_seen=self._images_seen,
                seconds=time.monotonic() - self._clock,
            )
        )
        if isinstance(self.scheduler, ReduceLROnPlateau):
            self.scheduler.step(test_loss)
        elif self.scheduler is not None:
            self.scheduler.step()

    def _check_finite(self, loss: float, kind: str) -> float:
        if not math.isfinite(loss):
            all_steps = self.settings.epochs * self.settings.train_steps
            raise NonFiniteLossError(
                f"the {kind} loss is {loss} at step {self._steps_taken} of {all_steps}"
            )
        return loss
