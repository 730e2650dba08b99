"""Whether networks do better on their training images than on others: the gap of the losses."""

from collections.abc import Sequence

from fmgrid.analysis.means import Gap, find_gaps
from fmgrid.analysis.study import Study
from fmgrid.plots import style
from fmgrid.plots.axes import LOG, is_wide, scale_values
from fmgrid.plots.captions import intervals
from fmgrid.plots.experiments import name_configurations

_NAMED = 3  # of the widest, and of the narrowest


@style.styled
def plot_overfitting(study: Study) -> style.Plot | None:
    """Plot validation loss minus train loss against train loss, at the end of training."""
    gaps = find_gaps(study)
    if not gaps:
        return None
    figure = style.new_figure("Validation loss minus train loss, at the end of training", 4.1)
    axes = figure.subplots()
    losses = [gap.train_loss for gap in gaps]
    log = is_wide(losses)
    scale_values(axes, "x", losses, log=log)
    scale_values(axes, "y", [0.0, *(end for gap in gaps for end in gap.estimate.span)], log=False)
    axes.set_xlabel("Train loss (nats), mean of the last epoch's batches" + (LOG if log else ""))
    axes.set_ylabel("Validation loss minus train loss (nats)")
    axes.axhline(0, color=style.GREY, linewidth=1)
    axes.grid(axis="y")
    names = name_configurations(study)
    looks = {gap: style.look(at) for at, gap in enumerate(_notable(gaps))}
    has_tests = any(gap.estimate.n > 1 for gap in gaps)
    named = []
    for gap in gaps:
        look = looks.get(gap, {"color": style.GREY, "marker": "o", "alpha": 0.6})
        fill = "full" if gap.sign or not has_tests else "none"
        look |= {"fillstyle": fill, "zorder": 3 if gap in looks else 2}
        x, label = gap.train_loss, names[gap.experiment.configuration]
        axes.plot([x, x], gap.estimate.span, color=look["color"], linewidth=1, alpha=0.6)
        mark = axes.plot([x], [gap.estimate.mean], linestyle="none", label=label, **look)
        named += mark if gap in looks else []
    style.name_curves(axes, named)
    filled = ", filled if significantly above or below zero" if has_tests else ""
    caption = f"A mark is the mean of an experiment{filled}; "
    caption += f"{intervals(gap.estimate.n for gap in gaps)}."
    if len(named) < len(gaps):
        caption += " The widest, the narrowest and the ends have names."
    return style.Plot(figure, caption)


def _notable(gaps: Sequence[Gap]) -> list[Gap]:
    """Return the gaps that have names: all of a few; the ends of both axes of many."""
    if len(gaps) <= style.MOST_CURVES:
        return list(gaps)
    by_loss = sorted(gaps, key=lambda gap: gap.train_loss)
    ends = {*gaps[:_NAMED], *gaps[-_NAMED:], by_loss[0], by_loss[-1]}
    return [gap for gap in gaps if gap in ends]
