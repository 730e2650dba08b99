"""Whether networks know their training images better than others: the gap of the losses."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any

from fmgrid.analysis.statistics import Estimate, told_from_zero
from fmgrid.analysis.study import Study
from fmgrid.plots.configurations import Configuration, configurations
from fmgrid.plots.paper import GREY, colour, explain, new_figure, settled, styled
from fmgrid.plots.scales import padded, scale_by_logarithm
from fmgrid.plots.wording import by_images, have_intervals, meaning_of_bars, named
from fmgrid.words import counted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Annotation
    from matplotlib.transforms import Bbox

_GAP = "overfitting_gap"
_MEANING = (
    "Above the line a network does worse on validation images than on those it learns from; below "
    "it, better, since the train loss is the mean over an epoch in which it still learns."
)
_WIDE_RANGE = 3.0  # highest by lowest loss, beyond which the axis is logarithmic
_MARK = 5.0  # pixels around the middle of a mark
_DISTANCES = (8, 20, 35, 50, 70)  # points from a mark to its label, nearest first
_DIRECTIONS = ((1, 0), (-1, 0), (1, 0.6), (-1, 0.6), (1, -0.6), (-1, -0.6), (0.5, 1), (0.5, -1))


@dataclass(frozen=True)
class Gap:
    """Validation loss minus train loss of a configuration, at the end."""

    of: Configuration
    train: float  # mean loss of the last epoch's batches
    found: Estimate
    sign: int = 0  # 1 if it is told from none, and above; -1 if below


@styled
def plot_overfitting(study: Study) -> "Figure | None":
    """Return validation loss minus train loss against train loss; None where losses are missing."""
    gaps = _gaps(study)
    if not gaps:
        return None
    figure = new_figure("Validation loss minus train loss, at the end of training", 4.4)
    _explain(figure, gaps)
    axes = figure.subplots()
    axes.set_xlabel("Train loss (nats), mean of the last epoch's batches")
    _limit(axes, gaps)
    axes.axhline(0, color=GREY, linewidth=1)
    axes.grid(axis="y")
    for gap in gaps:
        ink, mark, _ = _look(gap)
        axes.plot([gap.train] * 2, gap.found.span, color=ink, linewidth=1, alpha=0.6)
        axes.plot([gap.train], [gap.found.mean], marker=mark, color=ink, linestyle="none")
    axes.set_ylabel("Validation loss minus train loss (nats)")
    settled(figure)
    _label_extremes(axes, gaps)
    return figure


def describe_overfitting(study: Study) -> str:
    """Return what the picture shows, in words and figures."""
    gaps = sorted(_gaps(study), key=lambda gap: gap.found.mean)
    members = [gap.of.repeated for gap in gaps]
    parts = [
        _MEANING,
        meaning_of_bars(members, _GAP),
        *(
            f"{lead}{_widest_and_narrowest(same)}"
            for lead, same in by_images(gaps, lambda gap: gap.of.repeated)
        ),
    ]
    if have_intervals(members, _GAP):
        signs = [gap.sign for gap in gaps]
        parts.append(
            f"Of {counted(len(gaps), 'configuration')}, {signs.count(1)} above the line and "
            f"{signs.count(-1)} below it are told from none (Holm's method, 5%)."
        )
    return " ".join(parts)


def _widest_and_narrowest(gaps: Sequence[Gap]) -> str:
    """Name the ends of gaps in ascending order."""
    widest, narrowest = gaps[-1], gaps[0]
    told = f"The widest gap is that of {named(widest.of.names[0])}, {_signed(widest.found)}"
    if len(gaps) == 1:
        return f"{told}."
    if widest.found.mean == narrowest.found.mean:
        return f"All gaps are {_signed(Estimate(1, widest.found.mean))} in the mean."
    return (
        f"{told}; the narrowest that of {named(narrowest.of.names[0])}, {_signed(narrowest.found)}."
    )


def _gaps(study: Study) -> list[Gap]:
    found = []
    for one in configurations(study):
        gap, train = one.repeated.estimate(_GAP), one.repeated.mean("train_loss")
        if gap is not None and train is not None:
            found.append(Gap(one, train, gap))
    signs = told_from_zero(gap.of.repeated.series(_GAP).values() for gap in found)
    return [replace(gap, sign=sign) for gap, sign in zip(found, signs, strict=True)]


def _limit(axes: "Axes", gaps: Sequence[Gap]) -> None:
    losses = [gap.train for gap in gaps]
    if min(losses) > 0 and max(losses) / min(losses) > _WIDE_RANGE:
        scale_by_logarithm(axes, "x", (min(losses), max(losses)))
        axes.set_xlabel(f"{axes.get_xlabel()}, log scale")
    else:
        axes.set_xlim(*padded((min(losses), max(losses)), 0.02))
    ends = [end for gap in gaps for end in gap.found.span]
    axes.set_ylim(*padded((min(0.0, *ends), max(0.0, *ends)), 0.02))


def _signed(found: Estimate) -> str:
    if found.low is None or found.high is None:
        text = f"{found.mean:+.3f}"
    else:
        text = f"{found.mean:+.3f} ({found.low:+.3f} to {found.high:+.3f})"
    return text.replace("-", "\N{MINUS SIGN}")


def _look(gap: Gap) -> tuple[str, str, str]:
    """Return colour, marker and the legend's word for a gap."""
    if not gap.sign:
        return colour(0), "o", "may be none"
    if gap.sign > 0:
        return colour(1), "^", "above zero"
    return colour(2), "v", "below zero"


