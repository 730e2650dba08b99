"""Rows -> what was asked and what came of it: experiments with their repeats, groups, axes.

Nothing here knows the reference study. Axes are found from the settings that differ, so that a
grid of any shape, or a folder that plain mltrainer left, is described by the same words.
"""

import json
import math
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from pathlib import PurePosixPath
from statistics import fmean, stdev
from typing import Any, Literal, TypeAlias

from fmgrid.analysis.statistics import Estimate, Noise, estimate, pooled_noise
from fmgrid.experiment import Experiment, Run
from fmgrid.hypotheses.claims import METRICS
from fmgrid.hypotheses.records import Asked
from fmgrid.results.summary import COLUMNS as COLUMNS_OF_RUNS
from fmgrid.results.summary import HISTORY_COLUMNS, NETWORK, Summary, natural_order
from fmgrid.results.summary import METRICS as METRICS_OF_RUNS
from fmgrid.results.summary import SETTINGS as COLUMNS_OF_SETTINGS

Row: TypeAlias = Mapping[str, Any]
Shape: TypeAlias = Literal["single", "one axis", "factorial", "irregular"]

UNKNOWN_SEED = -1  # of a run that plain mltrainer left
SCORED_ON = ("dataset", "validation")  # which images judge a run
TIME = frozenset({"epochs", "train_steps", "train_images"})  # what is meant to change the images
SETTINGS = tuple(name for name in Experiment.model_fields if name not in ("name", "seed"))
# Steps and images are two ways to say how long an epoch is, and count as one setting.
_BUDGET = ("train_steps", "train_images")
SINGLE_SETTINGS = tuple(setting for setting in SETTINGS if setting != _BUDGET[1])
ESTIMATED = ("accuracy", "valid_loss", "train_loss", "best_accuracy", "test_accuracy", "test_loss")
COLUMNS = (
    "name",
    *COLUMNS_OF_SETTINGS,
    *("n", "failed", "weights", "images_seen"),
    *(f"{metric}_{part}" for metric in ESTIMATED for part in ("mean", "sd", "low", "high")),
)

_OF_EPOCHS = [
    column for column in HISTORY_COLUMNS if column not in ("run", "name", "seed", "seconds")
]
# Without any of these two experiments cannot be called the same.
_TELLING = ("epochs", "batch_size", "hidden_units", "optimizer")
_LARGEST = 1e100  # of what is measured; networks compute in single precision, to 3.4e38
_TABLES = (COLUMNS_OF_RUNS, HISTORY_COLUMNS, COLUMNS)  # of this version and older

_NETWORK = NETWORK.removesuffix(".")  # the setting that holds a network's own attributes
_LOG_SPAN = 10  # levels that span more than this factor stand on a logarithmic axis

LABELS = {
    "accuracy": "accuracy",
    "best_accuracy": "best accuracy",
    "test_accuracy": "test accuracy",
    "valid_loss": "validation loss",
    "train_loss": "train loss",
    "best_valid_loss": "best validation loss",
    "test_loss": "test loss",
    "overfitting_gap": "overfitting gap",
}
UNITS = {
    "epochs": "epochs",
    "train_steps": "steps per epoch",
    "train_images": "images per epoch",
    "batch_size": "batch size (images)",
    "learning_rate": "learning rate",
    "units": "units in each hidden layer",
    "units1": "units in the first hidden layer",
    "units2": "units in the second hidden layer",
    "depth": "hidden layers",
    "optimizer": "optimizer",
    "hidden_units": "units per hidden layer",
    "validation": "images held out for validation",
}


