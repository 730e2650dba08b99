"""Where values stand along an axis, which of them it clips, and the words of captions."""

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from statistics import median
from typing import Any, Literal, TypeAlias

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from fmgrid.analysis.experiments import Axis
from fmgrid.analysis.statistics import Estimate
from fmgrid.plots.style import to_label, to_labels
from fmgrid.settings import show
from fmgrid.words import counted

Span: TypeAlias = tuple[float, float]  # low, high
Along: TypeAlias = Literal["x", "y"]

METRIC = "accuracy"
LOG = ", log scale"  # after the label of a logarithmic axis
LEAST = 2.0  # points of accuracy: an axis shows at least so many
UNMEASURED = " without an accuracy"  # in a caption, after the number of things

_LOG_FROM = 5  # largest by smallest value, beyond which an axis of measured values is logarithmic
_MARGIN = 0.06  # of the span, left free on both sides
_FAR = 10  # times the usual distance from the median, beyond which a value is clipped
_LEAST_FAR = 5.0  # points of accuracy
_DIGITS = (4, 6, 9, 17)  # of a level; the fewest that keep all levels apart
_CHARACTER = 0.074  # inches of a tick's label, on the safe side
_LONGEST_LEVEL = 20  # characters
_SLANTED = 0.18  # inches that a slanted label takes of an axis


def percent_span(estimate: Estimate) -> Span:
    """Return what the bar of an accuracy covers, in %."""
    low, high = estimate.span
    return max(0.0, 100 * low), min(100.0, 100 * high)


def limit_accuracies(axes: Axes, along: Along, spans: Sequence[Span]) -> None:
    """Limit an axis to most of the spans: outliers would squeeze the others."""
    (axes.set_xlim if along == "x" else axes.set_ylim)(*padded(near_span(spans), LEAST))


def draw_accuracy(axes: Axes, along: Along, at: float, estimate: Estimate, **look: Any) -> None:
    """Draw a mean with its interval; one beyond the axis is an arrow at its edge."""

    def draw(values: Sequence[float], **look: Any) -> None:
        places = [at] * len(values)
        axes.plot(*((values, places) if along == "x" else (places, values)), **look)

    low, high = axes.get_xlim() if along == "x" else axes.get_ylim()
    mean = 100 * estimate.mean
    if low <= mean <= high:
        if estimate.low is not None:
            draw(percent_span(estimate), color=look["color"], solid_capstyle="butt")
        draw([mean], **look)
    else:
        arrow = ("<>" if along == "x" else "v^")[int(mean > high)]
        edge = min(max(mean, low), high)
        draw([edge], **look | {"marker": arrow, "fillstyle": "full", "clip_on": False})


def beyond(axes: Axes, along: Along, estimates: Sequence[Estimate]) -> str:
    """Return sentences on what lies beyond an axis, nothing where all is shown."""
    low, high = axes.get_xlim() if along == "x" else axes.get_ylim()
    inside = [percent_span(one) for one in estimates if low <= 100 * one.mean <= high]
    outside = len(estimates) - len(inside)
    arrows = f" Arrows: {counted(outside, 'value')} beyond the axis." if outside else ""
    is_cut = any(span[0] < low or span[1] > high for span in inside)
    return arrows + (" Longer bars are cut off." if is_cut else "")


def padded(span: Span, least: float) -> Span:
    """Return the span with a margin, at least *least* wide."""
    low, high = span
    free = max((high - low) * _MARGIN, (least - (high - low)) / 2)
    return low - free, high + free


def near_span(spans: Sequence[Span]) -> Span:
    """Return the span that holds all spans but for outliers, which would squeeze the others."""
    lows, highs = zip(*spans, strict=True)
    return min(_near(lows)), max(_near(highs))


def is_wide(values: Sequence[float]) -> bool:
    """Return whether values are best seen on a logarithmic axis: one rule for all pictures."""
    return min(values) > 0 and max(values) > _LOG_FROM * min(values)


def scale_values(axes: Axes, along: Along, values: Sequence[float], *, log: bool) -> None:
    """Set the limits of an axis so that it shows all values, with plain numbers beside it."""
    low, high = min(values), max(values)
    if not log:
        axes.set(**{f"{along}lim": padded((low, high), 0.1 * (abs(high) or 1.0))})
        return
    factor = (high / low) ** _MARGIN if high > low else 1.1
    axes.set(**{f"{along}scale": "log", f"{along}lim": (low / factor, high * factor)})
    line = axes.xaxis if along == "x" else axes.yaxis
    line.set_major_locator(LogLocator(subs=(1, 2, 3, 5) if high < 10 * low else (1, 3)))
    line.set_minor_locator(NullLocator())
    line.set_major_formatter(FuncFormatter(lambda tick, _: f"{tick:,.10g}"))


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


def level_labels(levels: Iterable[Any]) -> dict[Any, str]:
    """Return a label for each level, in as few digits as keep them apart."""
    levels = list(levels)
    for digits in _DIGITS:
        texts = {
            level: f"{level:.{digits}g}" if isinstance(level, float) else show(level)
            for level in levels
        }
        if len(set(texts.values())) == len(levels):
            break
    labels = to_labels(texts.values(), _LONGEST_LEVEL)
    return {level: labels[text] for level, text in texts.items()}


def label_levels(axes: Axes, places: dict[Any, float], inches: float) -> None:
    """Write levels below an axis of so many inches, slanted or not all where room is scarce."""
    labels = level_labels(places)
    low, high = axes.get_xlim()
    ordered = sorted(places, key=places.__getitem__)
    apart = min(places[after] - places[before] for before, after in pairwise(ordered))
    room = apart * inches / (high - low)
    style: dict[str, Any] = {}
    if room < _CHARACTER * (1 + max(map(len, labels.values()))):
        style = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
        ordered = ordered[:: math.ceil(_SLANTED / room)]
    axes.set_xticks(
        [places[level] for level in ordered], [labels[level] for level in ordered], **style
    )


def over_seeds(counts: Iterable[int]) -> str:
    """Say over how many seeds means are: "over 10 seeds", "over 1 to 3 seeds"."""
    fewest, most = min(counts := set(counts)), max(counts)
    return f"over {counted(most, 'seed')}" if fewest == most else f"over {fewest} to {most} seeds"


def intervals(counts: Iterable[int], mean: str = "bars are 95% intervals") -> str:
    """Say what intervals look like, and over how many seeds they are."""
    counts = set(counts)
    if counts == {1}:
        return "one run each, so that there are no intervals"
    return f"{mean} {over_seeds(counts)}{' (of one run there is none)' if 1 in counts else ''}"


def left_out(number: int, noun: str, which: str = "") -> str:
    """Return a sentence on what a picture leaves out, nothing where that is none."""
    return f" {counted(number, noun)}{which} left out." if number else ""


def _near(values: Sequence[float]) -> Sequence[float]:
    """Return the values near their median; all where more than a third are far from it.

    Far is beyond ten times the usual (median) distance.
    """
    middle = median(values)
    usual = median(abs(value - middle) for value in values)
    far = max(_FAR * usual, _LEAST_FAR)
    near = [value for value in values if abs(value - middle) <= far]
    return near if 3 * len(near) >= 2 * len(values) else values
