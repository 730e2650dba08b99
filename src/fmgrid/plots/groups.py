"""Pictures of a group: a heat map, the levels of each axis, accuracy by steps and images seen."""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from fmgrid.analysis.effects import EpochMean, epoch_means, level_means
from fmgrid.analysis.experiments import TIME, Axis, ExperimentRuns, Group, best_first, level_of
from fmgrid.analysis.statistics import Estimate, estimate
from fmgrid.plots import style
from fmgrid.plots.style import LOG, METRIC, to_label, to_labels
from fmgrid.settings import show
from fmgrid.words import counted

_MOST_PLANES = 6
_ROOM = 5.4  # inches for cells
_WIDE, _NARROW = 0.6, 0.36  # inches of a cell that has room for two lines of text, for one
_HIGH, _LOW = 0.46, 0.2
_TALLEST = 8.0  # inches of a heat map
_LEAST_HEIGHT = 1.5  # inches that the label of the colours takes
_MOST_ROW_LABELS = 50

_WIDTH = 6.3  # inches of all panels of levels, about
_MOST_FIGURES = 12  # levels; more have no room for figures beside them
_DIGITS = (4, 6, 9, 17)  # of a level; the fewest that keep all levels apart
_CHARACTER = 0.074  # inches of a tick's label, on the safe side
_LONGEST_LEVEL = 20  # characters
_SLANTED = 0.18  # inches that a slanted label takes of an axis


def plot_heatmap(group: Group) -> style.Plot | None:
    """Plot the mean accuracy of every cell of a factorial group of two axes, or three."""
    if not (planes := _planes(group)):
        return None
    row, column, maps = planes
    across = max(1, min(len(maps), int(_ROOM / (_WIDE * len(column.levels)))))
    width = _ROOM / (across * len(column.levels))
    height = min(_HIGH if width >= _WIDE else 0.6 * _HIGH, _TALLEST / len(row.levels))
    lines = (width >= _NARROW and height >= _LOW) + (width >= _WIDE and height >= _HIGH)
    *names, last = (axis.name for axis in group.axes)
    title = to_label(f"Mean accuracy by {', '.join(names)} and {last}", 76)
    room = math.ceil(len(maps) / across) * (0.3 + height * len(row.levels))
    figure = style.new_figure(title, 1.1 + max(_LEAST_HEIGHT, room))
    grid = style.panels(figure, len(maps), across, share="xy")
    means = [mean for member in group.members if (mean := member.estimate(METRIC))]
    norm = _add_colours(figure, grid, [100 * mean.mean for mean in means])
    best = max(mean.mean for mean in means)
    for axes, (plane, members) in zip(grid, maps, strict=True):
        for member in members:
            x = column.levels.index(level_of(member, column))
            y = row.levels.index(level_of(member, row))
            _draw_cell(axes, (x, y), member, norm, lines)
            if member.mean(METRIC) == best:
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
        label_levels(axes, places, _ROOM / across)
    figure.supxlabel(axis_label(column, is_scaled=False))
    figure.supylabel(axis_label(row, is_scaled=False))
    counts = {mean.n for mean in means}
    bars = style.over_seeds(counts)
    if lines > 1:
        bars = style.intervals(counts, "± is half the 95% interval")
    caption = f"A cell is the mean accuracy in %, {bars}. A frame: the highest."
    without = len(group.members) - len(means)
    grey = f" Grey: {counted(without, 'cell')} without an accuracy." if without else ""
    return style.Plot(figure, caption + grey)


def _planes(group: Group) -> tuple[Axis, Axis, list[tuple[str, list[ExperimentRuns]]]] | None:
    """Return the rows and the columns of the heat maps of a group, and their titles and members.

    None where the group has another shape, or too many axes.
    """
    if group.shape == "factorial" and best_first(group.members, METRIC):
        match group.axes:
            case [row, column]:
                return row, column, [("", list(group.members))]
            case [_, _, _]:
                beside = min(group.axes, key=lambda axis: len(axis.levels))
                row, column = (axis for axis in group.axes if axis is not beside)
                if len(beside.levels) <= _MOST_PLANES:
                    levels = group.by_level(beside).items()
                    maps = [(f"{beside.name} {show(level)}", members) for level, members in levels]
                    return row, column, maps
    return None


