"""Which settings matter: per axis, the best level against the worst, beside what noise gives."""

from dataclasses import dataclass
from typing import Any

from fmgrid.statistics import Difference


@dataclass(frozen=True)
class Effect:
    """What a setting changes: the accuracy of its best level minus that of its worst."""

    group: str  # title of the group
    setting: str  # name of the axis
    best: Any  # level
    worst: Any
    levels: int
    repeats: int
    difference: Difference  # best minus worst; no interval with one seed
    p: float
    noise: float | None  # swing that noise alone gives 19 times in 20, in the same unit
    images: tuple[int, int] | None  # fewest and most seen, where levels differ in that, too
