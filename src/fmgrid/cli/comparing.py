"""`fmgrid compare`: two experiments, or two runs, over the seeds that both have."""

from fmgrid.analysis.comparisons import Comparison, MetricPair, compare_experiments
from fmgrid.analysis.experiments import ExperimentRuns
from fmgrid.analysis.study import Study
from fmgrid.cli.output import print_json, say
from fmgrid.cli.tables import print_rows
from fmgrid.metrics import metric_of
from fmgrid.reporting.phrases import show_difference, show_interval, show_p, show_value
from fmgrid.settings import show
from fmgrid.words import counted, first_few, printable

_NOTHING = "one of them has a single run: nothing can be concluded"
_REMEDY = "give both the same --seeds, such as 0,1,2,3,4"


def show_comparison(
    first: ExperimentRuns, second: ExperimentRuns, study: Study, *, json: bool
) -> None:
    """Print the settings in which two experiments differ, and their metrics, paired by seed."""
    comparison = compare_experiments(first, second, study)
    if json:
        print_json(comparison.to_json())
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
    if comparison.is_confounded:
        images = f"{first.images_seen:,} and {second.images_seen:,} images seen"
        say(f"confounded with the amount of data: {images}")


def _to_cells(metric: str, pair: MetricPair) -> list[str]:
    label = metric_of(metric).label
    values = (show_value(estimate.mean, metric) for estimate in (pair.first, pair.second))
    difference = pair.difference
    if difference is None:
        return [label, *values, "", "", ""]
    unit = " points" if metric_of(metric).is_fraction else ""
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
    differences = [pair.difference for pair in comparison.metrics.values() if pair.difference]
    numbers = f"{counted(len(first.runs), 'run')} and of {len(second.runs)}"
    order = f"differences are {second.name} minus {first.name}"
    if comparison.objection:
        say(comparison.objection)
    elif differences and not seeds:
        say(f"means of {numbers}, not paired, as their seeds are not known; {order}")
        fewest = min(len(first.runs), len(second.runs))
        say("each metric is compared by itself" if fewest > 1 else f"{_NOTHING}; repeat them")
    elif not seeds:
        say(f"they share no seed, and are not compared: means of {numbers}; {_REMEDY}")
    if not differences or not seeds:
        return
    unpaired = [
        f"{len(experiment.runs) - len(seeds)} of {experiment.name}"
        for experiment in (first, second)
        if len(experiment.runs) > len(seeds)
    ]
    left_out = f"; {' and '.join(unpaired)} left out" if unpaired else ""
    number = f"{counted(len(seeds), 'seed')} ({first_few(list(map(str, seeds)))})"
    say(f"over {number}, paired{left_out}; {order}")
    if all(difference.is_none for difference in differences):
        say("identical in every run")
    elif len(seeds) == 1:
        say(f"one seed: nothing can be concluded; {_REMEDY}")
    else:
        say("each metric is compared by itself")