def _add_colours(figure: Figure, grid: list[Axes], means: Sequence[float]) -> Normalize:
    """Add a bar of colours, and return their scale; outliers have the colours of its ends."""
    low, high = style.near_span([(mean, mean) for mean in means])
    free = 0.5 if high == low else 0.0
    norm = Normalize(low - free, high + free, clip=True)
    extend = ("neither", "min", "max", "both")[(min(means) < low) + 2 * (max(means) > high)]
    shades, label = ScalarMappable(norm, style.COLOUR_MAP), "Mean accuracy (%)"
    bar = figure.colorbar(shades, ax=grid, extend=extend, label=label, aspect=25)
    bar.outline.set_visible(False)
    return norm


def _draw_cell(
    axes: Axes, place: tuple[int, int], member: ExperimentRuns, norm: Normalize, lines: int
) -> None:
    shade, texts = None, list[str]()
    if values := member.series(METRIC).values():
        whole = estimate(values)  # not cut off at 0 or 1
        shade, texts = norm(100 * whole.mean), [f"{100 * whole.mean:.1f}"]
        texts += [] if whole.low is None else [f"±{100 * (whole.mean - whole.low):.1f}"]
    style.draw_cell(axes, place, shade, "\n".join(texts[:lines]))


def _draw_frame(axes: Axes, place: tuple[int, int]) -> None:
    """Draw a frame in white on black, which is legible on any colour."""
    frame = Rectangle((place[0] - 0.44, place[1] - 0.44), 0.88, 0.88, fill=False)
    frame.set(edgecolor=style.WHITE, linewidth=1.4)
    frame.set_path_effects([withStroke(linewidth=3.4, foreground=style.BLACK)])
    axes.add_patch(frame)


def plot_levels(group: Group) -> style.Plot | None:
    """Plot the mean accuracy at each level of each axis, where no heat map shows it."""
    if group.shape == "irregular" or _planes(group):
        return None
    means = {axis: level_means(group, axis, METRIC) for axis in group.axes}
    estimates = [mean for of_axis in means.values() for mean in of_axis.values()]
    if not estimates:
        return None
    first, *others = group.axes
    title, height, columns = f"Accuracy by {to_label(first.label, 60)}", 3.1, 1
    if others:  # so many columns that no panel is alone in its row
        title = "Mean accuracy at each level of each axis"
        height, columns = 2.5, 2 if len(means) == 4 else 3  # noqa: PLR2004
    figure = style.new_figure(title, 0.7 + height * math.ceil(len(means) / columns))
    grid = style.panels(figure, len(means), columns, share="y")
    runs: dict[Any, list[Estimate]] = {}
    if not others and any(mean.n > 1 for mean in estimates):
        runs = {
            level: [
                Estimate(1, run) for member in members for run in member.series(METRIC).values()
            ]
            for level, members in group.by_level(first).items()
        }
    values = [*estimates, *(run for of_level in runs.values() for run in of_level)]
    limits = style.limits_of(values)
    grid[0].set_ylim(limits)
    for axes, (axis, of_axis) in zip(grid, means.items(), strict=True):
        has_figures = not others and len(estimates) <= _MOST_FIGURES
        _draw_levels(axes, axis, of_axis, runs, has_figures=has_figures)
        label_levels(axes, level_places(axis), _WIDTH / columns)
    figure.supylabel("Accuracy (%)")
    subject = "all experiments that share the level" if others else "a level"
    subject += ", a dot is a run" if runs else ""
    missing = sum(len(axis.levels) for axis in means) - len(estimates)
    bars = style.intervals(mean.n for mean in estimates)
    caption = f"A diamond is the mean of {subject}; {bars}."
    caption += style.beyond(limits, values)
    return style.Plot(figure, caption + style.left_out(missing, "level", style.UNMEASURED))


