"""A grid file as values: settings with their places, blocks, the file as a whole."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from fmgrid.components import KINDS, kind_of_arguments
from fmgrid.components.kinds import ComponentError, Kind
from fmgrid.errors import Place, Problem
from fmgrid.experiment import Experiment, default_units, subseed
from fmgrid.settings import RIVALS, Keys, is_width
from fmgrid.words import printable

if TYPE_CHECKING:
    from fmgrid.components.own_data import Contents

BlockKind: TypeAlias = Literal["grid", "zip", "point"]
RealPath: TypeAlias = str  # absolute and without links: the same for a file, however it is named

MAX_TITLE = 100  # characters
BLOCKS: tuple[BlockKind, ...] = ("grid", "zip", "point")
NAME: Keys = ("name",)
WHERE: Keys = ("where",)  # conditions in [[exclude]]
_HIDDEN_UNITS: Keys = ("hidden_units",)


@dataclass(frozen=True)
class Written:
    """A value as the user wrote it, with its place and the name that it has there."""

    value: Any
    place: Place
    setting: str  # "grid.hidden_units.0"

    def problem(self, message: str) -> Problem:
        """Return *message* as a problem of this value."""
        return Problem(self.place, self.setting, message)


@dataclass(frozen=True)
class Definition:
    """An experiment, with the places in the grid files that define it."""

    experiment: Experiment
    place: Place  # of the block that yields it
    written: Mapping[Keys, Written] = field(repr=False, compare=False)
    timeout: float | None = None  # seconds that its training may take

    @property
    def data_folder(self) -> Path:
        """The folder in which a relative path of data begins: the file's; of --set the current."""
        place = self.origin("dataset").place
        return Path() if place.line is None else Path(place.source).parent

    def origin(self, *keys: str) -> Written:
        """Return where the setting was last written, or the block if it is a default."""
        parts = [written for at, written in self.written.items() if at[: len(keys)] == keys]
        if not parts and keys == _HIDDEN_UNITS:
            parts = [written for at, written in self.written.items() if is_width(at[0])]
        if parts:
            return self.written.get(keys, parts[-1])
        if len(keys) > 1:
            return self.origin(*keys[:-1])
        return Written(getattr(self.experiment, keys[0]), self.place, keys[0])


@dataclass(frozen=True)
class Block:
    """One [grid], [[zip]] or [[point]]: which values each of its settings takes."""

    kind: BlockKind
    place: Place
    template: Written | None = None
    seeds: Sequence[int] = (0,)
    timeout: float | None = None  # seconds that each training may take
    title: str = ""  # of its group; without one, the group is the file's
    only_if: Written | None = None  # conditions, by which its points stay
    sample: Written | None = None  # the number of its points that are chosen at random
    sample_seed: int = 0
    axes: Mapping[Keys, Sequence[Written]] = field(default_factory=dict)
    sound: bool = True  # where something was wrong in reading it, its names cannot be judged

    @cached_property
    def combinations(self) -> int:
        """How many points the axes have, without expanding them."""
        return sum(_size(part) for part in self._parts)

    @property
    def count(self) -> int:
        """How many runs the block spells out, before exclusions, without expanding it."""
        most = self.sample.value if self.sample else self.combinations
        return len(self.seeds) * min(self.combinations, most)

    def points(self) -> Iterator[tuple[int, dict[Keys, Written]]]:
        """Yield every combination with its number from 0.

        The last axis varies fastest, as in nested for loops; of a block with a sample they come
        in a random order, which does not depend on the size of the sample.
        """
        parts = [*self._parts]
        if self.sample:
            for number in shuffled(self.combinations, self.sample_seed):
                yield number, _point_at(number, parts)
            return
        points = (
            dict(zip(part, values, strict=True))
            for part in parts
            for values in product(*part.values())
        )
        yield from enumerate(points)

    def varies(self, keys: Keys) -> bool:
        """Return whether the setting differs among the block's points."""
        return self.kind == "point" or len(self.axes[keys]) > 1

    @property
    def _parts(self) -> Iterator[Mapping[Keys, Sequence[Written]]]:
        """Yield the products that the block is the union of: one, except in two cases.

        A [[zip]] has one per row. A [grid] with an axis of components, such as optimizers, has one
        per component: arguments go to those that take them, so that the momentum of one does not
        multiply the others.
        """
        if self.kind == "zip":
            for row in range(max(map(len, self.axes.values()), default=1)):
                yield {
                    keys: choices if len(choices) == 1 else [choices[row]]
                    for keys, choices in self.axes.items()
                }
            return
        settings = KINDS if self.kind == "grid" else {}
        chosen = {
            keys[0]: choices
            for keys, choices in self.axes.items()
            if keys[0] in settings and len(choices) > 1
        }
        for components in product(*chosen.values()):
            fixed = dict(zip(chosen, components, strict=True))
            yield {
                keys: [fixed[keys[0]]] if keys[0] in fixed else choices
                for keys, choices in self.axes.items()
                if _is_taken(keys, fixed, chosen)
            }


