"""Batch sizes: accuracy by optimizer steps, which are alike, and by images seen, which are not."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from fmgrid.analysis.statistics import Estimate
from fmgrid.analysis.study import TIME, Group
from fmgrid.plots.curves import Point, points_of
from fmgrid.plots.levels import LEAST
from fmgrid.plots.paper import LINES, marker, new_figure, ramp, settled, styled, write_beside
from fmgrid.plots.scales import padded, scale_by_logarithm
from fmgrid.plots.wording import at_level, listed, over, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Curves: TypeAlias = Mapping[int, Sequence[Point]]  # by batch size

_MOST = 10  # lines that can be told apart
_WIDE_RANGE = 10  # most by fewest steps, beyond which their axis is logarithmic


@styled
def plot_steps_and_images(group: Group) -> "Figure | None":
    """Return accuracy against steps and against images seen, a line per batch size.

    None where the length of training varies, too, or no history tells of it.
    """
    curves = _shown(_by_batch_size(group))
    if len(curves) < 2:  # noqa: PLR2004
        return None
    figure = new_figure("Accuracy by optimizer steps, and by training images seen", 3.7)
    left, right = figure.subplots(1, 2, sharey=True)
    values = [100 * point.found.mean for points in curves.values() for point in points]
    left.set_ylim(*padded((min(values), max(values)), LEAST))
    left.set_ylabel("Accuracy (%)")
    inks = dict(zip(curves, ramp(len(curves)), strict=True))
    _draw(left, {size: _steps(size, points) for size, points in curves.items()}, curves)
    _draw(right, {size: _images(points) for size, points in curves.items()}, curves)
    _scale_steps(left, [x for size, points in curves.items() for x in _steps(size, points)])
    images = [x for points in curves.values() for x in _images(points)]
    scale_by_logarithm(right, "x", (min(images), max(images)))
    right.set_xlabel("Training images seen, log scale")
    ends = [
        (_images(points)[-1], 100 * points[-1].found.mean, f"batch {size}", inks[size])
        for size, points in curves.items()
    ]
    figure.draw_without_rendering()
    write_beside(right, ends, 8.0)
    return settled(figure)


def describe_steps_and_images(group: Group) -> str:
    """Return what the picture shows, in words and figures."""
    curves = _by_batch_size(group)
    last = {size: points[-1] for size, points in curves.items()}
    seen = [point.images or 0 for point in last.values()]
    images = (
        f"Until the end they see {min(seen):,} to {max(seen):,} training images."
        if min(seen) < max(seen)
        else f"All see {seen[0]:,} training images."
    )
    parts = [
        f"{_meaning_of_lines(group, curves)}; a mark is the end of an epoch.",
        "Both panels show the same points.",
        images,
        _highest_and_lowest("At the end", {size: p.found.mean for size, p in last.items()}),
    ]
    if shared := _at_equal_images(curves):
        images_seen, means = shared
        told = _highest_and_lowest(f"After the same {images_seen:,} images", means)
        parts.append(f"{told} Batch sizes {listed(map(str, means))} were scored there.")
    if len(curves) > _MOST:
        parts.append(
            f"Of {len(curves)} batch sizes, {_MOST} are drawn, from the least to the most."
        )
    return " ".join(parts)


def _meaning_of_lines(group: Group, curves: Curves) -> str:
    repeats = {point.found.n for points in curves.values() for point in points}
    experiments = "" if group.shape == "one axis" else "all experiments of a batch size and "
    if repeats == {1} and not experiments:
        return "A line is one run"
    return f"A line is the mean over {experiments}{over(repeats)}"


def _highest_and_lowest(when: str, means: Mapping[int, float]) -> str:
    best, worst = max(means, key=means.__getitem__), min(means, key=means.__getitem__)
    if means[best] == means[worst]:
        return f"{when} all have {percent(means[best])}."
    return (
        f"{when} {at_level('batch_size', best)} is highest at {percent(means[best])}, "
        f"{worst} lowest at {percent(means[worst])}."
    )


def _by_batch_size(group: Group) -> Curves:
    """Return the accuracies by batch size, over all experiments that share it."""
    axis = next((axis for axis in group.axes if axis.name == "batch_size"), None)
    if axis is None or not axis.is_numeric or group.shape not in ("one axis", "factorial"):
        return {}
    if {other.name for other in group.axes} & TIME:
        return {}
    found = {}
    for size, members in group.at(axis).items():
        lines = [points for one in members if (points := points_of(one, "accuracy"))]
        points = [_averaged(same) for same in zip(*lines, strict=False)]
        if points and all(point.images for point in points):
            found[size] = points
    return found


def _shown(curves: Curves) -> Curves:
    """Return as many lines as can be told apart, evenly spread over the batch sizes."""
    sizes = sorted(curves)
    last = len(sizes) - 1
    if last < _MOST:
        return curves
    chosen = [sizes[k * last // (_MOST - 1)] for k in range(_MOST)]
    return {size: curves[size] for size in chosen}


def _averaged(same: Sequence[Point]) -> Point:
    """Return the mean of experiments after the same epoch."""
    mean = sum(point.found.mean for point in same) / len(same)
    repeats = min(point.found.n for point in same)
    return Point(same[0].epoch, Estimate(repeats, mean), same[0].images)


def _images(points: Sequence[Point]) -> list[float]:
    return [float(point.images or 0) for point in points]


def _steps(size: int, points: Sequence[Point]) -> list[float]:
    return [float(math.ceil(images / size)) for images in _images(points)]


def _draw(axes: "Axes", places: Mapping[int, Sequence[float]], curves: Curves) -> None:
    axes.grid(axis="y")
    for number, (size, ink) in enumerate(zip(curves, ramp(len(curves)), strict=True)):
        look: dict[str, Any] = {"marker": marker(number), "linestyle": LINES[number % len(LINES)]}
        values = [100 * point.found.mean for point in curves[size]]
        axes.plot(places[size], values, color=ink, **look)


def _scale_steps(axes: "Axes", steps: Sequence[float]) -> None:
    if max(steps) / min(steps) > _WIDE_RANGE:
        scale_by_logarithm(axes, "x", (min(steps), max(steps)))
        axes.set_xlabel("Optimizer steps, log scale")
    else:
        axes.set_xlim(*padded((0.0, max(steps)), 1.0))
        axes.set_xlabel("Optimizer steps")


def _at_equal_images(curves: Curves) -> tuple[int, dict[int, float]] | None:
    """Return the images after which most batch sizes were scored, and what they had."""
    counts = Counter(point.images for points in curves.values() for point in points)
    images = max(counts, key=lambda seen: (counts[seen], seen or 0))
    if images is None or counts[images] < 2:  # noqa: PLR2004
        return None
    return images, {
        size: point.found.mean
        for size, points in curves.items()
        for point in points
        if point.images == images
    }