def _draw_levels(
    axes: Axes,
    axis: Axis,
    means: Mapping[Any, Estimate],
    runs: Mapping[Any, list[Estimate]],
    *,
    has_figures: bool,
) -> None:
    places = level_places(axis)
    axes.margins(x=max(0.1, 0.5 / len(places)))
    axes.set_xlabel(axis_label(axis))
    axes.grid(axis="y")
    orange, blue = style.COLOURS[1], style.COLOURS[4]
    if axis.is_numeric:
        line = [100 * mean.mean for mean in means.values()]
        axes.plot([places[level] for level in means], line, color=orange, linewidth=0.8)
    bottom, ceiling = axes.get_ylim()
    for level, mean in means.items():
        x, dots = places[level], runs.get(level, [])
        for run in dots:
            style.draw_accuracy(axes, "y", x, run, color=blue, marker="o", alpha=0.6)
        style.draw_accuracy(axes, "y", x, mean, color=orange, marker="D")
        if has_figures:
            top = max(style.percent_span(estimate)[1] for estimate in [mean, *dots])
            y = min(max(top, bottom), ceiling)
            look: dict[str, Any] = {"ha": "center", "va": "bottom", "fontsize": style.SMALL}
            text = f"{100 * mean.mean:.1f}"
            axes.annotate(text, (x, y), (0, 5), textcoords="offset points", **look)


def plot_steps_and_images(group: Group) -> style.Plot | None:
    """Plot accuracy against steps and against images seen, a curve for each batch size.

    Nothing where the length of training varies, too, or without a history.
    """
    curves = _by_batch_size(group)
    if len(curves) < 2:  # noqa: PLR2004
        return None
    images = {size: [float(mean.images or 0) for mean in means] for size, means in curves.items()}
    steps = {size: [math.ceil(count / size) for count in line] for size, line in images.items()}
    values = {size: [100 * mean.estimate.mean for mean in means] for size, means in curves.items()}
    figure = style.new_figure("Accuracy by optimizer steps, and by training images seen", 3.7)
    lines: dict[str, Mapping[int, Sequence[float]]]
    lines = {"Optimizer steps": steps, "Training images seen": images}
    grid = style.panels(figure, len(lines), len(lines), share="y")
    looks = style.looks_in_order(len(curves))
    artists = {}
    for axes, (label, x) in zip(grid, lines.items(), strict=True):
        style.scale_x(axes, label, [place for line in x.values() for place in line])
        axes.grid(axis="y")
        for size, look in zip(curves, looks, strict=True):
            (artists[size],) = axes.plot(x[size], values[size], label=f"{size}", marker="o", **look)
    grid[0].set_ylim(style.padded(*grid[0].dataLim.intervaly))
    grid[0].set_ylabel("Accuracy (%)")
    downwards = sorted(curves, key=lambda size: -values[size][-1])
    style.name_curves(grid[-1], [artists[size] for size in downwards], "batch size")
    seeds = style.over_seeds(mean.estimate.n for means in curves.values() for mean in means)
    caption = f"A curve is the mean of a batch size {seeds}, a mark the end of an epoch."
    return style.Plot(figure, caption)


def _by_batch_size(group: Group) -> dict[int, list[EpochMean]]:
    """Return the accuracy after each epoch, over all experiments that share a batch size."""
    axes = {axis.name: axis for axis in group.axes}
    axis = axes.get("batch_size")
    if axis is None or not axis.is_numeric or group.shape == "irregular" or axes.keys() & TIME:
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
    if axis.is_logarithmic:
        above = [math.log10(level) for level in axis.levels if level]
        before = min(above) - (max(above) - min(above)) / (len(above) - 1)
        return {level: math.log10(level) if level else before for level in axis.levels}
    if axis.is_numeric:
        return {level: float(level) for level in axis.levels}
    return {level: float(number) for number, level in enumerate(axis.levels)}


def axis_label(axis: Axis, *, is_scaled: bool = True) -> str:
    """Return what stands beside an axis of levels, with its scale where levels stand to scale."""
    label = to_label(axis.label, 60)
    log = (LOG + (" but for 0" if 0 in axis.levels else "")) if axis.is_logarithmic else ""
    return f"{label[:1].upper()}{label[1:]}{log if is_scaled else ''}"


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
    low, high = axes.get_xlim()
    room = min(after - before for before, after in pairwise(ticks)) * inches / (high - low)
    every, slant = 1, dict[str, Any]()
    if room < _CHARACTER * (1 + max(map(len, labels))):
        every = math.ceil(_SLANTED / room)
        slant = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
    axes.set_xticks(ticks[::every], labels[::every], **slant)
