"""Where values stand: levels along an axis, axes that are broken, ticks of logarithmic ones."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from fmgrid.analysis.study import Axis, show_level
from fmgrid.pages.document import INK
from fmgrid.plots.paper import readable, tell_apart, text_width

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Span: TypeAlias = tuple[float, float]  # low, high

_MARGIN = 0.06  # of the span, left free on both sides
_RATIO = {"x": 6, "y": 4}  # how much longer the main part of a broken axis is than the other
_TICK_SIZE = 8.0  # points
_SLANTED = 0.25  # inches that a slanted label takes of an axis
_FEWEST_TICKS = 3
_DIGITS = (4, 6, 9, 17)  # of a level; the fewest that keep all levels apart


def stretches(spans: Sequence[Span], least: float) -> list[Span]:
    """Return the stretch of an axis that holds all spans, or two if a few lie far from the rest.

    Far is further than the rest extends, and than *least*; few is fewer than the rest. The
    axis is then broken between them, because the rest would be a line otherwise.
    """
    ordered = sorted(spans)
    best: tuple[float, int] | None = None
    for cut in range(1, len(ordered)):
        below, above = ordered[:cut], ordered[cut:]
        if len(below) == len(above):
            continue
        gap = above[0][0] - max(high for _, high in below)
        rest = _hull(max(below, above, key=len))
        if gap > max(rest[1] - rest[0], least) and (best is None or gap > best[0]):
            best = gap, cut
    parts = [ordered] if best is None else [ordered[: best[1]], ordered[best[1] :]]
    return [_hull(part) for part in parts]


def main_stretch(spans: Sequence[Span], least: float) -> Span:
    """Return the stretch that holds most spans."""
    return max(
        stretches(spans, least),
        key=lambda found: sum(found[0] <= low and high <= found[1] for low, high in spans),
    )


def value_axes(
    figure: "Figure", spans: Sequence[Span], along: Literal["x", "y"], least: float
) -> "list[Axes]":
    """Return axes on which all spans are legible: one, or two that share a broken axis.

    The lower stretch comes first. Everything is to be drawn on each of them.
    """
    found = stretches(spans, least)
    if len(found) == 1:
        axes = figure.subplots()
        _limit(axes, along, found[0], least)
        return [axes]
    main = found.index(main_stretch(spans, least))
    ratios = [_RATIO[along] if number == main else 1 for number in range(2)]
    if along == "x":
        parts = list(figure.subplots(1, 2, sharey=True, width_ratios=ratios))
    else:
        parts = list(figure.subplots(2, 1, sharex=True, height_ratios=ratios[::-1]))[::-1]
    for number, (part, (low, high)) in enumerate(zip(parts, found, strict=True)):
        free = 0.0 if number == main else 0.25 * max(high - low, least)
        _limit(part, along, (low - free, high + free), least)
    _thin_ticks(parts[1 - main], along)
    _mark_break(parts[0], parts[1], along)
    return parts


def level_places(axis: Axis) -> dict[Any, float]:
    """Return where each level of an axis stands: logarithms, numbers, or one after another.

    Zero, which has no logarithm, stands one step before the others.
    """
    if axis.is_logarithmic:
        above = [math.log10(level) for level in axis.levels if level]
        before = min(above) - (max(above) - min(above)) / (len(above) - 1)
        return {level: math.log10(level) if level else before for level in axis.levels}
    if axis.is_numeric:
        return {level: float(level) for level in axis.levels}
    return {level: float(number) for number, level in enumerate(axis.levels)}


def axis_label(axis: Axis) -> str:
    """Return what an axis says beside it."""
    label = readable(axis.label, 60)
    scale = ", log scale" if axis.is_logarithmic else ""
    if scale and 0 in axis.levels:
        scale += " but for 0"
    return f"{label[:1].upper()}{label[1:]}{scale}"


def level_texts(levels: Iterable[Any]) -> dict[Any, str]:
    """Return what a picture calls each level, in as few digits as tell them apart."""
    levels = list(levels)
    for digits in _DIGITS:
        texts = {
            level: f"{level:.{digits}g}" if isinstance(level, float) else show_level(level)
            for level in levels
        }
        if len(set(texts.values())) == len(levels):
            break
    labels = tell_apart(texts.values())
    return {level: labels[text] for level, text in texts.items()}


def label_levels(axes: "Axes", places: Mapping[Any, float], inches: float) -> None:
    """Write the levels below an axis of so many inches, as many as there is room for."""
    order = sorted(places, key=places.__getitem__)
    labels = level_texts(order)
    low, high = axes.get_xlim()
    scale = inches / abs(high - low)
    kept = _apart(
        order, {level: text_width(labels[level], _TICK_SIZE) for level in order}, places, scale
    )
    if len(kept) < len(order) and not all(isinstance(level, int | float) for level in order):
        kept = _apart(order, dict.fromkeys(order, _SLANTED), places, scale)
        axes.tick_params("x", labelrotation=30)
        options: dict[str, Any] = {"ha": "right", "rotation_mode": "anchor"}
    else:
        options = {}
    axes.set_xticks([places[level] for level in kept], [labels[level] for level in kept], **options)


def log_ticks(low: float, high: float) -> list[float]:
    """Return a few round numbers within a span of a logarithmic axis."""
    from matplotlib.ticker import MaxNLocator

    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1,), (1, 3), (1, 2, 5)):
        ticks = [step * 10.0**decade for decade in decades for step in steps]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if len(ticks) >= _FEWEST_TICKS:
            return ticks
    return [float(tick) for tick in MaxNLocator(4).tick_values(low, high) if low <= tick <= high]


def scale_by_logarithm(axes: "Axes", along: Literal["x", "y"], span: Span) -> None:
    """Make an axis logarithmic, with plain numbers beside it."""
    from matplotlib.ticker import NullFormatter, NullLocator

    low, high = span
    factor = (high / low) ** _MARGIN if high > low else 1.1
    ticks = log_ticks(low / factor, high * factor)
    labels = [f"{tick:,.0f}" if tick >= 10 else f"{tick:g}" for tick in ticks]  # noqa: PLR2004
    line = axes.xaxis if along == "x" else axes.yaxis
    (axes.set_xscale if along == "x" else axes.set_yscale)("log")
    line.set_ticks(ticks, labels)
    line.set_minor_locator(NullLocator())
    line.set_minor_formatter(NullFormatter())
    (axes.set_xlim if along == "x" else axes.set_ylim)(low / factor, high * factor)


def padded(span: Span, least: float) -> Span:
    """Return the span with a margin, at least *least* wide."""
    low, high = span
    free = max((high - low) * _MARGIN, (least - (high - low)) / 2)
    return low - free, high + free


def _hull(spans: Sequence[Span]) -> Span:
    return min(low for low, _ in spans), max(high for _, high in spans)


def _apart(
    order: Sequence[Any], widths: Mapping[Any, float], places: Mapping[Any, float], scale: float
) -> list[Any]:
    kept: list[Any] = []
    for level in order:
        if kept:
            needed = (widths[kept[-1]] + widths[level]) / 2 + 0.06
            if (places[level] - places[kept[-1]]) * scale < needed:
                continue
        kept.append(level)
    return kept


def _limit(axes: "Axes", along: Literal["x", "y"], span: Span, least: float) -> None:
    (axes.set_xlim if along == "x" else axes.set_ylim)(*padded(span, least))


def _thin_ticks(axes: "Axes", along: Literal["x", "y"]) -> None:
    from matplotlib.ticker import MaxNLocator

    (axes.xaxis if along == "x" else axes.yaxis).set_major_locator(
        MaxNLocator(2, steps=[1, 2, 5, 10])
    )


def _mark_break(lower: "Axes", upper: "Axes", along: Literal["x", "y"]) -> None:
    """Draw the two strokes that say that something of the axis is left out."""
    stroke: dict[str, Any] = {
        "marker": [(-1, -0.5), (1, 0.5)] if along == "y" else [(-0.5, -1), (0.5, 1)],
        "markersize": 7,
        "linestyle": "none",
        "color": INK,
        "markeredgewidth": 0.8,
        "clip_on": False,
    }
    if along == "y":
        upper.spines["bottom"].set_visible(False)
        upper.tick_params("x", bottom=False)
        upper.plot([0], [0], transform=upper.transAxes, **stroke)
        lower.plot([0], [1], transform=lower.transAxes, **stroke)
    else:
        upper.spines["left"].set_visible(False)
        upper.tick_params("y", left=False)
        upper.plot([0], [0], transform=upper.transAxes, **stroke)
        lower.plot([1], [0], transform=lower.transAxes, **stroke)
