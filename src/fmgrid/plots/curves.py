"""What happens on the way: the validation loss by epoch, a panel per group."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fmgrid.analysis.statistics import Estimate, estimate
from fmgrid.analysis.study import Group, Repeated, Study, level_of, measured
from fmgrid.plots.paper import (
    GREY,
    LINES,
    new_figure,
    ramp,
    readable,
    settled,
    styled,
    tell_apart,
    write_beside,
)
from fmgrid.plots.scales import level_texts, padded, scale_by_logarithm
from fmgrid.plots.wording import by_images, named, over
from fmgrid.words import counted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FEW = 6  # lines that can all be named; of more the best, the middle and the worst
_MOST_PANELS = 24
_WIDE_RANGE = 3.0  # highest by lowest loss, beyond which the axis is logarithmic


@dataclass(frozen=True)
class Point:
    """A metric after an epoch, over seeds."""

    epoch: int
    found: Estimate
    images: int | None = None  # seen until then


@styled
def plot_learning_curves(study: Study) -> "Figure | None":
    """Return the validation loss after every epoch, a panel per group; None without epochs."""
    panels = _panels(study)
    if not panels:
        return None
    shown = panels[:_MOST_PANELS]
    columns = min(2, len(shown))
    lines = math.ceil(len(shown) / columns)
    figure = new_figure("Validation loss by epoch", 0.6 + 2.15 * lines)
    grid = figure.subplots(lines, columns, squeeze=False)
    for axes, (group, curves) in zip(grid.flat, shown, strict=False):
        _draw_panel(axes, group, curves)
    figure.supxlabel("Epoch", fontsize=8.5)
    figure.supylabel("Validation loss (nats)", fontsize=8.5)
    for axes in list(grid.flat)[len(shown) :]:
        axes.set_visible(False)
    figure.draw_without_rendering()
    for axes, (_, curves) in zip(grid.flat, shown, strict=False):
        _label_panel(axes, curves)
    return settled(figure)


def describe_learning_curves(study: Study) -> str:
    """Return what the picture shows, in words and figures."""
    panels = _panels(study)
    lines = [points for _, curves in panels for points in curves.values()]
    parts = [_meaning_of_lines(lines, "the band its 95% interval at each epoch")]
    for group, curves in panels[:_MOST_PANELS]:
        last = {name: points[-1] for name, points in curves.items()}
        others = len(curves) - len(_highlighted(curves))
        grey = f"; {counted(others, 'other')} in grey" if others else ""
        labels = _labels(group)
        drawn = [member for member in group.distinct if labels[member.name] in last]
        for lead, same in by_images(drawn, lambda member: member):
            names = [labels[member.name] for member in same]
            ends = {name: last[name].found.mean for name in names}
            best, worst = min(ends, key=ends.__getitem__), max(ends, key=ends.__getitem__)
            told = (
                f"{named(best)} ends lowest at {ends[best]:.3f}, "
                f"{named(worst)} highest at {ends[worst]:.3f}"
                if best != worst
                else f"{named(best)} ends at {ends[best]:.3f}"
            )
            parts.append(f"{_told(group)}: {lead}{told}{grey}.")
    if len(panels) > _MOST_PANELS:
        parts.append(f"{counted(len(panels) - _MOST_PANELS, 'group')} more left out.")
    return " ".join(parts)


def points_of(one: Repeated, metric: str) -> list[Point]:
    """Return the epochs that all runs with a history have, with the metric over them."""
    values: dict[int, list[float]] = defaultdict(list)
    images: dict[int, int | None] = {}
    curves = [rows for seed, rows in one.curves.items() if rows and seed in one.runs]
    for rows in curves:
        for row in rows:
            value = measured(row, metric)
            if value is not None and row.get("epoch") is not None:
                values[row["epoch"]].append(value)
                images[row["epoch"]] = row.get("images_seen")
    return [
        Point(epoch, estimate(values[epoch]), images[epoch])
        for epoch in sorted(values)
        if len(values[epoch]) == len(curves)
    ]


def _meaning_of_lines(lines: Sequence[Sequence[Point]], further: str) -> str:
    repeats = {point.found.n for points in lines for point in points}
    if repeats == {1}:
        return "A line is one run, so that no intervals can be drawn."
    return f"A line is the mean over {over(repeats)}, {further}."


def _told(group: Group) -> str:
    """Return a group's title, and what the labels of its lines are."""
    names = _names_of_lines(group)
    return named(group.title) + (f" ({named(names)})" if names else "")


