"""`fmgrid compare`: two experiments, or two runs, over the seeds that both have."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from fmgrid.analysis.comparisons import Comparison, MetricPair, compare_experiments
from fmgrid.analysis.experiments import (
    ExperimentRuns,
    are_confounded,
    are_scored_alike,
    images_of,
)
from fmgrid.analysis.study import Study
from fmgrid.cli.finding import find_runs, hint_at, locate
from fmgrid.cli.output import print_json, say, warn
from fmgrid.cli.reporting import load_study
from fmgrid.cli.tables import print_rows
from fmgrid.errors import InputError
from fmgrid.metrics import METRICS
from fmgrid.report.phrases import show_difference, show_interval, show_p, show_value
from fmgrid.settings import show
from fmgrid.words import counted, first_few, printable

_REMEDY = "give both the same --seeds, such as 0,1,2,3,4"


def find_pair(names: Sequence[str], logdir: Path) -> tuple[ExperimentRuns, ExperimentRuns, Study]:
    """Return two experiments or single runs of them, given by their names or folders.

    With them comes the study of the first. Raises `InputError` if one has no complete run, or if
    they are the same runs.
    """
    located = [locate(name, logdir) for name in names]
    studies = {root: load_study(root, []) for root in dict.fromkeys(root for root, _ in located)}
    for study in studies.values():
        warn(*study.unread, *study.uncounted)
    pair = [_find(name, studies[root], root) for root, name in located]
    first, second = (experiment.runs.items() for experiment in pair)
    if first <= second or first >= second:
        message = "both are the same runs, or one is a part of the other"
        raise InputError.at(f"fmgrid compare {' '.join(names)}", message)
    return pair[0], pair[1], studies[located[0][0]]


def show_comparison(
    first: ExperimentRuns, second: ExperimentRuns, study: Study, *, json: bool
) -> None:
    """Print the settings in which two experiments differ, and their metrics, paired by seed."""
    comparison = compare_experiments(first, second, study)
    if json:
        print_json(_to_json(comparison))
        return
    names = printable(first.name), printable(second.name)
    if comparison.settings:
        settings = [[name, *map(show, pair)] for name, pair in comparison.settings.items()]
        print_rows(("setting", *names), settings)
    else:
        print("the same configuration")
    print()
    rows = [_to_cells(metric, pair) for metric, pair in comparison.metrics.items()]
    print_rows(("metric", *names, "difference", "95% interval", "p"), rows)
    _show_certainty(comparison)
    if are_confounded(first, second):
        images = f"{first.images_seen:,} and {second.images_seen:,} images seen"
        say(f"confounded with the amount of data: {images}")


def _find(name: str, study: Study, root: Path) -> ExperimentRuns:
    runs = find_runs(name, study.runs)
    if not runs:
        message = f"no complete run or experiment in {root}; {hint_at(name, study.runs)}"
        raise InputError.at(f"fmgrid compare {name}", message)
    experiment = study.experiments[runs[0].name]
    if name == experiment.name:
        return experiment
    single = {seed: run for seed, run in experiment.runs.items() if run is runs[0]}
    return replace(experiment, name=name, runs=single, failures=())


def _to_cells(metric: str, pair: MetricPair) -> list[str]:
    label = METRICS[metric].label
    values = (show_value(estimate.mean, metric) for estimate in (pair.first, pair.second))
    difference = pair.difference
    if difference is None:
        return [label, *values, "", "", ""]
    unit = " points" if METRICS[metric].is_fraction else ""
    size = f"{show_difference(difference.mean, metric)}{unit}"
    return [
        label,
        *values,
        size,
        show_interval(difference, metric),
        show_p(difference.p if difference.sd is not None else None),
    ]


def _show_certainty(comparison: Comparison) -> None:
    first, second, seeds = comparison.first, comparison.second, comparison.seeds
    if reason := _explain_different_images(comparison):
        say(reason)
    elif not seeds:
        means = f"means of {counted(len(first.runs), 'run')} and of {len(second.runs)}"
        say(f"they share no seed, and are not compared: {means}; {_REMEDY}")
    differences = [pair.difference for pair in comparison.metrics.values() if pair.difference]
    if not differences:
        return
    unpaired = [
        f"{len(experiment.runs) - len(seeds)} of {experiment.name}"
        for experiment in (first, second)
        if len(experiment.runs) > len(seeds)
    ]
    left_out = f"; {' and '.join(unpaired)} left out" if unpaired else ""
    number = f"{counted(len(seeds), 'seed')} ({first_few(list(map(str, seeds)))})"
    order = f"differences are {second.name} minus {first.name}"
    say(f"over {number}, paired{left_out}; {order}")
    if all(difference.is_none for difference in differences):
        say("identical in every run")
    elif len(seeds) == 1:
        say(f"one seed: nothing can be concluded; {_REMEDY}")
    else:
        say("each metric is compared by itself")


def _explain_different_images(comparison: Comparison) -> str:
    """Return the reason why figures of two experiments are not compared; "" where they are."""
    pair = comparison.first, comparison.second
    if are_scored_alike(pair):
        return ""
    images = ", ".join(
        f"{experiment.name} is scored on {images_of(experiment)}" for experiment in pair
    )
    return f"{images}: figures of different images are not compared"


def _to_json(comparison: Comparison) -> dict[str, Any]:
    return {
        "first": comparison.first.name,
        "second": comparison.second.name,
        "seeds": comparison.seeds,
        "settings": comparison.settings,
        "confounded": are_confounded(comparison.first, comparison.second),
        "not_compared": _explain_different_images(comparison),
        "metrics": {
            metric: asdict(pair) | {"difference": pair.difference and pair.difference.to_json()}
            for metric, pair in comparison.metrics.items()
        },
    }
