"""The look of all pictures: ink, colours, labels, legends, and how a figure becomes a file.

Text and axes are drawn in one ink on no background: a page replaces it by its own text colour.
Data colours have a contrast of at least 3 to white and to near-black. Nothing here changes
matplotlib for others or is changed by a user's matplotlibrc, and equal figures give equal bytes.
"""

import math
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib import colormaps
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_hex
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font
from matplotlib.patches import Rectangle

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

_SHEET = Path(__file__).with_name("fmgrid.mplstyle")
_WIDTH = 7.2  # inches
_LONGEST = 30  # characters of a label
_LIGHT = 0.48  # of the colour map, where black and white are equally legible
_CELL = 0.96  # of the room for it
_TITLE = 0.3  # inches above all else


@dataclass(frozen=True)
class Plot:
    """A picture with what stands below it."""

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


def new_figure(title: str, height: float, keys: Sequence[Artist] = ()) -> Figure:
    """Return an empty figure of the usual width; *height* is in inches.

    Its legend, if any, stands in four columns between the title and all axes.
    """
    figure = Figure(figsize=(_WIDTH, height))
    figure.suptitle(title, x=0.006, y=1 - 0.06 / height, ha="left", va="top")
    top = 1 - _TITLE / height
    if keys:
        place: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (0, top), "ncols": 4}
        legend = figure.legend(handles=list(keys), **place)
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


def fix_layout(figure: Figure) -> None:
    """Lay a figure out once, so that saving it changes nothing."""
    if engine := figure.get_layout_engine():
        engine.execute(figure)
    figure.set_layout_engine("none")


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
    axes: Axes, place: tuple[int, int], shade: float | None, text: str = "", note: str = ""
) -> None:
    """Fill the cell around a place with a shade from 0 to 1, or grey, and write into it.

    A note stands below the text, in smaller type.
    """
    fill = GREY if shade is None else colormaps[COLOUR_MAP](shade)
    corner = place[0] - _CELL / 2, place[1] - _CELL / 2
    axes.add_patch(Rectangle(corner, _CELL, _CELL, facecolor=fill, edgecolor="none"))
    ink = ink_on(shade or 0.0)
    write(axes, text, place, -1 if note else 0, va="bottom" if note else "center", color=ink)
    write(axes, note, place, -2, va="top", color=ink, fontsize=6.5)


def ink_on(shade: float) -> str:
    """Return the ink, black or white, that is legible on a shade in both modes of a page."""
    return BLACK if shade > _LIGHT else WHITE


def write(axes: Axes, text: str, place: tuple[float, float], above: float, **look: Any) -> None:
    """Write a text so many points above a place."""
    look = {"fontsize": SMALL, "ha": "center", **look}
    axes.annotate(text, place, (0, above), textcoords="offset points", **look)


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


def to_labels(texts: Iterable[str], limit: int = _LONGEST) -> dict[str, str]:
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


def to_label(text: str, limit: int = _LONGEST) -> str:
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
        {"color": to_hex(ramp(at / max(1, count - 1))), "linestyle": LINES[at % len(LINES)]}
        for at in range(count)
    ]
