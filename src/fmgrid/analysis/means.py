"""Means over seeds that pictures draw: at a level, after an epoch, of the overfitting gap."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fmgrid.analysis.axes import Axis, Group
from fmgrid.analysis.experiments import ExperimentRuns, best_by_images
from fmgrid.analysis.statistics import Estimate, estimate, mean_by_seed, told_from_zero
from fmgrid.analysis.study import Study
from fmgrid.experiment import EpochRecord
from fmgrid.metrics import finite
from fmgrid.results.mltrainer_logs import FoundEpoch

GAP = "overfitting_gap"


@dataclass(frozen=True)
class EpochMean:
    """A metric after an epoch, over seeds."""

    epoch: int
    estimate: Estimate
    images: int | None = None  # training images seen until then


@dataclass(frozen=True)
class Gap:
    """Validation loss minus train loss of a configuration, at the end of training."""

    experiment: ExperimentRuns  # with the runs of all names of the configuration
    train_loss: float  # mean loss of the last epoch's batches
    estimate: Estimate
    sign: int  # 1: significantly above zero, -1: below, 0: neither


def level_means(group: Group, axis: Axis, metric: str) -> dict[Any, Estimate]:
    """Return the metric's mean at each level of an axis, over the experiments that share it."""
    means = {
        level: _mean_over([member.series(metric) for member in members])
        for level, members in group.at(axis).items()
    }
    return {level: mean for level, mean in means.items() if mean is not None}


def epoch_means(members: Iterable[ExperimentRuns], metric: str) -> list[EpochMean]:
    """Return the metric's mean over experiments after each epoch that all their runs have.

    Runs without a history don't count.
    """
    histories = [history for one in members if (history := _history(one, metric))]
    runs = [epochs for by_seed in histories for epochs in by_seed.values()]
    if not runs:
        return []
    means = []
    for epoch in sorted(set(runs[0]).intersection(*runs)):
        series = [
            {seed: getattr(epochs[epoch], metric) for seed, epochs in by_seed.items()}
            for by_seed in histories
        ]
        mean = _mean_over(series)
        if mean is not None:
            means.append(EpochMean(epoch, mean, runs[0][epoch].images_seen))
    return means


def find_gaps(study: Study) -> list[Gap]:
    """Return the gap of every configuration, widest first; signs are corrected (Holm)."""
    gaps = [
        Gap(one, train, gap, 0)
        for same in best_by_images(study.configurations, GAP)
        for one in same
        if (gap := one.estimate(GAP)) and (train := one.mean("train_loss")) is not None
    ]
    signs = told_from_zero(gap.experiment.series(GAP).values() for gap in gaps)
    gaps = [replace(gap, sign=sign) for gap, sign in zip(gaps, signs, strict=True)]
    return sorted(gaps, key=lambda gap: -gap.estimate.mean)


def _history(one: ExperimentRuns, metric: str) -> dict[int, dict[int, EpochRecord | FoundEpoch]]:
    """Return the epochs at which the metric was measured, by seed and epoch."""
    return {
        seed: {
            record.epoch: record
            for record in records
            if finite(getattr(record, metric)) is not None
        }
        for seed, records in one.curves.items()
        if records
    }


def _mean_over(series: Sequence[dict[int, float]]) -> Estimate | None:
    """Return the mean over experiments; its interval is over the seeds that all of them have."""
    series = [by_seed for by_seed in series if by_seed]
    if not series:
        return None
    if by_seed := mean_by_seed(series):
        return estimate(by_seed.values())
    means = [sum(one.values()) / len(one) for one in series]
    return Estimate(1, sum(means) / len(means))
