"""`fmgrid compare`: two experiments, or two runs, over the seeds that both have."""

import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from fmgrid.analysis.comparisons import Comparison, MetricPair, compare_two
from fmgrid.analysis.experiments import (
    ExperimentRuns,
    are_confounded,
    are_scored_alike,
    images_of,
)
from fmgrid.analysis.study import Study
from fmgrid.cli.output import put_json, say, warn
from fmgrid.cli.reporting import load_study
from fmgrid.cli.tables import put_rows
from fmgrid.errors import InputError, Place, Problem
from fmgrid.metrics import METRICS
from fmgrid.report.phrases import (
    show_difference,
    show_interval,
    show_p,
    show_value,
)
from fmgrid.settings import show
from fmgrid.words import counted, first_few, near_match, printable

_SEEDS_SHOWN = 10


def find_repeated(names: Sequence[str], logdir: Path) -> list[ExperimentRuns]:
    """Return the experiments of these names, or single runs of them; their folders will do as well.

    Raises `InputError` if one has no complete run, or if they are the same runs.
    """
    studies: dict[Path, Study] = {}
    found = []
    for name in names:
        root, name_there = _split(name, logdir)
        if root not in studies:
            studies[root] = load_study(root, [])
            for text in (*studies[root].unread, *studies[root].uncounted):
                warn(text)
        found.append(_find(name_there, studies[root], root))
    one, other = found
    if one.runs == other.runs:
        raise _refusal(names[1], "that is the first of the two again; name another")
    if _is_part_of(one, other) or _is_part_of(other, one):
        raise _refusal(" ".join(names), "one of the two is a run of the other; name another")
    return found


def show_comparison(first: ExperimentRuns, second: ExperimentRuns, *, json: bool) -> None:
    """Print the settings in which two experiments differ, and their metrics, paired by seed."""
    comparison = compare_two(first, second)
    if json:
        put_json(_to_json(comparison))
        return
    names = printable(first.name), printable(second.name)
    if comparison.settings:
        settings = [[name, *map(show, pair)] for name, pair in comparison.settings.items()]
        put_rows(("setting", *names), settings)
    else:
        print("the same configuration")
    print()
    rows = [_to_cells(metric, pair) for metric, pair in comparison.metrics.items()]
    put_rows(("metric", *names, "difference", "95% interval", "p"), rows)
    _say_how_sure(comparison)
    if are_confounded(first, second):
        images = f"{first.images_seen:,} and {second.images_seen:,} images seen"
        say(f"confounded with the amount of data: {images}")


def _split(name: str, logdir: Path) -> tuple[Path, str]:
    """Return the log folder in which a run or experiment is to be looked for, and its name.

    Raises `InputError` for what can be neither.
    """
    if Path(name).name == name:
        return logdir, name
    # Not Path.absolute, which leaves ".." as it is.
    path = Path(os.path.abspath(name))  # noqa: PTH100
    if os.path.islink(path):  # noqa: PTH114 - a run has the name of the folder itself
        path = Path(os.path.realpath(path))
    if path.parent == path.parent.parent and not os.path.lexists(
        path / f"{path.name}_results.toml"
    ):
        raise _refusal(name, "is no run: a log folder lies deeper; name a run or an experiment")
    is_folder = os.path.isdir(path.parent)  # noqa: PTH112 - Path.is_dir may raise
    return (path.parent, path.name) if is_folder else (logdir, name)


def _find(name: str, study: Study, root: Path) -> ExperimentRuns:
    scored = {known: one for known, one in study.experiments.items() if one.runs}
    if name in scored:
        return scored[name]
    for one in scored.values():
        for seed, run in one.runs.items():
            if name in (run.run, run.folder, f"{one.name}_s{seed}"):
                return replace(one, name=name, runs={seed: run}, failures=())
    near = near_match(name, [*scored, *(run.run for run in study.runs)])
    hint = f"did you mean {near}?" if near else f"there are {first_few(list(scored))}"
    missing = f"no complete run or experiment in {root}; {hint}"
    raise _refusal(name, missing if name else "an empty name; name an experiment or a run")


def _is_part_of(one: ExperimentRuns, other: ExperimentRuns) -> bool:
    return all(other.runs.get(seed) == row for seed, row in one.runs.items())


def _refusal(name: str, message: str) -> InputError:
    return InputError(
        [Problem(Place(f"fmgrid compare {printable(name) or repr(name)}"), "", message)]
    )


def _to_cells(metric: str, pair: MetricPair) -> list[str]:
    label = METRICS[metric].label
    values = (show_value(one.mean, metric) for one in (pair.first, pair.second))
    difference = pair.difference
    if difference is None:
        return [label, *values, "", "", ""]
    unit = " points" if METRICS[metric].is_fraction else ""
    size = f"{show_difference(difference.mean, metric)}{unit}"
    return [label, *values, size, show_interval(difference, metric), show_p(pair.p_holm)]


def _say_how_sure(comparison: Comparison) -> None:
    first, second, seeds = comparison.first, comparison.second, comparison.seeds
    if other_images := _other_images(comparison):
        say(other_images)
    elif not seeds:
        means = f"means of {counted(len(first.runs), 'run')} and of {len(second.runs)}"
        say(f"they share no seed, and are not compared: {means}; give both the same --seeds")
    differences = [pair.difference for pair in comparison.metrics.values() if pair.difference]
    if not differences:
        return
    alone = [
        f"{len(one.runs) - len(seeds)} of {printable(one.name)}"
        for one in (first, second)
        if len(one.runs) > len(seeds)
    ]
    left_out = f"; {' and '.join(alone)} left out" if alone else ""
    order = f"differences are {printable(second.name)} minus {printable(first.name)}"
    say(f"over {_seeds_in_words(seeds)}, paired{left_out}; {order}")
    if all(difference.is_none for difference in differences):
        say("identical in every run")
    elif len(seeds) == 1:
        advice = "" if left_out else "; --seeds 0,1,2,3,4 repeats them"
        say(f"one seed: nothing can be concluded{advice}")
    else:
        say("p values are Holm's over the metrics")


def _other_images(comparison: Comparison) -> str:
    """Return the reason why figures of two experiments are not compared; "" where they are."""
    both = comparison.first, comparison.second
    if are_scored_alike(both):
        return ""
    images = ", ".join(f"{printable(one.name)} is scored on {images_of(one)}" for one in both)
    return f"{images}: figures of different images are not compared"


def _seeds_in_words(seeds: Sequence[int]) -> str:
    if len(seeds) == 1:
        return f"seed {seeds[0]} alone"
    least, most = seeds[0], seeds[-1]
    listed = f"{least} to {most}"
    if len(seeds) == 2 or most - least >= len(seeds):  # noqa: PLR2004
        listed = first_few(list(map(str, seeds)), _SEEDS_SHOWN)
    return f"{len(seeds)} seeds, {listed}"


def _to_json(comparison: Comparison) -> dict[str, Any]:
    return {
        "first": comparison.first.name,
        "second": comparison.second.name,
        "seeds": comparison.seeds,
        "settings": comparison.settings,
        "confounded": are_confounded(comparison.first, comparison.second),
        "not_compared": _other_images(comparison),
        "metrics": {
            metric: asdict(pair) | {"difference": pair.difference and pair.difference.to_json()}
            for metric, pair in comparison.metrics.items()
        },
    }
