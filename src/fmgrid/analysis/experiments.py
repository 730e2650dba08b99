"""Experiments with their runs: their figures, configurations and order."""

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from math import inf
from statistics import fmean
from typing import Any, TypeVar

from fmgrid.analysis.statistics import Estimate, estimate
from fmgrid.experiment import Run, typed
from fmgrid.metrics import METRICS, finite
from fmgrid.results.summary import StoredRun, natural_order, to_stored
from fmgrid.settings import DEFAULTS, RIVALS, SETTINGS

UNKNOWN_SEED = -1  # of a run that plain mltrainer left
SCORED_ON = ("dataset", "validation")  # settings that say which images judge a run
T = TypeVar("T")
TIME = frozenset({"epochs", "train_steps", "train_images"})  # settings that change the images seen


@dataclass(frozen=True, eq=False)  # compared and hashed as the object that it is
class ExperimentRuns:
    """One experiment with its runs, one per seed."""

    name: str
    settings: Mapping[str, Any]  # by name; a setting that is not known is absent
    runs: Mapping[int, StoredRun]  # complete ones, by seed in ascending order
    failures: tuple[StoredRun, ...] = ()
    other_names: tuple[str, ...] = ()  # of the same configuration, whose runs are among these

    @classmethod
    def of(cls, runs: Sequence[StoredRun]) -> "ExperimentRuns":
        """Return the experiment with these runs."""
        complete = [run for run in runs if run.is_complete]
        by_seed = {UNKNOWN_SEED if run.seed is None else run.seed: run for run in complete}
        failures = tuple(run for run in runs if not run.is_complete)
        return cls(runs[0].name, runs[0].settings, dict(sorted(by_seed.items())), failures)

    @property
    def names(self) -> tuple[str, ...]:
        """All names of the configuration."""
        return (self.name, *self.other_names)

    def called(self, name: str) -> "ExperimentRuns":
        """Return it under another of its names."""
        others = tuple(other for other in self.names if other != name)
        return replace(self, name=name, other_names=others)

    def series(self, metric: str) -> dict[int, float]:
        """Return the finite values of a metric by seed."""
        values = ((seed, finite(run.metrics.get(metric))) for seed, run in self.runs.items())
        return {seed: value for seed, value in values if value is not None}

    def estimate(self, metric: str) -> Estimate | None:
        """Return the metric's mean over seeds with its interval, None if no run has it."""
        series = self.series(metric)
        mean = estimate(series.values()) if series else None
        if mean and mean.low is not None and mean.high is not None and METRICS[metric].is_fraction:
            # Student's interval of few repeats knows of no bounds.
            return replace(mean, low=max(mean.low, 0.0), high=min(mean.high, 1.0))
        return mean

    def mean(self, metric: str) -> float | None:
        """Return the metric's mean over seeds, None if no run has it."""
        series = self.series(metric)
        return fmean(series.values()) if series else None

    @cached_property
    def configuration(self) -> Hashable:
        """Key shared by experiments with the same settings."""
        return without(self)

    @property
    def evaluation_set(self) -> tuple[Any, ...]:
        """The images that judge it: figures on others are not compared with its own."""
        return tuple(self.settings.get(setting) for setting in SCORED_ON)

    @property
    def images_seen(self) -> int | None:
        """Training images until the end, repeats included."""
        seen = (run.metrics.get("images_seen") for run in self.runs.values())
        return next((int(images) for images in seen if images is not None), None)


def without(one: ExperimentRuns, setting: str = "") -> Hashable:
    """Return a key of an experiment's settings, or of all but one.

    An experiment whose settings are not all known shares its key with no other.
    """
    dropped = (setting, RIVALS.get(setting))
    kept = {key: value for key, value in one.settings.items() if key not in dropped}
    return typed(kept if one.settings.keys() >= SETTINGS.keys() else [one.name, kept])


def together(items: Iterable[T], key: Callable[[T], Hashable]) -> list[list[T]]:
    """Return the items, those with the same key together, in the order of the first of each."""
    groups: dict[Hashable, list[T]] = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return list(groups.values())


def by_configuration(experiments: Iterable[ExperimentRuns]) -> list[list[ExperimentRuns]]:
    """Return the experiments, those with the same settings together."""
    return together(experiments, lambda one: one.configuration)


