"""Everything that a study shows, computed once: reports, pictures and JSON only show it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

from fmgrid.analysis.comparisons import (
    PUBLISHED,
    GroupComparison,
    PublishedFigure,
    Reference,
    Winners,
    best_and_ties,
    compare_published,
    compare_with,
    find_winners,
)
from fmgrid.analysis.effects import (
    Effect,
    Gap,
    StepEffect,
    find_effects,
    find_gains,
    find_gaps,
    find_shares,
)
from fmgrid.analysis.experiments import ExperimentRuns, images_of
from fmgrid.analysis.ranking import best_by_images, main_metric
from fmgrid.analysis.statistics import ALPHA, CONFIDENCE, VarianceComponent
from fmgrid.analysis.study import Study
from fmgrid.analysis.verdicts import Verdict, inconclusive_over_all, judge


@dataclass(frozen=True)
class Ranking:
    """Experiments that are scored on the same images, best mean first."""

    ranked: Sequence[ExperimentRuns]
    ties: Sequence[ExperimentRuns]  # the best, and those that are not significantly worse

    @property
    def best(self) -> ExperimentRuns:
        """The experiment of the best mean."""
        return self.ranked[0]

    @property
    def images(self) -> str:
        """The images, in words."""
        return images_of(self.best)


@dataclass(frozen=True)
class Spread:
    """How far apart single runs of one configuration are, as standard deviations."""

    typical: float
    least: float  # of all configurations
    most: float

    @property
    def apart(self) -> float:
        """The distance that two runs keep in 95 % of cases."""
        return float(NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * 2**0.5 * self.typical)


@dataclass(frozen=True)
class Evidence:
    """A study with everything that it shows."""

    study: Study
    metric: str  # that experiments are ranked by
    rankings: Sequence[Ranking]  # of each set of images that judges some, the largest first
    spread: Spread | None  # None where each configuration was run with one seed
    effects: Sequence[Effect]  # largest first
    gains: Sequence[StepEffect]
    verdicts: Sequence[Verdict]  # each corrected within its grid
    inconclusive_over_all: Sequence[Verdict]  # those that hold within their grid only
    winners: Winners | None  # None where a single run of each says nothing
    comparisons: Mapping[str, GroupComparison]  # by the group's title
    shares: Mapping[str, Sequence[VarianceComponent]]  # by the title of a factorial group
    gaps: Sequence[Gap]  # widest first
    loss_rises: Sequence[tuple[str, float]]  # runs whose loss has risen since its lowest, with that
    reference: Reference | None
    published: Mapping[str, Sequence[PublishedFigure]]  # by metric

    @property
    def is_untested(self) -> bool:
        """Whether no two levels of any setting share two seeds, so that there is no p value."""
        return all(effect.difference.sd is None for effect in self.effects)

    @property
    def disagreements(self) -> list[str]:
        """The settings and claims that are settled, and not by a test by ranks."""
        settled = [
            (effect.setting, effect.difference) for effect in self.effects if effect.is_significant
        ]
        settled += [
            (verdict.stated.claim, verdict.compared[verdict.deciding].difference)
            for verdict in self.verdicts
            if verdict.word != "INCONCLUSIVE" and not verdict.compared[verdict.deciding].margin
        ]
        return [name for name, lead in settled if (lead.p_ranks or 0.0) > ALPHA]

    def effects_of(self, title: str) -> dict[str, Effect]:
        """Return the effects within a group, by setting."""
        return {effect.setting: effect for effect in self.effects if effect.group == title}


def weigh(study: Study, reference: Reference | None = None, metric: str | None = None) -> Evidence:
    """Return what a study with at least one complete run shows, ranked by *metric*."""
    metric = metric or main_metric(study.configurations)
    rankings = [
        Ranking(ranked, best_and_ties(ranked, metric))
        for ranked in best_by_images(study.configurations, metric)
    ]
    verdicts = [verdict for grid in study.grids for verdict in judge(grid.hypotheses, study)]
    comparisons = {group.title: compare_with(study, group, metric) for group in study.groups}
    shares = {group.title: find_shares(group, metric) for group in study.groups}
    figures = reference.figures if reference else {}
    return Evidence(
        study=study,
        metric=metric,
        rankings=rankings,
        spread=_spread_of(study, metric, rankings),
        effects=find_effects(study, metric),
        gains=find_gains(study, metric),
        verdicts=verdicts,
        inconclusive_over_all=inconclusive_over_all(verdicts),
        winners=find_winners(study, metric),
        comparisons={title: pair for title, pair in comparisons.items() if pair},
        shares={title: parts for title, parts in shares.items() if parts},
        gaps=find_gaps(study),
        loss_rises=_loss_rises(study),
        reference=reference,
        published={name: compare_published(study, figures, name) for name in PUBLISHED},
    )


def _spread_of(study: Study, metric: str, rankings: Sequence[Ranking]) -> Spread | None:
    scatter = study.scatter(metric)
    if not scatter:
        return None
    noise = study.noise(metric, rankings[0].best)
    return Spread((noise.residual + noise.seed) ** 0.5, scatter[0], scatter[-1])


def _loss_rises(study: Study) -> list[tuple[str, float]]:
    """Return the runs with a lower validation loss before their end, and the rise since then."""
    rises = []
    for run in study.runs:
        loss, best = run.metrics.get("valid_loss"), run.metrics.get("best_valid_loss")
        if loss is not None and best is not None and loss > best:
            rises.append((run.run, loss - best))
    return sorted(rises, key=lambda pair: -pair[1])