@dataclass(frozen=True, eq=False)  # compared and hashed as the object that it is
class Repeated:
    """One experiment with its runs, one per seed."""

    name: str
    settings: Mapping[str, Any]  # by setting; hidden_units is a tuple, optimizer_args a dict
    runs: Mapping[int, Row]  # complete ones, by seed in ascending order
    curves: Mapping[int, Sequence[Row]] = field(default_factory=dict)  # epochs of the same runs
    failures: tuple[Row, ...] = ()

    def series(self, metric: str) -> dict[int, float]:
        """Return the finite values of a metric by seed."""
        values = {seed: measured(row, metric) for seed, row in self.runs.items()}
        return {seed: value for seed, value in values.items() if value is not None}

    def estimate(self, metric: str) -> Estimate | None:
        """Return the metric's mean over seeds with its interval, None if no run has it."""
        series = self.series(metric)
        if not series:
            return None
        found = estimate(series.values())
        if found.low is None or found.high is None or not is_higher_better(metric):
            return found
        # Student's interval of few repeats knows of no bounds.
        return replace(found, low=max(found.low, 0.0), high=min(found.high, 1.0))

    def mean(self, metric: str) -> float | None:
        """Return the metric's mean over seeds, None if no run has it."""
        series = self.series(metric)
        return fmean(series.values()) if series else None

    @cached_property
    def configuration(self) -> str:
        """Equal for experiments that differ in nothing but their names, as far as that is known."""
        return without(self)

    @property
    def scored_on(self) -> tuple[Any, ...]:
        """Which images judge it: figures of others cannot be set beside."""
        return tuple(self.settings.get(setting) for setting in SCORED_ON)

    def scored_on_for(self, metric: str) -> tuple[Any, ...]:
        """Return which images give the figures of a metric: `test_` metrics know one set only."""
        return self.scored_on[:1] if metric.startswith("test_") else self.scored_on

    @property
    def images_seen(self) -> int | None:
        """Training images until the end, repeats included."""
        return next((row.get("images_seen") for row in self.runs.values()), None)


@dataclass(frozen=True)
class Axis:
    """A setting that varies within a group, with its levels in order."""

    name: str  # "batch_size", "units1", "optimizer_args.momentum"
    levels: tuple[Any, ...]

    @property
    def label(self) -> str:
        """What a picture calls it, with its unit."""
        return UNITS.get(self.name, self.name)

    @property
    def is_numeric(self) -> bool:
        """Whether the levels are numbers."""
        return all(type(level) in (int, float) and math.isfinite(level) for level in self.levels)

    @property
    def is_logarithmic(self) -> bool:
        """Whether the levels are numbers that span orders of magnitude, zero left aside."""
        if not self.is_numeric or min(self.levels) < 0:
            return False
        above = [level for level in self.levels if level]
        return len(above) > 1 and bool(max(above) / min(above) > _LOG_SPAN)


@dataclass(frozen=True)
class Group:
    """The experiments of one grid file, and the axes that they span."""

    title: str
    question: str
    members: tuple[Repeated, ...]  # in the order of the grid, with at least one run each
    missing: tuple[str, ...] = ()  # of the grid's experiments, those without a complete run

    @cached_property
    def axes(self) -> tuple[Axis, ...]:
        """The settings that vary; hidden_units by layer where all networks are equally deep."""
        return tuple(find_axes(self.members))

    @cached_property
    def distinct(self) -> tuple[Repeated, ...]:
        """The members without those that are another one by another name."""
        return tuple(distinct(self.members))

    @property
    def shape(self) -> Shape:
        """What the members span together."""
        if not self.axes:
            return "single"
        if len(self.axes) == 1:
            return "one axis"
        cells = math.prod(len(axis.levels) for axis in self.axes)
        return "factorial" if cells == len(self.distinct) else "irregular"

    def at(self, axis: Axis) -> dict[Any, list[Repeated]]:
        """Return the distinct members by their level on an axis, in its order."""
        found: dict[Any, list[Repeated]] = {level: [] for level in axis.levels}
        for member in self.distinct:
            found[level_of(member, axis.name)].append(member)
        return found

    def ranked(self, metric: str) -> list[Repeated]:
        """Return the members that have the metric, best first."""
        return best_first(self.members, metric)

    @cached_property
    def confounded(self) -> dict[str, tuple[int, int]]:
        """The fewest and most images seen by members that differ in one axis, time aside.

        By the axis, where it changes them; of several such comparisons the most unequal.
        """
        found = {axis.name: self._images_along(axis) for axis in self.axes if axis.name not in TIME}
        return {name: images for name, images in found.items() if images}

    def _images_along(self, axis: Axis) -> tuple[int, int] | None:
        others = [other.name for other in self.axes if other is not axis]
        alike: dict[tuple[Any, ...], list[int]] = defaultdict(list)
        for member in self.distinct:
            if member.images_seen:
                alike[tuple(level_of(member, name) for name in others)].append(member.images_seen)
        spans = [(min(images), max(images)) for images in alike.values()]
        low, high = max(spans, key=lambda span: span[1] / span[0], default=(0, 0))
        return (low, high) if low < high else None


