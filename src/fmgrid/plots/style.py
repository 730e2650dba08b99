"""What all pictures share: colours, labels, scales, the words of captions, and their files.

Text and axes are drawn in one ink on no background: a page replaces it by its own text colour.
Data colours have a contrast of at least 3 to white and to near-black. Nothing here changes
matplotlib for others or is changed by a user's matplotlibrc, and equal figures give equal bytes.
"""

import math
from collections.abc import Collection, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from statistics import median
from typing import Any, Literal, TypeAlias

import matplotlib
from matplotlib import colormaps
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import LinearSegmentedColormap, to_hex
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedLocator, NullLocator

from fmgrid.analysis.statistics import Estimate
from fmgrid.metrics import metric_of
from fmgrid.words import counted, shortened

Span: TypeAlias = tuple[float, float]  # low, high

METRIC = "accuracy"
LOG = ", log scale"  # after the label of a logarithmic axis

GREY = "#808080"  # what stands behind
BLACK, WHITE = "#101010", "#fafafa"  # on cells, whose colour no mode of a page changes
# Okabe and Ito's, without those that are too light on white, their sky blue darker, and two that
# everyone can tell from these.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#4a9ad4", "#8a3ffc", "#d2003c")
MARKERS = ("o", "s", "^", "D", "v", "P", "d", "X", "p", "h")
LINES = ("-", "--", "-.", (0, (1, 1)), (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (3, 3)))
COLOUR_MAP = "cividis"  # perceptually uniform, and the same to the colour-blind
SMALL = 8.0  # points of text beside marks
MOST_LOOKS = 2 * len(MARKERS)  # filled, then hollow: the shape alone tells so many things apart
MOST_CURVES = 8  # that a legend names

_SHEET = Path(__file__).with_name("fmgrid.mplstyle")
WIDTH = 4.8  # inches: where a phone shrinks a picture to its screen, text stays legible
LONGEST = 24  # characters of a label
_LIGHT = 0.48  # of the colour map, where black and white are equally legible
_CELL = 0.96  # of the room for it
_TITLE = 0.3  # inches above all else
# Inches of a legend's mark, of a letter of its text, and of a line of it
_KEY, _CHARACTER, _LINE = 0.55, 0.068, 0.18
_MOST_TICKS = 6  # of an axis
_LOG_FROM = 5  # largest by smallest value, beyond which an axis is logarithmic
_MARGIN = 0.06  # of the span, left free on both sides
_LEAST = 2.0  # points: an axis shows at least so many
_FAR = 10  # times the usual distance from the median, beyond which a value is clipped
_LEAST_FAR = 5.0  # points


@dataclass(frozen=True)
class Plot:
    """A picture with its caption."""

    figure: Figure
    caption: str
    name: str = ""  # stem of its file
    group: str | None = None  # title of the group that it shows, None for all

    @property
    def title(self) -> str:
        """What stands above it."""
        return self.figure.get_suptitle()


def in_style() -> AbstractContextManager[None]:
    """Give matplotlib fmgrid's settings, and take them away again."""
    return matplotlib.rc_context(fname=_SHEET)


def new_figure(title: str, height: float, keys: Sequence[Artist] = (), of: str = "") -> Figure:
    """Return an empty figure of the usual width; *height* is in inches, its legend aside.

    The legend, if any, stands between the title and all axes; *of* says what its keys are.
    """
    longest = max((len(str(key.get_label())) for key in keys), default=0)
    columns = max(1, int(WIDTH / (_KEY + _CHARACTER * longest)))
    height += _LINE * (math.ceil(len(keys) / columns) + bool(of))
    figure = Figure(figsize=(WIDTH, height))
    figure.suptitle(title, x=0.006, y=1 - 0.06 / height, ha="left", va="top")
    top = 1 - _TITLE / height
    if keys:
        place: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (0, top)}
        look: dict[str, Any] = {"title": of or None, "alignment": "left", "ncols": columns}
        legend = figure.legend(handles=list(keys), **place, **look)
        top = legend.get_window_extent().y0 / figure.bbox.height
    figure.set_layout_engine("constrained", rect=(0, 0, 1, top))
    return figure


def panels(figure: Figure, count: int, columns: int, share: str = "") -> list[Axes]:
    """Return the axes of so many panels, row by row; they share "x", "y" or "xy"."""
    rows, x, y = math.ceil(count / columns), "x" in share, "y" in share
    axes = list(figure.subplots(rows, columns, squeeze=False, sharex=x, sharey=y).flat)
    for spare in axes[count:]:
        spare.remove()
    return axes[:count]


def name_curves(axes: Axes, curves: Sequence[Artist]) -> None:
    """Name curves right of the axes, in the given order."""
    axes.legend(handles=list(curves), loc="center left", bbox_to_anchor=(1, 0.5))


