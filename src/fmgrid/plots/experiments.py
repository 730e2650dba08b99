"""All experiments: by accuracy, by the rank with each seed alone, by the gap of their losses."""

from collections.abc import Hashable, Sequence
from typing import Any, TypeAlias

from matplotlib import colormaps
from matplotlib.colors import LogNorm, to_hex
from matplotlib.lines import Line2D

from fmgrid.analysis.comparisons import as_good_as_best, find_winners
from fmgrid.analysis.effects import find_gaps
from fmgrid.analysis.experiments import ExperimentRuns, best_by_images, images_of
from fmgrid.analysis.study import Study
from fmgrid.plots import scales, style
from fmgrid.words import counted

Mark: TypeAlias = tuple[str, dict[str, Any]]  # in the legend, and how it looks

SHOWN = 40  # best, and worst, where there are more than twice as many

_ROW = 0.165  # inches
_FEWEST_SEEDS, _FEWEST = 2, 3  # experiments that make a ranking by seed
_MOST_RANKED, _MOST_SEEDS = 30, 20  # rows and columns of it
_SEVERAL: Mark = ("several groups", {"color": style.GREY, "marker": "*"})


@style.styled
def plot_experiments(study: Study) -> style.Plot | None:
    """Plot the accuracy of every configuration with its interval, a row for each."""
    sets = best_by_images(study.configurations, scales.METRIC)
    if not sets:
        return None
    rows = _rows(sets)
    shown = {y: row for y, row in enumerate(rows) if isinstance(row, ExperimentRuns)}
    means = {y: mean for y, one in shown.items() if (mean := one.estimate(scales.METRIC))}
    marks = _marks(study)
    figure = style.new_figure("All experiments by accuracy", 1.5 + _ROW * len(rows))
    looks = dict(marks.values())
    if len(looks) > 1:
        keys = [Line2D([], [], label=label, **look) for label, look in looks.items()]
        style.add_legend(figure, keys)
    axes = figure.subplots()
    axes.set_xlabel("Accuracy (%)")
    axes.grid()
    scales.limit_accuracies(axes, "x", [scales.percent_span(mean) for mean in means.values()])
    for y, mean in means.items():
        scales.draw_accuracy(axes, "x", y, mean, **marks[shown[y].configuration][1])
    names = name_configurations(study)
    labels = [row if isinstance(row, str) else names[row.configuration] for row in rows]
    figures = [f"{100 * means[y].mean:.1f}" if y in means else "" for y in range(len(rows))]
    style.write_rows(axes, labels, figures)
    bars = scales.intervals(mean.n for mean in means.values())
    caption = f"A mark is the mean of an experiment; {bars}."
    caption += scales.beyond(axes, "x", list(means.values()))
    without = len(names) - sum(map(len, sets))
    return style.Plot(figure, caption + scales.left_out(without, "experiment", scales.UNMEASURED))


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
        mark = labels[group.title], style.look(number)
        for member in group.members:
            known = marks.setdefault(member.configuration, mark)
            if known != mark:
                marks[member.configuration] = _SEVERAL
    return marks


@style.styled
def plot_winners(study: Study) -> style.Plot | None:
    """Plot the rank of the best experiments with each seed alone."""
    winners = find_winners(study, scales.METRIC)
    if not winners or len(winners.seeds) < _FEWEST_SEEDS or len(winners.ranked) < _FEWEST:
        return None
    ties = {one.name for one in as_good_as_best(winners.ranked, scales.METRIC)}
    notable = [one for one in winners.ranked if one.name in ties or 1 in winners.ranks[one.name]]
    rows, seeds = notable[:_MOST_RANKED], winners.seeds[:_MOST_SEEDS]
    title = "What one run of each experiment would have concluded"
    figure = style.new_figure(title, 1.2 + 0.25 * len(rows))
    axes = figure.subplots()
    norm, colours = LogNorm(1, len(winners.ranked)), colormaps[style.COLOUR_MAP].reversed()
    for y, one in enumerate(rows):
        for x, rank in enumerate(winners.ranks[one.name][: len(seeds)]):
            style.draw_cell(axes, (x, y), to_hex(colours(norm(rank))), str(rank))
    axes.set_xlim(-0.5, len(seeds) - 0.5)
    axes.set_xticks(range(len(seeds)), map(str, seeds))
    axes.tick_params("x", length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("Seed")
    axes.set_title(f"Rank among {len(winners.ranked)} experiments; right: mean accuracy (%)")
    names = name_configurations(study)
    means = [f"{100 * (one.mean(scales.METRIC) or 0.0):.1f}" for one in rows]
    style.write_rows(axes, [names[one.configuration] for one in rows], means)
    caption = (
        f"A column ranks one run of each of {len(winners.ranked)} experiments; rows won with a "
        "seed, or are not significantly worse than the best mean "
        f"{scales.over_seeds({len(winners.seeds)})}."
    )
    caption += scales.left_out(len(notable) - len(rows), "more row")
    hidden = len(winners.left_out) + len(winners.seeds) - len(seeds)
    return style.Plot(figure, caption + scales.left_out(hidden, "more seed"))


@style.styled
def plot_overfitting(study: Study) -> style.Plot | None:
    """Plot validation loss minus train loss against train loss, at the end of training."""
    gaps = find_gaps(study)
    if not gaps:
        return None
    figure = style.new_figure("Validation loss minus train loss, at the end of training", 4.1)
    axes = figure.subplots()
    losses = [gap.train_loss for gap in gaps]
    ends = [0.0, *(end for gap in gaps for end in gap.estimate.span)]
    log = scales.is_wide(losses)
    scales.scale_values(axes, "x", losses, log=log)
    scales.scale_values(axes, "y", ends, log=False)
    label = "Train loss (nats), mean of the last epoch's batches"
    axes.set_xlabel(label + (scales.LOG if log else ""))
    axes.set_ylabel("Validation loss minus train loss (nats)")
    axes.axhline(0, color=style.GREY, linewidth=1)
    axes.grid(axis="y")
    names = name_configurations(study)
    half = style.MOST_CURVES // 2
    notable = gaps if len(gaps) <= 2 * half else [*gaps[:half], *gaps[-half:]]
    looks = {gap: style.look(at) for at, gap in enumerate(notable)}
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
    caption += f"{scales.intervals(gap.estimate.n for gap in gaps)}."
    if len(named) < len(gaps):
        caption += " The widest and the narrowest have names."
    return style.Plot(figure, caption)