@dataclass(frozen=True)
class Study:
    """A folder of runs, put in order."""

    experiments: Mapping[str, Repeated]  # by name, in natural order
    groups: tuple[Group, ...]
    asked: tuple[Asked, ...]
    left_out: tuple[str, ...]  # what is in the folder and not in these figures, and why
    begun: Mapping[str, datetime] = field(default_factory=dict)  # first run, by experiment
    unfinished: tuple[str, ...] = ()  # runs that are to be trained again, or to the end
    unread: tuple[str, ...] = ()  # of what is left out, what could not be read
    uncounted: tuple[str, ...] = ()  # and runs that stand in the way of others

    @cached_property
    def scored(self) -> dict[str, Repeated]:
        """The experiments with at least one complete run."""
        return {name: one for name, one in self.experiments.items() if one.runs}

    @cached_property
    def rows(self) -> list[Row]:
        """Those of all complete runs."""
        return [row for one in self.scored.values() for row in one.runs.values()]

    @cached_property
    def failed(self) -> list[str]:
        """The experiments of which fmgrid has a run that failed."""
        return [
            name
            for name, one in self.experiments.items()
            if any(row["status"] in ("failed", "timeout") for row in one.failures)
        ]

    @cached_property
    def seeds(self) -> list[int]:
        """All seeds of complete runs, as far as they are known."""
        found = {seed for one in self.scored.values() for seed in one.runs}
        return sorted(found - {UNKNOWN_SEED})

    @cached_property
    def baseline(self) -> Repeated | None:
        """The experiment that most others differ from in one setting only; None if none is."""
        match count_neighbours(self.scored.values()).most_common(2):
            case [(first, most), (_, second)] if most > second:
                return first
        return None

    def noise(self, metric: str) -> Noise | None:
        """Return how much single runs of one configuration vary, whatever their names."""
        return pooled_noise(self._repeats(metric))

    def scatter(self, metric: str) -> list[float]:
        """Return the standard deviation of the runs of each configuration, least first."""
        return sorted(stdev(values) for values in self._repeats(metric) if len(values) > 1)

    def _repeats(self, metric: str) -> list[list[float]]:
        """Return the metric by configuration; runs with one seed are one training, and count once.

        Of a seed that is not known, each run counts.
        """
        repeats = (
            {
                (one.name, seed) if seed == UNKNOWN_SEED else seed: value
                for one in same
                for seed, value in one.series(metric).items()
            }
            for same in by_configuration(self.scored.values()).values()
        )
        return [list(values.values()) for values in repeats]


def is_header_of_table(line: str) -> bool:
    """Return whether a table of fmgrid summarize begins with this line."""
    found = line.rstrip("\r\n").split(",")
    return any(
        tuple(found[: len(columns)]) == columns
        and all(name.startswith(NETWORK) for name in found[len(columns) :])
        for columns in _TABLES
    )


def by_configuration(experiments: Iterable[Repeated]) -> dict[str, list[Repeated]]:
    """Return the experiments, those together that differ in nothing but their names."""
    found: dict[str, list[Repeated]] = defaultdict(list)
    for one in experiments:
        found[one.configuration].append(one)
    return found


def distinct(experiments: Iterable[Repeated]) -> list[Repeated]:
    """Return the experiments without those that are another one by another name."""
    return [same[0] for same in by_configuration(experiments).values()]


def merged(experiments: Iterable[Repeated]) -> list[Repeated]:
    """Return every configuration once, under its first name, with the runs of all its names."""
    return [_merge(same) for same in by_configuration(experiments).values()]


