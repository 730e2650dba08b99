"""Two axes: a cell per experiment. With a third one that has few levels, a heat map for each."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fmgrid.analysis.effects import as_good_as_best
from fmgrid.analysis.statistics import Estimate, estimate
from fmgrid.analysis.study import Axis, Group, Repeated, level_of, show_level
from fmgrid.plots.configurations import highest_first
from fmgrid.plots.levels import LEAST, METRIC
from fmgrid.plots.paper import (
    BLACK,
    COLOUR_MAP,
    GREY,
    WHITE,
    ink_on,
    new_figure,
    readable,
    settled,
    styled,
)
from fmgrid.plots.scales import label_levels, level_texts, main_stretch
from fmgrid.plots.wording import have_intervals, listed, percent_of, repeats
from fmgrid.words import counted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap, Normalize
    from matplotlib.figure import Figure

_MOST_PLANES = 6
_ROOM = 5.4  # inches for cells
_WIDE, _NARROW = 0.6, 0.36  # inches of a cell that has room for two lines, for one
_HIGH, _MIDDLE, _LOW = 0.46, 0.28, 0.2  # inches of a row with two lines of text, one, none
_TALL = 16  # rows; more are kept low
_LEAST_HEIGHT = 1.5  # inches that the label of the colours takes
_INSET = 0.05  # of a cell, between its edge and a frame
_LONGEST_LIST = 60  # characters that a title has room for
_MOST_ROW_LABELS = 60


@dataclass(frozen=True)
class Plane:
    """What one heat map shows."""

    title: str
    row: Axis
    column: Axis
    members: Sequence[Repeated]

    def placed(self) -> Iterator[tuple[int, int, Repeated | None]]:
        """Yield what is in each cell, after its row and column."""
        cells = {
            (level_of(one, self.row.name), level_of(one, self.column.name)): one
            for one in self.members
        }
        for y, below in enumerate(self.row.levels):
            for x, beside in enumerate(self.column.levels):
                yield y, x, cells.get((below, beside))


@dataclass(frozen=True)
class Scale:
    """What the colours mean; *extend* says beyond which end cells lie far from the others."""

    colours: "Colormap"
    norm: "Normalize"
    extend: str

    def fill(self, found: Estimate | None) -> str:
        """Return the colour of a cell."""
        from matplotlib.colors import to_hex

        return GREY if found is None else to_hex(self.colours(self.norm(100 * found.mean)))


@styled
def plot_heatmap(group: Group) -> "Figure | None":
    """Return the mean accuracy of every cell of a factorial group of two axes, or three."""
    found = planes(group)
    if not found:
        return None
    row, column = found[0].row, found[0].column
    across = max(1, min(len(found), int(_ROOM / (_WIDE * len(column.levels)))))
    down = math.ceil(len(found) / across)
    width = _ROOM / (across * len(column.levels))
    if len(row.levels) > _TALL:
        width = min(width, _NARROW)
    height = len(row.levels) * (_HIGH if width >= _WIDE else _MIDDLE if width >= _NARROW else _LOW)
    figure = new_figure(
        f"Mean accuracy by {_all_axes(group)}", 1.1 + max(_LEAST_HEIGHT, down * (height + 0.3))
    )
    grid = list(figure.subplots(down, across, squeeze=False, sharex=True, sharey=True).flat)
    scale = _scale(group)
    marks = _marks(group)
    for axes, plane in zip(grid, found, strict=False):
        _draw_cells(axes, plane, scale, width)
        _frame_cells(axes, plane, scale, marks)
        axes.set_title(plane.title)
    _label_rows(grid[0], row)
    for axes in grid[len(found) :]:
        axes.set_visible(False)
    for axes in grid[-across:]:
        centres = {level: number + 0.5 for number, level in enumerate(column.levels)}
        label_levels(axes, centres, _ROOM / across)
    figure.supxlabel(_label(column), fontsize=8.5)
    figure.supylabel(_label(row), fontsize=8.5)
    _add_bar(figure, grid, scale)
    return settled(figure)


def describe_heatmap(group: Group) -> str:
    """Return what the picture shows, in words and figures."""
    found = highest_first(group.distinct, METRIC)
    members = [one for one, _ in found]
    parts = [
        _meaning_of_cells(members),
        f"Highest is {_levels(group, members[0])} at {percent_of(found[0][1])}.",
        f"Lowest is {_levels(group, members[-1])} at {percent_of(found[-1][1])}.",
        _meaning_of_frames(group, members),
    ]
    if _scale(group).extend != "neither":
        parts.append("The colours end before cells that lie far from the others.")
    if without := len(group.distinct) - len(found):
        parts.append(f"Grey: {counted(without, 'cell')} without a measured accuracy.")
    return " ".join(parts)


def planes(group: Group) -> list[Plane]:
    """Return the heat maps that show a group; none where it has another shape or too many axes."""
    if group.shape != "factorial" or not highest_first(group.distinct, METRIC):
        return []
    match group.axes:
        case [row, column]:
            return [Plane("", row, column, group.distinct)]
        case [_, _, _]:
            beside = min(group.axes, key=lambda axis: len(axis.levels))
            row, column = (axis for axis in group.axes if axis is not beside)
            found = [
                Plane(readable(f"{beside.name} {show_level(level)}", 40), row, column, members)
                for level, members in group.at(beside).items()
            ]
            return found if len(found) <= _MOST_PLANES else []
    return []


def _scale(group: Group) -> Scale:
    from matplotlib import colormaps
    from matplotlib.colors import Normalize

    means = [100 * found.mean for _, found in highest_first(group.distinct, METRIC)]
    low, high = main_stretch([(mean, mean) for mean in means], LEAST)
    extend = "min" if min(means) < low else "max" if max(means) > high else "neither"
    if high == low:
        low, high = low - 0.5, high + 0.5
    return Scale(colormaps[COLOUR_MAP], Normalize(low, high, clip=True), extend)


def _draw_cells(axes: "Axes", plane: Plane, scale: Scale, width: float) -> None:
    from matplotlib.patches import Rectangle

    for y, x, one in plane.placed():
        found = _estimate(one) if one else None
        fill = scale.fill(found)
        axes.add_patch(Rectangle((x, y), 1, 1, facecolor=fill, edgecolor="none"))
        if found is not None and width >= _NARROW:
            _write_cell(axes, (x + 0.5, y + 0.5), found, ink_on(fill), is_wide=width >= _WIDE)
    axes.set_xlim(0, len(plane.column.levels))
    axes.set_ylim(0, len(plane.row.levels))
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _estimate(one: Repeated) -> Estimate | None:
    """Return the mean with its whole interval; one that ends at 0 or 1 is wider than it looks."""
    series = one.series(METRIC)
    return estimate(series.values()) if series else None


def _label_rows(axes: "Axes", row: Axis) -> None:
    every = 1 + len(row.levels) // _MOST_ROW_LABELS
    labels = list(level_texts(row.levels).values())[::every]
    axes.set_yticks([number + 0.5 for number in range(0, len(row.levels), every)], labels)
    if not row.is_numeric:
        axes.invert_yaxis()  # words are read from the top


def _write_cell(
    axes: "Axes", place: tuple[float, float], found: Estimate, ink: str, *, is_wide: bool
) -> None:
    style: dict[str, Any] = {"color": ink, "ha": "center", "textcoords": "offset points"}
    mean = f"{100 * found.mean:.1f}"
    if found.low is None or not is_wide:
        axes.annotate(mean, place, (0, 0), va="center", fontsize=7.5, **style)
        return
    half = f"±{100 * (found.mean - found.low):.1f}"
    axes.annotate(mean, place, (0, -1), va="bottom", fontsize=8, **style)
    axes.annotate(half, place, (0, -2), va="top", fontsize=6.5, **style)


def _marks(group: Group) -> tuple[set[str], set[str]]:
    """Return the names of the best experiments, and of those that are not told from them.

    The latter are left out where they are many, which frames would not set apart.
    """
    found = highest_first(group.distinct, METRIC)
    best = {one.name for one, estimated in found if estimated.mean == found[0][1].mean}
    members = [one for one, _ in found]
    equals = {one.name for one in as_good_as_best(members, METRIC)} - best
    return best, equals if len(equals) < len(members) / 3 else set()


def _frame_cells(
    axes: "Axes", plane: Plane, scale: Scale, marks: tuple[set[str], set[str]]
) -> None:
    """Frame the best cells in white within black, which shows on any colour, others thinly."""
    from matplotlib.patches import Rectangle

    best, equals = marks
    for y, x, one in plane.placed():
        lines: tuple[tuple[float, str], ...] = ()
        if one is not None and one.name in best:
            lines = (3.4, BLACK), (1.4, WHITE)
        elif one is not None and one.name in equals:
            lines = ((1.0, ink_on(scale.fill(one.estimate(METRIC)))),)
        for width, ink in lines:
            corner, side = (x + _INSET, y + _INSET), 1 - 2 * _INSET
            frame = Rectangle(corner, side, side, fill=False, edgecolor=ink, linewidth=width)
            axes.add_patch(frame)


def _add_bar(figure: "Figure", grid: "list[Axes]", scale: Scale) -> None:
    from matplotlib.cm import ScalarMappable

    mappable = ScalarMappable(scale.norm, scale.colours)
    bar = figure.colorbar(
        mappable, ax=grid, extend=scale.extend, label="Mean accuracy (%)", aspect=25
    )
    bar.outline.set_visible(False)


def _meaning_of_cells(members: Sequence[Repeated]) -> str:
    if not have_intervals(members, METRIC):
        return "A cell is the accuracy of one run, in %, so that no intervals can be given."
    return (
        f"A cell is the mean accuracy over {repeats(members, METRIC)}, in %, "
        "± half its 95% interval."
    )


def _meaning_of_frames(group: Group, members: Sequence[Repeated]) -> str:
    best, framed = _marks(group)
    highest = (
        "The thick frame marks the highest" if len(best) == 1 else "Thick frames mark the highest"
    )
    if not have_intervals(members, METRIC):
        return f"{highest}."
    tied = {one.name for one in as_good_as_best(members, METRIC)} - best
    equals = counted(len(tied), "other cell")
    test = "(paired t tests, corrected for all pairs, 5%)"
    if framed:
        return f"{highest}; thin ones {equals} that repeats do not tell from it {test}."
    return f"{highest}; repeats do not tell {equals} from it {test}."


def _levels(group: Group, one: Repeated) -> str:
    return listed((f"{axis.name} {show_level(level_of(one, axis.name))}" for axis in group.axes), 9)


def _all_axes(group: Group) -> str:
    text = listed(axis.label for axis in group.axes)
    if len(text) > _LONGEST_LIST:
        text = listed(axis.name for axis in group.axes)
    return readable(text, _LONGEST_LIST)


def _label(axis: Axis) -> str:
    label = readable(axis.label, 60)
    return label[:1].upper() + label[1:]
