"""Experiments with their runs, the settings in which they differ, and the groups that span these.

Nothing here knows the reference study: a grid of any shape, or a folder that plain mltrainer left,
is described by the same words.
"""

import hashlib
import math
import sys
from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from statistics import fmean
from typing import Any, Literal, TypeAlias, TypeVar

from fmgrid.analysis.statistics import Estimate, Figures, estimate
from fmgrid.experiment import typed
from fmgrid.metrics import finite, metric_of
from fmgrid.results.summary import StoredRun, natural_order
from fmgrid.settings import DEFAULTS, RIVALS, SETTINGS, flatten, label_of, level_at, show, to_toml

SCORED_ON = ("dataset", "validation")  # settings that say which images judge a run
TIME = frozenset({"epochs", "train_steps", "train_images"})  # settings that change the images seen
T = TypeVar("T")
# Of all combinations of levels, an incomplete group has more than half, as a triangle does, and
# more than one gets by changing one setting at a time; an irregular group has fewer.
Shape: TypeAlias = Literal["single", "one axis", "factorial", "incomplete", "irregular"]


@dataclass(frozen=True, eq=False)  # compared and hashed as the object that it is
class ExperimentRuns:
    """One experiment with its runs: one per seed, or repeats without seeds."""

    name: str
    settings: Mapping[str, Any]  # by name; a setting that is not known is absent
    runs: Mapping[int, StoredRun]  # complete ones, by seed in ascending order, or by a key below 0
    failures: tuple[StoredRun, ...] = ()
    other_names: tuple[str, ...] = ()  # of the same configuration, whose runs are among these

    @classmethod
    def of(cls, runs: Sequence[StoredRun]) -> "ExperimentRuns":
        """Return the experiment with these runs."""
        complete = [run for run in runs if run.is_complete]
        by_seed = {_key_of(run): run for run in complete}
        ascending = sorted(by_seed.items(), key=lambda item: max(item[0], -1))
        failures = tuple(run for run in runs if not run.is_complete)
        return cls(runs[0].name, runs[0].settings, dict(ascending), failures)

    @property
    def names(self) -> tuple[str, ...]:
        """All names of the configuration."""
        return (self.name, *self.other_names)

    def renamed(self, name: str) -> "ExperimentRuns":
        """Return it under another of its names."""
        other_names = tuple(alias for alias in self.names if alias != name)
        return replace(self, name=name, other_names=other_names)

    @property
    def has_seeds(self) -> bool:
        """Whether the seeds of its runs are known, so that they can be paired with others."""
        return all(seed >= 0 for seed in self.runs)

    def series(self, metric: str) -> dict[int, float]:
        """Return the finite values of a metric by seed."""
        name = metric_of(metric).name
        values = ((seed, finite(run.metrics.get(name))) for seed, run in self.runs.items())
        return {seed: value for seed, value in values if value is not None}

    def figures(self, metric: str) -> Figures:
        """Return the same with the configuration that they are of."""
        series, key = self.series(metric), self.configuration
        if self.has_seeds:
            return Figures(series, {key: 1.0})
        return Figures({}, {key: 1.0}, {key: tuple(series.values())} if series else {})

    def estimate(self, metric: str) -> Estimate | None:
        """Return the metric's mean over seeds with its interval, None if no run has it."""
        series = self.series(metric)
        mean = estimate(series.values()) if series else None
        if mean is None or mean.low is None or not metric_of(metric).is_fraction:
            return mean
        low, high = mean.span  # Student's interval of few repeats knows of no bounds.
        return replace(mean, low=max(low, 0.0), high=min(high, 1.0))

    def mean(self, metric: str) -> float | None:
        """Return the metric's mean over seeds, None if no run has it."""
        series = self.series(metric)
        return fmean(series.values()) if series else None

    @property
    def seconds(self) -> float | None:
        """Mean seconds of its trainings, None if they are not known."""
        known = [run.seconds for run in self.runs.values() if run.seconds is not None]
        return fmean(known) if known else None

    @cached_property
    def configuration(self) -> Hashable:
        """Key shared by experiments with the same settings."""
        return settings_key(self)

    @property
    def evaluation_set(self) -> tuple[Any, ...]:
        """The images that judge it: figures on others are not compared with its own."""
        return tuple(self.settings.get(setting) for setting in SCORED_ON)

    def images_for(self, metric: str) -> tuple[Any, ...]:
        """Return the images that give it its figures of a metric."""
        # A data set has one set of test images, whichever others are held out for validation.
        return self.evaluation_set[: 1 if metric_of(metric).is_of_test_images else len(SCORED_ON)]

    @property
    def images_seen(self) -> int | None:
        """Training images until the end, repeats included."""
        counts = (run.metrics.get("images_seen") for run in self.runs.values())
        return next((int(images) for images in counts if images is not None), None)