def write_rows(axes: Axes, labels: Sequence[str], figures: Sequence[str]) -> None:
    """Write a label left of each row, and its figures right of it; the first row is at the top."""
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.set_yticks(range(len(labels)), labels)
    axes.tick_params("y", length=0)
    place: dict[str, Any] = {"xycoords": axes.get_yaxis_transform(), "textcoords": "offset points"}
    for y, text in enumerate(figures):
        axes.annotate(text, (1, y), (4, 0), va="center_baseline", fontsize=SMALL, **place)


def draw_cell(axes: Axes, place: tuple[int, int], shade: float | None, text: str) -> None:
    """Fill the cell around a place with a shade from 0 to 1, or grey, and write into it."""
    fill = GREY if shade is None else colormaps[COLOUR_MAP](shade)
    corner = place[0] - _CELL / 2, place[1] - _CELL / 2
    axes.add_patch(Rectangle(corner, _CELL, _CELL, facecolor=fill, edgecolor="none"))
    look: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": SMALL}
    axes.text(*place, text, color=ink_on(shade or 0.0), **look)


def ink_on(shade: float) -> str:
    """Return the ink, black or white, that is legible on a shade in both modes of a page."""
    return BLACK if shade > _LIGHT else WHITE


def to_labels(texts: Iterable[str], limit: int = LONGEST) -> dict[str, str]:
    """Return a label for each text: short, on one line, in the font's characters, and its own."""
    known = get_font(findfont("DejaVu Sans")).get_charmap()
    in_font = {
        text: "".join(
            c if ord(c) in known and c.isprintable() else c.encode("unicode_escape").decode()
            for c in text
        )
        for text in texts
    }
    short = shortened(in_font.values(), limit)
    return {text: short[label] for text, label in in_font.items()}


def to_label(text: str, limit: int = LONGEST) -> str:
    """Return the label of one text."""
    return to_labels([text], limit)[text]


def look(number: int) -> dict[str, Any]:
    """Return colour, marker and filling of the *number*-th of at most `MOST_LOOKS` things."""
    return {
        "color": COLOURS[number % len(COLOURS)],
        "marker": MARKERS[number % len(MARKERS)],
        "fillstyle": "full" if number < len(MARKERS) else "none",
    }


def looks_in_order(count: int) -> list[dict[str, Any]]:
    """Return the colours and strokes of curves that have an order, from blue to orange."""
    stops = ["#2f7fd6", "#8a66d6", "#c0549e", "#d4574f", "#c97800"]
    ramp = LinearSegmentedColormap.from_list("ramp", stops)
    return [
        {"color": to_hex(ramp(number / max(1, count - 1))), "linestyle": LINES[number % len(LINES)]}
        for number in range(count)
    ]


def in_unit(estimate: Estimate, metric: str) -> Estimate:
    """Return an estimate as pictures show it: a fraction in %, with an interval up to 0 and 100."""
    if not metric_of(metric).is_fraction:
        return estimate
    low = None if estimate.low is None else max(0.0, 100 * estimate.low)
    high = None if estimate.high is None else min(100.0, 100 * estimate.high)
    return replace(estimate, mean=100 * estimate.mean, low=low, high=high)


def label_of(metric: str, before: str = "", after: str = "") -> str:
    """Return the label of a metric among other words, with a capital letter: "Accuracy by ..."."""
    return _capital(f"{before}{metric_of(metric).label}{after}")


def with_unit(metric: str, before: str = "") -> str:
    """Return the label of a metric with the unit of pictures: "Accuracy (%)"."""
    return label_of(metric, before, " (%)" if metric_of(metric).is_fraction else "")


