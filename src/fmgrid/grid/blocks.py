"""A grid file as values: settings with their places, blocks, the file as a whole."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, product
from pathlib import Path
from typing import Any, Literal, TypeAlias

from fmgrid.components import optimizer_signature
from fmgrid.components.kinds import ComponentError
from fmgrid.errors import Place, Problem
from fmgrid.experiment import Experiment
from fmgrid.settings import RIVALS, Keys

Kind: TypeAlias = Literal["grid", "zip", "point"]
RealPath: TypeAlias = str  # absolute and without links: the same for a file, however it is named

KINDS: tuple[Kind, ...] = ("grid", "zip", "point")


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
        if parts:
            return self.written.get(keys, parts[-1])
        if len(keys) > 1:
            return self.origin(*keys[:-1])
        return Written(getattr(self.experiment, keys[0]), self.place, keys[0])


@dataclass(frozen=True)
class Block:
    """One [grid], [[zip]] or [[point]]: which values each of its settings takes."""

    kind: Kind
    place: Place
    template: Written | None = None
    seeds: Sequence[int] = (0,)
    timeout: float | None = None  # seconds that each training may take
    axes: Mapping[Keys, Sequence[Written]] = field(default_factory=dict)
    sound: bool = True  # where something was wrong in reading it, its names cannot be judged

    @property
    def count(self) -> int:
        """How many runs the block spells out, before exclusions, without expanding it."""
        return len(self.seeds) * sum(math.prod(map(len, part.values())) for part in self._parts)

    def points(self) -> Iterator[dict[Keys, Written]]:
        """Yield every combination; the last axis varies fastest, as in nested for loops."""
        for part in self._parts:
            for values in product(*part.values()):
                yield dict(zip(part, values, strict=True))

    def varies(self, keys: Keys) -> bool:
        """Return whether the setting differs among the block's points."""
        return self.kind == "point" or len(self.axes[keys]) > 1

    @property
    def _parts(self) -> Iterator[Mapping[Keys, Sequence[Written]]]:
        """Yield the products that the block is the union of: one, except in two cases.

        A [[zip]] has one per row. A [grid] with an axis of optimizers has one per optimizer:
        arguments go to those that take them, so that the momentum of one does not multiply the
        others.
        """
        optimizers = self.axes.get(("optimizer",), ())
        if self.kind == "zip":
            for row in range(max(map(len, self.axes.values()), default=1)):
                yield {
                    keys: choices if len(choices) == 1 else [choices[row]]
                    for keys, choices in self.axes.items()
                }
        elif self.kind == "point" or len(optimizers) <= 1:
            yield self.axes
        else:
            conditional = {
                keys
                for keys in self.axes
                if keys[0] == "optimizer_args"
                and len(keys) > 1
                and any(takes(optimizer.value, keys[1]) for optimizer in optimizers)
            }
            for optimizer in optimizers:
                yield {
                    keys: [optimizer] if keys == ("optimizer",) else choices
                    for keys, choices in self.axes.items()
                    if keys not in conditional or takes(optimizer.value, keys[1])
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

    @property
    def count(self) -> int:
        """How many runs the file spells out, before exclusions."""
        return sum(block.count for block in self.blocks)


def overlay(*layers: Mapping[Keys, Written]) -> dict[Keys, Written]:
    """Lay settings over each other; a later value replaces an earlier one, and comes last."""
    merged: dict[Keys, Written] = {}
    for keys, written in chain.from_iterable(layer.items() for layer in layers):
        merged.pop(keys, None)
        merged.pop((RIVALS.get(keys[0], ""),), None)
        merged[keys] = written
    return merged


def takes(optimizer: Any, argument: str) -> bool:
    """Return whether an optimizer takes an argument; a wrong optimizer is refused elsewhere."""
    try:
        return isinstance(optimizer, str) and optimizer_signature(optimizer).takes(argument)
    except ComponentError:
        return True


def is_whole(value: Any, least: int) -> bool:
    """Return whether a value is a whole number from *least*, and no larger than a seed may be."""
    return type(value) is int and least <= value < 2**31
