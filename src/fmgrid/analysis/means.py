"""Means over seeds that pictures draw: at a level, after an epoch, of the overfitting gap."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from fmgrid.analysis.axes import Axis, Group
from fmgrid.analysis.experiments import ExperimentRuns
from fmgrid.analysis.statistics import (
    ALPHA,
    Estimate,
    difference,
    estimate,
    holm,
    mean_by_seed,
)
from fmgrid.analysis.study import Study
from fmgrid.experiment import EpochRecord
from fmgrid.metrics import finite
from fmgrid.results.mltrainer_logs import LoggedEpoch
from fmgrid.results.summary import StoredRun

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
    return {
        level: mean
        for level, members in group.at(axis).items()
        if (mean := _mean_over(member.series(metric) for member in members))
    }


def epoch_means(members: Iterable[ExperimentRuns], metric: str) -> list[EpochMean]:
    """Return the metric's mean over experiments after each epoch that all their runs have.

    Runs without a history don't count.
    """
    histories = [
        {seed: _history(run, metric) for seed, run in one.runs.items() if run.history}
        for one in members
    ]
    runs = [epochs for by_seed in histories for epochs in by_seed.values()]
    means = []
    for epoch in sorted(set(runs[0]).intersection(*runs)) if runs else ():
        mean = _mean_over(
            {seed: getattr(epochs[epoch], metric) for seed, epochs in by_seed.items()}
            for by_seed in histories
        )
        if mean:
            means.append(EpochMean(epoch, mean, runs[0][epoch].images_seen))
    return means


def find_gaps(study: Study) -> list[Gap]:
    """Return the gap of every configuration, widest first; signs are corrected (Holm)."""
    gaps = [
        (Gap(one, train, gap, 1 if gap.mean > 0 else -1), test.p)
        for one in study.configurations
        if (gap := one.estimate(GAP)) and (train := one.mean("train_loss")) is not None
        if (test := difference(list(one.series(GAP).values())))
    ]
    corrected = holm([p for _, p in gaps])
    signed = (
        gap if p <= ALPHA else replace(gap, sign=0)
        for (gap, _), p in zip(gaps, corrected, strict=True)
    )
    return sorted(signed, key=lambda gap: -gap.estimate.mean)


def _history(run: StoredRun, metric: str) -> dict[int, EpochRecord | LoggedEpoch]:
    """Return the epochs at which the metric was measured, by their number."""
    return {one.epoch: one for one in run.history if finite(getattr(one, metric)) is not None}


def _mean_over(series: Iterable[Mapping[int, float]]) -> Estimate | None:
    """Return the mean over experiments; its interval is over the seeds that all of them have."""
    series = [by_seed for by_seed in series if by_seed]
    if by_seed := mean_by_seed(series):
        return estimate(by_seed.values())
    return Estimate(1, fmean(fmean(one.values()) for one in series)) if series else None
