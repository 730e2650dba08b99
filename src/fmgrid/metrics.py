"""The metrics of a run: one table of labels, directions, and how each follows from a run."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

Value = int | float | None

_LARGEST = 1e100  # networks compute in single precision, to 3.4e38; squares of these are finite


@dataclass(frozen=True)
class Metric:
    """One entry of the table."""

    name: str
    label: str
    of: Callable[[Any], Value]  # of a Run, or of what plain mltrainer left of one
    is_higher_better: bool | None = None  # None for what is no measure of quality
    is_column: bool = True  # of the table of runs
    has_spread: bool = False  # the table of experiments has its mean, sd and interval

    @property
    def is_fraction(self) -> bool:
        """Whether it lies between 0 and 1 and is shown in per cent."""
        return bool(self.is_higher_better)

    @property
    def is_of_test_images(self) -> bool:
        """Whether only runs with held-out images have it."""
        return self.name.startswith("test_")


def _last(field: str) -> Callable[[Any], Value]:
    """Return the value of a field at the end of the last epoch; plain mltrainer logs not all."""
    return lambda run: getattr(run.history[-1], field, None) if run.history else None


def _best(field: str) -> Callable[[Any], Value]:
    """Return the value of a field at the end of the most accurate epoch, the first of several."""

    def of(run: Any) -> Value:
        measured = [epoch for epoch in run.history if epoch.accuracy is not None]
        best = max(measured, key=lambda epoch: epoch.accuracy, default=None)
        return getattr(best, field, None)

    return of


def _gap(run: Any) -> float | None:
    last = run.history[-1] if run.history else None
    if last is None or last.valid_loss is None or last.train_loss is None:
        return None
    return float(last.valid_loss - last.train_loss)


def _lowest_loss(run: Any) -> float | None:
    losses = (epoch.valid_loss for epoch in run.history)
    return min((loss for loss in losses if loss is not None), default=None)


_TABLE = (
    Metric("accuracy", "accuracy", _last("accuracy"), True, has_spread=True),
    Metric("valid_loss", "validation loss", _last("valid_loss"), False, has_spread=True),
    Metric("train_loss", "train loss", _last("train_loss"), False, has_spread=True),
    Metric("best_accuracy", "best accuracy", _best("accuracy"), True, has_spread=True),
    Metric("best_epoch", "best epoch", _best("epoch")),
    Metric("best_valid_loss", "best validation loss", _lowest_loss, False),
    Metric("test_accuracy", "test accuracy", lambda run: run.test_accuracy, True, has_spread=True),
    Metric("test_loss", "test loss", lambda run: run.test_loss, False, has_spread=True),
    Metric("weights", "trained weights", lambda run: run.weights),
    Metric("images_seen", "training images seen", _last("images_seen")),
    Metric("overfitting_gap", "overfitting gap", _gap, False, is_column=False),
)
METRICS: Mapping[str, Metric] = MappingProxyType({metric.name: metric for metric in _TABLE})
COLUMNS = tuple(metric.name for metric in _TABLE if metric.is_column)
WITH_SPREAD = tuple(metric.name for metric in _TABLE if metric.has_spread)
# What hypotheses may be about, and what runs are ranked by.
RANKABLE = tuple(metric.name for metric in _TABLE if metric.is_higher_better is not None)
# Other words for them.
ALIASES: Mapping[str, str] = {
    **dict.fromkeys(("acc", "val_acc", "val_accuracy", "validation_accuracy"), "accuracy"),
    **dict.fromkeys(("loss", "val_loss", "validation_loss"), "valid_loss"),
}


def finite(value: Value) -> float | None:
    """Return a value that can be computed with, None for inf, nan and what is missing."""
    is_usable = value is not None and math.isfinite(value) and abs(value) <= _LARGEST
    return float(value) if is_usable and value is not None else None
