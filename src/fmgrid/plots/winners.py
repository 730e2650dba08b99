"""What one run of each experiment would have concluded: ranks by seed."""

from fmgrid.analysis.comparisons import as_good_as_best, find_winners
from fmgrid.analysis.study import Study
from fmgrid.plots import style
from fmgrid.plots.axes import METRIC
from fmgrid.plots.captions import left_out, over_seeds
from fmgrid.plots.experiments import name_configurations

_FEWEST_SEEDS, _FEWEST = 2, 3  # experiments that make a ranking
_MOST_ROWS = 30
_MOST_SEEDS = 20


@style.styled
def plot_winners(study: Study) -> style.Plot | None:
    """Plot the rank of the best experiments with each seed alone."""
    from matplotlib import colormaps
    from matplotlib.colors import LogNorm, to_hex

    winners = find_winners(study, METRIC)
    if not winners or len(winners.seeds) < _FEWEST_SEEDS or len(winners.ranked) < _FEWEST:
        return None
    ties = {one.name for one in as_good_as_best(winners.ranked, METRIC)}
    notable = [one for one in winners.ranked if one.name in ties or 1 in winners.ranks[one.name]]
    rows, seeds = notable[:_MOST_ROWS], winners.seeds[:_MOST_SEEDS]
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
    means = [f"{100 * (one.mean(METRIC) or 0.0):.1f}" for one in rows]
    style.write_rows(axes, [names[one.configuration] for one in rows], means)
    caption = (
        f"A column ranks one run of each of {len(winners.ranked)} experiments; rows won with a "
        "seed, or are not significantly worse than the best mean "
        f"{over_seeds({len(winners.seeds)})}.{left_out(len(notable) - len(rows), 'more row')}"
    )
    hidden = len(winners.left_out) + len(winners.seeds) - len(seeds)
    return style.Plot(figure, caption + left_out(hidden, "more seed"))
