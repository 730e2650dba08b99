"""Pictures of a whole study: effects, experiments, ranks by seed, learning curves, overfitting."""

import math
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, Formatter, MaxNLocator

from fmgrid.analysis.effects import Effect, EpochMean, epoch_means
from fmgrid.analysis.evidence import Evidence
from fmgrid.analysis.experiments import ExperimentRuns, Group, images_of
from fmgrid.analysis.study import Study
from fmgrid.metrics import metric_of
from fmgrid.pages.document import INK
from fmgrid.plots import style
from fmgrid.plots.style import METRIC
from fmgrid.settings import show
from fmgrid.words import counted

Curves: TypeAlias = Mapping[str, list[EpochMean]]  # by experiment, the lowest at its end first
Key: TypeAlias = tuple[str, dict[str, Any]]  # of a legend: its text, and the look of a mark

_MOST_EFFECTS = 40
_LINEAR = 1.0  # points around zero in which a logarithmic axis is linear
_TICKS = (1, 2, 5, 10, 20, 50, 100)
_EFFECT = " of the best level minus the worst"
_NOISE: dict[str, Any] = {"color": INK, "linewidth": 2.5, "solid_capstyle": "butt"}

_SHOWN = 40  # best, and worst, where there are more than twice as many
_SEVERAL: Key = ("several groups", {"color": style.GREY, "marker": "*"})
_FEWEST_SEEDS, _FEWEST = 2, 3  # experiments that make a ranking by seed
_MOST_RANKED, _MOST_SEEDS = 30, 10  # rows and columns of it
_MOST_PANELS = 16  # of learning curves
_LEGIBLE = 10  # characters of a level, the others cut out
_LONGEST_ROW = 36  # characters of a label left of a row


def plot_effects(evidence: Evidence) -> style.Plot | None:
    """Plot the effect of every setting, largest first, and what noise alone gives."""
    measured = [effect for effect in evidence.effects if math.isfinite(effect.difference.mean)]
    largest = sorted(measured, key=lambda effect: -effect.difference.mean)[:_MOST_EFFECTS]
    if not largest:
        return None
    metric = largest[0].metric
    is_fraction = metric_of(metric).is_fraction
    height = 0.9 + 0.42 * len(largest)
    figure = style.new_figure("What each setting changes", height, list(_effect_keys(largest)))
    axes = figure.subplots()
    label = style.label_of(metric, after=_EFFECT + " (points)" * is_fraction)
    axes.set(xlabel=label, ylim=(len(largest) - 0.5, -0.5), yticks=[])
    axes.grid(axis="x")
    settings = Counter(effect.setting for effect in largest)
    for y, effect in enumerate(largest):
        _draw_effect(axes, y, effect, has_namesakes=settings[effect.setting] > 1)
    highest = max(axes.get_xlim()[1], _LINEAR if is_fraction else 0.0)
    above = [100 * effect.difference.mean for effect in largest if effect.difference.mean > 0]
    if is_fraction and highest > 2 * _LINEAR and style.is_wide([*above, highest]):
        axes.set_xscale("symlog", linthresh=_LINEAR, linscale=0.5)
        axes.xaxis.set_major_locator(FixedLocator([0, *_TICKS]))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.set_xlabel(f"{label}, log scale beyond {_LINEAR:g}")
    axes.set_xlim(0, highest)
    counts = (effect.difference.n for effect in largest)
    caption = f"A bar is an effect; {style.intervals(counts, 'lines are 95% intervals')}"
    caption += (
        ", and end at 0 where they go below."
        if any((x.difference.low or 0) < 0 for x in largest)
        else "."
    )
    if any(effect.is_interaction for effect in largest):
        caption += " An interaction (x) is a difference of two differences."
    hidden = len(measured) - len(largest)
    return style.Plot(figure, caption + style.left_out(hidden, "smaller effect"))