def _key_of(run: StoredRun) -> int:
    """Return the seed of a run, or a key below 0 that no other folder has."""
    if run.seed is not None:
        return run.seed
    return -1 - int.from_bytes(hashlib.sha256(run.place.encode()).digest()[:7], "big")


def settings_key(experiment: ExperimentRuns, setting: str = "") -> Hashable:
    """Return a key of an experiment's settings, or of all but one.

    An experiment whose settings are not all known shares its key with no other.
    """
    dropped = (setting, RIVALS.get(setting), "content")  # which follows from the data set
    kept = {key: value for key, value in experiment.settings.items() if key not in dropped}
    return typed(kept if experiment.settings.keys() >= SETTINGS.keys() else [experiment.name, kept])


def group_by(items: Iterable[T], key: Callable[[T], Hashable]) -> list[list[T]]:
    """Return the items, those with the same key together, in the order of the first of each."""
    groups: dict[Hashable, list[T]] = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return list(groups.values())


def by_configuration(experiments: Iterable[ExperimentRuns]) -> list[list[ExperimentRuns]]:
    """Return the experiments, those with the same settings together."""
    return group_by(experiments, lambda experiment: experiment.configuration)


def distinct(experiments: Iterable[ExperimentRuns]) -> list[ExperimentRuns]:
    """Return the first experiment of each configuration."""
    return [namesakes[0] for namesakes in by_configuration(experiments)]


def merged(experiments: Iterable[ExperimentRuns]) -> list[ExperimentRuns]:
    """Return every configuration once with the runs of all its names, in natural order.

    It is called by the name under which it was trained first. Of a seed that several names have,
    the run of that name counts: it is one training.
    """
    configurations = []
    for namesakes in by_configuration(experiments):
        first, *others = sorted(namesakes, key=_beginning)
        if others:
            runs: dict[int, StoredRun] = {}
            for experiment in (*reversed(others), first):
                runs.update(experiment.runs)
            names = tuple(experiment.name for experiment in others)
            first = replace(first, runs=dict(sorted(runs.items())), other_names=names)
        configurations.append(first)
    return sorted(configurations, key=lambda experiment: natural_order(experiment.name))


def _beginning(experiment: ExperimentRuns) -> tuple[Any, ...]:
    """Key by which the name under which a configuration was trained first comes first."""
    is_shared = all(run.trained_as for run in experiment.runs.values())
    times = [run.started.timestamp() for run in experiment.runs.values() if run.started]
    return is_shared, min(times, default=math.inf), natural_order(experiment.name)


def are_scored_alike(experiments: Iterable[ExperimentRuns], metric: str = "accuracy") -> bool:
    """Return whether the same images give all experiments their figures of a metric."""
    return len({experiment.images_for(metric) for experiment in experiments}) <= 1


def images_of(experiment: ExperimentRuns, metric: str = "accuracy") -> str:
    """Return in words which images judge an experiment, or give it a metric."""
    dataset, validation = experiment.evaluation_set
    if validation is None:
        return "unknown images"
    source = "" if dataset == DEFAULTS["dataset"] else f" of {show(dataset)}"
    if validation == "test" or metric_of(metric).is_of_test_images:
        return f"the test images{source}"
    if validation == "valid":
        return f"the validation images{source}"
    if isinstance(validation, float):
        return f"{100 * validation:g}% of the training images{source} held out"
    return f"{validation:,} images{source} held out"


@dataclass(frozen=True)
class Axis:
    """A setting that varies within a group, with its levels in order."""

    name: str  # "batch_size", "units1", "optimizer_args.momentum"
    levels: tuple[Any, ...]
    # As TOML writes them: 1, 1.0 and true, which Python takes for one, may train to different bits.
    is_text: bool = False
    tied: "tuple[Axis, ...]" = ()  # that vary together, in place of a setting

    @property
    def label(self) -> str:
        """Its name in a picture, with its unit."""
        return label_of(self.name)

    @property
    def is_numeric(self) -> bool:
        """Whether the levels are numbers."""
        return all(type(level) in (int, float) and math.isfinite(level) for level in self.levels)


