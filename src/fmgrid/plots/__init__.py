"""The pictures of a study, each with a line that says what it shows.

Every picture is a function from values of the analysis to a `Plot`, or None where there is nothing
to show. No figure is computed here.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace

import fmgrid.plots.library  # noqa: F401 -- before all that uses matplotlib
from fmgrid.analysis.evidence import Evidence
from fmgrid.analysis.experiments import Group, are_scored_alike, level_of
from fmgrid.plots.groups import plot_heatmap, plot_levels, plot_steps_and_images
from fmgrid.plots.studies import (
    plot_effects,
    plot_experiments,
    plot_learning_curves,
    plot_metric_curves,
    plot_overfitting,
    plot_winners,
)
from fmgrid.plots.style import Plot, in_style, to_png, to_svg
from fmgrid.settings import show

__all__ = ["Plot", "draw_all", "to_png", "to_svg"]

# The pictures in the report's order, by the stem of their files.
_OF_STUDY: dict[str, Callable[[Evidence], Plot | None]] = {
    "effects": plot_effects,
    "configuration_summary": plot_experiments,
    "winners_by_seed": plot_winners,
    "learning_curves": plot_learning_curves,
    "metric_curves": plot_metric_curves,
    "overfitting_gap": plot_overfitting,
}
_OF_PART: dict[str, Callable[[Group, str, str], Plot | None]] = {
    "heatmap": plot_heatmap,
    "levels": plot_levels,
    "steps_and_images": plot_steps_and_images,
}
# In captions, where plain mltrainer has runs without seeds
_SEEDS = re.compile(r"(\bover [0-9]+(?: to [0-9]+)?) seed(s?)\b")
_LONGEST_STEM = 60  # characters of a file's name that a group's title may take


def draw_all(evidence: Evidence) -> list[Plot]:
    """Return all pictures that a study has: of its effects, of all experiments, of its groups."""
    taken: Counter[str] = Counter()
    plots = []
    with in_style():
        for name, plot in _draw(evidence):
            if layout := plot.figure.get_layout_engine():  # once, so that saving changes nothing
                layout.execute(plot.figure)
                plot.figure.set_layout_engine("none")
            taken[name.lower()] += 1  # some file systems ignore case
            number = taken[name.lower()]
            caption = plot.caption
            if not evidence.study.seeds:
                caption = _SEEDS.sub(r"\1 run\2", caption)
            unique = name if number == 1 else f"{name}_{number}"
            plots.append(replace(plot, name=unique, caption=caption))
    return plots


def _draw(evidence: Evidence) -> Iterator[tuple[str, Plot]]:
    for name, draw in _OF_STUDY.items():
        if plot := draw(evidence):
            yield name, plot
    for group in evidence.study.groups:
        stem = re.sub(r"[^A-Za-z0-9.-]+", "_", group.title).strip("._")[:_LONGEST_STEM]
        for part in group.parts:
            if are_scored_alike(part.members):  # figures of different images are not compared
                for kind, draw_part in _OF_PART.items():
                    if plot := draw_part(part, _held(group, part), evidence.metric):
                        yield f"{stem or 'group'}_{kind}", replace(plot, group=group.title)


def _held(group: Group, part: Group) -> str:
    """Return what a part has in common and others of its group with the same axes have not."""
    names = {axis.name for axis in part.axes}
    alike = [other for other in group.parts if {axis.name for axis in other.axes} == names]
    held = [
        f"; {axis.name} {show(level_of(part.members[0], axis))}"
        for axis in group.axes
        if axis.name not in names and len({level_of(other.members[0], axis) for other in alike}) > 1
    ]
    return "".join(held)