def _explain(figure: "Figure", gaps: Sequence[Gap]) -> None:
    from matplotlib.lines import Line2D

    if not any(gap.found.low is not None for gap in gaps):
        return
    handles = [
        Line2D([], [], color=ink, marker=mark, linewidth=1, label=word)
        for ink, mark, word in sorted(
            {_look(gap) for gap in gaps}, key=lambda look: "^ov".index(look[1])
        )
    ]
    explain(figure, handles, 3)


def _label_extremes(axes: "Axes", gaps: Sequence[Gap]) -> None:
    """Name the widest and narrowest gaps and the ends of the axis, where there is room."""
    by_gap = sorted(gaps, key=lambda gap: gap.found.mean)
    by_loss = sorted(gaps, key=lambda gap: gap.train)
    wanted = [by_gap[-1], by_gap[0], by_loss[0], by_loss[-1], *by_gap[:-4:-1], *by_gap[1:3]]
    taken = [_box(axes, gap) for gap in gaps]
    for gap in {gap.of.names[0]: gap for gap in wanted}.values():
        for distance, (x, y) in product(_DISTANCES, _DIRECTIONS):
            text = _write(axes, gap, x * distance, y * distance)
            box = text.get_window_extent()
            text.remove()
            if _is_within(box, axes) and not any(map(box.overlaps, taken)):
                taken.append(box)
                line = {"arrowstyle": "-", "color": GREY, "linewidth": 0.5, "shrinkB": 3}
                _write(axes, gap, x * distance, y * distance, arrowprops=line)
                break


def _box(axes: "Axes", gap: Gap) -> "Bbox":
    """Return what a mark and its bar cover on the canvas."""
    from matplotlib.transforms import Bbox

    low, high = gap.found.span
    ends = axes.transData.transform([(gap.train, low), (gap.train, high)])
    return Bbox(ends).padded(_MARK, _MARK)


def _write(axes: "Axes", gap: Gap, x: float, y: float, **options: Any) -> "Annotation":
    return axes.annotate(
        gap.of.label,
        (gap.train, gap.found.mean),
        xytext=(x, y),
        textcoords="offset points",
        ha="left" if x > 0 else "right",
        va="center",
        fontsize=7,
        **options,
    )


def _is_within(box: "Bbox", axes: "Axes") -> bool:
    room = axes.get_window_extent()
    return bool(room.x0 <= box.x0 and box.x1 <= room.x1 and room.y0 <= box.y0 and box.y1 <= room.y1)
