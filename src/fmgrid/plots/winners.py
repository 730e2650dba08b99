"""What one run of each experiment would have concluded: ranks by seed."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fmgrid.analysis.effects import as_good_as_best, find_winners
from fmgrid.analysis.study import Study
from fmgrid.plots.configurations import Configuration, configurations
from fmgrid.plots.levels import METRIC
from fmgrid.plots.paper import COLOUR_MAP, ink_on, new_figure, settled, styled
from fmgrid.plots.wording import listed, named, percent
from fmgrid.words import counted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FEWEST = 3  # experiments that make a ranking
_MOST_ROWS = 30
_MOST_SEEDS = 40
_WRITTEN = 20  # seeds; of more, the tiles are too narrow for figures
_TILE = 0.95  # of the room for it


@dataclass(frozen=True)
class Ranks:
    """The rank of configurations at each seed alone, over the seeds that all of them have."""

    seeds: tuple[int, ...]
    left_out: tuple[int, ...]  # seeds that only some have
    of: Mapping[str, tuple[int, ...]]  # by the configuration's first name
    notable: tuple[Configuration, ...]  # best first
    winners: tuple[str, ...]  # best at one seed or more, most often first

    @property
    def shown(self) -> tuple[Configuration, ...]:
        """The notable ones that a picture has room for."""
        return self.notable[:_MOST_ROWS]


@styled
def plot_winners(study: Study) -> "Figure | None":
    """Return the ranks that the best would have had by any seed alone; None without repeats."""
    ranks = rank_by_seed(study)
    if ranks is None:
        return None
    figure = new_figure(
        "What one run of each experiment would have concluded", 1.2 + 0.25 * len(ranks.shown)
    )
    axes = figure.subplots()
    _draw_tiles(axes, ranks)
    _label(axes, ranks)
    return settled(figure)


def describe_winners(study: Study) -> str:
    """Return what the picture shows, in words and figures."""
    ranks = rank_by_seed(study)
    if ranks is None:
        return ""
    wins = Counter(name for name in ranks.of for rank in ranks.of[name] if rank == 1)
    won = listed((f"{named(name)} ({wins[name]})" for name in ranks.winners), 10)
    best = ranks.notable[0].names[0]
    places = ranks.of[best]
    seeds = len(ranks.seeds)
    are_equal = wins.total() == seeds * len(ranks.winners)
    told = (
        f"{seeds} seeds give {len(ranks.winners)} different winners"
        f"{', equal with every seed' if are_equal else ''}: {won}."
        if len(ranks.winners) > 1
        else f"All {seeds} seeds give the same winner: {won}."
    )
    between = (
        f"comes between rank {min(places)} and rank {max(places)}"
        if min(places) < max(places)
        else f"has rank {places[0]} with every seed"
    )
    every = "" if ranks.left_out else f"{seeds} "
    rows = (
        f"Rows are experiments that won with a seed, or that all {every}seeds together do not "
        "tell from the best (paired t tests, corrected for all pairs, 5%); best mean first."
    )
    parts = [
        f"A column is what one run of each of {len(ranks.of)} experiments gives.",
        told,
        f"{named(best)}, the best in the mean, {between}.",
        rows,
    ]
    if wins.total() > seeds:
        parts.append("Equals share a rank.")
    if more := len(ranks.notable) - len(ranks.shown):
        parts.append(f"{counted(more, 'such experiment')} more left out.")
    if ranks.left_out:
        parts.append(f"{counted(len(ranks.left_out), 'seed')} that not all have left out.")
    if more := seeds - _MOST_SEEDS if seeds > _MOST_SEEDS else 0:
        parts.append(f"The last {counted(more, 'seed')} left out.")
    return " ".join(parts)


def rank_by_seed(study: Study) -> Ranks | None:
    """Return ranks by seed, None where fewer than two seeds or three experiments can be ranked."""
    winners = find_winners(study, METRIC)
    if winners is None or len(winners.seeds) < 2 or len(winners.ranked) < _FEWEST:  # noqa: PLR2004
        return None
    equals = {one.name for one in as_good_as_best(winners.ranked, METRIC)}
    called = {one.names[0]: one for one in configurations(study)}
    notable = [
        called[one.name]
        for one in winners.ranked
        if one.name in equals or 1 in winners.ranks[one.name]
    ]
    return Ranks(
        seeds=winners.seeds,
        left_out=winners.left_out,
        of=winners.ranks,
        notable=tuple(notable),
        winners=tuple(winners.names),
    )


def _draw_tiles(axes: "Axes", ranks: Ranks) -> None:
    from matplotlib import colormaps
    from matplotlib.colors import LogNorm, to_hex
    from matplotlib.patches import Rectangle

    norm, colours = LogNorm(1, len(ranks.of)), colormaps[COLOUR_MAP].reversed()
    is_written = len(ranks.seeds) <= _WRITTEN
    for y, one in enumerate(ranks.shown):
        for x, rank in enumerate(ranks.of[one.names[0]][:_MOST_SEEDS]):
            fill = to_hex(colours(norm(rank)))
            axes.add_patch(Rectangle((x, y), _TILE, _TILE, facecolor=fill, edgecolor="none"))
            if is_written:
                axes.text(
                    x + _TILE / 2,
                    y + _TILE / 2,
                    str(rank),
                    color=ink_on(fill),
                    fontsize=8,
                    fontweight="bold" if rank == 1 else "normal",
                    ha="center",
                    va="center",
                )


def _label(axes: "Axes", ranks: Ranks) -> None:
    seeds, rows = ranks.seeds[:_MOST_SEEDS], len(ranks.shown)
    axes.set_xlim(0, len(seeds))
    axes.set_ylim(rows, 0)
    every = 1 + len(seeds) // 25
    axes.set_xticks(
        [k + _TILE / 2 for k in range(0, len(seeds), every)], list(map(str, seeds[::every]))
    )
    axes.set_yticks([k + _TILE / 2 for k in range(rows)], [one.label for one in ranks.shown])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("Seed")
    axes.set_title(f"Rank among {len(ranks.of)} experiments, 1 is the best")
    means = [percent(one.repeated.mean(METRIC) or 0.0) for one in ranks.shown]
    for y, text in enumerate(["mean", *means]):
        axes.annotate(
            text,
            (len(seeds), y - 1 + _TILE / 2 if y else 0),
            xytext=(4, 0 if y else 7),
            textcoords="offset points",
            va="center",
            fontsize=7.5,
            annotation_clip=False,
        )
