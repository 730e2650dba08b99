"""Experiments in the order of a metric, those apart that different images judge."""

from collections.abc import Iterable

from fmgrid.analysis.experiments import ExperimentRuns, group_by, merged
from fmgrid.analysis.statistics import without_rounding
from fmgrid.experiment import Run
from fmgrid.metrics import metric_of
from fmgrid.results.summary import natural_order, to_stored


def main_metric(members: Iterable[ExperimentRuns]) -> str:
    """Return the metric that ranks experiments: accuracy, or valid_loss where no run has one."""
    has_accuracy = any(member.series("accuracy") for member in members)
    return "accuracy" if has_accuracy else "valid_loss"


def best_first(members: Iterable[ExperimentRuns], metric: str) -> list[ExperimentRuns]:
    """Return the experiments that have the metric, in order of its mean; equals by their names."""
    sign = -1 if metric_of(metric).is_higher_better else 1
    scored = [(mean, member) for member in members if (mean := member.mean(metric)) is not None]
    scored.sort(key=lambda pair: (sign * without_rounding(pair[0]), natural_order(pair[1].name)))
    return [member for _, member in scored]


def best_by_images(members: Iterable[ExperimentRuns], metric: str) -> list[list[ExperimentRuns]]:
    """Return those that have the metric, best first, by the images that judge them.

    The largest set comes first.
    """
    sets = group_by(best_first(members, metric), lambda experiment: experiment.evaluation_set)
    return sorted(sets, key=lambda ranked: -len(ranked))


def rank_runs(runs: Iterable[Run]) -> list[list[ExperimentRuns]]:
    """Return the experiments of complete runs, most accurate first, by the images that judge."""
    stored = (to_stored(run) for run in runs if run.status == "complete")
    experiments = map(ExperimentRuns.of, group_by(stored, lambda run: run.name))
    return best_by_images(merged(experiments), "accuracy")
