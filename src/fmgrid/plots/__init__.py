"""The pictures of a study: each a function from what was measured to a figure, and a caption.

A picture is None where there is nothing to show. Captions are made from the same figures.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from fmgrid.analysis.effects import Effect
from fmgrid.analysis.study import Study, are_scored_alike
from fmgrid.pages.document import INK
from fmgrid.plots.curves import describe_learning_curves, plot_learning_curves
from fmgrid.plots.forest import describe_effects, plot_effects
from fmgrid.plots.heatmaps import describe_heatmap, plot_heatmap
from fmgrid.plots.levels import describe_levels, plot_levels
from fmgrid.plots.marginals import describe_marginal_means, plot_marginal_means
from fmgrid.plots.overfitting import describe_overfitting, plot_overfitting
from fmgrid.plots.paper import to_png, to_svg
from fmgrid.plots.ranking import describe_configurations, plot_configurations
from fmgrid.plots.steps import describe_steps_and_images, plot_steps_and_images
from fmgrid.plots.winners import describe_winners, plot_winners

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "INK",
    "Drawn",
    "draw_all",
    "plot_configurations",
    "plot_effects",
    "plot_heatmap",
    "plot_learning_curves",
    "plot_levels",
    "plot_marginal_means",
    "plot_overfitting",
    "plot_steps_and_images",
    "plot_winners",
    "to_png",
    "to_svg",
]

_LONGEST_STEM = 60  # characters of a file's name that a group's title may take

_T = TypeVar("_T")


@dataclass(frozen=True)
class Drawn:
    """A picture with what stands below it."""

    name: str  # stem of its file
    title: str
    caption: str
    figure: "Figure"
    group: str | None = None  # title of the group that it is of, None for one of all


def draw_all(study: Study, effects: Sequence[Effect]) -> list[Drawn]:
    """Return all pictures that a study has: of its effects, of all experiments, of its groups."""
    found = [
        *_draw("effects", plot_effects, describe_effects, effects),
        *_draw("configuration_summary", plot_configurations, describe_configurations, study),
        *_draw("winners_by_seed", plot_winners, describe_winners, study),
        *_draw("learning_curves", plot_learning_curves, describe_learning_curves, study),
        *_draw("overfitting_gap", plot_overfitting, describe_overfitting, study),
    ]
    for group in study.groups:
        if not are_scored_alike(group.members):
            continue  # a picture would set figures of different images side by side
        stem = _stem(group.title)
        of_group = (
            *_draw(f"{stem}_heatmap", plot_heatmap, describe_heatmap, group),
            *_draw(f"{stem}_marginal_means", plot_marginal_means, describe_marginal_means, group),
            *_draw(f"{stem}_scatter", plot_levels, describe_levels, group),
            *_draw(
                f"{stem}_steps_and_images", plot_steps_and_images, describe_steps_and_images, group
            ),
        )
        found += [replace(one, group=group.title) for one in of_group]
    return list(_with_names_of_their_own(found))


def _draw(
    name: str, plot: "Callable[[_T], Figure | None]", describe: Callable[[_T], str], of: _T
) -> Iterator[Drawn]:
    figure = plot(of)
    if figure is not None:
        yield Drawn(name, figure.get_suptitle(), describe(of), figure)


def _stem(title: str) -> str:
    return re.sub(r"[^A-Za-z0-9.-]+", "_", title).strip("._")[:_LONGEST_STEM] or "group"


def _with_names_of_their_own(found: Sequence[Drawn]) -> Iterator[Drawn]:
    """Give numbers to those whose names differ in nothing that every file system keeps."""
    taken: set[str] = set()
    for one in found:
        name, number = one.name, 1
        while name.lower() in taken:
            number += 1
            name = f"{one.name}_{number}"
        taken.add(name.lower())
        yield replace(one, name=name)
