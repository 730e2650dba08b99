"""One axis: a dot per run at every level, with the mean and its interval."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from fmgrid.analysis.statistics import Estimate, estimate
from fmgrid.analysis.study import Axis, Group, Repeated, level_of
from fmgrid.plots.paper import colour, new_figure, readable, settled, styled
from fmgrid.plots.scales import (
    Span,
    axis_label,
    label_levels,
    level_places,
    stretches,
    value_axes,
)
from fmgrid.plots.wording import (
    at_level,
    have_intervals,
    meaning_of_bars,
    percent,
    percent_of,
)
from fmgrid.words import counted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

METRIC = "accuracy"
LEAST = 2.0  # points of accuracy: a span less than that is not worth a closer look

_WIDTH = 6.3  # inches of the axis, about
_LABELLED = 12  # levels; more have no room for figures beside them


@styled
def plot_levels(group: Group) -> "Figure | None":
    """Return accuracy against the only axis of a group; None if it has another shape."""
    scored = _scored(group)
    if group.shape != "one axis" or not scored:
        return None
    axis = group.axes[0]
    places = level_places(axis)
    step = _step(list(places.values()))
    figure = new_figure(f"Accuracy by {readable(axis.label, 60)}", 3.8)
    parts = value_axes(figure, [_span(one) for one in scored], "y", LEAST)
    for axes in parts:
        axes.set_xlim(min(places.values()) - 0.6 * step, max(places.values()) + 0.6 * step)
        axes.grid(axis="y")
        if axis.is_numeric and len(parts) == 1:
            _connect(axes, axis, scored)
        for one in scored:
            _draw(axes, one, places[level_of(one, axis.name)], step)
        if len(scored) <= _LABELLED:
            _write_means(axes, axis, scored)
    label_levels(parts[0], places, _WIDTH)
    parts[0].set_xlabel(axis_label(axis))
    figure.supylabel("Accuracy (%)", fontsize=8.5)
    return settled(figure)


def describe_levels(group: Group) -> str:
    """Return what the picture shows, in words and figures."""
    scored, axis = _scored(group), group.axes[0]
    ordered = sorted(scored, key=lambda one: one.mean(METRIC) or 0.0)
    told = [
        f"{at_level(axis.name, level_of(one, axis.name))} is {word} at {percent_of(found)}"
        for one, word in ((ordered[-1], "highest"), (ordered[0], "lowest"))
        if (found := one.estimate(METRIC))
    ]
    is_flat = len({one.mean(METRIC) for one in scored}) == 1
    parts = [
        "Each dot is a run.",
        meaning_of_bars(scored, METRIC),
        f"All levels have {percent(ordered[0].mean(METRIC) or 0.0)}."
        if is_flat
        else f"{'; '.join(told)}.",
    ]
    parts += break_of([_span(one) for one in scored])
    if images := group.confounded.get(axis.name):
        parts.append(
            f"The levels differ in the training images that they saw, too: "
            f"{images[0]:,} to {images[1]:,}."
        )
    if without := len(group.distinct) - len(scored):
        parts.append(f"{counted(without, 'level')} without a measured accuracy left out.")
    return " ".join(parts)


def break_of(spans: Sequence[Span]) -> list[str]:
    """Say where an axis of accuracy is broken; nothing if it is not."""
    found = stretches(spans, LEAST)
    if len(found) == 1:
        return []
    (_, below), (above, _) = found
    return [f"The axis of accuracy is broken between {below:.0f} and {above:.0f}%."]


def span_of(found: Estimate) -> Span:
    """Return what the bar of an accuracy covers, in per cent; no accuracy is beyond 100."""
    low, high = found.span
    return max(0.0, 100 * low), min(100.0, 100 * high)


def draw_estimate(axes: "Axes", x: float, found: Estimate, colour_: str, mark: str = "o") -> None:
    """Draw an accuracy with its interval."""
    axes.plot([x, x], span_of(found), color=colour_, linewidth=1.6, solid_capstyle="butt")
    axes.plot([x], [100 * found.mean], marker=mark, color=colour_, markersize=5.5)


def _scored(group: Group) -> list[Repeated]:
    return [one for one in group.distinct if one.estimate(METRIC) is not None]


def _span(one: Repeated) -> Span:
    values = [100 * value for value in one.series(METRIC).values()]
    low, high = span_of(estimate(one.series(METRIC).values()))
    return min(low, *values), max(high, *values)


def _step(places: Sequence[float]) -> float:
    """Return the least distance between two levels, but not much less than there is room for."""
    ordered = sorted(places)
    apart = [two - one for one, two in pairwise(ordered)]
    return max(min(apart), (ordered[-1] - ordered[0]) / 40)


def _draw(axes: "Axes", one: Repeated, x: float, step: float) -> None:
    series = one.series(METRIC)
    shift = 0.22 * step if have_intervals([one], METRIC) else 0.0
    width = 0.2 * step
    for number, value in enumerate(series.values()):
        beside = (number / max(1, len(series) - 1) - 0.5) * width if len(series) > 1 else 0.0
        axes.plot(
            [x - shift + beside],
            [100 * value],
            marker="o",
            markersize=3.6 if len(series) > 1 else 5.5,
            markeredgewidth=0,
            color=colour(4),
            alpha=0.8,
        )
    found = one.estimate(METRIC)
    if found and found.low is not None:
        draw_estimate(axes, x, found, colour(1), "D")


def _connect(axes: "Axes", axis: Axis, scored: Sequence[Repeated]) -> None:
    places = level_places(axis)
    means = [(places[level_of(one, axis.name)], 100 * (one.mean(METRIC) or 0.0)) for one in scored]
    x, y = zip(*sorted(means), strict=True)
    axes.plot(x, y, color=colour(1), linewidth=0.8, alpha=0.5)


def _write_means(axes: "Axes", axis: Axis, scored: Sequence[Repeated]) -> None:
    """Write means beside their marks, on the side that a line to the next level leaves free."""
    places = level_places(axis)
    low, high = axes.get_ylim()
    ordered = sorted(
        (places[level_of(one, axis.name)], 100 * (one.mean(METRIC) or 0.0)) for one in scored
    )
    following = [*(mean for _, mean in ordered[1:]), -math.inf]
    for (x, mean), after in zip(ordered, following, strict=True):
        if low <= mean <= high:
            axes.annotate(
                f"{mean:.1f}",
                (x, mean),
                xytext=(5, -3 if not axis.is_numeric else -10 if after >= mean else 4),
                textcoords="offset points",
                fontsize=7.5,
            )
