"""All experiments by accuracy, best first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fmgrid.analysis.statistics import Estimate
from fmgrid.analysis.study import Study
from fmgrid.plots.configurations import Configuration, configurations
from fmgrid.plots.levels import LEAST, METRIC, break_of, span_of
from fmgrid.plots.paper import (
    GREY,
    colour,
    explain,
    is_filled,
    marker,
    new_figure,
    settled,
    styled,
    tell_apart,
)
from fmgrid.plots.scales import Span, value_axes
from fmgrid.plots.wording import by_images, listed, meaning_of_bars, named, percent_of
from fmgrid.words import counted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWN = 40  # best, and worst, where there are more than twice as many

_ROW = 0.165  # inches
_SEVERAL = "*"  # marks what is in several groups
_MOST_GROUPS = 24  # that a legend names, each with a shape of its own
_MOST_SENTENCES = 5


@dataclass(frozen=True)
class Line:
    """A configuration with its accuracy."""

    of: Configuration
    found: Estimate

    @property
    def span(self) -> Span:
        """What its bar covers, in per cent."""
        return span_of(self.found)


@dataclass(frozen=True, order=True)
class Look:
    """How the experiments of a group are marked."""

    place: int  # in the legend
    word: str  # for it there
    ink: str
    mark: str
    filled: bool = True

    def drawn(self) -> dict[str, Any]:
        """Return what matplotlib calls it."""
        style = "full" if self.filled else "none"
        return {"color": self.ink, "marker": self.mark, "fillstyle": style}


@styled
def plot_configurations(study: Study) -> "Figure | None":
    """Return the accuracy of all experiments with its interval; None if none has any."""
    found = _ranked(study)
    if not found:
        return None
    lines = _shown(found)
    groups = tell_apart((group.title for group in study.groups), 24)
    words = -(-min(len(groups), _MOST_GROUPS) // 4) if len(groups) > 1 else 0
    figure = new_figure("All experiments by accuracy", 1.1 + 0.17 * words + _ROW * len(lines))
    if words:
        _explain_marks(figure, lines, groups)
    parts = value_axes(figure, [line.span for line in lines if line], "x", LEAST)
    for axes in parts:
        axes.set_ylim(len(lines) - 0.4, -0.6)
        axes.grid(axis="both")
        axes.tick_params("y", length=0)
        for y, line in enumerate(lines):
            if line is not None:
                _draw(axes, y, line, groups)
    labels = [line.of.label if line else f"… {len(found) - 2 * SHOWN} more …" for line in lines]
    parts[0].set_yticks(range(len(lines)), labels, fontsize=7.5)
    _write_figures(parts[-1], lines)
    figure.supxlabel("Accuracy (%)", fontsize=8.5)
    return settled(figure)


def describe_configurations(study: Study) -> str:
    """Return what the picture shows, in words and figures."""
    found = _ranked(study)
    members = [line.of.repeated for line in found]
    parts = ["A mark is an experiment.", meaning_of_bars(members, METRIC)]
    parts += [
        f"{lead}{_best_and_worst(same)}"
        for lead, same in by_images(found, lambda line: line.of.repeated)
    ]
    lines = _shown(found)
    parts += break_of([line.span for line in lines if line])
    parts += [
        f"{listed(line.of.names, 12)} are one configuration, and stand on one line."
        for line in found
        if len(line.of.names) > 1
    ][:_MOST_SENTENCES]
    if None in lines:
        parts.append(
            f"Of {len(found)} experiments, the best and the worst {SHOWN} are shown, "
            f"and {len(found) - 2 * SHOWN} left out."
        )
    if without := len(configurations(study)) - len(found):
        parts.append(f"{counted(without, 'experiment')} without a measured accuracy left out.")
    return " ".join(parts)


def _best_and_worst(ranked: Sequence[Line]) -> str:
    """Name the ends of a ranking of experiments that the same images judge."""
    best, worst = ranked[0], ranked[-1]
    if len(ranked) == 1:
        return f"{named(best.of.names[0])} has {percent_of(best.found)}."
    return (
        f"{named(best.of.names[0])} is highest at {percent_of(best.found)}, "
        f"{named(worst.of.names[0])} lowest at {percent_of(worst.found)}."
    )


def _ranked(study: Study) -> list[Line]:
    """Return the experiments that one set of images judges, best first, then those of others."""
    found = [
        Line(one, estimated)
        for one in configurations(study)
        if (estimated := one.repeated.estimate(METRIC))
    ]
    best_first = sorted(found, key=lambda line: -line.found.mean)
    sets = by_images(best_first, lambda line: line.of.repeated)
    return [line for _, same in sets for line in same]


def _shown(found: Sequence[Line]) -> list[Line | None]:
    """Return the lines of the picture; None stands for those that are left out."""
    if len(found) <= 2 * SHOWN + 1:
        return list(found)
    return [*found[:SHOWN], None, *found[-SHOWN:]]


def _look(one: Configuration, groups: Mapping[str, str]) -> Look:
    """Return how an experiment is marked; *groups* are their labels by their titles, in order."""
    if len(one.groups) != 1:
        return Look(len(groups), "several groups", GREY, _SEVERAL)
    (title,) = one.groups
    number = list(groups).index(title)
    if number >= _MOST_GROUPS:
        return Look(len(groups) + 1, "other groups", GREY, "|")
    return Look(number, groups[title], colour(number), marker(number), is_filled(number))


def _draw(axes: "Axes", y: int, line: Line, groups: Mapping[str, str]) -> None:
    look = _look(line.of, groups)
    axes.plot(line.span, [y, y], color=look.ink, linewidth=1.3, solid_capstyle="butt")
    size = 7.5 if look.mark == _SEVERAL else 4.2
    axes.plot([100 * line.found.mean], [y], markersize=size, **look.drawn())


def _write_figures(axes: "Axes", lines: Sequence[Line | None]) -> None:
    for y, line in enumerate(lines):
        if line is not None:
            axes.annotate(
                f"{100 * line.found.mean:.1f}",
                (1.01, y),
                xycoords=("axes fraction", "data"),
                va="center",
                fontsize=7,
                annotation_clip=False,
            )


def _explain_marks(
    figure: "Figure", lines: Sequence[Line | None], groups: Mapping[str, str]
) -> None:
    from matplotlib.lines import Line2D

    looks = {_look(line.of, groups) for line in lines if line}
    handles = [
        Line2D([], [], linewidth=1.3, label=look.word, **look.drawn()) for look in sorted(looks)
    ]
    explain(figure, handles, 4)
