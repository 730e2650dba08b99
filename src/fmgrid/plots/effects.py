"""Which settings matter: the best level of each minus its worst, beside what noise alone gives."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from fmgrid.analysis.effects import Effect
from fmgrid.pages.document import INK
from fmgrid.plots import scales, style
from fmgrid.settings import show

_MOST = 40
_LINEAR = 1.0  # points around zero in which a logarithmic axis is linear
_TICKS = (1, 2, 5, 10, 20, 50, 100)
_MINUS = str.maketrans("-", "\N{MINUS SIGN}")
_NOISE: dict[str, Any] = {"color": INK, "linewidth": 1.2, "linestyle": ":"}


@style.styled
def plot_effects(effects: Sequence[Effect]) -> style.Plot | None:
    """Plot the effect of every setting on accuracy, largest first."""
    known = [
        one for one in effects if one.metric == scales.METRIC and math.isfinite(one.difference.mean)
    ]
    shown = sorted(known, key=lambda one: -one.difference.mean)[:_MOST]
    if not shown:
        return None
    figure = style.new_figure("What each setting changes", 1.1 + 0.42 * len(shown))
    _explain(figure, shown)
    axes = figure.subplots()
    axes.set_xlabel("Accuracy of the best level minus the worst (points)")
    _limit(axes, shown)
    axes.grid(axis="x")
    axes.axvline(0, color=style.GREY, linewidth=0.8)
    for y, one in enumerate(shown):
        _draw(axes, y, one)
    labels = [_label(one, shown) for one in shown]
    style.write_rows(axes, labels, list(map(_figures, shown)))
    lines = scales.intervals((one.difference.n for one in shown), "lines are 95% intervals")
    caption = f"A bar is the accuracy of a setting's best level minus its worst; {lines}."
    return style.Plot(figure, caption + scales.left_out(len(known) - len(shown), "smaller effect"))


def _limit(axes: Axes, shown: Sequence[Effect]) -> None:
    """Set limits that show every bar, interval and tick; the scale is logarithmic if need be."""
    ends = [0.0, *(end for one in shown for end in _points(one))]
    ends += [100 * one.noise for one in shown if one.noise is not None]
    means = [mean for one in shown if (mean := 100 * one.difference.mean) > 0]
    if means and max(ends) > 2 * _LINEAR and scales.is_wide([*means, max(ends)]):
        axes.set_xscale("symlog", linthresh=_LINEAR, linscale=0.5)
        ticks = [*(-tick for tick in _TICKS), 0, *_TICKS]
        axes.set_xticks(ticks, [f"{tick}".translate(_MINUS) for tick in ticks])
        axes.set_xticks([], minor=True)
        axes.set_xlabel(f"{axes.get_xlabel()}, log scale beyond {_LINEAR:g}")
        axes.set_xlim(1.3 * min(ends), 1.2 * max(ends))
    else:
        axes.set_xlim(*scales.padded((min(ends), max(ends)), 0.1))


def _points(one: Effect) -> list[float]:
    """Return an effect and the ends of its interval, where it has one, in points."""
    ends = one.difference.mean, one.difference.low, one.difference.high
    return [100 * end for end in ends if end is not None]


def _draw(axes: Axes, y: int, one: Effect) -> None:
    mean, *interval = _points(one)
    ink = style.COLOURS[1 if one.is_significant else 0]
    fill = "none" if one.images else ink
    axes.barh([y], [mean], height=0.5, facecolor=fill, edgecolor=ink, linewidth=1.2)
    axes.plot(interval, [y] * len(interval), color=INK, linewidth=1.2)
    if one.noise is not None:
        axes.plot([100 * one.noise] * 2, [y - 0.4, y + 0.4], **_NOISE)


def _label(one: Effect, shown: Sequence[Effect]) -> str:
    several = Counter(other.setting for other in shown)[one.setting] > 1
    of_group = f" in {style.to_label(one.group, 20)}" if several else ""
    best, worst = (style.to_label(show(level), 20) for level in (one.best, one.worst))
    return f"{style.to_label(one.setting)}{of_group}\n{best} over {worst}"


def _figures(one: Effect) -> str:
    # Rounding may leave a minus before zero, which adding zero takes away.
    mean, *ends = (f"{round(end, 1) + 0.0:.1f}".translate(_MINUS) for end in _points(one))
    return f"{mean} ({' to '.join(ends)})" if ends else mean


def _explain(figure: Figure, shown: Sequence[Effect]) -> None:
    tested = {one.is_significant for one in shown if one.difference.sd is not None}
    handles: list[Line2D | Patch] = []
    if True in tested:
        handles.append(Patch(color=style.COLOURS[1], label="significant"))
    if False in tested:
        handles.append(Patch(color=style.COLOURS[0], label="not significant"))
    if any(one.noise is not None for one in shown):
        handles.append(Line2D([], [], label="noise alone stays below this in 95%", **_NOISE))
    if any(one.images for one in shown):
        handles.append(Patch(fill=False, color=style.GREY, label="images seen differ, too"))
    if handles:
        style.add_legend(figure, handles)
