"""The look of all pictures: ink, colours, labels, legends, and how a figure becomes a file.

Text and axes are drawn in one ink on no background: a page replaces it by its own text colour.
Data colours have a contrast of at least 3 to white and to near-black. Nothing here changes
matplotlib for others or is changed by a user's matplotlibrc, and equal figures give equal bytes.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, wraps
from io import BytesIO
from typing import Any, NamedTuple, ParamSpec

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font
from matplotlib.patches import Rectangle

from fmgrid.pages.document import INK
from fmgrid.plots.library import matplotlib
from fmgrid.words import shortened

GREY = "#808080"  # what stands behind
BLACK, WHITE = "#101010", "#fafafa"  # on cells, whose colour no mode of a page changes
# Okabe and Ito's, without those that are too light on white, their sky blue darker, and two that
# everyone can tell from these.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#4a9ad4", "#8a3ffc", "#d2003c")
MARKERS = ("o", "s", "^", "D", "v", "P", "d", "X", "p", "h")
LINES = ("-", "--", "-.", (0, (1, 1)), (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (3, 3)))
COLOUR_MAP = "cividis"  # perceptually uniform, and the same to the colour-blind
SMALL = 7.5  # points of text beside marks
MOST_LOOKS = 2 * len(MARKERS)  # filled, then hollow: the shape alone tells so many things apart
MOST_CURVES = 8  # that a legend names

_WIDTH = 7.2  # inches
_LONGEST = 30  # characters of a label
_LIGHT = 0.18  # luminance on which black and white are equally legible
_CELL = 0.96  # of the room for it
_TITLE = 0.3  # inches above all else
_INKED = ("axes.edgecolor", "axes.labelcolor", "text.color", "xtick.color", "ytick.color")
_STYLE: dict[Any, Any] = {
    **dict.fromkeys(_INKED, INK),
    "axes.axisbelow": True,
    "axes.facecolor": "none",
    "axes.formatter.limits": (-7, 9),
    "axes.formatter.useoffset": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 9,
    "figure.dpi": 150,
    "figure.facecolor": "none",
    "figure.labelsize": 8.5,
    "figure.titlesize": 11,
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same on every machine
    "font.size": 8.5,
    "grid.alpha": 0.25,
    "grid.color": GREY,
    "legend.borderaxespad": 0,
    "legend.fontsize": SMALL,
    "legend.frameon": False,
    "legend.title_fontsize": SMALL,
    "lines.markersize": 4.5,
    "svg.fonttype": "path",
    "svg.hashsalt": "fmgrid",
    "text.parse_math": False,  # a dollar in a name is a dollar
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
}

_P = ParamSpec("_P")


class Plot(NamedTuple):
    """A figure, and the line that says what is drawn."""

    figure: Figure
    caption: str


@dataclass(frozen=True)
class Drawn:
    """A picture with what stands below it."""

    name: str  # stem of its file
    title: str
    caption: str
    figure: Figure
    group: str | None = None  # title of the group that it shows, None for all


def styled(draw: Callable[_P, Plot | None]) -> Callable[_P, Plot | None]:
    """Give what *draw* makes fmgrid's look, and fix its layout: saving it changes nothing."""

    @wraps(draw)
    def drawn(*args: _P.args, **kwargs: _P.kwargs) -> Plot | None:
        with in_style():
            plot = draw(*args, **kwargs)
            if plot is not None:
                plot.figure.draw_without_rendering()
                plot.figure.set_layout_engine("none")
            return plot

    return drawn


