"""Which settings matter: differences with their intervals, over what noise alone gives."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fmgrid.analysis.effects import Effect
from fmgrid.analysis.study import show_level
from fmgrid.plots.levels import LEAST, METRIC
from fmgrid.plots.paper import GREY, colour, explain, new_figure, readable, settled, styled
from fmgrid.plots.scales import Span, stretches, value_axes
from fmgrid.plots.wording import listed, named, points
from fmgrid.words import counted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST = 40


@styled
def plot_effects(effects: Sequence[Effect]) -> "Figure | None":
    """Return the best level minus the worst of every setting, largest first; in accuracy only."""
    shown = _largest(effects)
    if not shown:
        return None
    figure = new_figure(
        "What each setting changes, and what noise alone gives", 1.3 + 0.42 * len(shown)
    )
    _explain(figure, shown)
    parts = value_axes(figure, _spans(shown), "x", LEAST)
    for axes in parts:
        axes.set_ylim(len(shown) - 0.5, -0.6)
        axes.grid(axis="x")
        axes.tick_params("y", length=0)
        for y, one in enumerate(shown):
            _draw(axes, y, one)
    parts[0].set_yticks(range(len(shown)), [_label(one, shown) for one in shown])
    for y, one in enumerate(shown):
        parts[-1].annotate(
            _figures(one),
            (1.02, y),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=7.5,
            annotation_clip=False,
        )
    figure.supxlabel("Accuracy of the best level minus the worst (points)", fontsize=8.5)
    return settled(figure)


def describe_effects(effects: Sequence[Effect]) -> str:
    """Return what the picture shows, in words and figures."""
    shown = _largest(effects)
    first = shown[0]
    bars = (
        "bars their 95% intervals, paired by seed"
        if any(one.difference.low is not None for one in shown)
        else "without intervals, since no two levels share two seeds"
    )
    size = points(first.difference.mean)
    best, worst = named(show_level(first.best)), named(show_level(first.worst))
    parts = [
        f"Marks are differences in points of accuracy (percentage points), {bars}.",
        f"{named(first.setting)} changes most: {best} is {size} points above {worst}."
        if first.difference.mean
        else "No setting changes anything: the means of all levels are equal.",
    ]
    if any(one.noise is not None for one in shown):
        parts.append(
            "A grey bar is how far the best and the worst of equal levels lie apart by noise "
            "alone, at most, 19 times in 20."
        )
    if any(one.difference.sd is not None for one in shown):
        apart = [one for one in shown if one.is_told_apart]
        parts.append(
            "Squares are told apart, by p values for all pairs of levels of all settings: "
            f"{listed(_label(one, shown, ' ') for one in apart)}."
            if apart
            else "No setting's levels are told apart, by p values for all pairs of all settings."
        )
    found = stretches(_spans(shown), LEAST)
    if len(found) > 1:
        parts.append(f"The axis is broken between {found[0][1]:.1f} and {found[1][0]:.1f} points.")
    parts += [
        f"Hollow: the levels of {named(one.setting)} differ in the images that they saw, too, "
        f"{one.images[0]:,} to {one.images[1]:,}."
        for one in shown
        if one.images
    ]
    if len(shown) < len(effects):
        parts.append(f"{counted(len(effects) - len(shown), 'smaller effect')} left out.")
    return " ".join(parts)


def _largest(effects: Sequence[Effect]) -> list[Effect]:
    known = [one for one in effects if one.metric == METRIC and math.isfinite(one.difference.mean)]
    return sorted(known, key=lambda one: -one.difference.mean)[:_MOST]


def _spans(shown: Sequence[Effect]) -> list[Span]:
    """Return what is drawn of the effects: from zero to the noise, and the intervals."""
    found = [(0.0, 100 * (one.noise or 0.0)) for one in shown]
    for one in shown:
        ends = [end for end in (one.difference.low, one.difference.high) if end is not None]
        ends.append(one.difference.mean)
        found.append((100 * min(ends), 100 * max(ends)))
    return found


def _draw(axes: "Axes", y: int, one: Effect) -> None:
    found = one.difference
    if one.noise is not None:
        axes.barh([y], [100 * one.noise], height=0.62, color=GREY, alpha=0.35, linewidth=0)
    ink = colour(1) if one.is_told_apart else colour(0)
    if found.low is not None and found.high is not None:
        axes.plot([100 * found.low, 100 * found.high], [y, y], color=ink, linewidth=1.6)
    axes.plot(
        [100 * found.mean],
        [y],
        marker="s" if one.is_told_apart else "o",
        color=ink,
        markersize=6,
        markerfacecolor="none" if one.images else ink,
    )
    axes.axvline(0, color=GREY, linewidth=0.8)


def _label(one: Effect, shown: Sequence[Effect], between: str = "\n") -> str:
    several = Counter(other.setting for other in shown)[one.setting] > 1
    of_group = f" in {readable(one.group, 20)}" if several else ""
    best, worst = readable(show_level(one.best), 20), readable(show_level(one.worst), 20)
    return f"{readable(one.setting)}{of_group}{between}{best} over {worst}"


def _figures(one: Effect) -> str:
    found = one.difference
    if found.low is None or found.high is None:
        return points(found.mean)
    return f"{points(found.mean)} ({points(found.low)} to {points(found.high)})"


def _explain(figure: "Figure", shown: Sequence[Effect]) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    measured = [one for one in shown if one.noise is not None]
    looks = {one.is_told_apart for one in measured}
    handles: list[Line2D | Patch] = []
    if True in looks:
        handles.append(Line2D([], [], color=colour(1), marker="s", label="told apart"))
    if False in looks:
        handles.append(Line2D([], [], color=colour(0), marker="o", label="may be noise"))
    if measured:
        label = "noise alone, 19 times in 20"
        handles.append(Patch(color=GREY, alpha=0.35, linewidth=0, label=label))
    if any(one.images for one in shown):
        hollow = Line2D([], [], color=GREY, marker="o", markerfacecolor="none", linestyle="none")
        hollow.set_label("levels differ in images seen, too")
        handles.append(hollow)
    if handles:
        explain(figure, handles, 2)
