"""Dots and lines: accuracy by levels, by steps and images seen; the validation loss by epoch."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from fmgrid.analysis.effects import EpochMean, epoch_means, level_means
from fmgrid.analysis.experiments import TIME, Axis, Group
from fmgrid.analysis.statistics import Estimate
from fmgrid.analysis.study import Study
from fmgrid.plots import scales, style
from fmgrid.plots.heatmaps import to_planes

Curves: TypeAlias = Mapping[str, list[EpochMean]]  # by experiment, the lowest at its end first

_WIDTH = 6.3  # inches of all panels, about
_MOST_PANELS = 24  # of learning curves
_MOST_FIGURES = 12  # levels; more have no room for figures beside them


@style.styled
def plot_levels(group: Group) -> style.Plot | None:
    """Plot the mean accuracy at each level of each axis, where no heat map shows it."""
    if group.shape not in ("one axis", "factorial") or to_planes(group):
        return None
    means = {axis: level_means(group, axis, scales.METRIC) for axis in group.axes}
    estimates = [mean for of_axis in means.values() for mean in of_axis.values()]
    if not estimates:
        return None
    first, *others = group.axes
    title, height, columns = f"Accuracy by {style.to_label(first.label, 60)}", 3.1, 1
    if others:  # so many columns that no panel is alone in its row
        title = "Mean accuracy at each level of each axis"
        height, columns = 2.5, 2 if len(means) == 4 else 3  # noqa: PLR2004
    figure = style.new_figure(title, 0.7 + height * math.ceil(len(means) / columns))
    grid = style.panels(figure, len(means), columns, share="y")
    runs = {} if others or all(mean.n == 1 for mean in estimates) else _runs(group, first)
    values = [*estimates, *(run for of_level in runs.values() for run in of_level)]
    scales.limit_accuracies(grid[0], "y", [scales.percent_span(value) for value in values])
    for axes, (axis, of_axis) in zip(grid, means.items(), strict=True):
        has_figures = not others and len(estimates) <= _MOST_FIGURES
        _draw_levels(axes, axis, of_axis, runs, has_figures=has_figures)
        scales.label_levels(axes, scales.level_places(axis), _WIDTH / columns)
    figure.supylabel("Accuracy (%)")
    what = "all experiments that share the level" if others else "a level"
    what += ", a dot is a run" if runs else ""
    missing = sum(len(axis.levels) for axis in means) - len(estimates)
    caption = f"A diamond is the mean of {what}; {scales.intervals(mean.n for mean in estimates)}."
    caption += scales.beyond(grid[0], "y", values)
    return style.Plot(figure, caption + scales.left_out(missing, "level", scales.UNMEASURED))


@style.styled
def plot_steps_and_images(group: Group) -> style.Plot | None:
    """Plot accuracy against steps and against images seen, a curve for each batch size.

    Nothing where the length of training varies, too, or without a history.
    """
    curves = _by_batch_size(group)
    if len(curves) < 2:  # noqa: PLR2004
        return None
    images = {size: [float(mean.images or 0) for mean in means] for size, means in curves.items()}
    steps = {size: [math.ceil(seen / size) for seen in line] for size, line in images.items()}
    values = {size: [100 * mean.estimate.mean for mean in means] for size, means in curves.items()}
    figure = style.new_figure("Accuracy by optimizer steps, and by training images seen", 3.7)
    left, right = style.panels(figure, 2, 2, share="y")
    _draw_curves(left, "Optimizer steps", steps, values)
    named = _draw_curves(right, "Training images seen", images, values)
    all_values = [value for line in values.values() for value in line]
    left.set_ylim(*scales.padded((min(all_values), max(all_values)), scales.LEAST))
    left.set_ylabel("Accuracy (%)")
    downwards = sorted(curves, key=lambda size: -values[size][-1])
    style.name_curves(right, [named[size] for size in downwards], "batch size")
    seeds = scales.over_seeds(mean.estimate.n for means in curves.values() for mean in means)
    caption = f"A curve is the mean of a batch size {seeds}, a mark the end of an epoch."
    return style.Plot(figure, caption)


def _runs(group: Group, axis: Axis) -> dict[Any, list[Estimate]]:
    """Return the accuracies of the single runs at each level."""
    return {
        level: [
            Estimate(1, value) for one in members for value in one.series(scales.METRIC).values()
        ]
        for level, members in group.at(axis).items()
    }


def _draw_levels(
    axes: Axes,
    axis: Axis,
    means: Mapping[Any, Estimate],
    runs: Mapping[Any, list[Estimate]],
    *,
    has_figures: bool,
) -> None:
    """Draw means with their intervals and figures, and a dot for each run."""
    places = scales.level_places(axis)
    low, high = min(places.values()), max(places.values())
    edge = max(0.1, 0.5 / len(places)) * (high - low)
    axes.set_xlim(low - edge, high + edge)
    axes.set_xlabel(scales.axis_label(axis))
    axes.grid(axis="y")
    if axis.is_numeric:
        line = [100 * mean.mean for mean in means.values()]
        axes.plot([places[level] for level in means], line, color=style.COLOURS[1], linewidth=0.8)
    bottom, ceiling = axes.get_ylim()
    for level, mean in means.items():
        x, dots = places[level], runs.get(level, [])
        for run in dots:
            scales.draw_accuracy(axes, "y", x, run, color=style.COLOURS[4], marker="o", alpha=0.6)
        scales.draw_accuracy(axes, "y", x, mean, color=style.COLOURS[1], marker="D")
        if has_figures:
            top = max(scales.percent_span(one)[1] for one in [mean, *dots])
            y = min(max(top, bottom), ceiling)
            style.write(axes, f"{100 * mean.mean:.1f}", (x, y), 5, va="bottom")


def _by_batch_size(group: Group) -> dict[int, list[EpochMean]]:
    """Return the accuracy after each epoch, over all experiments that share a batch size."""
    axis = next((axis for axis in group.axes if axis.name == "batch_size"), None)
    if axis is None or not axis.is_numeric or group.shape not in ("one axis", "factorial"):
        return {}
    if any(other.name in TIME for other in group.axes):
        return {}
    curves = {size: epoch_means(members, scales.METRIC) for size, members in group.at(axis).items()}
    return {
        size: means for size, means in curves.items() if means and all(one.images for one in means)
    }


def _draw_curves(
    axes: Axes, label: str, x: Mapping[int, Sequence[float]], y: Mapping[int, Sequence[float]]
) -> dict[int, Line2D]:
    """Draw a curve for each batch size, and return them."""
    places = [place for line in x.values() for place in line]
    log = scales.is_wide(places)
    scales.scale_values(axes, "x", places, log=log)
    axes.set_xlabel(label + (scales.LOG if log else ""))
    axes.grid(axis="y")
    return {
        size: axes.plot(x[size], y[size], label=f"{size}", marker="o", **look)[0]
        for size, look in zip(x, style.looks_in_order(len(x)), strict=True)
    }


@style.styled
def plot_learning_curves(study: Study) -> style.Plot | None:
    """Plot the validation loss after every epoch, a panel per group."""
    panels = [(group, curves) for group in study.groups if (curves := _curves(group))]
    if not panels:
        return None
    shown = panels[:_MOST_PANELS]
    rows = math.ceil(len(shown) / 2)
    figure = style.new_figure("Validation loss by epoch", 0.6 + 2.15 * rows)
    grid = style.panels(figure, len(shown), min(2, len(shown)))
    points = [point for _, curves in shown for line in curves.values() for point in line]
    log = scales.is_wide([point.estimate.mean for point in points])
    for axes, (group, curves) in zip(grid, shown, strict=True):
        _draw_panel(axes, curves, log=log)
        axes.set_title(style.to_label(group.title, 40))
    figure.supxlabel("Epoch")
    figure.supylabel("Validation loss (nats)" + (scales.LOG if log else ""))
    bands = "bands are 95% intervals, cut off where long,"
    caption = "A curve is the mean of an experiment; "
    caption += f"{scales.intervals((point.estimate.n for point in points), bands)}."
    if any(len(curves) > style.MOST_CURVES for _, curves in shown):
        caption += " Of many curves the lowest and the highest at the end have names."
    return style.Plot(figure, caption + scales.left_out(len(panels) - len(shown), "group"))


def _curves(group: Group) -> Curves:
    """Return the validation losses of a group's experiments that have two epochs or more."""
    curves = {one.name: epoch_means([one], "valid_loss") for one in group.members}
    long = [(name, means) for name, means in curves.items() if len(means) > 1]
    return dict(sorted(long, key=lambda curve: curve[1][-1].estimate.mean))


