"""What all pictures share: ink, colours, labels, and how they become files.

Text and axes are drawn in one ink on no background, for a page to replace by its own colour of
text; data colours keep a contrast of 3 to white and to near-black alike. Nothing here changes
matplotlib for others, or is changed by a user's matplotlibrc, and equal figures are equal bytes.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import chdir, contextmanager, nullcontext
from functools import lru_cache, wraps
from importlib.util import find_spec
from io import BytesIO, StringIO
from os.path import commonprefix
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from fmgrid.pages.document import INK
from fmgrid.words import without_middle

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GREY = "#808080"  # what stands behind
BLACK, WHITE = "#101010", "#fafafa"  # on cells, whose colour no mode of a page changes
# Okabe and Ito's, without those that are too light on white, their sky blue darker, and two that
# everyone tells from these.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#4a9ad4", "#8a3ffc", "#d2003c")
# Whatever colours tell apart, these tell apart, too: filled, then hollow.
MARKERS = ("o", "s", "^", "D", "v", "P", "<", "X", "h", ">", "d", "p")
LINES = ("-", "--", "-.", (0, (1, 1)), (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (3, 3)))
COLOUR_MAP = "cividis"  # perceptually uniform, and the same to the colour-blind
WIDTH = 7.2  # inches
CHARACTER = 0.0092  # inches of width per character and point of type, on the safe side
LONGEST = 30  # characters of a label

_LIGHT = 0.18  # luminance on which black and white are equally legible
_BEFORE = 8  # characters of a label that lead up to where texts differ
_TITLE = 0.3  # inches above all else
_STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": INK,
    "axes.facecolor": "none",
    "axes.formatter.limits": (-7, 9),
    "axes.formatter.useoffset": False,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.7,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 9,
    "figure.dpi": 150,
    "figure.facecolor": "none",
    "figure.titlesize": 11,
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same on every machine
    "font.size": 8.5,
    "grid.alpha": 0.25,
    "grid.color": GREY,
    "grid.linewidth": 0.6,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "lines.linewidth": 1.5,
    "lines.markersize": 4.5,
    "savefig.dpi": 150,
    "svg.fonttype": "path",
    "svg.hashsalt": "fmgrid",
    "text.color": INK,
    "text.parse_math": False,  # a dollar in a name is a dollar
    "xtick.color": INK,
    "xtick.labelsize": 8,
    "xtick.major.width": 0.7,
    "ytick.color": INK,
    "ytick.labelsize": 8,
    "ytick.major.width": 0.7,
}

_P = ParamSpec("_P")
_R = TypeVar("_R")


def styled(draw: Callable[_P, _R]) -> Callable[_P, _R]:
    """Let what *draw* makes look like the other pictures."""

    @wraps(draw)
    def drawn(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        with _style():
            return draw(*args, **kwargs)

    return drawn


def new_figure(title: str, height: float) -> "Figure":
    """Return an empty figure of the usual width; *height* is in inches."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height))
    figure.set_layout_engine("constrained", rect=(0, 0, 1, 1 - _TITLE / height))
    figure.suptitle(title, x=0.006, y=1 - 0.06 / height, ha="left", va="top")
    return figure


def explain(figure: "Figure", handles: "Sequence[Artist]", columns: int) -> None:
    """Write the legend below the title, above all axes."""
    top = 1 - _TITLE / figure.get_figheight()
    legend = figure.legend(
        handles=list(handles),
        loc="upper left",
        bbox_to_anchor=(0, top),
        ncols=columns,
        borderaxespad=0,
    )
    legend.set_in_layout(False)
    below = legend.get_window_extent().y0 / figure.bbox.height
    figure.set_layout_engine("constrained", rect=(0, 0, 1, below))