def _merge(same: Sequence[Repeated]) -> Repeated:
    """Return experiments of one configuration as one; of a seed that several have, the first's."""
    first = same[0]
    if len(same) == 1:
        return first
    runs = {seed: row for one in reversed(same) for seed, row in one.runs.items()}
    curves = {seed: rows for one in reversed(same) for seed, rows in one.curves.items()}
    return replace(first, runs=dict(sorted(runs.items())), curves=curves)


def scored_alike(experiments: Iterable[Repeated]) -> list[list[Repeated]]:
    """Return the experiments, those together that the same images judge; most first."""
    found: dict[tuple[Any, ...], list[Repeated]] = defaultdict(list)
    for one in experiments:
        found[one.scored_on].append(one)
    return sorted(found.values(), key=lambda members: -len(members))


def are_scored_alike(experiments: Iterable[Repeated], metric: str = "accuracy") -> bool:
    """Return whether the same images give all experiments their figures of a metric."""
    return len({one.scored_on_for(metric) for one in experiments}) <= 1


def images_of(one: Repeated) -> str:
    """Say which images judge an experiment."""
    validation = one.settings.get("validation")
    if validation is None:
        return "unknown images"
    of = "" if one.settings.get("dataset") == "fashion-mnist" else f" of {one.settings['dataset']}"
    if validation == "test":
        return f"the test images{of}"
    return f"{validation:,} images{of} held out"


def best_first(experiments: Iterable[Repeated], metric: str) -> list[Repeated]:
    """Return the experiments that have the metric, in order of its mean; equals by their names."""
    scored = [(mean, one) for one in experiments if (mean := one.mean(metric)) is not None]
    sign = -1 if is_higher_better(metric) else 1
    in_order = sorted(scored, key=lambda pair: (sign * pair[0], natural_order(pair[1].name)))
    return [one for _, one in in_order]


def best_by_images(experiments: Iterable[Repeated], metric: str) -> list[list[Repeated]]:
    """Return the configurations that have the metric, best mean first.

    Those together that the same images judge, the largest such set first.
    """
    by_name = sorted(experiments, key=lambda one: natural_order(one.name))
    return scored_alike(best_first(merged(by_name), metric))


class Ranking:
    """The experiments of runs, as the report ranks them, while more runs come in."""

    def __init__(self, runs: Iterable[Run] = ()) -> None:
        self._runs: dict[str, dict[int, Row]] = {}
        self._experiments: dict[str, Repeated] = {}
        for run in runs:
            self.add(run)

    def add(self, run: Run) -> None:
        """Count a run, if it is complete."""
        if run.status != "complete" or run.final is None:
            return
        experiment = run.experiment
        if experiment.name not in self._experiments:
            settings = {name: getattr(experiment, name) for name in SETTINGS}
            self._runs[experiment.name] = {}
            self._experiments[experiment.name] = Repeated(
                experiment.name, settings, self._runs[experiment.name]
            )
        row = {"run": experiment.run_name, "accuracy": run.final.accuracy}
        self._runs[experiment.name][experiment.seed] = row

    def best(self) -> list[Repeated]:
        """Return the best of each set of experiments that the same images judge."""
        sets = best_by_images(self._experiments.values(), "accuracy")
        return [ranked[0] for ranked in sets]


def count_neighbours(experiments: Iterable[Repeated]) -> Counter[Repeated]:
    """Return how many others differ from each distinct experiment in one setting only.

    A setting that changes the images which judge a run does not count: such figures are not
    compared.
    """
    those = distinct(experiments)
    neighbours = Counter(dict.fromkeys(those, 0))
    for setting in (name for name in SINGLE_SETTINGS if name not in SCORED_ON):
        buckets: dict[str, list[Repeated]] = defaultdict(list)
        for one in those:
            buckets[without(one, setting)].append(one)
        for bucket in buckets.values():
            for one in bucket:
                neighbours[one] += len(bucket) - 1
    return neighbours


