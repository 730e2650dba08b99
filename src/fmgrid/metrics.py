"""The metrics of a run: one table of labels, directions, and how each follows from a run.

Plain mltrainer logs further metrics, such as F1. They are called "metric.F1", and their direction
follows from their names, unless the user chooses it.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping
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
    is_further: bool = False  # one of plain mltrainer's that fmgrid does not measure

    @property
    def is_fraction(self) -> bool:
        """Whether it lies between 0 and 1 and is shown in per cent."""
        return bool(self.is_higher_better) and not self.is_further

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


FURTHER = "metric."  # what the names of further metrics begin with
# Words of a name that stand for what should be small; of all other metrics more is better.
_LOWER_IS_BETTER = re.compile(
    r"loss|err(or)?s?|mae|m?ape|smape|mase|r?mse|msle|nll|bce|cross_?entropy|perplexity|ppl|distance"
    r"|divergence|deviation|brier|ece|fid|wer|cer|fpr|fnr|misses|regret"
)
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")  # of names in any style: valRMSE, mean_loss
_DIRECTIONS = {":max": True, ":min": False}


def metric_of(name: str) -> Metric:
    """Return the entry of a metric; of a further one "metric.F1", or "metric.F1:min"."""
    if name in METRICS:
        return METRICS[name]
    known, suffix = _split(name)
    label = known.removeprefix(FURTHER)
    words = _WORDS.findall(label)
    is_loss = any(_LOWER_IS_BETTER.fullmatch(word.lower()) for word in [label, *words])
    is_higher_better = _DIRECTIONS.get(suffix, not is_loss)
    of = _last_further(known)
    return Metric(known, label, of, is_higher_better, has_spread=True, is_further=True)


def _split(text: str) -> tuple[str, str]:
    """Return a metric without the direction at its end, and that."""
    return (text[:-4], text[-4:]) if text.endswith((*_DIRECTIONS,)) else (text, "")


def _last_further(name: str) -> Callable[[Any], Value]:
    return lambda run: value_after(run.history[-1], name) if run.history else None


def value_after(epoch: Any, metric: str) -> Value:
    """Return a metric after an epoch of a run, None if it was not logged."""
    if metric in METRICS:
        value: Value = getattr(epoch, metric)
        return value
    further: Mapping[str, float] = getattr(epoch, "further", {})
    return further.get(metric_of(metric).name)


def find_metric(text: str, known: Iterable[str]) -> str | None:
    """Return the name of the ranked metric that a user means, None if there is none.

    *known* are the further ones: "F1" means "metric.F1", and "F1:min" the same, the least first.
    """
    if text in RANKABLE:
        return text
    name, suffix = _split(text)
    names = {key: key for key in known} | {key.removeprefix(FURTHER): key for key in known}
    return f"{names[name]}{suffix}" if name in names else None


def is_ranked(name: str) -> bool:
    """Tell whether experiments can be ranked by a metric."""
    return metric_of(name).is_higher_better is not None


def finite(value: Value) -> float | None:
    """Return a value that can be computed with, None for inf, nan and what is missing."""
    is_usable = value is not None and math.isfinite(value) and abs(value) <= _LARGEST
    return float(value) if is_usable and value is not None else None
