"""Comparisons of experiments: winners by seed, equals of the best, all members with one of them.

Experiments that were scored on different images are not compared.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from fmgrid.analysis.experiments import (
    TIME,
    ExperimentRuns,
    Group,
    are_scored_alike,
    distinct,
    images_of,
)
from fmgrid.analysis.ranking import best_by_images, best_first
from fmgrid.analysis.statistics import (
    ALPHA,
    Difference,
    Estimate,
    common_seeds,
    compare,
    corrected_by_holm,
    estimate,
    noise_of,
    prediction_interval,
)
from fmgrid.analysis.study import Study
from fmgrid.metrics import WITH_SPREAD, metric_of
from fmgrid.results.summary import as_text
from fmgrid.settings import is_same
from fmgrid.words import counted

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class GroupComparison:
    """How the members of a group compare with one experiment."""

    reference: ExperimentRuns
    differences: Mapping[str, tuple[Difference, float]]  # by name, with the corrected p


@dataclass(frozen=True)
class Winners:
    """The conclusions of single runs of experiments that are scored on the same images."""

    seeds: tuple[int, ...]  # that all of them have
    left_out: tuple[int, ...]  # seeds that only some of them have
    ranked: tuple[ExperimentRuns, ...]  # each configuration once, best mean first
    ranks: Mapping[str, tuple[int, ...]]  # by name, one for each seed; equals share the better one

    @property
    def by_seed(self) -> dict[int, list[str]]:
        """The best experiments with each seed: several if they are equal."""
        return {
            seed: [name for name, ranks in self.ranks.items() if ranks[index] == 1]
            for index, seed in enumerate(self.seeds)
        }


@dataclass(frozen=True)
class MetricPair:
    """A metric of two experiments."""

    first: Estimate
    second: Estimate
    difference: Difference | None  # second minus first; None where they cannot be compared


@dataclass(frozen=True, repr=False)
class Comparison:
    """Two experiments over the seeds that both have, or over all of each where they share none."""

    first: ExperimentRuns
    second: ExperimentRuns
    seeds: tuple[int, ...]  # that both have
    settings: Mapping[str, tuple[Any, Any]]  # that differ
    metrics: Mapping[str, MetricPair]  # that both have

    @property
    def is_confounded(self) -> bool:
        """Whether they saw different numbers of training images."""
        return are_confounded(self.first, self.second)

    @property
    def objection(self) -> str:
        """The reason why their figures are not compared; "" where they are."""
        pair = self.first, self.second
        if are_scored_alike(pair):
            return ""
        images = ", ".join(
            f"{experiment.name} is scored on {images_of(experiment)}" for experiment in pair
        )
        return f"{images}: figures of different images are not compared"

    def __repr__(self) -> str:
        is_seeded = self.first.has_seeds or self.second.has_seeds
        seeds = (
            counted(len(self.seeds), "common seed") if is_seeded else "not paired: unknown seeds"
        )
        differing = [f"{name}: {a} and {b}" for name, (a, b) in self.settings.items()]
        title = f"{self.first.name} and {self.second.name}, {seeds}"
        notes = [self.objection] if self.objection else []
        return "\n".join([title, *differing, self.to_frame().to_string(), *notes])

    def to_frame(self) -> "pd.DataFrame":
        """Return a row for each metric: both means, their difference, its interval of 95 % and p.

        The difference is second minus first. Each metric is compared by itself.
        """
        import pandas as pd

        columns = ["first", "second", "difference", "low", "high", "p"]
        rows = []
        for pair in self.metrics.values():
            change = pair.difference
            test = [change.mean, change.low, change.high] if change else [None] * 3
            p = change.p if change and change.sd is not None else None
            rows.append([pair.first.mean, pair.second.mean, *test, p])
        index = pd.Index([*self.metrics], name="metric")
        return pd.DataFrame(rows, index=index, columns=columns, dtype="float64")

    def to_json(self) -> dict[str, Any]:
        """Return its values for a script."""
        return {
            "first": self.first.name,
            "second": self.second.name,
            "seeds": self.seeds,
            "settings": self.settings,
            "confounded": self.is_confounded,
            "not_compared": self.objection,
            "metrics": {
                metric: asdict(pair) | {"difference": pair.difference and pair.difference.to_json()}
                for metric, pair in self.metrics.items()
            },
        }


PUBLISHED = ("accuracy", "valid_loss", "train_loss")  # metrics that a reference may have


@dataclass(frozen=True)
class Reference:
    """Published figures, of one run per experiment."""

    path: str
    figures: Mapping[str, Mapping[str, float]]  # by experiment and metric


@dataclass(frozen=True)
class PublishedFigure:
    """A published figure beside our runs of the same experiment."""

    name: str
    published: float
    experiment: ExperimentRuns
    ours: Estimate
    prediction: tuple[float, float] | None  # where one more run of ours falls in 95 % of cases

    @property
    def is_outside(self) -> bool:
        """Whether one more run of ours would hardly give the published figure."""
        interval = self.prediction
        return interval is not None and not interval[0] <= self.published <= interval[1]


def compare_with(study: Study, group: Group, metric: str = "accuracy") -> GroupComparison | None:
    """Compare a group's members with the study's baseline, or with the best where it has none.

    Holm corrects p values over the group. If the reference was picked by the same figures, they
    are corrected for all pairs of the group (Bonferroni). None if there is nothing to compare.
    """
    sets = best_by_images(group.members, metric)
    if not sets:
        return None
    ranked, baseline = sets[0], study.baseline
    leaders = [leader for leader, *_ in sets]
    if baseline and not (baseline.series(metric) and are_scored_alike([baseline, *leaders])):
        baseline = None
    reference = baseline or ranked[0]
    noise = study.noise(metric, reference)
    differences = {
        member.name: difference
        for member in ranked
        if member.configuration != reference.configuration
        if (difference := compare(member.figures(metric), reference.figures(metric), noise))
    }
    if not differences:
        return None
    correct = corrected_by_holm if baseline else _for_all_pairs
    pairs = correct(list(differences.values()))
    # Under its name in the group, if it is a member
    members = {member.configuration: member for member in ranked}
    reference = members.get(reference.configuration, reference)
    return GroupComparison(reference, dict(zip(differences, pairs, strict=True)))


def find_winners(study: Study, metric: str = "accuracy") -> Winners | None:
    """Return the ranks of experiments with each seed alone, over the seeds that all of them have.

    Only the largest set of experiments that are scored on the same images counts. None if it has
    fewer than two experiments, or shares no seed.
    """
    ranked, *_ = [*best_by_images(study.configurations, metric), []]
    series = {experiment.name: experiment.series(metric) for experiment in ranked}
    seeds = sorted(seed for seed in common_seeds(list(series.values())) if seed >= 0)
    if len(series) < 2 or not seeds:  # noqa: PLR2004 -- nothing to win
        return None
    is_falling = bool(metric_of(metric).is_higher_better)
    ordered = [
        sorted((values[seed] for values in series.values()), reverse=is_falling) for seed in seeds
    ]
    ranks = {
        name: tuple(best.index(values[seed]) + 1 for seed, best in zip(seeds, ordered, strict=True))
        for name, values in series.items()
    }
    all_seeds = {seed for values in series.values() for seed in values if seed >= 0}
    left_out = tuple(sorted(all_seeds.difference(seeds)))
    return Winners(tuple(seeds), left_out, tuple(ranked), ranks)


def best_and_ties(
    members: Iterable[ExperimentRuns], metric: str = "accuracy"
) -> list[ExperimentRuns]:
    """Return the best, and those that it is not significantly better than, best first.

    With 95 % confidence the truly best is among them: that one is left out only if one of the
    others beats it, so that p is corrected for their number (Hsu 1984, Constrained simultaneous
    confidence intervals for multiple comparisons with the best).
    """
    best, *rivals = best_first(members, metric)
    noise = noise_of(member.series(metric) for member in distinct([best, *rivals]))
    leads = [compare(best.figures(metric), rival.figures(metric), noise) for rival in rivals]
    p_values = [lead.p if lead else 1.0 for lead in leads]
    return [
        best,
        *(rival for rival, p in zip(rivals, p_values, strict=True) if len(rivals) * p > ALPHA),
    ]


def are_confounded(first: ExperimentRuns, second: ExperimentRuns) -> bool:
    """Return whether two saw different numbers of images, though the same time was given them."""
    if any(first.settings.get(name) != second.settings.get(name) for name in TIME):
        return False
    images = first.images_seen, second.images_seen
    return None not in images and images[0] != images[1]


def compare_experiments(first: ExperimentRuns, second: ExperimentRuns, study: Study) -> Comparison:
    """Compare two experiments of a study in their settings and metrics, each metric by itself."""
    settings = {
        name: pair
        for name in {**first.settings, **second.settings}
        if not is_same(*(pair := (first.settings.get(name), second.settings.get(name))))
    }
    seeds = tuple(seed for seed in first.runs if seed in second.runs and seed >= 0)
    both = [first, second]
    if seeds:
        both = [
            replace(member, runs={seed: member.runs[seed] for seed in seeds}) for member in both
        ]
    metrics: dict[str, MetricPair] = {}
    for metric in (*WITH_SPREAD, "overfitting_gap", *study.further_metrics):
        series = [member.series(metric) for member in both]
        if all(series):
            is_comparable = are_scored_alike(both, metric)
            ours, theirs = (member.figures(metric) for member in both)
            noise = study.noise(metric, first)
            metrics[metric] = MetricPair(
                estimate(series[0].values()),
                estimate(series[1].values()),
                compare(theirs, ours, noise) if is_comparable else None,
            )
    return Comparison(first, second, seeds, settings, metrics)


def compare_published(
    study: Study, published: Mapping[str, Mapping[str, float]], metric: str
) -> list[PublishedFigure]:
    """Return each figure of a metric, of those by experiment and metric, beside our runs."""
    scored = by_name_in_tables(study)
    return [
        PublishedFigure(name, figures[metric], scored[name], ours, prediction_interval(ours))
        for name, figures in published.items()
        if metric in figures and name in scored and (ours := scored[name].estimate(metric))
    ]


def by_name_in_tables(study: Study) -> dict[str, ExperimentRuns]:
    """Return the experiments by name, and by the quoted name that tables have for a formula."""
    return {as_text(name): experiment for name, experiment in study.scored.items()} | study.scored


def _for_all_pairs(differences: Sequence[Difference]) -> list[tuple[Difference, float]]:
    """Correct the differences of one that was picked to each of the others (Bonferroni)."""
    pairs = len(differences) * (len(differences) + 1) // 2
    return [(each.widened(1 - ALPHA / pairs), min(1.0, pairs * each.p)) for each in differences]