def _capital(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"


def unmeasured(metric: str) -> str:
    """Return the words of a caption after the number of things without a metric."""
    label = metric_of(metric).label
    return f" without {'an accuracy' if label == METRIC else label}"


def write(value: float, metric: str, digits: int = 3) -> str:
    """Write a figure in the unit of pictures; *digits* are for one that is not in %."""
    is_fraction = metric_of(metric).is_fraction
    return f"{value:.1f}" if is_fraction else f"{value:#.{digits}g}".rstrip(".")


def limits_of(estimates: Iterable[Estimate], metric: str) -> Span:
    """Return limits around most figures: outliers would squeeze the others."""
    return padded(*near_span([estimate.span for estimate in estimates], metric), metric)


def padded(low: float, high: float, metric: str = METRIC) -> Span:
    """Return the limits of an axis that shows a span."""
    free = max((high - low) * _MARGIN, (_LEAST * _point((low, high), metric) - (high - low)) / 2)
    return low - free, high + free


def near_span(spans: Sequence[Span], metric: str = METRIC) -> Span:
    """Return the span that holds all spans but for outliers."""
    lows, highs = zip(*spans, strict=True)
    return min(_near(lows, metric)), max(_near(highs, metric))


def _point(values: Sequence[float], metric: str) -> float:
    """Return a point of a percentage, and of other metrics a hundredth of the largest value."""
    return 1.0 if metric_of(metric).is_fraction else max(map(abs, values)) / 100 or 1.0


def _near(values: Sequence[float], metric: str) -> Sequence[float]:
    """Return the values near their median; all where more than a third are far from it.

    Far is beyond ten times the usual (median) distance.
    """
    middle = median(values)
    usual = median(abs(value - middle) for value in values)
    far = max(_FAR * usual, _LEAST_FAR * _point(values, metric))
    near = [value for value in values if abs(value - middle) <= far]
    return near if 3 * len(near) >= 2 * len(values) else values


def draw_mean(
    axes: Axes, along: Literal["x", "y"], place: float, estimate: Estimate, **look: Any
) -> None:
    """Draw a mean with its interval; one beyond the axis is an arrow at its edge."""

    def draw(values: Sequence[float], **look: Any) -> None:
        places = [place] * len(values)
        axes.plot(*((values, places) if along == "x" else (places, values)), **look)

    low, high = axes.get_xlim() if along == "x" else axes.get_ylim()
    mean = estimate.mean
    if low <= mean <= high:
        if estimate.low is not None:
            draw(estimate.span, color=look["color"], solid_capstyle="butt")
        draw([mean], **look)
    else:
        arrow = ("<>" if along == "x" else "v^")[int(mean > high)]
        edge = min(max(mean, low), high)
        draw([edge], **look | {"marker": arrow, "fillstyle": "full", "clip_on": False})


def beyond(limits: Span, means: Collection[Estimate]) -> str:
    """Return sentences on the means beyond an axis, nothing where all are shown."""
    low, high = limits
    inside = [mean.span for mean in means if low <= mean.mean <= high]
    outside = len(means) - len(inside)
    arrows = f" Arrows: {counted(outside, 'value')} beyond the axis." if outside else ""
    is_cut = any(span[0] < low or span[1] > high for span in inside)
    return arrows + (" Longer bars are cut off." if is_cut else "")


def is_wide(values: Sequence[float]) -> bool:
    """Return whether values are best seen on a logarithmic axis: one rule for all pictures."""
    return min(values) > 0 and max(values) > _LOG_FROM * min(values)


def scale_x(axes: Axes, label: str, values: Sequence[float], ticks: int = _MOST_TICKS) -> None:
    """Label the horizontal axis, which is logarithmic, with few ticks, if its values need it."""
    log = is_wide(values)
    axes.set_xlabel(label + (LOG if log else ""))
    if log:
        axes.set_xscale("log")
        set_log_ticks(axes.xaxis, values, ticks)


def set_log_ticks(axis: Axis, values: Sequence[float], most: int = _MOST_TICKS) -> None:
    """Write plain numbers beside a logarithmic axis: up to *most* round ones."""
    low, high = min(values), max(values)
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    powers = [10.0**power for power in range(first, last + 1)]
    for digits in ((1, 1.5, 2, 3, 4, 5, 6, 8), (1, 2, 3, 5), (1, 2, 5), (1, 3), (1,)):
        ticks = [power * digit for power in powers for digit in digits]
        ticks = [tick for tick in ticks if low / 1.1 <= tick <= 1.1 * high]
        if len(ticks) <= most:
            break
    axis.set_major_locator(FixedLocator(ticks[:: math.ceil(len(ticks) / most)]))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter("{x:,.10g}")


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


def means(marks: str, counts: Iterable[int], bars: str = "bars", more: str = "") -> str:
    """Return a sentence on what marks are, and over how many seeds: "Diamonds", "Curves"."""
    counts = set(counts)
    if counts == {1}:
        return f"{marks} are single runs: there are no intervals."
    return f"{marks} are means{more}; {intervals(counts, f'{bars} are 95% intervals')}."


def left_out(number: int, noun: str, which: str = "") -> str:
    """Return a sentence on what a picture leaves out, nothing where that is none."""
    return f" {counted(number, noun)}{which} left out." if number else ""


def to_svg(figure: Figure) -> str:
    """Return the figure as SVG without a background; all text is in the ink."""
    return _save(figure, format="svg", metadata={"Date": None, "Creator": None}).decode()


def to_png(figure: Figure) -> bytes:
    """Return the figure as PNG on white."""
    return _save(figure, format="png", metadata={"Software": None}, facecolor="white")


def _save(figure: Figure, **options: Any) -> bytes:
    file = BytesIO()
    with in_style():
        figure.savefig(file, **options)
    return file.getvalue()
