"""More axes than a heat map has: the mean accuracy at each level of each axis."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fmgrid.analysis.statistics import Estimate, estimate, mean_by_seed
from fmgrid.analysis.study import Axis, Group, Repeated, show_level
from fmgrid.plots.heatmaps import planes
from fmgrid.plots.levels import LEAST, METRIC, draw_estimate, span_of
from fmgrid.plots.paper import colour, new_figure, settled, styled
from fmgrid.plots.scales import axis_label, label_levels, level_places, padded
from fmgrid.plots.wording import at_level, meaning_of_bars, percent_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@styled
def plot_marginal_means(group: Group) -> "Figure | None":
    """Return the mean accuracy at each level of each axis; None where heat maps show it."""
    if group.shape != "factorial" or planes(group):
        return None
    found = {axis: _marginals(group, axis) for axis in group.axes}
    ends = [end for means in found.values() for one in means.values() for end in span_of(one)]
    if not ends:
        return None
    columns = 2 if len(found) == 4 else 3  # noqa: PLR2004 -- no panel is left alone in its row
    lines = math.ceil(len(found) / columns)
    figure = new_figure("Mean accuracy at each level of each axis", 0.7 + 2.5 * lines)
    grid = figure.subplots(lines, columns, squeeze=False, sharey=True)
    for axes, (axis, means) in zip(grid.flat, found.items(), strict=False):
        axes.set_ylim(*padded((min(ends), max(ends)), LEAST))
        _draw(axes, axis, means, 5.6 / columns)
    for axes in list(grid.flat)[len(found) :]:
        axes.set_visible(False)
    figure.supylabel("Accuracy (%)", fontsize=8.5)
    return settled(figure)


def describe_marginal_means(group: Group) -> str:
    """Return what the picture shows, in words and figures."""
    parts = [
        "A dot is the mean of all experiments that share the level.",
        meaning_of_bars(group.distinct, METRIC),
    ]
    for axis in group.axes:
        means = _marginals(group, axis)
        if not means:
            continue
        best = max(means, key=lambda level: means[level].mean)
        worst = min(means, key=lambda level: means[level].mean)
        if means[best].mean == means[worst].mean:
            parts.append(f"All levels of {axis.name} have {percent_of(means[best])}.")
            continue
        parts.append(
            f"{at_level(axis.name, best)} is highest at {percent_of(means[best])}, "
            f"{show_level(worst)} lowest at {percent_of(means[worst])}."
        )
    return " ".join(parts)


def _draw(axes: "Axes", axis: Axis, means: dict[Any, Estimate], inches: float) -> None:
    places = level_places(axis)
    low, high = min(places.values()), max(places.values())
    edge = 0.1 * (high - low)
    axes.set_xlim(low - edge, high + edge)
    axes.grid(axis="y")
    if axis.is_numeric:
        line = [100 * one.mean for one in means.values()]
        axes.plot([places[level] for level in means], line, color=colour(0), linewidth=0.8)
    for level, one in means.items():
        draw_estimate(axes, places[level], one, colour(0))
    axes.set_xlabel(axis_label(axis))
    label_levels(axes, places, inches)


def _marginals(group: Group, axis: Axis) -> dict[Any, Estimate]:
    return {
        level: found
        for level, members in group.at(axis).items()
        if (found := _mean_of_all(members)) is not None
    }


def _mean_of_all(members: Sequence[Repeated]) -> Estimate | None:
    """Return the mean over experiments; its interval is over seeds that all of them have."""
    series = [found for one in members if (found := one.series(METRIC))]
    if not series:
        return None
    if by_seed := mean_by_seed(series):
        return estimate(by_seed.values())
    means = [sum(one.values()) / len(one) for one in series]
    return Estimate(1, sum(means) / len(means))
