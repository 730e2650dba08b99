"""The pictures of a study, each with a line that says what it shows.

Every picture is a function from values of the analysis to a `Plot`, or None where there is nothing
to show. No figure is computed here.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import fmgrid.plots.library  # noqa: F401 -- before all that uses matplotlib
from fmgrid.analysis.effects import Effect
from fmgrid.analysis.experiments import Group, are_scored_alike
from fmgrid.analysis.study import Study
from fmgrid.plots.effects import plot_effects
from fmgrid.plots.experiments import plot_experiments, plot_overfitting, plot_winners
from fmgrid.plots.heatmaps import plot_heatmap
from fmgrid.plots.lines import plot_learning_curves, plot_levels, plot_steps_and_images
from fmgrid.plots.style import Drawn, Plot, to_png, to_svg

__all__ = ["Drawn", "draw_all", "to_png", "to_svg"]

# The pictures in the report's order, by the stem of their files.
_OF_STUDY: dict[str, Callable[[Study], Plot | None]] = {
    "configuration_summary": plot_experiments,
    "winners_by_seed": plot_winners,
    "learning_curves": plot_learning_curves,
    "overfitting_gap": plot_overfitting,
}
_OF_GROUP: dict[str, Callable[[Group], Plot | None]] = {
    "heatmap": plot_heatmap,
    "levels": plot_levels,
    "steps_and_images": plot_steps_and_images,
}
_LONGEST_STEM = 60  # characters of a file's name that a group's title may take


def draw_all(study: Study, effects: Sequence[Effect]) -> list[Drawn]:
    """Return all pictures that a study has: of its effects, of all experiments, of its groups."""
    plots: list[tuple[str, str | None, Plot | None]] = [("effects", None, plot_effects(effects))]
    plots += [(name, None, plot(study)) for name, plot in _OF_STUDY.items()]
    plots += [
        (f"{_stem(group.title)}_{kind}", group.title, plot(group))
        for group in study.groups
        if are_scored_alike(group.members)  # figures of different images are not compared
        for kind, plot in _OF_GROUP.items()
    ]
    drawn = [
        Drawn(name, plot.figure.get_suptitle(), plot.caption, plot.figure, group)
        for name, group, plot in plots
        if plot
    ]
    return list(_with_unique_names(drawn))


def _stem(title: str) -> str:
    return re.sub(r"[^A-Za-z0-9.-]+", "_", title).strip("._")[:_LONGEST_STEM] or "group"


def _with_unique_names(drawn: Sequence[Drawn]) -> Iterator[Drawn]:
    """Give numbers to names that some file system takes for one."""
    taken: set[str] = set()
    for one in drawn:
        name, number = one.name, 1
        while name.lower() in taken:
            number += 1
            name = f"{one.name}_{number}"
        taken.add(name.lower())
        yield replace(one, name=name)