@dataclass(frozen=True)
class Grid:
    """A grid file, read and checked as far as that goes without expanding it."""

    path: Path
    question: str  # the comment that it begins with
    base: Mapping[Keys, Written]
    blocks: Sequence[Block]
    excludes: Sequence[Mapping[Keys, Written]]  # each drops what matches all of its settings
    overrides: Mapping[Keys, Written]
    members: Mapping[RealPath, Written]  # the paths of the files that it takes in
    hypotheses: Sequence[Written]  # tables of values that are Written, too, and not yet checked
    sound: bool  # where something was wrong, what it spells out cannot be relied on
    # Finds a user's own data; experiments that need them cannot be trained without it.
    contents: "Contents | None" = None

    @property
    def count(self) -> int:
        """How many runs the file spells out, before exclusions."""
        return sum(block.count for block in self.blocks)

    @property
    def titles(self) -> dict[Place, str]:
        """The title of each block's group, "" for that of the whole file.

        Of several [grid] and [[zip]] each is a group, called by its axes unless it has a title.
        """
        titles = {block.place: block.title for block in self.blocks}
        sweeps = [block for block in self.blocks if block.kind != "point"]
        for block in sweeps if len(sweeps) > 1 else ():
            joint = " + " if block.kind == "zip" else " x "
            axes = joint.join(_label(keys) for keys in block.axes if block.varies(keys))
            if axes and not block.title:
                title = printable(f"{self.path.stem}: {axes}", MAX_TITLE - len(" (99)"))
                number = 1 + sum(again.startswith(title) for again in titles.values())
                titles[block.place] = title if number == 1 else f"{title} ({number})"
        return titles


def _label(keys: Keys) -> str:
    """Return a setting's name in a report: units1 for hidden_units.0."""
    is_layer = keys[0] == "hidden_units" and len(keys) > 1
    return f"units{int(keys[1]) + 1}" if is_layer else ".".join(keys)


def shuffled(count: int, seed: int) -> Iterator[int]:
    """Yield the numbers below *count* in a random order; memory grows with those yielded only.

    It is the shuffle of Fisher and Yates, of which the numbers that were moved are kept.
    """
    moved: dict[int, int] = {}
    for last in range(count - 1, -1, -1):
        at = subseed(seed, f"sample {last}") % (last + 1)
        yield moved.get(at, at)
        moved[at] = moved.pop(last, last)


def _size(part: Mapping[Keys, Sequence[Written]]) -> int:
    return math.prod(map(len, part.values()))


def _point_at(
    number: int, parts: Iterable[Mapping[Keys, Sequence[Written]]]
) -> dict[Keys, Written]:
    """Return a point of products by its number: its digits are places on the axes."""
    for part in parts:
        if number < (size := _size(part)):
            break
        number -= size
    point = {}
    for keys, choices in part.items():
        size //= len(choices)
        at, number = divmod(number, size)
        point[keys] = choices[at]
    return point


def overlay(*layers: Mapping[Keys, Written]) -> dict[Keys, Written]:
    """Lay settings over each other; a later value replaces an earlier one, and comes last."""
    merged: dict[Keys, Written] = {}
    for keys, written in chain.from_iterable(layer.items() for layer in layers):
        merged.pop(keys, None)
        merged.pop((RIVALS.get(keys[0], ""),), None)
        if keys == _HIDDEN_UNITS:
            merged = {at: part for at, part in merged.items() if not overrules(keys, at)}
        merged[keys] = written
    return merged


def overrules(later: Keys, earlier: Keys) -> bool:
    """Return whether a setting leaves nothing of another one that was written before it."""
    if later == _HIDDEN_UNITS and is_width(earlier[0]):
        return True
    return earlier[: len(later)] == later or earlier == (RIVALS.get(later[0]),)


def _is_taken(
    keys: Keys, fixed: Mapping[str, Written], chosen: Mapping[str, Sequence[Written]]
) -> bool:
    """Return whether an axis goes with the fixed components; what none takes is refused later."""
    if keys[0] == "hidden_units" or is_width(keys[0]):
        setting = "network"
        takers = {
            id(each) for each in chosen.get(setting, ()) if default_units(each.value) is not None
        }
    elif (kind := kind_of_arguments(keys[0])) and len(keys) > 1:
        setting = kind.setting
        takers = {id(each) for each in chosen.get(setting, ()) if takes(kind, each.value, keys[1])}
    else:
        return True
    return not takers or id(fixed[setting]) in takers


def takes(kind: Kind, name: Any, argument: str) -> bool:
    """Return whether a component takes an argument; a wrong component is refused elsewhere."""
    try:
        return isinstance(name, str) and kind.signature(name).takes(argument)
    except ComponentError:
        return True


def is_whole(value: Any, least: int) -> bool:
    """Return whether a value is a whole number from *least*, and no larger than a seed may be."""
    return type(value) is int and least <= value < 2**31