@dataclass(frozen=True)
class Group:
    """The experiments of one grid file, and the axes that they span."""

    title: str
    question: str
    members: tuple[ExperimentRuns, ...]  # each configuration once, in the order of the grid
    missing: tuple[str, ...] = ()  # of the grid's experiments, those without a complete run
    blocks: tuple[tuple[ExperimentRuns, ...], ...] = ()  # members by block of the grid
    ties: tuple[tuple[str, ...], ...] = ()  # settings that vary together: an axis each

    @cached_property
    def parts(self) -> "tuple[Group, ...]":
        """The sweeps and products that the group consists of, complete or for the most part.

        A regular group is its own only part, unless one of its blocks spans more axes. Else each
        block is a part, together with the members that lie on its sweep or within its product. A
        block may be regular only if settings that vary together are one axis. A member may be in
        several parts, or in none.
        """
        blocks = [self._part(block) for block in self.blocks]
        spanning = [block for block in blocks if block.axes and block.shape != "irregular"]
        most_axes = max((len(block.axes) for block in spanning), default=0)
        is_regular = self.shape in ("one axis", "factorial") and len(self.axes) >= most_axes
        if is_regular or (self.shape == "incomplete" and not spanning):
            return (self,)
        members = [frozenset(part.members) for part in spanning]
        return tuple(
            part
            for number, part in enumerate(spanning)
            if not any(members[number] < other for other in members)
            and members[number] not in members[:number]
        )

    def _part(self, members: tuple[ExperimentRuns, ...]) -> "Group":
        """Return a block with the members that lie on its sweep, or within its product."""
        is_all = len(members) == len(self.members)
        block = self if is_all else replace(self, members=members, blocks=())
        if block.shape == "irregular":
            return block.tied
        if is_all or not block.axes:
            return block
        varying = {
            "hidden_units" if setting not in SETTINGS else setting
            for setting in (axis.name.partition(".")[0] for axis in block.axes)
        }
        fixed = SETTINGS.keys() - {*varying, "content"}
        constant = {name: block.members[0].settings.get(name) for name in fixed}
        own = {*block.members}

        def continues(member: ExperimentRuns) -> bool:
            settings = member.settings
            return all(settings.get(name) == value for name, value in constant.items()) and (
                len(block.axes) == 1
                or all(level_of(member, axis) in axis.levels for axis in block.axes)
            )

        larger = replace(
            block, members=tuple(each for each in self.members if each in own or continues(each))
        )
        names = [[axis.name for axis in group.axes] for group in (block, larger)]
        return larger if names[0] == names[1] else block

    def extended(self, whole: "Group") -> "Group":
        """Return the group with the members of its whole grid that continue one of its blocks."""
        own = {member.configuration for member in self.members}
        others = [member for member in whole.members if member.configuration not in own]
        every = replace(self, members=(*self.members, *others))
        sweeps = (every._part(block) for block in self.blocks if len(block) > 1)
        continuing = {member for sweep in sweeps for member in sweep.members}
        added = (member for member in others if member in continuing)
        return replace(self, members=(*self.members, *added))

    @property
    def tied(self) -> "Group":
        """The group with one axis for an optimizer and its arguments, as for those of a [[zip]]."""

        def pattern(axis: Axis) -> Hashable:
            first: dict[Any, int] = {}
            levels = (level_of(member, axis) for member in self.members)
            return tuple(first.setdefault(level, at) for at, level in enumerate(levels))

        def component(axis: Axis) -> Hashable:
            return axis.name.partition(".")[0].removesuffix("_args")

        groups = [self._with_ties(key) for key in (component, pattern)]
        return next((group for group in groups if group.shape != "irregular"), self)

    def _with_ties(self, key: Callable[[Axis], Hashable]) -> "Group":
        names = (tuple(axis.name for axis in alike) for alike in group_by(self.axes, key))
        return replace(self, ties=tuple(tied for tied in names if len(tied) > 1))

    @cached_property
    def axes(self) -> tuple[Axis, ...]:
        """The settings that vary; hidden_units by layer where all networks are equally deep."""
        axes = [*find_axes(self.members)]
        for names in self.ties:
            tied = tuple(axis for axis in axes if axis.name in names)
            if len(tied) > 1:
                axes[axes.index(tied[0])] = _tie(tied, self.members)
                axes = [axis for axis in axes if axis not in tied]
        return tuple(axes)

    @cached_property
    def shape(self) -> Shape:
        """The shape that the members span together."""
        if len(self.axes) < 2:  # noqa: PLR2004 -- a product needs two
            return "one axis" if self.axes else "single"
        counts = [len(axis.levels) for axis in self.axes]
        cells, one_by_one = math.prod(counts), 1 + sum(count - 1 for count in counts)
        if cells == len(self.members):
            return "factorial"
        has_most = max(cells / 2, one_by_one) < len(self.members) < cells
        return "incomplete" if has_most else "irregular"

    def by_level(self, axis: Axis) -> dict[Any, list[ExperimentRuns]]:
        """Return the members by their level on an axis, in its order."""
        by_level: dict[Any, list[ExperimentRuns]] = {level: [] for level in axis.levels}
        for member in self.members:
            by_level[level_of(member, axis)].append(member)
        return by_level

    def lines(self, axis: Axis) -> list[list[ExperimentRuns]]:
        """Return the members, those together that differ along this axis only."""
        fixed = [held for held in self.axes if held is not axis]
        return group_by(
            self.members, lambda member: tuple(level_of(member, held) for held in fixed)
        )

    @cached_property
    def confounded(self) -> dict[str, tuple[int, int]]:
        """The fewest and most images seen by members that differ in one axis, time aside.

        By the axis, where it changes them; of several such comparisons the most unequal.
        """
        confounded = {}
        for axis in self.axes:
            image_counts = [[member.images_seen for member in line] for line in self.lines(axis)]
            known_counts = [sorted(filter(None, counts)) for counts in image_counts]
            spans = [(counts[0], counts[-1]) for counts in known_counts if counts]
            low, high = max(spans, key=lambda span: span[1] / span[0], default=(0, 0))
            if low < high and axis.name not in TIME:
                confounded[axis.name] = (low, high)
        return confounded


