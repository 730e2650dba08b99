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
from fmgrid.cli.output import print_json, say, warn
from fmgrid.cli.reporting import load_study
from fmgrid.cli.showing import locate
from fmgrid.cli.tables import print_rows
from fmgrid.errors import InputError
from fmgrid.metrics import METRICS
from fmgrid.reporting.phrases import show_difference, show_interval, show_p, show_value
from fmgrid.settings import show
from fmgrid.words import counted, first_few, near_match, printable

_REMEDY = "give both the same --seeds, such as 0,1,2,3,4"


def find_pair(names: Sequence[str], logdir: Path) -> list[ExperimentRuns]:
    """Return two experiments or single runs of them, given by their names or folders.

    Raises `InputError` if one has no complete run, or if they are the same runs.
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
    return pair


def show_comparison(first: ExperimentRuns, second: ExperimentRuns, *, json: bool) -> None:
    """Print the settings in which two experiments differ, and their metrics, paired by seed."""
    comparison = compare_experiments(first, second)
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
    scored = {
        label: experiment for label, experiment in study.experiments.items() if experiment.runs
    }
    if name in scored:
        return scored[name]
    for experiment in scored.values():
        for seed, run in experiment.runs.items():
            if name in (run.run, run.folder, f"{experiment.name}_s{seed}"):
                return replace(experiment, name=name, runs={seed: run}, failures=())
    suggestion = near_match(name, [*scored, *(run.run for run in study.runs)])
    hint = f"did you mean {suggestion}?" if suggestion else f"there are {first_few(list(scored))}"
    message = f"no complete run or experiment in {root}; {hint}"
    raise InputError.at(f"fmgrid compare {name}", message)


def _to_cells(metric: str, pair: MetricPair) -> list[str]:
    label = METRICS[metric].label
    values = (show_value(estimate.mean, metric) for estimate in (pair.first, pair.second))
    difference = pair.difference
    if difference is None:
        return [label, *values, "", "", ""]
    unit = " points" if METRICS[metric].is_fraction else ""
    size = f"{show_difference(difference.mean, metric)}{unit}"
    return [label, *values, size, show_interval(difference, metric), show_p(pair.p_holm)]


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
        say("p values are Holm's over the metrics")


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