def _draw_panel(axes: Axes, curves: Curves, *, log: bool) -> None:
    order = list(curves)
    named = order if len(order) <= style.MOST_CURVES else [order[0], order[-1]]
    labels = style.to_labels(named, 20)
    looks = dict(zip(named, style.looks_in_order(len(named)), strict=True))
    drawn = []
    for label, points in curves.items():
        epochs = [point.epoch for point in points]
        means = [point.estimate.mean for point in points]
        if label not in looks:
            axes.plot(epochs, means, color=style.GREY, linewidth=0.7, alpha=0.5)
            continue
        low, high = zip(*(point.estimate.span for point in points), strict=True)
        ink = looks[label]["color"]
        axes.fill_between(epochs, low, high, color=ink, alpha=0.2, linewidth=0)
        drawn += axes.plot(epochs, means, label=labels[label], zorder=3, **looks[label])
    style.name_curves(axes, drawn[::-1])
    last = max(points[-1].epoch for points in curves.values())
    axes.set_xlim(1 - 0.02 * last, last)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.grid(axis="y")
    scales.scale_values(axes, "y", _reach(curves, named), log=log)


def _reach(curves: Curves, named: list[str]) -> list[float]:
    """Return what a panel shows: all means, and intervals that are not much longer."""
    means = [point.estimate.mean for line in curves.values() for point in line]
    low, high = min(means), max(means)
    ends = [end for label in named for point in curves[label] for end in point.estimate.span]
    return [low, high, *(end for end in ends if 0.8 * low <= end <= 1.2 * high)]
