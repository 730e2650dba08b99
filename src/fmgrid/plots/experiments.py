"""All experiments by accuracy, best first."""

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from fmgrid.analysis.experiments import ExperimentRuns, best_by_images, images_of
from fmgrid.analysis.study import Study
from fmgrid.plots import style
from fmgrid.plots.axes import METRIC, beyond, draw_accuracy, limit_accuracies, percent_span
from fmgrid.plots.captions import UNMEASURED, intervals, left_out
from fmgrid.words import counted

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Mark: TypeAlias = tuple[str, dict[str, Any]]  # in the legend, and how it looks

SHOWN = 40  # best, and worst, where there are more than twice as many

_ROW = 0.165  # inches
_SEVERAL: Mark = ("several groups", {"color": style.GREY, "marker": "*"})
_OTHER: Mark = ("other groups", {"color": style.GREY, "marker": "|"})


@style.styled
def plot_experiments(study: Study) -> style.Plot | None:
    """Plot the accuracy of every configuration with its interval, a row for each."""
    sets = best_by_images(study.configurations, METRIC)
    if not sets:
        return None
    rows = _rows(sets)
    shown = {y: row for y, row in enumerate(rows) if isinstance(row, ExperimentRuns)}
    means = {y: mean for y, one in shown.items() if (mean := one.estimate(METRIC))}
    marks = _marks(study)
    figure = style.new_figure("All experiments by accuracy", 1.5 + _ROW * len(rows))
    _explain(figure, dict(marks.values()))
    axes = figure.subplots()
    axes.set_xlabel("Accuracy (%)")
    axes.grid()
    limit_accuracies(axes, "x", [percent_span(mean) for mean in means.values()])
    for y, mean in means.items():
        draw_accuracy(axes, "x", y, mean, **marks[shown[y].configuration][1])
    names = name_configurations(study)
    labels = [row if isinstance(row, str) else names[row.configuration] for row in rows]
    figures = [f"{100 * means[y].mean:.1f}" if y in means else "" for y in range(len(rows))]
    style.write_rows(axes, labels, figures)
    bars = intervals(mean.n for mean in means.values())
    caption = f"A mark is the mean of an experiment; {bars}."
    caption += beyond(axes, "x", list(means.values()))
    without = len(names) - sum(map(len, sets))
    return style.Plot(figure, caption + left_out(without, "experiment", UNMEASURED))


def name_configurations(study: Study) -> dict[Hashable, str]:
    """Return the label of each configuration: its first name, and how many more it has."""
    labels = style.to_labels(one.name for one in study.configurations)
    return {
        one.configuration: labels[one.name]
        + (f" (+{counted(len(one.other_names), 'name')})" if one.other_names else "")
        for one in study.configurations
    }


def _rows(sets: Sequence[Sequence[ExperimentRuns]]) -> list[ExperimentRuns | str]:
    """Return the experiments row by row; text says what is left out, and which images judge."""
    rows: list[ExperimentRuns | str] = []
    for same in sets:
        if len(sets) > 1:
            rows.append(style.to_label(f"on {images_of(same[0])}:", 40))
        if (hidden := len(same) - 2 * SHOWN) > 1:
            rows += [*same[:SHOWN], f"… {hidden} more …", *same[-SHOWN:]]
        else:
            rows += same
    return rows


def _marks(study: Study) -> dict[Hashable, Mark]:
    """Return how each configuration is marked: by its group."""
    labels = style.to_labels((group.title for group in study.groups), 24)
    marks: dict[Hashable, Mark] = {}
    for number, group in enumerate(study.groups):
        mark = (labels[group.title], style.look(number)) if number < style.MOST_LOOKS else _OTHER
        for member in group.members:
            known = marks.setdefault(member.configuration, mark)
            if known != mark:
                marks[member.configuration] = _SEVERAL
    return marks


def _explain(figure: "Figure", looks: dict[str, dict[str, Any]]) -> None:
    from matplotlib.lines import Line2D

    if len(looks) > 1:
        lines = [Line2D([], [], label=label, **look) for label, look in looks.items()]
        style.add_legend(figure, lines)