def find_axes(members: Iterable[ExperimentRuns]) -> Iterator[Axis]:
    """Yield the settings in which the experiments differ."""
    members = list(members)
    # After fmgrid's own settings come those that only plain mltrainer knows.
    for setting in dict.fromkeys(chain(SETTINGS, *(member.settings for member in members))):
        names = [setting] if setting != "content" else []
        if setting == "hidden_units":
            names = _layer_axes(members)
        elif setting in SETTINGS and SETTINGS[setting].is_table:
            tables = (flatten({setting: member.settings.get(setting, {})}) for member in members)
            names = [*dict.fromkeys(chain.from_iterable(tables))]
        for name in names:
            values = [level_at(member.settings, name.split(".")) for member in members]
            is_text = any(map(_is_no_level, values)) or len({*map(typed, values)}) > len({*values})
            axis = Axis(name, (), is_text)
            levels = {level_of(member, axis) for member in members}
            if len(levels) > 1:
                yield replace(axis, levels=tuple(sorted(levels, key=level_order)))


def _tie(axes: tuple[Axis, ...], members: Iterable[ExperimentRuns]) -> Axis:
    """Return the axis of settings that vary together, its levels in the order of theirs."""
    axis = Axis(" + ".join(axis.name.rpartition(".")[2] for axis in axes), (), tied=axes)

    def places(member: ExperimentRuns) -> list[int]:
        return [each.levels.index(level_of(member, each)) for each in axes]

    levels = dict.fromkeys(level_of(member, axis) for member in sorted(members, key=places))
    return replace(axis, levels=tuple(levels))


def level_of(experiment: ExperimentRuns, axis: Axis) -> Any:
    """Return an experiment's level on an axis."""
    if axis.tied:
        levels = ((each.name.partition(".")[2], level_of(experiment, each)) for each in axis.tied)
        return " + ".join(f"{key} {show(x)}".lstrip() for key, x in levels if x is not None)
    value = level_at(experiment.settings, axis.name.split("."))
    return to_toml(value) if axis.is_text and not isinstance(value, str | None) else value


def _is_no_level(value: Any) -> bool:
    is_too_large = isinstance(value, int) and abs(value) > sys.float_info.max
    return is_too_large or isinstance(value, list | Mapping)


def _layer_axes(members: Sequence[ExperimentRuns]) -> list[str]:
    """Return the names of the axes that the networks span: by layer, if that is a product."""
    shapes: set[Any] = {member.settings.get("hidden_units") for member in members}
    if None in shapes or not shapes:
        return ["hidden_units"]
    depths = {len(units) for units in shapes}
    by_layer = [f"units{layer}" for layer in range(1, max(depths) + 1)]
    is_even = all(len({*units}) <= 1 for units in shapes)
    if len(depths) == 1:
        return ["units"] if is_even and max(depths) > 1 else by_layer  # units: of every layer
    if len({width for units in shapes for width in units}) <= 1:
        return ["depth"]
    if is_even and _is_product({(len(units), units[:1]) for units in shapes}):
        return ["depth", "units"]
    padded = {(*units, *[0] * (max(depths) - len(units))) for units in shapes}
    return by_layer if _is_product(padded) else ["hidden_units"]


def _is_product(cells: Collection[tuple[Any, ...]]) -> bool:
    return len(cells) == math.prod(len({*levels}) for levels in zip(*cells, strict=True))


def level_order(level: Any) -> tuple[Any, ...]:
    """Return a key that sorts values of any kind: none, numbers, networks, texts."""
    if level is None:
        return (0,)
    if isinstance(level, bool | int | float):
        return (1, level)
    if isinstance(level, tuple):
        return (2, len(level), level)
    return (3, natural_order(str(level)))
