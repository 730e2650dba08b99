"""What happens on the way: the validation loss by epoch, a panel per group."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias

from fmgrid.analysis.axes import Group, level_of
from fmgrid.analysis.means import EpochMean, epoch_means
from fmgrid.analysis.study import Study
from fmgrid.plots import style
from fmgrid.plots.axes import LOG, is_wide, level_labels, scale_values
from fmgrid.plots.captions import intervals, left_out

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Curves: TypeAlias = Mapping[str, list[EpochMean]]  # by label, the lowest at its end first

_MOST_PANELS = 24


@style.styled
def plot_learning_curves(study: Study) -> style.Plot | None:
    """Plot the validation loss after every epoch, a panel per group."""
    panels = [(group, curves) for group in study.groups if (curves := _curves(group))]
    if not panels:
        return None
    shown = panels[:_MOST_PANELS]
    rows = math.ceil(len(shown) / 2)
    figure = style.new_figure("Validation loss by epoch", 0.6 + 2.15 * rows)
    grid = style.panels(figure, len(shown), min(2, len(shown)))
    points = [point for _, curves in shown for line in curves.values() for point in line]
    log = is_wide([point.estimate.mean for point in points])
    for axes, (group, curves) in zip(grid, shown, strict=True):
        _draw_panel(axes, curves, log=log)
        axes.set_title(_title(group))
    figure.supxlabel("Epoch")
    figure.supylabel("Validation loss (nats)" + (LOG if log else ""))
    bands = "bands are 95% intervals, cut off where long,"
    caption = "A curve is the mean of an experiment; "
    caption += f"{intervals((point.estimate.n for point in points), bands)}."
    if any(len(curves) > style.MOST_CURVES for _, curves in shown):
        caption += " Of many curves the lowest and the highest at the end have names."
    return style.Plot(figure, caption + left_out(len(panels) - len(shown), "group"))


def _curves(group: Group) -> Curves:
    """Return the validation losses of a group's experiments that have two epochs or more."""
    labels = _labels(group)
    curves = {labels[one.name]: epoch_means([one], "valid_loss") for one in group.members}
    long = [(label, means) for label, means in curves.items() if len(means) > 1]
    return dict(sorted(long, key=lambda curve: curve[1][-1].estimate.mean))


def _labels(group: Group) -> dict[str, str]:
    """Return the label of each experiment: its levels, or its name where these are not enough."""
    if group.shape in ("one axis", "factorial"):
        texts = {axis.name: level_labels(axis.levels) for axis in group.axes}
        labels = {
            one.name: " / ".join(of[level_of(one, axis)] for axis, of in texts.items())
            for one in group.members
        }
        if len(set(labels.values())) == len(labels):
            return labels
    return {one.name: one.name for one in group.members}


def _title(group: Group) -> str:
    """Return a group's title, and which settings the labels of its curves are levels of."""
    names = " / ".join(axis.name for axis in group.axes)
    if group.shape not in ("one axis", "factorial") or names == group.title:
        return style.to_label(group.title, 24)
    return style.to_label(f"{style.to_label(group.title, 24)}: {names}", 44)


def _draw_panel(axes: "Axes", curves: Curves, *, log: bool) -> None:
    from matplotlib.ticker import MaxNLocator

    order = list(curves)
    named = order if len(order) <= style.MOST_CURVES else [order[0], order[-1]]
    labels = style.to_labels(named, 20)
    looks = dict(zip(named, style.looks_in_order(len(named)), strict=True))
    drawn = []
    for label, points in curves.items():
        epochs = [point.epoch for point in points]
        means = [point.estimate.mean for point in points]
        if label not in looks:
            axes.plot(epochs, means, color=style.GREY, linewidth=0.7, alpha=0.5)
            continue
        low, high = zip(*(point.estimate.span for point in points), strict=True)
        ink = looks[label]["color"]
        axes.fill_between(epochs, low, high, color=ink, alpha=0.2, linewidth=0)
        drawn += axes.plot(epochs, means, label=labels[label], zorder=3, **looks[label])
    style.name_curves(axes, drawn[::-1])
    last = max(points[-1].epoch for points in curves.values())
    axes.set_xlim(1 - 0.02 * last, last)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.grid(axis="y")
    scale_values(axes, "y", _reach(curves, named), log=log)


def _reach(curves: Curves, named: list[str]) -> list[float]:
    """Return what a panel shows: all means, and intervals that are not much longer."""
    means = [point.estimate.mean for line in curves.values() for point in line]
    low, high = min(means), max(means)
    ends = [end for label in named for point in curves[label] for end in point.estimate.span]
    return [low, high, *(end for end in ends if 0.8 * low <= end <= 1.2 * high)]
