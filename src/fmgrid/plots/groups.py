"""Pictures of a part of a group: a heat map, its levels, accuracy by steps and images seen.

What sets a part apart from others with the same axes is given as *held*, and stands in the title.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise, permutations
from typing import Any

from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from fmgrid.analysis.effects import EpochMean, epoch_means, level_means
from fmgrid.analysis.experiments import TIME, Axis, ExperimentRuns, Group, level_of
from fmgrid.analysis.ranking import best_first
from fmgrid.analysis.statistics import Estimate, estimate, without_rounding
from fmgrid.metrics import metric_of
from fmgrid.plots import style
from fmgrid.plots.style import LOG, METRIC, to_label, to_labels
from fmgrid.settings import show
from fmgrid.words import counted

_MOST_PLANES = 6
_ROOM = 3.2  # inches for cells
_WIDE, _NARROW = 0.42, 0.36  # inches of a cell that has room for two lines of text, for one
_HIGH, _LOW = 0.46, 0.2
_TALLEST = 8.0  # inches of a heat map
_LEAST_HEIGHT = 1.5  # inches that the label of the colours takes
_MOST_ROW_LABELS = 50

_LONGEST_TITLE = 56  # characters
_WIDTH = 4.1  # inches of all panels of levels, about
_FIGURE = 0.34  # inches that a figure above a mark takes
_DIGITS = (4, 6, 9, 17)  # of a level; the fewest that keep all levels apart
_CHARACTER = 0.074  # inches of a tick's label, on the safe side
_LONGEST_LEVEL = 20  # characters
_SHORT = 8  # characters of a level that stands below a column
_SLANTED = 0.18  # inches that a slanted label takes of an axis


def plot_heatmap(group: Group, held: str, metric: str = METRIC) -> style.Plot | None:
    """Plot the mean of a metric in every cell of a product of two axes, or three."""
    if not (planes := _planes(group, metric)):
        return None
    row, column, maps = planes
    room = _ROOM - _CHARACTER * max(0, _longest(row) - _SHORT)
    across = max(1, min(len(maps), int(room / (_WIDE * len(column.levels)))))
    width = room / (across * len(column.levels))
    height = min(_HIGH if width >= _WIDE else 0.6 * _HIGH, _TALLEST / len(row.levels))
    lines = (width >= _NARROW and height >= _LOW) + (width >= _WIDE and height >= _HIGH)
    *names, last = (axis.name for axis in group.axes)
    by = f" by {', '.join(names)} and {last}{held}"
    title = to_label(style.label_of(metric, "mean ", by), _LONGEST_TITLE)
    height = max(_LEAST_HEIGHT, math.ceil(len(maps) / across) * (0.3 + height * len(row.levels)))
    figure = style.new_figure(title, 1.1 + height)
    grid = style.panels(figure, len(maps), across, share="xy")
    means = [mean for member in group.members if (mean := member.estimate(metric))]
    norm = _add_colours(figure, grid, [style.in_unit(mean, metric).mean for mean in means], metric)
    best = without_rounding(best_first(group.members, metric)[0].mean(metric) or 0.0)
    for axes, (plane, members) in zip(grid, maps, strict=True):
        for member in members:
            x = column.levels.index(level_of(member, column))
            y = row.levels.index(level_of(member, row))
            figures = _figures_of(member, metric)
            shade = norm(figures[0]) if figures else None
            texts = map(style.write, figures[:lines], (metric, metric), (3, 2))
            style.draw_cell(axes, (x, y), shade, "\n±".join(texts))
            own = member.mean(metric)
            if own is not None and without_rounding(own) == best:
                _draw_frame(axes, (x, y))
        axes.set_title(to_label(plane, 40))
        axes.set(xlim=(-0.5, len(column.levels) - 0.5), ylim=(-0.5, len(row.levels) - 0.5))
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
    every = math.ceil(len(row.levels) / _MOST_ROW_LABELS)
    labels = level_labels(row.levels)[::every]
    grid[0].set_yticks(range(0, len(row.levels), every), labels)
    if not row.is_numeric:
        grid[0].invert_yaxis()  # words are read from the top
    for axes in grid[-across:]:
        axes.tick_params(labelbottom=True)
        places = {level: float(number) for number, level in enumerate(column.levels)}
        label_levels(axes, places, room / across)
    figure.supxlabel(axis_label(column, is_scaled=False))
    figure.supylabel(axis_label(row, is_scaled=False))
    return style.Plot(figure, _heatmap_caption(group, [mean.n for mean in means], lines, metric))


def _heatmap_caption(group: Group, counts: Sequence[int], lines: int, metric: str) -> str:
    half = "± is half the 95% interval"
    bars = style.intervals(counts, half) if lines > 1 else style.over_seeds(counts)
    entry = metric_of(metric)
    unit = " in %" if entry.is_fraction else ""
    best = "highest" if entry.is_higher_better else "lowest"
    caption = f"Mean {entry.label}{unit}, {bars}. A frame: the {best}."
    without = len(group.members) - len(counts)
    caption += f" Grey: {counted(without, 'cell')}{style.unmeasured(metric)}." if without else ""
    absent = math.prod(len(axis.levels) for axis in group.axes) - len(group.members)
    return caption + (f" Empty: {counted(absent, 'combination')} without a run." if absent else "")


def _planes(
    group: Group, metric: str
) -> tuple[Axis, Axis, list[tuple[str, list[ExperimentRuns]]]] | None:
    """Return the rows and the columns of the heat maps of a group, and their titles and members.

    None where the group has one axis, or too many.
    """
    if best_first(group.members, metric):
        match group.axes:
            case [_, _]:
                row, column = sorted(group.axes, key=lambda axis: _longest(axis) <= _SHORT)
                return row, column, [("", list(group.members))]
            case [_, _, _]:
                beside = min(group.axes, key=lambda axis: len(axis.levels))
                others = [axis for axis in group.axes if axis is not beside]
                row, column = sorted(others, key=lambda axis: _longest(axis) <= _SHORT)
                if len(beside.levels) <= _MOST_PLANES:
                    levels = group.by_level(beside).items()
                    maps = [(f"{beside.name} {show(level)}", members) for level, members in levels]
                    return row, column, maps
    return None


def _longest(axis: Axis) -> int:
    """Return the number of characters of the longest label of its levels."""
    return max(map(len, level_labels(axis.levels)))


def _add_colours(
    figure: Figure, grid: list[Axes], means: Sequence[float], metric: str
) -> Normalize:
    """Add a bar of colours, and return their scale; outliers have the colours of its ends."""
    low, high = style.near_span([(mean, mean) for mean in means], metric)
    free = 0.5 if high == low else 0.0
    norm = Normalize(low - free, high + free, clip=True)
    extend = ("neither", "min", "max", "both")[(min(means) < low) + 2 * (max(means) > high)]
    shades, label = ScalarMappable(norm, style.COLOUR_MAP), style.with_unit(metric, "mean ")
    bar = figure.colorbar(shades, ax=grid, extend=extend, label=label, aspect=25)
    bar.outline.set_visible(False)
    return norm


def _figures_of(member: ExperimentRuns, metric: str) -> list[float]:
    """Return the mean of an experiment and half of its interval, as far as there are runs."""
    values = member.series(metric).values()
    if not values:
        return []
    whole = estimate(values)  # not cut off at 0 or 1
    half = [] if whole.low is None else [whole.mean - whole.low]
    return [style.in_unit(Estimate(1, value), metric).mean for value in (whole.mean, *half)]


def _draw_frame(axes: Axes, place: tuple[int, int]) -> None:
    """Draw a frame in white on black, which is legible on any colour."""
    frame = Rectangle((place[0] - 0.44, place[1] - 0.44), 0.88, 0.88, fill=False)
    frame.set(edgecolor=style.WHITE, linewidth=1.4)
    frame.set_path_effects([withStroke(linewidth=3.4, foreground=style.BLACK)])
    axes.add_patch(frame)


def plot_levels(group: Group, held: str, metric: str = METRIC) -> style.Plot | None:
    """Plot the mean at each level of each axis, or of one axis for each level of another.

    The lines of two settings that do not interact are parallel. None where a heat map alone shows
    three axes, or two with too many levels for lines.
    """
    if not best_first(group.members, metric):
        return None
    if len(group.axes) != 2:  # noqa: PLR2004
        is_shown = len(group.axes) > 1 and _planes(group, metric)
        return None if is_shown else _plot_means(group, held, metric)
    ways = [way for way in permutations(group.axes) if len(way[1].levels) <= style.MOST_CURVES]
    if not ways:
        return None
    along, across = max(ways, key=lambda way: (way[0].is_numeric, len(way[0].levels)))
    return _plot_interaction(group, held, (along, across), metric)


def _plot_means(group: Group, held: str, metric: str) -> style.Plot:
    """Plot the mean at each level of an axis with every run, or of several over all others."""
    means = {
        axis: {
            level: style.in_unit(mean, metric)
            for level, mean in level_means(group, axis, metric).items()
        }
        for axis in group.axes
    }
    estimates = [mean for of_axis in means.values() for mean in of_axis.values()]
    first, *others = group.axes
    title, columns, height = style.label_of(metric, after=f" by {first.name}"), 1, 2.2
    if others:
        title = style.label_of(metric, "mean ", " at each level of each axis")
        columns, height = 2, 2.0
    height = 0.7 + height * math.ceil(len(means) / columns)
    figure = style.new_figure(to_label(title + held, _LONGEST_TITLE), height)
    grid = style.panels(figure, len(means), columns, share="y")
    runs = [] if others else _runs(group, first, metric)
    values = [*estimates, *(run for _, run in runs)]
    limits = style.limits_of(values, metric)
    grid[0].set_ylim(limits)
    for axes, (axis, of_axis) in zip(grid, means.items(), strict=True):
        _draw_levels(axes, axis, of_axis, runs)
        label_levels(axes, level_places(axis), _WIDTH / columns)
        if not others and _room(axes, level_places(axis), _WIDTH) > _FIGURE:
            _write_means(axes, level_places(axis), of_axis, runs, metric)
    figure.supylabel(style.with_unit(metric))
    counts = [mean.n for mean in estimates]
    caption = style.means("Diamonds", counts, more=", dots runs" if runs else "")
    if others:
        caption = f"Diamonds are means over all other settings; {style.intervals(counts)}."
    caption += style.beyond(limits, values)
    if group.shape == "incomplete":
        caption += " Levels do not share all combinations: other settings differ, too."
    missing = sum(len(axis.levels) for axis in means) - len(estimates)
    return style.Plot(figure, caption + style.left_out(missing, "level", style.unmeasured(metric)))


def _plot_interaction(group: Group, held: str, ways: tuple[Axis, Axis], metric: str) -> style.Plot:
    """Plot the mean at each level of an axis, a line for each level of another."""
    along, across = ways
    labels = level_labels(across.levels)
    looks = style.looks_in_order(len(labels))
    keys = [
        Line2D([], [], label=label, marker="D", **look)
        for label, look in zip(labels, looks, strict=True)
    ]
    title = style.label_of(metric, after=f" by {along.name} and {across.name}{held}")
    figure = style.new_figure(to_label(title, _LONGEST_TITLE), 2.9, keys, across.name)
    axes = figure.subplots()
    means = {
        member: style.in_unit(mean, metric)
        for member in group.members
        if (mean := member.estimate(metric))
    }
    estimates = list(means.values())
    low, high = style.limits_of((Estimate(1, mean.mean) for mean in estimates), metric)
    free = (high - low) / 3  # for intervals
    limits = low - free, high + free
    if metric_of(metric).is_fraction:
        limits = max(low - free, min(low, 0.0)), min(high + free, max(high, 100.0))
    axes.set_ylim(limits)
    _prepare(axes, along)
    places = level_places(along)
    for look, members in zip(looks, group.by_level(across).values(), strict=True):
        of_line = {level_of(member, along): means.get(member) for member in members}
        line = [(places[level], mean) for level in along.levels if (mean := of_line.get(level))]
        axes.plot(*zip(*((x, mean.mean) for x, mean in line), strict=True), **look)
        for x, mean in line:
            ink = look["color"]
            axes.plot([x, x], mean.span, color=ink, linewidth=0.8, alpha=0.6)
            style.draw_mean(axes, "y", x, Estimate(1, mean.mean), color=ink, marker="D")
    axes.set_ylabel(style.with_unit(metric))
    label_levels(axes, places, _WIDTH)
    caption = style.means("Diamonds", (mean.n for mean in estimates))
    caption += style.beyond(limits, estimates)
    missing = len(group.members) - len(estimates)
    return style.Plot(
        figure, caption + style.left_out(missing, "experiment", style.unmeasured(metric))
    )


def _runs(group: Group, axis: Axis, metric: str) -> list[tuple[Any, Estimate]]:
    """Return the metric of every run with its level, nothing where each level has one."""
    runs = [
        (level_of(member, axis), style.in_unit(Estimate(1, value), metric))
        for member in group.members
        for value in member.series(metric).values()
    ]
    return runs if len(runs) > len({level for level, _ in runs}) else []


def _draw_levels(
    axes: Axes,
    axis: Axis,
    means: Mapping[Any, Estimate],
    runs: Sequence[tuple[Any, Estimate]],
) -> None:
    """Draw runs, and the means of levels with their intervals, and a line through numbers."""
    _prepare(axes, axis)
    places, orange, blue = level_places(axis), style.COLOURS[1], style.COLOURS[4]
    for level, run in runs:
        style.draw_mean(axes, "y", places[level], run, color=blue, marker="o", alpha=0.6)
    if axis.is_numeric:
        line = [mean.mean for mean in means.values()]
        axes.plot([places[level] for level in means], line, color=orange, linewidth=0.8)
    for level, mean in means.items():
        style.draw_mean(axes, "y", places[level], mean, color=orange, marker="D")


def _prepare(axes: Axes, axis: Axis) -> None:
    axes.margins(x=max(0.1, 0.5 / len(axis.levels)))
    axes.set_xlabel(axis_label(axis))
    axes.grid(axis="y")


def _write_means(
    axes: Axes,
    places: Mapping[Any, float],
    means: Mapping[Any, Estimate],
    runs: Sequence[tuple[Any, Estimate]],
    metric: str,
) -> None:
    """Write the mean of each level above everything that is drawn there."""
    bottom, ceiling = axes.get_ylim()
    look: dict[str, Any] = {"ha": "center", "va": "bottom", "fontsize": style.SMALL}
    for level, mean in means.items():
        drawn = [mean, *(run for of_level, run in runs if of_level == level)]
        top = max(estimate.span[1] for estimate in drawn)
        place = places[level], min(max(top, bottom), ceiling)
        axes.annotate(
            style.write(mean.mean, metric), place, (0, 5), textcoords="offset points", **look
        )


def plot_steps_and_images(group: Group, held: str, _metric: str = METRIC) -> style.Plot | None:
    """Plot accuracy against steps and against images seen, a curve for each batch size.

    Nothing where the length of training varies, too, or without a history.
    """
    curves = _by_batch_size(group)
    if len(curves) < 2:  # noqa: PLR2004
        return None
    images = {size: [float(mean.images or 0) for mean in means] for size, means in curves.items()}
    steps = {size: [math.ceil(count / size) for count in line] for size, line in images.items()}
    values = {size: [100 * mean.estimate.mean for mean in means] for size, means in curves.items()}
    looks = dict(zip(curves, style.looks_in_order(len(curves)), strict=True))
    keys = [Line2D([], [], label=f"{size}", marker="o", **look) for size, look in looks.items()]
    title = to_label(f"Accuracy by steps, and by training images seen{held}", _LONGEST_TITLE)
    figure = style.new_figure(title, 2.8, keys, "batch_size")
    lines: dict[str, Mapping[int, Sequence[float]]]
    lines = {"Optimizer steps": steps, "Images seen": images}
    grid = style.panels(figure, len(lines), len(lines), share="y")
    for axes, (label, x) in zip(grid, lines.items(), strict=True):
        style.scale_x(axes, label, [place for line in x.values() for place in line], ticks=3)
        axes.grid(axis="y")
        for size, look in looks.items():
            axes.plot(x[size], values[size], marker="o", **look)
    grid[0].set_ylim(style.padded(*grid[0].dataLim.intervaly))
    grid[0].set_ylabel("Accuracy (%)")
    seeds = style.over_seeds(mean.estimate.n for means in curves.values() for mean in means)
    caption = f"A curve is the mean of a batch size {seeds}, a mark the end of an epoch."
    return style.Plot(figure, caption)


def _by_batch_size(group: Group) -> dict[int, list[EpochMean]]:
    """Return the accuracy after each epoch, over all experiments that share a batch size."""
    axes = {axis.name: axis for axis in group.axes}
    axis = axes.get("batch_size")
    if axis is None or not axis.is_numeric or group.shape == "incomplete" or axes.keys() & TIME:
        return {}
    curves = {size: epoch_means(members, METRIC) for size, members in group.by_level(axis).items()}
    return {
        size: means
        for size, means in curves.items()
        if means and all(mean.images for mean in means)
    }


def level_places(axis: Axis) -> dict[Any, float]:
    """Return where each level stands: at its logarithm, its value, or one after another.

    Zero, which has no logarithm, stands one step before the others.
    """
    if _is_logarithmic(axis):
        above = [math.log10(level) for level in axis.levels if level]
        before = min(above) - (max(above) - min(above)) / (len(above) - 1)
        return {level: math.log10(level) if level else before for level in axis.levels}
    if axis.is_numeric:
        return {level: float(level) for level in axis.levels}
    return {level: float(number) for number, level in enumerate(axis.levels)}


def _is_logarithmic(axis: Axis) -> bool:
    """Return whether levels are best seen on a logarithmic axis, zero left aside."""
    above = [level for level in axis.levels if level] if axis.is_numeric else []
    return len(above) > 1 and min(axis.levels) >= 0 and style.is_wide(above)


def axis_label(axis: Axis, *, is_scaled: bool = True) -> str:
    """Return what stands beside an axis of levels, with its scale where levels stand to scale."""
    label = to_label(axis.label, 60)
    log = (LOG + (" but for 0" if 0 in axis.levels else "")) if _is_logarithmic(axis) else ""
    if "." not in label:  # not network.filters, whose case is a part of it
        label = f"{label[:1].upper()}{label[1:]}"
    return f"{label}{log if is_scaled else ''}"


def level_labels(levels: Iterable[Any]) -> list[str]:
    """Return a label for each level, in as few digits as keep them apart."""
    levels = list(levels)
    for digits in _DIGITS:
        texts = [
            f"{level:.{digits}g}" if isinstance(level, float) else show(level) for level in levels
        ]
        if len(set(texts)) == len(levels):
            break
    labels = to_labels(texts, _LONGEST_LEVEL)
    return [labels[text] for text in texts]


def label_levels(axes: Axes, places: Mapping[Any, float], inches: float) -> None:
    """Write levels below an axis of so many inches, slanted or not all where room is scarce."""
    labels, ticks = level_labels(places), list(places.values())
    room = _room(axes, places, inches)
    every, slant = 1, dict[str, Any]()
    if room < _CHARACTER * (1 + max(map(len, labels))):
        every = math.ceil(_SLANTED / room)
        slant = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
    axes.set_xticks(ticks[::every], labels[::every], **slant)


def _room(axes: Axes, places: Mapping[Any, float], inches: float) -> float:
    """Return the inches between the closest two levels of an axis of so many inches."""
    low, high = axes.get_xlim()
    closest = min(after - before for before, after in pairwise(places.values()))
    return closest * inches / (high - low)
