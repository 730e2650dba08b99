"""The settings that differ among experiments, and the groups that span them.

Nothing here knows the reference study: a grid of any shape, or a folder that plain mltrainer left,
is described by the same words.
"""

import math
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, Literal

from fmgrid.analysis.experiments import TIME, ExperimentRuns, together
from fmgrid.results.mltrainer_logs import NETWORK
from fmgrid.results.summary import natural_order
from fmgrid.settings import SETTINGS, label_of, to_toml, value_at

_LOG_SPAN = 10  # levels that span more than this factor stand on a logarithmic axis


@dataclass(frozen=True)
class Axis:
    """A setting that varies within a group, with its levels in order."""

    name: str  # "batch_size", "units1", "optimizer_args.momentum"
    levels: tuple[Any, ...]

    @property
    def label(self) -> str:
        """Its name in a picture, with its unit."""
        return label_of(self.name)

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
    members: tuple[ExperimentRuns, ...]  # each configuration once, in the order of the grid
    missing: tuple[str, ...] = ()  # of the grid's experiments, those without a complete run

    @cached_property
    def axes(self) -> tuple[Axis, ...]:
        """The settings that vary; hidden_units by layer where all networks are equally deep."""
        return tuple(find_axes(self.members))

    @cached_property
    def shape(self) -> Literal["single", "one axis", "factorial", "irregular"]:
        """The shape that the members span together."""
        if len(self.axes) < 2:  # noqa: PLR2004 -- a product needs two
            return "one axis" if self.axes else "single"
        cells = math.prod(len(axis.levels) for axis in self.axes)
        return "factorial" if cells == len(self.members) else "irregular"

    def at(self, axis: Axis) -> dict[Any, list[ExperimentRuns]]:
        """Return the members by their level on an axis, in its order."""
        by_level: dict[Any, list[ExperimentRuns]] = {level: [] for level in axis.levels}
        for member in self.members:
            by_level[level_of(member, axis.name)].append(member)
        return by_level

    @cached_property
    def confounded(self) -> dict[str, tuple[int, int]]:
        """The fewest and most images seen by members that differ in one axis, time aside.

        By the axis, where it changes them; of several such comparisons the most unequal.
        """
        spans = {axis.name: self._images_along(axis) for axis in self.axes if axis.name not in TIME}
        return {name: images for name, images in spans.items() if images}

    def _images_along(self, axis: Axis) -> tuple[int, int] | None:
        alike = together(self.members, partial(other_levels, axes=self.axes, without=axis))
        images = [sorted(one.images_seen for one in same if one.images_seen) for same in alike]
        spans = [(counts[0], counts[-1]) for counts in images if counts]
        low, high = max(spans, key=lambda span: span[1] / span[0], default=(0, 0))
        return (low, high) if low < high else None


def find_axes(members: Iterable[ExperimentRuns]) -> Iterator[Axis]:
    """Yield the settings in which the experiments differ."""
    members = list(members)
    for setting in (*SETTINGS, NETWORK):
        names = [setting]
        if setting == "hidden_units":
            names = _layer_axes(members)
        elif setting == NETWORK or SETTINGS[setting].is_table:
            keys = dict.fromkeys(key for one in members for key in one.settings.get(setting, ()))
            names = [f"{setting}.{key}" for key in keys]
        for name in names:
            levels = {level_of(one, name) for one in members}
            if len(levels) > 1:
                yield Axis(name, tuple(sorted(levels, key=_level_order)))


def level_of(one: ExperimentRuns, name: str) -> Any:
    """Return an experiment's level on an axis; one that no axis can show as text."""
    value = value_at(one.settings, name.split("."))
    is_too_large = isinstance(value, int) and abs(value) > sys.float_info.max
    return to_toml(value) if isinstance(value, list | Mapping) or is_too_large else value


def other_levels(one: ExperimentRuns, axes: Iterable[Axis], without: Axis) -> tuple[Any, ...]:
    """Return the levels of an experiment on all axes but one."""
    return tuple(level_of(one, axis.name) for axis in axes if axis is not without)


def keep_types_apart(experiments: Mapping[str, ExperimentRuns]) -> dict[str, ExperimentRuns]:
    """Return the experiments, with an argument as text where it is 1 in one and true in another.

    Python takes these, and 1.0, for one level of an axis; they may train to different bits.
    """
    types: dict[tuple[str, Any], set[type]] = defaultdict(set)
    arguments = {name: one.settings.get("optimizer_args", {}) for name, one in experiments.items()}
    for name, value in (item for of_one in arguments.values() for item in of_one.items()):
        if isinstance(value, int | float):
            types[name, value].add(type(value))
    mixed = {name for (name, _), kinds in types.items() if len(kinds) > 1}
    apart = dict(experiments)
    for name, values in arguments.items():
        if mixed & values.keys():
            texts = {key: to_toml(x) if key in mixed else x for key, x in values.items()}
            settings = {**apart[name].settings, "optimizer_args": texts}
            apart[name] = replace(apart[name], settings=settings)
    return apart


def _layer_axes(members: Sequence[ExperimentRuns]) -> list[str]:
    shapes: set[Any] = {one.settings.get("hidden_units") for one in members}
    if None in shapes or not shapes:
        return ["hidden_units"]
    depths = {len(units) for units in shapes}
    if len(depths) > 1:
        is_even = len({width for units in shapes for width in units}) <= 1
        return ["depth" if is_even else "hidden_units"]
    (depth,) = depths
    if depth > 1 and all(len(set(units)) == 1 for units in shapes):
        return ["units"]  # which all layers share
    return [f"units{layer}" for layer in range(1, depth + 1)]


def _level_order(level: Any) -> tuple[Any, ...]:
    if level is None:
        return (0,)
    if isinstance(level, bool | int | float):
        return (1, level)
    if isinstance(level, tuple):
        return (2, len(level), level)
    return (3, natural_order(str(level)))