def to_study(summary: Summary, asked: Sequence[Asked]) -> Study:
    """Put a folder's rows in order; *summary* holds their history, too."""
    rows: dict[str, list[Row]] = defaultdict(list)
    for row in summary.rows:
        rows[row["name"]].append(row)
    curves: dict[str, list[Row]] = defaultdict(list)
    for epoch in summary.history:
        curves[_place(epoch)].append(epoch)
    left_out = [*summary.warnings]
    if summary.unfinished:
        left_out.append(f"not finished: {', '.join(summary.unfinished)}")
    uncounted: list[str] = []
    copies: list[str] = []
    experiments = {}
    for name in sorted(rows, key=natural_order):
        counted = _without_namesakes(name, rows[name], curves, copies, uncounted)
        experiments[name] = _repeated(name, counted, curves)
        left_out += _told_failures(experiments[name])
    if copies:
        same = "the same bits as another run of that name and seed, and counted once"
        uncounted.append(f"{same}: {', '.join(copies)}")
    left_out += uncounted
    experiments = _with_types_apart(experiments)
    groups = tuple(_groups(experiments, asked))
    left_out += [
        f"{grid.path}: none of its experiments has a complete run here"
        for grid in asked
        if grid.names
        and not any(experiments[name].runs for name in grid.names if name in experiments)
    ]
    unfinished = (*summary.unfinished, *summary.damaged)
    return Study(
        experiments,
        groups,
        tuple(asked),
        tuple(left_out),
        summary.begun,
        tuple(unfinished),
        unread=tuple(summary.warnings),
        uncounted=tuple(uncounted),
    )


def by_experiment(study: Study) -> list[dict[str, Any]]:
    """Return a row per experiment, by `COLUMNS`: n, mean, sd and interval of every metric."""
    return [_row_of(one) for one in study.experiments.values()]


def measured(row: Row, metric: str) -> float | None:
    """Return a finite metric of a row, None where it has none."""
    if metric == "overfitting_gap":
        valid, train = measured(row, "valid_loss"), measured(row, "train_loss")
        return None if valid is None or train is None else valid - train
    value = row.get(metric)
    # A stranger's event file may hold any number; squares of larger ones are inf.
    return float(value) if value is not None and abs(value) <= _LARGEST else None


def is_higher_better(metric: str) -> bool:
    """Return whether more of a metric is better: accuracies, not losses."""
    return METRICS.get(metric, False)


def find_axes(members: Iterable[Repeated]) -> Iterator[Axis]:
    """Yield the settings in which the experiments differ."""
    members = list(members)
    for setting in (*SETTINGS, _NETWORK):
        names = [setting]
        if setting == "hidden_units":
            names = _layer_axes(members)
        elif setting in ("optimizer_args", _NETWORK):
            arguments = {key: None for one in members for key in one.settings.get(setting) or {}}
            names = [f"{setting}.{argument}" for argument in arguments]
        for name in names:
            levels = list(dict.fromkeys(level_of(one, name) for one in members))
            if len(levels) > 1:
                yield Axis(name, tuple(sorted(levels, key=_level_order)))


def are_confounded(one: Repeated, other: Repeated) -> bool:
    """Return whether two saw different numbers of images, though the same time was given them."""
    if any(one.settings.get(name) != other.settings.get(name) for name in TIME):
        return False
    seen = one.images_seen, other.images_seen
    return None not in seen and seen[0] != seen[1]


def level_of(one: Repeated, name: str) -> Any:
    """Return an experiment's level on an axis."""
    setting, _, argument = name.partition(".")
    units = one.settings.get("hidden_units")
    if argument:
        value = (one.settings.get(setting) or {}).get(argument)
        is_too_large = isinstance(value, int) and abs(value) > sys.float_info.max
        return json.dumps(value) if isinstance(value, list | dict) or is_too_large else value
    if name == "depth":
        return None if units is None else len(units)
    if name == "units":
        return None if units is None else units[0]
    if name.startswith("units"):
        return None if units is None else units[int(name.removeprefix("units")) - 1]
    return one.settings.get(name)


