"""Two axes: a cell per experiment. With a third one that has few levels, a heat map for each."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from fmgrid.analysis.experiments import Axis, ExperimentRuns, Group, best_first, level_of
from fmgrid.analysis.statistics import estimate
from fmgrid.plots import scales, style
from fmgrid.settings import show
from fmgrid.words import counted

ColourOf: TypeAlias = Callable[[float], str]  # of a mean

_MOST_PLANES = 6
_ROOM = 5.4  # inches for cells
_WIDE, _NARROW = 0.6, 0.36  # inches of a cell that has room for two lines of text, for one
_HIGH, _LOW = 0.46, 0.2
_TALLEST = 8.0  # inches of a heat map
_LEAST_HEIGHT = 1.5  # inches that the label of the colours takes
_MOST_ROW_LABELS = 50


@dataclass(frozen=True)
class Plane:
    """The cells of one heat map."""

    title: str
    row: Axis
    column: Axis
    members: Sequence[ExperimentRuns]

    def cells(self) -> Iterator[tuple[tuple[int, int], ExperimentRuns]]:
        """Yield the place of each experiment: its column and its row."""
        columns, rows = self.column.levels, self.row.levels
        for one in self.members:
            x, y = level_of(one, self.column), level_of(one, self.row)
            yield (columns.index(x), rows.index(y)), one


@style.styled
def plot_heatmap(group: Group) -> style.Plot | None:
    """Plot the mean accuracy of every cell of a factorial group of two axes, or three."""
    planes = to_planes(group)
    if not planes:
        return None
    row, column = planes[0].row, planes[0].column
    across = max(1, min(len(planes), int(_ROOM / (_WIDE * len(column.levels)))))
    down = math.ceil(len(planes) / across)
    width = _ROOM / (across * len(column.levels))
    height = min(_HIGH if width >= _WIDE else 0.6 * _HIGH, _TALLEST / len(row.levels))
    lines = (width >= _NARROW and height >= _LOW) + (width >= _WIDE and height >= _HIGH)
    *names, last = (axis.name for axis in group.axes)
    title = style.to_label(f"Mean accuracy by {', '.join(names)} and {last}", 76)
    room = max(_LEAST_HEIGHT, down * (0.3 + height * len(row.levels)))
    figure = style.new_figure(title, 1.1 + room)
    grid = style.panels(figure, len(planes), across, share="xy")
    colour_of = _add_colours(figure, grid, group)
    best = max(value for one in group.members if (value := one.mean(scales.METRIC)) is not None)
    for axes, plane in zip(grid, planes, strict=True):
        _draw_cells(axes, plane, colour_of, best, lines)
    _label_rows(grid[0], row)
    for axes in grid[-across:]:
        axes.tick_params(labelbottom=True)
        places = {level: float(number) for number, level in enumerate(column.levels)}
        scales.label_levels(axes, places, _ROOM / across)
    figure.supxlabel(scales.axis_label(column, is_scaled=False))
    figure.supylabel(scales.axis_label(row, is_scaled=False))
    means = [mean for one in group.members if (mean := one.estimate(scales.METRIC))]
    counts = {mean.n for mean in means}
    bars = scales.over_seeds(counts)
    if lines > 1:
        bars = scales.intervals(counts, "± is half the 95% interval")
    caption = f"A cell is the mean accuracy in %, {bars}. A frame: the highest."
    without = len(group.members) - len(means)
    grey = f" Grey: {counted(without, 'cell')} without an accuracy." if without else ""
    return style.Plot(figure, caption + grey)


def to_planes(group: Group) -> list[Plane]:
    """Return the heat maps that show a group; none where it has another shape or too many axes."""
    if group.shape != "factorial" or not best_first(group.members, scales.METRIC):
        return []
    match group.axes:
        case [row, column]:
            return [Plane("", row, column, group.members)]
        case [_, _, _]:
            beside = min(group.axes, key=lambda axis: len(axis.levels))
            row, column = (axis for axis in group.axes if axis is not beside)
            if len(beside.levels) <= _MOST_PLANES:
                return [
                    Plane(f"{beside.name} {show(level)}", row, column, members)
                    for level, members in group.at(beside).items()
                ]
    return []


def _add_colours(figure: Figure, grid: list[Axes], group: Group) -> ColourOf:
    """Add a bar of colours, and return the colour of a mean; outliers have those of its ends."""
    means = [100 * mean for one in group.members if (mean := one.mean(scales.METRIC)) is not None]
    low, high = scales.near_span([(mean, mean) for mean in means])
    free = 0.5 if high == low else 0.0
    norm, colours = Normalize(low - free, high + free, clip=True), colormaps[style.COLOUR_MAP]
    extend = ("neither", "min", "max", "both")[(min(means) < low) + 2 * (max(means) > high)]
    shades, label = ScalarMappable(norm, colours), "Mean accuracy (%)"
    bar = figure.colorbar(shades, ax=grid, extend=extend, label=label, aspect=25)
    bar.outline.set_visible(False)
    return lambda mean: to_hex(colours(norm(100 * mean)))


def _draw_cells(axes: Axes, plane: Plane, colour_of: ColourOf, best: float, lines: int) -> None:
    """Draw cells with so many lines of text; the frame is white in black, legible on any colour."""
    for (x, y), one in plane.cells():
        values, fill, texts = one.series(scales.METRIC).values(), style.GREY, [""]
        if values:
            whole = estimate(values)  # not cut off at 0 or 1
            fill, texts = colour_of(whole.mean), [f"{100 * whole.mean:.1f}"]
            texts += [] if whole.low is None else [f"±{100 * (whole.mean - whole.low):.1f}"]
        style.draw_cell(axes, (x, y), fill, *texts[:lines])
        for ink, width in ((style.BLACK, 3.4), (style.WHITE, 1.4)):
            if one.mean(scales.METRIC) == best:
                frame = Rectangle((x - 0.44, y - 0.44), 0.88, 0.88, fill=False)
                frame.set(edgecolor=ink, linewidth=width)
                axes.add_patch(frame)
    axes.set_title(style.to_label(plane.title, 40))
    axes.set_xlim(-0.5, len(plane.column.levels) - 0.5)
    axes.set_ylim(-0.5, len(plane.row.levels) - 0.5)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _label_rows(axes: Axes, row: Axis) -> None:
    every = math.ceil(len(row.levels) / _MOST_ROW_LABELS)
    labels = list(scales.level_labels(row.levels).values())[::every]
    axes.set_yticks(range(0, len(row.levels), every), labels)
    if not row.is_numeric:
        axes.invert_yaxis()  # words are read from the top