@contextmanager
def in_style() -> Iterator[None]:
    """Give matplotlib fmgrid's settings, and take them away again."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield


def new_figure(title: str, height: float) -> Figure:
    """Return an empty figure of the usual width; *height* is in inches."""
    figure = Figure(figsize=(_WIDTH, height))
    figure.set_layout_engine("constrained", rect=(0, 0, 1, 1 - _TITLE / height))
    figure.suptitle(title, x=0.006, y=1 - 0.06 / height, ha="left", va="top")
    return figure


def panels(figure: Figure, count: int, columns: int, share: str = "") -> list[Axes]:
    """Return the axes of so many panels, row by row; they share "x", "y" or "xy"."""
    rows, x, y = math.ceil(count / columns), "x" in share, "y" in share
    axes = list(figure.subplots(rows, columns, squeeze=False, sharex=x, sharey=y).flat)
    for spare in axes[count:]:
        spare.remove()
    return axes[:count]


def add_legend(figure: Figure, handles: Sequence[Artist]) -> None:
    """Write the legend between the title and all axes, in four columns."""
    top = 1 - _TITLE / figure.get_figheight()
    place: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (0, top), "ncols": 4}
    legend = figure.legend(handles=list(handles), **place)
    legend.set_in_layout(False)
    below = legend.get_window_extent().y0 / figure.bbox.height
    figure.set_layout_engine("constrained", rect=(0, 0, 1, below))


def name_curves(axes: Axes, curves: Sequence[Artist], title: str = "") -> None:
    """Name curves right of the axes, in the given order."""
    place: dict[str, Any] = {"loc": "center left", "bbox_to_anchor": (1, 0.5)}
    axes.legend(handles=list(curves), title=title or None, alignment="left", **place)


def write_rows(axes: Axes, labels: Sequence[str], figures: Sequence[str]) -> None:
    """Write a label left of each row, and its figures right of it; the first row is at the top."""
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.set_yticks(range(len(labels)), labels)
    right = axes.secondary_yaxis("right")
    right.set_yticks(range(len(figures)), figures, fontsize=SMALL)
    right.spines[:].set_visible(False)
    for side in (axes, right):
        side.tick_params("y", length=0)


def draw_cell(
    axes: Axes, place: tuple[int, int], fill: str, text: str = "", note: str = ""
) -> None:
    """Fill the cell around a place, and write into it; a note stands below, in smaller type."""
    corner = place[0] - _CELL / 2, place[1] - _CELL / 2
    axes.add_patch(Rectangle(corner, _CELL, _CELL, facecolor=fill, edgecolor="none"))
    ink = ink_on(fill)
    write(axes, text, place, -1 if note else 0, va="bottom" if note else "center", color=ink)
    write(axes, note, place, -2, va="top", color=ink, fontsize=6.5)


def write(axes: Axes, text: str, place: tuple[float, float], above: float, **look: Any) -> None:
    """Write a text so many points above a place."""
    look = {"fontsize": SMALL, "ha": "center", **look}
    axes.annotate(text, place, (0, above), textcoords="offset points", **look)


def to_svg(figure: Figure) -> str:
    """Return the figure as SVG without a background; all text is in `INK`."""
    return _save(figure, format="svg", metadata={"Date": None, "Creator": None}).decode()


def to_png(figure: Figure) -> bytes:
    """Return the figure as PNG on white."""
    return _save(figure, format="png", metadata={"Software": None}, facecolor="white")


def to_labels(texts: Iterable[str], limit: int = _LONGEST) -> dict[str, str]:
    """Return a label for each text: short, on one line, in the font's characters, and its own."""
    in_font = {text: _in_font(text) for text in texts}
    short = shortened(in_font.values(), limit)
    return {text: short[label] for text, label in in_font.items()}


def to_label(text: str, limit: int = _LONGEST) -> str:
    """Return the label of one text."""
    return to_labels([text], limit)[text]


def ink_on(fill: str) -> str:
    """Return the ink, black or white, that is legible on a colour in both modes of a page."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(fill)]  # noqa: PLR2004
    luminance = sum(share * c for share, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
    return BLACK if luminance > _LIGHT else WHITE


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
        {"color": to_hex(ramp(at / max(1, count - 1))), "linestyle": LINES[at % len(LINES)]}
        for at in range(count)
    ]


def _save(figure: Figure, **options: Any) -> bytes:
    file = BytesIO()
    with in_style():
        figure.savefig(file, **options)
    return file.getvalue()


@lru_cache
def _characters() -> frozenset[int]:
    return frozenset(get_font(findfont("DejaVu Sans")).get_charmap())


def _in_font(text: str) -> str:
    has = _characters()
    return "".join(
        c if ord(c) in has and c.isprintable() else c.encode("unicode_escape").decode()
        for c in text
    )