def show_level(level: Any) -> str:
    """Write a level as people do: 0.001, 256 256, Adam."""
    if isinstance(level, tuple):
        return " ".join(map(str, level)) or "none"
    if isinstance(level, dict):
        return ", ".join(f"{name} {show_level(value)}" for name, value in level.items()) or "none"
    if level is None:
        return "default"
    return str(level).rpartition(":")[2] if isinstance(level, str) else f"{level}"


def without(one: Repeated, setting: str | None = None) -> str:
    """Return an experiment's configuration, or all of it but one setting.

    One of which too little is known is like no other.
    """
    dropped = _BUDGET if setting in _BUDGET else (setting,)
    kept = {key: value for key, value in one.settings.items() if key not in dropped}
    if None in map(one.settings.get, _TELLING):
        kept["name"] = one.name
    return json.dumps(kept, sort_keys=True, default=str)


def _layer_axes(members: Sequence[Repeated]) -> list[str]:
    shapes = {one.settings.get("hidden_units") for one in members}
    known = [units for units in shapes if units is not None]
    if len(known) < len(shapes):
        return ["hidden_units"]
    if len({len(units) for units in known}) == 1:
        if len(known[0]) > 1 and all(len(set(units)) == 1 for units in known):
            return ["units"]  # which all layers share
        return [f"units{layer}" for layer in range(1, len(known[0]) + 1)]
    is_even = len({width for units in known for width in units}) <= 1
    return ["depth" if is_even else "hidden_units"]


def _level_order(level: Any) -> tuple[Any, ...]:
    if level is None:
        return (0,)
    if isinstance(level, bool | int | float):
        return (1, level)
    if isinstance(level, tuple):
        return (2, len(level), level)
    return (3, natural_order(str(level)))


def _without_namesakes(
    name: str,
    rows: Sequence[Row],
    curves: Mapping[str, Sequence[Row]],
    copies: list[str],
    uncounted: list[str],
) -> list[Row]:
    """Return the rows of one configuration that count: of complete runs, one of each seed.

    Several log folders may hold runs of one name. The places of copies go to *copies*, and what
    else does not count to *uncounted*.
    """
    by_configuration: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_configuration[_configuration(row)].append(row)
    kept = max(by_configuration.values(), key=len)
    others = [row for alike in by_configuration.values() if alike is not kept for row in alike]
    if others:
        told = f"{name}: {len(others)} of its runs, whose settings differ from the others'"
        elsewhere = [_place(row) for row in others if _place(row) != row["run"]]
        uncounted.append(f"{told}: {', '.join(elsewhere)}" if elsewhere else told)
    first: dict[int, Row] = {}
    counted = []
    for row in kept:
        known = first.setdefault(_seed(row), row) if _is_complete(row) else row
        if known is row:
            counted.append(row)
        elif _bits(row, curves) == _bits(known, curves):
            copies.append(_place(row))
        else:
            uncounted.append(
                f"{_place(row)}: not counted, as {_place(known)} has the same name and seed, "
                "and other figures"
            )
    return counted


def _repeated(name: str, rows: Sequence[Row], curves: Mapping[str, Sequence[Row]]) -> Repeated:
    complete = sorted(filter(_is_complete, rows), key=_seed)
    runs = {_seed(row): row for row in complete}
    return Repeated(
        name=name,
        settings=_settings(rows[0]),
        runs=runs,
        curves={seed: curves.get(_place(row), []) for seed, row in runs.items()},
        failures=tuple(row for row in rows if not _is_complete(row)),
    )


def _told_failures(one: Repeated) -> list[str]:
    told = [(_place(row), row["status"], row.get("error")) for row in one.failures]
    return [": ".join(filter(None, parts)) for parts in told]


def _is_complete(row: Row) -> bool:
    return row.get("status") in ("complete", None)


def _seed(row: Row) -> int:
    return UNKNOWN_SEED if row.get("seed") is None else int(row["seed"])


def _place(row: Row) -> str:
    """Return the path of a run in the folder that the study is of, which no other run has."""
    return str(row.get("folder") or row["run"])


def _bits(row: Row, curves: Mapping[str, Sequence[Row]]) -> str:
    """Return everything that was measured of a run, but for times."""
    epochs = [[epoch.get(one) for one in _OF_EPOCHS] for epoch in curves.get(_place(row), ())]
    return json.dumps([[row.get(metric) for metric in METRICS_OF_RUNS], epochs])


