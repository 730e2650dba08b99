"""The answer: five points, the effect of each setting, and the winners of single seeds."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import NormalDist, median

from fmgrid.analysis.comparisons import as_good_as_best, find_winners
from fmgrid.analysis.effects import Effect
from fmgrid.analysis.experiments import ExperimentRuns, best_by_images, images_of
from fmgrid.analysis.statistics import CONFIDENCE, ROUNDING
from fmgrid.analysis.study import Study
from fmgrid.analysis.verdicts import WORDS
from fmgrid.pages.document import Picture, Section, code, plain
from fmgrid.report.evidence import Evidence
from fmgrid.report.phrases import (
    NAMES_SHOWN,
    difference_cells,
    section,
    show_difference,
    show_size,
    some,
    table,
    unit_of,
    with_interval,
)
from fmgrid.settings import show
from fmgrid.words import counted


def summary_section(evidence: Evidence, pictures: Mapping[str, Picture]) -> Section:
    """Say what was run, and the main results."""
    points = [
        f"**Trained**: {_trained(evidence.study)}.",
        *_best(evidence),
        *_settings(evidence),
        f"**Noise**: {_noise(evidence)}.",
        f"**Hypotheses**: {_verdicts(evidence)}.",
    ]
    return section("Summary", points, pictures.get("effects"))


def settings_section(evidence: Evidence) -> Section:
    """Rank the settings by their effects."""
    explanation = (
        "The range of a setting is the difference between its best and its worst level, over the "
        "seeds that both have. In a factorial grid a level is the mean over all other settings. "
        "Best and worst are picked after looking: intervals hold for all pairs of levels "
        "(Bonferroni), p is also corrected for the number of settings (Holm; bold means p ≤ 0.05), "
        "and the noise range is the range that noise alone stays below in 95 % of cases (Tukey). "
        "Other levels give other ranges."
    )
    rows = [_effect_row(effect, evidence) for effect in evidence.effects]
    return section(
        "Which settings matter",
        explanation if rows else "No two levels of a setting share a seed.",
        table("The settings, largest range first", rows),
    )


def luck_section(evidence: Evidence, pictures: Mapping[str, Picture]) -> Section | None:
    """Show the winner of each seed alone, None with fewer than two seeds."""
    winners = find_winners(evidence.study, evidence.metric)
    if winners is None or len(winners.seeds) < 2:  # noqa: PLR2004
        return None
    rows = [{"seed": str(seed), "best": some(best)} for seed, best in winners.by_seed.items()]
    return section(
        "What one run would have concluded",
        table("The best experiment with each seed alone", rows),
        pictures.get("winners_by_seed"),
    )


def _trained(study: Study) -> str:
    failed = sum(len(one.failures) for one in study.experiments.values())
    numbers = (
        counted(len(study.experiments), "experiment"),
        counted(len(study.runs), "complete run"),
        counted(len(study.seeds), "seed"),
        *([f"{failed:,} failed"] if failed else []),
    )
    return ", ".join(numbers)


def _best(evidence: Evidence) -> Iterator[str]:
    """Name the best of each set of experiments that are scored on the same images."""
    sets = best_by_images(evidence.study.configurations, evidence.metric)
    for ranked in sets:
        scored = f", scored on {images_of(ranked[0])}" if len(sets) > 1 else ""
        yield f"**Best mean{scored}**: {_best_of(ranked, evidence.metric)}."


def _best_of(ranked: Sequence[ExperimentRuns], metric: str) -> str:
    best = ranked[0]
    result = f"{code(best.name)}, {with_interval(best.estimate(metric), metric)}"
    if len(ranked) == 1:
        return result
    if len(best.series(metric)) == 1:
        return f"{result}, in a single run"
    rivals = [one.name for one in as_good_as_best(ranked, metric)[1:]]
    many = f"{len(rivals)} of {len(ranked) - 1} others"
    named = some(rivals) if len(rivals) <= NAMES_SHOWN else many
    return f"{result}; not significantly worse: {named or 'none'}"


def _settings(evidence: Evidence) -> Iterator[str]:
    """Name the settings with a significant effect, and the others."""
    effects = evidence.effects
    if all(effect.difference.sd is None for effect in effects):
        yield "**Effects**: not known, as no two levels of a setting share two seeds."
        return
    significant = [_in_words(one, evidence) for one in effects if one.is_significant]
    others = [_in_words(one, evidence) for one in effects if not one.is_significant]
    yield f"**Significant effects**: {', '.join(significant) or 'none'}."
    yield f"**No significant effects**: {', '.join(others) or 'none'}."


def _in_words(effect: Effect, evidence: Evidence) -> str:
    terms = [show_size(abs(effect.difference.mean), evidence.metric)]
    if sum(other.setting == effect.setting for other in evidence.effects) > 1:
        terms.append(f"in {plain(effect.group)}")
    if effect.is_significant:
        terms += _remarks(effect, evidence.study)
    return f"{code(effect.setting)} ({', '.join(terms)})"


def _remarks(effect: Effect, study: Study) -> list[str]:
    """Return the conditions under which an effect holds."""
    remarks = []
    if effect.images:
        fewest, most = effect.images
        remarks.append(f"confounded: {fewest:,} to {most:,} images seen")
    if effect.through:
        remarks.append(f"all else as in {code(effect.through)}")
    group = next(one for one in study.groups if one.title == effect.group)
    rates = {one.settings.get("learning_rate") for one in group.members}
    if effect.setting == "optimizer" and len(rates) == 1:
        remarks.append(f"all at learning rate {show(rates.pop())}")
    return remarks


def _noise(evidence: Evidence) -> str:
    metric, scatter = evidence.metric, evidence.study.scatter(evidence.metric)
    if not scatter:
        return (
            "not known, as each configuration was run with one seed. **No difference can be called "
            "significant**: another seed gives other figures"
        )
    typical = median(scatter)
    apart = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * 2**0.5 * typical
    least, most = show_size(scatter[0], metric, ""), show_size(scatter[-1], metric)
    spread = f", the median of {least} to {most}" if len(scatter) > 1 else ""
    return (
        f"the runs of one configuration have a standard deviation of {show_size(typical, metric)}"
        f"{spread}; two single runs are up to {show_size(apart, metric)} apart by chance (95 %)"
    )


def _verdicts(evidence: Evidence) -> str:
    words = [one.word for one in evidence.verdicts]
    counts = [f"{words.count(word)} {word.lower()}" for word in WORDS if word in words]
    return ", ".join(counts) or "none stated"


def _effect_row(effect: Effect, evidence: Evidence) -> dict[str, str]:
    metric = evidence.metric
    is_flat = abs(effect.difference.mean) <= ROUNDING
    best, worst = ("none" if is_flat else plain(show(x)) for x in (effect.best, effect.worst))
    return {
        "setting": code(effect.setting),
        "best": best,
        "worst": worst,
        **difference_cells("range", effect.difference, effect.p, metric),
        f"noise range ({unit_of(metric)})": show_difference(effect.noise, metric).removeprefix("+"),
        "group": plain(effect.group),
        "remarks": "; ".join(_remarks(effect, evidence.study)),
    }