def _draw_effect(axes: Axes, y: int, effect: Effect, *, has_namesakes: bool) -> None:
    """Draw the bar of an effect with its interval, and above it its name and figures."""
    ends = effect.difference.mean, effect.difference.low, effect.difference.high
    factor = 100 if metric_of(effect.metric).is_fraction else 1
    mean, *interval = points = [factor * end for end in ends if end is not None]
    ink = style.COLOURS[1 if effect.is_significant else 0]
    fill = "none" if effect.images else ink
    axes.barh([y + 0.2], [mean], height=0.4, facecolor=fill, edgecolor=ink, linewidth=1.2)
    axes.plot(interval, [y + 0.2] * len(interval), color=INK, linewidth=0.9)
    if effect.noise is not None:
        axes.plot([factor * effect.noise] * 2, [y + 0.05, y + 0.35], **_NOISE)
    digits = "z.1f" if factor > 1 else "z.2g"
    text, *bounds = (Formatter.fix_minus(f"{point:{digits}}") for point in points)
    figures = f"{text} ({' to '.join(bounds)})" if bounds else text
    place: dict[str, Any] = {"xycoords": axes.get_yaxis_transform(), "va": "center_baseline"}
    label = _effect_label(effect, 62 - len(figures), has_namesakes=has_namesakes)
    axes.annotate(label, (0.005, y - 0.2), **place)
    axes.annotate(figures, (1, y - 0.2), ha="right", **place)