def distinct(experiments: Iterable[ExperimentRuns]) -> list[ExperimentRuns]:
    """Return the first experiment of each configuration."""
    return [same[0] for same in by_configuration(experiments)]


def merged(experiments: Iterable[ExperimentRuns]) -> list[ExperimentRuns]:
    """Return every configuration once with the runs of all its names, in natural order.

    It is called by the name under which it was trained first. Of a seed that several names have,
    the run of that name counts: it is one training.
    """
    configurations = map(_merge, by_configuration(experiments))
    return sorted(configurations, key=lambda one: natural_order(one.name))


def _merge(same: Sequence[ExperimentRuns]) -> ExperimentRuns:
    same = sorted(same, key=_beginning)
    first = same[0]
    runs = {seed: run for one in reversed(same) for seed, run in one.runs.items()}
    names = dict.fromkeys(name for one in same for name in one.names if name != first.name)
    return replace(first, runs=dict(sorted(runs.items())), other_names=tuple(names))


def _beginning(one: ExperimentRuns) -> tuple[Any, ...]:
    """Key by which the name under which a configuration was trained first comes first."""
    is_shared = all(run.trained_as for run in one.runs.values())
    times = [run.started.timestamp() for run in one.runs.values() if run.started]
    return is_shared, min(times, default=inf), natural_order(one.name)


def scored_alike(experiments: Iterable[ExperimentRuns]) -> list[list[ExperimentRuns]]:
    """Return the experiments, those together that the same images judge; the largest set first."""
    sets = together(experiments, lambda one: one.evaluation_set)
    return sorted(sets, key=lambda members: -len(members))


def are_scored_alike(experiments: Iterable[ExperimentRuns], metric: str = "accuracy") -> bool:
    """Return whether the same images give all experiments their figures of a metric."""
    # A data set has one set of test images, whichever others are held out for validation.
    known = 1 if METRICS[metric].is_of_test_images else len(SCORED_ON)
    return len({one.evaluation_set[:known] for one in experiments}) <= 1


def images_of(one: ExperimentRuns) -> str:
    """Return in words which images judge an experiment."""
    dataset, validation = one.evaluation_set
    if validation is None:
        return "unknown images"
    of = "" if dataset == DEFAULTS["dataset"] else f" of {dataset}"
    return f"the test images{of}" if validation == "test" else f"{validation:,} images{of} held out"


def are_confounded(one: ExperimentRuns, other: ExperimentRuns) -> bool:
    """Return whether two saw different numbers of images, though the same time was given them."""
    if any(one.settings.get(name) != other.settings.get(name) for name in TIME):
        return False
    seen = one.images_seen, other.images_seen
    return None not in seen and seen[0] != seen[1]


def count_neighbours(experiments: Iterable[ExperimentRuns]) -> Counter[ExperimentRuns]:
    """Return how many others differ from each configuration in one setting only.

    Settings that change the images which judge a run do not count. Steps and images, two ways to
    say how long an epoch is, count as one setting.
    """
    candidates = list(experiments)
    neighbours = Counter(dict.fromkeys(candidates, 0))
    for setting in SETTINGS.keys() - {*SCORED_ON, "train_images"}:
        for alike in together(candidates, partial(without, setting=setting)):
            neighbours.update(dict.fromkeys(alike, len(alike) - 1))
    return neighbours


def best_first(experiments: Iterable[ExperimentRuns], metric: str) -> list[ExperimentRuns]:
    """Return the experiments that have the metric, in order of its mean; equals by their names."""
    scored = [(mean, one) for one in experiments if (mean := one.mean(metric)) is not None]
    sign = -1 if METRICS[metric].is_higher_better else 1
    in_order = sorted(scored, key=lambda pair: (sign * pair[0], natural_order(pair[1].name)))
    return [one for _, one in in_order]


def best_by_images(
    configurations: Iterable[ExperimentRuns], metric: str
) -> list[list[ExperimentRuns]]:
    """Return those that have the metric, best mean first, by the images that judge them."""
    return scored_alike(best_first(configurations, metric))


def best_of(runs: Iterable[Run]) -> list[ExperimentRuns]:
    """Return the best experiment of complete runs, for each set of images that judges some."""
    stored = (to_stored(run) for run in runs if run.status == "complete")
    experiments = map(ExperimentRuns.of, together(stored, lambda run: run.name))
    return [ranked[0] for ranked in best_by_images(merged(experiments), "accuracy")]