def _names_of_lines(group: Group) -> str:
    if group.shape not in ("one axis", "factorial"):
        return ""
    names = " / ".join(axis.name for axis in group.axes)
    return "" if names == group.title else names


def _panels(study: Study) -> list[tuple[Group, dict[str, list[Point]]]]:
    found = []
    for group in study.groups:
        labels = _labels(group)
        curves = {
            labels[one.name]: points
            for one in group.distinct
            if len(points := points_of(one, "valid_loss")) > 1
        }
        if curves:
            found.append((group, curves))
    return found


def _labels(group: Group) -> dict[str, str]:
    """Return what tells each experiment from the others of its group, in few characters."""
    if group.shape not in ("one axis", "factorial"):
        return {one.name: one.name for one in group.distinct}
    texts = {axis.name: level_texts(axis.levels) for axis in group.axes}
    labels = {
        one.name: " / ".join(texts[name][level_of(one, name)] for name in texts)
        for one in group.distinct
    }
    return labels if len(set(labels.values())) == len(labels) else {name: name for name in labels}


def _highlighted(curves: dict[str, list[Point]]) -> list[str]:
    """Return the names of the lines that stand out, best first."""
    order = sorted(curves, key=lambda name: curves[name][-1].found.mean)
    return order if len(order) <= _FEW else [order[0], order[len(order) // 2], order[-1]]


def _draw_panel(axes: "Axes", group: Group, curves: dict[str, list[Point]]) -> None:
    bold = _highlighted(curves)
    for name in sorted(curves.keys() - set(bold)):
        line = [(point.epoch, point.found.mean) for point in curves[name]]
        axes.plot(*zip(*line, strict=True), color=GREY, linewidth=0.7, alpha=0.5)
    for number, (name, ink) in enumerate(zip(bold, ramp(len(bold)), strict=True)):
        points = curves[name]
        epochs = [point.epoch for point in points]
        ends = [point.found.span for point in points]
        axes.fill_between(
            epochs,
            [low for low, _ in ends],
            [high for _, high in ends],
            color=ink,
            alpha=0.2,
            linewidth=0,
        )
        style = LINES[number % len(LINES)]
        axes.plot(epochs, [point.found.mean for point in points], color=ink, linestyle=style)
    _limit_panel(axes, curves, bold)
    axes.set_title(_title(group))
    axes.grid(axis="y")


def _limit_panel(axes: "Axes", curves: dict[str, list[Point]], bold: Sequence[str]) -> None:
    shown = [point.found.mean for points in curves.values() for point in points]
    shown += [end for name in bold for point in curves[name] for end in point.found.span]
    if min(shown) > 0 and max(shown) / min(shown) > _WIDE_RANGE:
        scale_by_logarithm(axes, "y", (min(shown), max(shown)))
    else:
        axes.set_ylim(*padded((min(shown), max(shown)), 0.02))
    _whole_epochs(axes, max(points[-1].epoch for points in curves.values()))


def _label_panel(axes: "Axes", curves: dict[str, list[Point]]) -> None:
    bold = _highlighted(curves)
    last = [curves[name][-1] for name in bold]
    labels = tell_apart(bold, 24)
    ends = [
        (float(point.epoch), point.found.mean, labels[name], ink)
        for name, point, ink in zip(bold, last, ramp(len(bold)), strict=True)
    ]
    write_beside(axes, ends)


def _title(group: Group) -> str:
    names = _names_of_lines(group)
    title = readable(group.title, 24)
    return readable(f"{title}: {names}", 44) if names else title


def _whole_epochs(axes: "Axes", last: int) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_xlim(1 - 0.02 * last, last)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