def _effect_label(effect: Effect, room: int, *, has_namesakes: bool) -> str:
    """Return the name of an effect in so many characters, with its levels if they fit."""
    group = f", {style.to_label(effect.group, 16)}" if has_namesakes else ""
    label = style.to_label(effect.setting, room - len(group))
    of_each = min(16, (room - len(f"{label}:  over {group}")) // 2)
    levels = [show(effect.best), show(effect.worst)]
    if effect.is_interaction or of_each < min(_LEGIBLE, max(map(len, levels))):
        return label + group
    labels = style.to_labels(levels, of_each)
    return f"{label}: {' over '.join(labels[level] for level in levels)}{group}"


def _effect_keys(effects: Sequence[Effect]) -> Iterator[Patch | Line2D]:
    tested = {effect.is_significant for effect in effects if effect.difference.sd is not None}
    if True in tested:
        yield Patch(color=style.COLOURS[1], label="significant")
    if False in tested:
        yield Patch(color=style.COLOURS[0], label="not significant")
    if any(effect.noise is not None for effect in effects):
        tick: dict[str, Any] = {"marker": "|", "linestyle": "none", "markeredgewidth": 2.5}
        yield Line2D([], [], label="significant from here on", color=INK, markersize=9, **tick)
    if any(effect.images for effect in effects):
        yield Patch(fill=False, color=style.GREY, label="images seen differ, too")


def plot_experiments(evidence: Evidence) -> style.Plot | None:
    """Plot the mean of every configuration with its interval, a row for each."""
    if not evidence.rankings:
        return None
    metric = evidence.metric
    study, sets = evidence.study, [ranking.ranked for ranking in evidence.rankings]
    names = _configuration_labels(study)
    rows: list[tuple[str, ExperimentRuns | None]] = []
    for ranked in sets:
        if len(sets) > 1:
            rows.append((style.to_label(f"on {images_of(ranked[0])}:", 32), None))
        rows += [(names[experiment.configuration], experiment) for experiment in ranked]
        if (hidden := len(ranked) - 2 * _SHOWN) > 1:
            rows[_SHOWN - len(ranked) : -_SHOWN] = [(f"… {hidden} more …", None)]
    keys = _group_keys(study)
    looks = dict(keys.values())
    legend = [Line2D([], [], label=label, **look) for label, look in looks.items()]
    height = 1.0 + 0.165 * len(rows)
    legend = legend if len(legend) > 1 else []
    title = f"All experiments by {metric_of(metric).label}"
    figure = style.new_figure(title, height, legend)
    axes = figure.subplots()
    axes.set_xlabel(style.with_unit(metric))
    axes.grid()
    measured = [experiment.estimate(metric) if experiment else None for _, experiment in rows]
    means = [mean and style.in_unit(mean, metric) for mean in measured]
    estimates = [mean for mean in means if mean]
    limits = style.limits_of(estimates, metric)
    axes.set_xlim(limits)
    for y, ((_, experiment), mean) in enumerate(zip(rows, means, strict=True)):
        if experiment and mean:
            style.draw_mean(axes, "x", y, mean, **keys[experiment.configuration][1])
    figures = [style.write(mean.mean, metric) if mean else "" for mean in means]
    style.write_rows(axes, [label for label, _ in rows], figures)
    caption = style.means("Marks", (mean.n for mean in estimates))
    caption += style.beyond(limits, estimates)
    without = len(names) - sum(map(len, sets))
    return style.Plot(
        figure, caption + style.left_out(without, "experiment", style.unmeasured(metric))
    )


def _configuration_labels(study: Study, longest: int = _LONGEST_ROW) -> dict[Hashable, str]:
    """Return the label of each configuration: its first name, and how many more it has."""
    more = {
        each.name: f" (+{counted(len(each.other_names), 'name')})" if each.other_names else ""
        for each in study.configurations
    }
    labels = style.to_labels(more, longest - max(map(len, more.values()), default=0))
    return {
        each.configuration: labels[each.name] + more[each.name] for each in study.configurations
    }


def _group_keys(study: Study) -> dict[Hashable, Key]:
    labels = style.to_labels((group.title for group in study.groups), 24)
    keys: dict[Hashable, Key] = {}
    for number, group in enumerate(study.groups):
        key = labels[group.title], style.look(number)
        for member in group.members:
            if keys.setdefault(member.configuration, key) != key:
                keys[member.configuration] = _SEVERAL
    return keys


def plot_winners(evidence: Evidence) -> style.Plot | None:
    """Plot the rank of the best experiments with each seed alone."""
    winners = evidence.winners if evidence.metric == METRIC else None
    if not winners or len(winners.seeds) < _FEWEST_SEEDS or len(winners.ranked) < _FEWEST:
        return None
    ties = evidence.rankings[0].ties
    notable = [rival for rival in winners.ranked if rival in ties or 1 in winners.ranks[rival.name]]
    rows, seeds = notable[:_MOST_RANKED], winners.seeds[:_MOST_SEEDS]
    title = "What one run of each experiment would have concluded"
    figure = style.new_figure(title, 1.2 + 0.25 * len(rows))
    axes = figure.subplots()
    norm = LogNorm(1, len(winners.ranked))
    for y, experiment in enumerate(rows):
        for x, rank in enumerate(winners.ranks[experiment.name][: len(seeds)]):
            style.draw_cell(axes, (x, y), 1 - norm(rank), str(rank))
    axes.set_xlim(-0.5, len(seeds) - 0.5)
    axes.set_xticks(range(len(seeds)), map(str, seeds))
    axes.tick_params("x", length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("Seed")
    axes.set_title(f"Rank among {len(winners.ranked)}")
    names = _configuration_labels(evidence.study)
    means = [f"{100 * (experiment.mean(METRIC) or 0.0):.1f}%" for experiment in rows]
    style.write_rows(axes, [names[experiment.configuration] for experiment in rows], means)
    caption = (
        "Rows won with a seed, or are not significantly worse than the best mean "
        f"{style.over_seeds({len(winners.seeds)})}."
    )
    caption += style.left_out(len(notable) - len(rows), "more row")
    hidden = len(winners.left_out) + len(winners.seeds) - len(seeds)
    return style.Plot(figure, caption + style.left_out(hidden, "more seed"))


def plot_learning_curves(evidence: Evidence) -> style.Plot | None:
    """Plot the validation loss after every epoch, a panel per group."""
    panels = [(group.title, _curves(group, "valid_loss")) for group in evidence.study.groups]
    return _plot_curves(panels, "Validation loss by epoch", "Validation loss (nats)")


def plot_metric_curves(evidence: Evidence) -> style.Plot | None:
    """Plot the metrics that only plain mltrainer knows after every epoch, or the one that ranks."""
    entry = metric_of(evidence.metric)
    metrics = [entry.name] if entry.is_further else evidence.study.further_metrics
    groups = evidence.study.groups
    panels = [
        (
            metric_of(metric).label + (f", {group.title}" if len(groups) > 1 else ""),
            _curves(group, metric),
        )
        for metric in metrics
        for group in groups
    ]
    label = metric_of(metrics[0]).label if len(metrics) == 1 else "Metric"
    return _plot_curves(panels, "Further metrics by epoch", label)


def _plot_curves(panels: Sequence[tuple[str, Curves]], title: str, label: str) -> style.Plot | None:
    """Plot the curves of panels, each with its title; None where there are no curves."""
    panels = [panel for panel in panels if panel[1]]
    if not panels:
        return None
    drawn = panels[:_MOST_PANELS]
    figure = style.new_figure(title, 0.6 + max(2.4, 1.7 * len(drawn)))
    grid = style.panels(figure, len(drawn), 1)
    points = [point for _, curves in drawn for line in curves.values() for point in line]
    log = style.is_wide([point.estimate.mean for point in points])
    for axes, (name, curves) in zip(grid, drawn, strict=True):
        _draw_curves(axes, curves, log=log)
        axes.set_title(style.to_label(name, 40))
    figure.supxlabel("Epoch")
    figure.supylabel(label + (style.LOG if log else ""))
    caption = style.means("Curves", (point.estimate.n for point in points), "bands")
    if any(len(curves) > style.MOST_CURVES for _, curves in drawn):
        caption += " Of many curves the lowest and the highest at the end have names."
    return style.Plot(figure, caption + style.left_out(len(panels) - len(drawn), "group"))


def _curves(group: Group, metric: str) -> Curves:
    """Return a metric of a group's experiments that have two epochs or more."""
    curves = {member.name: epoch_means([member], metric) for member in group.members}
    long = [(name, means) for name, means in curves.items() if len(means) > 1]
    return dict(sorted(long, key=lambda curve: curve[1][-1].estimate.mean))


def _draw_curves(axes: Axes, curves: Curves, *, log: bool) -> None:
    order = list(curves)
    labelled = order if len(order) <= style.MOST_CURVES else [order[0], order[-1]]
    labels = style.to_labels(labelled, 20)
    looks = dict(zip(labelled, style.looks_in_order(len(labelled)), strict=True))
    drawn = []
    for name, points in curves.items():
        epochs = [point.epoch for point in points]
        means = [point.estimate.mean for point in points]
        if name not in looks:
            axes.plot(epochs, means, color=style.GREY, linewidth=0.7, alpha=0.5)
            continue
        low, high = zip(*(point.estimate.span for point in points), strict=True)
        ink = looks[name]["color"]
        axes.fill_between(epochs, low, high, color=ink, alpha=0.2, linewidth=0)
        drawn += axes.plot(epochs, means, label=labels[name], zorder=3, **looks[name])
    style.name_curves(axes, drawn[::-1])
    axes.margins(x=0.02)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.grid(axis="y")
    values = [point.estimate.mean for points in curves.values() for point in points]
    lowest, highest = min(values), max(values)
    if log:
        axes.set_yscale("log")
        style.set_log_ticks(axes.yaxis, values)
    bottom, top = axes.get_ylim()
    bottom = max(bottom, lowest - 0.2 * abs(lowest))
    axes.set_ylim(bottom, min(top, highest + 0.2 * abs(highest)) or top)  # all may be zero


def plot_overfitting(evidence: Evidence) -> style.Plot | None:
    """Plot validation loss minus train loss against train loss, at the end of training."""
    gaps = evidence.gaps
    if not gaps:
        return None
    names = _configuration_labels(evidence.study, style.LONGEST)
    half = style.MOST_CURVES // 2
    notable = gaps if len(gaps) <= 2 * half else [*gaps[:half], *gaps[-half:]]
    looks = {gap: style.look(number) for number, gap in enumerate(notable)}
    has_tests = any(gap.difference.n > 1 for gap in gaps)
    for gap in gaps:
        look = looks.setdefault(gap, {"color": style.GREY, "marker": "o", "zorder": 2})
        look |= {"fillstyle": "full" if gap.sign or not has_tests else "none", "linestyle": "none"}
    keys = [
        Line2D([], [], label=names[gap.experiment.configuration], **looks[gap]) for gap in notable
    ]
    title = "Validation loss minus train loss, at the end of training"
    figure = style.new_figure(title, 3.3, keys)
    axes = figure.subplots()
    label = "Train loss (nats), mean of the last epoch's batches"
    style.scale_x(axes, label, [gap.train_loss for gap in gaps])
    axes.set_ylabel("Validation loss minus train loss (nats)")
    axes.axhline(0, color=style.GREY, linewidth=1)
    axes.grid(axis="y")
    for gap in gaps:
        axes.plot([gap.train_loss], [gap.difference.mean], **{"zorder": 3} | looks[gap])
    low, high = axes.get_ylim()
    axes.set_ylim(low - (high - low) / 3, high + (high - low) / 3)
    for gap in notable:
        ink = looks[gap]["color"]
        axes.plot([gap.train_loss] * 2, gap.difference.span, color=ink, linewidth=1)
    filled = ", filled if significantly above or below zero"
    caption = style.means("Marks", (gap.difference.n for gap in gaps), more=filled)
    if len(notable) < len(gaps):
        caption += " The widest and the narrowest have names."
    return style.Plot(figure, caption)