def settled(figure: "Figure") -> "Figure":
    """Return the figure with everything in its place, where it stays however often it is saved."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    return figure


@styled
def to_svg(figure: "Figure") -> str:
    """Return the figure as SVG without a background; all text is in `INK`."""
    file = StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return file.getvalue()


@styled
def to_png(figure: "Figure") -> bytes:
    """Return the figure as PNG on white."""
    file = BytesIO()
    figure.savefig(file, format="png", facecolor="white", metadata={"Software": None})
    return file.getvalue()


def readable(text: str, limit: int = LONGEST) -> str:
    """Return *text* as a label: short, on one line, in characters that the font has."""
    has = _characters()
    shown = "".join(c if ord(c) in has and c.isprintable() else _escape(ord(c)) for c in text)
    return without_middle(shown, limit)


def tell_apart(texts: Iterable[str], limit: int = LONGEST) -> dict[str, str]:
    """Return the label of each text; those that would be alike begin where the texts differ."""
    alike: dict[str, list[str]] = defaultdict(list)
    for text in dict.fromkeys(texts):
        alike[readable(text, limit)].append(text)
    labels = {}
    for label, same in alike.items():
        begin = max(0, len(commonprefix(same)) - _BEFORE)  # noqa: RUF071 -- of letters
        for text in same:
            labels[text] = label if len(same) == 1 else readable(f"…{text[begin:]}", limit)
    return labels


def ink_on(fill: str) -> str:
    """Return the ink, black or white, that is legible on a colour in both modes of a page."""
    from matplotlib.colors import to_rgb

    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(fill)]  # noqa: PLR2004
    luminance = sum(share * c for share, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
    return BLACK if luminance > _LIGHT else WHITE


def colour(number: int) -> str:
    """Return the colour of the *number*-th of several things."""
    return COLOURS[number % len(COLOURS)]


def marker(number: int) -> str:
    """Return its marker; each has a colour and a marker of its own up to 84 things."""
    return MARKERS[number % len(MARKERS)]


def is_filled(number: int) -> bool:
    """Return whether its marker is: so that the shape alone tells 24 things apart."""
    return number // len(MARKERS) % 2 == 0


def ramp(count: int) -> list[str]:
    """Return colours for things in order, from blue to orange."""
    from matplotlib.colors import LinearSegmentedColormap, to_hex

    stops = ["#2f7fd6", "#8a66d6", "#c0549e", "#d4574f", "#c97800"]
    ramp = LinearSegmentedColormap.from_list("ramp", stops)
    return [to_hex(ramp(number / max(1, count - 1))) for number in range(count)]


def text_width(text: str, size: float) -> float:
    """Return the inches that a text takes at most, about."""
    return len(text) * size * CHARACTER


def write_beside(
    axes: "Axes", ends: Sequence[tuple[float, float, str, str]], size: float = 7.5
) -> None:
    """Write labels right of the axes, each as high as the point that it belongs to, or nearly.

    An end is x, y, text and colour. Those that would overlap are moved apart, and a thin line
    leads from the point to its label; where there are more than there is room for, some have
    none. The axes must have been drawn, and their limits be final.
    """
    box = axes.get_window_extent()
    gap = size * 1.25 / 72 * axes.figure.dpi / box.height
    to_axes = axes.transData + axes.transAxes.inverted()
    placed = sorted(
        (float(to_axes.transform((x, y))[1]), x, y, text, ink) for x, y, text, ink in ends
    )
    kept = placed[:: 1 + int((len(placed) - 1) * gap)]
    heights = spread([height for height, *_ in kept], gap)
    for (_, x, y, text, ink), height in zip(kept, heights, strict=True):
        line = {"arrowstyle": "-", "color": ink, "linewidth": 0.5, "alpha": 0.6}
        axes.annotate(
            text,
            xy=(x, y),
            xytext=(1.05, height),
            textcoords="axes fraction",
            va="center",
            color=ink,
            fontsize=size,
            annotation_clip=False,
            arrowprops={**line, "shrinkA": 1, "shrinkB": 3, "relpos": (0, 0.5)},
        )


def spread(heights: Sequence[float], gap: float) -> list[float]:
    """Return ascending heights at least *gap* apart, each near where it was, between 0 and 1."""
    blocks: list[list[float]] = []  # of heights that would overlap
    for height in heights:
        block = [height]
        while blocks and _lowest(block, gap) < _lowest(blocks[-1], gap) + gap * len(blocks[-1]):
            block = [*blocks.pop(), *block]
        blocks.append(block)
    places = [_lowest(block, gap) + gap * k for block in blocks for k in range(len(block))]
    last = len(places) - 1
    raised = [max(place, gap * k) for k, place in enumerate(places)]
    return [min(place, 1 - gap * (last - k)) for k, place in enumerate(raised)]


def _lowest(block: Sequence[float], gap: float) -> float:
    """Return where a block of labels begins whose middle is where its heights have theirs."""
    return sum(height - gap * k for k, height in enumerate(block)) / len(block)


@contextmanager
def _style() -> Iterator[None]:
    _import_matplotlib()
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield


@lru_cache
def _import_matplotlib() -> None:
    """Import matplotlib with its own defaults.

    It looks for a matplotlibrc in the current folder first, and one that it cannot read ends it.
    It says at length where its cache is, if it cannot write to the home: that is nothing to act on.
    """
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    spec = find_spec("matplotlib")
    own = Path(spec.origin).parent / "mpl-data" if spec and spec.origin else Path()
    with chdir(own) if own.is_dir() else nullcontext():
        import matplotlib  # noqa: F401


@lru_cache
def _characters() -> frozenset[int]:
    from matplotlib.font_manager import findfont, get_font

    return frozenset(get_font(findfont("DejaVu Sans")).get_charmap())


def _escape(code: int) -> str:
    return f"\\u{code:04x}" if code < 2**16 else f"\\U{code:08x}"