def _configuration(row: Row) -> str:
    settings = [row.get(setting) for setting in SETTINGS]
    return json.dumps([settings, _network_of(row)], default=str)


def _network_of(row: Row) -> dict[str, Any]:
    """Return the attributes of a network that plain mltrainer trained."""
    return {
        column.removeprefix(NETWORK): value
        for column, value in row.items()
        if column.startswith(NETWORK)
    }


def _settings(row: Row) -> dict[str, Any]:
    settings = {setting: row.get(setting) for setting in SETTINGS}
    units, arguments = settings["hidden_units"], settings["optimizer_args"]
    settings["hidden_units"] = None if units is None else tuple(map(int, units.split()))
    settings["optimizer_args"] = None if arguments is None else json.loads(arguments)
    if network := _network_of(row):
        settings[_NETWORK] = network
    return settings


def _row_of(one: Repeated) -> dict[str, Any]:
    any_run = next(iter([*one.runs.values(), *one.failures]))
    row = {column: any_run.get(column) for column in (*COLUMNS_OF_SETTINGS, "weights")}
    row |= {NETWORK + name: value for name, value in _network_of(any_run).items()}
    row |= {"name": one.name, "n": len(one.runs), "failed": len(one.failures)}
    row["images_seen"] = one.images_seen
    for metric in ESTIMATED:
        found = one.estimate(metric)
        if found:
            for part in ("mean", "sd", "low", "high"):
                row[f"{metric}_{part}"] = getattr(found, part)
    return row


def _with_types_apart(experiments: dict[str, Repeated]) -> dict[str, Repeated]:
    """Return the experiments, with an argument as text where it is 1 in one and true in another.

    Python takes these, and 1.0, for one level of an axis; they may train to different bits.
    """
    types: dict[tuple[str, Any], set[type]] = defaultdict(set)
    for one in experiments.values():
        for name, value in (one.settings["optimizer_args"] or {}).items():
            if isinstance(value, int | float):
                types[name, value].add(type(value))
    mixed = {name for (name, _), found in types.items() if len(found) > 1}
    return {name: _with_text(one, mixed) for name, one in experiments.items()}


def _with_text(one: Repeated, arguments: set[str]) -> Repeated:
    args = one.settings["optimizer_args"] or {}
    if arguments.isdisjoint(args):
        return one
    texts = {name: json.dumps(args[name]) for name in arguments & args.keys()}
    return replace(one, settings={**one.settings, "optimizer_args": {**args, **texts}})


def _titles(asked: Sequence[Asked]) -> list[str]:
    """Return a title for each grid: its file's name, after its folder's where several have it."""
    paths = [PurePosixPath(one.path) for one in asked]
    stems = Counter(path.stem for path in paths)
    titles = [
        path.stem if stems[path.stem] == 1 else f"{_folder_name(path, one)}/{path.stem}"
        for path, one in zip(paths, asked, strict=True)
    ]
    seen: Counter[str] = Counter()
    for at, title in enumerate(titles):
        seen[title] += 1
        titles[at] = title if seen[title] == 1 else f"{title} ({seen[title]})"
    return titles


def _folder_name(path: PurePosixPath, asked: Asked) -> str:
    return path.parent.name or PurePosixPath(asked.file).parent.name


def _groups(experiments: Mapping[str, Repeated], asked: Sequence[Asked]) -> Iterator[Group]:
    claimed: set[str] = set()
    for title, grid in zip(_titles(asked), asked, strict=True):
        members = [experiments[name] for name in grid.names if name in experiments]
        claimed |= {member.name for member in members}
        scored = tuple(member for member in members if member.runs)
        kept = {member.name for member in scored}
        if scored:
            missing = tuple(name for name in grid.names if name not in kept)
            yield Group(title, grid.question, scored, missing)
    others = [one for name, one in experiments.items() if name not in claimed and one.runs]
    if others:
        yield Group("other runs" if claimed else "all runs", "", tuple(others))
